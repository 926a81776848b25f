#include "base/index.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"

enum { FIRST_SLOTS = 16 };

void index_init(struct index *index, size_t max_count)
{
	*index = (struct index){.max_count = max_count};
}

void index_fini(struct index *index)
{
	free(index->positions);
	free(index->hashes);
	index_init(index, index->max_count);
}

/* 32 bits are kept per record: enough to pick a slot when the table grows and to skip
 * nearly every comparison of unequal records. */
static uint32_t short_hash(uint64_t hash)
{
	return (uint32_t)(hash >> 32) ^ (uint32_t)hash;
}

uint32_t index_find(const struct index *index, uint64_t hash, index_same_fn same, const void *ctx,
		    const void *key)
{
	if (!index->slots)
		return INDEX_NONE;
	size_t mask = index->slots - 1;
	uint32_t wanted = short_hash(hash);
	for (size_t slot = wanted & mask;; slot = (slot + 1) & mask) {
		uint32_t position = index->positions[slot];
		if (position == INDEX_NONE)
			return INDEX_NONE;
		if (index->hashes[slot] == wanted && same(ctx, position, key))
			return position;
	}
}

static void place(struct index *index, uint32_t hash, uint32_t position)
{
	size_t mask = index->slots - 1;
	size_t slot = hash & mask;
	while (index->positions[slot] != INDEX_NONE)
		slot = (slot + 1) & mask;
	index->positions[slot] = position;
	index->hashes[slot] = hash;
}

static int grow(struct index *index)
{
	size_t slots = index->slots ? index->slots * 2 : FIRST_SLOTS;
	AUTO_MEM uint32_t *positions = malloc(slots * sizeof(*positions));
	AUTO_MEM uint32_t *hashes = malloc(slots * sizeof(*hashes));
	if (!positions || !hashes)
		return -ENOMEM;
	memset(positions, 0xff, slots * sizeof(*positions)); /* INDEX_NONE */
	struct index old = *index;
	index->positions = TAKE(positions);
	index->hashes = TAKE(hashes);
	index->slots = slots;
	for (size_t slot = 0; slot < old.slots; slot++)
		if (old.positions[slot] != INDEX_NONE)
			place(index, old.hashes[slot], old.positions[slot]);
	free(old.positions);
	free(old.hashes);
	return 0;
}

int index_add(struct index *index, uint64_t hash, uint32_t position)
{
	if (index->count >= index->max_count)
		return -ENOSPC;
	if (index->count * 4 >= index->slots * 3) {
		int rc = grow(index);
		if (rc)
			return rc;
	}
	place(index, short_hash(hash), position);
	index->count++;
	return 0;
}
