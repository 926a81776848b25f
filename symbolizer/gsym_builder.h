/*
 * gsym_builder: gathers the functions of one executable and writes them as a GSYM file.
 *
 * The format is LLVM's, version 1 (llvm/DebugInfo/GSYM/{Header,FunctionInfo,LineTable,
 * InlineInfo}.h; `llvm-gsymutil` reads it). A function is encoded as it is added, so that what
 * is held in memory is what will be in the file. All addresses are vaddr. One thread.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/auto.h"
#include "base/err.h"

struct gsym_builder; /* opaque */

/* max_bytes bounds everything the builder holds. -ENOMEM. */
int gsym_builder_new(struct gsym_builder **out, size_t max_bytes, struct err *err);
void gsym_builder_free(struct gsym_builder *builder); /* NULL is fine */
AUTO_DEFINE(gsym_builder)

/* Find or add; *id 0 is the empty string. -ENOMEM; -ENOSPC at max_bytes. Names are those of
 * the symbol table (not demangled) where there is one, else qualified ("ns::type::name"). */
int gsym_builder_add_string(struct gsym_builder *builder, const char *text, size_t len,
			    uint32_t *id);
/* Find or add a source file by the strings of its directory and base name; *id 0 is "none". */
int gsym_builder_add_file(struct gsym_builder *builder, uint32_t directory, uint32_t base,
			  uint32_t *id);

struct gsym_range {
	uint64_t start_vaddr;
	uint64_t end_vaddr; /* first byte after it */
};

/* Line `line` of `file` begins at vaddr and goes on until the next entry. */
struct gsym_line {
	uint64_t vaddr;
	uint32_t file; /* of gsym_builder_add_file() */
	uint32_t line;
};

/* A call that was inlined. In preorder: children follow their parent, one depth below. */
struct gsym_inline {
	uint32_t name;      /* string */
	uint32_t call_file; /* where the call stands, in the parent */
	uint32_t call_line;
	uint32_t depth; /* 1: in the function itself */
	uint32_t first_range;
	uint32_t range_count; /* ranges[first_range ..), all within the parent's */
};

/* Where a name comes from; of two functions at one address the greater stays. */
enum gsym_source {
	GSYM_FROM_UNWIND_ROWS = 1, /* bounds only; the name is a mark */
	GSYM_FROM_SYMBOL_TABLE,
	GSYM_FROM_PCLNTAB,
	GSYM_FROM_DWARF,
};

/* One contiguous piece of code: a function in several pieces (.cold) is added once for each,
 * with the lines and inlined calls of that piece. */
struct gsym_function {
	struct gsym_range range;
	uint32_t name; /* string */
	enum gsym_source source;
	bool name_wins; /* over the name that a greater source has for the same start */
	const struct gsym_line *lines; /* by vaddr */
	size_t line_count;
	const struct gsym_inline *inlines;
	size_t inline_count;
	const struct gsym_range *ranges; /* of the inlined calls */
};

/* What does not fit its parent or its function is clipped; depths that skip a level are -EINVAL.
 * A range that is empty ends where the next function begins. Two DWARF names for one address
 * make the function "folded" (identical code folding); of two for one address from one source
 * that stays which says more, then the first. A function with name 0 is called "[unnamed]", unless
 * the symbol table has a name for it. -ENOMEM; -ENOSPC at max_bytes; -EINVAL for an id that is
 * not there. */
int gsym_builder_add_function(struct gsym_builder *builder, const struct gsym_function *function);

/* Write the file at fd's position: sorted, overlaps resolved, build_id (up to 20 bytes) as its
 * UUID. The builder is used up. -errno with a sentence. */
int gsym_builder_write(struct gsym_builder *builder, int fd, const uint8_t *build_id,
		       size_t build_id_bytes, struct err *err);
