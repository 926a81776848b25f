/* The function table: totals by function, recursion counted once. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/sat.h"
#include "profile/calltree.h"
#include "profile/frames.h"
#include "profile/preorder.h"

/* What is taken on a stack (self), or on it and on all stacks that go through it (below). */
struct load {
	int64_t weight;
	uint64_t count;
};

struct totals {
	const struct profile *profile;
	struct frame_table *frames;
	struct top_row *rows; /* by frame */
	struct load *below;   /* by stack */
	uint32_t *on_path;    /* by frame: how often it is on the path walked now */
};

static void fini_totals(struct totals *t)
{
	frame_table_free(t->frames);
	free(t->rows);
	free(t->below);
	free(t->on_path);
}

static void add_load(struct load *load, int64_t weight, uint64_t count)
{
	load->weight = sat_add_i64(load->weight, weight);
	load->count = sat_add_u64(load->count, count);
}

static int init_totals(struct totals *t, enum frame_view view)
{
	int rc = frame_table_new(&t->frames, t->profile, view);
	if (rc)
		return rc;
	t->rows = calloc(t->frames->frame_count + 1, sizeof(*t->rows));
	t->on_path = calloc(t->frames->frame_count + 1, sizeof(*t->on_path));
	t->below = calloc(t->profile->stack_count, sizeof(*t->below));
	if (!t->rows || !t->on_path || !t->below)
		return -ENOMEM;
	for (size_t i = 0; i < t->frames->frame_count; i++) {
		const struct frame *frame = &t->frames->frames[i];
		t->rows[i].name = frame->name;
		t->rows[i].mapping = frame->mapping;
		t->rows[i].kind = frame->kind;
	}
	return 0;
}

/* Self goes to the innermost frame of a stack's leaf; below is summed from the leaves up. */
static void add_selves(struct totals *t)
{
	const struct profile *profile = t->profile;
	for (size_t i = 0; i < profile->sample_count; i++) {
		const struct profile_sample *sample = &profile->samples[i];
		add_load(&t->below[sample->stack], sample->weight, sample->count);
	}
	for (size_t i = 1; i < profile->stack_count; i++) {
		struct frame_span span = t->frames->spans[profile->stacks[i].location];
		struct top_row *row = &t->rows[t->frames->ids[span.first + span.count - 1]];
		row->self_weight = sat_add_i64(row->self_weight, t->below[i].weight);
		row->self_count = sat_add_u64(row->self_count, t->below[i].count);
	}
	for (size_t i = profile->stack_count - 1; i > 0; i--)
		add_load(&t->below[profile->stacks[i].parent], t->below[i].weight,
			 t->below[i].count);
}

static void enter(struct totals *t, uint32_t stack)
{
	struct frame_span span = t->frames->spans[t->profile->stacks[stack].location];
	for (uint32_t i = span.first; i < span.first + span.count; i++) {
		uint32_t frame = t->frames->ids[i];
		if (t->on_path[frame]++)
			continue; /* recursion: a caller has counted these samples */
		struct top_row *row = &t->rows[frame];
		row->total_weight = sat_add_i64(row->total_weight, t->below[stack].weight);
		row->total_count = sat_add_u64(row->total_count, t->below[stack].count);
	}
}

static void leave(struct totals *t, uint32_t stack)
{
	struct frame_span span = t->frames->spans[t->profile->stacks[stack].location];
	for (uint32_t i = span.first; i < span.first + span.count; i++)
		t->on_path[t->frames->ids[i]]--;
}

/* Walks the stacks depth first, so that the functions on the way are known at each. */
static int add_totals(struct totals *t)
{
	const struct profile_stack *stacks = t->profile->stacks;
	size_t count = t->profile->stack_count;
	AUTO_MEM uint32_t *order = malloc(count * sizeof(*order));
	if (!order)
		return -ENOMEM;
	int rc = preorder_stacks(t->profile, order);
	if (rc)
		return rc;
	uint32_t at = 0;
	for (size_t i = 1; i < count; i++) {
		uint32_t next = order[i];
		for (; at != stacks[next].parent; at = stacks[at].parent)
			leave(t, at);
		enter(t, next);
		at = next;
	}
	return 0;
}

static int compare_rows(const void *a, const void *b, void *ctx)
{
	const struct top_row *left = a, *right = b;
	const struct strtab *strings = ctx;
	if (left->self_weight != right->self_weight)
		return left->self_weight > right->self_weight ? -1 : 1;
	if (left->total_weight != right->total_weight)
		return left->total_weight > right->total_weight ? -1 : 1;
	int order = strcmp(strtab_get(strings, left->name), strtab_get(strings, right->name));
	if (!order)
		order = strcmp(strtab_get(strings, left->mapping),
			       strtab_get(strings, right->mapping));
	return order ? order : (int)left->kind - (int)right->kind;
}

static void fill_table(struct top_table *table, struct totals *t)
{
	table->total_weight = t->below[0].weight;
	table->total_count = t->below[0].count;
	for (size_t i = 0; i < t->frames->frame_count; i++)
		if (t->rows[i].total_count || t->rows[i].total_weight)
			t->rows[table->row_count++] = t->rows[i];
	table->rows = TAKE(t->rows);
	table->strings = t->frames->strings;
	t->frames->strings = (struct strtab){0};
	qsort_r(table->rows, table->row_count, sizeof(*table->rows), compare_rows, &table->strings);
}

int top_table_build(struct top_table **out, const struct profile *profile, enum frame_view view,
		    struct err *err)
{
	AUTO(top_table) table = calloc(1, sizeof(*table));
	AUTO_FINI(fini_totals) struct totals t = {.profile = profile};
	int rc = table ? init_totals(&t, view) : -ENOMEM;
	if (!rc) {
		add_selves(&t);
		rc = add_totals(&t);
	}
	if (rc)
		return err_set(err, rc, "build the table of %zu functions: %m",
			       profile->function_count);
	fill_table(table, &t);
	*out = TAKE(table);
	return 0;
}

void top_table_free(struct top_table *table)
{
	if (!table)
		return;
	strtab_fini(&table->strings);
	free(table->rows);
	free(table);
}
