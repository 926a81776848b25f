/*
 * column: many numbers of one kind as few bytes.
 *
 * A column is one byte of coding, one of packing, and a body, maybe as one zstd frame with a
 * checksum:
 *
 *	COLUMN_DICTIONARY	varint d, then the d distinct values ascending as varint
 *				differences, then an index per value in 0 (d = 1), 1 (d <= 256)
 *				or 2 bytes
 *	COLUMN_PLAIN		u8 width, then each value in width bytes
 *	COLUMN_ASCENDING	the same for the differences of values that never fall
 *
 * What is several bytes wide is stored byte plane by byte plane, lowest first: the high bytes
 * are alike, and zstd sees them side by side. The count of values is not in the column: it
 * is the segment's. Stored: codings are append only.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "base/auto.h"
#include "base/buf.h"

/* Also the ceiling of samples in a segment. */
#define COLUMN_MAX_VALUES 65536

/* Scratch memory and zstd contexts, reused from column to column. One thread. */
struct column_codec; /* opaque */

int column_codec_new(struct column_codec **out);
void column_codec_free(struct column_codec *codec); /* NULL is fine */
AUTO_DEFINE(column_codec)

enum column_order {
	COLUMN_ANY,   /* in no order */
	COLUMN_RISES, /* each value is at least the one before */
};

/* Append the column of count values to out. -ENOMEM; -ENOSPC: more than out's ceiling or
 * COLUMN_MAX_VALUES. */
int column_encode(struct column_codec *codec, const uint64_t *values, size_t count,
		  enum column_order order, struct buf *out);

/* The count values of a column that column_encode() wrote. -EBADMSG: it did not. */
int column_decode(struct column_codec *codec, const void *data, size_t len_bytes, uint64_t *values,
		  size_t count);
