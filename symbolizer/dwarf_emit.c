#include "symbolizer/dwarf_emit.h"

#include <errno.h>
#include <string.h>

#include "base/array.h"

int dwarf_emitter_init(struct dwarf_emitter *emitter, struct gsym_builder *builder,
		       const struct symtab *symbols, struct dwarf_stats *stats)
{
	*emitter = (struct dwarf_emitter){.builder = builder, .symbols = symbols, .stats = stats};
	return dwarf_names_init(&emitter->names, builder);
}

void dwarf_emitter_fini(struct dwarf_emitter *emitter)
{
	dwarf_names_fini(&emitter->names);
	free(emitter->lines.items);
	free(emitter->inlines);
	free(emitter->ranges);
	free(emitter->covered);
}

/* The unit at hand and where its functions come from. */
struct emission {
	struct dwarf_emitter *emitter;
	struct dwarf_unit *unit;
	const struct dwarf_scan *scan;
	struct dwarf_lines *lines;
};

/* Append the parts of a call's ranges that are in the piece. */
static int clip_ranges(struct dwarf_emitter *emitter, const struct dwarf_scan *scan,
		       const struct dwarf_call *call, struct gsym_range piece)
{
	for (size_t i = 0; i < call->range_count; i++) {
		struct gsym_range range = scan->ranges.items[call->first_range + i];
		if (range.start_vaddr < piece.start_vaddr)
			range.start_vaddr = piece.start_vaddr;
		if (range.end_vaddr > piece.end_vaddr)
			range.end_vaddr = piece.end_vaddr;
		if (range.start_vaddr >= range.end_vaddr)
			continue;
		int rc = ARRAY_RESERVE(emitter->ranges, emitter->range_cap, emitter->range_count,
				       UINT32_MAX - 1);
		if (rc)
			return rc;
		emitter->ranges[emitter->range_count++] = range;
	}
	return 0;
}

static int add_inline(const struct emission *at, const struct dwarf_call *call, size_t first_range)
{
	struct dwarf_emitter *emitter = at->emitter;
	struct gsym_inline call_site = {
		.call_line = call->call_line,
		.depth = call->depth,
		.first_range = (uint32_t)first_range,
		.range_count = (uint32_t)(emitter->range_count - first_range),
	};
	int rc = ARRAY_RESERVE(emitter->inlines, emitter->inline_cap, emitter->inline_count,
			       UINT32_MAX - 1);
	if (!rc)
		rc = dwarf_names_find(&emitter->names, at->unit, call->origin, &call_site.name);
	if (!rc)
		rc = dwarf_lines_file(at->lines, emitter->builder, call->call_file,
				      &call_site.call_file);
	if (!rc)
		emitter->inlines[emitter->inline_count++] = call_site;
	return rc;
}

/* The calls of one function that have code in the piece. What was inlined into one that has
 * none there, has none either. */
static int collect_inlines(const struct emission *at, const struct dwarf_function *function,
			   struct gsym_range piece)
{
	struct dwarf_emitter *emitter = at->emitter;
	emitter->inline_count = emitter->range_count = 0;
	uint32_t position = (uint32_t)(function - at->scan->functions);
	uint32_t left_out_depth = UINT32_MAX;
	if (!dwarf_work_pay(at->unit->file->work, function->end_call - function->first_call))
		return -ENOSPC;
	for (size_t i = function->first_call; i < function->end_call; i++) {
		const struct dwarf_call *call = &at->scan->calls[i];
		if (call->function != position || call->depth > left_out_depth)
			continue;
		size_t first_range = emitter->range_count;
		if (!dwarf_work_pay(at->unit->file->work, call->range_count))
			return -ENOSPC;
		int rc = clip_ranges(emitter, at->scan, call, piece);
		if (rc)
			return rc;
		bool is_left_out = emitter->range_count == first_range;
		left_out_depth = is_left_out ? call->depth : UINT32_MAX;
		rc = is_left_out ? 0 : add_inline(at, call, first_range);
		if (rc)
			return rc;
	}
	return 0;
}

/* With the inlined calls and the name that are already there. */
static int add_piece(const struct emission *at, struct gsym_range piece, uint32_t name,
		     enum gsym_source source)
{
	struct dwarf_emitter *emitter = at->emitter;
	int rc = dwarf_lines_collect(at->lines, emitter->builder, piece, &emitter->lines);
	if (rc)
		return rc;
	const struct gsym_function function = {
		.range = piece,
		.name = name,
		.source = source,
		.lines = emitter->lines.items,
		.line_count = emitter->lines.count,
		.inlines = emitter->inlines,
		.inline_count = emitter->inline_count,
		.ranges = emitter->ranges,
	};
	emitter->stats->functions++;
	return gsym_builder_add_function(emitter->builder, &function);
}

static int cover(struct dwarf_emitter *emitter, struct gsym_range piece)
{
	int rc = ARRAY_RESERVE(emitter->covered, emitter->covered_cap, emitter->covered_count,
			       SIZE_MAX / sizeof(piece));
	if (!rc)
		emitter->covered[emitter->covered_count++] = piece;
	return rc;
}

static int emit_function(const struct emission *at, const struct dwarf_function *function)
{
	uint32_t name;
	struct dwarf_place place = {at->unit->file, function->off};
	int rc = dwarf_names_find(&at->emitter->names, at->unit, place, &name);
	for (size_t i = 0; !rc && i < function->range_count; i++) {
		struct gsym_range piece = at->scan->ranges.items[function->first_range + i];
		rc = collect_inlines(at, function, piece);
		if (!rc)
			rc = add_piece(at, piece, name, GSYM_FROM_DWARF);
		if (!rc)
			rc = cover(at->emitter, piece);
	}
	return rc;
}

static int compare_ranges(const void *left, const void *right)
{
	const struct gsym_range *a = left, *b = right;
	return (a->start_vaddr > b->start_vaddr) - (a->start_vaddr < b->start_vaddr);
}

static bool is_covered(const struct dwarf_emitter *emitter, uint64_t vaddr)
{
	size_t low = 0, high = emitter->covered_count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (emitter->covered[middle].start_vaddr <= vaddr)
			low = middle + 1;
		else
			high = middle;
	}
	return low > 0 && vaddr < emitter->covered[low - 1].end_vaddr;
}

/* The first symbol at or behind vaddr. */
static uint32_t first_symbol(const struct symtab *symbols, uint64_t vaddr)
{
	uint32_t low = 0, high = symtab_count(symbols);
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		if (symtab_entry(symbols, middle).vaddr < vaddr)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Assembler has lines, and its functions are often in the symbol table only. */
static int emit_symbols(const struct emission *at, const struct dwarf_line_sequence *sequence)
{
	struct dwarf_emitter *emitter = at->emitter;
	const struct symtab *symbols = emitter->symbols;
	uint32_t count = symtab_count(symbols);
	emitter->inline_count = 0;
	for (uint32_t i = first_symbol(symbols, sequence->start_vaddr); i < count; i++) {
		struct symtab_entry symbol = symtab_entry(symbols, i);
		if (symbol.vaddr >= sequence->end_vaddr || !dwarf_work_pay(at->unit->file->work, 1))
			break;
		struct gsym_range piece = {symbol.vaddr, symbol.vaddr + symbol.size_bytes};
		if (!symbol.size_bytes || piece.end_vaddr > sequence->end_vaddr ||
		    piece.end_vaddr < piece.start_vaddr)
			piece.end_vaddr = sequence->end_vaddr;
		if (is_covered(emitter, symbol.vaddr))
			continue;
		uint32_t name;
		int rc = gsym_builder_add_string(emitter->builder, symbol.name, strlen(symbol.name),
						 &name);
		if (!rc)
			rc = add_piece(at, piece, name, GSYM_FROM_SYMBOL_TABLE);
		if (rc)
			return rc;
	}
	return 0;
}

int dwarf_emit_unit(struct dwarf_emitter *emitter, struct dwarf_unit *unit,
		    const struct dwarf_scan *scan, struct dwarf_lines *lines)
{
	const struct emission at = {emitter, unit, scan, lines};
	emitter->covered_count = 0;
	int rc = 0;
	for (size_t i = 0; !rc && i < scan->function_count; i++)
		rc = emit_function(&at, &scan->functions[i]);
	if (emitter->symbols && emitter->covered_count)
		qsort(emitter->covered, emitter->covered_count, sizeof(*emitter->covered),
		      compare_ranges);
	for (size_t i = 0; !rc && emitter->symbols && i < lines->sequence_count; i++)
		rc = emit_symbols(&at, &lines->sequences[i]);
	emitter->stats->inlines += scan->call_count;
	return rc;
}
