#include "base/buf.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"

enum { FIRST_CAP_BYTES = 64 };

void buf_init(struct buf *buf, size_t max_bytes)
{
	*buf = (struct buf){.max_bytes = max_bytes};
}

void buf_fini(struct buf *buf)
{
	free(buf->data);
	buf_init(buf, buf->max_bytes);
}

void buf_clear(struct buf *buf)
{
	buf->len_bytes = 0;
	buf->error = 0;
}

static int grow(struct buf *buf, size_t need_bytes)
{
	size_t cap_bytes = buf->cap_bytes ? buf->cap_bytes : FIRST_CAP_BYTES;
	while (cap_bytes < need_bytes)
		cap_bytes = cap_bytes > buf->max_bytes / 2 ? buf->max_bytes : cap_bytes * 2;
	char *data = realloc(buf->data, cap_bytes);
	if (!data)
		return -ENOMEM;
	buf->data = data;
	buf->cap_bytes = cap_bytes;
	return 0;
}

void *buf_extend(struct buf *buf, size_t len_bytes)
{
	if (buf->error)
		return NULL;
	if (len_bytes > buf->max_bytes - buf->len_bytes) {
		buf->error = -ENOSPC;
		return NULL;
	}
	size_t need_bytes = buf->len_bytes + len_bytes;
	if (need_bytes > buf->cap_bytes || !buf->data) {
		buf->error = grow(buf, need_bytes);
		if (buf->error)
			return NULL;
	}
	char *room = buf->data + buf->len_bytes;
	buf->len_bytes = need_bytes;
	return room;
}

void buf_append(struct buf *buf, const void *data, size_t len_bytes)
{
	if (!len_bytes)
		return;
	void *room = buf_extend(buf, len_bytes);
	if (room)
		memcpy(room, data, len_bytes);
}

void buf_append_str(struct buf *buf, const char *text)
{
	buf_append(buf, text, strlen(text));
}

void buf_append_u8(struct buf *buf, uint8_t value)
{
	buf_append(buf, &value, 1);
}

static void append_le(struct buf *buf, uint64_t value, size_t len_bytes)
{
	uint8_t *room = buf_extend(buf, len_bytes);
	for (size_t i = 0; room && i < len_bytes; i++)
		room[i] = (uint8_t)(value >> (8 * i));
}

void buf_append_u32le(struct buf *buf, uint32_t value)
{
	append_le(buf, value, 4);
}

void buf_append_u64le(struct buf *buf, uint64_t value)
{
	append_le(buf, value, 8);
}

void buf_append_varint(struct buf *buf, uint64_t value)
{
	uint8_t bytes[10];
	size_t len_bytes = 0;
	do {
		uint8_t low = value & 0x7f;
		value >>= 7;
		bytes[len_bytes++] = low | (value ? 0x80 : 0);
	} while (value);
	buf_append(buf, bytes, len_bytes);
}

void buf_append_zigzag(struct buf *buf, int64_t value)
{
	buf_append_varint(buf, ((uint64_t)value << 1) ^ (uint64_t)(value >> 63));
}

void buf_printf(struct buf *buf, const char *fmt, ...)
{
	char small[256];
	va_list args;
	va_start(args, fmt);
	int len = vsnprintf(small, sizeof(small), fmt, args);
	va_end(args);
	if (len < 0 && !buf->error)
		buf->error = -ENOSPC; /* more than INT_MAX bytes */
	if (buf->error)
		return;
	if ((size_t)len < sizeof(small)) {
		buf_append(buf, small, (size_t)len);
		return;
	}
	AUTO_MEM char *large = malloc((size_t)len + 1);
	if (!large) {
		buf->error = -ENOMEM;
		return;
	}
	va_start(args, fmt);
	vsnprintf(large, (size_t)len + 1, fmt, args);
	va_end(args);
	buf_append(buf, large, (size_t)len);
}

char *buf_take_str(struct buf *buf)
{
	buf_append_u8(buf, 0);
	int error = buf->error;
	char *text = buf->data;
	buf_init(buf, buf->max_bytes);
	if (!error)
		return text;
	free(text);
	buf->error = error;
	return NULL;
}
