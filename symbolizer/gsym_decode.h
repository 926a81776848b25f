/*
 * gsym_decode: walks over the bytes of one function in a GSYM file.
 *
 * Input is untrusted: nothing is read outside it, and whatever it claims, a walk ends within
 * its bytes. Nothing is allocated. One thread a walk.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/reader.h"
#include "symbolizer/gsym_builder.h"
#include "symbolizer/gsym_format.h"

struct gsym_function_bytes {
	uint32_t size_bytes; /* of the code */
	uint32_t name;       /* string */
	uint32_t flags;      /* of enum gsym_flag; 0 in files of others */
	struct reader lines, calls;
	/* Hearth's; none of them where there are none. */
	const uint8_t *flags_word;
	const uint8_t *line_stops;  /* line_stop_count of GSYM_LINE_STOP_BYTES */
	const uint8_t *call_groups; /* group_count words */
	const uint8_t *cell_starts; /* cell_count + 1 of 2 bytes */
	const uint8_t *group_depths;
	struct reader cell_groups; /* group_bytes each */
	uint32_t line_stop_count, group_count, group_bytes, cell_shift, cell_count, calls_bytes;
};

/* The function that r begins with. words: all bytes before it, at the end of which Hearth's are;
 * NULL: there are none. False: not a function. */
bool gsym_function_read(struct gsym_function_bytes *function, struct reader r,
			const struct reader *words);

/* reader_varint() with two and three bytes inline, too: code offsets are that long. */
static inline uint64_t gsym_varint(struct reader *r)
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

/* The rows of a function: for (begin(); next();) use walk.row. They are many, so all of it is
 * inline. */
struct gsym_line_walk {
	struct gsym_line row;
	struct reader r;
	uint64_t first_step, span;
};

void gsym_line_begin(struct gsym_line_walk *walk, struct reader lines, uint64_t start_vaddr);

/* A division is most of the time that a row takes; nearly all files have one span. */
static inline void gsym_line_step(struct gsym_line_walk *walk, uint8_t special)
{
	uint64_t pc_step =
		walk->span == GSYM_LINE_SPAN ? special / GSYM_LINE_SPAN : special / walk->span;
	walk->row.line += (uint32_t)(walk->first_step + (special - pc_step * walk->span));
	walk->row.vaddr += pc_step;
}

static inline bool gsym_line_next(struct gsym_line_walk *walk)
{
	for (;;) {
		uint8_t op = reader_u8(&walk->r);
		if (op >= GSYM_LINE_FIRST_SPECIAL) {
			gsym_line_step(walk, op - GSYM_LINE_FIRST_SPECIAL);
			return true;
		}
		if (op == GSYM_LINE_ADVANCE_LINE) {
			walk->row.line += (uint32_t)reader_sleb(&walk->r);
		} else if (op == GSYM_LINE_ADVANCE_PC) {
			walk->row.vaddr += gsym_varint(&walk->r);
			return !walk->r.bad;
		} else if (op == GSYM_LINE_SET_FILE) {
			walk->row.file = (uint32_t)gsym_varint(&walk->r);
		} else { /* GSYM_LINE_END, or the end of the bytes */
			walk->r.bad = true;
			return false;
		}
	}
}

/* Inlined calls in preorder. The first is the function itself, at depth 0. */
struct gsym_call_walk {
	uint32_t depth, name, call_file, call_line;
	uint64_t range_count; /* read them by gsym_call_range() */
	struct reader ranges;
	uint64_t base_vaddr; /* that ranges are relative to */

	struct reader r;
	uint32_t next_depth;
	uint64_t bases[GSYM_MAX_DEPTH + 2]; /* by depth */
};

void gsym_call_begin(struct gsym_call_walk *walk, struct reader calls, uint64_t start_vaddr);
/* False at the end, and where the bytes make no sense. */
bool gsym_call_next(struct gsym_call_walk *walk);
/* The next range of this call; to be called range_count times. */
struct gsym_range gsym_call_range(struct gsym_call_walk *walk);
