/*
 * One thread sets processes, one adds files and loads pages, one makes time go by, and one walks
 * without a lock. What it finds is of the process and the place that it asked for, or nothing.
 * Blocks are written with plain stores: under ThreadSanitizer one that is visible too early, or
 * used again too early, is a data race.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/array.h"
#include "base/clock.h"
#include "tests/umem_scene.h"

enum {
	FILES = 8,
	PAGES = 12,
	TICKS = 20000, /* at most; on a busy machine it ends earlier, */
	ENOUGH_S = 20, /* after this time, */
	ENOUGH = 1000, /* with so many walks that found something */
	CALLS_A_TICK = 8,
	WORDS = 1 << 14,
	PAGE = UNWIND_PAGE_BYTES
};

/* The rules of a file have its number times this, and more. */
enum { SALT = 1000, RULES = 30 };

static const char keys[FILES];

struct stage {
	struct scene scene;
	struct unwind_rows *rows[FILES];
	atomic_bool stop;
	atomic_uint ticks;
	atomic_uint walks; /* finished ones */
	atomic_uint complete, failures;
};

static uint64_t next_random(uint64_t *random)
{
	return *random = hash_mix(*random, 1);
}

/* Some calls, then a wait for the next tick: room comes with time. */
static void take_turns(struct stage *stage, uint64_t calls)
{
	unsigned int ticks = atomic_load(&stage->ticks);
	sched_yield();
	while (calls % CALLS_A_TICK == 0 && atomic_load(&stage->ticks) == ticks &&
	       !atomic_load(&stage->stop))
		sched_yield();
}

/* A process has some of the files, each always at the same place. */
static void *set_processes(void *ctx)
{
	struct stage *stage = ctx;
	uint64_t random = 1;
	for (uint64_t calls = 1; !atomic_load(&stage->stop); take_turns(stage, calls++)) {
		uint32_t pid = (uint32_t)(next_random(&random) % SCENE_PIDS);
		uint32_t parent = (uint32_t)(next_random(&random) % SCENE_PIDS);
		struct umem_range ranges[FILES];
		size_t count = next_random(&random) % (FILES + 1);
		for (uint64_t i = 0; i < count; i++) {
			uint64_t start_ip = (i + 1) * 100 * PAGE;
			ranges[i] = (struct umem_range){start_ip, start_ip + PAGES * PAGE, start_ip,
							&keys[i], 0};
		}
		int rc = 0;
		if (random % 8 == 0)
			umem_remove_process(stage->scene.umem, pid);
		else if (random % 8 == 1)
			umem_share_process(stage->scene.umem, pid, parent);
		else
			rc = umem_set_process(stage->scene.umem, pid, ranges, count);
		if (rc && rc != -ENOSPC)
			atomic_fetch_add(&stage->failures, 1);
	}
	return NULL;
}

static void *load_pages(void *ctx)
{
	struct stage *stage = ctx;
	uint64_t random = 2;
	for (uint64_t calls = 1; !atomic_load(&stage->stop); take_turns(stage, calls++)) {
		size_t i = next_random(&random) % FILES;
		int rc = umem_load_page(stage->scene.umem, &keys[i],
					next_random(&random) % PAGES * PAGE);
		if (rc == -ENOENT)
			rc = umem_add_file(stage->scene.umem, &keys[i], stage->rows[i]);
		if (rc && rc != -ENOSPC)
			atomic_fetch_add(&stage->failures, 1);
		if (next_random(&random) % 256 == 0)
			umem_remove_file(stage->scene.umem, &keys[next_random(&random) % FILES]);
	}
	return NULL;
}

static void walk_once(struct stage *stage, uint64_t *random)
{
	uint32_t pid = (uint32_t)(next_random(random) % SCENE_PIDS);
	uint64_t file = next_random(random) % FILES;
	uint64_t vaddr = next_random(random) % (PAGES * PAGE);
	struct umem_found found = scene_find(&stage->scene, pid, (file + 1) * 100 * PAGE + vaddr);
	if (found.end == WALK_COMPLETE) {
		const struct unwind_rule *rule = unwind_rows_find(stage->rows[file], vaddr);
		atomic_fetch_add(&stage->complete, 1);
		if (memcmp(rule, &found.rule, sizeof(*rule)) != 0)
			atomic_fetch_add(&stage->failures, 1);
	} else if (found.end != WALK_NO_MAPPING && found.end != WALK_NO_ROWS) {
		atomic_fetch_add(&stage->failures, 1);
	}
	atomic_fetch_add(&stage->walks, 1);
}

static void *walk(void *ctx)
{
	struct stage *stage = ctx;
	uint64_t random = 3;
	while (!atomic_load(&stage->stop)) {
		walk_once(stage, &random);
		if (atomic_load(&stage->walks) % 64 == 0)
			sched_yield();
	}
	return NULL;
}

/* Where others want the CPU too, each yield lasts until they had their turn. */
static bool is_enough(struct stage *stage, int64_t start_mono_ns)
{
	struct umem_stats stats = scene_stats(&stage->scene);
	return clock_mono_ns() - start_mono_ns > ENOUGH_S * NS_PER_S &&
	       atomic_load(&stage->complete) > ENOUGH && stats.page_evictions > 0;
}

/* A grace period is two ticks and more: a walk ends within one. */
static void *pass_time(void *ctx)
{
	struct stage *stage = ctx;
	int64_t start_mono_ns = clock_mono_ns();
	for (int i = 0; i < TICKS && !is_enough(stage, start_mono_ns); i++) {
		unsigned int walks = atomic_load(&stage->walks);
		while (atomic_load(&stage->walks) < walks + 10)
			sched_yield();
		scene_tick(&stage->scene, 1);
		atomic_fetch_add(&stage->ticks, 1);
	}
	atomic_store(&stage->stop, true);
	return NULL;
}

static void readers_need_no_lock(void **state)
{
	(void)state;
	struct stage *stage = calloc(1, sizeof(*stage));
	assert_non_null(stage);
	scene_init(&stage->scene, WORDS);
	for (uint32_t i = 0; i < FILES; i++) {
		struct made_page pages[PAGES];
		for (uint32_t page = 0; page < PAGES; page++)
			pages[page] = (struct made_page){page, 10 + i * 50 + page};
		stage->rows[i] = made_rows_new(pages, PAGES, RULES, (int32_t)i * SALT);
	}
	void *(*const work[])(void *) = {set_processes, load_pages, walk, pass_time};
	pthread_t threads[ARRAY_LEN(work)];
	for (size_t i = 0; i < ARRAY_LEN(work); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, work[i], stage), 0);
	for (size_t i = 0; i < ARRAY_LEN(work); i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	struct umem_stats stats = scene_stats(&stage->scene);
	print_message("%u walks, %u of them complete; %ju loads, %ju + %ju + %ju evictions,"
		      " %ju failures\n",
		      atomic_load(&stage->walks), atomic_load(&stage->complete),
		      (uintmax_t)stats.loads, (uintmax_t)stats.page_evictions,
		      (uintmax_t)stats.file_evictions, (uintmax_t)stats.process_evictions,
		      (uintmax_t)stats.failures);
	assert_int_equal(atomic_load(&stage->failures), 0);
	assert_true(atomic_load(&stage->complete) > ENOUGH);
	assert_true(stats.page_evictions > 0);
	scene_fini(&stage->scene);
	for (size_t i = 0; i < FILES; i++)
		made_rows_free(stage->rows[i]);
	free(stage);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(readers_need_no_lock)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
