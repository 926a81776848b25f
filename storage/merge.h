/*
 * merge: which segments a partition has that are worth merging, and the merging.
 *
 * Appends write small segments of level 0; a few dozen of them become one of level 1, and
 * several of those one of level 2: fewer, larger blobs are both smaller (less than half the
 * bytes per sample) and faster to read. One thread.
 */
#pragma once
#include "base/err.h"
#include "storage/db.h"
#include "storage/segment.h"

enum {
	/* A minute of appends each second, then a quarter of an hour of minutes. */
	MERGE_LEVEL_0 = 60,
	MERGE_LEVEL_1 = 15,
};

struct merge {
	int64_t next_id;
	struct segment *pending; /* of level 0 and 1, in the order they were written */
	size_t count;
	size_t cap;
	size_t settled; /* those up to here are committed */
	int64_t settled_next_id;
	struct segment_sample *samples; /* scratch; SEGMENT_MAX_SAMPLES, made when first used */
};

void merge_init(struct merge *merge);
void merge_fini(struct merge *merge);

/* Learn what the partition has. */
int merge_load(struct merge *merge, struct db *db, struct err *err);

/* Write samples as segments like `like` (type, level 0, start, end, period), as many as it
 * takes, in the caller's transaction; then say how that ended by merge_settle(). */
int merge_write(struct merge *merge, struct db *db, struct segment_codec *codec,
		const struct segment *like, struct segment_sample *samples, size_t count,
		struct err *err);
void merge_settle(struct merge *merge, bool is_committed);

/* Merge once, in a transaction of its own, when there is enough to merge. */
void merge_step(struct merge *merge, struct db *db, struct segment_codec *codec);
