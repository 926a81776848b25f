#include "symbolizer/gsym_find.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "tables are read as they are");

static uint32_t word_at(const uint8_t *words, size_t position)
{
	uint32_t value;
	memcpy(&value, words + position * sizeof(value), sizeof(value));
	return value;
}

/* How many stops are at or before code_off. No branch that would be guessed wrong every second
 * time. */
static size_t stops_before(const struct gsym_function_bytes *function, uint64_t code_off)
{
	const size_t words = GSYM_LINE_STOP_BYTES / 4;
	size_t low = 0, count = function->line_stop_count;
	for (; count > 1; count -= count / 2)
		low += word_at(function->line_stops, (low + count / 2 - 1) * words) <= code_off
			       ? count / 2
			       : 0;
	return low + (count && word_at(function->line_stops, low * words) <= code_off);
}

/* Begin at the last stop at or before vaddr. False: there is none. */
static bool begin_at_stop(struct gsym_line_walk *walk, const struct gsym_function_bytes *function,
			  uint64_t start_vaddr, uint64_t vaddr)
{
	size_t stops = stops_before(function, vaddr - start_vaddr);
	if (!stops || walk->r.bad)
		return false;
	const uint8_t *stop = function->line_stops + (stops - 1) * GSYM_LINE_STOP_BYTES;
	walk->row = (struct gsym_line){
		.vaddr = start_vaddr + word_at(stop, 0),
		.file = word_at(stop, 2),
		.line = word_at(stop, 3),
	};
	walk->r = function->lines;
	reader_skip(&walk->r, word_at(stop, 1));
	return true;
}

struct gsym_line gsym_line_find(const struct gsym_function_bytes *function, uint64_t start_vaddr,
				uint64_t vaddr)
{
	struct gsym_line_walk begin;
	gsym_line_begin(&begin, function->lines, start_vaddr);
	struct gsym_line_walk walk = begin; /* of which no address is given away */
	struct gsym_line row = {0};
	if (begin_at_stop(&walk, function, start_vaddr, vaddr))
		row = walk.row;
	while (gsym_line_next(&walk) && walk.row.vaddr <= vaddr)
		row = walk.row;
	return row;
}

/* The calls found so far. */
struct chain {
	struct gsym_call *calls;
	uint32_t depth;    /* of the last one found; 0: only the function itself */
	uint64_t base_off; /* what the ranges in the last one found are relative to */
};

static inline void skip_varints(struct reader *r, uint64_t count)
{
	const uint8_t *pos = r->pos;
	while (count && pos < r->end)
		count -= *pos++ < 0x80;
	r->pos = pos;
	r->bad |= count > 0;
}

/* Is code_off in one of the ranges? */
static inline bool read_ranges(struct reader *r, uint64_t count, uint64_t base_off,
			       uint64_t code_off, uint64_t *first_off)
{
	for (uint64_t i = 0; i < count && !r->bad; i++) {
		uint64_t start_off = base_off + gsym_varint(r);
		uint64_t size_bytes = gsym_varint(r);
		if (i == 0)
			*first_off = start_off;
		if (code_off - start_off < size_bytes) {
			skip_varints(r, 2 * (count - i - 1));
			return true;
		}
	}
	return false;
}

struct call_end {
	struct gsym_call call;
	bool has_children;
};

/* What follows the ranges. */
static inline struct call_end read_end(struct reader *r)
{
	struct call_end end;
	end.has_children = reader_u8(r);
	end.call.name = reader_u32(r);
	end.call.call_file = (uint32_t)gsym_varint(r);
	end.call.call_line = (uint32_t)gsym_varint(r);
	return end;
}

/* The next call is one that may be around code_off: it is within the last one found. True: the
 * search is over. */
static inline bool try_call(struct chain *chain, struct reader *r, uint64_t range_count,
			    uint64_t code_off, bool *has_children)
{
	uint64_t first_off = 0;
	bool covers = read_ranges(r, range_count, chain->base_off, code_off, &first_off);
	struct call_end end = read_end(r);
	*has_children = end.has_children;
	if (!covers || r->bad)
		return r->bad;
	chain->calls[chain->depth++] = end.call;
	chain->base_off = first_off;
	return !end.has_children || chain->depth == GSYM_MAX_DEPTH;
}

/* Look at call_count calls from *at on, the first of them at depth; *at is then behind them. True:
 * the search is over. */
static bool search(struct chain *chain, struct reader *at, uint32_t depth, uint32_t call_count,
		   uint64_t code_off)
{
	struct reader r = *at; /* of which no address is given away, see reader_varint() */
	while (call_count && depth <= GSYM_MAX_DEPTH) {
		uint64_t range_count = gsym_varint(&r);
		if (r.bad)
			return true;
		if (!range_count) { /* the end of a list of children */
			if (!--depth)
				return true;
			continue;
		}
		if (depth <= chain->depth)
			return true; /* out of the last one found */
		bool has_children;
		if (depth > chain->depth + 1) {
			/* in a call that is not around code_off */
			skip_varints(&r, 2 * range_count);
			has_children = read_end(&r).has_children;
		} else if (try_call(chain, &r, range_count, code_off, &has_children)) {
			return true;
		}
		depth += has_children;
		call_count--;
	}
	*at = r;
	return call_count > 0;
}

static void search_all(struct chain *chain, const struct gsym_function_bytes *function,
		       uint64_t code_off)
{
	struct reader r = function->calls;
	uint64_t range_count = gsym_varint(&r);
	if (!range_count)
		return;
	(void)read_ranges(&r, range_count, 0, UINT64_MAX, &chain->base_off);
	/* The function itself; without calls nothing may follow. */
	if (read_end(&r).has_children)
		(void)search(chain, &r, 1, UINT32_MAX, code_off);
}

/* A group has calls that are not near code_off, too. One within a call that is in none of the
 * groups listed could be taken for one within the last call found, but that one is over by then:
 * some call between the groups is no deeper. */
static bool is_over(const struct chain *chain, const struct gsym_function_bytes *function,
		    uint32_t first_group, uint32_t end_group)
{
	for (uint32_t i = first_group; chain->depth && i < end_group; i++)
		if (function->group_depths[i] <= chain->depth)
			return true;
	return false;
}

/* False: the search is over. Groups are in order, so that whatever the table says, each byte is
 * read once. */
static bool search_group(struct chain *chain, const struct gsym_function_bytes *function,
			 uint32_t group, uint64_t code_off, const uint8_t **floor)
{
	uint32_t begin = word_at(function->call_groups, group);
	uint32_t depth = begin >> GSYM_GROUP_DEPTH_SHIFT;
	struct reader r = function->calls;
	reader_skip(&r, begin & GSYM_GROUP_OFF_MASK);
	if (r.bad || r.pos < *floor || !depth ||
	    search(chain, &r, depth, GSYM_GROUP_CALLS, code_off))
		return false;
	*floor = r.pos;
	return true;
}

static void search_cell(struct chain *chain, const struct gsym_function_bytes *function,
			uint64_t code_off)
{
	uint64_t cell = code_off >> function->cell_shift;
	if (cell >= function->cell_count)
		return;
	uint16_t first, last;
	memcpy(&first, function->cell_starts + 2 * cell, sizeof(first));
	memcpy(&last, function->cell_starts + 2 * (cell + 1), sizeof(last));
	struct reader entries = function->cell_groups;
	reader_skip(&entries, (size_t)first * function->group_bytes);
	const uint8_t *floor = function->calls.pos;
	uint32_t next = 0; /* group */
	for (uint32_t i = first; i < last; i++) {
		uint32_t group =
			function->group_bytes == 1 ? reader_u8(&entries) : reader_u16(&entries);
		if (group < next || group >= function->group_count ||
		    is_over(chain, function, next, group) ||
		    !search_group(chain, function, group, code_off, &floor))
			return;
		next = group + 1;
	}
}

uint32_t gsym_call_find(const struct gsym_function_bytes *function, uint64_t code_off,
			struct gsym_call calls[static GSYM_MAX_DEPTH])
{
	struct chain chain = {.calls = calls};
	if (!reader_left_bytes(&function->calls))
		return 0;
	if (function->cell_starts)
		search_cell(&chain, function, code_off);
	else
		search_all(&chain, function, code_off);
	return chain.depth;
}
