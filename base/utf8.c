#include "base/utf8.h"

size_t utf8_len(const char *text)
{
	/* The NUL at the end stops every multi-byte check. */
	const unsigned char *p = (const unsigned char *)text;
	if (p[0] < 0x80)
		return 1;
	if (p[0] >= 0xc2 && p[0] <= 0xdf)
		return (p[1] & 0xc0) == 0x80 ? 2 : 0;
	if ((p[0] & 0xf0) == 0xe0) {
		unsigned char low = p[0] == 0xe0 ? 0xa0 : 0x80;
		unsigned char high = p[0] == 0xed ? 0x9f : 0xbf;
		return p[1] >= low && p[1] <= high && (p[2] & 0xc0) == 0x80 ? 3 : 0;
	}
	if (p[0] >= 0xf0 && p[0] <= 0xf4) {
		unsigned char low = p[0] == 0xf0 ? 0x90 : 0x80;
		unsigned char high = p[0] == 0xf4 ? 0x8f : 0xbf;
		return p[1] >= low && p[1] <= high && (p[2] & 0xc0) == 0x80 && (p[3] & 0xc0) == 0x80
			       ? 4
			       : 0;
	}
	return 0;
}

void utf8_append(struct buf *out, const char *text)
{
	while (*text) {
		const char *plain = text;
		size_t len_bytes = 0;
		while (*text && (len_bytes = utf8_len(text)) > 0)
			text += len_bytes;
		buf_append(out, plain, (size_t)(text - plain));
		if (!*text)
			break;
		buf_append_str(out, UTF8_REPLACEMENT);
		text++;
	}
}
