/*
 * doctor: what this kernel and these privileges allow, one capability at a time: tried, not
 * guessed from versions. Leaves nothing behind. One thread.
 */
#pragma once
#include <stdbool.h>

struct capability {
	const char *name; /* "on-CPU sampling" */
	const char *used_for;
	bool is_required; /* without it `hearth serve` does not start */
	bool works;
	const char *why;    /* what was found; when it does not work: why not */
	const char *remedy; /* what to do; NULL when it works or nothing can be done */
};

/* Call visit once per capability, in the order they matter. */
void doctor_examine(void (*visit)(void *ctx, const struct capability *capability), void *ctx);
