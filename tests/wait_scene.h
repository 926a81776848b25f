/*
 * wait_scene: waiting threads sampled for a test, without the rest of the profiler: all records
 * that came, and the stacks they name. Follows this process and what it forks.
 */
#pragma once
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/array.h"
#include "base/clock.h"
#include "profiler/procfs.h"
#include "profiler/umem.h"
#include "profiler/waiting.h"
#include "symbolizer/elf_file.h"
#include "symbolizer/unwind.h"
#include "symbolizer/unwind_rows.h"

enum { SCENE_MAX_RECORDS = 1 << 20, SCENE_MAX_FILES = 64, SCENE_RING_BYTES = 16 << 20 };

struct scene_stack {
	uint64_t hash;
	uint32_t flags, walk_end;
	uint32_t kernel_frames, user_frames;
};

struct scene_file {
	struct elf_file *elf;
	struct unwind_rows *rows;
};

struct scene {
	struct sampler *sampler;
	struct waiting *waiting;
	struct umem *umem;
	struct rec_wait *waits;
	size_t wait_count, wait_cap;
	struct scene_stack *stacks;
	size_t stack_count, stack_cap;
	struct scene_file files[SCENE_MAX_FILES];
	size_t file_count;
	struct umem_range ranges[SCENE_MAX_FILES];
	size_t range_count;
};

static inline void scene_take(void *ctx, const void *record, size_t size_bytes)
{
	struct scene *scene = ctx;
	const struct rec_sample *sample = record;
	assert_true(size_bytes >= sizeof(*sample) && sample->size_bytes <= size_bytes);
	if (sample->kind == REC_WAIT) {
		assert_int_equal(sample->size_bytes, sizeof(struct rec_wait));
		assert_int_equal(sample->weight_ns, 0);
		assert_int_equal(ARRAY_RESERVE(scene->waits, scene->wait_cap, scene->wait_count,
					       SCENE_MAX_RECORDS),
				 0);
		scene->waits[scene->wait_count++] = *(const struct rec_wait *)record;
		return;
	}
	assert_int_equal(sample->kind, REC_STACK);
	const struct rec_stack *stack = record;
	assert_true(stack->flags & STACK_ONLY);
	assert_int_equal(stack->sample.weight_ns, 0);
	if (stack->flags & STACK_WANT)
		return;
	assert_int_equal(ARRAY_RESERVE(scene->stacks, scene->stack_cap, scene->stack_count,
				       SCENE_MAX_RECORDS),
			 0);
	scene->stacks[scene->stack_count++] = (struct scene_stack){
		.hash = stack->sample.stack_hash,
		.flags = stack->flags,
		.walk_end = stack->walk_end,
		.kernel_frames = stack->kernel_frames,
		.user_frames = stack->user_frames,
	};
}

static inline void scene_drain(struct scene *scene)
{
	sampler_drain(scene->sampler, scene_take, scene);
}

/* Drains until then, as rings are small. */
static inline void scene_watch(struct scene *scene, int64_t duration_ns)
{
	int64_t end_mono_ns = clock_mono_ns() + duration_ns;
	while (clock_mono_ns() < end_mono_ns) {
		usleep(20000);
		scene_drain(scene);
	}
}

static inline const struct scene_stack *scene_find(const struct scene *scene, uint64_t hash)
{
	for (size_t i = 0; i < scene->stack_count; i++)
		if (scene->stacks[i].hash == hash)
			return &scene->stacks[i];
	return NULL;
}

static inline int scene_set_process(void *ctx, uint32_t pid, uint32_t block)
{
	struct umem_process_ref ref = {.block = block};
	return sampler_set_process(ctx, pid, &ref);
}

/* The rows of one mapped file, all of them. */
static inline void scene_map(void *ctx, const struct proc_mapping *mapping)
{
	struct scene *scene = ctx;
	AUTO_FD fd = open(mapping->path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || scene->file_count == SCENE_MAX_FILES)
		return; /* the vDSO: nobody waits there */
	struct scene_file *file = &scene->files[scene->file_count++];
	struct err err = {0};
	if (elf_file_open(&file->elf, TAKE_FD(fd), &err) ||
	    unwind_rows_open(&file->rows, file->elf, &err))
		fail_msg("%s: %s", mapping->path, err.text);
	size_t segment_count;
	const struct elf_segment *segments = elf_file_segments(file->elf, &segment_count);
	for (size_t i = 0; i < segment_count; i++)
		if (segments[i].off <= mapping->file_off &&
		    mapping->file_off < segments[i].off + segments[i].file_bytes)
			scene->ranges[scene->range_count] = (struct umem_range){
				.start_ip = mapping->start_ip,
				.end_ip = mapping->end_ip,
				.bias = mapping->start_ip -
					(segments[i].vaddr + mapping->file_off - segments[i].off),
				.file = file,
			};
	scene->range_count++;
	assert_int_equal(umem_add_file(scene->umem, file, file->rows), 0);
	for (size_t i = 0; i < file->rows->page_count; i++)
		assert_int_equal(
			umem_load_page(scene->umem, file,
				       (uint64_t)file->rows->pages[i].number * UNWIND_PAGE_BYTES),
			0);
}

/* Let the kernel know the rows of this process; children have them from it. */
static inline void scene_lay_rows(struct scene *scene)
{
	assert_int_equal(proc_visit_mappings((uint32_t)getpid(), scene_map, scene), 0);
	assert_int_equal(umem_set_process(scene->umem, (uint32_t)getpid(), scene->ranges,
					  scene->range_count),
			 0);
}

static inline void scene_open(struct scene *scene, enum waiting_method method)
{
	*scene = (struct scene){0};
	struct err err = {0};
	pid_t self = getpid();
	struct sampler_options sampling = {
		.rate_hz = 1, /* not started: no ticks */
		.ring_bytes = SCENE_RING_BYTES,
		.pids = &self,
		.pid_count = 1,
	};
	if (sampler_open(&scene->sampler, &sampling, &err))
		fail_msg("%s", err.text);
	struct umem_options memory = {.set_process = scene_set_process, .ctx = scene->sampler};
	memory.words = sampler_umem(scene->sampler, &memory.word_count);
	assert_int_equal(umem_new(&scene->umem, &memory, &err), 0);
	scene_lay_rows(scene);
	struct waiting_options options = {.sampler = scene->sampler, .method = method};
	if (waiting_open(&scene->waiting, &options, &err) || waiting_start(scene->waiting, &err))
		fail_msg("%s", err.text);
}

/* What was sent came, and nothing else was taken. Ends the waiting: this process waits, too, and its
 * records must not come between the counts. */
static inline void scene_expect_ledger(struct scene *scene)
{
	uint64_t counts[STAT_COUNT];
	waiting_stop(scene->waiting);
	sampler_counts(scene->sampler, counts);
	scene_drain(scene);
	assert_true(scene->wait_count >= counts[STAT_SENT]);
	sampler_counts(scene->sampler, counts);
	assert_int_equal(counts[STAT_TAKEN], counts[STAT_SENT] + counts[STAT_RING_FULL]);
	assert_int_equal(counts[STAT_RING_FULL], 0);
}

static inline void scene_close(struct scene *scene)
{
	waiting_free(scene->waiting);
	umem_free(scene->umem);
	sampler_free(scene->sampler);
	for (size_t i = 0; i < scene->file_count; i++) {
		unwind_rows_free(scene->files[i].rows);
		elf_file_free(scene->files[i].elf);
	}
	free(scene->waits);
	free(scene->stacks);
}
