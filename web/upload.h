/*
 * upload: the body of a request on its way into a file that has no name.
 *
 * Whatever ends the request, the file goes with its descriptor, so nothing is left behind. It
 * is made beside the store and not in /tmp, which may be memory. One thread.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "base/auto.h"
#include "base/err.h"

struct upload; /* opaque */

/* Body bytes above max_bytes are counted, not kept. -ENOSPC, -EACCES, ...: no file can be
 * made in that directory. */
int upload_open(struct upload **out, const char *directory, uint64_t max_bytes, struct err *err);
void upload_free(struct upload *upload); /* NULL is fine */
AUTO_DEFINE(upload)

/* After a write that failed the rest is only counted: upload_finish() tells. */
void upload_append(struct upload *upload, const void *data, size_t len_bytes);

/* Bytes that came, kept or not. */
uint64_t upload_bytes(const struct upload *upload);

/* All is there: *fd reads from the start of the file. Borrowed. -E2BIG: over the limit;
 * -ENODATA: it is empty; -ENOSPC, -EIO, ...: a write failed. */
int upload_finish(struct upload *upload, int *fd, struct err *err);
