#include "storage/segment.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/sat.h"

#define US_PER_S         (NS_PER_S / NS_PER_US)
#define MAX_COLUMN_BYTES ((size_t)2 << 20)

/* A row of a segment's totals. */
struct total {
	uint64_t second;
	int64_t weight_ns;
	uint64_t count;
	uint32_t thread;
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

static int by_second_and_thread(const void *a, const void *b)
{
	const struct total *left = a;
	const struct total *right = b;
	if (left->second != right->second)
		return left->second < right->second ? -1 : 1;
	return (left->thread > right->thread) - (left->thread < right->thread);
}

static int64_t floor_second(int64_t unix_us)
{
	return unix_us / US_PER_S - (unix_us % US_PER_S < 0);
}

/* Fills codec->totals; returns how many. */
static size_t sum_totals(struct segment_codec *codec, const struct segment *segment,
			 const struct segment_sample *samples)
{
	struct total *totals = codec->totals;
	int64_t first_second = floor_second(segment->start_unix_us);
	for (size_t i = 0; i < segment->sample_count; i++)
		totals[i] = (struct total){
			(uint64_t)(floor_second(samples[i].time_unix_us) - first_second),
			samples[i].weight_ns, samples[i].count, samples[i].thread};
	qsort(totals, segment->sample_count, sizeof(*totals), by_second_and_thread);
	size_t last = 0;
	for (size_t i = 1; i < segment->sample_count; i++) {
		if (by_second_and_thread(&totals[last], &totals[i])) {
			totals[++last] = totals[i];
			continue;
		}
		totals[last].weight_ns = sat_add_i64(totals[last].weight_ns, totals[i].weight_ns);
		totals[last].count = sat_add_u64(totals[last].count, totals[i].count);
	}
	return last + 1;
}

static int write_column(struct db *db, struct segment_codec *codec, const struct segment *segment,
			enum segment_column column, struct err *err)
{
	bool is_total = column >= COLUMN_TOTAL_SECOND;
	bool rises = column == COLUMN_TIME || column == COLUMN_TOTAL_SECOND;
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
	int rc = WRITE_COLUMN(COLUMN_TIME, count, samples[i].time_unix_us - segment->start_unix_us);
	if (!rc)
		rc = WRITE_COLUMN(COLUMN_THREAD, count, samples[i].thread);
	if (!rc)
		rc = WRITE_COLUMN(COLUMN_STACK, count, samples[i].stack);
	if (!rc)
		rc = WRITE_COLUMN(COLUMN_WEIGHT, count, samples[i].weight_ns);
	if (!rc)
		rc = WRITE_COLUMN(COLUMN_WAIT, count, samples[i].wait);
	if (!rc)
		rc = WRITE_COLUMN(COLUMN_COUNT, count, samples[i].count);
	return rc;
}

static int write_totals(struct db *db, struct segment_codec *codec, const struct segment *segment,
			struct err *err)
{
	const struct total *totals = codec->totals;
	size_t count = segment->total_count;
	int rc = WRITE_COLUMN(COLUMN_TOTAL_SECOND, count, totals[i].second);
	if (!rc)
		rc = WRITE_COLUMN(COLUMN_TOTAL_THREAD, count, totals[i].thread);
	if (!rc)
		rc = WRITE_COLUMN(COLUMN_TOTAL_WEIGHT, count, totals[i].weight_ns);
	if (!rc)
		rc = WRITE_COLUMN(COLUMN_TOTAL_COUNT, count, totals[i].count);
	return rc;
}

int segment_write(struct db *db, struct segment_codec *codec, struct segment *segment,
		  struct segment_sample *samples, struct err *err)
{
	size_t count = segment->sample_count;
	if (!count || count > SEGMENT_MAX_SAMPLES)
		return err_set(err, -ENOSPC, "a segment of %zu samples", count);
	segment_sort(samples, count);
	if (samples[0].time_unix_us < segment->start_unix_us)
		segment->start_unix_us = samples[0].time_unix_us;
	if (samples[count - 1].time_unix_us >= segment->end_unix_us)
		segment->end_unix_us = samples[count - 1].time_unix_us + 1;
	segment->total_count = sum_totals(codec, segment, samples);
	int64_t weight_ns = 0;
	for (size_t i = 0; i < segment->total_count; i++)
		weight_ns = sat_add_i64(weight_ns, codec->totals[i].weight_ns);
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

int segment_read_column(struct db *db, struct segment_codec *codec, const struct segment *segment,
			enum segment_column column, uint64_t limit, uint64_t *values,
			struct err *err)
{
	size_t count = column >= COLUMN_TOTAL_SECOND ? segment->total_count : segment->sample_count;
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
	if (!rc && !all_below(values, count, limit))
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
		rc = READ_COLUMN(COLUMN_WEIGHT, SEGMENT_MAX_WEIGHT, weight_ns, 0);
	if (!rc)
		rc = READ_COLUMN(COLUMN_WAIT, SEGMENT_MAX_ID, wait, 0);
	if (!rc)
		rc = READ_COLUMN(COLUMN_COUNT, SEGMENT_MAX_WEIGHT, count, 0);
	return rc;
}

int segment_check(const struct segment *segment, struct err *err)
{
	bool is_sane = segment->sample_count && segment->sample_count <= SEGMENT_MAX_SAMPLES &&
		       segment->total_count <= segment->sample_count &&
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
