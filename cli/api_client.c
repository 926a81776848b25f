#include "cli/api_client.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>

#include "base/clock.h"

enum { MAX_POINTS = 1 << 20, MAX_LINES = 1 << 16 };

static void release(json_t **root)
{
	json_decref(*root);
}
#define AUTO_JSON __attribute__((cleanup(release))) json_t *

static int malformed(const char *what, struct err *err)
{
	return err_set(err, -EBADMSG, "the server's answer has no valid \"%s\"", what);
}

static int load(json_t **root, const void *data, size_t len_bytes, struct err *err)
{
	json_error_t why;
	*root = json_loadb(data, len_bytes, 0, &why);
	return *root ? 0 : err_set(err, -EBADMSG, "the server's answer is no JSON: %s", why.text);
}

/* Add one line with its total; -EBADMSG when name or total is missing. */
static int add_line(struct series_set *set, const json_t *name, const json_t *total_us,
		    struct series_line **line, struct err *err)
{
	if (!json_is_string(name) || (total_us && !json_is_integer(total_us)))
		return malformed("name", err);
	int rc = series_set_line(set, json_string_value(name), MAX_LINES, line);
	if (rc)
		return err_set(err, rc, "the server's answer: %m");
	(*line)->total_ns = json_integer_value(total_us) * NS_PER_US;
	return 0;
}

static int add_series(struct series_set *set, const json_t *series, struct err *err)
{
	struct series_line *line;
	int rc = add_line(set, json_object_get(series, "name"), json_object_get(series, "total_us"),
			  &line, err);
	if (rc)
		return rc;
	const json_t *weights = json_object_get(series, "weight_us");
	if (json_array_size(weights) != set->point_count)
		return malformed("weight_us", err);
	for (size_t i = 0; i < set->point_count; i++)
		line->weight_ns[i] = json_integer_value(json_array_get(weights, i)) * NS_PER_US;
	return 0;
}

static int add_health(struct series_set *set, const json_t *root, struct err *err)
{
	const json_t *covered = json_object_get(root, "covered_us");
	const json_t *taken = json_object_get(root, "taken");
	const json_t *dropped = json_object_get(root, "dropped");
	if (json_array_size(covered) != set->point_count ||
	    json_array_size(taken) != set->point_count ||
	    json_array_size(dropped) != set->point_count)
		return malformed("covered_us", err);
	for (size_t i = 0; i < set->point_count; i++)
		set->health[i] = (struct series_health){
			.covered_ns = json_integer_value(json_array_get(covered, i)) * NS_PER_US,
			.taken = (uint64_t)json_integer_value(json_array_get(taken, i)),
			.dropped = (uint64_t)json_integer_value(json_array_get(dropped, i)),
		};
	return 0;
}

int api_decode_series(struct series_set **out, const void *data, size_t len_bytes, struct err *err)
{
	AUTO_JSON root = NULL;
	int rc = load(&root, data, len_bytes, err);
	if (rc)
		return rc;
	json_int_t start_us = json_integer_value(json_object_get(root, "start_us"));
	json_int_t step_us = json_integer_value(json_object_get(root, "step_us"));
	json_int_t points = json_integer_value(json_object_get(root, "points"));
	if (step_us <= 0 || points < 0 || points > MAX_POINTS)
		return malformed("step_us", err);
	AUTO(series_set) set = NULL;
	rc = series_set_new(&set, start_us * NS_PER_US, step_us * NS_PER_US, (size_t)points);
	if (rc)
		return err_set(err, rc, "the server's answer: %m");
	rc = add_health(set, root, err);
	const json_t *lines = json_object_get(root, "series");
	for (size_t i = 0; i < json_array_size(lines) && !rc; i++)
		rc = add_series(set, json_array_get(lines, i), err);
	if (rc)
		return rc;
	*out = TAKE(set);
	return 0;
}

/* The items of an array, each a name, or an object with a value and a total. */
static int decode_names(struct series_set **out, const void *data, size_t len_bytes,
			const char *key, struct err *err)
{
	AUTO_JSON root = NULL;
	int rc = load(&root, data, len_bytes, err);
	if (rc)
		return rc;
	const json_t *items = json_object_get(root, key);
	if (!json_is_array(items))
		return malformed(key, err);
	AUTO(series_set) set = NULL;
	rc = series_set_new(&set, 0, NS_PER_S, 0);
	if (rc)
		return err_set(err, rc, "the server's answer: %m");
	for (size_t i = 0; i < json_array_size(items) && !rc; i++) {
		const json_t *item = json_array_get(items, i);
		const json_t *name = json_is_object(item) ? json_object_get(item, "value") : item;
		struct series_line *line;
		rc = add_line(set, name, json_object_get(item, "total_us"), &line, err);
	}
	if (rc)
		return rc;
	*out = TAKE(set);
	return 0;
}

int api_decode_labels(struct series_set **out, const void *data, size_t len_bytes, struct err *err)
{
	return decode_names(out, data, len_bytes, "labels", err);
}

int api_decode_label_values(struct series_set **out, const void *data, size_t len_bytes,
			    struct err *err)
{
	return decode_names(out, data, len_bytes, "values", err);
}

static void read_ends(uint64_t ends[static STACK_ENDS], const json_t *object)
{
	for (unsigned int end = 0; end < STACK_ENDS; end++) {
		json_int_t count = json_integer_value(json_object_get(object, stack_end_name(end)));
		ends[end] = count > 0 ? (uint64_t)count : 0;
	}
}

static int read_table(struct stack_quality_table *table, const json_t *object, const char *name_key,
		      struct err *err)
{
	const json_t *rows = json_object_get(object, "rows");
	if (!json_is_array(rows) || json_array_size(rows) > STACK_QUALITY_ROWS)
		return malformed("rows", err);
	for (size_t i = 0; i < json_array_size(rows); i++) {
		const json_t *item = json_array_get(rows, i);
		const char *name = json_string_value(json_object_get(item, name_key));
		if (!name)
			return malformed(name_key, err);
		struct stack_quality_row *row = &table->rows[table->row_count++];
		snprintf(row->name, sizeof(row->name), "%s", name);
		row->pid = (uint32_t)json_integer_value(json_object_get(item, "pid"));
		read_ends(row->ends, json_object_get(item, "ends"));
	}
	read_ends(table->other.ends, json_object_get(object, "other"));
	return 0;
}

static uint64_t read_count(const json_t *object, const char *key)
{
	json_int_t count = json_integer_value(json_object_get(object, key));
	return count > 0 ? (uint64_t)count : 0;
}

int api_decode_quality(struct stack_quality *quality, struct unwind_memory *kernel, bool *sampling,
		       const void *data, size_t len_bytes, struct err *err)
{
	AUTO_JSON root = NULL;
	int rc = load(&root, data, len_bytes, err);
	if (rc)
		return rc;
	const json_t *ends = json_object_get(root, "stack_ends");
	if (!json_is_object(ends))
		return malformed("stack_ends", err);
	*quality = (struct stack_quality){0};
	read_ends(quality->ends, ends);
	const json_t *tables = json_object_get(root, "stack_quality");
	rc = read_table(&quality->processes, json_object_get(tables, "processes"), "comm", err);
	if (!rc)
		rc = read_table(&quality->libraries, json_object_get(tables, "libraries"),
				"library", err);
	if (rc)
		return rc;
	const json_t *memory = json_object_get(json_object_get(root, "unwind"), "kernel");
	*kernel = (struct unwind_memory){
		.cap_bytes = read_count(memory, "cap_bytes"),
		.used_bytes = read_count(memory, "used_bytes"),
		.loads = read_count(memory, "loads"),
		.evictions = read_count(memory, "evictions"),
		.misses = read_count(memory, "misses"),
	};
	*sampling = json_is_true(json_object_get(root, "sampling"));
	return 0;
}
