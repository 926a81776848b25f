#include "symbolizer/function_bounds.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "symbolizer/unwind_entries.h"
#include "symbolizer/unwind_tables.h"

struct bound {
	uint32_t start_off; /* from base_vaddr */
	uint32_t size_bytes;
};

struct function_bounds {
	uint64_t base_vaddr;  /* the lowest function's; code is within 4 GiB of it */
	struct bound *bounds; /* by start_off, apart */
	uint32_t count;
};

struct reading {
	struct unwind_tables tables;
	struct unwind_entries entries;
};

static void reading_fini(struct reading *reading)
{
	unwind_tables_fini(&reading->tables);
	unwind_entries_fini(&reading->entries);
}

void function_bounds_free(struct function_bounds *bounds)
{
	if (!bounds)
		return;
	free(bounds->bounds);
	free(bounds);
}

uint32_t function_bounds_count(const struct function_bounds *bounds)
{
	return bounds->count;
}

struct gsym_range function_bounds_range(const struct function_bounds *bounds, uint32_t position)
{
	assert(position < bounds->count);
	uint64_t start_vaddr = bounds->base_vaddr + bounds->bounds[position].start_off;
	return (struct gsym_range){start_vaddr, start_vaddr + bounds->bounds[position].size_bytes};
}

uint32_t function_bounds_find(const struct function_bounds *bounds, uint64_t vaddr)
{
	if (vaddr < bounds->base_vaddr)
		return FUNCTION_BOUNDS_NONE;
	uint64_t off = vaddr - bounds->base_vaddr;
	uint32_t low = 0, high = bounds->count;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		if (bounds->bounds[middle].start_off <= off)
			low = middle + 1;
		else
			high = middle;
	}
	if (!low || off - bounds->bounds[low - 1].start_off >= bounds->bounds[low - 1].size_bytes)
		return FUNCTION_BOUNDS_NONE;
	return low - 1;
}

/* The linker's marks of what it left out, and liars, point at what is no code. */
static bool is_code(const struct elf_file *file, const struct unwind_function *function)
{
	size_t count;
	const struct elf_segment *segments = elf_file_segments(file, &count);
	for (size_t i = 0; i < count; i++)
		if ((segments[i].flags & PF_X) && function->start_vaddr >= segments[i].vaddr &&
		    function->start_vaddr - segments[i].vaddr < segments[i].memory_bytes)
			return true;
	return false;
}

/* By start; of those that begin together the longest first. */
static int compare(const void *left, const void *right)
{
	const struct unwind_function *a = left, *b = right;
	if (a->start_vaddr != b->start_vaddr)
		return a->start_vaddr < b->start_vaddr ? -1 : 1;
	return (a->limit_vaddr < b->limit_vaddr) - (a->limit_vaddr > b->limit_vaddr);
}

static void keep_code(struct unwind_entries *entries, const struct elf_file *file)
{
	size_t kept = 0;
	for (size_t i = 0; i < entries->count; i++)
		if (is_code(file, &entries->functions[i]))
			entries->functions[kept++] = entries->functions[i];
	entries->count = kept;
	if (kept)
		qsort(entries->functions, kept, sizeof(*entries->functions), compare);
}

/* Takes over what is sorted: each function ends where the next begins, at the latest. */
static int compact(struct function_bounds *bounds, const struct unwind_entries *entries)
{
	bounds->bounds = calloc(entries->count + 1, sizeof(*bounds->bounds));
	if (!bounds->bounds)
		return -ENOMEM;
	if (entries->count)
		bounds->base_vaddr = entries->functions[0].start_vaddr;
	uint64_t before_vaddr = UINT64_MAX; /* where the last one that was taken begins */
	for (size_t i = 0; i < entries->count; i++) {
		const struct unwind_function *function = &entries->functions[i];
		uint64_t off = function->start_vaddr - bounds->base_vaddr;
		if (off > UINT32_MAX)
			break;
		if (function->start_vaddr == before_vaddr)
			continue;
		before_vaddr = function->start_vaddr;
		uint64_t size_bytes = function->limit_vaddr - function->start_vaddr;
		if (size_bytes > UINT32_MAX)
			size_bytes = UINT32_MAX;
		struct bound *before = bounds->count ? &bounds->bounds[bounds->count - 1] : NULL;
		if (before && off - before->start_off < before->size_bytes)
			before->size_bytes = (uint32_t)(off - before->start_off);
		bounds->bounds[bounds->count++] =
			(struct bound){(uint32_t)off, (uint32_t)size_bytes};
	}
	return 0;
}

int function_bounds_read(struct function_bounds **out, const struct elf_file *file, struct err *err)
{
	AUTO(function_bounds) bounds = calloc(1, sizeof(*bounds));
	if (!bounds)
		return err_set(err, -ENOMEM, "function bounds: %m");
	AUTO_FINI(reading_fini) struct reading reading = {0};
	int rc = unwind_tables_read(&reading.tables, file, err);
	if (rc)
		return rc;
	if (reading.tables.eh_frame.data)
		rc = unwind_entries_add(&reading.entries, &reading.tables.eh_frame, false,
					reading.tables.ends_at_zero);
	if (!rc) {
		keep_code(&reading.entries, file);
		rc = compact(bounds, &reading.entries);
	}
	if (rc)
		return err_set(err, rc, "function bounds: %m");
	*out = TAKE(bounds);
	return 0;
}

void function_mark(char text[static FUNCTION_MARK_BYTES], const char *filename,
		   uint64_t start_vaddr, bool is_stripped)
{
	const char *base = strrchr(filename, '/');
	base = base ? base + 1 : filename;
	size_t len_bytes = strnlen(base, NAME_MAX);
	if (len_bytes > 1 && base[0] == '[' && base[len_bytes - 1] == ']') { /* "[vdso]" */
		base++;
		len_bytes -= 2;
	}
	snprintf(text, FUNCTION_MARK_BYTES, "[%s%.*s+0x%" PRIx64 "]",
		 is_stripped ? "stripped " : "", (int)len_bytes, base, start_vaddr);
}
