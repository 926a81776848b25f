/*
 * stack_cache: the stacks that went out whole, by their hash, so that small records find them.
 *
 * Raw addresses are kept with each stack: when the mappings of the process have changed since,
 * the places are found anew. A stack lives two generations after it was last sent: any small
 * record that names it was written in one of them. One thread.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/auto.h"
#include "base/err.h"
#include "profiler/batch.h"
#include "profiler/processes.h"

struct cached_stack {
	uint32_t pid;
	uint64_t start_boot_ns;
	char comm[ABI_COMM_BYTES];
	uint32_t generation;
	uint64_t cgroup_id;
	bool is_cgroup_noted; /* by a wait */
	uint64_t map_epoch;   /* of the process when `stack` was made */
	uint64_t batch;       /* scratch of the batch that is being filled */
	uint32_t batch_index;
	struct raw_stack *stack; /* NULL: places not found yet */
	uint16_t kernel_frames, user_frames;
	uint32_t flags;
	uint32_t walk_end;
	uint32_t exec_id;
	__u64 ips[];
};

struct stack_cache; /* opaque */

int stack_cache_new(struct stack_cache **out, struct err *err);
void stack_cache_free(struct stack_cache *cache); /* NULL is fine */
AUTO_DEFINE(stack_cache)

/* Keep a copy of the record, valid and size_bytes long. -ENOMEM; -ENOSPC: full. */
int stack_cache_put(struct stack_cache *cache, const struct rec_stack *rec, uint32_t generation);
void stack_cache_remove(struct stack_cache *cache, uint64_t hash); /* if it is there */
/* NULL: not there. Borrowed until the next put or sweep. */
struct cached_stack *stack_cache_get(const struct stack_cache *cache, uint64_t hash);
/* A wait names a stack long after it was sent: as long as waits do, it stays. */
void cached_stack_touch(struct cached_stack *cached, uint32_t generation);
/* Find the places of its frames in the process as it is now, when that was not done or the
 * mappings changed: with a tail they stay as they were. -ENOMEM. */
int cached_stack_locate(struct cached_stack *cached, const struct process *process);
/* Forget stacks last sent before generation. */
void stack_cache_sweep(struct stack_cache *cache, uint32_t generation);
/* Have so many stacks come since the last sweep that the next generation should begin now? */
bool stack_cache_is_crowded(const struct stack_cache *cache);
uint64_t stack_cache_count(const struct stack_cache *cache);
