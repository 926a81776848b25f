#include "base/map.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/hash.h"

struct map_slot {
	uint64_t key;
	void *value; /* NULL: free; &grave: removed */
};

enum { FIRST_SLOTS = 16 };
static const char grave;
#define GRAVE ((void *)(uintptr_t)&grave)

void map_init(struct map *map, size_t max_count)
{
	*map = (struct map){.max_count = max_count};
}

void map_fini(struct map *map)
{
	free(map->slots);
	map_init(map, map->max_count);
}

static struct map_slot *find(const struct map *map, uint64_t key)
{
	if (!map->slot_count)
		return NULL;
	size_t mask = map->slot_count - 1;
	for (size_t i = hash_u64(key) & mask;; i = (i + 1) & mask) {
		struct map_slot *slot = &map->slots[i];
		if (!slot->value)
			return NULL;
		if (slot->value != GRAVE && slot->key == key)
			return slot;
	}
}

void *map_get(const struct map *map, uint64_t key)
{
	const struct map_slot *slot = find(map, key);
	return slot ? slot->value : NULL;
}

static void place(struct map *map, uint64_t key, void *value)
{
	size_t mask = map->slot_count - 1;
	size_t i = hash_u64(key) & mask;
	while (map->slots[i].value && map->slots[i].value != GRAVE)
		i = (i + 1) & mask;
	if (!map->slots[i].value)
		map->used++;
	map->slots[i] = (struct map_slot){.key = key, .value = value};
	map->count++;
}

/* Rebuild without graves; twice the size when the entries themselves fill the half. */
static int rebuild(struct map *map)
{
	size_t slot_count = map->slot_count ? map->slot_count : FIRST_SLOTS;
	if (map->count * 2 >= slot_count)
		slot_count *= 2;
	struct map_slot *slots = calloc(slot_count, sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	struct map old = *map;
	map->slots = slots;
	map->slot_count = slot_count;
	map->count = 0;
	map->used = 0;
	for (size_t i = 0; i < old.slot_count; i++)
		if (old.slots[i].value && old.slots[i].value != GRAVE)
			place(map, old.slots[i].key, old.slots[i].value);
	free(old.slots);
	return 0;
}

int map_put(struct map *map, uint64_t key, void *value)
{
	assert(value);
	struct map_slot *slot = find(map, key);
	if (slot) {
		slot->value = value;
		return 0;
	}
	if (map->count >= map->max_count)
		return -ENOSPC;
	if ((map->used + 1) * 4 > map->slot_count * 3) {
		int rc = rebuild(map);
		if (rc)
			return rc;
	}
	place(map, key, value);
	return 0;
}

void *map_remove(struct map *map, uint64_t key)
{
	struct map_slot *slot = find(map, key);
	if (!slot)
		return NULL;
	void *value = slot->value;
	slot->value = GRAVE;
	map->count--;
	return value;
}

void *map_next(const struct map *map, size_t *cursor, uint64_t *key)
{
	while (*cursor < map->slot_count) {
		const struct map_slot *slot = &map->slots[(*cursor)++];
		if (!slot->value || slot->value == GRAVE)
			continue;
		if (key)
			*key = slot->key;
		return slot->value;
	}
	return NULL;
}
