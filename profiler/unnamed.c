#include "profiler/unnamed.h"

#include <stdbool.h>
#include <stdio.h>

/* Files of one stack; of a stack through more the innermost are told. */
enum { MAX_LOCATIONS = 1 << 22, MAX_FILES = 16 };

void unnamed_init(struct unnamed *unnamed)
{
	map_init(&unnamed->file_of, MAX_LOCATIONS);
}

void unnamed_fini(struct unnamed *unnamed)
{
	map_fini(&unnamed->file_of);
}

int unnamed_note(struct unnamed *unnamed, uint32_t location, const struct mapped_file *file)
{
	return map_put(&unnamed->file_of, location, (void *)(uintptr_t)file);
}

static bool is_among(const struct mapped_file *const *files, size_t count,
		     const struct mapped_file *file)
{
	for (size_t i = 0; i < count; i++)
		if (files[i] == file)
			return true;
	return false;
}

static void tell_made(struct symbols *symbols, const struct mapped_file *file,
		      const struct unnamed_samples *samples)
{
	struct jit_unnamed why = {"too many processes make code at run time",
				  "processes that end make room"};
	char name[64];
	snprintf(name, sizeof(name), "[jit] of %s", samples->comm);
	if (file->jit)
		why = jit_process_unnamed(file->jit);
	symbols_add_unnamed_other(symbols, name, why.reason, why.remedy, samples->count);
}

static void tell(struct symbols *symbols, const struct mapped_file *file,
		 const struct unnamed_samples *samples)
{
	if (file->exe)
		symbols_add_unnamed(symbols, file->exe, samples->count);
	else if (file->kind == MAPPED_ANONYMOUS)
		tell_made(symbols, file, samples);
	else
		symbols_add_unnamed_other(symbols, file->name, "the file could not be read",
					  "it was removed before it was seen, is no ELF file, or "
					  "rights are missing: see hearth doctor",
					  samples->count);
}

void unnamed_count(const struct unnamed *unnamed, const struct unnamed_samples *samples,
		   struct symbols *symbols)
{
	const struct mapped_file *files[MAX_FILES];
	const struct profile_stack *stacks = samples->profile->stacks;
	size_t count = 0;
	if (!unnamed->file_of.count)
		return;
	for (uint32_t stack = samples->stack; stack && count < MAX_FILES;
	     stack = stacks[stack].parent) {
		const struct mapped_file *file = map_get(&unnamed->file_of, stacks[stack].location);
		if (file && !is_among(files, count, file))
			files[count++] = file;
	}
	for (size_t i = 0; i < count; i++)
		tell(symbols, files[i], samples);
}
