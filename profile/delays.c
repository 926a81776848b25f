#include "profile/delays.h"

#include <assert.h>

#include "base/array.h"
#include "base/clock.h"

static const uint32_t limits_ms[] = {1, 2, 5, 10, 20, 50, 100, 200, 1000};
_Static_assert(ARRAY_LEN(limits_ms) == DELAY_LIMITS, "one for each");

uint32_t delays_limit_ms(unsigned int limit)
{
	assert(limit < DELAY_LIMITS);
	return limits_ms[limit];
}

void delays_add(struct delays *delays, uint64_t delay_ns)
{
	delays->count++;
	delays->sum_ns += delay_ns;
	if (delay_ns > delays->max_ns)
		delays->max_ns = delay_ns;
	for (unsigned int i = 0; i < DELAY_LIMITS; i++)
		if (delay_ns <= limits_ms[i] * (uint64_t)NS_PER_MS)
			delays->within[i]++;
}
