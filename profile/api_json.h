/*
 * api_json: call trees, tables, series and labels as the JSON (and the compact binary flame
 * table) that the HTTP API and `hearth query --json` give out. docs/API.md shows the shapes.
 * Weights are integer microseconds, rounded down, so children never outweigh their parent.
 * Failures are the sticky error of the buf that is written to.
 */
#pragma once
#include "base/buf.h"
#include "base/json.h"
#include "profile/calltree.h"
#include "profile/ledger.h"
#include "profile/series.h"

/* What was asked: put at the head of every answer. */
struct api_question {
	enum profile_type type;
	const char *query; /* selector as given */
	int64_t from_unix_ns;
	int64_t until_unix_ns;
};

void api_json_flame(struct json *json, const struct api_question *q, const struct calltree *tree);
void api_json_top(struct json *json, const struct api_question *q, const struct top_table *table,
		  size_t limit);
void api_json_series(struct json *json, const struct api_question *q, const char *group_by,
		     const struct series_set *set);
/* {"labels":[name...]} and {"label","values":[{"value","total_us"}]}: lines of a set. */
void api_json_labels(struct json *json, const struct series_set *names);
void api_json_label_values(struct json *json, const char *label, const struct series_set *values);
/* {"taken","stored","pending","dropped":{reason:count}}, reasons with 0 included. */
void api_json_ledger(struct json *json, const struct ledger *ledger);

/* The flame table: the same tree as little-endian columns, for typed arrays in the browser.
 * docs/API.md, "Flame table". */
void api_flame_table(struct buf *out, const struct api_question *q, const struct calltree *tree);
