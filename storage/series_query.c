/*
 * Timelines, labels and label values: all from the totals of segments, without samples or
 * stacks. Totals are per second, so edges of a range are widened to whole seconds.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/clock.h"
#include "base/sat.h"
#include "storage/engine.h"

enum {
	MAX_POINTS = 20000,
	MAX_VALUES = 1 << 20, /* distinct values of one label in a range */
};

#define NO_LINE  UINT32_MAX
#define US_PER_S (NS_PER_S / NS_PER_US)

/* Columns of the totals, reused from segment to segment. */
struct totals {
	uint64_t *seconds, *threads, *weights_ns;
	int64_t first_unix_s; /* of the segment: seconds[] count from here */
};

struct question {
	const struct store_query *query;
	struct engine_range range;
	const char *label; /* NULL: one line for all */
	bool only_keys;    /* lines are the names of labels */
	bool is_closed;    /* what has no line yet goes to "other" */
	struct series_set *set;
	struct totals totals;
	uint32_t *lines;  /* of this partition: by thread, line or NO_LINE */
	int64_t *sums_ns; /* by thread */
	bool *is_seen;    /* by thread */
	int64_t covered_until_us;
};

static void fini_question(struct question *question)
{
	series_set_free(question->set);
	free(question->totals.seconds);
	free(question->totals.threads);
	free(question->totals.weights_ns);
	free(question->lines);
	free(question->sums_ns);
	free(question->is_seen);
}

static int init_question(struct question *question, const struct store_query *query,
			 int64_t start_unix_ns, int64_t step_ns, size_t point_count)
{
	question->query = query;
	question->range = engine_range_of(query);
	question->covered_until_us = INT64_MIN;
	struct totals *totals = &question->totals;
	totals->seconds = malloc(SEGMENT_MAX_SAMPLES * sizeof(uint64_t));
	totals->threads = malloc(SEGMENT_MAX_SAMPLES * sizeof(uint64_t));
	totals->weights_ns = malloc(SEGMENT_MAX_SAMPLES * sizeof(uint64_t));
	if (!totals->seconds || !totals->threads || !totals->weights_ns)
		return -ENOMEM;
	return series_set_new(&question->set, start_unix_ns, step_ns, point_count);
}

static int read_totals(struct question *question, struct session *session,
		       const struct segment *segment, struct err *err)
{
	struct totals *totals = &question->totals;
	totals->first_unix_s =
		segment->start_unix_us / US_PER_S - (segment->start_unix_us % US_PER_S < 0);
	int rc = segment_read_column(session->db, session->codec, segment, COLUMN_TOTAL_SECOND,
				     SEGMENT_MAX_TIME_US, totals->seconds, err);
	if (!rc)
		rc = segment_read_column(session->db, session->codec, segment, COLUMN_TOTAL_THREAD,
					 session->tables->thread_count, totals->threads, err);
	if (!rc)
		rc = segment_read_column(session->db, session->codec, segment, COLUMN_TOTAL_WEIGHT,
					 SEGMENT_MAX_WEIGHT, totals->weights_ns, err);
	return rc;
}

static bool is_in_range(const struct question *question, int64_t unix_s)
{
	return unix_s >= question->range.from_unix_s && unix_s < question->range.until_unix_s;
}

static int sum_segment(void *ctx, struct session *session, const struct segment *segment,
		       struct err *err)
{
	struct question *question = ctx;
	const struct totals *totals = &question->totals;
	int rc = read_totals(question, session, segment, err);
	for (size_t i = 0; !rc && i < segment->total_count; i++) {
		if (!is_in_range(question, totals->first_unix_s + (int64_t)totals->seconds[i]))
			continue;
		uint64_t thread = totals->threads[i];
		question->is_seen[thread] = true;
		question->sums_ns[thread] =
			sat_add_i64(question->sums_ns[thread], (int64_t)totals->weights_ns[i]);
	}
	return rc;
}

static int add_weight(struct question *question, const char *name, int64_t weight_ns)
{
	struct series_line *line;
	int rc = series_set_line(question->set, name, MAX_VALUES, &line);
	if (!rc)
		line->total_ns = sat_add_i64(line->total_ns, weight_ns);
	return rc;
}

static int add_keys(struct question *question, const struct profile *tables, uint32_t thread)
{
	static const char *const fields[] = {"pid", "tid", "thread"};
	char scratch[PROFILE_LABEL_SCRATCH_BYTES];
	int64_t weight_ns = question->sums_ns[thread];
	int rc = 0;
	for (size_t i = 0; !rc && i < ARRAY_LEN(fields); i++)
		if (profile_thread_label(tables, thread, fields[i], scratch))
			rc = add_weight(question, fields[i], weight_ns);
	const struct profile_label_set *set =
		&tables->label_sets[tables->threads[thread].label_set];
	for (uint32_t i = 0; !rc && i < set->count; i++) {
		uint32_t key = tables->labels[set->first + i].key;
		rc = add_weight(question, profile_string(tables, key), weight_ns);
	}
	return rc;
}

static int add_value(struct question *question, const struct profile *tables, uint32_t thread)
{
	char scratch[PROFILE_LABEL_SCRATCH_BYTES];
	const char *value = profile_thread_label(tables, thread, question->label, scratch);
	return value ? add_weight(question, value, question->sums_ns[thread]) : 0;
}

static int add_thread(struct question *question, const struct session *session, uint32_t thread,
		      struct err *err)
{
	bool is_meant = question->is_seen[thread];
	int rc = is_meant ? engine_thread_matches(session, question->query, thread, &is_meant, err)
			  : 0;
	if (rc || !is_meant)
		return rc;
	rc = question->only_keys ? add_keys(question, session->tables, thread)
				 : add_value(question, session->tables, thread);
	return rc ? err_set(err, rc, "query: %m") : 0;
}

/* Weights by label value, or by label, of one partition. */
static int sum_partition(void *ctx, struct session *session, struct err *err)
{
	struct question *question = ctx;
	size_t threads = session->tables->thread_count;
	free(question->sums_ns);
	free(question->is_seen);
	question->sums_ns = calloc(threads, sizeof(*question->sums_ns));
	question->is_seen = calloc(threads, sizeof(*question->is_seen));
	if (!question->sums_ns || !question->is_seen)
		return err_set(err, -ENOMEM, "query: %m");
	int rc = engine_each_segment(session, question->query, sum_segment, question, err);
	if (rc)
		return rc;
	for (uint32_t i = 0; !rc && i < threads; i++)
		rc = add_thread(question, session, i, err);
	return rc;
}

static int compare_names(const void *a, const void *b, void *ctx)
{
	const struct series_line *left = a;
	const struct series_line *right = b;
	return strcmp(strtab_get(ctx, left->name), strtab_get(ctx, right->name));
}

static void truncate_lines(struct series_set *set, size_t limit)
{
	while (set->line_count > limit)
		free(set->lines[--set->line_count].weight_ns);
}

static int sum_labels(struct store *store, const struct store_query *query, const char *label,
		      size_t limit, struct series_set **out, struct err *err)
{
	AUTO_FINI(fini_question)
	struct question question = {.label = label, .only_keys = !label};
	int rc = init_question(&question, query, query->from_unix_ns, 0, 0);
	if (rc)
		return err_set(err, rc, "query: %m");
	rc = engine_each_session(store, query, sum_partition, &question, err);
	if (rc)
		return rc;
	struct series_set *set = question.set;
	rc = series_set_finish(set, SIZE_MAX);
	if (rc)
		return err_set(err, rc, "query: %m");
	if (!label && set->line_count)
		qsort_r(set->lines, set->line_count, sizeof(*set->lines), compare_names,
			&set->strings);
	truncate_lines(set, limit);
	*out = TAKE(question.set);
	return 0;
}

int store_query_labels(struct store *store, const struct store_query *query,
		       struct series_set **out, struct err *err)
{
	return sum_labels(store, query, NULL, SIZE_MAX, out, err);
}

int store_query_label_values(struct store *store, const struct store_query *query,
			     const char *label, size_t limit, struct series_set **out,
			     struct err *err)
{
	return sum_labels(store, query, label, limit, out, err);
}

/* Each thread's line, once per thread. A thread without the label counts as "". */
static int choose_line(struct question *question, const struct session *session, uint32_t thread,
		       struct err *err)
{
	char scratch[PROFILE_LABEL_SCRATCH_BYTES];
	const char *value = "";
	bool is_meant;
	question->lines[thread] = NO_LINE;
	int rc = engine_thread_matches(session, question->query, thread, &is_meant, err);
	if (rc || !is_meant)
		return rc;
	if (question->label) {
		value = profile_thread_label(session->tables, thread, question->label, scratch);
		value = value ? value : "";
	}
	struct series_line *line;
	size_t max_lines = question->is_closed ? 0 : MAX_VALUES; /* 0: only what is there */
	rc = series_set_line(question->set, value, max_lines, &line);
	if (rc == -ENOSPC)
		rc = series_set_line(question->set, "other", MAX_VALUES, &line);
	if (rc)
		return err_set(err, rc, "query: %m");
	question->lines[thread] = (uint32_t)(line - question->set->lines);
	return 0;
}

static int fill_segment(void *ctx, struct session *session, const struct segment *segment,
			struct err *err)
{
	struct question *question = ctx;
	struct series_set *set = question->set;
	const struct totals *totals = &question->totals;
	int rc = read_totals(question, session, segment, err);
	for (size_t i = 0; !rc && i < segment->total_count; i++) {
		int64_t unix_s = totals->first_unix_s + (int64_t)totals->seconds[i];
		uint32_t position = question->lines[totals->threads[i]];
		if (position == NO_LINE || !is_in_range(question, unix_s))
			continue;
		int64_t since_ns = unix_s * NS_PER_S - set->start_unix_ns;
		size_t point = since_ns > 0 ? (size_t)(since_ns / set->step_ns) : 0;
		if (point >= set->point_count)
			continue;
		struct series_line *line = &set->lines[position];
		int64_t weight_ns = (int64_t)totals->weights_ns[i];
		line->total_ns = sat_add_i64(line->total_ns, weight_ns);
		line->weight_ns[point] = sat_add_i64(line->weight_ns[point], weight_ns);
	}
	return rc;
}

/* Adds [start, end) to the steps it touches. */
static void cover(struct series_set *set, int64_t start_unix_ns, int64_t end_unix_ns)
{
	int64_t grid_end_unix_ns = set->start_unix_ns + (int64_t)set->point_count * set->step_ns;
	if (start_unix_ns < set->start_unix_ns)
		start_unix_ns = set->start_unix_ns;
	if (end_unix_ns > grid_end_unix_ns)
		end_unix_ns = grid_end_unix_ns;
	while (start_unix_ns < end_unix_ns) {
		size_t point = (size_t)((start_unix_ns - set->start_unix_ns) / set->step_ns);
		int64_t step_end = set->start_unix_ns + (int64_t)(point + 1) * set->step_ns;
		int64_t end = step_end < end_unix_ns ? step_end : end_unix_ns;
		set->health[point].covered_ns += end - start_unix_ns;
		start_unix_ns = end;
	}
}

static void add_health(struct question *question, int64_t start_us, int64_t duration_us,
		       uint64_t taken, uint64_t dropped)
{
	struct series_set *set = question->set;
	int64_t end_us = start_us + duration_us;
	/* Time that several batches cover (types, restarts) counts once. */
	int64_t fresh_us =
		start_us > question->covered_until_us ? start_us : question->covered_until_us;
	if (fresh_us < end_us) {
		cover(set, fresh_us * NS_PER_US, end_us * NS_PER_US);
		question->covered_until_us = end_us;
	}
	/* Samples count where their batch starts. */
	int64_t since_ns = start_us * NS_PER_US - set->start_unix_ns;
	if (since_ns < 0 || since_ns / set->step_ns >= (int64_t)set->point_count)
		return;
	struct series_health *health = &set->health[since_ns / set->step_ns];
	health->taken = sat_add_u64(health->taken, taken);
	health->dropped = sat_add_u64(health->dropped, dropped);
}

static int read_ledger(struct question *question, struct session *session, struct err *err)
{
	const struct engine_range *range = &question->range;
	enum profile_type type = question->query->type;
	sqlite3_stmt *stmt;
	int rc = db_start(session->db, SELECT_LEDGER,
			  DB_ARGS(range->from_unix_us - WRITER_MAX_BATCH_NS / NS_PER_US,
				  range->until_unix_us),
			  &stmt, err);
	if (rc)
		return rc;
	while ((rc = db_step(session->db, stmt, err)) > 0) {
		int64_t start_us = sqlite3_column_int64(stmt, 0);
		int64_t duration_us = sqlite3_column_int64(stmt, 1);
		bool is_sane = start_us >= 0 && start_us < SEGMENT_MAX_TIME_US &&
			       duration_us >= 0 && duration_us < SEGMENT_MAX_TIME_US;
		enum profile_type row_type = (enum profile_type)sqlite3_column_int(stmt, 4);
		if (type != PROFILE_WALL && row_type != PROFILE_WALL && row_type != type)
			continue;
		if (is_sane)
			add_health(question, start_us, duration_us,
				   (uint64_t)sqlite3_column_int64(stmt, 2),
				   (uint64_t)sqlite3_column_int64(stmt, 3));
	}
	return rc;
}

static int fill_partition(void *ctx, struct session *session, struct err *err)
{
	struct question *question = ctx;
	size_t threads = session->tables->thread_count;
	free(question->lines);
	question->lines = malloc(threads * sizeof(*question->lines));
	int rc = question->lines ? 0 : err_set(err, -ENOMEM, "query: %m");
	/* Threads of the partition that are not in the range get a line, too; without weight
	 * it is taken out in the end. */
	for (uint32_t i = 0; !rc && i < threads; i++)
		rc = choose_line(question, session, i, err);
	if (!rc)
		rc = engine_each_segment(session, question->query, fill_segment, question, err);
	return rc ? rc : read_ledger(question, session, err);
}

static void drop_empty_lines(struct series_set *set)
{
	size_t kept = 0;
	for (size_t i = 0; i < set->line_count; i++) {
		if (set->lines[i].total_ns)
			set->lines[kept++] = set->lines[i];
		else
			free(set->lines[i].weight_ns);
	}
	set->line_count = kept;
}

/* The lines of the heaviest values, in place before the points are filled in: then only
 * those and "other" have points, however many values there are. */
static int choose_lines(struct question *question, struct store *store, size_t limit,
			struct err *err)
{
	AUTO(series_set) heaviest = NULL;
	int rc = sum_labels(store, question->query, question->label, limit, &heaviest, err);
	if (rc)
		return rc;
	for (size_t i = 0; !rc && i < heaviest->line_count; i++) {
		struct series_line *line;
		rc = series_set_line(question->set,
				     strtab_get(&heaviest->strings, heaviest->lines[i].name),
				     MAX_VALUES, &line);
	}
	question->is_closed = true;
	return rc ? err_set(err, rc, "query: %m") : 0;
}

int store_query_series(struct store *store, const struct store_query *query, const char *group_by,
		       int64_t step_ns, size_t limit, struct series_set **out, struct err *err)
{
	if (query->until_unix_ns < query->from_unix_ns)
		return err_set(err, -EINVAL, "the range ends before it begins");
	if (step_ns < NS_PER_S)
		return err_set(err, -EINVAL, "a step is at least one second");
	int64_t first = query->from_unix_ns / step_ns - (query->from_unix_ns % step_ns < 0);
	int64_t end = query->until_unix_ns / step_ns + (query->until_unix_ns % step_ns > 0);
	if (end - first > MAX_POINTS)
		return err_set(err, -EINVAL, "%lld points: at most %d, ask for longer steps",
			       (long long)(end - first), MAX_POINTS);
	AUTO_FINI(fini_question)
	struct question question = {.label = group_by};
	int rc = init_question(&question, query, first * step_ns, step_ns, (size_t)(end - first));
	if (rc)
		return err_set(err, rc, "query: %m");
	if (group_by)
		rc = choose_lines(&question, store, limit, err);
	if (!rc)
		rc = engine_each_session(store, query, fill_partition, &question, err);
	if (rc)
		return rc;
	drop_empty_lines(question.set);
	rc = series_set_finish(question.set, limit);
	if (rc)
		return err_set(err, rc, "query: %m");
	*out = TAKE(question.set);
	return 0;
}
