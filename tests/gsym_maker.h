/*
 * gsym_maker: random functions that overlap and nest, and what is to be found at each address,
 * by search through the lists and not through bytes.
 */
#pragma once
#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "symbolizer/gsym.h"
#include "symbolizer/gsym_builder.h"

#define GSYM_MAKER_UNUSED __attribute__((unused))

enum {
	SCENE_MAX_FUNCTIONS = 40,
	SCENE_MAX_LINES = 400,
	SCENE_MAX_CALLS = 150,
	SCENE_MAX_RANGES = 3, /* of a call */
	SCENE_MAX_DEPTH = 12,
	SCENE_MAX_TEXTS = 128,
	SCENE_FILES = 7,
	SCENE_START_VADDR = 0x401000,
	SCENE_BYTES = 0x8000,
};

struct scene_function {
	struct gsym_function function;
	struct gsym_line lines[SCENE_MAX_LINES];
	struct gsym_inline calls[SCENE_MAX_CALLS];
	struct gsym_range ranges[SCENE_MAX_CALLS * SCENE_MAX_RANGES];
};

/* By the ids that the builder gave. */
struct scene_text {
	uint32_t id;
	char text[24];
};
struct scene_file {
	uint32_t id, directory, base;
};

struct scene {
	struct gsym_builder *builder; /* holds it all */
	uint64_t seed;
	struct scene_text texts[SCENE_MAX_TEXTS];
	size_t text_count;
	struct scene_file files[SCENE_FILES];
	struct scene_function functions[SCENE_MAX_FUNCTIONS];
	size_t count;
};

/* What is expected of one frame, by the builder's ids. */
struct scene_frame {
	uint32_t name, file, line;
};

static uint32_t scene_roll(struct scene *scene, uint32_t sides)
{
	scene->seed = scene->seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(((scene->seed >> 33) * sides) >> 31);
}

GSYM_MAKER_UNUSED static const char *scene_text(const struct scene *scene, uint32_t id)
{
	for (size_t i = 0; i < scene->text_count; i++)
		if (scene->texts[i].id == id)
			return scene->texts[i].text;
	return "";
}

static uint32_t scene_string(struct scene *scene, const char *stem, uint32_t number)
{
	struct scene_text text;
	int len = snprintf(text.text, sizeof(text.text), "%s%u", stem, number);
	int rc = gsym_builder_add_string(scene->builder, text.text, (size_t)len, &text.id);
	assert(!rc);
	if (!scene_text(scene, text.id)[0]) {
		assert(scene->text_count < SCENE_MAX_TEXTS);
		scene->texts[scene->text_count++] = text;
	}
	return text.id;
}

static uint32_t scene_file(struct scene *scene, uint32_t number)
{
	struct scene_file *file = &scene->files[number];
	file->directory = scene_string(scene, "/src/dir", number % 3);
	file->base = scene_string(scene, "file", number);
	int rc = gsym_builder_add_file(scene->builder, file->directory, file->base, &file->id);
	assert(!rc);
	return file->id;
}

/* As the reader should give it; file 0 is "none". */
GSYM_MAKER_UNUSED static void scene_place(const struct scene *scene, uint32_t file,
					  const char **directory, const char **base)
{
	*directory = *base = "";
	for (size_t i = 0; file && i < SCENE_FILES; i++)
		if (scene->files[i].id == file) {
			*directory = scene_text(scene, scene->files[i].directory);
			*base = scene_text(scene, scene->files[i].base);
		}
}

static struct gsym_range scene_range(struct scene *scene, struct gsym_range within)
{
	uint64_t bytes = within.end_vaddr - within.start_vaddr;
	uint64_t start = within.start_vaddr + scene_roll(scene, (uint32_t)bytes);
	return (struct gsym_range){start, start + 1 + scene_roll(scene, (uint32_t)bytes)};
}

static void scene_lines(struct scene *scene, struct scene_function *made)
{
	struct gsym_range range = made->function.range;
	uint64_t bytes = range.end_vaddr - range.start_vaddr;
	size_t count =
		scene_roll(scene, 4) ? scene_roll(scene, 20) : scene_roll(scene, SCENE_MAX_LINES);
	uint64_t vaddr = range.start_vaddr + (scene_roll(scene, 4) ? 0 : scene_roll(scene, 9));
	uint32_t line = 1 + scene_roll(scene, 3000), file = scene_file(scene, 0);
	uint64_t step = 2 * bytes / (count + 1) + 1;
	for (size_t i = 0; i < count; i++) {
		made->lines[i] = (struct gsym_line){vaddr, file, line};
		vaddr += scene_roll(scene, (uint32_t)step);
		if (!scene_roll(scene, 4))
			file = scene_file(scene, scene_roll(scene, SCENE_FILES));
		line = scene_roll(scene, 5) ? line + scene_roll(scene, 9)
					    : scene_roll(scene, 100000);
	}
	made->function.lines = made->lines;
	made->function.line_count = count;
}

static void scene_calls(struct scene *scene, struct scene_function *made)
{
	size_t count =
		scene_roll(scene, 3) ? scene_roll(scene, 12) : scene_roll(scene, SCENE_MAX_CALLS);
	uint32_t depth = 0, ranges = 0;
	struct gsym_range around[SCENE_MAX_DEPTH + 1] = {made->function.range};
	for (size_t i = 0; i < count; i++) {
		depth = 1 + scene_roll(scene, depth + 1);
		depth = depth < SCENE_MAX_DEPTH ? depth : SCENE_MAX_DEPTH;
		made->calls[i] = (struct gsym_inline){
			.name = scene_string(scene, "inlined", scene_roll(scene, 30)),
			.call_file = scene_file(scene, scene_roll(scene, SCENE_FILES)),
			.call_line = scene_roll(scene, 5000),
			.depth = depth,
			.first_range = ranges,
			.range_count = scene_roll(scene, SCENE_MAX_RANGES + 1),
		};
		/* They reach beyond their parent at times, as broken DWARF does. */
		for (uint32_t j = 0; j < made->calls[i].range_count; j++)
			made->ranges[ranges++] = scene_range(scene, around[depth - 1]);
		around[depth] =
			made->calls[i].range_count ? made->ranges[ranges - 1] : around[depth - 1];
	}
	made->function.inlines = made->calls;
	made->function.inline_count = count;
	made->function.ranges = made->ranges;
}

static bool scene_has_start(const struct scene *scene, uint64_t vaddr, enum gsym_source source)
{
	for (size_t i = 0; i < scene->count; i++)
		if (scene->functions[i].function.range.start_vaddr == vaddr &&
		    scene->functions[i].function.source == source)
			return true;
	return false;
}

static void scene_add_function(struct scene *scene, uint64_t max_bytes)
{
	struct scene_function *made = &scene->functions[scene->count];
	uint64_t start = SCENE_START_VADDR + scene_roll(scene, SCENE_BYTES);
	made->function = (struct gsym_function){
		.range = {start, start + 1 + scene_roll(scene, (uint32_t)max_bytes)},
		.name = scene_string(scene, "function", (uint32_t)scene->count),
		.source = GSYM_FROM_UNWIND_ROWS + scene_roll(scene, 4),
	};
	if (scene_has_start(scene, start, made->function.source))
		return;
	if (made->function.source >= GSYM_FROM_PCLNTAB) {
		scene_lines(scene, made);
		scene_calls(scene, made);
	}
	int rc = gsym_builder_add_function(scene->builder, &made->function);
	assert(!rc);
	scene->count++;
}

/* Free with gsym_builder_free(scene->builder) and free(). */
GSYM_MAKER_UNUSED static struct scene *scene_new(uint64_t seed)
{
	struct scene *scene = calloc(1, sizeof(*scene));
	assert(scene);
	scene->seed = seed;
	int rc = gsym_builder_new(&scene->builder, 64 << 20, NULL);
	assert(!rc);
	size_t functions = 1 + scene_roll(scene, SCENE_MAX_FUNCTIONS);
	uint64_t max_bytes = scene_roll(scene, 2) ? 600 : 6000;
	for (size_t i = 0; i < functions; i++)
		scene_add_function(scene, max_bytes);
	return scene;
}

/* Of two sources the greater; then the one that begins last. */
GSYM_MAKER_UNUSED static const struct scene_function *scene_at(const struct scene *scene,
							       uint64_t vaddr)
{
	const struct scene_function *best = NULL;
	for (size_t i = 0; i < scene->count; i++) {
		const struct scene_function *made = &scene->functions[i];
		struct gsym_range range = made->function.range;
		if (vaddr < range.start_vaddr || vaddr >= range.end_vaddr)
			continue;
		if (!best || made->function.source > best->function.source ||
		    (made->function.source == best->function.source &&
		     range.start_vaddr > best->function.range.start_vaddr))
			best = made;
	}
	return best;
}

static bool scene_covers(const struct scene_function *made, size_t call, uint64_t vaddr)
{
	const struct gsym_inline *inlined = &made->calls[call];
	for (uint32_t i = 0; i < inlined->range_count; i++) {
		struct gsym_range range = made->ranges[inlined->first_range + i];
		if (vaddr >= range.start_vaddr && vaddr < range.end_vaddr)
			return true;
	}
	return false;
}

/* Innermost first; how many. */
GSYM_MAKER_UNUSED static uint32_t scene_frames(const struct scene_function *made, uint64_t vaddr,
					       struct scene_frame frames[SCENE_MAX_DEPTH + 1])
{
	const struct gsym_function *function = &made->function;
	struct scene_frame leaf = {0};
	if (function->line_count && made->lines[0].vaddr < function->range.end_vaddr)
		leaf.file = made->lines[0].file;
	for (size_t i = 0; i < function->line_count && made->lines[i].vaddr <= vaddr; i++)
		leaf = (struct scene_frame){0, made->lines[i].file, made->lines[i].line};
	size_t path[SCENE_MAX_DEPTH];
	uint32_t depth = 0;
	for (size_t i = 0; i < function->inline_count; i++) {
		if (depth && made->calls[i].depth <= depth)
			break; /* out of the last one that covers vaddr */
		if (made->calls[i].depth == depth + 1 && scene_covers(made, i, vaddr))
			path[depth++] = i;
	}
	frames[0] = leaf;
	for (uint32_t i = 0; i < depth; i++) {
		const struct gsym_inline *call = &made->calls[path[depth - 1 - i]];
		frames[i].name = call->name;
		frames[i + 1] = (struct scene_frame){0, call->call_file, call->call_line};
	}
	frames[depth].name = function->name;
	return depth + 1;
}
