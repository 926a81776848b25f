/*
 * gsym_encode: one function as the bytes of a GSYM file.
 *
 * All numbers are relative to the function's start, so that the bytes may stand anywhere.
 * Before LLVM's part there is a word of flags, and in long functions tables that let a reader
 * begin in the middle of the lines, and find the inlined calls near an address (gsym_find.h). One thread.
 * https://github.com/llvm/llvm-project/blob/llvmorg-14.0.6/llvm/include/llvm/DebugInfo/GSYM/FunctionInfo.h
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "symbolizer/gsym_builder.h"

enum gsym_flag {
	GSYM_FLAG_FOLDED = 1 << 0,
	GSYM_FLAG_MARK_ONLY = 1 << 1,
	GSYM_FLAG_NAME_WINS = 1 << 4, /* for the builder, see struct gsym_function */
	/* Written by gsym_encode(): tables follow, as gsym_decode.h has them. */
	GSYM_FLAG_LINE_STOPS = 1 << 2,
	GSYM_FLAG_CALL_CELLS = 1 << 3,
	GSYM_FLAG_CALLS = 1 << 5, /* it has a block of calls */
	GSYM_FLAGS_GIVEN = GSYM_FLAG_FOLDED | GSYM_FLAG_MARK_ONLY | GSYM_FLAG_NAME_WINS,
};

/* An inlined call whose ranges lie within its parent's. */
struct gsym_clipped {
	const struct gsym_inline *call;
	size_t first_range, range_count; /* in gsym_encoder.ranges */
	uint32_t off;                    /* in the block of calls */
};

/* Memory that functions encoded one after the other share. */
struct gsym_encoder {
	struct buf function, line_stops; /* of the one being encoded: LLVM's part, and tables */
	struct buf call_groups, group_depths, cell_starts, cell_groups;
	uint32_t cell_shift;
	struct gsym_clipped *calls;
	size_t call_count, call_cap;
	struct gsym_range *ranges;
	size_t range_count, range_cap;
	struct gsym_cell *cells; /* of gsym_cells.c */
	size_t cell_cap;
};

void gsym_encoder_init(struct gsym_encoder *encoder);
void gsym_encoder_fini(struct gsym_encoder *encoder);

/* Append function, cut to its range, which is not empty and at most 4 GiB; out is aligned to 4
 * before and after. flags: of enum gsym_flag; *words_bytes: of Hearth's words before LLVM's part.
 * -EINVAL: depths that skip a level or ranges that are not there; -ENOMEM; -ENOSPC: out is full. On
 * failure out keeps what was there. */
int gsym_encode(struct gsym_encoder *encoder, struct buf *out, const struct gsym_function *function,
		uint32_t flags, uint32_t *words_bytes);
