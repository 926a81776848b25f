/*
 * gsym_layout: which function each address belongs to, when several claim it.
 *
 * A GSYM file is searched for the last function that begins at or before an address, so its
 * functions must not overlap. One thread.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "symbolizer/gsym_builder.h"

/* What claims addresses. */
struct gsym_claim {
	struct gsym_range range; /* not empty */
	enum gsym_source source;
	uint32_t function; /* the caller's number */
};

/* A part of a claim that holds. */
struct gsym_piece {
	struct gsym_range range;
	uint32_t function;
};

/* Sort claims, and find the pieces that hold: of two sources the greater; of claims of one
 * source the one that begins last, for it is the innermost; of those that begin together the
 * shorter, for the same reason. The caller owns *pieces, in order and without overlap, fewer
 * than twice the claims for each source. -ENOMEM. */
int gsym_layout(struct gsym_claim *claims, size_t claim_count, struct gsym_piece **pieces,
		size_t *piece_count);
