#include "storage/store.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "storage/engine.h"
#include "storage/lock.h"

#define DEFAULT_SPAN_S         (INT64_C(6) * 3600)
#define DEFAULT_MAX_DISK_BYTES (UINT64_C(10) * 1000 * 1000 * 1000)
#define HOUSEKEEPING_NS        (60 * NS_PER_S)
#define WRITER_IDLE_NS         (300 * NS_PER_S)
/* A partition larger than this part of all that is allowed ends early, so that there are
 * always whole files to drop. */
#define PARTITION_PART_OF_DISK 4

void store_free(struct store *store)
{
	if (!store)
		return;
	/* Readers first: then nothing keeps the writers' files in WAL mode. */
	catalog_free(store->catalog);
	for (size_t i = 0; i < ENGINE_WRITERS; i++)
		writer_free(store->writers[i].writer);
	lock_free(store->lock);
	pthread_mutex_destroy(&store->append_lock);
	free(store->directory);
	free(store);
}

/* What the recovery of all partitions found. */
struct recovery {
	struct store *store;
	bool was_killed;
	int64_t last_append_unix_ns;
};

static int verify(struct partition *partition, struct err *err)
{
	struct extent extent;
	int rc = partition_extent(partition, &extent, err);
	partition_shrink(partition);
	return rc;
}

static int recover(struct recovery *recovery, struct partition *partition, struct err *err)
{
	const char *path = partition_path(partition);
	char wal[PATH_MAX + 16];
	snprintf(wal, sizeof(wal), "%s-wal", path);
	if (access(wal, F_OK)) /* closed by its writer: at rest */
		return 0;
	int64_t last_unix_ns;
	int rc = writer_recover(path, &last_unix_ns, err);
	if (rc <= 0)
		return rc;
	recovery->was_killed = true;
	if (last_unix_ns > recovery->last_append_unix_ns)
		recovery->last_append_unix_ns = last_unix_ns;
	return 0;
}

static int open_partition(void *ctx, struct partition *partition)
{
	struct recovery *recovery = ctx;
	struct catalog *catalog = recovery->store->catalog;
	struct err err = {0};
	int rc = verify(partition, &err);
	if (!rc)
		rc = recover(recovery, partition, &err);
	if (rc == -EBADMSG)
		catalog_set_aside(catalog, partition, true, err.text);
	else if (rc) /* disk full, no rights: the others are still good */
		catalog_notice(catalog, "Partition %s cannot be used now: %s",
			       partition_path(partition), err.text);
	return 0;
}

static int open_for_writing(struct store *store, struct err *err)
{
	struct recovery recovery = {.store = store};
	catalog_clean(store->catalog);
	int rc = catalog_each(store->catalog, open_partition, &recovery);
	if (rc)
		return err_set(err, rc, "open %s: %m", store->directory);
	if (recovery.was_killed) {
		char when[CLOCK_TEXT_BYTES];
		clock_format(recovery.last_append_unix_ns, when);
		catalog_notice(store->catalog,
			       "The last run ended without a clean stop at %s; at most the last "
			       "second before it is missing.",
			       when);
	}
	return 0;
}

static int make_directory(const char *directory, struct err *err)
{
	if (mkdir(directory, 0755) && errno != EEXIST)
		return err_set(err, -errno, "make data directory %s: %m", directory);
	return 0;
}

static int init_store(struct store *store, const struct store_options *options, struct err *err)
{
	int rc = options->writable ? make_directory(options->directory, err) : 0;
	if (!rc)
		rc = catalog_open(&store->catalog, options->directory, err);
	if (rc || !options->writable)
		return rc;
	rc = lock_open(&store->lock, options->directory, err);
	/* Again, now that nobody else can change it. */
	if (!rc)
		rc = catalog_scan(store->catalog, err);
	return rc ? rc : open_for_writing(store, err);
}

int store_open(struct store **out, const struct store_options *options, struct err *err)
{
	AUTO(store) store = calloc(1, sizeof(*store));
	if (!store)
		return err_set(err, -ENOMEM, "open %s: %m", options->directory);
	pthread_mutex_init(&store->append_lock, NULL);
	store->is_writable = options->writable;
	store->span_s = options->partition_span_ns >= NS_PER_S
				? options->partition_span_ns / NS_PER_S
				: DEFAULT_SPAN_S;
	store->max_disk_bytes =
		options->max_disk_bytes ? options->max_disk_bytes : DEFAULT_MAX_DISK_BYTES;
	store->housekept_mono_ns = clock_mono_ns();
	store->directory = strdup(options->directory);
	if (!store->directory)
		return err_set(err, -ENOMEM, "open %s: %m", options->directory);
	int rc = init_store(store, options, err);
	if (rc)
		return rc;
	*out = TAKE(store);
	return 0;
}

static void close_writer(struct store *store, struct engine_writer *slot)
{
	if (!slot->writer)
		return;
	/* Our own idle readers would keep the file in WAL mode. */
	struct partition *partition =
		catalog_find(store->catalog, writer_start_unix_s(slot->writer));
	if (partition)
		partition_shrink(partition);
	partition_put(partition);
	writer_free(slot->writer);
	slot->writer = NULL;
}

struct engine_writer *engine_find_writer(struct store *store, const struct partition *partition)
{
	for (size_t i = 0; i < ENGINE_WRITERS; i++) {
		struct engine_writer *slot = &store->writers[i];
		if (slot->writer && !strcmp(writer_path(slot->writer), partition_path(partition)))
			return slot;
	}
	return NULL;
}

static struct engine_writer *least_used_slot(struct store *store)
{
	struct engine_writer *least = &store->writers[0];
	for (size_t i = 0; i < ENGINE_WRITERS; i++) {
		if (!store->writers[i].writer)
			return &store->writers[i];
		if (store->writers[i].used_mono_ns < least->used_mono_ns)
			least = &store->writers[i];
	}
	return least;
}

static int open_writer(struct store *store, struct partition *partition,
		       struct engine_writer **slot, struct err *err)
{
	struct engine_writer *found = engine_find_writer(store, partition);
	if (!found) {
		found = least_used_slot(store);
		close_writer(store, found);
		int rc = writer_open(&found->writer, partition_path(partition), err);
		if (rc == -EBADMSG)
			catalog_set_aside(store->catalog, partition, true,
					  err ? err->text : "its tables do not fit together");
		if (rc)
			return rc;
	}
	found->used_mono_ns = clock_mono_ns();
	*slot = found;
	return 0;
}

/* Makes the partition that covers unix_s, next to what is there. */
static int create_partition(struct store *store, int64_t unix_s, int64_t not_before_unix_s,
			    struct err *err)
{
	int64_t aligned_s = unix_s / store->span_s * store->span_s;
	int64_t end_s = aligned_s + store->span_s;
	int64_t start_s = aligned_s > not_before_unix_s ? aligned_s : not_before_unix_s;
	int64_t next_s = catalog_next_start(store->catalog, unix_s);
	end_s = next_s < end_s ? next_s : end_s;
	int rc = catalog_create(store->catalog, start_s, end_s, err);
	/* A damaged one that could not be renamed has the name: begin now. */
	if (rc == -EEXIST && start_s < unix_s)
		rc = catalog_create(store->catalog, unix_s, end_s, err);
	return rc;
}

/* The writer for batches that start at unix_ns. A full partition ends here. */
static int writer_for(struct store *store, int64_t unix_ns, struct engine_writer **slot,
		      struct err *err)
{
	int64_t unix_s = unix_ns / NS_PER_S;
	int64_t not_before_unix_s = INT64_MIN;
	int rc = 0;
	struct partition *partition = catalog_find(store->catalog, unix_s);
	if (partition) {
		rc = open_writer(store, partition, slot, err);
		if (!rc && writer_covers((*slot)->writer, unix_ns)) {
			partition_put(partition);
			return 0;
		}
		if (!rc)
			not_before_unix_s = writer_end_unix_s((*slot)->writer);
		partition_put(partition);
		if (rc)
			return rc;
	}
	rc = create_partition(store, unix_s, not_before_unix_s, err);
	if (rc)
		return rc;
	store->housekept_mono_ns = 0; /* a new file: see at once whether old ones must go */
	partition = catalog_find(store->catalog, unix_s);
	if (!partition)
		return err_set(err, -EIO, "%s: a new partition vanished", store->directory);
	rc = open_writer(store, partition, slot, err);
	partition_put(partition);
	return rc;
}

static bool is_written(const void *ctx, const char *path)
{
	const struct store *store = ctx;
	for (size_t i = 0; i < ENGINE_WRITERS; i++)
		if (store->writers[i].writer &&
		    !strcmp(writer_path(store->writers[i].writer), path))
			return true;
	return false;
}

/* A partition that has become too large ends at the batch that comes next. */
static void cut_if_full(const struct store *store, struct writer *writer, int64_t unix_ns)
{
	int64_t end_unix_s = unix_ns / NS_PER_S + 1;
	bool is_full =
		writer_is_full(writer) || partition_size_bytes(writer_path(writer)) >
						  store->max_disk_bytes / PARTITION_PART_OF_DISK;
	/* A failure leaves it as it is, to be tried again. */
	if (is_full && end_unix_s < writer_end_unix_s(writer))
		writer_cut(writer, end_unix_s, NULL);
}

static void housekeep(struct store *store)
{
	int64_t now_mono_ns = clock_mono_ns();
	store->housekept_mono_ns = now_mono_ns;
	for (size_t i = 0; i < ENGINE_WRITERS; i++)
		if (now_mono_ns - store->writers[i].used_mono_ns > WRITER_IDLE_NS)
			close_writer(store, &store->writers[i]);
	/* Somebody may have removed files; a failure shows at the next query. */
	catalog_scan(store->catalog, NULL);
	catalog_retire(store->catalog, store->max_disk_bytes, is_written, store);
}

static void set_aside_writer(struct store *store, struct engine_writer *slot, const char *why)
{
	struct partition *partition =
		catalog_find(store->catalog, writer_start_unix_s(slot->writer));
	close_writer(store, slot);
	if (partition)
		catalog_set_aside(store->catalog, partition, true, why);
	partition_put(partition);
}

static int append(struct store *store, const struct writer_batch *batch, struct err *err)
{
	struct engine_writer *slot = NULL;
	int rc = writer_for(store, batch->start_unix_ns, &slot, err);
	if (rc)
		return rc;
	rc = writer_append(slot->writer, batch, err);
	if (rc == -EBADMSG)
		set_aside_writer(store, slot, err->text);
	if (!rc)
		cut_if_full(store, slot->writer, batch->start_unix_ns);
	return rc;
}

int store_append(struct store *store, const struct profile *const *profiles, size_t profile_count,
		 const struct ledger *delta, struct err *err)
{
	struct err local = {0};
	struct writer_batch batch;
	if (!store->is_writable)
		return err_set(err, -EROFS, "%s is open for reading only", store->directory);
	int rc = writer_batch_init(&batch, profiles, profile_count, delta, err);
	if (rc)
		return rc;
	pthread_mutex_lock(&store->append_lock);
	rc = append(store, &batch, &local);
	if (rc == -EBADMSG) /* that partition was set aside: once more, into a new one */
		rc = append(store, &batch, &local);
	if (clock_mono_ns() - store->housekept_mono_ns > HOUSEKEEPING_NS)
		housekeep(store);
	pthread_mutex_unlock(&store->append_lock);
	if (rc && err)
		*err = local;
	return rc;
}

/* What store_stats() adds up. */
struct survey {
	struct store *store;
	struct store_stats *stats;
};

static int survey_partition(void *ctx, struct partition *partition)
{
	const struct survey *survey = ctx;
	struct store_stats *stats = survey->stats;
	struct extent extent;
	struct err err;
	int rc = partition_extent(partition, &extent, &err);
	if (rc == -EBADMSG)
		catalog_set_aside(survey->store->catalog, partition, false, err.text);
	if (rc) /* it is not counted; a query says why */
		return 0;
	stats->partitions++;
	stats->size_bytes += partition_size_bytes(partition_path(partition));
	stats->samples += extent.samples;
	if (!extent.samples)
		return 0;
	int64_t oldest_unix_ns = extent.oldest_unix_us * NS_PER_US;
	int64_t newest_unix_ns = extent.newest_unix_us * NS_PER_US;
	if (!stats->oldest_unix_ns || oldest_unix_ns < stats->oldest_unix_ns)
		stats->oldest_unix_ns = oldest_unix_ns;
	if (newest_unix_ns > stats->newest_unix_ns)
		stats->newest_unix_ns = newest_unix_ns;
	return 0;
}

int store_stats(struct store *store, struct store_stats *stats, struct err *err)
{
	struct store_stats found = {0};
	struct survey survey = {store, &found};
	snprintf(found.directory, sizeof(found.directory), "%s", store->directory);
	int rc = store->is_writable ? 0 : catalog_scan(store->catalog, err);
	if (rc)
		return rc;
	rc = catalog_each(store->catalog, survey_partition, &survey);
	if (rc)
		return err_set(err, rc, "%s: %m", store->directory);
	found.partitions_set_aside = catalog_set_aside_count(store->catalog);
	*stats = found;
	return 0;
}

void store_notices(struct store *store, void (*visit)(void *ctx, const char *text), void *ctx)
{
	catalog_notices(store->catalog, visit, ctx);
}
