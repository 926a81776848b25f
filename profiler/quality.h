/*
 * quality: counts how the walks of user stacks ended, for stack_quality.h.
 *
 * Of fixed size: when a table is full, the row with the fewest samples of those that had none for
 * 10 s (or, without such, of all) becomes part of `other`. Any thread (locked).
 */
#pragma once
#include <stdint.h>

#include "base/auto.h"
#include "base/err.h"
#include "profile/stack_quality.h"

struct quality; /* opaque */

int quality_new(struct quality **out, struct err *err); /* -ENOMEM */
void quality_free(struct quality *quality);             /* NULL is fine */
AUTO_DEFINE(quality)

/* Samples of one process that ended in one place. */
struct quality_samples {
	uint32_t pid;
	const char *comm;
	const char *library;
	uint32_t end; /* enum walk_end; another number counts as WALK_IMPLAUSIBLE */
	uint64_t count;
	uint64_t now_mono_ns;
};

void quality_add(struct quality *quality, const struct quality_samples *samples);

void quality_totals(struct quality *quality, uint64_t ends[static STACK_ENDS]);
void quality_read(struct quality *quality, struct stack_quality *out);
