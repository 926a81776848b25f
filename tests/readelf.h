/*
 * readelf: the functions of a file as readelf lists them, for tests.
 *
 * Header only, included by tests that have included cmocka.h.
 */
#pragma once
#include <inttypes.h>

#include "base/array.h"
#include "tool.h"

struct readelf_function {
	uint64_t vaddr, size_bytes;
	char *name; /* without its version */
};

struct readelf {
	struct readelf_function *functions; /* by vaddr */
	size_t count, cap;
	bool dynamic; /* from .dynsym, for want of .symtab */
};

static inline int readelf_compare(const void *left, const void *right)
{
	const struct readelf_function *a = left, *b = right;
	return (a->vaddr > b->vaddr) - (a->vaddr < b->vaddr);
}

/*    Num:    Value          Size Type    Bind   Vis      Ndx Name */
static inline void readelf_take_line(struct readelf *list, const char *line)
{
	uint64_t vaddr;
	char size[32], type[32], bind[32], section[32], name[8192];
	if (sscanf(line, " %*u: %" SCNx64 " %31s %31s %31s %*s %31s %8191s", &vaddr, size, type,
		   bind, section, name) != 6)
		return;
	bool function = !strcmp(type, "FUNC") || !strcmp(type, "IFUNC");
	uint64_t size_bytes = strtoull(size, NULL, 0);
	if (!function || !strcmp(section, "UND") || !size_bytes)
		return;
	name[strcspn(name, "@")] = '\0';
	assert_int_equal(ARRAY_RESERVE(list->functions, list->cap, list->count, SIZE_MAX), 0);
	list->functions[list->count++] = (struct readelf_function){vaddr, size_bytes, strdup(name)};
}

/* All functions with a size in .symtab, or in .dynsym when that has none. */
TOOL_UNUSED static struct readelf readelf_functions(const char *path)
{
	struct readelf list = {0};
	AUTO_MEM char *text = tool_output("readelf -sW '%s' 2>/dev/null", path);
	const char *table = strstr(text, "Symbol table '.symtab'");
	list.dynamic = !table;
	if (!table)
		table = text;
	char *save = NULL;
	for (char *line = strtok_r((char *)(uintptr_t)table, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save))
		readelf_take_line(&list, line);
	if (list.count)
		qsort(list.functions, list.count, sizeof(*list.functions), readelf_compare);
	return list;
}

TOOL_UNUSED static void readelf_fini(struct readelf *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->functions[i].name);
	free(list->functions);
}

/* The first of the functions that begin at vaddr; list->count: there are none. */
TOOL_UNUSED static size_t readelf_first_at(const struct readelf *list, uint64_t vaddr)
{
	size_t low = 0, high = list->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (list->functions[middle].vaddr < vaddr)
			low = middle + 1;
		else
			high = middle;
	}
	return low < list->count && list->functions[low].vaddr == vaddr ? low : list->count;
}

/* Is there a function of that name that begins at start and covers vaddr? */
TOOL_UNUSED static bool readelf_lists(const struct readelf *list, uint64_t start, uint64_t vaddr,
				      const char *name)
{
	for (size_t i = readelf_first_at(list, start);
	     i < list->count && list->functions[i].vaddr == start; i++)
		if (!strcmp(list->functions[i].name, name) &&
		    vaddr - start < list->functions[i].size_bytes)
			return true;
	return false;
}
