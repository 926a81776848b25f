#include "storage/writer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/sat.h"
#include "storage/merge.h"
#include "storage/segment.h"
#include "storage/tables.h"
#include "storage/translate.h"

enum {
	/* About 100 MB of memory each: past this a partition ends early. */
	MAX_STACKS = 4 << 20,
	MAX_LOCATIONS = 2 << 20,
	MAX_THREADS = 1 << 20,
	MAX_WAITS = 1 << 20,
	MAX_STRING_BYTES = 128 << 20,
};

struct writer {
	char *path;
	struct db *db;
	struct tables *tables;
	struct segment_codec *codec;
	struct merge merge;
	int64_t run_id;
	int64_t start_unix_s;
	int64_t end_unix_s;
	struct segment_sample *samples; /* of the batch, reused */
	size_t sample_cap;
};

static void end_run(struct writer *writer)
{
	/* A failure leaves the run open: the next start says that it ended badly, as it did. */
	int64_t now_unix_us = clock_unix_ns() / NS_PER_US;
	if (writer->run_id)
		db_run(writer->db, UPDATE_RUN, DB_ARGS(writer->run_id, now_unix_us, 1), NULL);
	/* While others read it stays in WAL mode, and is settled at the next open. */
	db_settle(writer->db, NULL);
}

void writer_free(struct writer *writer)
{
	if (!writer)
		return;
	if (writer->db)
		end_run(writer);
	db_free(writer->db);
	tables_free(writer->tables);
	segment_codec_free(writer->codec);
	merge_fini(&writer->merge);
	free(writer->samples);
	free(writer->path);
	free(writer);
}

static int read_span(struct db *db, int64_t *start_unix_s, int64_t *end_unix_s, struct err *err)
{
	sqlite3_stmt *stmt;
	int rc = db_start(db, SELECT_SPAN, DB_NO_ARGS, &stmt, err);
	if (rc)
		return rc;
	rc = db_step(db, stmt, err);
	if (rc < 0)
		return rc;
	if (!rc)
		return err_set(err, -EBADMSG, "no span in the table partition");
	*start_unix_s = sqlite3_column_int64(stmt, 0);
	*end_unix_s = sqlite3_column_int64(stmt, 1);
	sqlite3_reset(stmt);
	return 0;
}

static int load(struct writer *writer, struct err *err)
{
	int rc = db_run(writer->db, BEGIN_READ, DB_NO_ARGS, err);
	if (!rc)
		rc = read_span(writer->db, &writer->start_unix_s, &writer->end_unix_s, err);
	if (!rc)
		rc = tables_load(writer->db, writer->tables, err);
	if (!rc)
		rc = merge_load(&writer->merge, writer->db, err);
	int end_rc = db_run(writer->db, COMMIT, DB_NO_ARGS, rc ? NULL : err);
	return rc ? rc : end_rc;
}

static int start_run(struct writer *writer, struct err *err)
{
	int64_t now_unix_us = clock_unix_ns() / NS_PER_US;
	int rc = db_run(writer->db, INSERT_RUN, DB_ARGS(now_unix_us), err);
	if (!rc)
		writer->run_id = db_last_id(writer->db);
	return rc;
}

int writer_open(struct writer **out, const char *path, struct err *err)
{
	AUTO(writer) writer = calloc(1, sizeof(*writer));
	if (!writer)
		return err_set(err, -ENOMEM, "open %s: %m", path);
	merge_init(&writer->merge);
	writer->path = strdup(path);
	int rc = writer->path ? tables_new(&writer->tables) : -ENOMEM;
	if (!rc)
		rc = segment_codec_new(&writer->codec);
	if (rc)
		return err_set(err, rc, "open %s: %m", path);
	rc = db_open(&writer->db, path, DB_WRITE, err);
	if (rc)
		return rc;
	rc = load(writer, err);
	if (!rc)
		rc = start_run(writer, err);
	if (rc)
		return err_wrap(err, rc, "open %s", path);
	*out = TAKE(writer);
	return 0;
}

bool writer_covers(const struct writer *writer, int64_t unix_ns)
{
	return unix_ns >= writer->start_unix_s * NS_PER_S &&
	       unix_ns < writer->end_unix_s * NS_PER_S;
}

int64_t writer_end_unix_s(const struct writer *writer)
{
	return writer->end_unix_s;
}

int64_t writer_start_unix_s(const struct writer *writer)
{
	return writer->start_unix_s;
}

int writer_cut(struct writer *writer, int64_t end_unix_s, struct err *err)
{
	int rc = db_run(writer->db, UPDATE_SPAN_END, DB_ARGS(end_unix_s), err);
	if (!rc)
		writer->end_unix_s = end_unix_s;
	return rc;
}

bool writer_is_full(const struct writer *writer)
{
	const struct profile *profile = writer->tables->profile;
	return profile->stack_count > MAX_STACKS || profile->location_count > MAX_LOCATIONS ||
	       profile->thread_count > MAX_THREADS || profile->wait_count > MAX_WAITS ||
	       profile->strings.total_bytes > MAX_STRING_BYTES;
}

const char *writer_path(const struct writer *writer)
{
	return writer->path;
}

static int check_samples(const struct profile *profile, struct err *err)
{
	for (size_t i = 0; i < profile->sample_count; i++) {
		const struct profile_sample *sample = &profile->samples[i];
		if (sample->weight < 0 || sample->count > INT64_MAX)
			return err_set(err, -EINVAL, "sample %zu has a negative weight or count",
				       i);
		if (!sample->wait != (profile->type == PROFILE_CPU))
			return err_set(err, -EINVAL, "sample %zu is %s, and the profile's type %s",
				       i, sample->wait ? "waiting" : "running",
				       profile_type_name(profile->type));
	}
	return 0;
}

static int check_profile(const struct profile *profile, struct err *err)
{
	if (profile->type != PROFILE_CPU && profile->type != PROFILE_OFFCPU)
		return err_set(err, -EINVAL, "only profiles of type cpu or offcpu are stored");
	const char *unit = profile_string(profile, profile->unit);
	if (strcmp(unit, "nanoseconds"))
		return err_set(err, -EINVAL, "only profiles in nanoseconds are stored, not %.40s",
			       unit);
	int64_t end_unix_ns = sat_add_i64(profile->start_unix_ns, profile->duration_ns);
	if (profile->start_unix_ns < 0 || profile->duration_ns < 0 || end_unix_ns == INT64_MAX)
		return err_set(err, -EINVAL, "a profile outside of the years 1970 to 2262");
	return check_samples(profile, err);
}

/* A difference of counters that ran backwards would be stored as a negative number. */
static int check_ledger(const struct ledger *delta, struct err *err)
{
	bool is_sane = !delta || delta->taken <= INT64_MAX;
	for (int reason = 0; delta && reason < DROP_REASONS; reason++)
		is_sane = is_sane && delta->dropped[reason] <= INT64_MAX;
	return is_sane ? 0 : err_set(err, -EINVAL, "a ledger with counts that ran backwards");
}

static int64_t clamp(int64_t value, int64_t low, int64_t high)
{
	return value < low ? low : value > high ? high : value;
}

int writer_batch_init(struct writer_batch *batch, const struct profile *const *profiles,
		      size_t profile_count, const struct ledger *delta, struct err *err)
{
	if (!profile_count)
		return err_set(err, -EINVAL, "a batch without a profile");
	*batch = (struct writer_batch){profiles, profile_count, delta, INT64_MAX, INT64_MIN};
	int rc = check_ledger(delta, err);
	for (size_t i = 0; !rc && i < profile_count; i++) {
		rc = check_profile(profiles[i], err);
		int64_t start_unix_ns = profiles[i]->start_unix_ns;
		int64_t end_unix_ns = sat_add_i64(start_unix_ns, profiles[i]->duration_ns);
		if (start_unix_ns < batch->start_unix_ns)
			batch->start_unix_ns = start_unix_ns;
		if (end_unix_ns > batch->end_unix_ns)
			batch->end_unix_ns = end_unix_ns;
	}
	if (rc)
		return rc;
	batch->end_unix_ns = clamp(batch->end_unix_ns, batch->start_unix_ns,
				   batch->start_unix_ns + WRITER_MAX_BATCH_NS);
	return 0;
}

static int64_t time_of(const struct writer_batch *batch, const struct profile *profile,
		       const struct profile_sample *sample)
{
	int64_t time_unix_ns = sample->time_unix_ns;
	return clamp(time_unix_ns ? time_unix_ns : profile->start_unix_ns,
		     batch->start_unix_ns - WRITER_SLACK_NS, batch->end_unix_ns + WRITER_SLACK_NS);
}

static int64_t floor_us(int64_t unix_ns)
{
	return unix_ns / NS_PER_US - (unix_ns % NS_PER_US < 0);
}

/* Both edges of a wait are rounded alike, so that waits that follow one another still do. */
static void set_times(struct segment_sample *sample, enum profile_type type, int64_t time_unix_ns)
{
	sample->time_unix_us = floor_us(time_unix_ns);
	if (type == PROFILE_CPU)
		return;
	int64_t weight_ns = clamp(sample->weight_ns, 0, SEGMENT_MAX_WAIT_NS);
	int64_t start_unix_us = floor_us(time_unix_ns - weight_ns);
	sample->weight_ns = (sample->time_unix_us - start_unix_us) * NS_PER_US;
}

static int make_room(struct writer *writer, size_t count)
{
	if (count <= writer->sample_cap)
		return 0;
	void *samples = realloc(writer->samples, count * sizeof(*writer->samples));
	if (!samples)
		return -ENOMEM;
	writer->samples = samples;
	writer->sample_cap = count;
	return 0;
}

/* A profile of the batch in the partition's ids, from `samples` on. */
static int take_profile(struct writer *writer, const struct writer_batch *batch,
			const struct profile *profile, struct segment_sample *samples)
{
	AUTO_FINI(translation_fini) struct translation t = {0};
	int rc = translation_init(&t, profile, writer->tables->profile);
	for (size_t i = 0; !rc && i < profile->sample_count; i++) {
		const struct profile_sample *from = &profile->samples[i];
		struct segment_sample *into = &samples[i];
		into->weight_ns = from->weight;
		set_times(into, profile->type, time_of(batch, profile, from));
		into->count = from->count;
		rc = translate_stack(&t, from->stack, &into->stack);
		if (!rc)
			rc = translate_thread(&t, from->thread, &into->thread);
		if (!rc)
			rc = translate_wait(&t, from->wait, &into->wait);
	}
	return rc;
}

/* All of the batch, profile by profile, in writer->samples. */
static int take_samples(struct writer *writer, const struct writer_batch *batch)
{
	size_t count = 0;
	for (size_t i = 0; i < batch->profile_count; i++)
		count += batch->profiles[i]->sample_count;
	int rc = make_room(writer, count);
	struct segment_sample *samples = writer->samples;
	for (size_t i = 0; !rc && i < batch->profile_count; i++) {
		rc = take_profile(writer, batch, batch->profiles[i], samples);
		samples += batch->profiles[i]->sample_count;
	}
	return rc;
}

static int write_segments(struct writer *writer, const struct writer_batch *batch, struct err *err)
{
	struct segment_sample *samples = writer->samples;
	int rc = 0;
	for (size_t i = 0; !rc && i < batch->profile_count; i++) {
		const struct profile *profile = batch->profiles[i];
		struct segment segment = {
			.type = profile->type,
			.start_unix_us = batch->start_unix_ns / NS_PER_US,
			.end_unix_us = batch->end_unix_ns / NS_PER_US,
			.period_ns = profile->period_ns,
		};
		rc = merge_write(&writer->merge, writer->db, writer->codec, &segment, samples,
				 profile->sample_count, err);
		samples += profile->sample_count;
	}
	return rc;
}

static enum profile_type type_of(const struct writer_batch *batch)
{
	enum profile_type type = batch->profiles[0]->type;
	for (size_t i = 1; i < batch->profile_count; i++)
		if (batch->profiles[i]->type != type)
			return PROFILE_WALL;
	return type;
}

static int64_t stored_count(const struct writer_batch *batch)
{
	uint64_t stored = 0;
	for (size_t i = 0; i < batch->profile_count; i++)
		stored = sat_add_u64(stored, profile_total_count(batch->profiles[i]));
	return stored < INT64_MAX ? (int64_t)stored : INT64_MAX;
}

static int write_drop(struct writer *writer, int64_t ledger, enum drop_reason reason,
		      uint64_t samples, struct err *err)
{
	sqlite3_stmt *stmt;
	int rc = db_start(writer->db, INSERT_DROP, DB_ARGS(ledger, (int64_t)samples), &stmt, err);
	if (rc)
		return rc;
	sqlite3_bind_text(stmt, 3, drop_reason_name(reason), -1, SQLITE_STATIC);
	return db_step(writer->db, stmt, err);
}

static int write_ledger(struct writer *writer, const struct writer_batch *batch, struct err *err)
{
	const struct ledger *delta = batch->delta;
	int64_t start_unix_us = batch->start_unix_ns / NS_PER_US;
	int64_t duration_us = (batch->end_unix_ns - batch->start_unix_ns) / NS_PER_US;
	int rc = db_run(writer->db, INSERT_LEDGER,
			DB_ARGS(type_of(batch), start_unix_us, duration_us,
				delta ? (int64_t)delta->taken : 0, stored_count(batch)),
			err);
	int64_t id = db_last_id(writer->db);
	for (int reason = 0; !rc && delta && reason < DROP_REASONS; reason++)
		if (delta->dropped[reason])
			rc = write_drop(writer, id, (enum drop_reason)reason,
					delta->dropped[reason], err);
	return rc;
}

static int write_batch(struct writer *writer, const struct writer_batch *batch, struct err *err)
{
	int rc = db_run(writer->db, BEGIN_WRITE, DB_NO_ARGS, err);
	if (rc)
		return rc;
	rc = tables_save(writer->db, writer->tables, err);
	if (!rc)
		rc = write_segments(writer, batch, err);
	if (!rc)
		rc = write_ledger(writer, batch, err);
	if (!rc)
		rc = db_run(writer->db, COMMIT, DB_NO_ARGS, err);
	if (rc) /* SQLite may have rolled back by itself: then this fails, rightly */
		db_run(writer->db, ROLLBACK, DB_NO_ARGS, NULL);
	merge_settle(&writer->merge, !rc);
	if (!rc)
		tables_saved(writer->tables);
	return rc;
}

int writer_append(struct writer *writer, const struct writer_batch *batch, struct err *err)
{
	int rc = take_samples(writer, batch);
	if (rc)
		return err_set(err, rc, "append to %s: %m", writer->path);
	rc = write_batch(writer, batch, err);
	if (rc)
		return err_wrap(err, rc, "append");
	/* Stored is stored: a merge that fails costs bytes, and is tried again. */
	merge_step(&writer->merge, writer->db, writer->codec);
	return 0;
}

static int save_names(struct writer *writer, struct err *err)
{
	int rc = db_run(writer->db, BEGIN_WRITE, DB_NO_ARGS, err);
	if (rc)
		return rc;
	rc = tables_save(writer->db, writer->tables, err);
	if (!rc)
		rc = db_run(writer->db, COMMIT, DB_NO_ARGS, err);
	if (rc)
		db_run(writer->db, ROLLBACK, DB_NO_ARGS, NULL);
	else
		tables_saved(writer->tables);
	return rc;
}

int writer_rename(struct writer *writer, const char *build_id,
		  const struct profile_renamer *renamer, size_t *renamed, struct err *err)
{
	size_t count = 0;
	int rc = profile_rename(writer->tables->profile, build_id, renamer, &count);
	if (rc)
		return err_set(err, rc, "rename in %s: %m", writer->path);
	rc = count ? save_names(writer, err) : 0;
	*renamed += rc ? 0 : count;
	return rc;
}

static int close_open_runs(struct db *db, int64_t end_unix_us, struct err *err)
{
	sqlite3_stmt *stmt;
	int found = 0;
	for (;;) {
		int rc = db_start(db, SELECT_OPEN_RUNS, DB_NO_ARGS, &stmt, err);
		if (!rc)
			rc = db_step(db, stmt, err);
		if (rc <= 0)
			return rc ? rc : found;
		int64_t id = sqlite3_column_int64(stmt, 0);
		int64_t start_unix_us = sqlite3_column_int64(stmt, 1);
		sqlite3_reset(stmt);
		int64_t end = end_unix_us > start_unix_us ? end_unix_us : start_unix_us;
		rc = db_run(db, UPDATE_RUN, DB_ARGS(id, end, 0), err);
		if (rc)
			return rc;
		found = 1;
	}
}

int writer_recover(const char *path, int64_t *last_append_unix_ns, struct err *err)
{
	AUTO(db) db = NULL;
	int rc = db_open(&db, path, DB_WRITE, err);
	if (rc)
		return rc;
	sqlite3_stmt *stmt;
	rc = db_start(db, SELECT_LAST_APPEND, DB_NO_ARGS, &stmt, err);
	if (!rc)
		rc = db_step(db, stmt, err);
	if (rc < 0)
		return rc;
	int64_t last_unix_us = sqlite3_column_int64(stmt, 0);
	sqlite3_reset(stmt);
	rc = close_open_runs(db, last_unix_us, err);
	if (rc < 0)
		return rc;
	if (rc)
		*last_append_unix_ns = last_unix_us * NS_PER_US;
	db_settle(db, NULL);
	return rc;
}
