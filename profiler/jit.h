/*
 * jit: names for code that processes make at run time, from the perf maps and jitdumps that they
 * write.
 *
 * A process gets a jit_process at the first sight of such code, while it is there: what leads to
 * its files is pinned then, in its own mount namespace. The files are read when somebody asks,
 * where they grew, and not so often that it would cost more than a twentieth of one CPU. All of
 * them share one budget of memory.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/auto.h"
#include "base/err.h"
#include "symbolizer/jit_codes.h"

struct jit; /* what all processes share; opaque, counted; any thread */

struct jit_options {
	const char *tmp_directory; /* of this machine; NULL: /tmp */
	uint64_t max_bytes;        /* of names, of all processes; 0: 256 MiB */
};

int jit_new(struct jit **out, const struct jit_options *options, struct err *err); /* -ENOMEM */
void jit_unref(struct jit *jit); /* NULL is fine */

struct jit_process; /* opaque, counted */

/* parent: whose memory the process began as a copy of, with the code in it; NULL: nobody's. NULL:
 * no memory, or too many have one. Any thread. */
struct jit_process *jit_process_new(struct jit *jit, uint32_t pid, struct jit_process *parent);
struct jit_process *jit_process_ref(struct jit_process *process);
void jit_process_unref(struct jit_process *process); /* NULL is fine */

/* The process mapped this file, which its name says is a jitdump. fd is not taken. Any thread. */
void jit_process_add_dump(struct jit_process *process, int fd);

/* The code that was at ip at that time; reads the files first: ms, when they grew. One thread.
 * What is found is borrowed until the next question. */
bool jit_process_find(struct jit_process *process, uint64_t ip, uint64_t at_mono_ns,
		      struct jit_symbol *symbol);
/* Why the last one was not found, and what would help: a clause each. The reason is borrowed until
 * the next question; same thread. */
struct jit_unnamed {
	const char *reason, *remedy;
};
struct jit_unnamed jit_process_unnamed(const struct jit_process *process);
