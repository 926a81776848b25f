/*
 * segment: a block of samples as compressed columns in a partition.
 *
 * A sample of type cpu is a point in time. One of type offcpu is a wait that covers [time -
 * weight, time), both in whole us. Samples are sorted by time. Beside them a segment has totals: what
 * fell into each second by (thread, wait), in runs of seconds of which each has the same, so
 * that a thread that sleeps is one row. Rows that overlap add up; some take away. Timelines and label values are answered
 * from these without touching samples or stacks. Ids are the partition's. One thread.
 */
#pragma once
#include "profile/profile.h"
#include "storage/column.h"
#include "storage/db.h"

#define SEGMENT_MAX_SAMPLES COLUMN_MAX_VALUES
/* A wait has up to three rows of totals: the second where it begins, those between, the last. */
#define SEGMENT_MAX_WAITS (COLUMN_MAX_VALUES / 3)
/* Limits of what is read: times within 142 years of 1970, weights and counts that are not
 * negative as int64_t, ids of 32 bits. */
#define SEGMENT_MAX_TIME_US (INT64_C(1) << 52)
#define SEGMENT_MAX_WEIGHT  (UINT64_C(1) << 63)
#define SEGMENT_MAX_ID      (UINT64_C(1) << 32)
/* A wait of more than a day is kept as its last day. */
#define SEGMENT_MAX_WAIT_NS (INT64_C(24) * 3600 * 1000000000)

/* Stored: append only, never renumber. */
enum segment_column {
	COLUMN_TIME = 1, /* us since the start of the segment, rising */
	COLUMN_THREAD = 2,
	COLUMN_STACK = 3,
	COLUMN_WEIGHT = 4, /* stored in ns, of type offcpu in us */
	COLUMN_WAIT = 5,   /* of type offcpu only, as all that is about waits */
	COLUMN_COUNT = 6,
	COLUMN_TOTAL_SECOND = 7, /* the first of its seconds, since that of the segment's start */
	COLUMN_TOTAL_THREAD = 8, /* rising */
	COLUMN_TOTAL_WEIGHT = 9, /* in each of its seconds, in the same unit; zigzag */
	/* 10 was a count, which nobody asked for */
	COLUMN_TOTAL_WAIT = 11,
	COLUMN_TOTAL_SPAN = 12, /* seconds, at least 1 */
};

struct segment {
	int64_t id;
	enum profile_type type;
	int level; /* 0: one append; 1, 2: merged */
	int64_t start_unix_us;
	int64_t end_unix_us; /* excluded */
	size_t sample_count;
	size_t total_count;
	int64_t period_ns;
};

struct segment_sample {
	int64_t time_unix_us;
	int64_t weight_ns; /* not negative; of a wait whole us, at most SEGMENT_MAX_WAIT_NS */
	uint64_t count;
	uint32_t thread;
	uint32_t stack;
	uint32_t wait;
};

struct segment_codec; /* opaque: scratch memory, reused */

int segment_codec_new(struct segment_codec **out);
void segment_codec_free(struct segment_codec *codec); /* NULL is fine */
AUTO_DEFINE(segment_codec)

void segment_sort(struct segment_sample *samples, size_t count); /* by time */

/* How many samples a segment of that type can have. */
size_t segment_max_samples(enum profile_type type);

/* Store 1..segment_max_samples() samples, which get sorted, as segment->id. Fills total_count;
 * start and end are widened to cover all samples. */
int segment_write(struct db *db, struct segment_codec *codec, struct segment *segment,
		  struct segment_sample *samples, struct err *err);

/* All samples of a segment into an array with room for sample_count. -EBADMSG. */
int segment_read(struct db *db, struct segment_codec *codec, const struct segment *segment,
		 struct segment_sample *samples, struct err *err);

/* Are the numbers of a row of the table possible? -EBADMSG. */
int segment_check(const struct segment *segment, struct err *err);

/* One column; count is the segment's sample_count or total_count. A value of `limit` or more is
 * -EBADMSG. Weights have a limit of their own and come in ns; those of totals are int64_t. What a
 * segment of type cpu has not is given all the same: waits 0, spans 1. */
int segment_read_column(struct db *db, struct segment_codec *codec, const struct segment *segment,
			enum segment_column column, uint64_t limit, uint64_t *values,
			struct err *err);

int segment_delete(struct db *db, int64_t id, struct err *err);
