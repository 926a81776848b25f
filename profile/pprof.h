/*
 * pprof: a profile as google/pprof's profile.proto, gzipped, in both directions.
 *
 * Written: sample types samples/count then <type>/<unit>, period type and default sample
 * type <type>; samples with equal stack and labels are one, in prefix order of the stacks, so
 * that the string of bytes compresses. Thread fields become labels pid, tid (numbers), thread.
 * Read: any valid profile, gzipped or not; the default sample type's column becomes the
 * weight, samples/count (when there) the count; labels become label sets.
 * Field numbers and rules: https://github.com/google/pprof/blob/main/proto/profile.proto
 */
#pragma once
#include "base/buf.h"
#include "base/err.h"
#include "profile/profile.h"

/* Append the gzipped message to out. -ENOMEM; -ENOSPC: more than out's ceiling. */
int pprof_encode(struct buf *out, const struct profile *profile, struct err *err);

/* -EBADMSG: not gzip, not a Profile, or against its rules (says which); -ENODATA: ends
 * early; -ENOSPC: unpacks to more than 1 GiB. The caller owns *out. */
int pprof_decode(struct profile **out, const void *data, size_t len_bytes, struct err *err);
