/*
 * folded: one line per stack, `comm;root;...;leaf VALUE`, VALUE in the profile's unit.
 *
 * The text of Brendan Gregg's flamegraph.pl and stackcollapse-*.pl: frames root first, joined
 * by ';', one space, an integer. The first frame is the thread's label comm, else its name,
 * else "[unknown]"; the last of a waiting sample its reason, "[lock]". Kernel functions end in `_[k]`, inlined ones in `_[i]`, JIT code in `_[j]`.
 * A ';' inside a name becomes ':', a control character a space. Lines are sorted by their
 * frames; stacks of weight 0 are left out.
 */
#pragma once
#include "base/buf.h"
#include "base/err.h"
#include "profile/profile.h"

/* Append the text. -ENOMEM; -ENOSPC: more than out's ceiling. */
int folded_encode(struct buf *out, const struct profile *profile, struct err *err);

/* Reads the same; the first frame becomes the label comm, suffixes become kinds again. The
 * text does not say what its values are: the profile has samples/count. Encoding it again
 * gives the same lines. Empty lines are skipped, an empty frame is "[unknown]".
 * -EBADMSG with the line number for a line that is not `frames VALUE`; -ENOMEM, -ENOSPC.
 * Caller owns *out. */
int folded_decode(struct profile **out, const void *data, size_t len_bytes, struct err *err);
