#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/array.h"
#include "profiler/stack_cache.h"

enum { KERNEL = 2, USER = 3, FRAMES = KERNEL + USER };

struct whole_stack {
	struct rec_stack rec;
	uint64_t ips[FRAMES];
};

static const uint64_t ips[FRAMES] = {0xffffffff81000010, 0xffffffff81000100, 0x1001, 0x1010,
				     0x3000};

static struct whole_stack make_stack(uint64_t hash)
{
	struct whole_stack stack = {
		.rec = {.sample = {.kind = REC_STACK,
				   .size_bytes = sizeof(stack),
				   .stack_hash = hash,
				   .pid = 77},
			.start_boot_ns = 5,
			.cgroup_id = 6,
			.flags = STACK_USER_CUT,
			.kernel_frames = KERNEL,
			.user_frames = USER,
			.comm = "comm"},
	};
	memcpy(stack.ips, ips, sizeof(ips));
	return stack;
}

static struct stack_cache *new_cache(void)
{
	struct stack_cache *cache;
	assert_int_equal(stack_cache_new(&cache, NULL), 0);
	return cache;
}

static void put(struct stack_cache *cache, uint64_t hash, uint32_t generation)
{
	struct whole_stack stack = make_stack(hash);
	assert_int_equal(stack_cache_put(cache, &stack.rec, generation), 0);
}

static void what_was_put(void **state)
{
	(void)state;
	AUTO(stack_cache) cache = new_cache();
	assert_null(stack_cache_get(cache, 0));
	assert_null(stack_cache_get(cache, 1));
	put(cache, 0, 1); /* a hash like any other */
	put(cache, UINT64_MAX, 1);
	assert_null(stack_cache_get(cache, 1));
	assert_int_equal(stack_cache_count(cache), 2);
	const struct cached_stack *cached = stack_cache_get(cache, UINT64_MAX);
	assert_int_equal(cached->pid, 77);
	assert_int_equal(cached->start_boot_ns, 5);
	assert_int_equal(cached->cgroup_id, 6);
	assert_int_equal(cached->flags, STACK_USER_CUT);
	assert_int_equal(cached->kernel_frames, KERNEL);
	assert_int_equal(cached->user_frames, USER);
	assert_string_equal(cached->comm, "comm");
	assert_memory_equal(cached->ips, ips, sizeof(ips));
	assert_null(cached->stack);
}

static void names_without_an_end_get_one(void **state)
{
	(void)state;
	AUTO(stack_cache) cache = new_cache();
	struct whole_stack stack = make_stack(3);
	memset(stack.rec.comm, 'x', sizeof(stack.rec.comm));
	assert_int_equal(stack_cache_put(cache, &stack.rec, 1), 0);
	assert_string_equal(stack_cache_get(cache, 3)->comm, "xxxxxxxxxxxxxxx");
}

static void old_generations_go(void **state)
{
	(void)state;
	AUTO(stack_cache) cache = new_cache();
	put(cache, 1, 1);
	put(cache, 2, 1);
	put(cache, 3, 2);
	put(cache, 2, 2); /* sent once more */
	assert_int_equal(stack_cache_count(cache), 3);
	stack_cache_sweep(cache, 1);
	assert_int_equal(stack_cache_count(cache), 3);
	stack_cache_sweep(cache, 2);
	assert_null(stack_cache_get(cache, 1));
	assert_non_null(stack_cache_get(cache, 2));
	assert_non_null(stack_cache_get(cache, 3));
	stack_cache_sweep(cache, 3);
	assert_int_equal(stack_cache_count(cache), 0);
}

static void a_crowd_asks_for_a_sweep_and_a_flood_is_refused(void **state)
{
	(void)state;
	AUTO(stack_cache) cache = new_cache();
	uint64_t hash = 0;
	for (; hash < 32767; hash++)
		put(cache, hash, 1);
	put(cache, 5, 1); /* not new */
	assert_false(stack_cache_is_crowded(cache));
	put(cache, hash++, 1);
	assert_true(stack_cache_is_crowded(cache));
	stack_cache_sweep(cache, 1);
	assert_false(stack_cache_is_crowded(cache));
	assert_int_equal(stack_cache_count(cache), 32768);
	for (; hash < 262144; hash++)
		put(cache, hash, 2);
	struct whole_stack stack = make_stack(hash);
	assert_int_equal(stack_cache_put(cache, &stack.rec, 2), -ENOSPC);
	assert_null(stack_cache_get(cache, hash));
	stack_cache_sweep(cache, 2);
	assert_int_equal(stack_cache_put(cache, &stack.rec, 2), 0);
}

struct mapped {
	struct process process;
	struct mapping mappings[2];
	struct mapped_file file;
};

/* [0x1000, 0x2000) of the file from 0x500 on; more later. */
static void init_mapped(struct mapped *mapped)
{
	*mapped = (struct mapped){
		.file = {.refs = 1},
		.process = {.mappings = mapped->mappings, .mapping_count = 1, .map_epoch = 9}};
	mapped->mappings[0] = (struct mapping){0x1000, 0x2000, 0x500, &mapped->file};
	mapped->mappings[1] = (struct mapping){0x2000, 0x4000, 0, &mapped->file};
}

/* Return addresses are looked up one byte before, which is in the call; the leaf of each part
 * is exact. */
static void places(void **state)
{
	(void)state;
	AUTO(stack_cache) cache = new_cache();
	struct mapped mapped;
	init_mapped(&mapped);
	put(cache, 1, 1);
	struct cached_stack *cached = stack_cache_get(cache, 1);
	assert_int_equal(cached_stack_locate(cached, &mapped.process), 0);
	const struct raw_stack *stack = cached->stack;
	assert_int_equal(stack->kernel_frames, KERNEL);
	assert_int_equal(stack->user_frames, USER);
	assert_int_equal(stack->flags, STACK_USER_CUT);
	assert_true(stack->frames[0].ip_or_off == UINT64_C(0xffffffff81000010));
	assert_true(stack->frames[1].ip_or_off == UINT64_C(0xffffffff810000ff));
	assert_int_equal(stack->frames[2].ip_or_off, 0x500);
	assert_int_equal(stack->frames[3].ip_or_off, 0x50f);
	assert_int_equal(stack->frames[4].ip_or_off, 0x2fff); /* in no mapping: the ip */
	assert_null(stack->frames[0].file);
	assert_null(stack->frames[1].file);
	assert_ptr_equal(stack->frames[2].file, &mapped.file);
	assert_ptr_equal(stack->frames[3].file, &mapped.file);
	assert_null(stack->frames[4].file);
	assert_int_equal(mapped.file.refs, 3);
	stack_cache_sweep(cache, 2);
	assert_int_equal(mapped.file.refs, 1);
}

static void a_return_address_of_0_stays_0(void **state)
{
	(void)state;
	AUTO(stack_cache) cache = new_cache();
	struct whole_stack whole = make_stack(1);
	whole.ips[1] = whole.ips[4] = 0;
	struct process process = {0};
	assert_int_equal(stack_cache_put(cache, &whole.rec, 1), 0);
	struct cached_stack *cached = stack_cache_get(cache, 1);
	assert_int_equal(cached_stack_locate(cached, &process), 0);
	assert_int_equal(cached->stack->frames[1].ip_or_off, 0);
	assert_int_equal(cached->stack->frames[4].ip_or_off, 0);
}

static void places_follow_the_mappings(void **state)
{
	(void)state;
	AUTO(stack_cache) cache = new_cache();
	struct mapped mapped;
	init_mapped(&mapped);
	put(cache, 1, 1);
	struct cached_stack *cached = stack_cache_get(cache, 1);
	assert_int_equal(cached_stack_locate(cached, &mapped.process), 0);
	struct raw_stack *before = raw_stack_ref(cached->stack);
	cached->batch = 5;
	mapped.process.mapping_count = 2; /* unnoticed while the epoch stays */
	assert_int_equal(cached_stack_locate(cached, &mapped.process), 0);
	assert_ptr_equal(cached->stack, before);
	assert_int_equal(cached->batch, 5);
	mapped.process.map_epoch++;
	assert_int_equal(cached_stack_locate(cached, &mapped.process), 0);
	assert_ptr_not_equal(cached->stack, before);
	assert_int_equal(cached->batch, 0); /* what is in the batch is the old one */
	assert_ptr_equal(cached->stack->frames[4].file, &mapped.file);
	assert_int_equal(cached->stack->frames[4].ip_or_off, 0xfff);
	assert_null(before->frames[4].file); /* a batch under way keeps what it saw */
	raw_stack_unref(before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_put),
		cmocka_unit_test(names_without_an_end_get_one),
		cmocka_unit_test(old_generations_go),
		cmocka_unit_test(a_crowd_asks_for_a_sweep_and_a_flood_is_refused),
		cmocka_unit_test(places),
		cmocka_unit_test(a_return_address_of_0_stays_0),
		cmocka_unit_test(places_follow_the_mappings),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
