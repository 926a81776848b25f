#include "profiler/stack_cache.h"

#include <errno.h>
#include <string.h>

#include "base/map.h"

/* As many as the kernel side remembers (bpf/sampler.bpf.c: interned) make a generation; two of
 * them are kept, and what may come in the round that ends the second. */
enum { CROWD_STACKS = 32768, MAX_STACKS = 8 * CROWD_STACKS };

struct stack_cache {
	struct map by_hash;
	size_t new_stacks; /* since the last sweep */
};

static void cached_stack_free(struct cached_stack *cached)
{
	if (!cached)
		return;
	raw_stack_unref(cached->stack);
	free(cached);
}

int stack_cache_new(struct stack_cache **out, struct err *err)
{
	struct stack_cache *cache = calloc(1, sizeof(*cache));
	if (!cache)
		return err_set(err, -ENOMEM, "stack cache: %m");
	map_init(&cache->by_hash, MAX_STACKS);
	*out = cache;
	return 0;
}

void stack_cache_free(struct stack_cache *cache)
{
	if (!cache)
		return;
	size_t cursor = 0;
	struct cached_stack *cached;
	while ((cached = map_next(&cache->by_hash, &cursor, NULL)) != NULL)
		cached_stack_free(cached);
	map_fini(&cache->by_hash);
	free(cache);
}

int stack_cache_put(struct stack_cache *cache, const struct rec_stack *rec, uint32_t generation)
{
	uint64_t hash = rec->sample.stack_hash;
	struct cached_stack *cached = map_get(&cache->by_hash, hash);
	if (cached) {
		cached->generation = generation; /* the same stack, sent once more */
		return 0;
	}
	size_t ips_bytes = ((size_t)rec->kernel_frames + rec->user_frames) * sizeof(uint64_t);
	cached = calloc(1, sizeof(*cached) + ips_bytes);
	if (!cached)
		return -ENOMEM;
	cached->pid = rec->sample.pid;
	cached->start_boot_ns = rec->start_boot_ns;
	cached->cgroup_id = rec->cgroup_id;
	memcpy(cached->comm, rec->comm, sizeof(cached->comm));
	cached->comm[sizeof(cached->comm) - 1] = 0;
	cached->generation = generation;
	cached->kernel_frames = rec->kernel_frames;
	cached->user_frames = rec->user_frames;
	cached->flags = rec->flags;
	cached->walk_end = rec->walk_end;
	cached->exec_id = rec->exec_id;
	memcpy(cached->ips, rec->frames, ips_bytes);
	int rc = map_put(&cache->by_hash, hash, cached);
	if (rc)
		cached_stack_free(cached);
	else
		cache->new_stacks++;
	return rc;
}

void stack_cache_remove(struct stack_cache *cache, uint64_t hash)
{
	cached_stack_free(map_remove(&cache->by_hash, hash));
}

struct cached_stack *stack_cache_get(const struct stack_cache *cache, uint64_t hash)
{
	return map_get(&cache->by_hash, hash);
}

void cached_stack_touch(struct cached_stack *cached, uint32_t generation)
{
	cached->generation = generation;
}

int cached_stack_locate(struct cached_stack *cached, const struct process *process)
{
	if (cached->stack && (cached->stack->tail || cached->map_epoch == process->map_epoch))
		return 0;
	struct raw_ips ips = {cached->ips, cached->kernel_frames, cached->user_frames,
			      cached->flags, cached->walk_end};
	struct raw_stack *stack = raw_stack_locate(&ips, process);
	if (!stack)
		return -ENOMEM;
	raw_stack_unref(cached->stack);
	cached->stack = stack;
	cached->map_epoch = process->map_epoch;
	cached->batch = 0; /* the batch under way has the old one, if any */
	return 0;
}

void stack_cache_sweep(struct stack_cache *cache, uint32_t generation)
{
	cache->new_stacks = 0;
	size_t cursor = 0;
	uint64_t hash;
	struct cached_stack *cached;
	while ((cached = map_next(&cache->by_hash, &cursor, &hash)) != NULL) {
		if (cached->generation >= generation)
			continue;
		map_remove(&cache->by_hash, hash);
		cached_stack_free(cached);
	}
}

bool stack_cache_is_crowded(const struct stack_cache *cache)
{
	return cache->new_stacks >= CROWD_STACKS;
}

uint64_t stack_cache_count(const struct stack_cache *cache)
{
	return cache->by_hash.count;
}
