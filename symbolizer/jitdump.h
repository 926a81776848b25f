/*
 * jitdump: the code that a virtual machine made, with source lines and times, as it writes them
 * to jit-PID.dump.
 *
 * Format: tools/perf/Documentation/jitdump-specification.txt of Linux, version 1. Read are
 * JIT_CODE_LOAD, JIT_CODE_MOVE, JIT_CODE_DEBUG_INFO and JIT_CODE_CLOSE, the rest is passed over.
 * The file grows while it is read: a record without its end waits for the next time. Untrusted
 * bytes. One thread.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/auto.h"
#include "base/err.h"
#include "symbolizer/jit_codes.h"

struct jitdump; /* opaque */

/* limits NULL: jit_default_limits. -ENOMEM. */
int jitdump_new(struct jitdump **out, const struct jit_limits *limits);
void jitdump_free(struct jitdump *dump); /* NULL is fine */
AUTO_DEFINE(jitdump)

/* Read what was appended since the last time, 64 MiB at most. fd is not taken, and always the
 * same file. -ENODATA: its header is not there yet; -EBADMSG: not a jitdump, or damaged: what
 * was read before the damage stays; -EOPNOTSUPP: of another byte order or version; -ENOMEM;
 * read(2)'s. */
int jitdump_read(struct jitdump *dump, int fd, struct err *err);

/* The code that was at ip at that time (CLOCK_MONOTONIC). A file whose times are of another
 * clock is asked for what is there now. */
bool jitdump_find(const struct jitdump *dump, uint64_t ip, uint64_t at_mono_ns,
		  struct jit_symbol *symbol);

struct jitdump_stats {
	size_t ranges;        /* stretches of addresses with a name */
	uint64_t bad_records; /* passed over: they contradict themselves */
	uint64_t refused;     /* for want of room */
	size_t bytes;         /* of memory, about */
};
void jitdump_stats(const struct jitdump *dump, struct jitdump_stats *stats);
