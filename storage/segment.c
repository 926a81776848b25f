#include "storage/segment.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/sat.h"

#define US_PER_S         (NS_PER_S / NS_PER_US)
#define MAX_COLUMN_BYTES ((size_t)2 << 20)

/* A row of a segment's totals: what each second of [second, second + span) has. */
struct total {
	uint64_t second;
	int64_t weight_ns;
	uint32_t span;
	uint32_t thread;
	uint32_t wait;
};

struct segment_codec {
	struct column_codec *columns;
	struct buf out;
	uint64_t *values;     /* SEGMENT_MAX_SAMPLES */
	struct total *totals; /* SEGMENT_MAX_SAMPLES */
};

int segment_codec_new(struct segment_codec **out)
{
	AUTO(segment_codec) codec = calloc(1, sizeof(*codec));
	if (!codec)
		return -ENOMEM;
	buf_init(&codec->out, MAX_COLUMN_BYTES);
	codec->values = malloc(SEGMENT_MAX_SAMPLES * sizeof(*codec->values));
	codec->totals = malloc(SEGMENT_MAX_SAMPLES * sizeof(*codec->totals));
	if (!codec->values || !codec->totals)
		return -ENOMEM;
	int rc = column_codec_new(&codec->columns);
	if (rc)
		return rc;
	*out = TAKE(codec);
	return 0;
}

void segment_codec_free(struct segment_codec *codec)
{
	if (!codec)
		return;
	column_codec_free(codec->columns);
	buf_fini(&codec->out);
	free(codec->values);
	free(codec->totals);
	free(codec);
}

static int by_time(const void *a, const void *b)
{
	const struct segment_sample *left = a;
	const struct segment_sample *right = b;
	return (left->time_unix_us > right->time_unix_us) -
	       (left->time_unix_us < right->time_unix_us);
}

void segment_sort(struct segment_sample *samples, size_t count)
{
	/* Batches come nearly always in order. */
	for (size_t i = 1; i < count; i++) {
		if (samples[i].time_unix_us < samples[i - 1].time_unix_us) {
			qsort(samples, count, sizeof(*samples), by_time);
			return;
		}
	}
}

static int compare_u64(uint64_t left, uint64_t right)
{
	return (left > right) - (left < right);
}

static int by_thread_and_time(const void *a, const void *b)
{
	const struct total *left = a;
	const struct total *right = b;
	int order = compare_u64(left->thread, right->thread);
	if (!order)
		order = compare_u64(left->wait, right->wait);
	if (!order)
		order = compare_u64(left->second, right->second);
	return order ? order : compare_u64(left->span, right->span);
}

static int64_t floor_div(int64_t value, int64_t by)
{
	return value / by - (value % by < 0);
}

/* The edges of waits are times, in whole us; weights of type cpu are exact ns. */
static int64_t weight_unit_ns(enum profile_type type)
{
	return type == PROFILE_OFFCPU ? NS_PER_US : 1;
}

static int64_t start_ns_of(const struct segment_sample *wait)
{
	return wait->time_unix_us * NS_PER_US - wait->weight_ns;
}

/* The rows of one wait: part of a second, whole ones, part of a second. Returns how many. */
static size_t spread_wait(struct total *rows, const struct segment_sample *wait,
			  int64_t first_second)
{
	int64_t start_ns = start_ns_of(wait);
	int64_t end_ns = wait->time_unix_us * NS_PER_US;
	int64_t from_s = floor_div(start_ns, NS_PER_S);
	int64_t last_s = wait->weight_ns ? floor_div(end_ns - 1, NS_PER_S) : from_s;
	struct total row = {.second = (uint64_t)(from_s - first_second),
			    .weight_ns = wait->weight_ns,
			    .span = 1,
			    .thread = wait->thread,
			    .wait = wait->wait};
	size_t count = 0;
	if (from_s < last_s) {
		row.weight_ns = (from_s + 1) * NS_PER_S - start_ns;
		rows[count++] = row;
		row.second++;
		row.weight_ns = NS_PER_S;
		row.span = (uint32_t)(last_s - from_s - 1);
		if (row.span)
			rows[count++] = row;
		row.second += row.span;
		row.weight_ns = end_ns - last_s * NS_PER_S;
		row.span = 1;
	}
	rows[count++] = row;
	return count;
}

static size_t spread_samples(struct total *rows, const struct segment *segment,
			     const struct segment_sample *samples)
{
	int64_t first_second = floor_div(segment->start_unix_us, US_PER_S);
	size_t count = 0;
	for (size_t i = 0; i < segment->sample_count; i++) {
		const struct segment_sample *sample = &samples[i];
		int64_t second = floor_div(sample->time_unix_us, US_PER_S) - first_second;
		if (segment->type == PROFILE_OFFCPU)
			count += spread_wait(rows + count, sample, first_second);
		else
			rows[count++] = (struct total){.second = (uint64_t)second,
						       .weight_ns = sample->weight_ns,
						       .span = 1,
						       .thread = sample->thread};
	}
	return count;
}

/* Sums up sorted rows of the same seconds. */
static size_t fold_rows(struct total *rows, size_t count)
{
	size_t last = 0;
	for (size_t i = 1; i < count; i++) {
		if (by_thread_and_time(&rows[last], &rows[i]))
			rows[++last] = rows[i];
		else
			rows[last].weight_ns = sat_add_i64(rows[last].weight_ns, rows[i].weight_ns);
	}
	return last + 1;
}

static bool follows(const struct total *row, const struct total *next)
{
	return row->thread == next->thread && row->wait == next->wait &&
	       row->second + row->span == next->second;
}

/* Waits that come in pieces have rounded edges: where two meet, the second is full but for less
 * than that. */
static bool is_about_full(const struct total *row)
{
	return row->weight_ns > NS_PER_S - NS_PER_MS && row->weight_ns < NS_PER_S + NS_PER_MS;
}

/* Joins full seconds that follow one another. One that is about full is joined, too, and what it
 * has more or less is a row of its own: no more rows than before, and the same sums. */
static size_t join_rows(struct total *rows, size_t count)
{
	struct total run = {0};
	size_t kept = 0;
	for (size_t i = 0; i < count; i++) {
		struct total row = rows[i];
		bool is_next = run.span && follows(&run, &row);
		bool starts_run = i + 1 < count && follows(&row, &rows[i + 1]) &&
				  rows[i + 1].weight_ns == NS_PER_S;
		bool joins = row.weight_ns == NS_PER_S ||
			     (is_about_full(&row) && (is_next || starts_run));
		if (run.span && !(joins && is_next)) {
			rows[kept++] = run;
			run.span = 0;
		}
		if (joins) {
			if (!run.span)
				run = (struct total){row.second, NS_PER_S, 0, row.thread, row.wait};
			run.span += row.span;
			row.weight_ns -= NS_PER_S;
		}
		if (!joins || row.weight_ns)
			rows[kept++] = row;
	}
	if (run.span)
		rows[kept++] = run;
	return kept;
}

/* Fills codec->totals; returns how many. */
static size_t sum_totals(struct segment_codec *codec, const struct segment *segment,
			 const struct segment_sample *samples)
{
	struct total *rows = codec->totals;
	size_t count = spread_samples(rows, segment, samples);
	qsort(rows, count, sizeof(*rows), by_thread_and_time);
	count = fold_rows(rows, count);
	return segment->type == PROFILE_OFFCPU ? join_rows(rows, count) : count;
}

static int write_column(struct db *db, struct segment_codec *codec, const struct segment *segment,
			enum segment_column column, struct err *err)
{
	bool is_total = column >= COLUMN_TOTAL_SECOND;
	bool rises = column == COLUMN_TIME || column == COLUMN_TOTAL_THREAD;
	buf_clear(&codec->out);
	int rc = column_encode(codec->columns, codec->values,
			       is_total ? segment->total_count : segment->sample_count,
			       rises ? COLUMN_RISES : COLUMN_ANY, &codec->out);
	if (rc)
		return err_set(err, rc, "encode a column: %m");
	sqlite3_stmt *stmt;
	rc = db_start(db, INSERT_COLUMN, DB_ARGS(segment->id, column), &stmt, err);
	if (rc)
		return rc;
	sqlite3_bind_blob(stmt, 3, codec->out.data, (int)codec->out.len_bytes, SQLITE_STATIC);
	return db_step(db, stmt, err);
}

/* Gives one column of the samples to write_column(). */
#define WRITE_COLUMN(column, count, expression)                    \
	({                                                         \
		for (size_t i = 0; i < (count); i++)               \
			codec->values[i] = (uint64_t)(expression); \
		write_column(db, codec, segment, (column), err);   \
	})

static int write_samples(struct db *db, struct segment_codec *codec, const struct segment *segment,
			 const struct segment_sample *samples, struct err *err)
{
	size_t count = segment->sample_count;
	int64_t unit_ns = weight_unit_ns(segment->type);
	int rc = WRITE_COLUMN(COLUMN_TIME, count, samples[i].time_unix_us - segment->start_unix_us);
	if (!rc)
		rc = WRITE_COLUMN(COLUMN_THREAD, count, samples[i].thread);
	if (!rc)
		rc = WRITE_COLUMN(COLUMN_STACK, count, samples[i].stack);
	if (!rc)
		rc = WRITE_COLUMN(COLUMN_WEIGHT, count, samples[i].weight_ns / unit_ns);
	if (!rc && segment->type == PROFILE_OFFCPU)
		rc = WRITE_COLUMN(COLUMN_WAIT, count, samples[i].wait);
	if (!rc)
		rc = WRITE_COLUMN(COLUMN_COUNT, count, samples[i].count);
	return rc;
}

/* 0, -1, 1, -2, ... as 0, 1, 2, 3, ... */
static uint64_t zigzag(int64_t value)
{
	return (uint64_t)value << 1 ^ (uint64_t) - (value < 0);
}

static int64_t unzigzag(uint64_t value)
{
	return (int64_t)(value >> 1 ^ -(value & 1));
}

static int write_totals(struct db *db, struct segment_codec *codec, const struct segment *segment,
			struct err *err)
{
	const struct total *totals = codec->totals;
	size_t count = segment->total_count;
	int64_t unit_ns = weight_unit_ns(segment->type);
	int rc = WRITE_COLUMN(COLUMN_TOTAL_SECOND, count, totals[i].second);
	if (!rc)
		rc = WRITE_COLUMN(COLUMN_TOTAL_THREAD, count, totals[i].thread);
	if (!rc)
		rc = WRITE_COLUMN(COLUMN_TOTAL_WEIGHT, count,
				  zigzag(totals[i].weight_ns / unit_ns));
	if (rc || segment->type != PROFILE_OFFCPU)
		return rc;
	rc = WRITE_COLUMN(COLUMN_TOTAL_WAIT, count, totals[i].wait);
	if (!rc)
		rc = WRITE_COLUMN(COLUMN_TOTAL_SPAN, count, totals[i].span);
	return rc;
}

size_t segment_max_samples(enum profile_type type)
{
	return type == PROFILE_OFFCPU ? SEGMENT_MAX_WAITS : SEGMENT_MAX_SAMPLES;
}

/* Widens the segment to cover its sorted samples. */
static void cover(struct segment *segment, const struct segment_sample *samples)
{
	int64_t last_unix_us = samples[segment->sample_count - 1].time_unix_us;
	if (samples[0].time_unix_us < segment->start_unix_us)
		segment->start_unix_us = samples[0].time_unix_us;
	if (last_unix_us >= segment->end_unix_us)
		segment->end_unix_us = last_unix_us + 1;
	for (size_t i = 0; segment->type == PROFILE_OFFCPU && i < segment->sample_count; i++) {
		int64_t start_unix_us = floor_div(start_ns_of(&samples[i]), NS_PER_US);
		if (start_unix_us < segment->start_unix_us)
			segment->start_unix_us = start_unix_us;
	}
}

int segment_write(struct db *db, struct segment_codec *codec, struct segment *segment,
		  struct segment_sample *samples, struct err *err)
{
	size_t count = segment->sample_count;
	if (!count || count > segment_max_samples(segment->type))
		return err_set(err, -ENOSPC, "a segment of %zu samples", count);
	segment_sort(samples, count);
	cover(segment, samples);
	segment->total_count = sum_totals(codec, segment, samples);
	int64_t weight_ns = 0;
	for (size_t i = 0; i < count; i++)
		weight_ns = sat_add_i64(weight_ns, samples[i].weight_ns);
	int rc = db_run(db, INSERT_SEGMENT,
			DB_ARGS(segment->id, segment->type, segment->level, segment->start_unix_us,
				segment->end_unix_us, (int64_t)count, (int64_t)segment->total_count,
				weight_ns, segment->period_ns),
			err);
	if (!rc)
		rc = write_samples(db, codec, segment, samples, err);
	if (!rc)
		rc = write_totals(db, codec, segment, err);
	return rc;
}

static bool all_below(const uint64_t *values, size_t count, uint64_t limit)
{
	uint64_t greatest = 0;
	for (size_t i = 0; i < count; i++)
		greatest = values[i] > greatest ? values[i] : greatest;
	return greatest < limit;
}

/* The weights of a column in ns. -EBADMSG: more than can be. */
static int scale_weights(const struct segment *segment, enum segment_column column,
			 uint64_t *values, size_t count)
{
	int64_t unit_ns = weight_unit_ns(segment->type);
	int64_t most = segment->type == PROFILE_OFFCPU ? SEGMENT_MAX_WAIT_NS : INT64_MAX;
	for (size_t i = 0; i < count; i++) {
		bool is_total = column == COLUMN_TOTAL_WEIGHT;
		int64_t weight = is_total ? unzigzag(values[i]) : (int64_t)values[i];
		if (__builtin_mul_overflow(weight, unit_ns, &weight) ||
		    (!is_total && (weight < 0 || weight > most)))
			return -EBADMSG;
		values[i] = (uint64_t)weight;
	}
	return 0;
}

static bool is_about_waits(enum segment_column column)
{
	return column == COLUMN_WAIT || column == COLUMN_TOTAL_WAIT || column == COLUMN_TOTAL_SPAN;
}

int segment_read_column(struct db *db, struct segment_codec *codec, const struct segment *segment,
			enum segment_column column, uint64_t limit, uint64_t *values,
			struct err *err)
{
	size_t count = column >= COLUMN_TOTAL_SECOND ? segment->total_count : segment->sample_count;
	if (segment->type != PROFILE_OFFCPU && is_about_waits(column)) {
		for (size_t i = 0; i < count; i++)
			values[i] = column == COLUMN_TOTAL_SPAN;
		return 0;
	}
	sqlite3_stmt *stmt;
	int rc = db_start(db, SELECT_COLUMN, DB_ARGS(segment->id, column), &stmt, err);
	if (rc)
		return rc;
	rc = db_step(db, stmt, err);
	if (rc < 0)
		return rc;
	if (!rc)
		return err_set(err, -EBADMSG, "segment %lld has no column %d",
			       (long long)segment->id, column);
	rc = column_decode(codec->columns, sqlite3_column_blob(stmt, 0),
			   (size_t)sqlite3_column_bytes(stmt, 0), values, count);
	sqlite3_reset(stmt);
	if (!rc && (column == COLUMN_WEIGHT || column == COLUMN_TOTAL_WEIGHT))
		rc = scale_weights(segment, column, values, count);
	else if (!rc && !all_below(values, count, limit))
		rc = -EBADMSG;
	if (rc)
		return err_set(err, rc, "segment %lld, column %d: damaged", (long long)segment->id,
			       column);
	return 0;
}

#define READ_COLUMN(column, limit, field, offset)                                                  \
	({                                                                                         \
		int rc_ = segment_read_column(db, codec, segment, (column), (limit), values, err); \
		for (size_t i = 0; !rc_ && i < segment->sample_count; i++)                         \
			samples[i].field = (__typeof__(samples[i].field))(values[i]) + (offset);   \
		rc_;                                                                               \
	})

int segment_read(struct db *db, struct segment_codec *codec, const struct segment *segment,
		 struct segment_sample *samples, struct err *err)
{
	uint64_t *values = codec->values;
	int rc =
		READ_COLUMN(COLUMN_TIME, SEGMENT_MAX_TIME_US, time_unix_us, segment->start_unix_us);
	if (!rc)
		rc = READ_COLUMN(COLUMN_THREAD, SEGMENT_MAX_ID, thread, 0);
	if (!rc)
		rc = READ_COLUMN(COLUMN_STACK, SEGMENT_MAX_ID, stack, 0);
	if (!rc)
		rc = READ_COLUMN(COLUMN_WEIGHT, 0, weight_ns, 0);
	if (!rc)
		rc = READ_COLUMN(COLUMN_WAIT, SEGMENT_MAX_ID, wait, 0);
	if (!rc)
		rc = READ_COLUMN(COLUMN_COUNT, SEGMENT_MAX_WEIGHT, count, 0);
	return rc;
}

int segment_check(const struct segment *segment, struct err *err)
{
	bool is_sane = segment->sample_count && segment->sample_count <= SEGMENT_MAX_SAMPLES &&
		       segment->total_count <= SEGMENT_MAX_SAMPLES &&
		       segment->start_unix_us > -SEGMENT_MAX_TIME_US &&
		       segment->start_unix_us <= segment->end_unix_us &&
		       segment->end_unix_us < SEGMENT_MAX_TIME_US;
	return is_sane ? 0
		       : err_set(err, -EBADMSG, "segment %lld: damaged", (long long)segment->id);
}

int segment_delete(struct db *db, int64_t id, struct err *err)
{
	int rc = db_run(db, DELETE_COLUMNS, DB_ARGS(id), err);
	return rc ? rc : db_run(db, DELETE_SEGMENT, DB_ARGS(id), err);
}
