/*
 * map: 64-bit keys to pointers, with removal. Borrows the values. Ceiling given at the
 * start. One thread.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

struct map {
	struct map_slot *slots;
	size_t slot_count; /* power of two, or 0 */
	size_t count;
	size_t used; /* count and the graves of removed entries */
	size_t max_count;
};

void map_init(struct map *map, size_t max_count);
void map_fini(struct map *map);

void *map_get(const struct map *map, uint64_t key); /* NULL: not there */
/* Add or replace; value is not NULL. -ENOMEM; -ENOSPC at the ceiling. */
int map_put(struct map *map, uint64_t key, void *value);
/* Remove; returns the value that was there, or NULL. */
void *map_remove(struct map *map, uint64_t key);

/* Walk in no order: start with *cursor = 0, until NULL. Removing what was just returned is
 * allowed, adding is not. key may be NULL. */
void *map_next(const struct map *map, size_t *cursor, uint64_t *key);
