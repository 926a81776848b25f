#include "symbolizer/unwind_rows.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/reader.h"

static const char *const unsupported_names[UNWIND_UNSUPPORTED_KINDS] = {
	[UNWIND_BAD_CFA_EXPRESSION] = "CFA expression",
	[UNWIND_BAD_CFA_MISSING] = "no CFA",
	[UNWIND_BAD_RA_RULE] = "return address rule",
	[UNWIND_BAD_RA_MISSING] = "no return address",
	[UNWIND_BAD_SP_RULE] = "stack pointer rule",
	[UNWIND_BAD_FP_RULE] = "frame pointer rule",
	[UNWIND_BAD_OFFSET] = "offset too large",
	[UNWIND_BAD_INSTRUCTION] = "unknown instruction",
	[UNWIND_BAD_PROGRAM] = "malformed program",
	[UNWIND_BAD_STATE_DEPTH] = "states nested too deep",
	[UNWIND_BAD_RULE_COUNT] = "too many rules",
	[UNWIND_BAD_AUGMENTATION] = "unknown augmentation",
	[UNWIND_BAD_CIE] = "unknown kind of CIE",
	[UNWIND_BAD_ENCODING] = "pointer encoding",
	[UNWIND_BAD_ENTRY] = "malformed entry",
};

const char *unwind_unsupported_name(enum unwind_unsupported kind)
{
	return unsupported_names[kind];
}

void unwind_rows_free(struct unwind_rows *rows)
{
	if (!rows)
		return;
	free(rows->pages);
	free(rows->rows);
	free(rows->rules);
	free(rows);
}

const struct unwind_rule *unwind_rows_rules(const struct unwind_rows *rows, size_t *count)
{
	*count = rows->rule_count;
	return rows->rules;
}

const struct unwind_stats *unwind_rows_stats(const struct unwind_rows *rows)
{
	return &rows->stats;
}

const struct unwind_row *unwind_rows_page(const struct unwind_rows *rows, uint64_t vaddr,
					  size_t *count)
{
	uint64_t number = vaddr >> UNWIND_PAGE_SHIFT;
	size_t low = 0, high = rows->page_count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (rows->pages[middle].number < number)
			low = middle + 1;
		else
			high = middle;
	}
	*count = 0;
	if (low == rows->page_count || rows->pages[low].number != number)
		return NULL;
	*count = rows->pages[low + 1].first_row - rows->pages[low].first_row;
	return rows->rows + rows->pages[low].first_row;
}

const struct unwind_rule *unwind_rows_find(const struct unwind_rows *rows, uint64_t vaddr)
{
	size_t low = 0, high;
	const struct unwind_row *page = unwind_rows_page(rows, vaddr, &high);
	if (!page)
		return &rows->rules[0];
	uint16_t off = vaddr & (UNWIND_PAGE_BYTES - 1);
	while (high - low > 1) { /* page[low].off <= off, for the first row is at 0 */
		size_t middle = low + (high - low) / 2;
		if (page[middle].off <= off)
			low = middle;
		else
			high = middle;
	}
	return &rows->rules[page[low].rule];
}

/* What is encoded: this, then the pages with their end, the rules, the rows. */
struct encoded_header {
	uint64_t page_count, rule_count, row_count;
	struct unwind_stats stats;
};

void unwind_rows_encode(const struct unwind_rows *rows, struct buf *out)
{
	struct encoded_header header = {
		.page_count = rows->page_count,
		.rule_count = rows->rule_count,
		.row_count = rows->row_count,
		.stats = rows->stats,
	};
	buf_append(out, &header, sizeof(header));
	buf_append(out, rows->pages, (rows->page_count + 1) * sizeof(*rows->pages));
	buf_append(out, rows->rules, rows->rule_count * sizeof(*rows->rules));
	buf_append(out, rows->rows, rows->row_count * sizeof(*rows->rows));
}

/* A copy of count items of the input, and NULL (and r->bad) when it has fewer. */
static void *copy_items(struct reader *r, uint64_t count, size_t item_bytes)
{
	uint64_t len_bytes;
	if (__builtin_mul_overflow(count, item_bytes, &len_bytes))
		len_bytes = UINT64_MAX;
	const void *bytes = reader_bytes(r, len_bytes);
	void *copy = bytes ? malloc(len_bytes + 1) : NULL;
	if (copy)
		memcpy(copy, bytes, len_bytes);
	return copy;
}

static bool is_page_good(const struct unwind_rows *rows, size_t number)
{
	uint32_t first = rows->pages[number].first_row;
	uint32_t end = rows->pages[number + 1].first_row;
	if (first >= end || end > rows->row_count || rows->rows[first].off != 0)
		return false;
	if (number > 0 && rows->pages[number - 1].number >= rows->pages[number].number)
		return false;
	for (uint32_t i = first; i < end; i++)
		if (rows->rows[i].rule >= rows->rule_count ||
		    (i > first && rows->rows[i].off <= rows->rows[i - 1].off))
			return false;
	return true;
}

static bool is_good(const struct unwind_rows *rows)
{
	static const struct unwind_rule hole = {0};
	if (!rows->rule_count || rows->rule_count > UNWIND_MAX_RULES ||
	    memcmp(rows->rules, &hole, sizeof(hole)) != 0)
		return false;
	for (size_t i = 0; i < rows->rule_count; i++)
		if (rows->rules[i].cfa > UNWIND_CFA_PLT ||
		    rows->rules[i].fp > UNWIND_AT_UNSUPPORTED ||
		    rows->rules[i].ra > UNWIND_AT_UNSUPPORTED)
			return false;
	if (rows->pages[0].first_row != 0 ||
	    rows->pages[rows->page_count].first_row != rows->row_count)
		return false;
	for (size_t i = 0; i < rows->page_count; i++)
		if (!is_page_good(rows, i))
			return false;
	return true;
}

int unwind_rows_decode(struct unwind_rows **out, const void *data, size_t len_bytes,
		       struct err *err)
{
	struct reader r = reader_of(data, len_bytes);
	struct encoded_header header;
	const void *bytes = reader_bytes(&r, sizeof(header));
	if (!bytes)
		return err_set(err, -EBADMSG, "unwind rows of %zu bytes", len_bytes);
	memcpy(&header, bytes, sizeof(header));
	AUTO(unwind_rows) rows = calloc(1, sizeof(*rows));
	if (!rows || header.page_count == UINT64_MAX)
		return err_set(err, rows ? -EBADMSG : -ENOMEM, "unwind rows: %m");
	rows->page_count = header.page_count;
	rows->rule_count = header.rule_count;
	rows->row_count = header.row_count;
	rows->stats = header.stats;
	rows->pages = copy_items(&r, header.page_count + 1, sizeof(*rows->pages));
	rows->rules = copy_items(&r, header.rule_count, sizeof(*rows->rules));
	rows->rows = copy_items(&r, header.row_count, sizeof(*rows->rows));
	if (r.bad || reader_left_bytes(&r))
		return err_set(err, -EBADMSG, "unwind rows of the wrong length");
	if (!rows->pages || !rows->rules || !rows->rows)
		return err_set(err, -ENOMEM, "unwind rows: %m");
	if (!is_good(rows))
		return err_set(err, -EBADMSG, "unwind rows that contradict themselves");
	*out = TAKE(rows);
	return 0;
}
