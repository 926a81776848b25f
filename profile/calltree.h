/*
 * calltree: totals by call path, with one node per (caller path, function).
 *
 * Functions of one name and kind below one caller path are one node, whatever their mapping;
 * the first one's is shown. Node 0 is the root ("all").
 * Nodes are in depth-first order, children sorted by name, so that the same profile always
 * draws the same picture; a subtree is a contiguous range. Inlined callees are nodes of
 * their own. The stack of a waiting sample ends in a mark with its reason, "[lock]". Immutable.
 */
#pragma once
#include "base/auto.h"
#include "base/err.h"
#include "profile/profile.h"

/* Where the code of a frame lives; a colour on the page, a suffix in folded text. Part of the
 * HTTP API: append only, never renumber. */
enum frame_kind {
	FRAME_ROOT = 0,
	FRAME_NATIVE = 1, /* from an executable file */
	FRAME_KERNEL = 2,
	FRAME_INLINED = 3, /* native, inlined into its caller */
	FRAME_JIT = 4,
	FRAME_VDSO = 5,
	FRAME_MARK = 6, /* no code: "[truncated]", "[lock]", the value of a label at the root */
};

/* What a frame is: what is told apart, and what it is called. */
enum frame_view {
	FRAME_VIEW_FUNCTION = 0,
	FRAME_VIEW_LINE,    /* "function file.c:12": the line that is executed there */
	FRAME_VIEW_LIBRARY, /* "libfoo.so.1"; calls inside of one are one frame */
};

struct calltree_node {
	uint32_t parent;  /* node; the root's is 0 */
	uint32_t name;    /* string */
	uint32_t mapping; /* string: filename of the mapping; "" when none */
	uint32_t end;     /* one past the last node of this subtree */
	int64_t self_weight;
	int64_t total_weight;
	uint64_t self_count;
	uint64_t total_count;
	enum frame_kind kind;
	uint32_t depth; /* the root's is 0 */
};

struct calltree {
	struct strtab strings;
	struct calltree_node *nodes;
	size_t node_count;
	uint32_t max_depth;
};

struct calltree_options {
	enum frame_view view;
	bool no_waits;        /* without the marks of waiting samples at the leaves */
	const char *group_by; /* a first level with the values of this label; NULL: none. Of what
				 has it not: "[no LABEL]"; comm: profile_thread_comm() */
	const char *focus;    /* only stacks with a frame of exactly this name; NULL: all */
	double min_share;     /* drop subtrees below this share of the total; 0 keeps all */
	size_t max_nodes;     /* keep the heaviest this many, each with its callers; 0 keeps all */
};

/* Set view, group_by and no_waits from a list of words, "comm,line" (none, comm, function, line,
 * library, nowaits): the parameter `by` of the API. -EINVAL with a sentence that lists them. */
int calltree_options_by(struct calltree_options *options, const char *text, struct err *err);

/* options NULL: all defaults. What is dropped stays in the totals of its callers. -ENOMEM;
 * -ENOSPC: more than 2^25 nodes. The caller owns *out. */
int calltree_build(struct calltree **out, const struct profile *profile,
		   const struct calltree_options *options, struct err *err);
void calltree_free(struct calltree *tree); /* NULL is fine */
AUTO_DEFINE(calltree)

/* The function table: one row per (frame name, mapping, kind), heaviest self first. What is on
 * a stack twice counts once in its total. */
struct top_row {
	uint32_t name;    /* string of the table */
	uint32_t mapping; /* string */
	enum frame_kind kind;
	int64_t self_weight;
	int64_t total_weight;
	uint64_t self_count;
	uint64_t total_count;
};

struct top_table {
	struct strtab strings;
	struct top_row *rows;
	size_t row_count;
	int64_t total_weight; /* of all stacks: 100 % */
	uint64_t total_count;
};

/* -ENOMEM, -ENOSPC. The caller owns *out. */
int top_table_build(struct top_table **out, const struct profile *profile, enum frame_view view,
		    struct err *err);
void top_table_free(struct top_table *table); /* NULL is fine */
AUTO_DEFINE(top_table)
