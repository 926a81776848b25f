/*
 * store: profiles by time, kept in a data directory of partitions.
 *
 * One writer per directory (a lock with a clear message), any number of readers, in this and
 * in other processes. An append is one transaction; killed at any moment, at most what was
 * not yet appended is missing. A damaged partition is set aside with a message and the rest
 * goes on. Layout: storage/schema.sql.
 * Times are kept in whole microseconds, and the edges of a range are widened to them. A kill
 * loses nothing that was appended; a power cut may lose what the kernel had not written back.
 * Any thread may call; appends exclude each other and never block queries.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "base/auto.h"
#include "base/err.h"
#include "profile/ledger.h"
#include "profile/profile.h"
#include "profile/rename.h"
#include "profile/series.h"
#include "storage/selector.h"

struct store; /* opaque */

struct store_options {
	const char *directory;     /* made when missing and writable is set */
	bool writable;             /* take the lock and append; else read only */
	int64_t partition_span_ns; /* 0: 6 h */
	uint64_t max_disk_bytes;   /* 0: 10 GB; oldest partitions go first */
};

/* -EBUSY: another writer has the directory (the text names its pid); -EACCES, -ENOTDIR, ...:
 * the directory cannot be used; -EEXIST: it holds files that are not Hearth's. */
int store_open(struct store **out, const struct store_options *options, struct err *err);
/* Writes the clean end when writable. NULL is fine. */
void store_free(struct store *store);
AUTO_DEFINE(store)

/* Append a batch of samples: the profiles that were taken in the same time (cpu, offcpu), each
 * in [start, start + duration), and what the sampler's ledger moved by for all of them (taken,
 * dropped; NULL: none). Strings, locations and stacks are interned. A sample's time 0 is the
 * start; a time over a minute outside the batch is moved to there. A sample of type offcpu
 * covers its weight before its time, at most the last day of that; both edges are cut to whole
 * us, so waits that follow one another still do. All or nothing. -ENOSPC: disk full; -EINVAL:
 * no profile, or one not of time, not cpu or offcpu, with negative weights, running with a wait
 * or waiting without; -EIO, ...: nothing was stored. */
int store_append(struct store *store, const struct profile *const *profiles, size_t profile_count,
		 const struct ledger *delta, struct err *err);

/* Rename what is stored of the executable with that build ID, in all partitions. Appends go on
 * between two partitions. *renamed: locations that have other names now; 0 when none is stored.
 * After a failure some partitions may have the new names: it can be asked again. */
int store_rename(struct store *store, const char *build_id, const struct profile_renamer *renamer,
		 size_t *renamed, struct err *err);

struct store_query {
	enum profile_type type; /* PROFILE_WALL: both stored types */
	int64_t from_unix_ns;
	int64_t until_unix_ns; /* excluded */
	/* NULL: everything. Knows the labels of waits, too; of type wall the rest has the reason
	 * WAIT_REASON_RUNNING. */
	const struct selector *selector;
};

/* All samples of the range as one profile: one sample per (stack, thread, wait), time 0. Of a
 * wait what lies in the range, to the ns: adjacent ranges add up; its count is in the range
 * where its last ns is. Empty when there are none. Caller owns *out. -EINVAL: until before from. */
int store_query_profile(struct store *store, const struct store_query *query, struct profile **out,
			struct err *err);

/* Like it, but threads are dropped unless their label sets differ: one sample per (stack,
 * label set, wait). What flame graphs and tables need; much smaller. */
int store_query_stacks(struct store *store, const struct store_query *query, struct profile **out,
		       struct err *err);

/* Totals on a grid of whole steps that covers the range, one line per value of group_by
 * (a label, or NULL), the heaviest `limit`. Does not touch stacks. Totals are per second:
 * edges inside a second count all of it. -EINVAL: more than 20,000 points, or a step under
 * one second. Caller owns *out. */
int store_query_series(struct store *store, const struct store_query *query, const char *group_by,
		       int64_t step_ns, size_t limit, struct series_set **out, struct err *err);

/* Names of all labels in the range, sorted, as the lines of a series_set without points. */
int store_query_labels(struct store *store, const struct store_query *query,
		       struct series_set **out, struct err *err);
/* Values of one label, heaviest first; total_ns is set. */
int store_query_label_values(struct store *store, const struct store_query *query,
			     const char *label, size_t limit, struct series_set **out,
			     struct err *err);

struct store_stats {
	char directory[256];
	uint64_t size_bytes;
	uint64_t partitions;
	uint64_t samples;
	int64_t oldest_unix_ns; /* 0 when empty */
	int64_t newest_unix_ns;
	uint64_t partitions_set_aside;
};
int store_stats(struct store *store, struct store_stats *stats, struct err *err);

/* Sentences that someone who looks at the data should know: an unclean end before this run,
 * a partition set aside. Calls visit once per notice. */
void store_notices(struct store *store, void (*visit)(void *ctx, const char *text), void *ctx);
