/*
 * pprof: a profile as google/pprof's profile.proto, gzipped, in both directions.
 *
 * Written: sample types samples/count then <type>/<unit> (one column when those are the same),
 * period type and default sample type <type>; samples with equal stack, thread and wait are
 * one, in prefix order of the stacks, so that the bytes compress. Thread fields become labels
 * pid, tid (numbers), thread; waits become labels reason, waits_on, idle, before all others of
 * these names. Locations without lines get the name frames.h gives them. The first mapping is
 * the program that the heaviest samples ran.
 * Read: any valid profile, gzipped or not; the default sample type's column (else the last)
 * becomes the weight, samples/count (when there) the count; labels become threads and label
 * sets, numbers as text without their unit. Of type offcpu or wall, a reason that we know makes
 * it and the other two a wait. Addresses stay as they are in the file.
 * Field numbers and rules: https://github.com/google/pprof/blob/main/proto/profile.proto
 */
#pragma once
#include "base/buf.h"
#include "base/err.h"
#include "profile/profile.h"

/* Append the gzipped message to out. -ENOMEM; -ENOSPC: more than out's ceiling. */
int pprof_encode(struct buf *out, const struct profile *profile, struct err *err);

/* -EBADMSG: not gzip, not a Profile, or against its rules (says which); -ENODATA: ends
 * early; -ENOSPC: unpacks to more than 1 GiB, or one element to over 16 MiB or 1024 labels;
 * -ENOMEM. The caller owns *out. */
int pprof_decode(struct profile **out, const void *data, size_t len_bytes, struct err *err);
