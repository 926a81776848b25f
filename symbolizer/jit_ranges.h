/*
 * jit_ranges: which code is at which address, when what comes later lies over what came earlier.
 *
 * Plain arrays, no thread rule.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

/* What is left of a code where nothing was laid over it. */
struct jit_range {
	uint64_t start_ip;
	uint64_t end_ip; /* after start_ip */
	uint32_t code;
};

/* Sorted, not overlapping, once made here. */
struct jit_ranges {
	struct jit_range *items; /* owned */
	size_t count;
};

void jit_ranges_fini(struct jit_ranges *ranges);

/* Told of every part of a range that another one was laid over. */
typedef void (*jit_replaced_fn)(void *ctx, const struct jit_range *part,
				const struct jit_range *over);

/* *out becomes top, and of bottom what is not under it. -ENOMEM. */
int jit_ranges_overlay(const struct jit_ranges *bottom, const struct jit_ranges *top,
		       jit_replaced_fn replaced, void *ctx, struct jit_ranges *out);
/* *out becomes added, in any order and overlapping, the later ones over the earlier ones.
 * O(count log count). -ENOMEM. */
int jit_ranges_flatten(const struct jit_range *added, size_t count, jit_replaced_fn replaced,
		       void *ctx, struct jit_ranges *out);

/* The range that covers ip, or NULL. */
const struct jit_range *jit_ranges_find(const struct jit_ranges *ranges, uint64_t ip);
