/*
 * folded: one line per stack, `comm;root;...;leaf VALUE`, VALUE in the profile's unit.
 *
 * The text of Brendan Gregg's flamegraph.pl and stackcollapse-*.pl: frames root first, joined
 * by ';', one space, an integer. Kernel functions end in `_[k]`, inlined ones in `_[i]`, JIT
 * code in `_[j]`. A ';' inside a name becomes ':', a newline a space. Lines are sorted.
 */
#pragma once
#include "base/buf.h"
#include "base/err.h"
#include "profile/profile.h"

int folded_encode(struct buf *out, const struct profile *profile, struct err *err);

/* Reads the same; the first frame becomes the label comm, suffixes become kinds again.
 * -EBADMSG with the line number for a line that is not `frames VALUE`. Caller owns *out. */
int folded_decode(struct profile **out, const void *data, size_t len_bytes, struct err *err);
