#include "symbolizer/unwind_builder.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/hash.h"

enum {
	MAX_ROWS = 32 << 20,
	MAX_PAGES = 128 << 10,
	RULE_HOLE = 0,
	RULE_UNSUPPORTED = 1, /* made at the start, for when no more can be */
};

static uint64_t rule_hash(const struct unwind_rule *rule)
{
	uint64_t words[2];
	memcpy(words, rule, sizeof(words));
	return hash_mix(words[0], words[1]);
}

static bool same_rule(const void *ctx, uint32_t position, const void *key)
{
	const struct unwind_rows *rows = ctx;
	return !memcmp(&rows->rules[position], key, sizeof(struct unwind_rule));
}

static void add_rule(struct unwind_builder *builder, uint64_t hash, const struct unwind_rule *rule)
{
	struct unwind_rows *rows = builder->rows;
	int rc = ARRAY_RESERVE(rows->rules, rows->rule_cap, rows->rule_count, UNWIND_MAX_RULES);
	if (!rc)
		rc = index_add(&builder->index, hash, (uint32_t)rows->rule_count);
	if (!rc)
		rows->rules[rows->rule_count++] = *rule;
	else
		builder->error = rc;
}

/* INDEX_NONE: it is a new one, and there are too many. */
static uint32_t rule_number(struct unwind_builder *builder, const struct unwind_rule *rule)
{
	const struct unwind_rows *rows = builder->rows;
	uint64_t hash = rule_hash(rule);
	uint32_t *recent = &builder->recent[hash % UNWIND_RECENT_RULES];
	if (same_rule(rows, *recent, rule))
		return *recent;
	uint32_t number = index_find(&builder->index, hash, same_rule, rows, rule);
	if (number == INDEX_NONE) {
		if (rows->rule_count == UNWIND_MAX_RULES)
			return INDEX_NONE;
		number = (uint32_t)rows->rule_count;
		add_rule(builder, hash, rule);
		if (builder->error)
			return RULE_UNSUPPORTED;
	}
	*recent = number;
	return number;
}

void unwind_builder_init(struct unwind_builder *builder, struct unwind_rows *rows)
{
	*builder = (struct unwind_builder){.rows = rows};
	index_init(&builder->index, UNWIND_MAX_RULES);
	static const struct unwind_rule first[] = {
		[RULE_HOLE] = {0},
		[RULE_UNSUPPORTED] = {.cfa = UNWIND_CFA_UNSUPPORTED},
	};
	for (size_t i = 0; i < ARRAY_LEN(first) && !builder->error; i++)
		add_rule(builder, rule_hash(&first[i]), &first[i]);
}

void unwind_builder_fini(struct unwind_builder *builder)
{
	index_fini(&builder->index);
}

static void push_row(struct unwind_builder *builder, uint32_t off, uint32_t rule)
{
	struct unwind_rows *rows = builder->rows;
	int rc = ARRAY_RESERVE(rows->rows, rows->row_cap, rows->row_count, MAX_ROWS);
	if (rc)
		builder->error = rc;
	else
		rows->rows[rows->row_count++] =
			(struct unwind_row){.off = (uint16_t)off, .rule = (uint16_t)rule};
}

/* Begin a page with what holds at its start. */
static void push_page(struct unwind_builder *builder, uint32_t number, uint32_t rule)
{
	struct unwind_rows *rows = builder->rows;
	int rc = ARRAY_RESERVE(rows->pages, rows->page_cap, rows->page_count, MAX_PAGES);
	if (rc) {
		builder->error = rc;
		return;
	}
	rows->pages[rows->page_count++] =
		(struct unwind_page){.number = number, .first_row = (uint32_t)rows->row_count};
	push_row(builder, 0, rule);
}

/* Begin the pages up to that of vaddr, where another rule comes into force. */
static void open_pages(struct unwind_builder *builder, uint32_t number, uint32_t off, uint32_t rule)
{
	const struct unwind_rows *rows = builder->rows;
	if (rows->page_count && builder->rule != RULE_HOLE)
		for (uint32_t full = rows->pages[rows->page_count - 1].number + 1;
		     full < number && !builder->error; full++)
			push_page(builder, full, builder->rule);
	if (off != 0)
		push_page(builder, number, builder->rule);
	else if (rule != RULE_HOLE)
		push_page(builder, number, rule);
}

/* A rule that is not in force yet holds from vaddr on. */
static void change_rule(struct unwind_builder *builder, uint64_t vaddr, uint32_t rule)
{
	const struct unwind_rows *rows = builder->rows;
	uint32_t number = (uint32_t)(vaddr >> UNWIND_PAGE_SHIFT);
	uint32_t off = vaddr & (UNWIND_PAGE_BYTES - 1);
	bool is_open = rows->page_count && rows->pages[rows->page_count - 1].number == number;
	if (!is_open)
		open_pages(builder, number, off, rule);
	if ((is_open || off != 0) && !builder->error)
		push_row(builder, off, rule);
	builder->rule = rule;
}

bool unwind_builder_add(struct unwind_builder *builder, uint64_t vaddr,
			const struct unwind_rule *rule)
{
	if (builder->error)
		return true;
	uint32_t number = rule_number(builder, rule);
	bool is_numbered = number != INDEX_NONE;
	if (!is_numbered)
		number = RULE_UNSUPPORTED;
	if (!builder->error && number != builder->rule)
		change_rule(builder, vaddr, number);
	return is_numbered;
}

/* Memory is given back to the last row: tables of thousands of files are kept. */
static void shrink(void **items, size_t count, size_t item_bytes)
{
	void *smaller = realloc(*items, (count + 1) * item_bytes);
	if (smaller)
		*items = smaller;
}

int unwind_builder_finish(struct unwind_builder *builder)
{
	struct unwind_rows *rows = builder->rows;
	if (builder->error)
		return builder->error;
	int rc = ARRAY_RESERVE(rows->pages, rows->page_cap, rows->page_count, MAX_PAGES + 1);
	if (rc)
		return rc;
	rows->pages[rows->page_count] =
		(struct unwind_page){.number = UINT32_MAX, .first_row = (uint32_t)rows->row_count};
	shrink((void **)&rows->pages, rows->page_count, sizeof(*rows->pages));
	shrink((void **)&rows->rows, rows->row_count, sizeof(*rows->rows));
	shrink((void **)&rows->rules, rows->rule_count, sizeof(*rows->rules));
	rows->stats.rows = rows->row_count;
	rows->stats.rules = rows->rule_count;
	rows->stats.bytes = sizeof(*rows) + (rows->page_count + 1) * sizeof(*rows->pages) +
			    (rows->row_count + 1) * sizeof(*rows->rows) +
			    (rows->rule_count + 1) * sizeof(*rows->rules);
	return 0;
}
