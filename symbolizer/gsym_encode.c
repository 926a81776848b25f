#include "symbolizer/gsym_encode.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "symbolizer/gsym_cells.h"
#include "symbolizer/gsym_format.h"

enum {
	/* Of one function. A short file can ask for the square of its length: every call within
	 * every range of its parent. */
	MAX_RANGES = 1 << 20,
	MAX_CALLS = 1 << 20,
	MAX_STOPS_BYTES = 1 << 30,
	SPECIAL_OPCODES = 256 - GSYM_LINE_FIRST_SPECIAL,
	COUNTED_LINES = 64, /* steps from -64 to 63 are counted to choose the best span */
};

void gsym_encoder_init(struct gsym_encoder *encoder)
{
	*encoder = (struct gsym_encoder){0};
	buf_init(&encoder->function, UINT32_MAX);
	buf_init(&encoder->line_stops, MAX_STOPS_BYTES);
	buf_init(&encoder->call_groups, MAX_STOPS_BYTES);
	buf_init(&encoder->group_depths, MAX_STOPS_BYTES);
	buf_init(&encoder->cell_starts, MAX_STOPS_BYTES);
	buf_init(&encoder->cell_groups, MAX_STOPS_BYTES);
}

void gsym_encoder_fini(struct gsym_encoder *encoder)
{
	buf_fini(&encoder->function);
	buf_fini(&encoder->line_stops);
	buf_fini(&encoder->call_groups);
	buf_fini(&encoder->group_depths);
	buf_fini(&encoder->cell_starts);
	buf_fini(&encoder->cell_groups);
	free(encoder->calls);
	free(encoder->ranges);
	free(encoder->cells);
}

static void append_sleb(struct buf *out, int64_t value)
{
	bool more = true;
	while (more) {
		uint8_t byte = value & 0x7f;
		value >>= 7; /* arithmetic in gcc and clang */
		more = !((value == 0 && !(byte & 0x40)) || (value == -1 && (byte & 0x40)));
		buf_append_u8(out, byte | (more ? 0x80 : 0));
	}
}

static void patch_u32(struct buf *out, size_t off, uint32_t value)
{
	for (size_t i = 0; !out->error && i < sizeof(value); i++)
		out->data[off + i] = (char)(value >> (8 * i));
}

/* Returns where the length of the block is to be written. */
static size_t open_block(struct buf *out, uint32_t type)
{
	buf_append_u32le(out, type);
	buf_append_u32le(out, 0);
	return out->len_bytes - 4;
}

static void close_block(struct buf *out, size_t length_off)
{
	patch_u32(out, length_off, (uint32_t)(out->len_bytes - length_off - 4));
}

/* Rows that matter: in the function, the last of those at one address, and a change. */
struct row_walk {
	const struct gsym_function *function;
	size_t next;
	struct gsym_line row; /* the current one */
	bool has_row;
};

/* The rows before the function's start count as one at its start, for the last of them holds
 * there. Without any, the file of the first row is right, and the line unknown: LLVM's reader
 * refuses an address before the first row altogether. */
static bool next_row(struct row_walk *walk)
{
	const struct gsym_line *lines = walk->function->lines;
	size_t count = walk->function->line_count;
	struct gsym_range range = walk->function->range;
	while (walk->next < count && lines[walk->next].vaddr < range.end_vaddr) {
		struct gsym_line row = lines[walk->next];
		if (!walk->has_row && row.vaddr > range.start_vaddr) {
			row.vaddr = range.start_vaddr;
			row.line = 0;
			walk->row = row;
			return walk->has_row = true;
		}
		walk->next++;
		uint64_t later_vaddr =
			row.vaddr > range.start_vaddr ? row.vaddr : range.start_vaddr;
		if (walk->next < count && lines[walk->next].vaddr <= later_vaddr)
			continue;
		if (walk->has_row && row.file == walk->row.file && row.line == walk->row.line)
			continue;
		row.vaddr = later_vaddr;
		if (walk->has_row && row.vaddr < walk->row.vaddr)
			continue; /* not in order */
		walk->row = row;
		return walk->has_row = true;
	}
	return false;
}

/* The first line step of the span that covers the most steps of this function. */
static int64_t best_first_step(const struct gsym_function *function)
{
	uint32_t counts[2 * COUNTED_LINES] = {0};
	struct row_walk walk = {.function = function};
	int64_t line = next_row(&walk) ? walk.row.line : 0;
	while (next_row(&walk)) {
		int64_t step = (int64_t)walk.row.line - line;
		if (step >= -COUNTED_LINES && step < COUNTED_LINES)
			counts[step + COUNTED_LINES]++;
		line = walk.row.line;
	}
	uint32_t inside = 0, most = 0;
	size_t best = COUNTED_LINES;
	for (size_t i = 0; i < 2 * COUNTED_LINES; i++) {
		inside += counts[i];
		inside -= i >= GSYM_LINE_SPAN ? counts[i - GSYM_LINE_SPAN] : 0;
		if (i + 1 >= GSYM_LINE_SPAN && inside > most) {
			most = inside;
			best = i + 1 - GSYM_LINE_SPAN;
		}
	}
	return (int64_t)best - COUNTED_LINES;
}

static void append_row(struct buf *out, int64_t first_step, uint64_t pc_step, int64_t line_step)
{
	int64_t in_span = line_step - first_step;
	if (in_span >= 0 && in_span < GSYM_LINE_SPAN &&
	    pc_step <= SPECIAL_OPCODES / GSYM_LINE_SPAN &&
	    pc_step * GSYM_LINE_SPAN + (uint64_t)in_span < SPECIAL_OPCODES) {
		buf_append_u8(out, (uint8_t)(GSYM_LINE_FIRST_SPECIAL + pc_step * GSYM_LINE_SPAN +
					     (uint64_t)in_span));
		return;
	}
	if (line_step) {
		buf_append_u8(out, GSYM_LINE_ADVANCE_LINE);
		append_sleb(out, line_step);
	}
	buf_append_u8(out, GSYM_LINE_ADVANCE_PC);
	buf_append_varint(out, pc_step);
}

/* Where a reader may begin, with row as the one that holds. */
static void add_line_stop(struct gsym_encoder *encoder, const struct gsym_function *function,
			  const struct gsym_line *row, size_t off)
{
	buf_append_u32le(&encoder->line_stops,
			 (uint32_t)(row->vaddr - function->range.start_vaddr));
	buf_append_u32le(&encoder->line_stops, (uint32_t)off);
	buf_append_u32le(&encoder->line_stops, row->file);
	buf_append_u32le(&encoder->line_stops, row->line);
}

static void append_lines(struct gsym_encoder *encoder, struct buf *out,
			 const struct gsym_function *function)
{
	struct row_walk walk = {.function = function};
	if (!next_row(&walk))
		return;
	int64_t first_step = best_first_step(function);
	size_t block = open_block(out, GSYM_BLOCK_LINES);
	append_sleb(out, first_step);
	append_sleb(out, first_step + GSYM_LINE_SPAN - 1);
	buf_append_varint(out, walk.row.line);
	struct gsym_line last = {function->range.start_vaddr, 1, walk.row.line};
	size_t rows = 0;
	do {
		if (walk.row.file != last.file) {
			buf_append_u8(out, GSYM_LINE_SET_FILE);
			buf_append_varint(out, walk.row.file);
		}
		append_row(out, first_step, walk.row.vaddr - last.vaddr,
			   (int64_t)walk.row.line - (int64_t)last.line);
		last = walk.row;
		if (++rows % GSYM_STOP_ROWS == 0)
			add_line_stop(encoder, function, &last, out->len_bytes - block - 4);
	} while (next_row(&walk));
	buf_append_u8(out, GSYM_LINE_END);
	close_block(out, block);
}

static int add_range(struct gsym_encoder *encoder, uint64_t start_vaddr, uint64_t end_vaddr)
{
	if (start_vaddr >= end_vaddr)
		return 0;
	int rc = ARRAY_RESERVE(encoder->ranges, encoder->range_cap, encoder->range_count,
			       MAX_RANGES);
	if (!rc)
		encoder->ranges[encoder->range_count++] =
			(struct gsym_range){start_vaddr, end_vaddr};
	return rc;
}

/* The parts of range that are inside the count ranges from first on, which are in order. */
static int add_inside(struct gsym_encoder *encoder, struct gsym_range range, size_t first,
		      size_t count)
{
	size_t low = first, high = first + count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (encoder->ranges[middle].end_vaddr <= range.start_vaddr)
			low = middle + 1;
		else
			high = middle;
	}
	int rc = 0;
	for (size_t i = low; !rc && i < first + count; i++) {
		struct gsym_range outer = encoder->ranges[i];
		if (outer.start_vaddr >= range.end_vaddr)
			break;
		rc = add_range(encoder,
			       outer.start_vaddr > range.start_vaddr ? outer.start_vaddr
								     : range.start_vaddr,
			       outer.end_vaddr < range.end_vaddr ? outer.end_vaddr
								 : range.end_vaddr);
	}
	return rc;
}

static int by_start(const void *a, const void *b)
{
	const struct gsym_range *left = a, *right = b;
	return (left->start_vaddr > right->start_vaddr) - (left->start_vaddr < right->start_vaddr);
}

/* Sort the ranges from first on, and join those that touch. */
static void tidy_ranges(struct gsym_encoder *encoder, size_t first)
{
	struct gsym_range *ranges = encoder->ranges;
	for (size_t i = first + 1; i < encoder->range_count; i++)
		if (ranges[i].start_vaddr < ranges[i - 1].start_vaddr) {
			qsort(ranges + first, encoder->range_count - first, sizeof(*ranges),
			      by_start);
			break;
		}
	size_t kept = first;
	for (size_t i = first; i < encoder->range_count; i++) {
		if (kept > first && ranges[i].start_vaddr <= ranges[kept - 1].end_vaddr) {
			if (ranges[i].end_vaddr > ranges[kept - 1].end_vaddr)
				ranges[kept - 1].end_vaddr = ranges[i].end_vaddr;
		} else {
			ranges[kept++] = ranges[i];
		}
	}
	encoder->range_count = kept;
}

/* Add call if any of it is inside its parent. -ENOSPC: too many ranges. */
static int clip_call(struct gsym_encoder *encoder, const struct gsym_function *function,
		     const struct gsym_inline *call, const struct gsym_clipped *parent)
{
	size_t first = encoder->range_count;
	for (uint32_t i = 0; i < call->range_count; i++) {
		int rc = add_inside(encoder, function->ranges[call->first_range + i],
				    parent->first_range, parent->range_count);
		if (rc)
			return rc;
	}
	if (encoder->range_count == first)
		return 0;
	tidy_ranges(encoder, first);
	int rc = ARRAY_RESERVE(encoder->calls, encoder->call_cap, encoder->call_count, MAX_CALLS);
	if (!rc)
		encoder->calls[encoder->call_count++] = (struct gsym_clipped){
			.call = call,
			.first_range = first,
			.range_count = encoder->range_count - first,
		};
	return rc;
}

/* Fill encoder->calls, in preorder; the first is the function itself. Calls that are too deep
 * or too many are left out: their code then counts as their callers'. */
static int clip_calls(struct gsym_encoder *encoder, const struct gsym_function *function)
{
	/* By depth, the last call that was met; positions + 1, 0 when it was left out. */
	size_t path[GSYM_MAX_DEPTH + 1] = {1};
	encoder->call_count = 0;
	encoder->range_count = 0;
	int rc = ARRAY_RESERVE(encoder->calls, encoder->call_cap, 0, MAX_CALLS);
	if (!rc)
		rc = add_range(encoder, function->range.start_vaddr, function->range.end_vaddr);
	if (rc)
		return rc;
	encoder->calls[encoder->call_count++] = (struct gsym_clipped){.range_count = 1};
	for (size_t i = 0; i < function->inline_count; i++) {
		const struct gsym_inline *call = &function->inlines[i];
		if (call->depth >= GSYM_MAX_DEPTH)
			continue;
		path[call->depth] = 0;
		size_t parent = path[call->depth - 1];
		if (!parent)
			continue;
		struct gsym_clipped outer = encoder->calls[parent - 1];
		size_t count = encoder->call_count;
		rc = clip_call(encoder, function, call, &outer);
		if (rc)
			return rc == -ENOSPC ? 0 : rc;
		if (encoder->call_count > count)
			path[call->depth] = encoder->call_count;
	}
	return 0;
}

static void append_call(struct gsym_encoder *encoder, struct buf *out, size_t position,
			uint64_t base_vaddr)
{
	static const struct gsym_inline function_itself = {0};
	const struct gsym_clipped *clipped = &encoder->calls[position];
	const struct gsym_inline *call = clipped->call ? clipped->call : &function_itself;
	buf_append_varint(out, clipped->range_count);
	for (size_t i = 0; i < clipped->range_count; i++) {
		struct gsym_range range = encoder->ranges[clipped->first_range + i];
		buf_append_varint(out, range.start_vaddr - base_vaddr);
		buf_append_varint(out, range.end_vaddr - range.start_vaddr);
	}
	bool has_children = position + 1 < encoder->call_count &&
			    encoder->calls[position + 1].call->depth > call->depth;
	buf_append_u8(out, has_children);
	buf_append_u32le(out, call->name);
	buf_append_varint(out, call->call_file);
	buf_append_varint(out, call->call_line);
}

/* *calls_bytes stays 0 when there are none. */
static void append_calls(struct gsym_encoder *encoder, struct buf *out, size_t *calls_bytes)
{
	if (encoder->call_count < 2)
		return;
	size_t block = open_block(out, GSYM_BLOCK_INLINES);
	uint64_t bases[GSYM_MAX_DEPTH + 1]; /* by depth: what ranges are relative to */
	bases[0] = encoder->ranges[0].start_vaddr;
	uint32_t open_depth = 0;
	for (size_t i = 0; i < encoder->call_count; i++) {
		struct gsym_clipped *clipped = &encoder->calls[i];
		uint32_t depth = clipped->call ? clipped->call->depth : 0;
		for (; open_depth > depth; open_depth--)
			buf_append_u8(out, 0); /* no more children */
		open_depth = depth;
		clipped->off = (uint32_t)(out->len_bytes - block - 4);
		append_call(encoder, out, i, bases[depth]);
		bases[depth + 1] = encoder->ranges[clipped->first_range].start_vaddr;
	}
	for (; open_depth > 0; open_depth--)
		buf_append_u8(out, 0);
	close_block(out, block);
	*calls_bytes = out->len_bytes - block - 4;
}

static bool is_preorder(const struct gsym_function *function)
{
	uint32_t last_depth = 0;
	for (size_t i = 0; i < function->inline_count; i++) {
		const struct gsym_inline *call = &function->inlines[i];
		if (call->depth < 1 || call->depth > last_depth + 1)
			return false;
		last_depth = call->depth;
	}
	return true;
}

/* In front of what is read backwards. */
static void append_words(const struct gsym_encoder *encoder, struct buf *out, uint32_t flags,
			 size_t calls_bytes)
{
	size_t begin = out->len_bytes;
	const struct buf *lines = &encoder->line_stops, *groups = &encoder->call_groups;
	const struct buf *tables[] = {&encoder->cell_groups, &encoder->group_depths,
				      &encoder->cell_starts, groups, lines};
	size_t tables_bytes = 0;
	for (size_t i = 0; i < ARRAY_LEN(tables); i++)
		tables_bytes += tables[i]->len_bytes;
	for (; tables_bytes % 4; tables_bytes++)
		buf_append_u8(out, 0);
	for (size_t i = 0; i < ARRAY_LEN(tables); i++)
		buf_append(out, tables[i]->data, tables[i]->len_bytes);
	if (groups->len_bytes) {
		buf_append_u32le(out, (uint32_t)(groups->len_bytes / GSYM_CALL_GROUP_BYTES) << 8 |
					      encoder->cell_shift);
		buf_append_u32le(out, (uint32_t)calls_bytes);
	}
	if (lines->len_bytes)
		buf_append_u32le(out, (uint32_t)(lines->len_bytes / GSYM_LINE_STOP_BYTES));
	flags |= calls_bytes ? GSYM_FLAG_CALLS : 0;
	flags |= lines->len_bytes ? GSYM_FLAG_LINE_STOPS : 0;
	flags |= groups->len_bytes ? GSYM_FLAG_CALL_CELLS : 0;
	buf_append_u32le(out, flags);
	assert(buf_error(out) || (out->len_bytes - begin) % 4 == 0);
}

/* Into buffers of the encoder. */
static int encode_parts(struct gsym_encoder *encoder, const struct gsym_function *function,
			size_t *calls_bytes)
{
	struct buf *bufs[] = {&encoder->function,     &encoder->line_stops,  &encoder->call_groups,
			      &encoder->group_depths, &encoder->cell_starts, &encoder->cell_groups};
	for (size_t i = 0; i < ARRAY_LEN(bufs); i++)
		buf_clear(bufs[i]);
	struct buf *out = &encoder->function;
	buf_append_u32le(out, (uint32_t)(function->range.end_vaddr - function->range.start_vaddr));
	buf_append_u32le(out, function->name);
	append_lines(encoder, out, function);
	append_calls(encoder, out, calls_bytes);
	buf_append_u32le(out, GSYM_BLOCK_END);
	buf_append_u32le(out, 0);
	while (out->len_bytes % 4)
		buf_append_u8(out, 0);
	int rc = *calls_bytes ? gsym_cells_make(encoder, *calls_bytes) : 0;
	for (size_t i = 0; !rc && i < ARRAY_LEN(bufs); i++)
		rc = buf_error(bufs[i]);
	return rc;
}

int gsym_encode(struct gsym_encoder *encoder, struct buf *out, const struct gsym_function *function,
		uint32_t flags, uint32_t *words_bytes)
{
	if (!is_preorder(function))
		return -EINVAL;
	size_t calls_bytes = 0;
	int rc = clip_calls(encoder, function);
	if (!rc)
		rc = encode_parts(encoder, function, &calls_bytes);
	if (rc)
		return rc;
	size_t begin = out->len_bytes;
	append_words(encoder, out, flags & GSYM_FLAGS_GIVEN, calls_bytes);
	*words_bytes = (uint32_t)(out->len_bytes - begin);
	buf_append(out, encoder->function.data, encoder->function.len_bytes);
	rc = buf_error(out);
	if (rc) {
		out->len_bytes = begin;
		out->error = 0;
	}
	return rc;
}
