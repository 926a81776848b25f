/*
 * partition: one partition file as readers see it, and the making of new ones.
 *
 * Any number of threads may read at once, each in a session of its own: a connection inside
 * a transaction, so that what it reads fits together whatever a writer does. Tables are
 * loaded once and shared. Counted references: a partition that is removed while it is read
 * lives until it is put.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/auto.h"
#include "base/err.h"
#include "storage/db.h"
#include "storage/segment.h"
#include "storage/tables.h"

/* p-<start, unix s>.hearth; digits enough that names sort by time until the year 5138. */
#define PARTITION_NAME_FORMAT "p-%011lld.hearth"
enum { PARTITION_NAME_BYTES = 32 };

void partition_name(int64_t start_unix_s, char name[static PARTITION_NAME_BYTES]);
/* Is this the name of a partition? Then its start. */
bool partition_name_parse(const char *name, int64_t *start_unix_s);

/* Make an empty partition at path for batches in [start, end). The file gets its name when
 * it is complete. -EEXIST, -ENOSPC, -EACCES, ... */
int partition_create(const char *path, int64_t start_unix_s, int64_t end_unix_s, struct err *err);

/* Remove a partition's file, if there is one, and those that SQLite keeps beside it. */
void partition_unlink(const char *path);

struct partition; /* opaque */

/* Touches no file. One reference. -ENOMEM. */
int partition_new(struct partition **out, const char *path, int64_t start_unix_s);
struct partition *partition_get(struct partition *partition);
void partition_put(struct partition *partition); /* NULL is fine */
const char *partition_path(const struct partition *partition);
int64_t partition_start_unix_s(const struct partition *partition);

/* Forget tables and close connections that nobody uses; true when that gave back memory. */
bool partition_shrink(struct partition *partition);
/* Does it hold tables in memory? When last used, as a rising number. */
bool partition_is_loaded(struct partition *partition, uint64_t *last_use);

struct extent {
	uint64_t samples;
	int64_t oldest_unix_us; /* 0 when there are none */
	int64_t newest_unix_us;
};
/* What it holds; of a file at rest asked only when that has changed. */
int partition_extent(struct partition *partition, struct extent *extent, struct err *err);
/* Bytes of the file and its WAL; 0 when it is gone. */
uint64_t partition_size_bytes(const char *path);

/* A reader's view, until session_free(). `tables` and `db` are for this thread only. */
struct session {
	struct partition *partition;
	struct db *db;
	struct segment_codec *codec;
	const struct profile *tables;
	struct session *next;
	bool is_alone; /* without locks: not kept */
};

/* -ENOENT: the file is gone. -EBADMSG: damaged. use_number: see partition_is_loaded(). */
int session_open(struct session **out, struct partition *partition, uint64_t use_number,
		 struct err *err);
void session_free(struct session *session); /* NULL is fine */
AUTO_DEFINE(session)
