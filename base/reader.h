/*
 * reader: bytes that somebody else wrote, read without ever leaving them.
 *
 * The error is sticky: after one bad read all reads yield 0 (or NULL), so a parser reads a
 * whole header and asks `if (r.bad)` once. Little-endian. Borrows the bytes. One thread.
 */
#pragma once
#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct reader {
	const uint8_t *pos;
	const uint8_t *end;
	bool bad; /* a read went past the end, or a number did not fit */
};

static inline struct reader reader_of(const void *data, size_t len_bytes)
{
	/* Of no data, an empty string: to NULL nothing may be added, not even 0. */
	const uint8_t *pos = (const uint8_t *)(data ? data : "");
	return (struct reader){.pos = pos, .end = data ? pos + len_bytes : pos};
}

static inline size_t reader_left_bytes(const struct reader *r)
{
	return r->bad ? 0 : (size_t)(r->end - r->pos);
}

/* len_bytes of the input, borrowed; NULL (and bad) when there are fewer. */
static inline const void *reader_bytes(struct reader *r, size_t len_bytes)
{
	if (r->bad || len_bytes > (size_t)(r->end - r->pos)) {
		r->bad = true;
		return NULL;
	}
	const void *bytes = r->pos;
	if (len_bytes) /* a reader of nothing may be all zero */
		r->pos += len_bytes;
	return bytes;
}

static inline void reader_skip(struct reader *r, size_t len_bytes)
{
	(void)reader_bytes(r, len_bytes);
}

static inline uint8_t reader_u8(struct reader *r)
{
	const uint8_t *bytes = (const uint8_t *)reader_bytes(r, 1);
	return bytes ? *bytes : 0;
}

static inline uint16_t reader_u16(struct reader *r)
{
	uint16_t value = 0;
	const void *bytes = reader_bytes(r, sizeof(value));
	if (bytes)
		memcpy(&value, bytes, sizeof(value));
	return le16toh(value);
}

static inline uint32_t reader_u32(struct reader *r)
{
	uint32_t value = 0;
	const void *bytes = reader_bytes(r, sizeof(value));
	if (bytes)
		memcpy(&value, bytes, sizeof(value));
	return le32toh(value);
}

static inline uint64_t reader_u64(struct reader *r)
{
	uint64_t value = 0;
	const void *bytes = reader_bytes(r, sizeof(value));
	if (bytes)
		memcpy(&value, bytes, sizeof(value));
	return le64toh(value);
}

uint64_t reader_varint_long(struct reader *r); /* of reader_varint() */

/* ULEB128; more than 64 bits is bad. */
static inline uint64_t reader_varint(struct reader *r)
{
	if (!r->bad && r->pos < r->end && *r->pos < 0x80)
		return *r->pos++;
	/* By a copy: a reader of which no address is given away can stay in registers. */
	struct reader rest = *r;
	uint64_t value = reader_varint_long(&rest);
	*r = rest;
	return value;
}

int64_t reader_zigzag(struct reader *r);    /* protobuf sint64 */
int64_t reader_sleb_long(struct reader *r); /* of reader_sleb() */

/* SLEB128, DWARF 5 section 7.6; more than 64 bits is bad. */
static inline int64_t reader_sleb(struct reader *r)
{
	if (!r->bad && r->pos < r->end && *r->pos < 0x80) {
		int64_t value = *r->pos++;
		return (value ^ 0x40) - 0x40; /* of 7 bits the highest is the sign */
	}
	struct reader rest = *r; /* as above */
	int64_t value = reader_sleb_long(&rest);
	*r = rest;
	return value;
}

/* A NUL-terminated string inside the input, borrowed; NULL (and bad) without its NUL. */
const char *reader_cstr(struct reader *r);

/* The next len_bytes as a reader of their own, skipped here. Bad when there are fewer. */
static inline struct reader reader_sub(struct reader *r, size_t len_bytes)
{
	const void *bytes = reader_bytes(r, len_bytes);
	struct reader sub = reader_of(bytes, r->bad ? 0 : len_bytes);
	sub.bad = r->bad;
	return sub;
}
