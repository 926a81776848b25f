#include "profiler/unnamed.h"

#include <stdbool.h>

/* Of one stack; a stack through more of them tells the innermost. */
enum { MAX_LOCATIONS = 1 << 22, MAX_EXECUTABLES = 16 };

void unnamed_init(struct unnamed *unnamed)
{
	map_init(&unnamed->exe_of, MAX_LOCATIONS);
}

void unnamed_fini(struct unnamed *unnamed)
{
	map_fini(&unnamed->exe_of);
}

int unnamed_note(struct unnamed *unnamed, uint32_t location, struct executable *exe)
{
	return map_put(&unnamed->exe_of, location, exe);
}

static bool is_among(struct executable *const *exes, size_t count, const struct executable *exe)
{
	for (size_t i = 0; i < count; i++)
		if (exes[i] == exe)
			return true;
	return false;
}

void unnamed_count(const struct unnamed *unnamed, const struct profile *profile, uint32_t stack,
		   uint64_t samples, struct symbols *symbols)
{
	struct executable *exes[MAX_EXECUTABLES];
	size_t count = 0;
	if (!unnamed->exe_of.count)
		return;
	for (; stack && count < MAX_EXECUTABLES; stack = profile->stacks[stack].parent) {
		struct executable *exe = map_get(&unnamed->exe_of, profile->stacks[stack].location);
		if (exe && !is_among(exes, count, exe))
			exes[count++] = exe;
	}
	for (size_t i = 0; i < count; i++)
		symbols_add_unnamed(symbols, exes[i], samples);
}
