/*
 * index: finds the position of a record in an array that the caller keeps.
 *
 * Open addressing over (hash, position); equality is the caller's. Records are only ever
 * added. Ceiling given at the start. One thread.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define INDEX_NONE UINT32_MAX

struct index {
	uint32_t *positions; /* INDEX_NONE: free slot */
	uint32_t *hashes;    /* high half of each hash, to skip most comparisons */
	size_t slots;        /* power of two, or 0 */
	size_t count;
	size_t max_count;
};

typedef bool (*index_same_fn)(const void *ctx, uint32_t position, const void *key);

void index_init(struct index *index, size_t max_count);
void index_fini(struct index *index);

/* The position whose record equals key, or INDEX_NONE. */
uint32_t index_find(const struct index *index, uint64_t hash, index_same_fn same, const void *ctx,
		    const void *key);
/* Add a position not yet there. -ENOMEM; -ENOSPC at the ceiling. */
int index_add(struct index *index, uint64_t hash, uint32_t position);
