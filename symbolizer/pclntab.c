#include "symbolizer/pclntab.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/group.h"
#include "base/map.h"
#include "profile/preorder.h"
#include "symbolizer/pclntab_calls.h"
#include "symbolizer/pclntab_table.h"

enum {
	MAX_LINES = 16 << 20,  /* of one function */
	MAX_RANGES = 16 << 20, /* likewise */
	MAX_STEPS = 256 << 20, /* of all: functions may share their tables, so those do not say */
	MAX_STRINGS = 8 << 20,
};

/* Names may overlap each other, so that many long ones fit a small file. */
static const uint64_t max_string_bytes = UINT64_C(1) << 30;

struct compiling {
	struct pclntab_table table;
	struct pclntab_calls calls;
	struct gsym_builder *builder;
	struct pclntab_stats *stats;
	struct map names, files; /* by place in the table: id + 1 */
	uint64_t string_bytes;   /* hashed so far */
	uint64_t steps;          /* taken so far */

	/* Of the function at hand. */
	struct gsym_line *lines;
	size_t line_count, line_cap;
	struct gsym_range *pieces; /* of code within inlined calls, outer ones included */
	uint32_t *piece_calls;     /* the call of each */
	size_t piece_count, piece_cap, piece_call_cap;
};

static void compiling_fini(struct compiling *compiling)
{
	pclntab_table_fini(&compiling->table);
	pclntab_calls_fini(&compiling->calls);
	map_fini(&compiling->names);
	map_fini(&compiling->files);
	free(compiling->lines);
	free(compiling->pieces);
	free(compiling->piece_calls);
}

static int add_string(struct compiling *compiling, const char *text, size_t len_bytes, uint32_t *id)
{
	compiling->string_bytes += len_bytes;
	if (compiling->string_bytes > max_string_bytes)
		return -ENOSPC;
	return gsym_builder_add_string(compiling->builder, text, len_bytes, id);
}

/* Each place in the table is a string once. */
static uint64_t key_of(const struct compiling *compiling, const char *text)
{
	return (uint64_t)((const uint8_t *)text - compiling->table.data) + 1;
}

static int name_id(struct compiling *compiling, uint32_t name_off, uint32_t *id)
{
	const char *text = pclntab_string(&compiling->table.names, name_off);
	*id = 0;
	if (!text)
		return 0;
	uintptr_t known = (uintptr_t)map_get(&compiling->names, key_of(compiling, text));
	if (known) {
		*id = (uint32_t)(known - 1);
		return 0;
	}
	int rc = add_string(compiling, text, strlen(text), id);
	return rc ? rc
		  : map_put(&compiling->names, key_of(compiling, text),
			    (void *)((uintptr_t)*id + 1)); /* NOLINT: a number */
}

static int add_file(struct compiling *compiling, const char *path, uint32_t *id)
{
	const char *slash = strrchr(path, '/');
	const char *base = slash ? slash + 1 : path;
	size_t directory_bytes = slash ? (size_t)(slash - path) : 0;
	if (slash == path)
		directory_bytes = 1; /* the root */
	uint32_t directory_id, base_id;
	int rc = add_string(compiling, path, directory_bytes, &directory_id);
	if (!rc)
		rc = add_string(compiling, base, strlen(base), &base_id);
	return rc ? rc : gsym_builder_add_file(compiling->builder, directory_id, base_id, id);
}

static int file_id(struct compiling *compiling, const struct pclntab_function *function,
		   int32_t number, uint32_t *id)
{
	const char *path = pclntab_file(&compiling->table, function, number);
	*id = 0;
	if (!path || !path[0])
		return 0;
	uintptr_t known = (uintptr_t)map_get(&compiling->files, key_of(compiling, path));
	if (known) {
		*id = (uint32_t)(known - 1);
		return 0;
	}
	int rc = add_file(compiling, path, id);
	return rc ? rc
		  : map_put(&compiling->files, key_of(compiling, path),
			    (void *)((uintptr_t)*id + 1)); /* NOLINT: a number */
}

static int add_line(struct compiling *compiling, uint64_t vaddr, uint32_t file, int32_t line)
{
	struct gsym_line row = {vaddr, file, file && line > 0 ? (uint32_t)line : 0};
	if (!row.line)
		row.file = 0; /* the runtime says nothing when it lacks one of them */
	const struct gsym_line *last =
		compiling->line_count ? &compiling->lines[compiling->line_count - 1] : NULL;
	if (last && last->file == row.file && last->line == row.line)
		return 0;
	int rc = ARRAY_RESERVE(compiling->lines, compiling->line_cap, compiling->line_count,
			       MAX_LINES);
	if (!rc)
		compiling->lines[compiling->line_count++] = row;
	return rc;
}

/* Two sequences of ranges, of files and of lines, become one. */
static int read_lines(struct compiling *compiling, const struct pclntab_function *function)
{
	const struct pclntab_table *table = &compiling->table;
	struct pclntab_values files = pclntab_values_of(table, function, function->file_values);
	struct pclntab_values lines = pclntab_values_of(table, function, function->line_values);
	bool has_file = pclntab_values_next(&files), has_line = pclntab_values_next(&lines);
	uint64_t vaddr = function->start_vaddr;
	compiling->line_count = 0;
	while (has_file && has_line) {
		uint32_t file;
		if (++compiling->steps > MAX_STEPS)
			return -ENOSPC;
		int rc = file_id(compiling, function, files.value, &file);
		if (!rc)
			rc = add_line(compiling, vaddr, file, lines.value);
		if (rc)
			return rc;
		vaddr = files.end_vaddr < lines.end_vaddr ? files.end_vaddr : lines.end_vaddr;
		if (files.end_vaddr == vaddr)
			has_file = pclntab_values_next(&files);
		if (lines.end_vaddr == vaddr)
			has_line = pclntab_values_next(&lines);
	}
	return vaddr < function->end_vaddr ? add_line(compiling, vaddr, 0, 0) : 0;
}

static struct gsym_line line_at(const struct compiling *compiling, uint64_t vaddr)
{
	size_t low = 0, high = compiling->line_count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (compiling->lines[middle].vaddr <= vaddr)
			low = middle + 1;
		else
			high = middle;
	}
	return low ? compiling->lines[low - 1] : (struct gsym_line){0};
}

static int add_piece(struct compiling *compiling, uint32_t call, struct gsym_range range)
{
	if (++compiling->steps > MAX_STEPS)
		return -ENOSPC;
	int rc = ARRAY_RESERVE(compiling->pieces, compiling->piece_cap, compiling->piece_count,
			       MAX_RANGES);
	if (!rc)
		rc = ARRAY_RESERVE(compiling->piece_calls, compiling->piece_call_cap,
				   compiling->piece_count, MAX_RANGES);
	if (rc)
		return rc;
	compiling->pieces[compiling->piece_count] = range;
	compiling->piece_calls[compiling->piece_count++] = call;
	return 0;
}

/* A piece of code is of its innermost call and of all that this is in. */
static int spread_pieces(struct compiling *compiling)
{
	const struct pclntab_calls *calls = &compiling->calls;
	compiling->piece_count = 0;
	for (size_t i = 0; i < calls->piece_count; i++) {
		struct gsym_range range = {calls->pieces[i].start_vaddr,
					   calls->pieces[i].end_vaddr};
		for (uint32_t call = calls->pieces[i].call; call;
		     call = calls->calls[call].parent) {
			int rc = add_piece(compiling, call, range);
			if (rc)
				return rc;
		}
	}
	return 0;
}

/* Memory for the inlined calls of one function. */
struct inlines {
	struct gsym_inline *items; /* in preorder */
	struct gsym_range *ranges;
	uint32_t *parents, *positions, *sizes; /* by call */
	uint32_t *order;                       /* calls by position */
	uint32_t *starts, *grouped;            /* pieces by call */
};

static void inlines_fini(struct inlines *inlines)
{
	free(inlines->items);
	free(inlines->ranges);
	free(inlines->parents);
	free(inlines->positions);
	free(inlines->sizes);
	free(inlines->order);
	free(inlines->starts);
	free(inlines->grouped);
}

static int inlines_init(struct inlines *inlines, size_t calls, size_t pieces)
{
	inlines->items = calloc(calls + 1, sizeof(*inlines->items));
	inlines->ranges = calloc(pieces + 1, sizeof(*inlines->ranges));
	inlines->parents = calloc(calls + 1, sizeof(*inlines->parents));
	inlines->positions = calloc(calls + 1, sizeof(*inlines->positions));
	inlines->sizes = calloc(calls + 1, sizeof(*inlines->sizes));
	inlines->order = calloc(calls + 1, sizeof(*inlines->order));
	inlines->starts = calloc(calls + 1, sizeof(*inlines->starts));
	inlines->grouped = calloc(pieces + 1, sizeof(*inlines->grouped));
	bool has_all = inlines->items && inlines->ranges && inlines->parents &&
		       inlines->positions && inlines->sizes && inlines->order && inlines->starts &&
		       inlines->grouped;
	return has_all ? 0 : -ENOMEM;
}

static int order_calls(struct compiling *compiling, struct inlines *inlines)
{
	const struct pclntab_calls *calls = &compiling->calls;
	for (uint32_t i = 0; i < calls->call_count; i++)
		inlines->parents[i] = calls->calls[i].parent;
	int rc = preorder(calls->call_count, inlines->parents, NULL, 0, inlines->positions,
			  inlines->sizes);
	for (uint32_t i = 0; i < calls->call_count && !rc; i++)
		inlines->order[inlines->positions[i]] = i;
	group_by_key(compiling->piece_count, NULL, compiling->piece_calls, calls->call_count,
		     inlines->starts, inlines->grouped);
	return rc;
}

/* One call, with its pieces put together where they touch. */
static int fill_inline(struct compiling *compiling, struct inlines *inlines, uint32_t call_id,
		       struct gsym_inline *item, uint32_t *range_count)
{
	const struct pclntab_call *call = &compiling->calls.calls[call_id];
	struct gsym_line line = line_at(compiling, call->call_vaddr);
	*item = (struct gsym_inline){
		.call_file = line.file,
		.call_line = line.line,
		.depth = call->depth,
		.first_range = *range_count,
	};
	for (uint32_t i = inlines->starts[call_id]; i < inlines->starts[call_id + 1]; i++) {
		struct gsym_range range = compiling->pieces[inlines->grouped[i]];
		struct gsym_range *last =
			item->range_count ? &inlines->ranges[*range_count - 1] : NULL;
		if (last && last->end_vaddr == range.start_vaddr) {
			last->end_vaddr = range.end_vaddr;
			continue;
		}
		inlines->ranges[(*range_count)++] = range;
		item->range_count++;
	}
	return name_id(compiling, call->name_off, &item->name);
}

static int fill_inlines(struct compiling *compiling, struct inlines *inlines)
{
	uint32_t range_count = 0;
	int rc = order_calls(compiling, inlines);
	for (uint32_t i = 1; i < compiling->calls.call_count && !rc; i++)
		rc = fill_inline(compiling, inlines, inlines->order[i], &inlines->items[i - 1],
				 &range_count);
	return rc;
}

static int add_function(struct compiling *compiling, const struct pclntab_function *function)
{
	struct gsym_function added = {
		.range = {function->start_vaddr, function->end_vaddr},
		.source = GSYM_FROM_PCLNTAB,
	};
	AUTO_FINI(inlines_fini) struct inlines inlines = {0};
	int rc = name_id(compiling, function->name_off, &added.name);
	if (!rc)
		rc = read_lines(compiling, function);
	if (!rc)
		rc = pclntab_calls_read(&compiling->calls, function);
	if (!rc && compiling->calls.call_count > 1) {
		rc = spread_pieces(compiling);
		if (!rc)
			rc = inlines_init(&inlines, compiling->calls.call_count,
					  compiling->piece_count);
		if (!rc)
			rc = fill_inlines(compiling, &inlines);
		added.inlines = inlines.items;
		added.inline_count = compiling->calls.call_count - 1;
		added.ranges = inlines.ranges;
	}
	added.lines = compiling->lines;
	added.line_count = compiling->line_count;
	compiling->stats->functions++;
	compiling->stats->lines += added.line_count;
	compiling->stats->inlined_calls += added.inline_count;
	return rc ? rc : gsym_builder_add_function(compiling->builder, &added);
}

static int add_functions(struct compiling *compiling)
{
	uint64_t end_vaddr = 0; /* of the one before: they are in order, and apart */
	int rc = 0;
	for (uint32_t i = 0; i < compiling->table.function_count && !rc; i++) {
		struct pclntab_function function;
		if (!pclntab_function_at(&compiling->table, i, &function) ||
		    function.start_vaddr < end_vaddr ||
		    !pclntab_string(&compiling->table.names, function.name_off)) {
			compiling->stats->malformed++;
			continue;
		}
		end_vaddr = function.end_vaddr;
		rc = add_function(compiling, &function);
	}
	return rc;
}

int pclntab_compile(const struct elf_file *elf, struct gsym_builder *builder,
		    struct pclntab_stats *stats, struct err *err)
{
	static const uint16_t minors[] = {
		[PCLNTAB_1_2] = 2, [PCLNTAB_1_16] = 16, [PCLNTAB_1_18] = 18, [PCLNTAB_1_20] = 20};
	struct pclntab_stats counted = {0};
	AUTO_FINI(compiling_fini)
	struct compiling compiling = {.builder = builder, .stats = &counted};
	map_init(&compiling.names, MAX_STRINGS);
	map_init(&compiling.files, MAX_STRINGS);
	int rc = pclntab_table_open(&compiling.table, elf, err);
	if (rc)
		return rc;
	rc = pclntab_calls_init(&compiling.calls, &compiling.table);
	if (!rc)
		rc = add_functions(&compiling);
	if (rc)
		return err_set(err, rc, "Go's functions: %m");
	counted.go_minor = minors[compiling.table.version];
	*stats = counted;
	return 0;
}
