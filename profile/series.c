#include "profile/series.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/sat.h"

#define MAX_NAMES      ((size_t)1 << 20)
#define MAX_NAME_BYTES ((size_t)1 << 28)
#define OTHER          "other"

int series_set_new(struct series_set **out, int64_t start_unix_ns, int64_t step_ns,
		   size_t point_count)
{
	AUTO(series_set) set = calloc(1, sizeof(*set));
	if (!set)
		return -ENOMEM;
	set->start_unix_ns = start_unix_ns;
	set->step_ns = step_ns;
	set->point_count = point_count;
	set->health = calloc(point_count + 1, sizeof(*set->health));
	if (!set->health)
		return -ENOMEM;
	int rc = strtab_init(&set->strings, MAX_NAMES, MAX_NAME_BYTES);
	if (rc)
		return rc;
	*out = TAKE(set);
	return 0;
}

void series_set_free(struct series_set *set)
{
	if (!set)
		return;
	for (size_t i = 0; i < set->line_count; i++)
		free(set->lines[i].weight_ns);
	free(set->lines);
	free(set->line_of_name);
	free(set->health);
	strtab_fini(&set->strings);
	free(set);
}

/* Names have dense ids, so that a line is found by one array access. */
static int reserve_names(struct series_set *set, uint32_t name)
{
	while (set->name_count <= name) {
		int rc = ARRAY_RESERVE(set->line_of_name, set->name_cap, set->name_count,
				       MAX_NAMES + 1);
		if (rc)
			return rc;
		set->line_of_name[set->name_count++] = INDEX_NONE;
	}
	return 0;
}

static int add_line(struct series_set *set, uint32_t name)
{
	struct series_line line = {.name = name};
	AUTO_MEM int64_t *weight_ns = calloc(set->point_count + 1, sizeof(*weight_ns));
	if (!weight_ns)
		return -ENOMEM;
	int rc = reserve_names(set, name);
	if (!rc)
		rc = ARRAY_RESERVE(set->lines, set->line_cap, set->line_count, MAX_NAMES + 1);
	if (rc)
		return rc;
	line.weight_ns = TAKE(weight_ns);
	set->line_of_name[name] = (uint32_t)set->line_count;
	set->lines[set->line_count++] = line;
	return 0;
}

int series_set_line(struct series_set *set, const char *name, size_t max_lines,
		    struct series_line **line)
{
	uint32_t id = strtab_find(&set->strings, name);
	if (id < set->name_count && set->line_of_name[id] != INDEX_NONE) {
		*line = &set->lines[set->line_of_name[id]];
		return 0;
	}
	if (set->line_count >= max_lines)
		return -ENOSPC;
	int rc = strtab_add(&set->strings, name, &id);
	if (!rc)
		rc = add_line(set, id);
	if (!rc)
		*line = &set->lines[set->line_count - 1];
	return rc;
}

static int compare_lines(const void *a, const void *b, void *ctx)
{
	const struct series_line *left = a, *right = b;
	const struct strtab *strings = ctx;
	if (left->total_ns != right->total_ns)
		return left->total_ns > right->total_ns ? -1 : 1;
	return strcmp(strtab_get(strings, left->name), strtab_get(strings, right->name));
}

static void add_to_line(struct series_line *into, const struct series_line *from,
			size_t point_count)
{
	into->total_ns = sat_add_i64(into->total_ns, from->total_ns);
	for (size_t i = 0; i < point_count; i++)
		into->weight_ns[i] = sat_add_i64(into->weight_ns[i], from->weight_ns[i]);
}

static void rebuild_line_of_name(struct series_set *set)
{
	for (size_t i = 0; i < set->name_count; i++)
		set->line_of_name[i] = INDEX_NONE;
	for (size_t i = 0; i < set->line_count; i++)
		set->line_of_name[set->lines[i].name] = (uint32_t)i;
}

int series_set_finish(struct series_set *set, size_t limit)
{
	if (!set->line_count)
		return 0;
	qsort_r(set->lines, set->line_count, sizeof(*set->lines), compare_lines, &set->strings);
	rebuild_line_of_name(set);
	if (set->line_count <= limit)
		return 0;
	struct series_line *other;
	/* A label value may really be "other": then the rest joins that line. */
	int rc = series_set_line(set, OTHER, SIZE_MAX, &other);
	if (rc)
		return rc;
	struct series_line rest = *other;
	size_t kept = 0;
	for (size_t i = 0; i < set->line_count; i++) {
		struct series_line *line = &set->lines[i];
		if (line->name == rest.name)
			continue;
		if (kept < limit) {
			set->lines[kept++] = *line;
			continue;
		}
		add_to_line(&rest, line, set->point_count);
		free(line->weight_ns);
	}
	set->lines[kept] = rest;
	set->line_count = kept + 1;
	rebuild_line_of_name(set);
	return 0;
}
