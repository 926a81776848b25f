/*
 * names_compile: all names of one executable, from wherever they are, as a GSYM file.
 *
 * From its symbol table, its DWARF, Go's function table, and for what has no name, the bounds of
 * functions in the unwind entries; gsym_builder decides who is right where they differ. What of
 * these is missing or malformed costs its own names only. One thread; long (seconds for hundreds
 * of MiB of DWARF), so run it in the background.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "symbolizer/dwarf.h"
#include "symbolizer/elf_file.h"

/* All borrowed. */
struct names_input {
	const struct elf_file *file;      /* the executable; NULL: only its debug file is there */
	const struct elf_file *debug;     /* its debug file; NULL: none, or the executable itself */
	const struct elf_file *alternate; /* dwz's; NULL: none */
	int scratch_fd;                   /* as dwarf_input has these; -1 */
	int (*open_split)(void *ctx, enum dwarf_split_kind kind, const char *name,
			  const char *directory);
	bool (*is_cancelled)(void *ctx);
	void *ctx;
	const uint8_t *build_id; /* the file's UUID; NULL: that of the executable, or debug file */
	size_t build_id_bytes;
};

struct names_stats {
	size_t symbols;           /* in the symbol tables */
	uint64_t go_functions;    /* in Go's table */
	size_t bounds;            /* in the unwind entries */
	bool is_stripped;         /* no full symbol table, here or in the debug file */
	struct dwarf_stats dwarf; /* all 0: none */
	/* Of the first source that could not be read, or not as a whole; code 0: none. */
	struct err problem;
};

/* Write the names at out_fd's position. max_bytes bounds the builder's memory; of a file that needs
 * more a part of its DWARF is left out, and the problem says so. stats is filled on success.
 * -ECANCELED; -ENOENT: there are no names; -ENOMEM; write(2)'s errors. */
int names_compile(const struct names_input *input, size_t max_bytes, int out_fd,
		  struct names_stats *stats, struct err *err);
