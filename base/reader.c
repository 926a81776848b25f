#include "base/reader.h"

uint64_t reader_varint_long(struct reader *r)
{
	uint64_t value = 0;
	for (unsigned int shift = 0; shift < 64; shift += 7) {
		uint8_t byte = reader_u8(r);
		if (r->bad)
			return 0;
		if (shift == 63 && byte > 1)
			break; /* the 65th bit */
		value |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80))
			return value;
	}
	r->bad = true;
	return 0;
}

int64_t reader_zigzag(struct reader *r)
{
	uint64_t value = reader_varint(r);
	return (int64_t)(value >> 1) ^ -(int64_t)(value & 1);
}

int64_t reader_sleb_long(struct reader *r)
{
	uint64_t value = 0;
	unsigned int shift = 0;
	uint8_t byte;
	do {
		byte = reader_u8(r);
		if (r->bad)
			return 0;
		/* of the tenth byte one bit is left; the others must repeat it */
		if (shift == 63 && byte != 0x00 && byte != 0x7f) {
			r->bad = true;
			return 0;
		}
		value |= (uint64_t)(byte & 0x7f) << shift;
		shift += 7;
	} while (byte & 0x80);
	if (shift < 64 && (byte & 0x40))
		value |= ~UINT64_C(0) << shift;
	return (int64_t)value;
}

const char *reader_cstr(struct reader *r)
{
	const uint8_t *nul =
		r->bad || r->pos == r->end ? NULL : memchr(r->pos, 0, (size_t)(r->end - r->pos));
	if (!nul) {
		r->bad = true;
		return NULL;
	}
	const char *text = (const char *)r->pos;
	r->pos = nul + 1;
	return text;
}
