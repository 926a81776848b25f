/*
 * umem_state: the parts of umem.h; for those that it is made of. Called under its lock.
 */
#pragma once
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/map.h"
#include "profiler/umem.h"
#include "profiler/umem_alloc.h"
#include "profiler/umem_layout.h"

/* A mapping of a file, whether the walker knows the file or not. */
struct mention {
	LIST_ENTRY(mention) link;
	struct file *file; /* NULL: the mapping has none */
	uint32_t word;     /* where the file's block is referred to */
};

/* The mappings of one process, or of some that share them. */
struct process_block {
	TAILQ_ENTRY(process_block) link;
	struct umem_block *block;
	uint32_t refs; /* pids */
	uint32_t generation;
	bool is_doomed;
	uint32_t mapping_count;
	struct mention mentions[]; /* one per mapping */
};

struct page {
	LIST_ENTRY(page) link;
	struct file *file;
	struct umem_block *block;
	uint32_t word; /* where it is referred to */
};

/* A file that is mapped, or known to the walker, or both. */
struct file {
	const void *key;
	LIST_HEAD(, mention) mentions;
	/* Unless the walker knows it all below is zero. */
	const struct unwind_rows *rows; /* NULL, too, when they were dropped */
	struct umem_block *block;
	uint32_t rule_count;
	uint32_t first_page, page_count;
	uint32_t generation; /* of the last use, but for those of pages that are there */
	LIST_HEAD(, page) pages;
};

struct umem {
	uint32_t *words;
	uint32_t word_count;
	int (*set_process)(void *ctx, uint32_t pid, uint32_t block);
	void *ctx;
	pthread_mutex_t lock;        /* guards all below, and writing words */
	uint32_t generation;         /* read without the lock */
	uint32_t evicted_generation; /* when a call that found no room last evicted */
	struct umem_alloc *alloc;
	uint32_t hole;        /* a page that is one hole, for all files */
	struct map processes; /* pid: struct process_block */
	TAILQ_HEAD(process_blocks, process_block) blocks; /* the one set the longest ago first */
	struct map files;                                 /* key: struct file */
	struct umem_stats stats;
};

static inline uint64_t umem_block_bytes(const struct umem_block *block)
{
	return (uint64_t)umem_block_words(block) * sizeof(uint32_t);
}

/* umem_files.c. Errors as in umem.h, here and below. */
struct file *umem_file_get(const struct umem *umem, const void *key); /* NULL: not there */
/* The file, made when it is new. -ENOMEM; -ENOSPC: too many. */
int umem_file_make(struct umem *umem, const void *key, struct file **out);
/* When it is neither mapped nor known to the walker, it goes. */
void umem_file_drop_unused(struct umem *umem, struct file *file);
/* The walker does not know the file any more; nor is it there, unless it is mapped. */
void umem_file_unload(struct umem *umem, struct file *file);
int umem_file_add(struct umem *umem, const void *key, const struct unwind_rows *rows);
int umem_page_load(struct umem *umem, const void *key, uint64_t vaddr);
void umem_page_unload(struct umem *umem, struct page *page);
uint32_t umem_page_generation(const struct umem *umem, const struct page *page);

/* umem_processes.c */
int umem_process_set(struct umem *umem, uint32_t pid, const struct umem_range *ranges,
		     size_t count);
void umem_process_share(struct umem *umem, uint32_t child_pid, uint32_t parent_pid);
void umem_process_forget(struct umem *umem, uint32_t pid);

/* umem_evict.c: a block for what takes so many words. When there is no room, there will be some
 * after a grace period: what is retired by then is not evicted once more for every call that
 * fails. -ENOSPC; any file without rows and any process may be gone then. */
int umem_take(struct umem *umem, uint64_t words, struct umem_block **block);
/* Room is made before somebody asks for it: it takes a grace period. */
void umem_keep_reserve(struct umem *umem);
