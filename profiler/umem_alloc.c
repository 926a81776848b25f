#include "profiler/umem_alloc.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/hash.h"

struct umem_block {
	uint32_t at;
	uint32_t words;
	bool is_free;
	struct umem_block *prev, *next; /* by address, free or not */
	union {
		struct {
			struct umem_block *left, *right;
		} tree; /* free */
		struct {
			struct umem_block *next;
			uint64_t since_mono_ns;
		} retired;
	};
};

/* First in, first out. */
struct retired {
	struct umem_block *first;
	struct umem_block **end;
};

struct umem_alloc {
	struct umem_block *blocks; /* the one at the lowest index */
	struct umem_block *tree;   /* free ones: a treap by (words, at) */
	struct retired undated;    /* since the last umem_alloc_reclaim() */
	struct retired dated;
	uint32_t free_words, retired_words;
};

static bool is_less(const struct umem_block *a, const struct umem_block *b)
{
	return a->words != b->words ? a->words < b->words : a->at < b->at;
}

/* In a treap a parent's priority is not below its children's; random ones keep it flat. */
static uint64_t priority_of(const struct umem_block *block)
{
	return hash_u64(block->at);
}

static struct umem_block **tree_side(struct umem_block *parent, const struct umem_block *block)
{
	return is_less(block, parent) ? &parent->tree.left : &parent->tree.right;
}

static void tree_insert(struct umem_block **link, struct umem_block *block)
{
	while (*link && priority_of(*link) >= priority_of(block))
		link = tree_side(*link, block);
	struct umem_block *rest = *link;
	struct umem_block **less = &block->tree.left, **greater = &block->tree.right;
	*link = block;
	while (rest) { /* split what was there in two */
		if (is_less(rest, block)) {
			*less = rest;
			less = &rest->tree.right;
			rest = *less;
		} else {
			*greater = rest;
			greater = &rest->tree.left;
			rest = *greater;
		}
	}
	*less = NULL;
	*greater = NULL;
}

static void tree_remove(struct umem_block **link, struct umem_block *block)
{
	while (*link != block)
		link = tree_side(*link, block);
	struct umem_block *left = block->tree.left, *right = block->tree.right;
	while (left && right) {
		if (priority_of(left) >= priority_of(right)) {
			*link = left;
			link = &left->tree.right;
			left = *link;
		} else {
			*link = right;
			link = &right->tree.left;
			right = *link;
		}
	}
	*link = left ? left : right;
}

static struct umem_block *tree_best_fit(struct umem_block *block, uint32_t words)
{
	struct umem_block *best = NULL;
	while (block) {
		if (block->words >= words)
			best = block;
		block = block->words >= words ? block->tree.left : block->tree.right;
	}
	return best;
}

static void add_free(struct umem_alloc *alloc, struct umem_block *block)
{
	block->is_free = true;
	alloc->free_words += block->words;
	tree_insert(&alloc->tree, block);
}

static void remove_free(struct umem_alloc *alloc, struct umem_block *block)
{
	tree_remove(&alloc->tree, block);
	alloc->free_words -= block->words;
	block->is_free = false;
}

int umem_alloc_new(struct umem_alloc **out, uint32_t word_count, struct err *err)
{
	assert(word_count > UMEM_ALLOC_UNIT_WORDS && word_count % UMEM_ALLOC_UNIT_WORDS == 0);
	AUTO(umem_alloc) alloc = calloc(1, sizeof(*alloc));
	struct umem_block *block = alloc ? calloc(1, sizeof(*block)) : NULL;
	if (!block)
		return err_set(err, -ENOMEM, "allocator of unwind memory: %m");
	alloc->undated.end = &alloc->undated.first;
	alloc->dated.end = &alloc->dated.first;
	alloc->blocks = block;
	block->at = UMEM_ALLOC_UNIT_WORDS;
	block->words = word_count - UMEM_ALLOC_UNIT_WORDS;
	add_free(alloc, block);
	*out = TAKE(alloc);
	return 0;
}

void umem_alloc_free(struct umem_alloc *alloc)
{
	if (!alloc)
		return;
	struct umem_block *block = alloc->blocks;
	while (block) {
		struct umem_block *next = block->next;
		free(block);
		block = next;
	}
	free(alloc);
}

/* Cut a block that is in no tree; the part after words becomes a free block. */
static void split(struct umem_alloc *alloc, struct umem_block *block, uint32_t words,
		  struct umem_block *rest)
{
	rest->at = block->at + words;
	rest->words = block->words - words;
	rest->prev = block;
	rest->next = block->next;
	if (rest->next)
		rest->next->prev = rest;
	block->next = rest;
	block->words = words;
	add_free(alloc, rest);
}

struct umem_block *umem_alloc_take(struct umem_alloc *alloc, uint32_t words)
{
	const uint32_t unit = UMEM_ALLOC_UNIT_WORDS;
	if (!words || words > alloc->free_words)
		return NULL;
	words = (words + unit - 1) / unit * unit;
	struct umem_block *block = tree_best_fit(alloc->tree, words);
	if (!block)
		return NULL;
	if (block->words == words) {
		remove_free(alloc, block);
		return block;
	}
	struct umem_block *rest = calloc(1, sizeof(*rest));
	if (!rest)
		return NULL;
	remove_free(alloc, block);
	split(alloc, block, words, rest);
	return block;
}

/* Let block have the words of its next neighbour, which goes away. */
static void absorb_next(struct umem_block *block)
{
	struct umem_block *next = block->next;
	block->words += next->words;
	block->next = next->next;
	if (block->next)
		block->next->prev = block;
	free(next);
}

static void give_back(struct umem_alloc *alloc, struct umem_block *block)
{
	if (block->next && block->next->is_free) {
		remove_free(alloc, block->next);
		absorb_next(block);
	}
	if (block->prev && block->prev->is_free) {
		block = block->prev;
		remove_free(alloc, block);
		absorb_next(block);
	}
	add_free(alloc, block);
}

void umem_alloc_retire(struct umem_alloc *alloc, struct umem_block *block)
{
	assert(!block->is_free);
	alloc->retired_words += block->words;
	block->retired.next = NULL;
	*alloc->undated.end = block;
	alloc->undated.end = &block->retired.next;
}

static void free_old(struct umem_alloc *alloc, uint64_t now_mono_ns)
{
	struct retired *dated = &alloc->dated;
	while (dated->first && now_mono_ns >= dated->first->retired.since_mono_ns + UMEM_GRACE_NS) {
		struct umem_block *block = dated->first;
		dated->first = block->retired.next;
		if (!dated->first)
			dated->end = &dated->first;
		alloc->retired_words -= block->words;
		give_back(alloc, block);
	}
}

void umem_alloc_reclaim(struct umem_alloc *alloc, uint64_t now_mono_ns)
{
	struct retired *undated = &alloc->undated, *dated = &alloc->dated;
	free_old(alloc, now_mono_ns);
	/* When exactly they were retired is not known: not later than now. */
	for (struct umem_block *block = undated->first; block; block = block->retired.next)
		block->retired.since_mono_ns = now_mono_ns;
	if (!undated->first)
		return;
	*dated->end = undated->first;
	dated->end = undated->end;
	*undated = (struct retired){.end = &undated->first};
}

uint32_t umem_block_at(const struct umem_block *block)
{
	return block->at;
}

uint32_t umem_block_words(const struct umem_block *block)
{
	return block->words;
}

uint32_t umem_alloc_free_words(const struct umem_alloc *alloc)
{
	return alloc->free_words;
}

uint32_t umem_alloc_retired_words(const struct umem_alloc *alloc)
{
	return alloc->retired_words;
}
