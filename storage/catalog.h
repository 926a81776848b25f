/*
 * catalog: the partitions of a data directory, and what is to be said about them.
 *
 * Partitions do not overlap: each covers the time from its start to the start of the next.
 * Any thread may call.
 */
#pragma once
#include "storage/partition.h"

struct catalog; /* opaque */

/* The directory's partitions. -EEXIST: it holds files, and none of Hearth's; -ENOENT,
 * -ENOTDIR, -EACCES, ... */
int catalog_open(struct catalog **out, const char *directory, struct err *err);
void catalog_free(struct catalog *catalog); /* NULL is fine */
AUTO_DEFINE(catalog)

/* See what others have added and removed. */
int catalog_scan(struct catalog *catalog, struct err *err);
/* Remove what a killed writer left half made. For the writer. */
void catalog_clean(const struct catalog *catalog);

/* References to partitions that may hold samples of [from, until), oldest first. */
struct partition_list {
	struct partition **items;
	size_t count;
};
int catalog_select(struct catalog *catalog, int64_t from_unix_ns, int64_t until_unix_ns,
		   struct partition_list *list);
/* Put them, and forget tables of those that were not used for longest. */
void catalog_release(struct catalog *catalog, struct partition_list *list);

/* The partition with the last start at or before unix_s, referenced; NULL: none. */
struct partition *catalog_find(struct catalog *catalog, int64_t unix_s);
/* The start of the first one after unix_s; INT64_MAX: none. */
int64_t catalog_next_start(struct catalog *catalog, int64_t unix_s);
/* Make a partition. -EEXIST, -ENOSPC, ... */
int catalog_create(struct catalog *catalog, int64_t start_unix_s, int64_t end_unix_s,
		   struct err *err);

/* Rename a damaged partition to *.damaged-N and give notice; when it cannot be renamed, or
 * may not be, only leave it out. */
void catalog_set_aside(struct catalog *catalog, struct partition *partition, bool may_rename,
		       const char *why);
/* Unlink the oldest partitions until all together are at most max_bytes; never those that
 * is_kept says. */
void catalog_retire(struct catalog *catalog, uint64_t max_bytes,
		    bool (*is_kept)(const void *ctx, const char *path), const void *ctx);

/* Calls visit with each partition, oldest first, each referenced while it lasts. */
int catalog_each(struct catalog *catalog, int (*visit)(void *ctx, struct partition *partition),
		 void *ctx);

uint64_t catalog_next_use(struct catalog *catalog);
uint64_t catalog_set_aside_count(struct catalog *catalog);

/* Notices are kept once each, up to a limit. */
void catalog_notice(struct catalog *catalog, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void catalog_notices(struct catalog *catalog, void (*visit)(void *ctx, const char *text),
		     void *ctx);
