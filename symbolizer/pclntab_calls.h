/*
 * pclntab_calls: which calls of a Go function were inlined, and where.
 *
 * PCDATA says for each piece of code the number of a call in the function's tree, FUNCDATA where
 * the tree is: relative to moduledata.gofunc since Go 1.18. moduledata changes with each version
 * and says nowhere which it is, so a place is believed when what is there makes sense as trees.
 * One thread. Format: runtime/symtabinl.go of Go 1.21, runtime/symtab.go of Go 1.19.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "symbolizer/pclntab_table.h"

struct pclntab_call {
	uint32_t name_off;   /* in pclntab_table.names */
	uint32_t parent;     /* the call that it is in; 0: none, but the function itself */
	uint64_t call_vaddr; /* code whose line is that of the call */
	uint32_t number;     /* in the tree */
	uint32_t depth;      /* 1: in the function itself */
};

/* Code of one innermost call. */
struct pclntab_piece {
	uint64_t start_vaddr, end_vaddr;
	uint32_t call; /* in pclntab_calls.calls; 0: of the function itself */
};

enum { PCLNTAB_TREE_WINDOW_BYTES = 4096, PCLNTAB_MAX_DEPTH = 64 };

struct pclntab_calls {
	const struct pclntab_table *table;
	bool has_trees;
	uint32_t funcdata_kind;
	uint64_t base_vaddr; /* what FUNCDATA counts from */
	uint64_t total_calls, total_pieces;

	/* Of the function that was read last; calls[0] is the function itself. */
	struct pclntab_call *calls;
	size_t call_count, call_cap;
	struct pclntab_piece *pieces; /* by vaddr, apart */
	size_t piece_count, piece_cap;
	uint64_t tree_vaddr;
	uint32_t *call_of; /* by number in the tree: 0: not met */

	uint64_t window_vaddr;
	size_t window_bytes;
	uint8_t window[PCLNTAB_TREE_WINDOW_BYTES];
};

/* table is borrowed. Finds out where trees are; has_trees tells whether it did.
 * -ENOMEM. pclntab_calls_fini() is owed in any case. */
int pclntab_calls_init(struct pclntab_calls *calls, const struct pclntab_table *table);
void pclntab_calls_fini(struct pclntab_calls *calls);

/* Read a function's calls, a parent before what is in it. What is malformed counts as code of
 * the function itself. -ENOMEM; -ENOSPC: more than 4 Mi calls, or 64 Mi
 * pieces, in all functions together. */
int pclntab_calls_read(struct pclntab_calls *calls, const struct pclntab_function *function);
