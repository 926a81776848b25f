/*
 * symbol_source: the names of one executable for a command that asks once, from the cache of a
 * data directory, or compiled on the spot.
 */
#pragma once
#include "base/auto.h"
#include "base/err.h"
#include "cli/naming.h"
#include "symbolizer/gsym.h"

struct symbol_source {
	struct gsym *gsym;
	char *name;        /* of the file, or its build ID */
	char problem[256]; /* why names may be missing; "": nothing known */
};

void symbol_source_fini(struct symbol_source *source);

struct symbol_source_config {
	/* Keep names in its cache, and use what is there; NULL: do neither, for an executable may
	 * claim any build ID. What comes from servers is kept here, or in the user's cache. */
	const char *data_dir;
	struct naming_config naming;
};

/* Compile the names of an executable, or a debug file, with its debug file where there is one; wait
 * for the servers that are asked for it. On success symbol_source_fini() is owed. open(2)'s errors,
 * or those of executable_open(), naming_dirs_init() and names_make(). */
int symbol_source_of_file(struct symbol_source *source, const char *path,
			  const struct symbol_source_config *config, struct err *err);

/* The names of a build ID (hex): from data_dir's cache, which is not written to, a debug file, or
 * a server. -EINVAL: not a build ID; -ENOENT: none of them has it. */
int symbol_source_of_build_id(struct symbol_source *source, const char *build_id,
			      const struct symbol_source_config *config, struct err *err);
