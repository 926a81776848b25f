#include "symbolizer/dwarf_scan.h"

#include <errno.h>

#include "base/array.h"
#include "symbolizer/dwarf_scope.h"

enum { MAX_DEPTH = 1024, NO_FUNCTION = -1 };

/* What the children of an entry are part of. */
struct level {
	int64_t function; /* position, or NO_FUNCTION */
	uint32_t depth;   /* of inlined calls around them */
};

struct walk {
	struct dwarf_scan *scan;
	const struct dwarf_unit *unit;
	const struct dwarf_code *code;
	struct reader r;
	bool is_c_family;
	bool is_whole; /* no list of ranges was damaged */
	size_t depth;
	struct level levels[MAX_DEPTH + 1]; /* [0]: around the unit */
};

void dwarf_scan_init(struct dwarf_scan *scan, size_t max_bytes)
{
	*scan = (struct dwarf_scan){.max_bytes = max_bytes};
	scan->ranges.max_count = max_bytes / sizeof(*scan->ranges.items);
}

void dwarf_scan_fini(struct dwarf_scan *scan)
{
	free(scan->functions);
	free(scan->calls);
	free(scan->ranges.items);
	*scan = (struct dwarf_scan){0};
}

static int read_ranges(struct walk *walk, const struct dwarf_entry *entry, size_t *first,
		       size_t *count)
{
	struct dwarf_range_list *ranges = &walk->scan->ranges;
	bool is_whole;
	*first = ranges->count;
	int rc = dwarf_ranges_append(ranges, walk->unit, entry, walk->code, &is_whole);
	walk->is_whole &= is_whole;
	*count = ranges->count - *first;
	return rc;
}

/* A function; one whose code was thrown away is none. */
static int add_function(struct walk *walk, const struct dwarf_entry *entry, struct level *level)
{
	struct dwarf_scan *scan = walk->scan;
	*level = (struct level){.function = NO_FUNCTION};
	struct dwarf_function function = {.off = entry->off, .first_call = scan->call_count};
	int rc = read_ranges(walk, entry, &function.first_range, &function.range_count);
	if (rc || !function.range_count)
		return rc;
	rc = ARRAY_RESERVE(scan->functions, scan->function_cap, scan->function_count,
			   scan->max_bytes / sizeof(function));
	if (rc)
		return rc;
	level->function = (int64_t)scan->function_count;
	function.end_call = scan->call_count;
	scan->functions[scan->function_count++] = function;
	return 0;
}

static uint32_t small_number(const struct dwarf_value *value)
{
	return value->number < UINT32_MAX ? (uint32_t)value->number : 0;
}

static int add_call(struct walk *walk, const struct dwarf_entry *entry, struct level *level)
{
	struct dwarf_scan *scan = walk->scan;
	struct dwarf_call call = {
		.origin = {walk->unit->file, entry->off},
		.function = (uint32_t)level->function,
		.depth = level->depth + 1,
		.call_file = small_number(&entry->call_file),
		.call_line = small_number(&entry->call_line),
	};
	int rc = read_ranges(walk, entry, &call.first_range, &call.range_count);
	if (rc || !call.range_count)
		return rc;
	struct dwarf_place origin;
	if (dwarf_unit_place(walk->unit, &entry->origin, &origin))
		call.origin = origin;
	rc = ARRAY_RESERVE(scan->calls, scan->call_cap, scan->call_count,
			   scan->max_bytes / sizeof(call));
	if (rc)
		return rc;
	scan->calls[scan->call_count++] = call;
	scan->functions[call.function].end_call = scan->call_count;
	level->depth++;
	return 0;
}

/* Within these entries there may be code. With C and C++, within nothing else: then the types,
 * which are the most of it, are stepped over where the compiler says how far. */
static bool may_hold_code(const struct walk *walk, const struct dwarf_abbrev *abbrev)
{
	switch (abbrev->tag) {
	case DW_TAG_compile_unit:
	case DW_TAG_namespace:
	case DW_TAG_module:
	case DW_TAG_lexical_block:
	case DW_TAG_try_block:
	case DW_TAG_catch_block:
		return true;
	case DW_TAG_call_site:
	case DW_TAG_GNU_call_site:
	case DW_TAG_array_type:
	case DW_TAG_subroutine_type:
	case DW_TAG_enumeration_type:
		return false;
	default:
		return abbrev->has_code || !walk->is_c_family;
	}
}

/* An entry whose code was just read. *level: that of its parent, then of its children. */
static int take_entry(struct walk *walk, const struct dwarf_abbrev *abbrev, uint64_t off,
		      struct level *level)
{
	bool is_function = abbrev->tag == DW_TAG_subprogram || abbrev->tag == DW_TAG_entry_point;
	bool is_call = abbrev->tag == DW_TAG_inlined_subroutine && level->function != NO_FUNCTION;
	if (!abbrev->has_code || (!is_function && !is_call)) {
		dwarf_abbrev_skip(walk->unit->abbrevs, abbrev, &walk->r);
		if (is_function)
			*level = (struct level){.function = NO_FUNCTION};
		return 0;
	}
	struct dwarf_entry entry;
	dwarf_entry_read(walk->unit, abbrev, &walk->r, &entry);
	entry.off = off;
	if (walk->r.bad)
		return 0;
	return is_function ? add_function(walk, &entry, level) : add_call(walk, &entry, level);
}

static int enter(struct walk *walk, const struct dwarf_abbrev *abbrev, uint64_t off,
		 struct err *err)
{
	struct level level = walk->levels[walk->depth];
	bool is_leaf = !abbrev->has_children;
	if (!is_leaf && walk->depth && !may_hold_code(walk, abbrev) &&
	    dwarf_skip_children(walk->unit, abbrev, &walk->r))
		return 0;
	int rc = take_entry(walk, abbrev, off, &level);
	if (rc)
		return err_set(err, rc, "functions of a unit: %m");
	if (is_leaf)
		return 0;
	if (walk->depth == MAX_DEPTH)
		return err_set(err, -EBADMSG, "entries are nested deeper than %d", MAX_DEPTH);
	walk->levels[++walk->depth] = level;
	return 0;
}

static int run(struct walk *walk, struct err *err)
{
	const struct dwarf_unit *unit = walk->unit;
	do {
		uint64_t off = dwarf_unit_reader_off(unit, &walk->r);
		uint64_t code = reader_varint(&walk->r);
		if (walk->r.bad)
			break;
		if (code == 0) {
			if (walk->depth)
				walk->depth--;
			continue;
		}
		const struct dwarf_abbrev *abbrev = dwarf_abbrevs_find(unit->abbrevs, code);
		if (!abbrev)
			return err_set(err, -EBADMSG, "abbreviation %llu is not in the table",
				       (unsigned long long)code);
		int rc = enter(walk, abbrev, off, err);
		if (rc)
			return rc;
	} while (walk->depth && reader_left_bytes(&walk->r) > 0);
	if (walk->r.bad)
		return err_set(err, -ENODATA, "an entry ends behind the unit");
	return 0;
}

int dwarf_scan_unit(struct dwarf_scan *scan, const struct dwarf_unit *unit,
		    const struct dwarf_code *code, struct err *err)
{
	scan->function_count = scan->call_count = scan->ranges.count = 0;
	if (!dwarf_work_pay(unit->file->work, unit->end_off - unit->off))
		return err_set(err, -ENOSPC, "units are read too often");
	struct walk walk;
	walk.scan = scan;
	walk.unit = unit;
	walk.code = code;
	walk.r = dwarf_unit_reader(unit, unit->root_off);
	walk.is_c_family = dwarf_language_is_c_family(unit->language);
	walk.is_whole = true;
	walk.depth = 0;
	walk.levels[0] = (struct level){.function = NO_FUNCTION};
	int rc = run(&walk, err);
	if (!rc && !walk.is_whole)
		rc = err_set(err, -EBADMSG, "a list of ranges cannot be read");
	return rc ? err_wrap(err, rc, "the unit at %#llx", (unsigned long long)unit->off) : 0;
}
