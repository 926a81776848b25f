/*
 * files: the files whose code runs, pinned by descriptor when they are first seen, so that
 * what is deleted, replaced or inside a container later still has names.
 *
 * A mapped_file is immutable after files_get() and counted atomically: the collector and the
 * namer share it. The table itself: one thread.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/auto.h"
#include "base/err.h"
#include "profiler/jit.h"
#include "profiler/mount_root.h"
#include "symbolizer/executable.h"

enum mapped_kind {
	MAPPED_EXECUTABLE, /* exe is set */
	MAPPED_UNREADABLE, /* a file that could not be opened, or is not ELF: name only */
	MAPPED_VDSO,       /* exe is set when it is our own kind */
	MAPPED_ANONYMOUS, /* no file: code made at run time; jit is set when it is a process's own */
	MAPPED_JITDUMP,   /* no code: tells that the process writes this file; dump_fd is set */
};

struct mapped_file {
	unsigned int refs; /* atomic */
	enum mapped_kind kind;
	char *name; /* path as the process saw it, "[vdso]", "[jit]" */
	struct executable *exe;
	struct mount_root *root; /* of the process it was opened for; a reference; NULL: ours */
	struct jit_process *jit; /* a reference */
	int dump_fd;
	bool is_retriable; /* could not be opened: the next process may be luckier */
	/* by the table only: */
	unsigned int keys; /* under how many it is there, a reference each */
	uint64_t used_mono_ns;
};

struct mapped_file *mapped_file_ref(struct mapped_file *file);
void mapped_file_unref(struct mapped_file *file); /* NULL is fine */
/* The code that a process made at run time. Takes the reference, on failure too. NULL: no memory. */
struct mapped_file *mapped_file_jit(struct jit_process *jit);

struct files; /* opaque */

int files_new(struct files **out, struct err *err);
void files_free(struct files *files); /* NULL is fine */
AUTO_DEFINE(files)

/* What is mapped where; from a side-band record or a line of maps. */
struct file_sight {
	uint32_t pid;
	uint64_t start_ip, end_ip;
	uint32_t dev_major, dev_minor;
	uint64_t inode, inode_generation;
	const uint8_t *build_id; /* NULL: not told */
	uint32_t build_id_bytes;
	const char *path;
	uint64_t now_mono_ns;
};

/* The file, opened now when it is new; a reference that the caller owns. NULL: no memory. */
struct mapped_file *files_get(struct files *files, const struct file_sight *sight);
/* Let go of files nobody has mapped for a while. */
void files_sweep(struct files *files, uint64_t now_mono_ns);
uint64_t files_count(const struct files *files);
