/*
 * delays: how long something took, each time that it was done: how often, how long in all and at
 * most, and how many times at most so and so long.
 *
 * Plain values; all zero is a good start.
 */
#pragma once
#include <stdint.h>

enum { DELAY_LIMITS = 9 };

struct delays {
	uint64_t count;
	uint64_t sum_ns;
	uint64_t max_ns;
	uint64_t within[DELAY_LIMITS]; /* that took delays_limit_ms() or less */
};

/* 1, 2, 5, ... 1000. */
uint32_t delays_limit_ms(unsigned int limit);
void delays_add(struct delays *delays, uint64_t delay_ns);
