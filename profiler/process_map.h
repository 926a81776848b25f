/*
 * process_map: what was mapped where in a process at one moment.
 *
 * Immutable and counted atomically, so that a sample can be worked on while the process goes
 * on to map other things.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "profiler/files.h"

struct mapping {
	uint64_t start_ip;
	uint64_t end_ip;
	uint64_t file_off;
	struct mapped_file *file; /* a reference */
};

struct process_map {
	unsigned int refs; /* atomic */
	size_t mapping_count;
	struct mapping mappings[]; /* sorted, not overlapping */
};

/* A copy with references of its own; NULL: no memory. */
struct process_map *process_map_copy(const struct mapping *mappings, size_t mapping_count);
struct process_map *process_map_ref(struct process_map *map);
void process_map_unref(struct process_map *map); /* NULL is fine */

/* The mapping that covers ip in a sorted array, or NULL. Borrowed. */
const struct mapping *mappings_find(const struct mapping *mappings, size_t mapping_count,
				    uint64_t ip);
/* Position of the first mapping that ends after ip. */
size_t mappings_lower_bound(const struct mapping *mappings, size_t mapping_count, uint64_t ip);
