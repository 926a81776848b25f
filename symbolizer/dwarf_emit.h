/*
 * dwarf_emit: hands the functions of one unit to a builder, a piece at a time.
 *
 * One thread.
 */
#pragma once
#include <stddef.h>

#include "base/err.h"
#include "symbolizer/dwarf.h"
#include "symbolizer/dwarf_line.h"
#include "symbolizer/dwarf_name.h"
#include "symbolizer/dwarf_scan.h"

struct dwarf_emitter {
	struct gsym_builder *builder;
	const struct symtab *symbols; /* NULL: none */
	struct dwarf_stats *stats;
	struct dwarf_names names;
	/* Of the piece at hand. */
	struct dwarf_line_list lines;
	struct gsym_inline *inlines;
	size_t inline_count, inline_cap;
	struct gsym_range *ranges;
	size_t range_count, range_cap;
	/* Of the unit at hand: what its functions cover. */
	struct gsym_range *covered;
	size_t covered_count, covered_cap;
};

int dwarf_emitter_init(struct dwarf_emitter *emitter, struct gsym_builder *builder,
		       const struct symtab *symbols, struct dwarf_stats *stats); /* -ENOMEM */
void dwarf_emitter_fini(struct dwarf_emitter *emitter);

/* All functions of the scan, and with symbols all code that has lines and is in none of them.
 * -ENOSPC: the builder is full, or no work is left; -ENOMEM. */
int dwarf_emit_unit(struct dwarf_emitter *emitter, struct dwarf_unit *unit,
		    const struct dwarf_scan *scan, struct dwarf_lines *lines);
