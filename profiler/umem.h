/*
 * umem: what the kernel's stack walker knows (bpf/unwind.bpf.h), laid in the memory it reads.
 *
 * The walker takes no locks: a block is complete before a word refers to it, and its words are
 * used again only a grace period after the last such word was cleared. When room gets short,
 * what was used least recently is evicted: pages, then files without a page, then the processes
 * that were set the longest ago; but nothing that was used in the last 10 generations, and no
 * process set in the last 100, so that a memory that is too small serves some stacks well
 * instead of all badly. What was evicted may be set, added and loaded again as if it had never
 * been. Any thread (locked).
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/auto.h"
#include "base/err.h"
#include "symbolizer/unwind.h"

struct umem; /* opaque */

struct umem_options {
	uint32_t *words; /* the mapped array, all zero; borrowed */
	uint32_t word_count;
	/* Tell the kernel where a process's block is; 0: forget it, which cannot fail. Called
	 * under the lock. 0 or -errno. */
	int (*set_process)(void *ctx, uint32_t pid, uint32_t block);
	void *ctx;
};

struct umem_range {
	uint64_t start_ip, end_ip;
	uint64_t bias;    /* vaddr = ip - bias */
	const void *file; /* identity only; NULL: none */
	uint32_t flags;   /* enum umem_mapping_flag */
};

struct umem_stats {
	uint64_t cap_bytes;     /* of the memory */
	uint64_t process_bytes; /* in mappings */
	uint64_t file_bytes;    /* in page tables and rules */
	uint64_t page_bytes;    /* in rows */
	uint64_t retired_bytes; /* not used any more, and not free yet */
	uint64_t free_bytes;
	uint64_t processes, files, pages; /* that are there */
	uint64_t loads;                   /* of pages */
	uint64_t page_evictions, file_evictions, process_evictions;
	uint64_t failures; /* calls that found no room */
};

/* -EINVAL: word_count is not a power of two from 4096 to 2^30; -ENOMEM. */
int umem_new(struct umem **out, const struct umem_options *options, struct err *err);
/* The words stay as they are. NULL is fine. */
void umem_free(struct umem *umem);
AUTO_DEFINE(umem)

/* Replace what is mapped where in a process: ranges are sorted and do not overlap. All of it is
 * written anew, so gather changes first. On failure the process is not there: rather no
 * mappings than old ones. -EINVAL: ranges that are not as said; -ENOSPC: no room, or one
 * process that would take more than a quarter of it; -ENOMEM; errors of set_process. */
int umem_set_process(struct umem *umem, uint32_t pid, const struct umem_range *ranges,
		     size_t count);
/* After fork(2): the child has what the parent has, until either is set. */
void umem_share_process(struct umem *umem, uint32_t child_pid, uint32_t parent_pid);
void umem_remove_process(struct umem *umem, uint32_t pid);
bool umem_has_process(struct umem *umem, uint32_t pid);

/* Let the walker know a file, for mappings that are there and that come. No page of it is
 * loaded. rows are borrowed until they are dropped or it is removed. -EEXIST; -ENOSPC: no room, or a
 * page table and rules that would take more than a quarter of it; -ENOMEM. */
int umem_add_file(struct umem *umem, const void *file, const struct unwind_rows *rows);
/* Rows are borrowed no more. What is loaded of them stays; more is not until umem_add_file() brings
 * them again. */
void umem_drop_rows(struct umem *umem, const void *file);
void umem_remove_file(struct umem *umem, const void *file);
/* Has a process that was set it mapped? */
bool umem_is_mapped(struct umem *umem, const void *file);
bool umem_has_file(struct umem *umem, const void *file);

/* Lay the rows of the page that holds vaddr; nothing is done when they are there, or there is
 * none. -ENOENT: no such file, or its rows were dropped; -ENOSPC: no room; -ENOMEM. */
int umem_load_page(struct umem *umem, const void *file, uint64_t vaddr);

/* Call every 100 ms or so: begins a generation, which is what the walker stamps pages with,
 * and frees what was unlinked long enough ago. */
void umem_tick(struct umem *umem, uint64_t now_mono_ns);
uint32_t umem_generation(const struct umem *umem);

void umem_stats(struct umem *umem, struct umem_stats *stats);
