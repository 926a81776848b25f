#include "storage/engine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
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

/* So long after the range there can only be waits that reach back to it. Few partitions have
 * such, so that is asked before their tables are loaded. */
static int reaches_back(struct partition *partition, int64_t until_unix_ns, bool *reaches,
			struct err *err)
{
	struct extent extent;
	*reaches = true;
	if (partition_start_unix_s(partition) <= until_unix_ns / NS_PER_S + WRITER_REACH_S)
		return 0;
	int rc = partition_extent(partition, &extent, err);
	if (!rc)
		*reaches = extent.samples && extent.oldest_unix_us * NS_PER_US < until_unix_ns;
	return rc;
}

static int visit_partition(struct store *store, struct partition *partition, int64_t until_unix_ns,
			   engine_visit_fn visit, void *ctx, struct err *err)
{
	struct err local = {0};
	AUTO(session) session = NULL;
	bool may_hold;
	int rc = reaches_back(partition, until_unix_ns, &may_hold, &local);
	if (!rc && may_hold)
		rc = session_open(&session, partition, catalog_next_use(store->catalog), &local);
	if (!rc && may_hold)
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
		rc = visit_partition(store, list.items[i], query->until_unix_ns, visit, ctx, err);
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

const char *engine_wait_label(const struct session *session, const struct store_query *query,
			      uint32_t wait, const char *key)
{
	if (!wait && query->type == PROFILE_WALL && !strcmp(key, "reason"))
		return WAIT_REASON_RUNNING;
	return profile_wait_label(session->tables, wait, key);
}

/* Whose labels are asked for. */
struct owner {
	const struct session *session;
	const struct store_query *query;
	uint32_t id; /* of a thread or of a wait */
	char scratch[PROFILE_LABEL_SCRATCH_BYTES];
};

static const char *label_of_thread(void *ctx, const char *key)
{
	struct owner *owner = ctx;
	if (profile_is_wait_label(key))
		return selector_skip;
	return profile_thread_label(owner->session->tables, owner->id, key, owner->scratch);
}

static const char *label_of_wait(void *ctx, const char *key)
{
	const struct owner *owner = ctx;
	if (!profile_is_wait_label(key))
		return selector_skip;
	return engine_wait_label(owner->session, owner->query, owner->id, key);
}

static int choose(const struct session *session, const struct store_query *query,
		  selector_value_fn label_of, size_t count, bool *chosen, struct err *err)
{
	struct owner owner;
	owner.session = session;
	owner.query = query;
	for (uint32_t i = 0; i < count; i++) {
		owner.id = i;
		int rc = selector_matches(query->selector, label_of, &owner, &chosen[i], err);
		if (rc)
			return rc;
	}
	return 0;
}

int engine_choose(const struct session *session, const struct store_query *query,
		  struct engine_choice *choice, struct err *err)
{
	size_t threads = session->tables->thread_count;
	size_t waits = session->tables->wait_count;
	engine_choice_fini(choice);
	choice->threads = malloc(threads * sizeof(*choice->threads));
	choice->waits = malloc(waits * sizeof(*choice->waits));
	if (!choice->threads || !choice->waits)
		return err_set(err, -ENOMEM, "query: %m");
	int rc = choose(session, query, label_of_thread, threads, choice->threads, err);
	return rc ? rc : choose(session, query, label_of_wait, waits, choice->waits, err);
}

void engine_choice_fini(struct engine_choice *choice)
{
	free(choice->threads);
	free(choice->waits);
	*choice = (struct engine_choice){0};
}
