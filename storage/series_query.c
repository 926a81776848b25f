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
	uint64_t *seconds, *spans, *threads, *waits, *weights_ns;
};

/* A row of them, as far as it is in the range: each of these seconds has that weight. */
struct total {
	int64_t from_unix_s, until_unix_s;
	int64_t weight_ns;
	uint32_t thread, wait;
};

/* Sums by thread, or by wait. */
struct tally {
	int64_t *sums_ns;
	bool *is_seen;
};

struct question {
	const struct store_query *query;
	struct engine_range range;
	const char *label; /* NULL: one line for all */
	bool by_wait;      /* the label is one of waits */
	bool only_keys;    /* lines are the names of labels */
	bool is_closed;    /* what has no line yet goes to "other" */
	struct series_set *set;
	struct totals totals;

	/* of this partition */
	struct engine_choice choice;
	uint32_t *lines; /* by thread or wait: line or NO_LINE */
	struct tally threads, waits;
	int64_t covered_until_us;
};

static void fini_tally(struct tally *tally)
{
	free(tally->sums_ns);
	free(tally->is_seen);
	*tally = (struct tally){0};
}

static int init_tally(struct tally *tally, size_t count)
{
	fini_tally(tally);
	tally->sums_ns = calloc(count, sizeof(*tally->sums_ns));
	tally->is_seen = calloc(count, sizeof(*tally->is_seen));
	return tally->sums_ns && tally->is_seen ? 0 : -ENOMEM;
}

static void add_to_tally(struct tally *tally, uint32_t id, int64_t weight_ns)
{
	tally->is_seen[id] = true;
	tally->sums_ns[id] = sat_add_i64(tally->sums_ns[id], weight_ns);
}

static void fini_question(struct question *question)
{
	series_set_free(question->set);
	free(question->totals.seconds);
	free(question->totals.spans);
	free(question->totals.threads);
	free(question->totals.waits);
	free(question->totals.weights_ns);
	free(question->lines);
	engine_choice_fini(&question->choice);
	fini_tally(&question->threads);
	fini_tally(&question->waits);
}

static int init_question(struct question *question, const struct store_query *query,
			 int64_t start_unix_ns, int64_t step_ns, size_t point_count)
{
	question->query = query;
	question->range = engine_range_of(query);
	question->by_wait = question->label && profile_is_wait_label(question->label);
	question->covered_until_us = INT64_MIN;
	struct totals *totals = &question->totals;
	uint64_t **const columns[] = {&totals->seconds, &totals->spans, &totals->threads,
				      &totals->waits, &totals->weights_ns};
	for (size_t i = 0; i < ARRAY_LEN(columns); i++) {
		*columns[i] = malloc(SEGMENT_MAX_SAMPLES * sizeof(uint64_t));
		if (!*columns[i])
			return -ENOMEM;
	}
	return series_set_new(&question->set, start_unix_ns, step_ns, point_count);
}

static int read_totals(struct question *question, struct session *session,
		       const struct segment *segment, struct err *err)
{
	const struct totals *totals = &question->totals;
	const struct {
		enum segment_column column;
		uint64_t limit;
		uint64_t *values;
	} wanted[] = {
		{COLUMN_TOTAL_SECOND, SEGMENT_MAX_TIME_US, totals->seconds},
		{COLUMN_TOTAL_SPAN, SEGMENT_MAX_TIME_US, totals->spans},
		{COLUMN_TOTAL_THREAD, session->tables->thread_count, totals->threads},
		{COLUMN_TOTAL_WAIT, session->tables->wait_count, totals->waits},
		{COLUMN_TOTAL_WEIGHT, 0, totals->weights_ns},
	};
	int rc = 0;
	for (size_t i = 0; !rc && i < ARRAY_LEN(wanted); i++)
		rc = segment_read_column(session->db, session->codec, segment, wanted[i].column,
					 wanted[i].limit, wanted[i].values, err);
	return rc;
}

/* The row, when it is meant and in the range. */
static bool get_total(const struct question *question, const struct segment *segment, size_t row,
		      struct total *total)
{
	const struct totals *totals = &question->totals;
	int64_t first_unix_s =
		segment->start_unix_us / US_PER_S - (segment->start_unix_us % US_PER_S < 0);
	int64_t from_unix_s = first_unix_s + (int64_t)totals->seconds[row];
	int64_t until_unix_s = from_unix_s + (int64_t)totals->spans[row];
	const struct engine_range *range = &question->range;
	*total = (struct total){
		.from_unix_s = from_unix_s > range->from_unix_s ? from_unix_s : range->from_unix_s,
		.until_unix_s =
			until_unix_s < range->until_unix_s ? until_unix_s : range->until_unix_s,
		.weight_ns = (int64_t)totals->weights_ns[row],
		.thread = (uint32_t)totals->threads[row],
		.wait = (uint32_t)totals->waits[row],
	};
	return total->from_unix_s < total->until_unix_s &&
	       question->choice.threads[total->thread] && question->choice.waits[total->wait];
}

static int64_t sat_mul_i64(int64_t weight_ns, int64_t times)
{
	int64_t product;
	bool overflows = __builtin_mul_overflow(weight_ns, times, &product);
	return !overflows ? product : weight_ns < 0 ? INT64_MIN : INT64_MAX;
}

static int sum_segment(void *ctx, struct session *session, const struct segment *segment,
		       struct err *err)
{
	struct question *question = ctx;
	int rc = read_totals(question, session, segment, err);
	for (size_t i = 0; !rc && i < segment->total_count; i++) {
		struct total total;
		if (!get_total(question, segment, i, &total))
			continue;
		int64_t weight_ns =
			sat_mul_i64(total.weight_ns, total.until_unix_s - total.from_unix_s);
		add_to_tally(&question->threads, total.thread, weight_ns);
		add_to_tally(&question->waits, total.wait, weight_ns);
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

/* The value of the label, or NULL. */
static const char *value_of(const struct question *question, const struct session *session,
			    uint32_t owner, char scratch[static PROFILE_LABEL_SCRATCH_BYTES])
{
	if (question->by_wait)
		return engine_wait_label(session, question->query, owner, question->label);
	return profile_thread_label(session->tables, owner, question->label, scratch);
}

static int add_thread_keys(struct question *question, const struct profile *tables, uint32_t thread)
{
	static const char *const fields[] = {"pid", "tid", "thread"};
	char scratch[PROFILE_LABEL_SCRATCH_BYTES];
	int64_t weight_ns = question->threads.sums_ns[thread];
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

static int add_wait_keys(struct question *question, const struct session *session, uint32_t wait)
{
	static const char *const keys[] = {"reason", "waits_on", "idle"};
	int rc = 0;
	for (size_t i = 0; !rc && i < ARRAY_LEN(keys); i++)
		if (engine_wait_label(session, question->query, wait, keys[i]))
			rc = add_weight(question, keys[i], question->waits.sums_ns[wait]);
	return rc;
}

static int add_keys(struct question *question, const struct session *session)
{
	int rc = 0;
	for (uint32_t i = 0; !rc && i < session->tables->thread_count; i++)
		if (question->threads.is_seen[i])
			rc = add_thread_keys(question, session->tables, i);
	for (uint32_t i = 0; !rc && i < session->tables->wait_count; i++)
		if (question->waits.is_seen[i])
			rc = add_wait_keys(question, session, i);
	return rc;
}

static size_t owner_count(const struct question *question, const struct session *session)
{
	return question->by_wait ? session->tables->wait_count : session->tables->thread_count;
}

static int add_values(struct question *question, const struct session *session)
{
	const struct tally *tally = question->by_wait ? &question->waits : &question->threads;
	char scratch[PROFILE_LABEL_SCRATCH_BYTES];
	int rc = 0;
	for (uint32_t i = 0; !rc && i < owner_count(question, session); i++) {
		const char *value =
			tally->is_seen[i] ? value_of(question, session, i, scratch) : NULL;
		if (value)
			rc = add_weight(question, value, tally->sums_ns[i]);
	}
	return rc;
}

/* Weights by label value, or by label, of one partition. */
static int sum_partition(void *ctx, struct session *session, struct err *err)
{
	struct question *question = ctx;
	int rc = init_tally(&question->threads, session->tables->thread_count);
	if (!rc)
		rc = init_tally(&question->waits, session->tables->wait_count);
	if (rc)
		return err_set(err, rc, "query: %m");
	rc = engine_choose(session, question->query, &question->choice, err);
	if (!rc)
		rc = engine_each_segment(session, question->query, sum_segment, question, err);
	if (rc)
		return rc;
	rc = question->only_keys ? add_keys(question, session) : add_values(question, session);
	return rc ? err_set(err, rc, "query: %m") : 0;
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

/* The line of a thread, or of a wait, once for each. One without the label counts as "". */
static int choose_line(struct question *question, const struct session *session, uint32_t owner)
{
	const struct engine_choice *choice = &question->choice;
	bool is_meant = question->by_wait ? choice->waits[owner] : choice->threads[owner];
	char scratch[PROFILE_LABEL_SCRATCH_BYTES];
	question->lines[owner] = NO_LINE;
	if (!is_meant)
		return 0;
	const char *value = question->label ? value_of(question, session, owner, scratch) : NULL;
	struct series_line *line;
	size_t max_lines = question->is_closed ? 0 : MAX_VALUES; /* 0: only what is there */
	int rc = series_set_line(question->set, value ? value : "", max_lines, &line);
	if (rc == -ENOSPC)
		rc = series_set_line(question->set, "other", MAX_VALUES, &line);
	if (!rc)
		question->lines[owner] = (uint32_t)(line - question->set->lines);
	return rc;
}

/* Adds the row's seconds to the steps they begin in. */
static void fill(const struct series_set *set, struct series_line *line, const struct total *total)
{
	for (int64_t unix_s = total->from_unix_s; unix_s < total->until_unix_s;) {
		int64_t since_ns = unix_s * NS_PER_S - set->start_unix_ns;
		size_t point = since_ns > 0 ? (size_t)(since_ns / set->step_ns) : 0;
		if (point >= set->point_count)
			return;
		int64_t next_ns = set->start_unix_ns + (int64_t)(point + 1) * set->step_ns;
		int64_t next_unix_s = next_ns / NS_PER_S + (next_ns % NS_PER_S > 0);
		if (next_unix_s > total->until_unix_s)
			next_unix_s = total->until_unix_s;
		int64_t weight_ns = sat_mul_i64(total->weight_ns, next_unix_s - unix_s);
		line->total_ns = sat_add_i64(line->total_ns, weight_ns);
		line->weight_ns[point] = sat_add_i64(line->weight_ns[point], weight_ns);
		unix_s = next_unix_s;
	}
}

static int fill_segment(void *ctx, struct session *session, const struct segment *segment,
			struct err *err)
{
	struct question *question = ctx;
	int rc = read_totals(question, session, segment, err);
	for (size_t i = 0; !rc && i < segment->total_count; i++) {
		struct total total;
		if (!get_total(question, segment, i, &total))
			continue;
		uint32_t position = question->lines[question->by_wait ? total.wait : total.thread];
		fill(question->set, &question->set->lines[position], &total);
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
	size_t owners = owner_count(question, session);
	int rc = engine_choose(session, question->query, &question->choice, err);
	if (rc)
		return rc;
	free(question->lines);
	question->lines = malloc(owners * sizeof(*question->lines));
	rc = question->lines ? 0 : -ENOMEM;
	/* What is in the partition and not in the range gets a line, too; without weight it is
	 * taken out in the end. */
	for (uint32_t i = 0; !rc && i < owners; i++)
		rc = choose_line(question, session, i);
	if (rc)
		return err_set(err, rc, "query: %m");
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
