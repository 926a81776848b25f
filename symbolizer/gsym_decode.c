#include "symbolizer/gsym_decode.h"

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
	function->words = r.pos;
	if (has_words)
		function->flags = reader_u32(&r);
	return !r.bad;
}

void gsym_line_begin(struct gsym_line_walk *walk, struct reader lines, uint64_t start_vaddr)
{
	*walk = (struct gsym_line_walk){.r = lines};
	walk->first_step = reader_sleb(&walk->r);
	int64_t last_step = reader_sleb(&walk->r);
	walk->row = (struct gsym_line){start_vaddr, 1, (uint32_t)reader_varint(&walk->r)};
	/* Steps of files that make no sense may be any number: no undefined arithmetic. */
	walk->span = (uint64_t)last_step - (uint64_t)walk->first_step + 1;
	walk->r.bad |= !walk->span;
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
			walk->row.file = (uint32_t)reader_varint(&walk->r);
			break;
		case GSYM_LINE_ADVANCE_PC:
			walk->row.vaddr += reader_varint(&walk->r);
			return !walk->r.bad;
		case GSYM_LINE_ADVANCE_LINE:
			walk->row.line += (uint32_t)reader_sleb(&walk->r);
			break;
		default:
			op -= GSYM_LINE_FIRST_SPECIAL;
			walk->row.line += (uint32_t)walk->first_step + (uint32_t)(op % walk->span);
			walk->row.vaddr += op / walk->span;
			return true;
		}
	}
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
		uint64_t start_vaddr = walk->base_vaddr + reader_varint(&walk->r);
		uint64_t size_bytes = reader_varint(&walk->r);
		walk->covers |= walk->wanted_vaddr - start_vaddr < size_bytes;
		if (i == 0)
			first_vaddr = start_vaddr;
	}
	return first_vaddr;
}

bool gsym_call_next(struct gsym_call_walk *walk)
{
	walk->range_count = reader_varint(&walk->r);
	while (!walk->range_count && walk->next_depth > 1 && !walk->r.bad) {
		walk->next_depth--; /* the end of a list of children */
		walk->range_count = reader_varint(&walk->r);
	}
	if (!walk->range_count || walk->next_depth > GSYM_MAX_DEPTH || walk->r.bad)
		return false;
	uint64_t first_vaddr = read_ranges(walk);
	bool has_children = reader_u8(&walk->r);
	walk->name = reader_u32(&walk->r);
	walk->call_file = (uint32_t)reader_varint(&walk->r);
	walk->call_line = (uint32_t)reader_varint(&walk->r);
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
	uint64_t start_vaddr = walk->base_vaddr + reader_varint(&walk->ranges);
	return (struct gsym_range){start_vaddr, start_vaddr + reader_varint(&walk->ranges)};
}
