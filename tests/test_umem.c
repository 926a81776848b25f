#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/array.h"
#include "tests/umem_scene.h"

#define LIBC_PATH "/usr/lib/x86_64-linux-gnu/libc.so.6"

enum { WORDS = 1 << 18, PAGE = UNWIND_PAGE_BYTES };

/* The keys of files are addresses of nothing in particular. */
static const char keys[64];

static uint64_t next_random(uint64_t *random)
{
	return *random = hash_mix(*random, 1);
}

static void set_one(struct scene *scene, uint32_t pid, uint64_t start_ip, uint64_t end_ip,
		    uint64_t bias, const void *file)
{
	struct umem_range range = {start_ip, end_ip, bias, file, 0};
	assert_int_equal(umem_set_process(scene->umem, pid, &range, 1), 0);
}

/* What the walker finds is what the rows say. */
static void expect_same(struct scene *scene, const struct unwind_rows *rows, uint64_t bias,
			uint64_t vaddr)
{
	const struct unwind_rule *rule = unwind_rows_find(rows, vaddr);
	struct umem_found found = scene_find(scene, 1, vaddr + bias);
	enum walk_end end = rule == rows->rules ? WALK_HOLE : WALK_COMPLETE;
	if (found.end != end || memcmp(&found.rule, rule, sizeof(*rule)) != 0)
		fail_msg("%#" PRIx64 ": end %d, CFA %d%+d; rows: end %d, CFA %d%+d", vaddr,
			 found.end, found.rule.cfa, found.rule.cfa_off, end, rule->cfa,
			 rule->cfa_off);
}

static void load_all_pages(struct scene *scene, const void *key, const struct unwind_rows *rows)
{
	for (size_t i = 0; i < rows->page_count; i++)
		assert_int_equal(umem_load_page(scene->umem, key,
						(uint64_t)rows->pages[i].number * PAGE + i),
				 0);
	assert_int_equal(scene_stats(scene).loads, rows->page_count);
	assert_int_equal(scene_stats(scene).pages, rows->page_count);
}

static void libc_row_by_row(void **state)
{
	(void)state;
	struct err err = {0};
	AUTO(elf_file) file = NULL;
	AUTO(unwind_rows) rows = NULL;
	if (access(LIBC_PATH, R_OK))
		skip();
	if (elf_file_open(&file, open(LIBC_PATH, O_RDONLY | O_CLOEXEC), &err) ||
	    unwind_rows_open(&rows, file, &err))
		fail_msg("%s", err.text);
	struct scene scene;
	scene_init(&scene, 1 << 20);
	const uint64_t bias = UINT64_C(0x7f1234560000);
	set_one(&scene, 1, bias, bias + 64 * PAGE, bias, &keys[0]);
	assert_int_equal(umem_add_file(scene.umem, &keys[0], rows), 0);
	uint64_t first = (uint64_t)rows->pages[0].number * PAGE;
	assert_int_equal(scene_find(&scene, 1, bias + first).end, WALK_NO_ROWS);
	load_all_pages(&scene, &keys[0], rows);

	size_t compared = 0;
	for (size_t page = 0; page < rows->page_count; page++)
		for (uint32_t i = rows->pages[page].first_row; i < rows->pages[page + 1].first_row;
		     i++, compared++) {
			uint64_t at = (uint64_t)rows->pages[page].number * PAGE + rows->rows[i].off;
			expect_same(&scene, rows, bias, at);
			expect_same(&scene, rows, bias, at + 1);
			if (at)
				expect_same(&scene, rows, bias, at - 1);
		}
	uint64_t random = 1;
	for (size_t i = 0; i < 100000; i++)
		expect_same(&scene, rows, bias, next_random(&random) % (64 * PAGE));
	print_message("%zu rows\n", compared);
	assert_int_equal(compared, unwind_rows_stats(rows)->rows);
	scene_fini(&scene);
}

/* Pages as full and as empty as they get, at every offset. */
static void every_offset(void **state)
{
	(void)state;
	const struct made_page pages[] = {{10, 1},   {11, 2},   {13, 255},  {14, 256},  {15, 257},
					  {16, 511}, {20, 512}, {21, 4096}, {22, 65536}};
	struct unwind_rows *rows = made_rows_new(pages, ARRAY_LEN(pages), 60000, 5);
	struct scene scene;
	scene_init(&scene, 1 << 20);
	set_one(&scene, 1, 0, 40 * PAGE, 0, &keys[0]);
	assert_int_equal(umem_add_file(scene.umem, &keys[0], rows), 0);
	/* Holes need not be loaded: pages between those that have rows, and all others. */
	assert_int_equal(scene_find(&scene, 1, 12 * PAGE).end, WALK_HOLE);
	assert_int_equal(scene_find(&scene, 1, 19 * PAGE + PAGE - 1).end, WALK_HOLE);
	assert_int_equal(scene_find(&scene, 1, 10 * PAGE - 1).end, WALK_HOLE);
	assert_int_equal(scene_find(&scene, 1, 23 * PAGE).end, WALK_HOLE);
	assert_int_equal(scene_find(&scene, 1, 10 * PAGE).end, WALK_NO_ROWS);
	load_all_pages(&scene, &keys[0], rows);
	for (uint64_t vaddr = 9 * PAGE; vaddr < 24 * PAGE; vaddr++)
		expect_same(&scene, rows, 0, vaddr);
	/* Loading what is there, and what has no rows, is nothing. */
	for (uint64_t page = 0; page < 40; page++)
		assert_int_equal(umem_load_page(scene.umem, &keys[0], page * PAGE), 0);
	assert_int_equal(umem_load_page(scene.umem, &keys[0], UINT64_MAX), 0);
	assert_int_equal(scene_stats(&scene).loads, ARRAY_LEN(pages));
	scene_fini(&scene);
	made_rows_free(rows);
}

/* Rows at random offsets, so that buckets have none, some and all of them. */
static void random_pages(void **state)
{
	(void)state;
	const char *given = getenv("HEARTH_TEST_SEED");
	uint64_t first_seed = given ? strtoull(given, NULL, 0) : 1;
	for (uint64_t seed = first_seed; seed < first_seed + (given ? 1 : 20); seed++) {
		print_message("seed %" PRIu64 "\n", seed);
		uint64_t random = seed;
		struct made_page page = {7, 1 + (uint32_t)(next_random(&random) % 3000)};
		struct unwind_rows *rows = made_rows_new(&page, 1, 500, 5);
		uint32_t end = PAGE, count = page.rows;
		for (uint32_t i = count - 1; i > 0; i--) { /* downwards, room left for the rest */
			uint32_t gap = 1 + (uint32_t)(next_random(&random) % (2 * PAGE / count));
			end = end > i + gap ? end - gap : i;
			rows->rows[i].off = (uint16_t)end;
			rows->rows[i].rule = (uint16_t)(next_random(&random) % 500);
		}
		struct scene scene;
		scene_init(&scene, WORDS);
		set_one(&scene, 1, 0, 40 * PAGE, 0, &keys[0]);
		assert_int_equal(umem_add_file(scene.umem, &keys[0], rows), 0);
		load_all_pages(&scene, &keys[0], rows);
		for (uint64_t vaddr = 7 * PAGE; vaddr < 8 * PAGE; vaddr++)
			expect_same(&scene, rows, 0, vaddr);
		scene_fini(&scene);
		made_rows_free(rows);
	}
}

static void file_without_rows(void **state)
{
	(void)state;
	struct unwind_rows *rows = made_rows_new(NULL, 0, 2, 0);
	struct scene scene;
	scene_init(&scene, WORDS);
	set_one(&scene, 1, 0x1000, 0x9000, 0, &keys[0]);
	assert_int_equal(scene_find(&scene, 1, 0x1000).end, WALK_NO_ROWS);
	assert_int_equal(umem_add_file(scene.umem, &keys[0], rows), 0);
	assert_int_equal(scene_find(&scene, 1, 0x1000).end, WALK_HOLE);
	assert_int_equal(umem_load_page(scene.umem, &keys[0], 0x1000), 0);
	scene_fini(&scene);
	made_rows_free(rows);
}

static void bad_ranges(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		struct umem_range ranges[2];
	} rows[] = {
		{"empty", {{10, 10, 0, NULL, 0}, {20, 30, 0, NULL, 0}}},
		{"end before start", {{10, 9, 0, NULL, 0}, {20, 30, 0, NULL, 0}}},
		{"second empty", {{10, 20, 0, NULL, 0}, {20, 20, 0, NULL, 0}}},
		{"not sorted", {{20, 30, 0, NULL, 0}, {10, 20, 0, NULL, 0}}},
		{"overlap", {{10, 21, 0, NULL, 0}, {20, 30, 0, NULL, 0}}},
		{"twice", {{10, 20, 0, NULL, 0}, {10, 20, 0, NULL, 0}}},
	};
	struct scene scene;
	scene_init(&scene, WORDS);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		print_message("%s\n", rows[i].name);
		set_one(&scene, 1, 0x1000, 0x2000, 0, &keys[0]);
		assert_int_equal(umem_set_process(scene.umem, 1, rows[i].ranges, 2), -EINVAL);
		assert_false(umem_has_process(scene.umem, 1)); /* rather none than old ones */
		assert_int_equal(scene.blocks[1], 0);
		assert_int_equal(scene_stats(&scene).process_bytes, 0);
	}
	scene_fini(&scene);
}

static void bad_calls(void **state)
{
	(void)state;
	static const uint32_t counts[] = {0,          1,       2048, 4097, 12288, (1U << 30) + 1,
					  UINT32_MAX, 1U << 31};
	for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
		struct umem *umem = NULL;
		struct err err = {0};
		struct umem_options options = {.word_count = counts[i]};
		assert_int_equal(umem_new(&umem, &options, &err), -EINVAL);
		assert_null(umem);
		assert_int_not_equal(err.text[0], 0);
	}
	umem_free(NULL);
	const struct made_page near[] = {{3, 100}}, apart[] = {{3, 1}, {3 + WORDS / 4, 1}},
			       farthest[] = {{0, 1}, {UINT32_MAX, 1}};
	struct unwind_rows *good = made_rows_new(near, 1, 4, 0);
	struct unwind_rows *sparse = made_rows_new(apart, 2, 4, 0);
	struct unwind_rows *absurd = made_rows_new(farthest, 2, 4, 0);
	struct scene scene;
	scene_init(&scene, WORDS);
	assert_int_equal(umem_load_page(scene.umem, &keys[0], 3 * PAGE), -ENOENT);
	assert_int_equal(umem_add_file(scene.umem, &keys[0], sparse), -ENOSPC);
	assert_int_equal(umem_add_file(scene.umem, &keys[0], absurd), -ENOSPC);
	assert_false(umem_has_file(scene.umem, &keys[0]));
	assert_int_equal(umem_load_page(scene.umem, &keys[0], 3 * PAGE), -ENOENT);
	assert_int_equal(scene_stats(&scene).failures, 2);
	assert_int_equal(umem_add_file(scene.umem, &keys[0], good), 0);
	assert_int_equal(umem_add_file(scene.umem, &keys[0], good), -EEXIST);
	umem_remove_file(scene.umem, &keys[1]);
	umem_remove_process(scene.umem, 9);
	assert_int_equal(scene.calls, 0);
	umem_remove_file(scene.umem, &keys[0]);
	assert_int_equal(umem_load_page(scene.umem, &keys[0], 3 * PAGE), -ENOENT);
	assert_int_equal(scene_stats(&scene).files, 0);
	scene_fini(&scene);
	made_rows_free(good);
	made_rows_free(sparse);
	made_rows_free(absurd);
}

/* What is loaded of a file serves on without its rows; what is not waits until they come again. */
static void rows_may_be_dropped(void **state)
{
	(void)state;
	const struct made_page pages[] = {{3, 100}, {4, 100}}, others[] = {{3, 100}};
	struct unwind_rows *rows = made_rows_new(pages, 2, 4, 0);
	struct unwind_rows *again = made_rows_new(pages, 2, 4, 0);
	struct unwind_rows *other = made_rows_new(others, 1, 4, 1000);
	struct scene scene;
	scene_init(&scene, WORDS);
	umem_drop_rows(scene.umem, &keys[0]); /* nobody knows it: nothing */
	set_one(&scene, 1, 0, 40 * PAGE, 0, &keys[0]);
	umem_drop_rows(scene.umem, &keys[0]); /* mapped only: nothing */
	assert_true(umem_is_mapped(scene.umem, &keys[0]));
	assert_false(umem_is_mapped(scene.umem, &keys[1]));
	assert_int_equal(umem_add_file(scene.umem, &keys[0], rows), 0);
	assert_int_equal(umem_load_page(scene.umem, &keys[0], 3 * PAGE), 0);
	umem_drop_rows(scene.umem, &keys[0]);
	expect_same(&scene, rows, 0, 3 * PAGE + 5);
	made_rows_free(rows);

	assert_int_equal(umem_load_page(scene.umem, &keys[0], 4 * PAGE), -ENOENT);
	assert_int_equal(scene_find(&scene, 1, 4 * PAGE).end, WALK_NO_ROWS);
	assert_int_equal(umem_add_file(scene.umem, &keys[0], again), 0);
	assert_int_equal(umem_add_file(scene.umem, &keys[0], again), -EEXIST);
	assert_int_equal(umem_load_page(scene.umem, &keys[0], 4 * PAGE), 0);
	expect_same(&scene, again, 0, 3 * PAGE + 5);
	expect_same(&scene, again, 0, 4 * PAGE + 5);
	assert_int_equal(scene_stats(&scene).loads, 2);
	/* Other rows than before: nothing of the old ones stays. */
	umem_drop_rows(scene.umem, &keys[0]);
	assert_int_equal(umem_add_file(scene.umem, &keys[0], other), 0);
	assert_int_equal(scene_find(&scene, 1, 3 * PAGE + 5).end, WALK_NO_ROWS);
	assert_int_equal(umem_load_page(scene.umem, &keys[0], 3 * PAGE), 0);
	expect_same(&scene, other, 0, 3 * PAGE + 5);
	assert_int_equal(scene_stats(&scene).files, 1);
	umem_remove_process(scene.umem, 1);
	assert_false(umem_is_mapped(scene.umem, &keys[0]));
	scene_fini(&scene);
	made_rows_free(again);
	made_rows_free(other);
}

static void refused_by_the_kernel(void **state)
{
	(void)state;
	struct scene scene;
	scene_init(&scene, WORDS);
	struct umem_range range = {0x1000, 0x2000, 0, &keys[0], 0};
	set_one(&scene, 1, 0x1000, 0x2000, 0, &keys[0]);
	scene.refusal = -E2BIG;
	assert_int_equal(umem_set_process(scene.umem, 1, &range, 1), -E2BIG);
	assert_false(umem_has_process(scene.umem, 1));
	assert_int_equal(scene.blocks[1], 0);
	scene.refusal = 0;
	set_one(&scene, 1, 0x1000, 0x2000, 0, &keys[0]);
	scene.refusal = -E2BIG;
	umem_share_process(scene.umem, 2, 1);
	assert_false(umem_has_process(scene.umem, 2));
	assert_true(umem_has_process(scene.umem, 1));
	assert_int_equal(scene_find(&scene, 1, 0x1000).end, WALK_NO_ROWS);
	scene_fini(&scene);
}

static void merging(void **state)
{
	(void)state;
	const uint32_t jit = UMEM_FRAME_POINTERS;
	const struct umem_range ranges[] = {
		{0x1000, 0x2000, 1, NULL, jit},   {0x2000, 0x3000, 2, NULL, jit},
		{0x3000, 0x4000, 3, NULL, 0},     {0x4000, 0x5000, 4, NULL, jit},
		{0x6000, 0x7000, 4, NULL, jit},   {0x7000, 0x8000, 5, &keys[0], 0},
		{0x8000, 0x9000, 5, &keys[0], 0}, {0x9000, 0xa000, 6, &keys[0], 0},
		{0xa000, 0xb000, 6, &keys[1], 0}, {0xb000, 0xc000, 6, NULL, 0},
	};
	static const struct {
		uint64_t start_ip, end_ip;
	} merged[] = {{0x1000, 0x3000}, {0x3000, 0x4000}, {0x4000, 0x5000}, {0x6000, 0x7000},
		      {0x7000, 0x9000}, {0x9000, 0xa000}, {0xa000, 0xb000}, {0xb000, 0xc000}};
	struct scene scene;
	scene_init(&scene, WORDS);
	assert_int_equal(umem_set_process(scene.umem, 1, ranges, ARRAY_LEN(ranges)), 0);
	struct umem_reader reader = {scene.words, WORDS - 1, 1};
	uint32_t block = scene.blocks[1];
	assert_int_equal(scene.words[block], ARRAY_LEN(merged));
	for (uint32_t i = 0; i < ARRAY_LEN(merged); i++) {
		assert_int_equal(reader_dword(&reader, block + 2 + i * 8), merged[i].start_ip);
		assert_int_equal(reader_dword(&reader, block + 4 + i * 8), merged[i].end_ip);
	}
	assert_true(scene_find(&scene, 1, 0x2fff).by_frame_pointer);
	assert_int_equal(scene_find(&scene, 1, 0x3000).end, WALK_NO_ROWS);
	assert_true(scene_find(&scene, 1, 0x4000).by_frame_pointer);
	assert_int_equal(scene_find(&scene, 1, 0x5000).end, WALK_NO_MAPPING);
	assert_int_equal(scene_find(&scene, 1, 0xfff).end, WALK_NO_MAPPING);
	assert_int_equal(scene_find(&scene, 1, 0xc000).end, WALK_NO_MAPPING);
	/* None is a process, too. */
	assert_int_equal(umem_set_process(scene.umem, 1, NULL, 0), 0);
	assert_true(umem_has_process(scene.umem, 1));
	assert_int_equal(scene_find(&scene, 1, 0x1000).end, WALK_NO_MAPPING);
	scene_fini(&scene);
}

static void replace_share_remove(void **state)
{
	(void)state;
	struct scene scene;
	scene_init(&scene, WORDS);
	set_one(&scene, 1, 0x1000, 0x2000, 0, &keys[0]);
	uint64_t one_bytes = scene_stats(&scene).process_bytes;
	umem_share_process(scene.umem, 2, 1);
	umem_share_process(scene.umem, 3, 2);
	umem_share_process(scene.umem, 3, 3);
	assert_int_equal(scene.blocks[2], scene.blocks[1]);
	assert_int_equal(scene.blocks[3], scene.blocks[1]);
	assert_int_equal(scene_stats(&scene).process_bytes, one_bytes);
	assert_int_equal(scene_stats(&scene).processes, 3);
	/* The parent changes, and its children do not. */
	set_one(&scene, 1, 0x5000, 0x6000, 0, &keys[0]);
	assert_int_equal(scene_find(&scene, 1, 0x1000).end, WALK_NO_MAPPING);
	assert_int_equal(scene_find(&scene, 1, 0x5000).end, WALK_NO_ROWS);
	assert_int_equal(scene_find(&scene, 2, 0x1000).end, WALK_NO_ROWS);
	assert_int_equal(scene_find(&scene, 3, 0x5000).end, WALK_NO_MAPPING);
	assert_int_equal(scene_stats(&scene).process_bytes, 2 * one_bytes);
	assert_int_equal(scene_stats(&scene).retired_bytes, 0);
	umem_remove_process(scene.umem, 2);
	assert_int_equal(scene.blocks[2], 0);
	assert_int_equal(scene_stats(&scene).retired_bytes, 0);
	umem_remove_process(scene.umem, 3); /* the last of those that shared */
	assert_int_equal(scene_stats(&scene).retired_bytes, one_bytes);
	/* The child of an unknown parent is not what had that pid before. */
	umem_share_process(scene.umem, 1, 44);
	assert_false(umem_has_process(scene.umem, 1));
	assert_int_equal(scene.blocks[1], 0);
	scene_tick(&scene, 3);
	assert_int_equal(scene_stats(&scene).retired_bytes, 0);
	assert_int_equal(scene_stats(&scene).processes, 0);
	scene_fini(&scene);
}

static void patching(void **state)
{
	(void)state;
	const struct made_page page = {0, 8};
	struct unwind_rows *rows[2] = {made_rows_new(&page, 1, 9, 100),
				       made_rows_new(&page, 1, 9, 200)};
	const struct umem_range ranges[] = {{0x10000, 0x11000, 0x10000, &keys[0], 0},
					    {0x20000, 0x21000, 0x20000, &keys[1], 0},
					    {0x30000, 0x31000, 0x2f000, &keys[0], 0}};
	struct scene scene;
	scene_init(&scene, WORDS);
	assert_int_equal(umem_set_process(scene.umem, 1, ranges, 3), 0);
	umem_share_process(scene.umem, 2, 1);
	set_one(&scene, 3, 0x10000, 0x11000, 0x10000, &keys[0]);
	for (int i = 0; i < 2; i++)
		assert_int_equal(umem_add_file(scene.umem, &keys[i], rows[i]), 0);
	set_one(&scene, 4, 0x10000, 0x11000, 0x10000, &keys[0]); /* after the file */
	for (int i = 0; i < 2; i++)
		assert_int_equal(umem_load_page(scene.umem, &keys[i], 0x1234), 0);
	for (uint32_t pid = 1; pid <= 4; pid++)
		assert_int_equal(scene_find(&scene, pid, 0x10000).rule.cfa_off, 101);
	for (uint32_t pid = 1; pid <= 2; pid++) {
		assert_int_equal(scene_find(&scene, pid, 0x20fff).rule.cfa_off, 201);
		assert_int_equal(scene_find(&scene, pid, 0x30fff).rule.cfa_off, 101);
	}
	umem_remove_process(scene.umem, 3);
	umem_remove_file(scene.umem, &keys[0]);
	assert_int_equal(scene_find(&scene, 1, 0x10000).end, WALK_NO_ROWS);
	assert_int_equal(scene_find(&scene, 2, 0x30000).end, WALK_NO_ROWS);
	assert_int_equal(scene_find(&scene, 4, 0x10000).end, WALK_NO_ROWS);
	assert_int_equal(scene_find(&scene, 1, 0x20000).rule.cfa_off, 201);
	assert_int_equal(umem_add_file(scene.umem, &keys[0], rows[1]), 0);
	assert_int_equal(umem_load_page(scene.umem, &keys[0], 0), 0);
	assert_int_equal(scene_find(&scene, 4, 0x10000).rule.cfa_off, 201);
	scene_fini(&scene);
	made_rows_free(rows[0]);
	made_rows_free(rows[1]);
}

static void many_mappings(void **state)
{
	(void)state;
	enum { MAPPINGS = 5000 };
	AUTO_MEM struct umem_range *ranges = calloc(MAPPINGS, sizeof(*ranges));
	assert_non_null(ranges);
	const struct made_page pages[] = {{0, 8}, {1, 8}};
	struct unwind_rows *rows = made_rows_new(pages, 2, 9, 100);
	struct scene scene;
	scene_init(&scene, WORDS);
	for (uint64_t i = 0; i < MAPPINGS; i++)
		ranges[i] = (struct umem_range){.start_ip = (i + 1) * 3 * PAGE,
						.end_ip = (i + 1) * 3 * PAGE + 2 * PAGE,
						.bias = (i + 1) * 3 * PAGE,
						.file = &keys[i % 64]};
	assert_int_equal(umem_set_process(scene.umem, 1, ranges, MAPPINGS), 0);
	assert_int_equal(umem_add_file(scene.umem, &keys[5], rows), 0);
	assert_int_equal(umem_load_page(scene.umem, &keys[5], PAGE), 0);
	for (uint64_t i = 0; i < MAPPINGS; i++) {
		bool is_known = i % 64 == 5;
		struct umem_found last = scene_find(&scene, 1, ranges[i].end_ip - 1);
		assert_int_equal(last.end, is_known ? WALK_COMPLETE : WALK_NO_ROWS);
		assert_int_equal(last.rule.cfa_off, is_known ? 108 : 0);
		assert_int_equal(scene_find(&scene, 1, ranges[i].start_ip).end, WALK_NO_ROWS);
		assert_int_equal(scene_find(&scene, 1, ranges[i].start_ip - 1).end,
				 WALK_NO_MAPPING);
		assert_int_equal(scene_find(&scene, 1, ranges[i].end_ip).end, WALK_NO_MAPPING);
	}
	/* More than a quarter of the memory is refused, and takes nothing from others. */
	set_one(&scene, 2, 0x1000, 0x2000, 0, NULL);
	struct scene small;
	scene_init(&small, 1 << 16);
	scene_tick(&small, 200);
	set_one(&small, 2, 0x1000, 0x2000, 0, NULL);
	scene_tick(&small, 200);
	assert_int_equal(umem_set_process(small.umem, 1, ranges, MAPPINGS), -ENOSPC);
	assert_true(umem_has_process(small.umem, 2));
	assert_int_equal(umem_set_process(small.umem, 1, ranges, (1 << 14) / 8 - 1), 0);
	scene_fini(&small);
	scene_fini(&scene);
	made_rows_free(rows);
}

static void grace_period(void **state)
{
	(void)state;
	const struct made_page page = {0, 60};
	struct unwind_rows *rows = made_rows_new(&page, 1, 9, 100);
	struct scene scene;
	scene_init(&scene, WORDS);
	scene_tick(&scene, 1);
	set_one(&scene, 1, 0, PAGE, 0, &keys[0]);
	assert_int_equal(umem_add_file(scene.umem, &keys[0], rows), 0);
	assert_int_equal(umem_load_page(scene.umem, &keys[0], 0), 0);
	/* A walker that has just read the old words goes on with them. */
	uint32_t process = scene.blocks[1], page_block = scene_find(&scene, 1, 0).page;
	uint32_t page_word = scene.words[page_block + UMEM_PAGE_HEADER + 59];
	umem_remove_file(scene.umem, &keys[0]);
	umem_remove_process(scene.umem, 1);
	uint64_t retired_bytes = scene_stats(&scene).retired_bytes;
	for (uint32_t ticks = 0; ticks < 2; ticks++) {
		scene_tick(&scene, 1);
		for (uint32_t pid = 2; pid < 30; pid++) /* nothing new is laid there */
			set_one(&scene, pid, 0x5000, 0x6000, 0, NULL);
		assert_int_equal(scene.words[process], 1);
		assert_int_equal(scene.words[process + 2], 0);
		assert_int_equal(scene.words[page_block + UMEM_PAGE_HEADER + 59], page_word);
		assert_true(scene_stats(&scene).retired_bytes >= retired_bytes);
	}
	for (uint32_t pid = 2; pid < 30; pid++)
		umem_remove_process(scene.umem, pid);
	scene_tick(&scene, 3);
	assert_int_equal(scene_stats(&scene).retired_bytes, 0);
	assert_int_equal(scene_stats(&scene).free_bytes,
			 scene_stats(&scene).cap_bytes - 4 * (8 + 136));
	scene_fini(&scene);
	made_rows_free(rows);
}

/* A file whose pages fill the memory when so many are loaded. */
enum { FULL_PAGES = 60, FULL_ROWS = 900, FULL_WORDS = 1 << 16 };

static struct unwind_rows *full_rows(void)
{
	struct made_page pages[FULL_PAGES + 20];
	for (uint32_t i = 0; i < ARRAY_LEN(pages); i++)
		pages[i] = (struct made_page){i, FULL_ROWS};
	return made_rows_new(pages, ARRAY_LEN(pages), 9, 100);
}

/* Loads until there is no room; returns how many are there. */
static uint32_t fill(struct scene *scene, const struct unwind_rows *rows)
{
	assert_int_equal(umem_add_file(scene->umem, &keys[0], rows), 0);
	set_one(scene, 1, 0, 1000 * PAGE, 0, &keys[0]);
	uint32_t loaded = 0;
	while (!umem_load_page(scene->umem, &keys[0], (uint64_t)loaded * PAGE))
		loaded++;
	assert_in_range(loaded, FULL_PAGES, rows->page_count - 1);
	return loaded;
}

static bool is_loaded(struct scene *scene, uint64_t page)
{
	uint32_t file = 0, block = scene->blocks[1];
	if (block)
		file = scene->words[block + 8];
	return file && scene->words[file + 4 + page];
}

static void evicts_the_least_recently_used(void **state)
{
	(void)state;
	struct unwind_rows *rows = full_rows();
	struct scene scene;
	scene_init(&scene, FULL_WORDS);
	uint32_t loaded = fill(&scene, rows);
	/* Nothing is idle yet: what is in use stays, and who comes late is told so. */
	assert_int_equal(scene_stats(&scene).failures, 1);
	assert_int_equal(scene_stats(&scene).page_evictions, 0);
	scene_tick(&scene, 5);
	assert_int_equal(umem_load_page(scene.umem, &keys[0], (uint64_t)loaded * PAGE), -ENOSPC);
	assert_int_equal(scene_stats(&scene).pages, loaded);
	/* Used in the order 3, 1, others; and 2 never. */
	scene_tick(&scene, 1);
	scene_find(&scene, 1, 3 * PAGE);
	scene_tick(&scene, 1);
	scene_find(&scene, 1, 1 * PAGE);
	scene_tick(&scene, 1);
	for (uint64_t page = 0; page < loaded; page++)
		if (page != 1 && page != 2 && page != 3)
			scene_find(&scene, 1, page * PAGE);
	scene_tick(&scene, 2); /* 10 after the loads: number 2 is idle */
	assert_false(is_loaded(&scene, 2));
	assert_int_equal(scene_stats(&scene).page_evictions, 1);
	scene_tick(&scene, 6);
	assert_false(is_loaded(&scene, 3));
	assert_true(is_loaded(&scene, 1));
	scene_tick(&scene, 1);
	assert_false(is_loaded(&scene, 1));
	/* From then on there is a reserve of 5 %, and it is for use. */
	scene_tick(&scene, 1);
	uint64_t evictions = scene_stats(&scene).page_evictions;
	uint64_t reserve_pages = FULL_WORDS / 20 / (UMEM_PAGE_HEADER + FULL_ROWS) + 1;
	assert_in_range(evictions, 3, reserve_pages);
	scene_tick(&scene, 3);
	assert_int_equal(umem_load_page(scene.umem, &keys[0], (uint64_t)loaded * PAGE), 0);
	expect_same(&scene, rows, 0, (uint64_t)loaded * PAGE + 77);
	scene_fini(&scene);
	made_rows_free(rows);
}

/* Calls that fail while memory is on its way do not evict more and more. */
static void does_not_evict_twice_for_one_need(void **state)
{
	(void)state;
	struct unwind_rows *rows = full_rows();
	struct scene scene;
	scene_init(&scene, FULL_WORDS);
	uint32_t loaded = fill(&scene, rows);
	scene_tick(&scene, 10);
	uint64_t evictions = scene_stats(&scene).page_evictions;
	assert_in_range(evictions, 1, 4);
	/* The first failure makes room for itself, if need be, and the others wait for it. */
	umem_load_page(scene.umem, &keys[0], (uint64_t)loaded * PAGE);
	evictions = scene_stats(&scene).page_evictions;
	for (int i = 0; i < 50; i++)
		assert_int_equal(umem_load_page(scene.umem, &keys[0], (uint64_t)loaded * PAGE),
				 -ENOSPC);
	assert_int_equal(scene_stats(&scene).page_evictions, evictions);
	assert_in_range(evictions, 1, 5);
	assert_int_equal(scene_stats(&scene).failures, 1 + 51);
	scene_fini(&scene);
	made_rows_free(rows);
}

/* Files without pages go after pages, and processes last. */
static void evicts_files_then_processes(void **state)
{
	(void)state;
	enum { BIG_RULES = 2000 }; /* 8,000 words */
	const struct made_page page = {0, 100};
	struct unwind_rows *rows = made_rows_new(&page, 1, BIG_RULES, 0);
	struct scene scene;
	scene_init(&scene, FULL_WORDS);
	int files = 0;
	while (!umem_add_file(scene.umem, &keys[files], rows)) {
		set_one(&scene, (uint32_t)files + 1, 0, PAGE, 0, &keys[files]);
		scene_tick(&scene, 1);
		files++;
	}
	assert_int_equal(files, 8);
	assert_int_equal(umem_load_page(scene.umem, &keys[0], 0), 0);
	scene_tick(&scene, 9);
	scene_find(&scene, 1, 0); /* the first is in use, the second is the most idle */
	scene_tick(&scene, 1);
	assert_true(umem_has_file(scene.umem, &keys[0]));
	assert_false(umem_has_file(scene.umem, &keys[1]));
	assert_true(umem_has_file(scene.umem, &keys[2]));
	assert_int_equal(scene_stats(&scene).file_evictions, 1);
	assert_int_equal(scene_find(&scene, 2, 0).end, WALK_NO_ROWS);
	assert_int_equal(scene_find(&scene, 1, 0).end, WALK_COMPLETE);
	scene_tick(&scene, 3);
	assert_int_equal(umem_add_file(scene.umem, &keys[1], rows), 0); /* as if it were new */
	assert_int_equal(umem_load_page(scene.umem, &keys[1], 0), 0);
	assert_int_equal(scene_find(&scene, 2, 0).end, WALK_COMPLETE);
	assert_int_equal(scene_stats(&scene).process_evictions, 0);
	scene_fini(&scene);
	made_rows_free(rows);
}

/* Time goes by and processes come, one at a time, until pid is gone. */
static void press_until_gone(struct scene *scene, uint32_t pid, const struct umem_range *ranges,
			     size_t count, uint32_t *next_pid)
{
	for (int i = 0; umem_has_process(scene->umem, pid); i++) {
		assert_in_range(i, 0, 200);
		if (!umem_set_process(scene->umem, *next_pid, ranges, count))
			++*next_pid;
		if (umem_has_process(scene->umem, pid))
			scene_tick(scene, 1);
	}
	assert_int_equal(scene->blocks[pid], 0);
}

static void evicts_the_oldest_processes(void **state)
{
	(void)state;
	enum { MAPPINGS = 1000 };
	struct umem_range ranges[MAPPINGS];
	for (uint64_t i = 0; i < MAPPINGS; i++)
		ranges[i] = (struct umem_range){(i + 1) * PAGE, (i + 1) * PAGE + 1, 0,
						&keys[i % 64], 0};
	struct scene scene;
	scene_init(&scene, FULL_WORDS);
	uint32_t pid = 1;
	for (; !umem_set_process(scene.umem, pid, ranges, MAPPINGS); pid++)
		scene_tick(&scene, 1);
	assert_int_equal(pid, 9); /* 8 of them fit */
	assert_false(umem_has_process(scene.umem, pid));
	assert_int_equal(scene_stats(&scene).processes, 8);
	umem_share_process(scene.umem, 40, 2);
	scene_tick(&scene, 20);
	umem_share_process(scene.umem, 41, 1); /* the oldest: not any more */
	static const uint32_t order[] = {3, 4, 5, 6, 7, 8, 2, 1};
	uint32_t next_pid = 50;
	for (size_t i = 0; i < ARRAY_LEN(order); i++) {
		press_until_gone(&scene, order[i], ranges, MAPPINGS, &next_pid);
		for (size_t later = i + 1; later < ARRAY_LEN(order); later++)
			assert_true(umem_has_process(scene.umem, order[later]));
		/* What was shared goes as one. */
		assert_int_equal(umem_has_process(scene.umem, 40), i < 6);
		assert_int_equal(umem_has_process(scene.umem, 41), i < 7);
	}
	assert_int_equal(scene_stats(&scene).process_evictions, ARRAY_LEN(order) + 2);
	scene_fini(&scene);
}

/* Adding a file may evict the only processes that map it. */
static void adding_evicts_those_who_map_it(void **state)
{
	(void)state;
	enum { MAPPINGS = 1000, BIG_RULES = 2000 };
	struct umem_range ranges[MAPPINGS];
	for (uint64_t i = 0; i < MAPPINGS; i++)
		ranges[i] = (struct umem_range){(i + 1) * PAGE, (i + 1) * PAGE + 1, 0, &keys[0], 0};
	const struct made_page page = {1, 100};
	struct unwind_rows *rows = made_rows_new(&page, 1, BIG_RULES, 0);
	struct scene scene;
	scene_init(&scene, FULL_WORDS);
	for (uint32_t pid = 1; pid <= 7; pid++)
		assert_int_equal(umem_set_process(scene.umem, pid, ranges, MAPPINGS), 0);
	scene_tick(&scene, 100);
	/* There is the reserve, so nothing was evicted: 9,328 words are free. */
	assert_int_equal(scene_stats(&scene).processes, 7);
	assert_int_equal(umem_add_file(scene.umem, &keys[1], rows), 0);
	assert_int_equal(umem_add_file(scene.umem, &keys[0], rows), -ENOSPC);
	assert_int_equal(scene_stats(&scene).process_evictions, 1);
	for (int i = 0; i < 20; i++) /* one attempt a generation */
		assert_int_equal(umem_add_file(scene.umem, &keys[0], rows), -ENOSPC);
	assert_int_equal(scene_stats(&scene).process_evictions, 1);
	scene_tick(&scene, 4);
	assert_int_equal(umem_add_file(scene.umem, &keys[0], rows), 0);
	for (uint32_t pid = 2; pid <= 7; pid++)
		umem_remove_process(scene.umem, pid);
	assert_true(umem_has_file(scene.umem, &keys[0]));
	umem_remove_file(scene.umem, &keys[0]);
	assert_false(umem_has_file(scene.umem, &keys[0]));
	scene_fini(&scene);
	made_rows_free(rows);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(libc_row_by_row),
		cmocka_unit_test(every_offset),
		cmocka_unit_test(random_pages),
		cmocka_unit_test(file_without_rows),
		cmocka_unit_test(bad_ranges),
		cmocka_unit_test(bad_calls),
		cmocka_unit_test(rows_may_be_dropped),
		cmocka_unit_test(refused_by_the_kernel),
		cmocka_unit_test(merging),
		cmocka_unit_test(replace_share_remove),
		cmocka_unit_test(patching),
		cmocka_unit_test(many_mappings),
		cmocka_unit_test(grace_period),
		cmocka_unit_test(evicts_the_least_recently_used),
		cmocka_unit_test(does_not_evict_twice_for_one_need),
		cmocka_unit_test(evicts_files_then_processes),
		cmocka_unit_test(evicts_the_oldest_processes),
		cmocka_unit_test(adding_evicts_those_who_map_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
