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
	/* Hearth's; NULL, and nothing, where there are none. */
	const uint8_t *flags_word;
	struct reader line_stops, call_stops, call_bases;
};

/* has_words: Hearth's words follow. False: not a function. */
bool gsym_function_read(struct gsym_function_bytes *function, struct reader r, bool has_words);

/* for (begin(); next();) use walk.row */
struct gsym_line_walk {
	struct gsym_line row;
	struct reader r;
	uint64_t first_step, span;
};

void gsym_line_begin(struct gsym_line_walk *walk, struct reader lines, uint64_t start_vaddr);
bool gsym_line_next(struct gsym_line_walk *walk);

/* The row that holds at vaddr. False: there is none. */
bool gsym_line_find(const struct gsym_function_bytes *function, uint64_t start_vaddr,
		    uint64_t vaddr, struct gsym_line *row);

/* In preorder. The first is the function itself, at depth 0. */
struct gsym_call_walk {
	uint32_t depth, name, call_file, call_line;
	bool covers;          /* the vaddr that was asked for */
	uint64_t range_count; /* read them by gsym_call_range() */
	struct reader ranges;
	uint64_t base_vaddr; /* that ranges are relative to */

	struct reader r;
	uint64_t wanted_vaddr;
	uint32_t next_depth;
	uint64_t bases[GSYM_MAX_DEPTH + 2]; /* by depth */
};

void gsym_call_begin(struct gsym_call_walk *walk, struct reader calls, uint64_t start_vaddr,
		     uint64_t wanted_vaddr);
/* False at the end, and where the bytes make no sense. */
bool gsym_call_next(struct gsym_call_walk *walk);
/* The next range of this call; to be called range_count times. */
struct gsym_range gsym_call_range(struct gsym_call_walk *walk);

struct gsym_call {
	uint32_t name, call_file, call_line;
};
/* The calls around vaddr, outermost first, without the function itself; how many. Of siblings
 * that overlap the first counts, as for LLVM. */
uint32_t gsym_call_find(const struct gsym_function_bytes *function, uint64_t start_vaddr,
			uint64_t vaddr, struct gsym_call calls[static GSYM_MAX_DEPTH]);
