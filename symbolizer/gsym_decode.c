#include "symbolizer/gsym_decode.h"

#include "symbolizer/gsym_encode.h"

/* The last bytes, which r ends before then; NULL (and bad) when there are fewer. */
static const uint8_t *take_last(struct reader *r, size_t len_bytes)
{
	r->bad |= len_bytes > (size_t)(r->end - r->pos);
	if (r->bad)
		return NULL;
	r->end -= len_bytes;
	return r->end;
}

static uint32_t take_last_u32(struct reader *r)
{
	struct reader word = {.pos = take_last(r, 4), .end = r->end + 4, .bad = r->bad};
	return reader_u32(&word);
}

static void take_cells(struct gsym_function_bytes *function, struct reader *words, uint32_t head)
{
	uint32_t shift = head & 0xff;
	words->bad |= shift > 31 || !function->size_bytes;
	if (words->bad)
		return;
	function->cell_shift = shift;
	function->cell_count = ((function->size_bytes - 1) >> shift) + 1;
	function->group_count = head >> 8;
	function->group_bytes = function->group_count <= UINT8_MAX + 1 ? 1 : 2;
	function->call_groups =
		take_last(words, (size_t)function->group_count * GSYM_CALL_GROUP_BYTES);
	const uint8_t *starts = take_last(words, ((size_t)function->cell_count + 1) * 2);
	function->group_depths = take_last(words, function->group_count);
	if (!function->group_depths)
		return;
	uint16_t entry_count;
	memcpy(&entry_count, starts + (size_t)function->cell_count * 2, sizeof(entry_count));
	size_t entries_bytes = (size_t)entry_count * function->group_bytes;
	const uint8_t *entries = take_last(words, entries_bytes);
	if (!entries)
		return;
	function->cell_groups = reader_of(entries, entries_bytes);
	function->cell_starts = starts;
}

/* Hearth's words; false: there is less than they say. */
static bool take_words(struct gsym_function_bytes *function, struct reader words)
{
	function->flags = take_last_u32(&words);
	function->flags_word = words.end;
	if (function->flags & GSYM_FLAG_LINE_STOPS)
		function->line_stop_count = take_last_u32(&words);
	uint32_t head = 0;
	if (function->flags & GSYM_FLAG_CALL_CELLS) {
		function->calls_bytes = take_last_u32(&words);
		head = take_last_u32(&words);
	}
	function->line_stops =
		take_last(&words, (size_t)function->line_stop_count * GSYM_LINE_STOP_BYTES);
	if (function->flags & GSYM_FLAG_CALL_CELLS)
		take_cells(function, &words, head);
	return !words.bad;
}

/* As Hearth writes them, and without a look at what is far away and known already: memory that
 * nobody has asked for lately is most of what a lookup waits for. */
static bool read_own_blocks(struct gsym_function_bytes *function, struct reader *r)
{
	uint32_t type = reader_u32(r);
	uint32_t len_bytes = reader_u32(r);
	if (type == GSYM_BLOCK_LINES) {
		function->lines = reader_sub(r, len_bytes);
		if (!(function->flags & GSYM_FLAG_CALLS))
			return !r->bad;
		if (function->flags & GSYM_FLAG_CALL_CELLS) {
			reader_skip(r, GSYM_BLOCK_HEAD_BYTES);
			function->calls = reader_sub(r, function->calls_bytes);
			return !r->bad;
		}
		type = reader_u32(r);
		len_bytes = reader_u32(r);
	}
	if (type == GSYM_BLOCK_INLINES)
		function->calls = reader_sub(r, len_bytes);
	return !r->bad;
}

static bool read_blocks(struct gsym_function_bytes *function, struct reader *r)
{
	for (;;) {
		uint32_t type = reader_u32(r);
		struct reader block = reader_sub(r, reader_u32(r));
		if (r->bad || type == GSYM_BLOCK_END)
			return !r->bad;
		if (type == GSYM_BLOCK_LINES)
			function->lines = block;
		else if (type == GSYM_BLOCK_INLINES)
			function->calls = block;
	}
}

bool gsym_function_read(struct gsym_function_bytes *function, struct reader r,
			const struct reader *words)
{
	*function = (struct gsym_function_bytes){0};
	function->size_bytes = reader_u32(&r);
	function->name = reader_u32(&r);
	if (!words)
		return read_blocks(function, &r);
	return take_words(function, *words) && read_own_blocks(function, &r);
}

void gsym_line_begin(struct gsym_line_walk *walk, struct reader lines, uint64_t start_vaddr)
{
	*walk = (struct gsym_line_walk){.r = lines};
	walk->first_step = (uint64_t)reader_sleb(&walk->r);
	uint64_t last_step = (uint64_t)reader_sleb(&walk->r);
	walk->row = (struct gsym_line){start_vaddr, 1, (uint32_t)gsym_varint(&walk->r)};
	/* Steps of files that make no sense may be any number: no undefined arithmetic. */
	walk->span = last_step - walk->first_step + 1;
	walk->r.bad |= !walk->span;
}

void gsym_call_begin(struct gsym_call_walk *walk, struct reader calls, uint64_t start_vaddr)
{
	walk->r = calls;
	walk->next_depth = 0;
	walk->bases[0] = start_vaddr;
	if (!calls.pos || calls.pos == calls.end)
		walk->r.bad = true;
}

static uint64_t skip_ranges(struct gsym_call_walk *walk)
{
	walk->base_vaddr = walk->bases[walk->next_depth];
	walk->ranges = walk->r;
	uint64_t first_vaddr = 0;
	for (uint64_t i = 0; i < walk->range_count && !walk->r.bad; i++) {
		uint64_t start_vaddr = walk->base_vaddr + gsym_varint(&walk->r);
		(void)gsym_varint(&walk->r);
		if (i == 0)
			first_vaddr = start_vaddr;
	}
	return first_vaddr;
}

bool gsym_call_next(struct gsym_call_walk *walk)
{
	walk->range_count = gsym_varint(&walk->r);
	while (!walk->range_count && walk->next_depth > 1 && !walk->r.bad) {
		walk->next_depth--; /* the end of a list of children */
		walk->range_count = gsym_varint(&walk->r);
	}
	if (!walk->range_count || walk->next_depth > GSYM_MAX_DEPTH || walk->r.bad)
		return false;
	uint64_t first_vaddr = skip_ranges(walk);
	bool has_children = reader_u8(&walk->r);
	walk->name = reader_u32(&walk->r);
	walk->call_file = (uint32_t)gsym_varint(&walk->r);
	walk->call_line = (uint32_t)gsym_varint(&walk->r);
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
	uint64_t start_vaddr = walk->base_vaddr + gsym_varint(&walk->ranges);
	return (struct gsym_range){start_vaddr, start_vaddr + gsym_varint(&walk->ranges)};
}
