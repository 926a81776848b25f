/*
 * series: totals over time on a regular grid, one line per value of the grouping labels.
 *
 * Plain data, filled by storage/, shown by web/ and cli/.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "base/auto.h"
#include "base/strtab.h"

struct series_line {
	uint32_t name; /* string: value of the grouping label; "" without grouping */
	int64_t total_ns;
	int64_t *weight_ns; /* point_count values: sum over [start + i * step, + step) */
};

/* What became of the sampler's work in each step. */
struct series_health {
	int64_t covered_ns; /* time in the step during which Hearth was sampling */
	uint64_t taken;     /* samples */
	uint64_t dropped;
};

struct series_set {
	struct strtab strings;
	int64_t start_unix_ns;
	int64_t step_ns;
	size_t point_count;
	struct series_line *lines; /* heaviest first */
	size_t line_count, line_cap;
	uint32_t *line_of_name; /* by string; INDEX_NONE: no line of that name */
	size_t name_count, name_cap;
	struct series_health *health; /* point_count entries */
};

/* All weights 0 and no lines. -ENOMEM. */
int series_set_new(struct series_set **out, int64_t start_unix_ns, int64_t step_ns,
		   size_t point_count);
void series_set_free(struct series_set *set); /* NULL is fine */
AUTO_DEFINE(series_set)

/* The line of that name, added when new (at most max_lines, else -ENOSPC). The pointer is
 * good until the next call. Also -ENOMEM. */
int series_set_line(struct series_set *set, const char *name, size_t max_lines,
		    struct series_line **line);
/* Heaviest first; all past the first `limit` lines become one last line named "other". -ENOMEM. */
int series_set_finish(struct series_set *set, size_t limit);
