/*
 * umem_alloc: which words of unwind memory are taken.
 *
 * Best fit: of the free blocks that are large enough the smallest, and of equal ones the one at
 * the lowest index; free neighbours are one block. All that it knows is kept outside of that
 * memory. A walker may still be in a block that was unlinked a moment ago, so blocks are retired
 * and become free after a grace period. One thread.
 */
#pragma once
#include <stdint.h>

#include "base/auto.h"
#include "base/err.h"

/* Blocks begin and end at multiples of this, and none begins at 0. */
#define UMEM_ALLOC_UNIT_WORDS 8

/* A walker runs for microseconds, and cannot sleep. */
#define UMEM_GRACE_NS (200 * UINT64_C(1000000))

struct umem_alloc; /* opaque */
struct umem_block; /* opaque */

/* Of word_count words, a multiple of the unit, all but the first unit is free. -ENOMEM. */
int umem_alloc_new(struct umem_alloc **out, uint32_t word_count, struct err *err);
void umem_alloc_free(struct umem_alloc *alloc); /* with its blocks; NULL is fine */
AUTO_DEFINE(umem_alloc)

/* A block of that many words, rounded up to the unit. NULL: no room, or no memory. Borrowed:
 * valid until it is retired. */
struct umem_block *umem_alloc_take(struct umem_alloc *alloc, uint32_t words);
/* Nothing refers to the block any more. */
void umem_alloc_retire(struct umem_alloc *alloc, struct umem_block *block);
/* The time is now: free what was retired before a call that is a grace period ago. */
void umem_alloc_reclaim(struct umem_alloc *alloc, uint64_t now_mono_ns);

uint32_t umem_block_at(const struct umem_block *block); /* index of its first word */
uint32_t umem_block_words(const struct umem_block *block);

uint32_t umem_alloc_free_words(const struct umem_alloc *alloc);
uint32_t umem_alloc_retired_words(const struct umem_alloc *alloc);
