/*
 * debug_file: finds the file that has the debug information of an executable.
 *
 * In gdb's order, below each root in turn: the build-ID directories, then what .gnu_debuglink
 * names beside the executable, in .debug/ and below the debug directories; then debuginfod;
 * and if none of them has one, .gnu_debugdata, which has names only. What DWARF was moved
 * into a shared file by dwz (.gnu_debugaltlink), that file is found too.
 * Every file is untrusted until its build ID, or the checksum of the link, was compared.
 * Nothing is remembered; any thread, but it reads files and takes its time.
 * https://sourceware.org/gdb/onlinedocs/gdb/Separate-Debug-Files.html
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "symbolizer/debuginfod.h"
#include "symbolizer/elf_file.h"

struct debug_search {
	/* Directories that stand for "/", to be searched in this order: the process's own root
	 * first, then the machine's. Links do not lead out of them. */
	const int *root_fds;
	size_t root_count;
	const char *executable_path; /* in its root; NULL or not absolute: not known */
	/* Directories laid out as /usr/lib/debug is, to be searched after it; absolute. */
	const char *const *debug_dirs;
	size_t debug_dir_count;
	struct debuginfod *remote; /* NULL: off */
};

enum debug_file_kind {
	DEBUG_FILE_ITSELF = 1, /* the executable was not stripped; fd is -1 */
	DEBUG_FILE_SEPARATE,
	DEBUG_FILE_MINI, /* no DWARF, only a symbol table */
};

enum { DEBUG_FILE_WHERE_BYTES = 256 };

struct debug_file {
	enum debug_file_kind kind;
	int fd;
	int alternate_fd; /* of dwz; -1: none is named, or it was not found */
	bool has_dwarf;   /* here or in the executable itself */
	/* debuginfod has been asked for what would be better: search again when it has answered. */
	bool is_pending;
	char where[DEBUG_FILE_WHERE_BYTES];     /* for users: a path, or which other source */
	char alternate[DEBUG_FILE_WHERE_BYTES]; /* the same; or why not; "": none is named */
};

/* The caller owns what is found, and gives it to debug_file_fini(). -ENOENT: there is none, with
 * a sentence that tells where it was looked for and what would help; -EAGAIN: there is none yet,
 * debuginfod has been asked; -ENOMEM, or what elf_file_sections() says of the executable. */
int debug_file_find(struct debug_file *out, const struct elf_file *executable,
		    const struct debug_search *search, struct err *err);
void debug_file_fini(struct debug_file *found);
