/*
 * tables: a partition's strings, locations, stacks, threads, ... in memory, as a profile
 * whose ids are the partition's. Has no samples.
 *
 * A writer loads them once and saves what it adds; a reader loads what is new, as often as it
 * likes. One thread, or many that only read.
 */
#pragma once
#include "base/auto.h"
#include "profile/profile.h"
#include "storage/db.h"

struct tables {
	struct profile *profile;
	int64_t last_late_name; /* highest id seen in the table late_name */

	/* How much of the profile is in the partition; used by the writer. */
	size_t saved_strings, saved_mappings, saved_functions, saved_lines, saved_locations;
	size_t saved_stacks, saved_label_sets, saved_threads, saved_waits;
};

int tables_new(struct tables **out); /* only the empty entries; -ENOMEM */
void tables_free(struct tables *tables);
AUTO_DEFINE(tables)

/* Read what the partition has and tables have not. Inside a transaction, so that it fits
 * together. -EBADMSG: ids with gaps, or that point nowhere. Then, and after -ENOMEM, the
 * tables are fit for tables_free() only. */
int tables_load(struct db *db, struct tables *tables, struct err *err);

/* Insert what is not saved yet, in the caller's transaction; when that is committed, call
 * tables_saved(). When it is rolled back, the same is inserted next time. */
int tables_save(struct db *db, const struct tables *tables, struct err *err);
void tables_saved(struct tables *tables);
