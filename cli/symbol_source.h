/*
 * symbol_source: the names of one executable for a command that asks once, from the cache of a
 * data directory, or compiled on the spot.
 */
#pragma once
#include "base/auto.h"
#include "base/err.h"
#include "symbolizer/gsym.h"

struct symbol_source {
	struct gsym *gsym;
	char *name;        /* of the file, or its build ID */
	char problem[256]; /* why names may be missing; "": nothing known */
};

void symbol_source_fini(struct symbol_source *source);

/* Compile the names of an executable, or a debug file, with its debug file where there is one.
 * data_dir: keep them in its cache, and use what is there; NULL: do neither, for an executable
 * may claim any build ID. On success symbol_source_fini() is owed. open(2)'s errors, or those of
 * executable_open() and names_compile(). */
int symbol_source_of_file(struct symbol_source *source, const char *path, const char *data_dir,
			  struct err *err);

/* The names of a build ID (hex): from data_dir's cache, or a debug file below /usr/lib/debug.
 * -EINVAL: not a build ID; -ENOENT: neither has it. */
int symbol_source_of_build_id(struct symbol_source *source, const char *build_id,
			      const char *data_dir, struct err *err);
