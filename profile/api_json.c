#include "profile/api_json.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

/* Down, also below 0: a child that is lighter than its parent stays so. */
static int64_t floor_us(int64_t ns)
{
	return ns / NS_PER_US - (ns % NS_PER_US < 0);
}

static void question_keys(struct json *json, const struct api_question *q)
{
	const char *type = profile_type_name(q->type);
	json_key_str(json, "type", type ? type : "");
	json_key_str(json, "query", q->query ? q->query : "{}");
	json_key_i64(json, "from_us", floor_us(q->from_unix_ns));
	json_key_i64(json, "until_us", floor_us(q->until_unix_ns));
}

/* The strings that an answer really uses, numbered from 0 in order of use. A cut tree uses
 * few of those in its table. */
struct name_list {
	const struct strtab *strings;
	uint32_t *index_of; /* by string; INDEX_NONE: not in the list */
	uint32_t *names;    /* string */
	uint32_t count;
};

static int name_list_init(struct name_list *list, const struct strtab *strings)
{
	*list = (struct name_list){.strings = strings};
	list->index_of = malloc((strings->count + 1) * sizeof(*list->index_of));
	list->names = malloc((strings->count + 1) * sizeof(*list->names));
	if (!list->index_of || !list->names)
		return -ENOMEM;
	memset(list->index_of, 0xff, (strings->count + 1) * sizeof(*list->index_of));
	return 0;
}

static void name_list_fini(struct name_list *list)
{
	free(list->index_of);
	free(list->names);
}

static uint32_t name_list_add(struct name_list *list, uint32_t string)
{
	if (list->index_of[string] == INDEX_NONE) {
		list->index_of[string] = list->count;
		list->names[list->count++] = string;
	}
	return list->index_of[string];
}

static const char *name_list_get(const struct name_list *list, uint32_t i)
{
	return strtab_get(list->strings, list->names[i]);
}

static void names_key(struct json *json, const char *key, const struct name_list *list)
{
	json_key(json, key);
	json_open_array(json);
	for (uint32_t i = 0; i < list->count; i++)
		json_str(json, name_list_get(list, i));
	json_close_array(json);
}

static void node_columns(struct json *json, const struct calltree *tree,
			 const struct name_list *names, const struct name_list *mappings)
{
#define COLUMN(key, write, value)                                           \
	do {                                                                \
		json_key(json, key);                                        \
		json_open_array(json);                                      \
		for (size_t i = 0; i < tree->node_count; i++) {             \
			const struct calltree_node *node = &tree->nodes[i]; \
			write(json, value);                                 \
		}                                                           \
		json_close_array(json);                                     \
	} while (0)

	json_key(json, "nodes");
	json_open_object(json);
	COLUMN("parent", json_u64, node->parent);
	COLUMN("name", json_u64, names->index_of[node->name]);
	COLUMN("mapping", json_u64, mappings->index_of[node->mapping]);
	COLUMN("kind", json_u64, node->kind);
	COLUMN("self_us", json_i64, floor_us(node->self_weight));
	COLUMN("total_us", json_i64, floor_us(node->total_weight));
	COLUMN("self_samples", json_u64, node->self_count);
	COLUMN("total_samples", json_u64, node->total_count);
	json_close_object(json);
#undef COLUMN
}

void api_json_flame(struct json *json, const struct api_question *q, const struct calltree *tree)
{
	AUTO_FINI(name_list_fini) struct name_list names = {0};
	AUTO_FINI(name_list_fini) struct name_list mappings = {0};
	if (name_list_init(&names, &tree->strings) || name_list_init(&mappings, &tree->strings)) {
		json->out->error = -ENOMEM;
		return;
	}
	for (size_t i = 0; i < tree->node_count; i++) {
		name_list_add(&names, tree->nodes[i].name);
		name_list_add(&mappings, tree->nodes[i].mapping);
	}
	json_open_object(json);
	question_keys(json, q);
	json_key_i64(json, "total_us", floor_us(tree->nodes[0].total_weight));
	json_key_u64(json, "samples", tree->nodes[0].total_count);
	json_key_u64(json, "max_depth", tree->max_depth);
	names_key(json, "names", &names);
	names_key(json, "mappings", &mappings);
	node_columns(json, tree, &names, &mappings);
	json_close_object(json);
}

void api_json_top(struct json *json, const struct api_question *q, const struct top_table *table,
		  size_t limit)
{
	json_open_object(json);
	question_keys(json, q);
	json_key_i64(json, "total_us", floor_us(table->total_weight));
	json_key_u64(json, "samples", table->total_count);
	json_key_u64(json, "functions", table->row_count);
	json_key(json, "rows");
	json_open_array(json);
	for (size_t i = 0; i < table->row_count && i < limit; i++) {
		const struct top_row *row = &table->rows[i];
		json_open_object(json);
		json_key_str(json, "name", strtab_get(&table->strings, row->name));
		json_key_str(json, "mapping", strtab_get(&table->strings, row->mapping));
		json_key_u64(json, "kind", row->kind);
		json_key_i64(json, "self_us", floor_us(row->self_weight));
		json_key_i64(json, "total_us", floor_us(row->total_weight));
		json_key_u64(json, "self_samples", row->self_count);
		json_key_u64(json, "total_samples", row->total_count);
		json_close_object(json);
	}
	json_close_array(json);
	json_close_object(json);
}

static void series_lines(struct json *json, const struct series_set *set)
{
	json_key(json, "series");
	json_open_array(json);
	for (size_t i = 0; i < set->line_count; i++) {
		const struct series_line *line = &set->lines[i];
		json_open_object(json);
		json_key_str(json, "name", strtab_get(&set->strings, line->name));
		json_key_i64(json, "total_us", floor_us(line->total_ns));
		json_key(json, "weight_us");
		json_open_array(json);
		for (size_t j = 0; j < set->point_count; j++)
			json_i64(json, floor_us(line->weight_ns[j]));
		json_close_array(json);
		json_close_object(json);
	}
	json_close_array(json);
}

static void series_health(struct json *json, const struct series_set *set)
{
	json_key(json, "covered_us");
	json_open_array(json);
	for (size_t i = 0; i < set->point_count; i++)
		json_i64(json, floor_us(set->health[i].covered_ns));
	json_close_array(json);
	json_key(json, "taken");
	json_open_array(json);
	for (size_t i = 0; i < set->point_count; i++)
		json_u64(json, set->health[i].taken);
	json_close_array(json);
	json_key(json, "dropped");
	json_open_array(json);
	for (size_t i = 0; i < set->point_count; i++)
		json_u64(json, set->health[i].dropped);
	json_close_array(json);
}

void api_json_series(struct json *json, const struct api_question *q, const char *group_by,
		     const struct series_set *set)
{
	json_open_object(json);
	question_keys(json, q);
	json_key_i64(json, "start_us", floor_us(set->start_unix_ns));
	json_key_i64(json, "step_us", floor_us(set->step_ns));
	json_key_u64(json, "points", set->point_count);
	json_key_str(json, "group_by", group_by ? group_by : "");
	series_lines(json, set);
	series_health(json, set);
	json_close_object(json);
}

void api_json_ledger(struct json *json, const struct ledger *ledger)
{
	json_open_object(json);
	json_key_u64(json, "taken", ledger->taken);
	json_key_u64(json, "stored", ledger->stored);
	json_key_u64(json, "pending", ledger->pending);
	json_key(json, "dropped");
	json_open_object(json);
	for (size_t i = 0; i < DROP_REASONS; i++)
		json_key_u64(json, drop_reason_name((enum drop_reason)i), ledger->dropped[i]);
	json_close_object(json);
	json_close_object(json);
}

static void append_f64le(struct buf *out, double value)
{
	uint64_t bits;
	memcpy(&bits, &value, sizeof(bits));
	buf_append_u64le(out, bits);
}

/* Columns begin at multiples of 8 bytes from the start of the table. */
static void align_column(struct buf *out, size_t start)
{
	while (!buf_error(out) && (out->len_bytes - start) % 8)
		buf_append_u8(out, 0);
}

static void table_header(struct buf *out, const struct api_question *q, const struct calltree *tree,
			 const struct name_list *names)
{
	size_t name_bytes = 0;
	for (uint32_t i = 0; i < names->count; i++)
		name_bytes += strlen(name_list_get(names, i));
	buf_append(out, "HEARTHF1", 8);
	buf_append_u32le(out, (uint32_t)tree->node_count);
	buf_append_u32le(out, names->count);
	buf_append_u32le(out, (uint32_t)name_bytes);
	buf_append_u32le(out, tree->max_depth);
	append_f64le(out, (double)tree->nodes[0].total_weight);
	append_f64le(out, (double)tree->nodes[0].total_count);
	buf_append_u64le(out, (uint64_t)floor_us(q->from_unix_ns));
	buf_append_u64le(out, (uint64_t)floor_us(q->until_unix_ns));
}

static void table_node_columns(struct buf *out, size_t start, const struct calltree *tree,
			       const struct name_list *names)
{
	const struct calltree_node *nodes = tree->nodes;
	size_t count = tree->node_count;
	for (size_t i = 0; i < count; i++)
		append_f64le(out, (double)nodes[i].self_weight);
	for (size_t i = 0; i < count; i++)
		append_f64le(out, (double)nodes[i].total_weight);
	for (size_t i = 0; i < count; i++)
		buf_append_u32le(out, nodes[i].parent);
	align_column(out, start);
	for (size_t i = 0; i < count; i++)
		buf_append_u32le(out, names->index_of[nodes[i].name]);
	align_column(out, start);
	for (size_t i = 0; i < count; i++)
		buf_append_u32le(out, names->index_of[nodes[i].mapping]);
	align_column(out, start);
	for (size_t i = 0; i < count; i++)
		buf_append_u32le(out, nodes[i].total_count < UINT32_MAX
					      ? (uint32_t)nodes[i].total_count
					      : UINT32_MAX);
	align_column(out, start);
}

static void table_names(struct buf *out, size_t start, const struct calltree *tree,
			const struct name_list *names)
{
	uint32_t off = 0;
	buf_append_u32le(out, off);
	for (uint32_t i = 0; i < names->count; i++) {
		off += (uint32_t)strlen(name_list_get(names, i));
		buf_append_u32le(out, off);
	}
	align_column(out, start);
	for (size_t i = 0; i < tree->node_count; i++)
		buf_append_u8(out, (uint8_t)tree->nodes[i].kind);
	align_column(out, start);
	for (uint32_t i = 0; i < names->count; i++)
		buf_append_str(out, name_list_get(names, i));
}

void api_flame_table(struct buf *out, const struct api_question *q, const struct calltree *tree)
{
	AUTO_FINI(name_list_fini) struct name_list names = {0};
	if (name_list_init(&names, &tree->strings)) {
		out->error = -ENOMEM;
		return;
	}
	for (size_t i = 0; i < tree->node_count; i++) {
		name_list_add(&names, tree->nodes[i].name);
		name_list_add(&names, tree->nodes[i].mapping);
	}
	size_t start = out->len_bytes;
	table_header(out, q, tree, &names);
	table_node_columns(out, start, tree, &names);
	table_names(out, start, tree, &names);
}

void api_json_labels(struct json *json, const struct series_set *names)
{
	json_open_object(json);
	json_key(json, "labels");
	json_open_array(json);
	for (size_t i = 0; i < names->line_count; i++)
		json_str(json, strtab_get(&names->strings, names->lines[i].name));
	json_close_array(json);
	json_close_object(json);
}

void api_json_label_values(struct json *json, const char *label, const struct series_set *values)
{
	json_open_object(json);
	json_key_str(json, "label", label);
	json_key(json, "values");
	json_open_array(json);
	for (size_t i = 0; i < values->line_count; i++) {
		const struct series_line *line = &values->lines[i];
		json_open_object(json);
		json_key_str(json, "value", strtab_get(&values->strings, line->name));
		json_key_i64(json, "total_us", line->total_ns / NS_PER_US);
		json_close_object(json);
	}
	json_close_array(json);
	json_close_object(json);
}
