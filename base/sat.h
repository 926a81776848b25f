/*
 * sat: sums that stop at the ends of their type. Weights in imported files may be any number,
 * and a sum of them must neither wrap nor be undefined.
 */
#pragma once
#include <stdint.h>

static inline int64_t sat_add_i64(int64_t a, int64_t b)
{
	int64_t sum;
	if (!__builtin_add_overflow(a, b, &sum))
		return sum;
	return b < 0 ? INT64_MIN : INT64_MAX;
}

static inline uint64_t sat_add_u64(uint64_t a, uint64_t b)
{
	uint64_t sum;
	return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}
