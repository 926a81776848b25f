/*
 * gzip: whole buffers in and out of RFC 1952, by zlib.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

/* Append the gzip member of data to out. level 1 (fast) to 9 (small). -ENOSPC: it does not
 * fit the ceiling. On failure out is as it was. */
int gzip_compress(struct buf *out, const void *data, size_t len_bytes, int level, struct err *err);

/* Append the contents of all members in data to out, whose ceiling guards against bombs.
 * -EBADMSG: not gzip or damaged; -ENODATA: ends early; -ENOSPC: more than the ceiling.
 * On failure out is as it was. */
int gzip_decompress(struct buf *out, const void *data, size_t len_bytes, struct err *err);

/* Does data begin with gzip's magic number? */
bool gzip_is(const void *data, size_t len_bytes);
