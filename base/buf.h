/*
 * buf: bytes that grow, up to a ceiling given when they are made.
 *
 * Errors are sticky: after one failed append all further appends do nothing, so a writer
 * appends freely and asks buf_error() once. One thread.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

struct buf {
	char *data;
	size_t len_bytes;
	size_t cap_bytes;
	size_t max_bytes;
	int error; /* 0, -ENOMEM, or -ENOSPC when the ceiling was hit */
};

void buf_init(struct buf *buf, size_t max_bytes);
void buf_fini(struct buf *buf);  /* frees the bytes; the buf may be initialised again */
void buf_clear(struct buf *buf); /* empties it and forgets the error; keeps the memory */

void buf_append(struct buf *buf, const void *data, size_t len_bytes);
void buf_append_str(struct buf *buf, const char *text);
void buf_append_u8(struct buf *buf, uint8_t value);
void buf_append_u32le(struct buf *buf, uint32_t value);
void buf_append_u64le(struct buf *buf, uint64_t value);
/* LEB128, as protobuf and DWARF write it (DWARF 5 section 7.6). */
void buf_append_varint(struct buf *buf, uint64_t value);
/* Zigzag first, so that small negative numbers stay short (protobuf sint64). */
void buf_append_zigzag(struct buf *buf, int64_t value);
void buf_printf(struct buf *buf, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Room for len_bytes more, returned for the caller to fill; NULL when there is none. */
void *buf_extend(struct buf *buf, size_t len_bytes);

/* The sticky error: 0, -ENOMEM or -ENOSPC. */
static inline int buf_error(const struct buf *buf)
{
	return buf->error;
}

/* The bytes as a C string that the caller owns; its NUL counts against the ceiling. NULL on
 * error, which buf_error() still tells. The buf owns no memory after, and may be used again. */
char *buf_take_str(struct buf *buf);
