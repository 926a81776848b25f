/*
 * perf_map: the names that a virtual machine writes to /tmp/perf-PID.map for the code it makes.
 *
 * Lines "START SIZE name", numbers in hex; a later line replaces what it overlaps.
 * Format: tools/perf/Documentation/jit-interface.txt of Linux. The file grows while it is read:
 * a line without its end waits for the next time. Untrusted bytes; lines that are none are
 * counted and passed over. One thread.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/auto.h"
#include "base/err.h"
#include "symbolizer/jit_codes.h"

struct perf_map; /* opaque */

/* limits NULL: jit_default_limits. -ENOMEM. */
int perf_map_new(struct perf_map **out, const struct jit_limits *limits);
void perf_map_free(struct perf_map *map); /* NULL is fine */
AUTO_DEFINE(perf_map)

/* Read what was appended since the last time; all of it when the file is another one, shrank or
 * was written anew. Of more than 64 MiB the last ones are read: they tell of the code that is
 * there. fd is not taken. -EBADMSG: not a regular file; -ENOMEM; read(2)'s. */
int perf_map_read(struct perf_map *map, int fd, struct err *err);

/* The last line that covers ip. */
bool perf_map_find(const struct perf_map *map, uint64_t ip, struct jit_symbol *symbol);

struct perf_map_stats {
	size_t ranges;      /* stretches of addresses with a name */
	uint64_t bad_lines; /* since the file was begun with */
	uint64_t refused;   /* for want of room */
	uint64_t rereads;   /* how often it was begun with again */
	size_t bytes;       /* of memory, about */
};
void perf_map_stats(const struct perf_map *map, struct perf_map_stats *stats);
