/*
 * reader: bytes that somebody else wrote, read without ever leaving them.
 *
 * The error is sticky: after one bad read all reads yield 0 (or NULL), so a parser reads a
 * whole header and asks `if (r.bad)` once. Little-endian. Borrows the bytes. One thread.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct reader {
	const uint8_t *pos;
	const uint8_t *end;
	bool bad; /* a read went past the end, or a number did not fit */
};

struct reader reader_of(const void *data, size_t len_bytes);
size_t reader_left_bytes(const struct reader *r);

uint8_t reader_u8(struct reader *r);
uint16_t reader_u16(struct reader *r);
uint32_t reader_u32(struct reader *r);
uint64_t reader_u64(struct reader *r);
uint64_t reader_varint(struct reader *r); /* ULEB128; more than 64 bits is bad */
int64_t reader_zigzag(struct reader *r);  /* protobuf sint64 */
int64_t reader_sleb(struct reader *r);    /* SLEB128, DWARF 5 section 7.6 */

/* len_bytes of the input, borrowed; NULL (and bad) when there are fewer. */
const void *reader_bytes(struct reader *r, size_t len_bytes);
/* A NUL-terminated string inside the input, borrowed; NULL (and bad) without its NUL. */
const char *reader_cstr(struct reader *r);
void reader_skip(struct reader *r, size_t len_bytes);
/* The next len_bytes as a reader of their own, skipped here. Bad when there are fewer. */
struct reader reader_sub(struct reader *r, size_t len_bytes);
