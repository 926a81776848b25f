#include "storage/engine.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/array.h"
#include "base/clock.h"

static int64_t floor_div(int64_t value, int64_t by)
{
	return value / by - (value % by < 0);
}

static int64_t ceil_div(int64_t value, int64_t by)
{
	return value / by + (value % by > 0);
}

struct engine_range engine_range_of(const struct store_query *query)
{
	return (struct engine_range){
		.from_unix_us = floor_div(query->from_unix_ns, NS_PER_US),
		.until_unix_us = ceil_div(query->until_unix_ns, NS_PER_US),
		.from_unix_s = floor_div(query->from_unix_ns, NS_PER_S),
		.until_unix_s = ceil_div(query->until_unix_ns, NS_PER_S),
	};
}

static int visit_partition(struct store *store, struct partition *partition, engine_visit_fn visit,
			   void *ctx, struct err *err)
{
	struct err local = {0};
	AUTO(session) session = NULL;
	uint64_t use_number = catalog_next_use(store->catalog);
	int rc = session_open(&session, partition, use_number, &local);
	if (!rc)
		rc = visit(ctx, session, &local);
	if (rc == -EBADMSG) {
		/* Renaming is for whoever opens it to write: the writer may be at it now. */
		catalog_set_aside(store->catalog, partition, false, local.text);
		return 0;
	}
	if (rc == -ENOENT && access(partition_path(partition), F_OK)) /* removed to make room */
		return 0;
	if (rc && err)
		*err = local;
	return rc;
}

int engine_each_session(struct store *store, const struct store_query *query, engine_visit_fn visit,
			void *ctx, struct err *err)
{
	if (query->until_unix_ns < query->from_unix_ns)
		return err_set(err, -EINVAL, "the range ends before it begins");
	if (!profile_type_name(query->type))
		return err_set(err, -EINVAL, "no profile type %d", query->type);
	if (!store->is_writable) {
		int rc = catalog_scan(store->catalog, err);
		if (rc)
			return rc;
	}
	struct partition_list list;
	int rc = catalog_select(store->catalog, query->from_unix_ns, query->until_unix_ns, &list);
	if (rc)
		return err_set(err, rc, "query: %m");
	for (size_t i = 0; !rc && i < list.count; i++)
		rc = visit_partition(store, list.items[i], visit, ctx, err);
	catalog_release(store->catalog, &list);
	return rc;
}

struct segment_list {
	struct segment *items;
	size_t count;
	size_t cap;
};

static void fini_list(struct segment_list *list)
{
	free(list->items);
}

static int list_segments(struct session *session, enum profile_type type,
			 const struct engine_range *range, struct segment_list *list,
			 struct err *err)
{
	sqlite3_stmt *stmt;
	int rc = db_start(session->db, SELECT_SEGMENTS,
			  DB_ARGS(type, range->from_unix_us, range->until_unix_us), &stmt, err);
	if (rc)
		return rc;
	while ((rc = db_step(session->db, stmt, err)) > 0) {
		struct segment segment = {
			.id = sqlite3_column_int64(stmt, 0),
			.type = type,
			.start_unix_us = sqlite3_column_int64(stmt, 1),
			.end_unix_us = sqlite3_column_int64(stmt, 2),
			.sample_count = (size_t)sqlite3_column_int64(stmt, 3),
			.total_count = (size_t)sqlite3_column_int64(stmt, 4),
			.period_ns = sqlite3_column_int64(stmt, 5),
		};
		rc = segment_check(&segment, err);
		if (!rc && ARRAY_RESERVE(list->items, list->cap, list->count, 1 << 24))
			rc = err_set(err, -ENOMEM, "query: %m");
		if (rc) {
			sqlite3_reset(stmt);
			return rc;
		}
		list->items[list->count++] = segment;
	}
	return rc;
}

int engine_each_segment(struct session *session, const struct store_query *query,
			engine_segment_fn visit, void *ctx, struct err *err)
{
	static const enum profile_type types[] = {PROFILE_CPU, PROFILE_OFFCPU};
	struct engine_range range = engine_range_of(query);
	AUTO_FINI(fini_list) struct segment_list list = {0};
	int rc = 0;
	for (size_t i = 0; !rc && i < ARRAY_LEN(types); i++)
		if (query->type == types[i] || query->type == PROFILE_WALL)
			rc = list_segments(session, types[i], &range, &list, err);
	for (size_t i = 0; !rc && i < list.count; i++)
		rc = visit(ctx, session, &list.items[i], err);
	return rc;
}

struct thread_labels {
	const struct profile *tables;
	uint32_t thread;
	char scratch[PROFILE_LABEL_SCRATCH_BYTES];
};

static const char *label_of(void *ctx, const char *key)
{
	struct thread_labels *labels = ctx;
	return profile_thread_label(labels->tables, labels->thread, key, labels->scratch);
}

int engine_thread_matches(const struct session *session, const struct store_query *query,
			  uint32_t thread, bool *matches, struct err *err)
{
	struct thread_labels labels;
	labels.tables = session->tables;
	labels.thread = thread;
	return selector_matches(query->selector, label_of, &labels, matches, err);
}
