#include "storage/merge.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"

enum {
	TOP_LEVEL = 2,
	MAX_PENDING = 1 << 16,
};

/* Segments to be merged into one. */
struct choice {
	size_t members[MERGE_LEVEL_0]; /* positions in pending, rising */
	size_t count;
	size_t sample_count;
};

/* A segment this full is as good as it gets. */
static bool is_full(enum profile_type type, size_t sample_count)
{
	return sample_count >= segment_max_samples(type) / 2;
}

void merge_init(struct merge *merge)
{
	*merge = (struct merge){.next_id = 1, .settled_next_id = 1};
}

void merge_fini(struct merge *merge)
{
	free(merge->pending);
	free(merge->samples);
	merge_init(merge);
}

void merge_settle(struct merge *merge, bool is_committed)
{
	if (is_committed) {
		merge->settled = merge->count;
		merge->settled_next_id = merge->next_id;
	} else {
		merge->count = merge->settled;
		merge->next_id = merge->settled_next_id;
	}
}

static int remember(struct merge *merge, const struct segment *segment)
{
	if (segment->id >= merge->next_id)
		merge->next_id = segment->id + 1;
	if (segment->level >= TOP_LEVEL)
		return 0;
	int rc = ARRAY_RESERVE(merge->pending, merge->cap, merge->count, MAX_PENDING);
	if (!rc)
		merge->pending[merge->count++] = *segment;
	return rc == -ENOSPC ? 0 : rc; /* too many to keep in mind: they stay as they are */
}

int merge_load(struct merge *merge, struct db *db, struct err *err)
{
	sqlite3_stmt *stmt;
	int rc = db_start(db, SELECT_RAW_SEGMENTS, DB_NO_ARGS, &stmt, err);
	if (rc)
		return rc;
	while ((rc = db_step(db, stmt, err)) > 0) {
		struct segment segment = {
			.id = sqlite3_column_int64(stmt, 0),
			.type = (enum profile_type)sqlite3_column_int(stmt, 1),
			.level = sqlite3_column_int(stmt, 2),
			.start_unix_us = sqlite3_column_int64(stmt, 3),
			.end_unix_us = sqlite3_column_int64(stmt, 4),
			.sample_count = (size_t)sqlite3_column_int64(stmt, 5),
			.total_count = (size_t)sqlite3_column_int64(stmt, 6),
			.period_ns = sqlite3_column_int64(stmt, 7),
		};
		rc = segment_check(&segment, err);
		if (!rc)
			rc = remember(merge, &segment);
		if (rc) {
			sqlite3_reset(stmt);
			return rc;
		}
	}
	merge_settle(merge, true);
	return rc;
}

int merge_write(struct merge *merge, struct db *db, struct segment_codec *codec,
		const struct segment *like, struct segment_sample *samples, size_t count,
		struct err *err)
{
	size_t max_samples = segment_max_samples(like->type);
	/* More than fits in one: cut along time, so that each covers little of it. */
	if (count > max_samples)
		segment_sort(samples, count);
	for (size_t done = 0; done < count;) {
		struct segment segment = *like;
		size_t left = count - done;
		segment.id = merge->next_id;
		segment.sample_count = left < max_samples ? left : max_samples;
		if (is_full(segment.type, segment.sample_count))
			segment.level = TOP_LEVEL;
		int rc = segment_write(db, codec, &segment, samples + done, err);
		if (!rc)
			rc = remember(merge, &segment);
		if (rc)
			return rc;
		done += segment.sample_count;
	}
	return 0;
}

/* The oldest segments of a type and level that are together worth merging. */
static bool choose(const struct merge *merge, enum profile_type type, int level,
		   struct choice *choice)
{
	size_t enough = level ? MERGE_LEVEL_1 : MERGE_LEVEL_0;
	*choice = (struct choice){0};
	for (size_t i = 0; i < merge->count && choice->count < enough; i++) {
		const struct segment *segment = &merge->pending[i];
		if (segment->type != type || segment->level != level)
			continue;
		if (choice->sample_count + segment->sample_count > segment_max_samples(type))
			return choice->count > 1;
		choice->members[choice->count++] = i;
		choice->sample_count += segment->sample_count;
	}
	return choice->count == enough ||
	       (choice->count > 1 && is_full(type, choice->sample_count));
}

static int write_merged(struct merge *merge, const struct choice *choice, struct db *db,
			struct segment_codec *codec, struct segment *merged)
{
	*merged = merge->pending[choice->members[0]];
	size_t done = 0;
	for (size_t i = 0; i < choice->count; i++) {
		const struct segment *segment = &merge->pending[choice->members[i]];
		int rc = segment_read(db, codec, segment, merge->samples + done, NULL);
		if (!rc)
			rc = segment_delete(db, segment->id, NULL);
		if (rc)
			return rc;
		done += segment->sample_count;
		if (segment->start_unix_us < merged->start_unix_us)
			merged->start_unix_us = segment->start_unix_us;
		if (segment->end_unix_us > merged->end_unix_us)
			merged->end_unix_us = segment->end_unix_us;
		if (segment->period_ns)
			merged->period_ns = segment->period_ns;
	}
	merged->id = merge->next_id;
	merged->sample_count = done;
	merged->level = is_full(merged->type, done) ? TOP_LEVEL : merged->level + 1;
	return segment_write(db, codec, merged, merge->samples, NULL);
}

static void forget(struct merge *merge, const struct choice *choice)
{
	size_t kept = 0;
	size_t member = 0;
	for (size_t i = 0; i < merge->count; i++) {
		if (member < choice->count && choice->members[member] == i)
			member++;
		else
			merge->pending[kept++] = merge->pending[i];
	}
	merge->count = kept;
}

/* What cannot be read now is not tried again at every append; what did not fit is. */
static void give_up(struct merge *merge, const struct choice *choice, int rc)
{
	if (rc != -ENOSPC && rc != -ENOMEM && rc != -EBUSY)
		forget(merge, choice);
	merge_settle(merge, true);
}

static void merge_choice(struct merge *merge, const struct choice *choice, struct db *db,
			 struct segment_codec *codec)
{
	struct segment merged;
	int rc = db_run(db, BEGIN_WRITE, DB_NO_ARGS, NULL);
	if (!rc)
		rc = write_merged(merge, choice, db, codec, &merged);
	if (!rc)
		rc = db_run(db, COMMIT, DB_NO_ARGS, NULL);
	if (rc) {
		db_run(db, ROLLBACK, DB_NO_ARGS, NULL);
		give_up(merge, choice, rc);
		return;
	}
	forget(merge, choice);
	/* There is room for one where several were taken out. */
	remember(merge, &merged);
	merge_settle(merge, true);
}

void merge_step(struct merge *merge, struct db *db, struct segment_codec *codec)
{
	static const enum profile_type types[] = {PROFILE_CPU, PROFILE_OFFCPU};
	if (!merge->samples) {
		merge->samples = malloc(SEGMENT_MAX_SAMPLES * sizeof(*merge->samples));
		if (!merge->samples)
			return;
	}
	struct choice choice;
	for (int level = 0; level < TOP_LEVEL; level++) {
		for (size_t i = 0; i < ARRAY_LEN(types); i++) {
			if (choose(merge, types[i], level, &choice)) {
				merge_choice(merge, &choice, db, codec);
				return;
			}
		}
	}
}
