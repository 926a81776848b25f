#include "symbolizer/unwind.h"

#include <errno.h>
#include <stdlib.h>

#include "base/array.h"
#include "symbolizer/unwind_builder.h"
#include "symbolizer/unwind_cfi.h"
#include "symbolizer/unwind_entries.h"
#include "symbolizer/unwind_pclntab.h"
#include "symbolizer/unwind_tables.h"

static const uint64_t max_vaddr = UINT64_C(1) << 47; /* user space ends there */

struct making {
	struct unwind_rows *rows;
	struct unwind_builder builder;
	struct unwind_tables tables;
	struct unwind_entries entries;
	struct pclntab_table pclntab;
	bool is_signal_frame; /* of the function at hand */
};

static void making_fini(struct making *making)
{
	unwind_builder_fini(&making->builder);
	unwind_tables_fini(&making->tables);
	unwind_entries_fini(&making->entries);
	pclntab_table_fini(&making->pclntab);
}

/* From the first executable byte to the last; usually one segment. */
static void text_range(const struct elf_file *file, uint64_t *start_vaddr, uint64_t *limit_vaddr)
{
	size_t count;
	const struct elf_segment *segments = elf_file_segments(file, &count);
	*start_vaddr = max_vaddr;
	*limit_vaddr = 0;
	for (size_t i = 0; i < count; i++) {
		uint64_t limit;
		if (!(segments[i].flags & PF_X) ||
		    __builtin_add_overflow(segments[i].vaddr, segments[i].memory_bytes, &limit))
			continue;
		if (segments[i].vaddr < *start_vaddr)
			*start_vaddr = segments[i].vaddr;
		if (limit > *limit_vaddr)
			*limit_vaddr = limit < max_vaddr ? limit : max_vaddr;
	}
}

static void remove_outside(struct making *making, const struct elf_file *file)
{
	struct unwind_entries *entries = &making->entries;
	uint64_t start_vaddr, limit_vaddr;
	text_range(file, &start_vaddr, &limit_vaddr);
	size_t kept = 0;
	for (size_t i = 0; i < entries->count; i++) {
		struct unwind_function function = entries->functions[i];
		if (function.start_vaddr < start_vaddr || function.start_vaddr >= limit_vaddr) {
			making->rows->stats.outside++;
			continue;
		}
		if (function.limit_vaddr > limit_vaddr)
			function.limit_vaddr = limit_vaddr;
		entries->functions[kept++] = function;
	}
	entries->count = kept;
}

/* By place; of those that begin together, by .eh_frame first, then the longest, then as in the
 * file. */
static int compare_functions(const void *left, const void *right)
{
	const struct unwind_function *a = left, *b = right;
	if (a->start_vaddr != b->start_vaddr)
		return a->start_vaddr < b->start_vaddr ? -1 : 1;
	if (a->source != b->source)
		return a->source < b->source ? -1 : 1;
	if (a->limit_vaddr != b->limit_vaddr)
		return a->limit_vaddr > b->limit_vaddr ? -1 : 1;
	return (a->program_off > b->program_off) - (a->program_off < b->program_off);
}

/* Other tables count only where .eh_frame has nothing: mark, by an empty range, those of their
 * functions that one of .eh_frame overlaps. */
static void drop_described_twice(struct unwind_entries *entries)
{
	uint64_t described_to = 0, described_from = UINT64_MAX;
	for (size_t i = 0; i < entries->count; i++) {
		struct unwind_function *function = &entries->functions[i];
		bool is_first = function->source == UNWIND_EH_FRAME;
		if (is_first && function->limit_vaddr > described_to)
			described_to = function->limit_vaddr;
		else if (!is_first && function->start_vaddr < described_to)
			function->limit_vaddr = function->start_vaddr;
	}
	for (size_t i = entries->count; i-- > 0;) {
		struct unwind_function *function = &entries->functions[i];
		if (function->source == UNWIND_EH_FRAME)
			described_from = function->start_vaddr;
		else if (function->limit_vaddr > described_from)
			function->limit_vaddr = function->start_vaddr;
	}
}

/* What is left is in order and apart. */
static void resolve_overlaps(struct making *making)
{
	struct unwind_entries *entries = &making->entries;
	size_t kept = 0;
	for (size_t i = 0; i < entries->count; i++) {
		struct unwind_function *function = &entries->functions[i];
		struct unwind_function *before = kept ? &entries->functions[kept - 1] : NULL;
		if (function->start_vaddr == function->limit_vaddr)
			continue;
		if (before && before->limit_vaddr > function->start_vaddr) {
			/* Two tables say the same of Go's functions. */
			making->rows->stats.overlapped += before->source == function->source;
			if (before->start_vaddr == function->start_vaddr)
				continue;
			before->limit_vaddr = function->start_vaddr;
		}
		entries->functions[kept++] = *function;
	}
	entries->count = kept;
}

static void add_unsupported(struct making *making, uint64_t vaddr, enum unwind_unsupported why)
{
	static const struct unwind_rule unsupported = {.cfa = UNWIND_CFA_UNSUPPORTED};
	unwind_builder_add(&making->builder, vaddr, &unsupported);
	making->rows->stats.unsupported[why]++;
}

static void add_row(void *ctx, uint64_t vaddr, const struct cfi_row *row)
{
	struct making *making = ctx;
	struct unwind_rule rule;
	uint32_t missing = cfi_rule(row, making->is_signal_frame, &rule);
	if (!unwind_builder_add(&making->builder, vaddr, &rule))
		missing |= UINT32_C(1) << UNWIND_BAD_RULE_COUNT;
	for (unsigned int kind = 0; missing; kind++, missing >>= 1)
		making->rows->stats.unsupported[kind] += missing & 1;
}

/* Of Go's table. */
static void add_rule(void *ctx, uint64_t vaddr, const struct unwind_rule *rule)
{
	struct making *making = ctx;
	making->rows->stats.unsupported[UNWIND_BAD_OFFSET] += rule->cfa == UNWIND_CFA_UNSUPPORTED;
	if (!unwind_builder_add(&making->builder, vaddr, rule))
		making->rows->stats.unsupported[UNWIND_BAD_RULE_COUNT]++;
}

static void add_function(struct making *making, const struct unwind_function *function)
{
	making->rows->stats.functions++;
	if (function->source == UNWIND_PCLNTAB) {
		unwind_pclntab_run(&making->pclntab, function, add_rule, making);
		return;
	}
	const struct unwind_common *common = &making->entries.commons[function->common];
	const struct eh_section *section = function->source == UNWIND_DEBUG_FRAME
						   ? &making->tables.debug_frame
						   : &making->tables.eh_frame;
	if (!common->is_run) {
		add_unsupported(making, function->start_vaddr, common->why);
		return;
	}
	struct reader program =
		reader_of(section->data + function->program_off, function->program_bytes);
	uint64_t bad_vaddr;
	enum unwind_unsupported why;
	making->is_signal_frame = common->cfi.is_signal_frame;
	if (!cfi_run(&common->cfi, section, program, function->start_vaddr, function->limit_vaddr,
		     add_row, making, &bad_vaddr, &why))
		add_unsupported(making, bad_vaddr, why);
}

static void add_functions(struct making *making)
{
	static const struct unwind_rule hole = {0};
	const struct unwind_entries *entries = &making->entries;
	for (size_t i = 0; i < entries->count && !making->builder.error; i++) {
		const struct unwind_function *function = &entries->functions[i];
		add_function(making, function);
		if (i + 1 == entries->count || function[1].start_vaddr > function->limit_vaddr)
			unwind_builder_add(&making->builder, function->limit_vaddr, &hole);
	}
}

static bool is_sorted(const struct unwind_entries *entries)
{
	for (size_t i = 1; i < entries->count; i++)
		if (compare_functions(&entries->functions[i - 1], &entries->functions[i]) > 0)
			return false;
	return true;
}

/* A table of Go's that cannot be read is as none. */
static int add_pclntab(struct making *making, const struct elf_file *file)
{
	int rc = pclntab_table_open(&making->pclntab, file, NULL);
	if (!rc)
		return unwind_pclntab_add(&making->entries, &making->pclntab);
	return rc == -ENOMEM ? rc : 0;
}

static int read_entries(struct making *making, const struct elf_file *file, struct err *err)
{
	struct unwind_tables *tables = &making->tables;
	struct unwind_entries *entries = &making->entries;
	int rc = unwind_tables_read(tables, file, err);
	if (rc)
		return rc;
	if (tables->eh_frame.data)
		rc = unwind_entries_add(entries, &tables->eh_frame, false, tables->ends_at_zero);
	if (!rc && tables->debug_frame.data)
		rc = unwind_entries_add(entries, &tables->debug_frame, true, false);
	if (!rc)
		rc = add_pclntab(making, file);
	if (rc)
		return err_set(err, rc, "call frame information: %m");
	remove_outside(making, file);
	if (!is_sorted(entries))
		qsort(entries->functions, entries->count, sizeof(*entries->functions),
		      compare_functions);
	drop_described_twice(entries);
	resolve_overlaps(making);
	return 0;
}

static int make(struct making *making, const struct elf_file *file, struct err *err)
{
	int rc = read_entries(making, file, err);
	if (rc)
		return rc;
	struct unwind_stats *stats = &making->rows->stats;
	stats->discarded = making->entries.discarded;
	for (size_t i = 0; i < UNWIND_UNSUPPORTED_KINDS; i++)
		stats->unsupported[i] += making->entries.unknown[i];
	add_functions(making);
	rc = unwind_builder_finish(&making->builder);
	return rc ? err_set(err, rc, "unwind rows: %m") : 0;
}

int unwind_rows_open(struct unwind_rows **out, const struct elf_file *file, struct err *err)
{
	if (elf_file_machine(file) != EM_X86_64)
		return err_set(err, -EOPNOTSUPP,
			       "unwind rows of ELF machine %u; only x86-64 is read",
			       elf_file_machine(file));
	AUTO(unwind_rows) rows = calloc(1, sizeof(*rows));
	if (!rows)
		return err_set(err, -ENOMEM, "unwind rows: %m");
	AUTO_FINI(making_fini) struct making making = {.rows = rows};
	unwind_builder_init(&making.builder, rows);
	int rc = make(&making, file, err);
	if (rc)
		return rc;
	*out = TAKE(rows);
	return 0;
}
