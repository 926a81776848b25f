/*
 * unwinder: walks to the end, in user space, the user stacks that the kernel side had to leave,
 * by the same rows and the same rules; and lays the rows it met before the kernel side, so that
 * the next sample there needs no help.
 *
 * Reads unwind information of a file on the first need: it takes ms to hundreds of ms, once per
 * file. Any thread (locked).
 */
#pragma once
#include <stdint.h>

#include "base/auto.h"
#include "base/err.h"
#include "profile/ledger.h"
#include "profiler/raw_stack.h"
#include "profiler/umem.h"

struct unwinder; /* opaque */

struct unwinder_options {
	struct umem *umem; /* the kernel side's memory, borrowed; NULL: there is none */
	/* Where rows are kept between runs, made when missing; NULL: nowhere. A cache that cannot be
	 * used is no failure. */
	const char *cache_directory;
	/* Of rows; 0: 128 MiB. Beyond it those go that were not needed for the longest time, and are
	 * read again when they are. What one file takes may be more. */
	uint64_t max_bytes;
};

int unwinder_new(struct unwinder **out, const struct unwinder_options *options, struct err *err);
void unwinder_free(struct unwinder *unwinder); /* NULL is fine */
AUTO_DEFINE(unwinder)

/* A whole user stack, leaf first. Files are borrowed from the raw stack. */
struct walked_stack {
	struct raw_frame frames[ABI_MAX_USER_FRAMES];
	uint32_t frame_count;
	enum walk_end end;
};

/* Read the rows that unwinder_finish() will need and lay them before the kernel side. */
void unwinder_prepare(struct unwinder *unwinder, const struct raw_stack *stack);

/* The user part of the stack, with its tail walked when it has one. */
void unwinder_finish(struct unwinder *unwinder, const struct raw_stack *stack,
		     struct walked_stack *walked);

/* Lay the mappings of a process before the kernel side. */
int unwinder_push(struct unwinder *unwinder, uint32_t pid, const struct process_map *map);
/* Moves when it became known that a file has no rows: its mappings need another push. Any
 * thread. */
uint64_t unwinder_files_epoch(const struct unwinder *unwinder);
/* Forget files that no process has mapped any more. Call it every few seconds: it looks at all. */
void unwinder_sweep(struct unwinder *unwinder);

void unwinder_stats(struct unwinder *unwinder, struct unwind_memory *memory);
