#include "symbolizer/dwarf_scan.h"

#include <errno.h>

#include "base/array.h"
#include "symbolizer/dwarf_scope.h"

enum { LISTS = 3, MAX_DEPTH = 1024, NO_FUNCTION = -1 };

/* What the children of an entry are part of. */
struct level {
	int64_t function; /* position, or NO_FUNCTION */
	uint32_t depth;   /* of inlined calls around them */
	size_t call;      /* position of the innermost of those */
	bool is_in_function;
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
	*scan = (struct dwarf_scan){.max_list_bytes = max_bytes / LISTS};
	scan->ranges.max_count = scan->max_list_bytes / sizeof(*scan->ranges.items);
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
	level->function = NO_FUNCTION;
	level->depth = 0;
	struct dwarf_function function = {.off = entry->off, .first_call = scan->call_count};
	int rc = read_ranges(walk, entry, &function.first_range, &function.range_count);
	if (rc || !function.range_count)
		return rc;
	rc = ARRAY_RESERVE(scan->functions, scan->function_cap, scan->function_count,
			   scan->max_list_bytes / sizeof(function));
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

static bool is_within(const struct dwarf_scan *scan, const struct dwarf_call *call,
		      struct gsym_range range)
{
	for (size_t i = 0; i < call->range_count; i++) {
		const struct gsym_range *outer = &scan->ranges.items[call->first_range + i];
		if (range.start_vaddr >= outer->start_vaddr && range.end_vaddr <= outer->end_vaddr)
			return true;
	}
	return false;
}

static bool are_within(const struct dwarf_scan *scan, const struct dwarf_call *call,
		       const struct dwarf_call *inner)
{
	for (size_t i = 0; i < inner->range_count; i++)
		if (!is_within(scan, call, scan->ranges.items[inner->first_range + i]))
			return false;
	return true;
}

/* Optimizers now and then leave code of a call outside the ranges of the call it was inlined
 * into. It is part of that all the same: give the outer one a new list that has both. */
static int widen(struct walk *walk, size_t outer, const struct dwarf_call *inner)
{
	struct dwarf_scan *scan = walk->scan;
	struct dwarf_range_list *ranges = &scan->ranges;
	struct dwarf_call *call = &scan->calls[outer];
	uint64_t tries = (uint64_t)call->range_count * inner->range_count;
	if (!dwarf_work_pay(walk->unit->file->work, tries + call->range_count))
		return -ENOSPC;
	if (are_within(scan, call, inner))
		return 0;
	size_t first = ranges->count;
	for (size_t i = 0; i < call->range_count + inner->range_count; i++) {
		int rc =
			ARRAY_RESERVE(ranges->items, ranges->cap, ranges->count, ranges->max_count);
		if (rc)
			return rc;
		ranges->items[ranges->count++] =
			i < call->range_count
				? ranges->items[call->first_range + i]
				: ranges->items[inner->first_range + i - call->range_count];
	}
	dwarf_ranges_tidy(ranges, first);
	call->first_range = first;
	call->range_count = ranges->count - first;
	return 0;
}

static int widen_all(struct walk *walk, const struct dwarf_call *inner)
{
	size_t last = SIZE_MAX;
	for (size_t i = walk->depth + 1; i-- > 0 && walk->levels[i].depth > 0;) {
		size_t outer = walk->levels[i].call;
		if (walk->levels[i].function != (int64_t)inner->function)
			return 0;
		int rc = outer == last ? 0 : widen(walk, outer, inner);
		if (rc)
			return rc;
		last = outer;
	}
	return 0;
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
			   scan->max_list_bytes / sizeof(call));
	if (rc)
		return rc;
	level->call = scan->call_count;
	level->depth++;
	scan->calls[scan->call_count++] = call;
	scan->functions[call.function].end_call = scan->call_count;
	return widen_all(walk, &call);
}

/* May there be code within? With C and C++ not within types but those of a function, whose
 * member functions (lambdas among them) gcc leaves where they are. Types are most of the debug
 * information, and are stepped over where the compiler says how far. */
static bool may_hold_code(const struct walk *walk, const struct dwarf_abbrev *abbrev)
{
	switch (abbrev->tag) {
	case DW_TAG_array_type:
	case DW_TAG_call_site:
	case DW_TAG_enumeration_type:
	case DW_TAG_GNU_call_site:
	case DW_TAG_subroutine_type:
		return false;
	case DW_TAG_class_type:
	case DW_TAG_interface_type:
	case DW_TAG_structure_type:
	case DW_TAG_union_type:
		return !walk->is_c_family || walk->levels[walk->depth].is_in_function;
	default:
		return !walk->is_c_family || !abbrev->is_declaration;
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
			*level = (struct level){.function = NO_FUNCTION, .is_in_function = true};
		return 0;
	}
	level->is_in_function = true;
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
