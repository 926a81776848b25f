/*
 * dwarf: compiles the DWARF 2 to 5 of one executable into functions, lines and inlined calls.
 *
 * Reads .debug_info unit by unit, with split units (.dwo, .dwp) and dwz's alternate file; only
 * the sections that this needs. Every section is first copied or unpacked (zlib, zstd) to where
 * nobody else can change it. A damaged unit costs its own names only; what is read more than
 * once (shared tables, references in circles) is paid from a budget that the size of the
 * sections sets, so that time is bounded. One thread, all of its memory its own.
 * Format: https://dwarfstd.org/doc/DWARF5.pdf, https://gcc.gnu.org/wiki/DebugFission
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "symbolizer/elf_file.h"
#include "symbolizer/gsym_builder.h"
#include "symbolizer/symtab.h"

enum dwarf_split_kind {
	DWARF_SPLIT_DWO, /* name and directory as the skeleton unit gives them */
	DWARF_SPLIT_DWP, /* the package of the executable; name and directory are "" */
};

struct dwarf_input {
	const struct elf_file *file;      /* the executable or its debug file */
	const struct elf_file *alternate; /* of .gnu_debugaltlink; NULL: none */
	/* Names code that has lines but is in no function, as in assembler; NULL: it is left out. */
	const struct symtab *symbols;
	/* An empty file of the caller's, open for reading and writing and best unlinked, that
	 * unpacked sections are written to and mapped from; -1: they are kept in memory. */
	int scratch_fd;
	/* A descriptor that is taken, or -errno. NULL: no split units. */
	int (*open_split)(void *ctx, enum dwarf_split_kind kind, const char *name,
			  const char *directory);
	/* Asked at every unit and every few MiB; true ends all with -ECANCELED. NULL: never. */
	bool (*is_cancelled)(void *ctx);
	void *ctx;
};

struct dwarf_limits {
	uint64_t max_section_bytes; /* of one section, unpacked */
	uint64_t max_total_bytes;   /* of all sections read for one executable */
	size_t max_unit_bytes;      /* of memory for the functions of one unit, and for its lines */
};
extern const struct dwarf_limits dwarf_default_limits;

struct dwarf_stats {
	uint64_t units;         /* read, split ones included */
	uint64_t bad_units;     /* left out, or left in the middle: see problem */
	uint64_t split_missing; /* split units whose file was not there or not theirs */
	uint64_t functions;     /* pieces handed to the builder */
	uint64_t inlines;       /* inlined calls, as in the file */
	uint64_t lines;         /* rows of line tables, as in the file */
	struct err problem;     /* the first one of a unit; code 0: none */
};

/* Add all functions of the input to the builder; nothing is undone on failure. stats is always
 * written. -ENOENT: no DWARF; -ENOSPC: beyond a limit, with a sentence that says which;
 * -ECANCELED; -ENOMEM; pread(2)'s errors; -EBADMSG, -ENODATA or -EOPNOTSUPP: no unit or no
 * section could be read, with what was wrong with the first. */
int dwarf_compile(const struct dwarf_input *input, struct gsym_builder *builder,
		  const struct dwarf_limits *limits, struct dwarf_stats *stats, struct err *err);
