#include <errno.h>
#include <stdlib.h>

#include "base/array.h"
#include "profiler/umem_state.h"

enum {
	MAX_BLOCK_SHARE = 4,       /* one block takes at most this part of the memory */
	RESERVE_SHARE = 20,        /* this part is kept free, and evicted at a time */
	MIN_IDLE_GENERATIONS = 10, /* used more recently: not evicted */
	MIN_PROCESS_GENERATIONS = 100,
};

struct candidate {
	uint32_t idle_generations;
	void *item; /* struct page or struct file */
};

struct candidates {
	struct candidate *items;
	size_t count, cap;
};

static void candidates_fini(struct candidates *candidates)
{
	free(candidates->items);
}

static int compare_idle(const void *left, const void *right)
{
	const struct candidate *a = left, *b = right;
	return (a->idle_generations < b->idle_generations) -
	       (a->idle_generations > b->idle_generations);
}

/* Without memory for more of them, those that are there will do. */
static void add_candidate(const struct umem *umem, struct candidates *candidates, void *item,
			  uint32_t generation)
{
	uint32_t idle_generations = umem->generation - generation;
	if (idle_generations < MIN_IDLE_GENERATIONS ||
	    ARRAY_RESERVE(candidates->items, candidates->cap, candidates->count,
			  umem->word_count / UMEM_ALLOC_UNIT_WORDS))
		return;
	candidates->items[candidates->count++] =
		(struct candidate){.idle_generations = idle_generations, .item = item};
}

static void add_idle_pages(const struct umem *umem, struct candidates *candidates)
{
	size_t cursor = 0;
	const struct file *file;
	while ((file = map_next(&umem->files, &cursor, NULL)) != NULL) {
		struct page *page = LIST_FIRST(&file->pages);
		for (; page; page = LIST_NEXT(page, link))
			add_candidate(umem, candidates, page, umem_page_generation(umem, page));
	}
}

static void add_idle_files(const struct umem *umem, struct candidates *candidates)
{
	size_t cursor = 0;
	struct file *file;
	while ((file = map_next(&umem->files, &cursor, NULL)) != NULL)
		if (file->block && LIST_EMPTY(&file->pages))
			add_candidate(umem, candidates, file, file->generation);
}

static bool has_retired(const struct umem *umem, uint32_t words)
{
	return umem_alloc_retired_words(umem->alloc) >= words;
}

/* Until so many words are retired. Likewise below. */
static void evict_pages(struct umem *umem, uint32_t words)
{
	AUTO_FINI(candidates_fini) struct candidates idle = {0};
	add_idle_pages(umem, &idle);
	if (idle.count)
		qsort(idle.items, idle.count, sizeof(*idle.items), compare_idle);
	for (size_t i = 0; i < idle.count && !has_retired(umem, words); i++) {
		umem_page_unload(umem, idle.items[i].item);
		umem->stats.page_evictions++;
	}
}

static void evict_files(struct umem *umem, uint32_t words)
{
	AUTO_FINI(candidates_fini) struct candidates idle = {0};
	add_idle_files(umem, &idle);
	if (idle.count)
		qsort(idle.items, idle.count, sizeof(*idle.items), compare_idle);
	for (size_t i = 0; i < idle.count && !has_retired(umem, words); i++) {
		umem_file_unload(umem, idle.items[i].item);
		umem->stats.file_evictions++;
	}
}

static void forget_doomed(struct umem *umem)
{
	size_t cursor = 0;
	uint64_t pid;
	const struct process_block *process;
	while ((process = map_next(&umem->processes, &cursor, &pid)) != NULL) {
		if (!process->is_doomed)
			continue;
		umem_process_forget(umem, (uint32_t)pid);
		umem->stats.process_evictions++;
	}
}

static void evict_processes(struct umem *umem, uint32_t words)
{
	uint64_t doomed_words = umem_alloc_retired_words(umem->alloc);
	struct process_block *process = TAILQ_FIRST(&umem->blocks);
	for (; process; process = TAILQ_NEXT(process, link)) {
		if (doomed_words >= words ||
		    umem->generation - process->generation < MIN_PROCESS_GENERATIONS)
			break;
		process->is_doomed = true;
		doomed_words += umem_block_words(process->block);
	}
	if (process != TAILQ_FIRST(&umem->blocks))
		forget_doomed(umem);
}

/* See to it that so many words are retired, if what is idle suffices. */
static void evict(struct umem *umem, uint32_t words)
{
	if (!has_retired(umem, words))
		evict_pages(umem, words);
	if (!has_retired(umem, words))
		evict_files(umem, words);
	if (!has_retired(umem, words))
		evict_processes(umem, words);
}

int umem_take(struct umem *umem, uint64_t words, struct umem_block **block)
{
	uint32_t reserve = umem->word_count / RESERVE_SHARE;
	bool is_too_large = words > umem->word_count / MAX_BLOCK_SHARE;
	struct umem_block *taken =
		is_too_large ? NULL : umem_alloc_take(umem->alloc, (uint32_t)words);
	if (!taken) {
		umem->stats.failures++;
		/* Once a generation: it looks at every page, and nothing gets idle before. */
		if (!is_too_large && umem->evicted_generation != umem->generation) {
			umem->evicted_generation = umem->generation;
			evict(umem, words > reserve ? (uint32_t)words : reserve);
		}
		return -ENOSPC;
	}
	*block = taken;
	return 0;
}

void umem_keep_reserve(struct umem *umem)
{
	uint32_t reserve = umem->word_count / RESERVE_SHARE;
	uint32_t free_words = umem_alloc_free_words(umem->alloc);
	if (free_words < reserve)
		evict(umem, reserve - free_words);
}
