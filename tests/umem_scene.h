/*
 * umem_scene: unwind memory of a test's own, with the kernel's map of processes, and files with
 * rows made up.
 *
 * Header only, included by tests that have included cmocka.h.
 */
#pragma once
#include <stdbool.h>
#include <stdlib.h>

#include "base/auto.h"
#include "base/hash.h"
#include "profiler/umem.h"
#include "symbolizer/unwind_rows.h"
#include "tests/umem_reader.h"

#define SCENE_UNUSED __attribute__((unused))

enum { SCENE_PIDS = 64 };

struct scene {
	uint32_t *words;
	uint32_t word_count;
	struct umem *umem;
	uint64_t now_mono_ns;
	uint32_t blocks[SCENE_PIDS]; /* as the kernel was told, by pid */
	int calls;
	int refusal; /* what set_process answers */
};

static int scene_set_process(void *ctx, uint32_t pid, uint32_t block)
{
	struct scene *scene = ctx;
	scene->calls++;
	if (block && scene->refusal)
		return scene->refusal;
	__atomic_store_n(&scene->blocks[pid], block, __ATOMIC_RELEASE);
	return 0;
}

SCENE_UNUSED static void scene_init(struct scene *scene, uint32_t word_count)
{
	*scene = (struct scene){.word_count = word_count, .now_mono_ns = 1};
	scene->words = calloc(word_count, sizeof(*scene->words));
	struct umem_options options = {.words = scene->words,
				       .word_count = word_count,
				       .set_process = scene_set_process,
				       .ctx = scene};
	assert_int_equal(umem_new(&scene->umem, &options, NULL), 0);
}

SCENE_UNUSED static void scene_fini(struct scene *scene)
{
	umem_free(scene->umem);
	free(scene->words);
}

/* As if 100 ms went by, that many times. */
SCENE_UNUSED static void scene_tick(struct scene *scene, int times)
{
	for (int i = 0; i < times; i++) {
		scene->now_mono_ns += UINT64_C(100000000);
		umem_tick(scene->umem, scene->now_mono_ns);
	}
}

SCENE_UNUSED static struct umem_found scene_find(struct scene *scene, uint32_t pid, uint64_t ip)
{
	struct umem_reader reader = {.words = scene->words,
				     .mask = scene->word_count - 1,
				     .generation = umem_generation(scene->umem)};
	return reader_find(&reader, __atomic_load_n(&scene->blocks[pid], __ATOMIC_ACQUIRE), ip);
}

SCENE_UNUSED static struct umem_stats scene_stats(struct scene *scene)
{
	struct umem_stats stats;
	umem_stats(scene->umem, &stats);
	/* Every byte is of one kind; the first unit and the page for holes are of none. */
	assert_int_equal(stats.process_bytes + stats.file_bytes + stats.page_bytes +
				 stats.retired_bytes + stats.free_bytes,
			 stats.cap_bytes - 4 * (8 + 136));
	return stats;
}

/* Rows with holes between pages. Rule number n has cfa_off salt + n, so that what is found says
 * where it came from. */
struct made_page {
	uint32_t number;
	uint32_t rows; /* evenly over the page */
};

SCENE_UNUSED static void made_rows_free(struct unwind_rows *rows)
{
	free(rows->pages);
	free(rows->rows);
	free(rows->rules);
	free(rows);
}

SCENE_UNUSED static struct unwind_rows *made_rows_new(const struct made_page *pages, size_t count,
						      uint32_t rule_count, int32_t salt)
{
	size_t row_count = 0;
	for (size_t i = 0; i < count; i++)
		row_count += pages[i].rows;
	struct unwind_rows *rows = calloc(1, sizeof(*rows));
	rows->pages = calloc(count + 1, sizeof(*rows->pages));
	rows->rows = calloc(row_count + 1, sizeof(*rows->rows));
	rows->rules = calloc(rule_count, sizeof(*rows->rules));
	for (uint32_t i = 1; i < rule_count; i++)
		rows->rules[i] = (struct unwind_rule){.cfa = UNWIND_CFA_SP,
						      .ra = UNWIND_AT_CFA,
						      .cfa_off = salt + (int32_t)i,
						      .fp_off = -16,
						      .ra_off = -8,
						      .extra = -1};
	for (size_t i = 0; i < count; i++) {
		rows->pages[i] = (struct unwind_page){pages[i].number, (uint32_t)rows->row_count};
		for (uint32_t row = 0; row < pages[i].rows; row++)
			rows->rows[rows->row_count++] = (struct unwind_row){
				.off = (uint16_t)((uint64_t)row * UNWIND_PAGE_BYTES /
						  pages[i].rows),
				.rule = (uint16_t)(1 + row % (rule_count - 1)),
			};
	}
	rows->pages[count].first_row = (uint32_t)rows->row_count;
	rows->page_count = count;
	rows->rule_count = rule_count;
	return rows;
}
