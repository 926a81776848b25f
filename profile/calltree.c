#include "profile/calltree.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/group.h"
#include "base/hash.h"
#include "base/sat.h"
#include "profile/frames.h"
#include "profile/preorder.h"

/* Inlined frames make a tree larger than the stacks it comes from. */
#define MAX_NODES ((size_t)1 << 25)
#define NO_LEAF   UINT32_MAX

enum { MAX_MARK_BYTES = 128 }; /* of a mark that has a label's name in it */

/* A node before its place in the order is known; parents come before their children. */
struct draft {
	struct calltree_node node;
	uint32_t symbol; /* frame */
};

struct builder {
	const struct profile *profile;
	const struct calltree_options *options;
	struct frame_table *frames;
	struct draft *drafts;
	size_t draft_count, draft_cap;
	struct index index; /* of drafts by (parent, symbol) */
	bool by_wait;       /* group_by is a label of waits */
	uint32_t *bases;    /* by thread or wait: the draft its stacks hang on */
	uint32_t *leaves;   /* by wait: the frame of its mark, or NO_LEAF */
	uint32_t *nodes;    /* by stack: its draft below `base_of` */
	uint32_t *base_of;  /* by stack: 1 + the base that nodes[] is for; 0: none yet */
	bool *in_focus;     /* by stack; NULL: all are */
	uint32_t *chain;    /* stacks from a leaf up, while it is resolved */
	size_t chain_count, chain_cap;
};

static void fini_builder(struct builder *b)
{
	frame_table_free(b->frames);
	free(b->drafts);
	index_fini(&b->index);
	free(b->bases);
	free(b->leaves);
	free(b->nodes);
	free(b->base_of);
	free(b->in_focus);
	free(b->chain);
}

struct child_key {
	uint32_t parent;
	uint32_t symbol;
};

static bool same_child(const void *ctx, uint32_t position, const void *key)
{
	const struct draft *have = &((const struct builder *)ctx)->drafts[position];
	const struct child_key *want = key;
	return have->node.parent == want->parent && have->symbol == want->symbol;
}

/* The child of `parent` for a frame, made when new. */
static int child_of(struct builder *b, uint32_t parent, uint32_t frame_id, uint32_t *child)
{
	const struct frame *frame = &b->frames->frames[frame_id];
	struct child_key key = {parent, frame->symbol};
	uint64_t hash = hash_u64((uint64_t)key.parent << 32 | key.symbol);
	*child = index_find(&b->index, hash, same_child, b, &key);
	if (*child != INDEX_NONE)
		return 0;
	*child = (uint32_t)b->draft_count;
	int rc = ARRAY_RESERVE(b->drafts, b->draft_cap, *child, MAX_NODES);
	if (!rc)
		rc = index_add(&b->index, hash, *child);
	if (rc)
		return rc;
	b->drafts[b->draft_count++] = (struct draft){
		.node = {.parent = parent,
			 .name = frame->name,
			 .mapping = frame->mapping,
			 .kind = frame->kind,
			 .depth = b->drafts[parent].node.depth + 1},
		.symbol = frame->symbol,
	};
	return 0;
}

static int add_root(struct builder *b)
{
	struct draft root = {.node.kind = FRAME_ROOT};
	int rc = frame_table_add_mark(b->frames, "all", &root.symbol);
	if (!rc)
		rc = ARRAY_RESERVE(b->drafts, b->draft_cap, 0, MAX_NODES);
	if (rc)
		return rc;
	root.node.name = b->frames->frames[root.symbol].name;
	b->drafts[b->draft_count++] = root;
	return 0;
}

/* What the stacks of a thread, or of a wait, are grouped under. */
static const char *group_of(const struct builder *b, uint32_t owner, const char *missing,
			    char scratch[static PROFILE_LABEL_SCRATCH_BYTES])
{
	const char *label = b->options->group_by;
	if (!strcmp(label, "comm"))
		return profile_thread_comm(b->profile, owner);
	const char *value = b->by_wait ? profile_wait_label(b->profile, owner, label)
				       : profile_thread_label(b->profile, owner, label, scratch);
	return value ? value : missing;
}

static int add_bases(struct builder *b)
{
	const struct profile *profile = b->profile;
	char missing[MAX_MARK_BYTES];
	char scratch[PROFILE_LABEL_SCRATCH_BYTES];
	if (!b->options->group_by)
		return 0;
	snprintf(missing, sizeof(missing), "[no %s]", b->options->group_by);
	for (uint32_t i = 0; i < (b->by_wait ? profile->wait_count : profile->thread_count); i++) {
		uint32_t frame;
		int rc = frame_table_add_mark(b->frames, group_of(b, i, missing, scratch), &frame);
		if (!rc)
			rc = child_of(b, 0, frame, &b->bases[i]);
		if (rc)
			return rc;
	}
	return 0;
}

/* "[lock]", for waiting samples only. */
static int add_leaves(struct builder *b)
{
	for (uint32_t i = 0; i < b->profile->wait_count; i++) {
		char mark[MAX_MARK_BYTES];
		b->leaves[i] = NO_LEAF;
		if (!i || b->options->no_waits)
			continue;
		snprintf(mark, sizeof(mark), "[%s]", wait_reason_name(b->profile->waits[i].reason));
		int rc = frame_table_add_mark(b->frames, mark, &b->leaves[i]);
		if (rc)
			return rc;
	}
	return 0;
}

/* A stack is in focus when one of its frames has the name, or its caller's stack is. */
static int find_focus(struct builder *b)
{
	if (!b->options->focus)
		return 0;
	const struct profile *profile = b->profile;
	const struct frame_table *frames = b->frames;
	b->in_focus = calloc(profile->stack_count, sizeof(*b->in_focus));
	if (!b->in_focus)
		return -ENOMEM;
	uint32_t name = strtab_find(&frames->strings, b->options->focus);
	for (size_t i = 1; i < profile->stack_count; i++) {
		const struct profile_stack *stack = &profile->stacks[i];
		struct frame_span span = frames->spans[stack->location];
		b->in_focus[i] = b->in_focus[stack->parent];
		for (uint32_t j = span.first; j < span.first + span.count; j++)
			b->in_focus[i] |= frames->frames[frames->ids[j]].name == name;
	}
	return 0;
}

/* Descends from `node` through the frames of one location. */
static int descend(struct builder *b, uint32_t location, uint32_t *node)
{
	struct frame_span span = b->frames->spans[location];
	for (uint32_t i = span.first; i < span.first + span.count; i++) {
		uint32_t symbol = b->frames->frames[b->frames->ids[i]].symbol;
		if (b->options->view == FRAME_VIEW_LIBRARY && b->drafts[*node].symbol == symbol)
			continue; /* a call that stays inside */
		int rc = child_of(b, *node, b->frames->ids[i], node);
		if (rc)
			return rc;
	}
	return 0;
}

/* The node of a stack below a base. Climbs to the nearest stack whose node is known, then
 * goes back down, so that each stack is resolved once per base. */
static int node_of_stack(struct builder *b, uint32_t base, uint32_t stack, uint32_t *node)
{
	b->chain_count = 0;
	for (; stack && b->base_of[stack] != base + 1; stack = b->profile->stacks[stack].parent) {
		int rc = ARRAY_RESERVE(b->chain, b->chain_cap, b->chain_count, PROFILE_MAX_ENTRIES);
		if (rc)
			return rc;
		b->chain[b->chain_count++] = stack;
	}
	*node = stack ? b->nodes[stack] : base;
	while (b->chain_count > 0) {
		stack = b->chain[--b->chain_count];
		int rc = descend(b, b->profile->stacks[stack].location, node);
		if (rc)
			return rc;
		b->nodes[stack] = *node;
		b->base_of[stack] = base + 1;
	}
	return 0;
}

static bool is_in_focus(const struct builder *b, const struct profile_sample *sample)
{
	if (!b->in_focus || b->in_focus[sample->stack])
		return true;
	uint32_t leaf = b->leaves[sample->wait];
	return leaf != NO_LEAF &&
	       !strcmp(strtab_get(&b->frames->strings, b->frames->frames[leaf].name),
		       b->options->focus);
}

static uint32_t base_of_sample(const struct builder *b, const struct profile_sample *sample)
{
	return b->bases[b->by_wait ? sample->wait : sample->thread];
}

static int add_sample(struct builder *b, const struct profile_sample *sample)
{
	if (!is_in_focus(b, sample))
		return 0;
	uint32_t node;
	int rc = node_of_stack(b, base_of_sample(b, sample), sample->stack, &node);
	if (!rc && b->leaves[sample->wait] != NO_LEAF)
		rc = child_of(b, node, b->leaves[sample->wait], &node);
	if (rc)
		return rc;
	struct calltree_node *n = &b->drafts[node].node;
	n->self_weight = sat_add_i64(n->self_weight, sample->weight);
	n->self_count = sat_add_u64(n->self_count, sample->count);
	return 0;
}

/* Samples by base, so that the stacks resolved for one base are used up before the next. */
static int add_samples(struct builder *b)
{
	const struct profile *profile = b->profile;
	size_t count = profile->sample_count;
	AUTO_MEM uint32_t *bases = calloc(count + 1, sizeof(*bases));
	AUTO_MEM uint32_t *order = calloc(count + 1, sizeof(*order));
	AUTO_MEM uint32_t *starts = calloc(b->draft_count + 1, sizeof(*starts));
	if (!bases || !order || !starts)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		bases[i] = base_of_sample(b, &profile->samples[i]);
	group_by_key(count, NULL, bases, b->draft_count, starts, order);
	for (size_t i = 0; i < count; i++) {
		int rc = add_sample(b, &profile->samples[order[i]]);
		if (rc)
			return rc;
	}
	return 0;
}

static void sum_totals(struct builder *b)
{
	for (size_t i = b->draft_count; i-- > 0;) {
		struct calltree_node *node = &b->drafts[i].node;
		node->total_weight = sat_add_i64(node->total_weight, node->self_weight);
		node->total_count = sat_add_u64(node->total_count, node->self_count);
		if (!i)
			break;
		struct calltree_node *parent = &b->drafts[node->parent].node;
		parent->total_weight = sat_add_i64(parent->total_weight, node->total_weight);
		parent->total_count = sat_add_u64(parent->total_count, node->total_count);
	}
}

/* Imported weights may be negative: how heavy is then how far from 0. */
static uint64_t heaviness(const struct calltree_node *node)
{
	int64_t weight = node->total_weight;
	return weight < 0 ? -(uint64_t)weight : (uint64_t)weight;
}

static int compare_heaviest(const void *a, const void *b, void *ctx)
{
	const struct draft *drafts = ctx;
	uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
	uint64_t left_weight = heaviness(&drafts[left].node);
	uint64_t right_weight = heaviness(&drafts[right].node);
	if (left_weight != right_weight)
		return left_weight > right_weight ? -1 : 1;
	return left < right ? -1 : left > right; /* a parent before its only child */
}

static int drop_beyond_max_nodes(struct builder *b, bool *dropped)
{
	size_t max_nodes = b->options->max_nodes;
	if (!max_nodes || b->draft_count <= max_nodes)
		return 0;
	AUTO_MEM uint32_t *order = malloc(b->draft_count * sizeof(*order));
	if (!order)
		return -ENOMEM;
	for (size_t i = 0; i < b->draft_count; i++)
		order[i] = (uint32_t)i;
	qsort_r(order, b->draft_count, sizeof(*order), compare_heaviest, b->drafts);
	for (size_t i = max_nodes; i < b->draft_count; i++)
		dropped[order[i]] = true;
	return 0;
}

/* Drops what is too light or too many, and what hangs on it. Kept nodes move together. */
static int prune(struct builder *b)
{
	AUTO_MEM bool *dropped = calloc(b->draft_count, sizeof(*dropped));
	AUTO_MEM uint32_t *moved = calloc(b->draft_count, sizeof(*moved));
	if (!dropped || !moved)
		return -ENOMEM;
	int rc = drop_beyond_max_nodes(b, dropped);
	if (rc)
		return rc;
	double least = b->options->min_share * (double)heaviness(&b->drafts[0].node);
	size_t kept = 1;
	for (size_t i = 1; i < b->draft_count; i++) {
		struct calltree_node *node = &b->drafts[i].node;
		dropped[i] |= (node->parent && dropped[node->parent]) ||
			      (double)heaviness(node) < least ||
			      (!node->total_count && !node->total_weight);
		if (dropped[i])
			continue;
		node->parent = moved[node->parent];
		moved[i] = (uint32_t)kept;
		b->drafts[kept++] = b->drafts[i];
	}
	b->draft_count = kept;
	return 0;
}

static int compare_names(const void *a, const void *b, void *ctx)
{
	const struct frame_table *table = ctx;
	uint32_t left_id = *(const uint32_t *)a, right_id = *(const uint32_t *)b;
	const struct frame *left = &table->frames[left_id], *right = &table->frames[right_id];
	int order = strcmp(strtab_get(&table->strings, left->name),
			   strtab_get(&table->strings, right->name));
	if (!order)
		order = (int)left->kind - (int)right->kind;
	return order ? order : (left_id > right_id) - (left_id < right_id);
}

/* ranks[frame]: its place among all frames by name. */
static int rank_frames(struct frame_table *table, uint32_t *ranks)
{
	AUTO_MEM uint32_t *order = malloc(table->frame_count * sizeof(*order));
	if (!order)
		return -ENOMEM;
	for (size_t i = 0; i < table->frame_count; i++)
		order[i] = (uint32_t)i;
	qsort_r(order, table->frame_count, sizeof(*order), compare_names, table);
	for (size_t i = 0; i < table->frame_count; i++)
		ranks[order[i]] = (uint32_t)i;
	return 0;
}

/* Where each draft goes in depth-first order, and how large its subtree is. */
static int place_drafts(struct builder *b, uint32_t *positions, uint32_t *sizes)
{
	size_t count = b->draft_count;
	AUTO_MEM uint32_t *frame_ranks = malloc(b->frames->frame_count * sizeof(*frame_ranks));
	AUTO_MEM uint32_t *ranks = malloc(count * sizeof(*ranks));
	AUTO_MEM uint32_t *parents = malloc(count * sizeof(*parents));
	if (!frame_ranks || !ranks || !parents)
		return -ENOMEM;
	int rc = rank_frames(b->frames, frame_ranks);
	if (rc)
		return rc;
	for (size_t i = 0; i < count; i++) {
		ranks[i] = frame_ranks[b->drafts[i].symbol];
		parents[i] = b->drafts[i].node.parent;
	}
	return preorder(count, parents, ranks, b->frames->frame_count, positions, sizes);
}

static int order_nodes(struct calltree *tree, struct builder *b)
{
	size_t count = b->draft_count;
	AUTO_MEM uint32_t *positions = malloc(count * sizeof(*positions));
	AUTO_MEM uint32_t *sizes = malloc(count * sizeof(*sizes));
	tree->nodes = malloc(count * sizeof(*tree->nodes));
	if (!positions || !sizes || !tree->nodes)
		return -ENOMEM;
	int rc = place_drafts(b, positions, sizes);
	if (rc)
		return rc;
	for (size_t i = 0; i < count; i++) {
		struct calltree_node *node = &tree->nodes[positions[i]];
		*node = b->drafts[i].node;
		node->parent = positions[node->parent];
		node->end = positions[i] + sizes[i];
		if (node->depth > tree->max_depth)
			tree->max_depth = node->depth;
	}
	tree->node_count = count;
	tree->strings = b->frames->strings;
	b->frames->strings = (struct strtab){0};
	return 0;
}

static int init_builder(struct builder *b)
{
	index_init(&b->index, MAX_NODES);
	const char *group_by = b->options->group_by;
	b->by_wait = group_by && profile_is_wait_label(group_by);
	b->bases = calloc(b->by_wait ? b->profile->wait_count : b->profile->thread_count,
			  sizeof(*b->bases));
	b->leaves = malloc(b->profile->wait_count * sizeof(*b->leaves));
	b->nodes = calloc(b->profile->stack_count, sizeof(*b->nodes));
	b->base_of = calloc(b->profile->stack_count, sizeof(*b->base_of));
	if (!b->bases || !b->leaves || !b->nodes || !b->base_of)
		return -ENOMEM;
	return frame_table_new(&b->frames, b->profile, b->options->view);
}

static int build(struct calltree *tree, struct builder *b)
{
	static int (*const steps[])(struct builder *) = {init_builder, add_root,   find_focus,
							 add_bases,    add_leaves, add_samples};
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		int rc = steps[i](b);
		if (rc)
			return rc;
	}
	sum_totals(b);
	int rc = prune(b);
	return rc ? rc : order_nodes(tree, b);
}

int calltree_build(struct calltree **out, const struct profile *profile,
		   const struct calltree_options *options, struct err *err)
{
	static const struct calltree_options all = {0};
	AUTO(calltree) tree = calloc(1, sizeof(*tree));
	AUTO_FINI(fini_builder)
	struct builder b = {.profile = profile, .options = options ? options : &all};
	int rc = tree ? build(tree, &b) : -ENOMEM;
	if (rc)
		return err_set(err, rc, "build a call tree of %zu stacks: %m",
			       profile->stack_count);
	*out = TAKE(tree);
	return 0;
}

void calltree_free(struct calltree *tree)
{
	if (!tree)
		return;
	strtab_fini(&tree->strings);
	free(tree->nodes);
	free(tree);
}
