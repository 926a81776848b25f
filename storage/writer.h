/*
 * writer: one partition that is being appended to.
 *
 * Each append is one transaction. Small segments are merged into larger ones as they add up,
 * in transactions of their own and never more than one merge per append, so that an append
 * stays cheap. One thread.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/auto.h"
#include "base/err.h"
#include "profile/ledger.h"
#include "profile/profile.h"
#include "profile/rename.h"

/* Sample times are kept from WRITER_SLACK_NS before the start of their batch to as much
 * after its end, of which WRITER_MAX_BATCH_NS at most count. Times outside are moved to the
 * nearest inside; time 0 (none) is the start. So no sample of a partition has a time farther
 * than WRITER_REACH_S from its span; waits begin up to SEGMENT_MAX_WAIT_NS earlier. */
#define WRITER_SLACK_NS     (INT64_C(60) * 1000000000)
#define WRITER_MAX_BATCH_NS (INT64_C(3600) * 1000000000)
#define WRITER_REACH_S      ((WRITER_MAX_BATCH_NS + WRITER_SLACK_NS) / 1000000000 + 1)

struct writer; /* opaque */

/* Open a partition, load its tables and note the start of a run. -EBADMSG: damaged. */
int writer_open(struct writer **out, const char *path, struct err *err);
/* Notes the clean end. NULL is fine. */
void writer_free(struct writer *writer);
AUTO_DEFINE(writer)

/* Profiles that were taken in the same time, and what the sampler's ledger moved by meanwhile
 * (NULL: none). Borrows all. */
struct writer_batch {
	const struct profile *const *profiles;
	size_t profile_count;
	const struct ledger *delta;
	int64_t start_unix_ns; /* of the first to start */
	int64_t end_unix_ns;   /* of the last to end, as far as it counts */
};

/* -EINVAL: no profile, or one that cannot be stored (of aggregates of both types, not of time,
 * with a negative weight, running with a wait or waiting without one). */
int writer_batch_init(struct writer_batch *batch, const struct profile *const *profiles,
		      size_t profile_count, const struct ledger *delta, struct err *err);
/* All or nothing. -ENOSPC: disk or tables full. -EBADMSG: the partition is damaged. */
int writer_append(struct writer *writer, const struct writer_batch *batch, struct err *err);

/* Rename what is stored, by profile/rename.h; *renamed is increased by the locations that have
 * other names now. All or nothing. */
int writer_rename(struct writer *writer, const char *build_id,
		  const struct profile_renamer *renamer, size_t *renamed, struct err *err);

/* Do batches that start then belong here? */
bool writer_covers(const struct writer *writer, int64_t unix_ns);
int64_t writer_start_unix_s(const struct writer *writer);
int64_t writer_end_unix_s(const struct writer *writer);
/* Its tables are so large that a new partition is better. */
bool writer_is_full(const struct writer *writer);
/* Let its span end at end_unix_s, which is after its start: a new partition takes over. */
int writer_cut(struct writer *writer, int64_t end_unix_s, struct err *err);
const char *writer_path(const struct writer *writer);

/* Was this partition's last run ended by force? If so, the time of its last append is written,
 * its run is closed, and 1 is returned; 0: no; or -errno. Leaves WAL mode when it can. */
int writer_recover(const char *path, int64_t *last_append_unix_ns, struct err *err);
