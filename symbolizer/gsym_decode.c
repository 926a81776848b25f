#include "symbolizer/gsym_decode.h"

#include "symbolizer/gsym_encode.h"

/* reader_varint() with two and three bytes inline, too: code offsets are that long. */
static inline uint64_t read_varint(struct reader *r)
{
	const uint8_t *pos = r->pos;
	if (r->bad || r->end - pos < 3 || (pos[0] & pos[1] & pos[2] & 0x80))
		return reader_varint(r);
	if (pos[0] < 0x80) {
		r->pos += 1;
		return pos[0];
	}
	uint64_t value = (pos[0] & 0x7fu) | (pos[1] & 0x7fu) << 7;
	if (pos[1] < 0x80) {
		r->pos += 2;
		return value;
	}
	r->pos += 3;
	return value | (uint64_t)pos[2] << 14;
}

/* Hearth's words. What does not fit is left out. */
static void read_words(struct gsym_function_bytes *function, struct reader *r)
{
	function->flags_word = r->pos;
	function->flags = reader_u32(r);
	if (function->flags & GSYM_FLAG_LINE_STOPS)
		function->line_stops = reader_sub(r, (size_t)reader_u32(r) * GSYM_LINE_STOP_BYTES);
	if (function->flags & GSYM_FLAG_CALL_STOPS) {
		size_t stops_bytes = (size_t)reader_u32(r) * GSYM_CALL_STOP_BYTES;
		size_t bases_bytes = (size_t)reader_u32(r) * 4;
		function->call_stops = reader_sub(r, stops_bytes);
		function->call_bases = reader_sub(r, bases_bytes);
	}
}

bool gsym_function_read(struct gsym_function_bytes *function, struct reader r, bool has_words)
{
	*function = (struct gsym_function_bytes){0};
	function->size_bytes = reader_u32(&r);
	function->name = reader_u32(&r);
	for (;;) {
		uint32_t type = reader_u32(&r);
		struct reader block = reader_sub(&r, reader_u32(&r));
		if (r.bad)
			return false;
		if (type == GSYM_BLOCK_END)
			break;
		if (type == GSYM_BLOCK_LINES)
			function->lines = block;
		else if (type == GSYM_BLOCK_INLINES)
			function->calls = block;
	}
	if (has_words)
		read_words(function, &r);
	return !r.bad;
}

void gsym_line_begin(struct gsym_line_walk *walk, struct reader lines, uint64_t start_vaddr)
{
	*walk = (struct gsym_line_walk){.r = lines};
	walk->first_step = (uint64_t)reader_sleb(&walk->r);
	uint64_t last_step = (uint64_t)reader_sleb(&walk->r);
	walk->row = (struct gsym_line){start_vaddr, 1, (uint32_t)read_varint(&walk->r)};
	/* Steps of files that make no sense may be any number: no undefined arithmetic. */
	walk->span = last_step - walk->first_step + 1;
	walk->r.bad |= !walk->span;
}

/* A division is most of the time that a row takes; nearly all files have one span. */
static inline void step(struct gsym_line_walk *walk, uint8_t special)
{
	uint64_t pc_step =
		walk->span == GSYM_LINE_SPAN ? special / GSYM_LINE_SPAN : special / walk->span;
	walk->row.line += (uint32_t)(walk->first_step + (special - pc_step * walk->span));
	walk->row.vaddr += pc_step;
}

bool gsym_line_next(struct gsym_line_walk *walk)
{
	for (;;) {
		uint8_t op = reader_u8(&walk->r);
		switch (op) {
		case GSYM_LINE_END: /* and the end of the bytes */
			walk->r.bad = true;
			return false;
		case GSYM_LINE_SET_FILE:
			walk->row.file = (uint32_t)read_varint(&walk->r);
			break;
		case GSYM_LINE_ADVANCE_PC:
			walk->row.vaddr += read_varint(&walk->r);
			return !walk->r.bad;
		case GSYM_LINE_ADVANCE_LINE:
			walk->row.line += (uint32_t)reader_sleb(&walk->r);
			break;
		default:
			step(walk, op - GSYM_LINE_FIRST_SPECIAL);
			return true;
		}
	}
}

/* Begin at the last stop at or before vaddr. */
static void begin_at_stop(struct gsym_line_walk *walk, const struct gsym_function_bytes *function,
			  uint64_t start_vaddr, uint64_t vaddr)
{
	const uint8_t *stops = function->line_stops.pos;
	size_t low = 0;
	size_t high = reader_left_bytes(&function->line_stops) / GSYM_LINE_STOP_BYTES;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		struct reader r = reader_of(stops + middle * GSYM_LINE_STOP_BYTES, 4);
		if (start_vaddr + reader_u32(&r) <= vaddr)
			low = middle + 1;
		else
			high = middle;
	}
	if (!low)
		return;
	struct reader stop =
		reader_of(stops + (low - 1) * GSYM_LINE_STOP_BYTES, GSYM_LINE_STOP_BYTES);
	walk->row.vaddr = start_vaddr + reader_u32(&stop);
	walk->r = function->lines;
	reader_skip(&walk->r, reader_u32(&stop));
	walk->row.file = reader_u32(&stop);
	walk->row.line = reader_u32(&stop);
}

bool gsym_line_find(const struct gsym_function_bytes *function, uint64_t start_vaddr,
		    uint64_t vaddr, struct gsym_line *row)
{
	struct gsym_line_walk walk;
	gsym_line_begin(&walk, function->lines, start_vaddr);
	const uint8_t *begin = walk.r.pos;
	begin_at_stop(&walk, function, start_vaddr, vaddr);
	bool found = walk.r.pos != begin;
	*row = walk.row;
	while (gsym_line_next(&walk) && walk.row.vaddr <= vaddr) {
		*row = walk.row;
		found = true;
	}
	return found;
}

void gsym_call_begin(struct gsym_call_walk *walk, struct reader calls, uint64_t start_vaddr,
		     uint64_t wanted_vaddr)
{
	walk->r = calls;
	walk->wanted_vaddr = wanted_vaddr;
	walk->next_depth = 0;
	walk->bases[0] = start_vaddr;
	if (!calls.pos || calls.pos == calls.end)
		walk->r.bad = true;
}

static uint64_t read_ranges(struct gsym_call_walk *walk)
{
	walk->base_vaddr = walk->bases[walk->next_depth];
	walk->ranges = walk->r;
	walk->covers = false;
	uint64_t first_vaddr = 0;
	for (uint64_t i = 0; i < walk->range_count && !walk->r.bad; i++) {
		uint64_t start_vaddr = walk->base_vaddr + read_varint(&walk->r);
		uint64_t size_bytes = read_varint(&walk->r);
		walk->covers |= walk->wanted_vaddr - start_vaddr < size_bytes;
		if (i == 0)
			first_vaddr = start_vaddr;
	}
	return first_vaddr;
}

bool gsym_call_next(struct gsym_call_walk *walk)
{
	walk->range_count = read_varint(&walk->r);
	while (!walk->range_count && walk->next_depth > 1 && !walk->r.bad) {
		walk->next_depth--; /* the end of a list of children */
		walk->range_count = read_varint(&walk->r);
	}
	if (!walk->range_count || walk->next_depth > GSYM_MAX_DEPTH || walk->r.bad)
		return false;
	uint64_t first_vaddr = read_ranges(walk);
	bool has_children = reader_u8(&walk->r);
	walk->name = reader_u32(&walk->r);
	walk->call_file = (uint32_t)read_varint(&walk->r);
	walk->call_line = (uint32_t)read_varint(&walk->r);
	walk->depth = walk->next_depth;
	walk->bases[walk->depth + 1] = first_vaddr;
	if (has_children)
		walk->next_depth++;
	else if (!walk->depth)
		walk->r.end = walk->r.pos; /* a function without calls: nothing may follow */
	return !walk->r.bad;
}

struct gsym_range gsym_call_range(struct gsym_call_walk *walk)
{
	uint64_t start_vaddr = walk->base_vaddr + read_varint(&walk->ranges);
	return (struct gsym_range){start_vaddr, start_vaddr + read_varint(&walk->ranges)};
}

/* The calls found so far; the function itself, at depth 0, is around every address. */
struct chain {
	struct gsym_call *calls;
	uint32_t depth; /* of the last one found */
	bool is_done;
};

static void extend(struct chain *chain, const struct gsym_call_walk *walk)
{
	if (walk->depth <= chain->depth && walk->depth > 0) {
		/* What is around the address must be in the last one found, and that is over. */
		chain->is_done = chain->depth > 0;
		return;
	}
	if (walk->depth == chain->depth + 1 && walk->covers) {
		chain->calls[chain->depth++] =
			(struct gsym_call){walk->name, walk->call_file, walk->call_line};
		chain->is_done = chain->depth == GSYM_MAX_DEPTH;
	}
}

/* Look at the GSYM_STOP_CALLS calls of a stop, if any of them covers off. */
static void search_stop(struct chain *chain, const struct gsym_function_bytes *function,
			struct reader stop, uint64_t start_vaddr, uint64_t vaddr)
{
	uint64_t off = vaddr - start_vaddr;
	uint32_t lowest = reader_u32(&stop);
	if (off < lowest || off >= reader_u32(&stop))
		return;
	struct gsym_call_walk walk;
	gsym_call_begin(&walk, function->calls, start_vaddr, vaddr);
	reader_skip(&walk.r, reader_u32(&stop));
	walk.next_depth = reader_u32(&stop);
	struct reader bases = function->call_bases;
	reader_skip(&bases, (size_t)reader_u32(&stop) * 4);
	if (walk.next_depth > GSYM_MAX_DEPTH)
		return;
	for (uint32_t i = 1; i <= walk.next_depth; i++)
		walk.bases[i] = start_vaddr + reader_u32(&bases);
	for (int i = 0; i < GSYM_STOP_CALLS && !chain->is_done && gsym_call_next(&walk); i++)
		extend(chain, &walk);
}

uint32_t gsym_call_find(const struct gsym_function_bytes *function, uint64_t start_vaddr,
			uint64_t vaddr, struct gsym_call calls[static GSYM_MAX_DEPTH])
{
	struct chain chain = {.calls = calls};
	struct reader stops = function->call_stops;
	if (reader_left_bytes(&stops)) {
		while (reader_left_bytes(&stops) && !chain.is_done)
			search_stop(&chain, function, reader_sub(&stops, GSYM_CALL_STOP_BYTES),
				    start_vaddr, vaddr);
		return chain.depth;
	}
	struct gsym_call_walk walk;
	gsym_call_begin(&walk, function->calls, start_vaddr, vaddr);
	while (!chain.is_done && gsym_call_next(&walk))
		extend(&chain, &walk);
	return chain.depth;
}
