#include "profile/stack_quality.h"

/* enum walk_end of bpf/abi.h, which lies above; profiler/quality.c asserts it. */
enum { END_NONE = 0, END_COMPLETE = 1 };

uint64_t stack_quality_samples(const uint64_t ends[static STACK_ENDS])
{
	uint64_t samples = 0;
	for (unsigned int end = 0; end < STACK_ENDS; end++)
		samples += ends[end];
	return samples;
}

uint64_t stack_quality_walked(const uint64_t ends[static STACK_ENDS])
{
	return stack_quality_samples(ends) - ends[END_NONE];
}

uint64_t stack_quality_whole(const uint64_t ends[static STACK_ENDS])
{
	return ends[END_COMPLETE];
}
