/*
 * engine: what the parts of the store share; store.h is for everybody else.
 */
#pragma once
#include <pthread.h>

#include "storage/catalog.h"
#include "storage/store.h"
#include "storage/writer.h"

enum { ENGINE_WRITERS = 2 }; /* the present, and a batch that comes late */

struct engine_writer {
	struct writer *writer; /* NULL: free */
	int64_t used_mono_ns;
};

struct store {
	char *directory;
	bool is_writable;
	int64_t span_s;
	uint64_t max_disk_bytes;
	struct lock *lock;
	struct catalog *catalog;

	pthread_mutex_t append_lock; /* guards the rest */
	struct engine_writer writers[ENGINE_WRITERS];
	int64_t housekept_mono_ns;
};

/* The writer that has the partition open already, or NULL. Under append_lock. */
struct engine_writer *engine_find_writer(struct store *store, const struct partition *partition);

/* The edges of a question in the store's units, widened to whole ones. */
struct engine_range {
	int64_t from_unix_us, until_unix_us;
	int64_t from_unix_s, until_unix_s;
};
struct engine_range engine_range_of(const struct store_query *query);

/* Calls visit with a session on each partition that may hold something of the range, oldest
 * first. A damaged partition is left out with a notice, one that is gone without; other
 * errors end the walk. -EINVAL: until before from, or no such type. */
typedef int (*engine_visit_fn)(void *ctx, struct session *session, struct err *err);
int engine_each_session(struct store *store, const struct store_query *query, engine_visit_fn visit,
			void *ctx, struct err *err);

/* Calls visit with each segment of the session's partition that overlaps the range, of the
 * query's type or both. */
typedef int (*engine_segment_fn)(void *ctx, struct session *session, const struct segment *segment,
				 struct err *err);
int engine_each_segment(struct session *session, const struct store_query *query,
			engine_segment_fn visit, void *ctx, struct err *err);

/* Which threads and waits of a partition the selector means, by id. A sample is meant when both
 * its thread and its wait are, as no label belongs to both. */
struct engine_choice {
	bool *threads, *waits;
};
/* -EINVAL: see selector_matches(). */
int engine_choose(const struct session *session, const struct store_query *query,
		  struct engine_choice *choice, struct err *err);
void engine_choice_fini(struct engine_choice *choice); /* zeroed: fine */

/* A label of a wait, as profile_wait_label() has it in a profile of the query's type. */
const char *engine_wait_label(const struct session *session, const struct store_query *query,
			      uint32_t wait, const char *key);
