/*
 * names_make: the names of one executable, from it and all the files that its debug information
 * is in, compiled into a cache where there is one.
 *
 * Whoever needs names finds the debug file (debug_file.h), has them made here, and gets them from
 * the cache (symbol_cache.h) the next time. Any thread; long, see names_compile.h.
 */
#pragma once
#include <stdbool.h>

#include "base/err.h"
#include "symbolizer/debug_file.h"
#include "symbolizer/gsym.h"
#include "symbolizer/names_compile.h"

/* All borrowed. */
struct names_order {
	const struct elf_file *file; /* NULL: only its debug file is there */
	/* What debug_file_find() found, whose files are taken; NULL: nothing. */
	struct debug_file *debug;
	/* Where the parts of split DWARF are: beside executable_path, or where they were compiled;
	 * NULL: they are left out. */
	const struct debug_search *search;
	int cache_fd;                    /* -1: the names are kept in memory until they are freed */
	const char *id;                  /* the name they get in the cache: symbol_cache_id() */
	bool must_keep;                  /* what the cache does not take is an error */
	bool (*is_cancelled)(void *ctx); /* NULL: never */
	void *ctx;
};

/* The caller owns *out. A cache that cannot be written costs the next one time, and is told of as
 * stats->problem if there is no other. names_compile()'s errors; if it must be kept, also those of
 * openat(2), write(2) and renameat(2). */
int names_make(struct gsym **out, const struct names_order *order, struct names_stats *stats,
	       struct err *err);
