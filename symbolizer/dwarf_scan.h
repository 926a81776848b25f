/*
 * dwarf_scan: the functions of one unit that have code, and the calls inlined into them.
 *
 * One scan is used for one unit after the other and keeps its memory. One thread.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "symbolizer/dwarf_ranges.h"
#include "symbolizer/dwarf_unit.h"

struct dwarf_function {
	uint64_t off; /* of its entry */
	size_t first_range, range_count;
	size_t first_call, end_call; /* functions within it have theirs among them */
};

struct dwarf_call {
	struct dwarf_place origin; /* the entry of the function that was called */
	size_t first_range, range_count;
	uint32_t function; /* position of the one it was inlined into */
	uint32_t depth;    /* 1: into the function itself */
	uint32_t call_file, call_line;
};

struct dwarf_scan {
	struct dwarf_function *functions;
	size_t function_count, function_cap;
	struct dwarf_call *calls; /* in preorder */
	size_t call_count, call_cap;
	struct dwarf_range_list ranges; /* of both */
	size_t max_list_bytes;          /* of each of the three */
};

void dwarf_scan_init(struct dwarf_scan *scan, size_t max_bytes);
void dwarf_scan_fini(struct dwarf_scan *scan);

/* Replace what is in the scan by what the unit has. What comes before damage is kept. -EBADMSG;
 * -ENODATA; -ENOSPC: too many for max_bytes, or no work is left; -ENOMEM. */
int dwarf_scan_unit(struct dwarf_scan *scan, const struct dwarf_unit *unit,
		    const struct dwarf_code *code, struct err *err);
