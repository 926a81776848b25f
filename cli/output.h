/*
 * output: a profile as a file, in the format that its name asks for.
 */
#pragma once
#include "base/buf.h"
#include "base/err.h"
#include "profile/profile.h"

/* Is there a format for the suffix of path? -EINVAL with the list of those there are. */
int output_check(const char *path, struct err *err);
/* Could a file be written there, as far as can be told before? -ENOENT, -EACCES, -EISDIR, ... */
int output_check_place(const char *path, struct err *err);
/* Append the profile in the format of path's suffix. */
int output_encode(struct buf *out, const char *path, const struct profile *profile,
		  struct err *err);
/* Write to a temporary file beside path, then rename: a reader sees all or nothing. Devices
 * and pipes are written directly. -ENOSPC, -EACCES, ... name the path. */
int output_write(const char *path, const void *data, size_t len_bytes, struct err *err);
