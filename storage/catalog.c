#include "storage/catalog.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/array.h"
#include "base/clock.h"
#include "storage/lock.h"
#include "storage/writer.h"

enum {
	MAX_PARTITIONS = 20000,
	MAX_NOTICES = 64,
	/* Partitions whose tables stay in memory between queries. */
	MAX_LOADED = 8,
	MAX_DAMAGED_NAMES = 1000,
};

struct catalog {
	char *directory;
	pthread_mutex_t lock;          /* guards all below */
	struct partition **partitions; /* by start */
	size_t count;
	size_t cap;
	uint64_t use_number;
	uint64_t set_aside_count;
	char **left_out; /* paths of damaged ones that could not be renamed */
	size_t left_out_count;
	size_t left_out_cap;
	char **notices;
	size_t notice_count;
	size_t notice_cap;
};

static void close_directory(DIR **directory)
{
	if (*directory)
		closedir(*directory);
}

void catalog_free(struct catalog *catalog)
{
	if (!catalog)
		return;
	for (size_t i = 0; i < catalog->count; i++)
		partition_put(catalog->partitions[i]);
	for (size_t i = 0; i < catalog->left_out_count; i++)
		free(catalog->left_out[i]);
	for (size_t i = 0; i < catalog->notice_count; i++)
		free(catalog->notices[i]);
	free(catalog->partitions);
	free(catalog->left_out);
	free(catalog->notices);
	free(catalog->directory);
	pthread_mutex_destroy(&catalog->lock);
	free(catalog);
}

static bool is_left_out(const struct catalog *catalog, const char *path)
{
	for (size_t i = 0; i < catalog->left_out_count; i++)
		if (!strcmp(catalog->left_out[i], path))
			return true;
	return false;
}

/* The position of the first partition that starts after unix_s. */
static size_t upper_bound(const struct catalog *catalog, int64_t unix_s)
{
	size_t low = 0;
	size_t high = catalog->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (partition_start_unix_s(catalog->partitions[middle]) <= unix_s)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static int path_of(const struct catalog *catalog, const char *name, char path[static PATH_MAX])
{
	int len = snprintf(path, PATH_MAX, "%s/%s", catalog->directory, name);
	return len < PATH_MAX ? 0 : -ENAMETOOLONG;
}

/* Adds a partition that is not there yet; with the lock held. */
static int add_partition(struct catalog *catalog, const char *name, int64_t start_unix_s)
{
	char path[PATH_MAX];
	int rc = path_of(catalog, name, path);
	if (rc)
		return rc;
	size_t at = upper_bound(catalog, start_unix_s);
	if (at && partition_start_unix_s(catalog->partitions[at - 1]) == start_unix_s)
		return 0;
	if (is_left_out(catalog, path))
		return 0;
	rc = ARRAY_RESERVE(catalog->partitions, catalog->cap, catalog->count, MAX_PARTITIONS);
	struct partition *partition;
	if (!rc)
		rc = partition_new(&partition, path, start_unix_s);
	if (rc)
		return rc;
	memmove(catalog->partitions + at + 1, catalog->partitions + at,
		(catalog->count - at) * sizeof(struct partition *));
	catalog->partitions[at] = partition;
	catalog->count++;
	return 0;
}

static void drop_at(struct catalog *catalog, size_t at)
{
	partition_put(catalog->partitions[at]);
	catalog->count--;
	memmove(catalog->partitions + at, catalog->partitions + at + 1,
		(catalog->count - at) * sizeof(struct partition *));
}

static void drop_vanished(struct catalog *catalog)
{
	for (size_t i = catalog->count; i-- > 0;)
		if (access(partition_path(catalog->partitions[i]), F_OK))
			drop_at(catalog, i);
}

static bool is_set_aside(const char *name)
{
	return !strncmp(name, "p-", 2) && strstr(name, ".hearth.damaged-") &&
	       !strstr(name, "-wal") && !strstr(name, "-journal");
}

/* What a directory has of ours and of others. */
struct census {
	size_t ours;
	size_t foreign;
	uint64_t set_aside;
};

static int scan_entries(struct catalog *catalog, DIR *directory, struct census *census)
{
	for (struct dirent *entry; (entry = readdir(directory));) {
		int64_t start_unix_s;
		const char *name = entry->d_name;
		if (partition_name_parse(name, &start_unix_s)) {
			int rc = add_partition(catalog, name, start_unix_s);
			if (rc)
				return rc;
			census->ours++;
		} else if (is_set_aside(name)) {
			census->set_aside++;
			census->ours++;
		} else if (!strcmp(name, LOCK_FILE_NAME)) {
			census->ours++;
		} else if (strcmp(name, ".") && strcmp(name, "..") && strcmp(name, "lost+found")) {
			census->foreign++;
		}
	}
	return 0;
}

static int scan(struct catalog *catalog, struct census *census, struct err *err)
{
	__attribute__((cleanup(close_directory))) DIR *directory = opendir(catalog->directory);
	if (!directory)
		return err_set(err, -errno, "data directory %s: %m", catalog->directory);
	pthread_mutex_lock(&catalog->lock);
	drop_vanished(catalog);
	int rc = scan_entries(catalog, directory, census);
	if (!rc)
		catalog->set_aside_count = census->set_aside + catalog->left_out_count;
	pthread_mutex_unlock(&catalog->lock);
	return rc ? err_set(err, rc, "data directory %s: %m", catalog->directory) : 0;
}

int catalog_scan(struct catalog *catalog, struct err *err)
{
	struct census census = {0};
	return scan(catalog, &census, err);
}

int catalog_open(struct catalog **out, const char *directory, struct err *err)
{
	AUTO(catalog) catalog = calloc(1, sizeof(*catalog));
	if (!catalog)
		return err_set(err, -ENOMEM, "data directory %s: %m", directory);
	pthread_mutex_init(&catalog->lock, NULL);
	catalog->directory = strdup(directory);
	if (!catalog->directory)
		return err_set(err, -ENOMEM, "data directory %s: %m", directory);
	struct census census = {0};
	int rc = scan(catalog, &census, err);
	if (rc)
		return rc;
	if (census.foreign && !census.ours)
		return err_set(err, -EEXIST,
			       "%s holds files that are not Hearth's: name an empty directory",
			       directory);
	*out = TAKE(catalog);
	return 0;
}

void catalog_clean(const struct catalog *catalog)
{
	__attribute__((cleanup(close_directory))) DIR *directory = opendir(catalog->directory);
	if (!directory)
		return;
	for (struct dirent *entry; (entry = readdir(directory));) {
		const char *suffix = strstr(entry->d_name, ".hearth.new");
		char path[PATH_MAX];
		if (!strncmp(entry->d_name, "p-", 2) && suffix &&
		    !path_of(catalog, entry->d_name, path))
			unlink(path);
	}
}

int catalog_select(struct catalog *catalog, int64_t from_unix_ns, int64_t until_unix_ns,
		   struct partition_list *list)
{
	int64_t from_unix_s = from_unix_ns / NS_PER_S - WRITER_REACH_S;
	int64_t until_unix_s =
		until_unix_ns / NS_PER_S + WRITER_REACH_S + SEGMENT_MAX_WAIT_NS / NS_PER_S;
	*list = (struct partition_list){0};
	pthread_mutex_lock(&catalog->lock);
	size_t first = upper_bound(catalog, from_unix_s);
	size_t end = upper_bound(catalog, until_unix_s);
	first -= first > 0; /* the one before reaches up to its successor's start */
	int rc = 0;
	if (first < end) {
		list->items = calloc(end - first, sizeof(struct partition *));
		rc = list->items ? 0 : -ENOMEM;
	}
	for (size_t i = first; !rc && i < end; i++)
		list->items[list->count++] = partition_get(catalog->partitions[i]);
	pthread_mutex_unlock(&catalog->lock);
	return rc;
}

/* With the lock held. */
static struct partition *least_used(const struct catalog *catalog, size_t *loaded)
{
	struct partition *least = NULL;
	uint64_t least_use = UINT64_MAX;
	*loaded = 0;
	for (size_t i = 0; i < catalog->count; i++) {
		uint64_t use;
		if (!partition_is_loaded(catalog->partitions[i], &use))
			continue;
		++*loaded;
		if (use < least_use) {
			least_use = use;
			least = catalog->partitions[i];
		}
	}
	return least;
}

void catalog_release(struct catalog *catalog, struct partition_list *list)
{
	pthread_mutex_lock(&catalog->lock);
	for (size_t i = 0; i < list->count; i++)
		partition_put(list->items[i]);
	size_t loaded;
	struct partition *least = least_used(catalog, &loaded);
	while (loaded > MAX_LOADED && partition_shrink(least))
		least = least_used(catalog, &loaded);
	pthread_mutex_unlock(&catalog->lock);
	free(list->items);
	*list = (struct partition_list){0};
}

struct partition *catalog_find(struct catalog *catalog, int64_t unix_s)
{
	pthread_mutex_lock(&catalog->lock);
	size_t at = upper_bound(catalog, unix_s);
	struct partition *found = at ? partition_get(catalog->partitions[at - 1]) : NULL;
	pthread_mutex_unlock(&catalog->lock);
	return found;
}

int64_t catalog_next_start(struct catalog *catalog, int64_t unix_s)
{
	pthread_mutex_lock(&catalog->lock);
	size_t at = upper_bound(catalog, unix_s);
	int64_t start =
		at < catalog->count ? partition_start_unix_s(catalog->partitions[at]) : INT64_MAX;
	pthread_mutex_unlock(&catalog->lock);
	return start;
}

int catalog_create(struct catalog *catalog, int64_t start_unix_s, int64_t end_unix_s,
		   struct err *err)
{
	char name[PARTITION_NAME_BYTES];
	char path[PATH_MAX];
	partition_name(start_unix_s, name);
	int rc = path_of(catalog, name, path);
	if (rc)
		return err_set(err, rc, "%s/%s: %m", catalog->directory, name);
	rc = partition_create(path, start_unix_s, end_unix_s, err);
	if (rc)
		return rc;
	pthread_mutex_lock(&catalog->lock);
	rc = add_partition(catalog, name, start_unix_s);
	pthread_mutex_unlock(&catalog->lock);
	return rc ? err_set(err, rc, "%s: %m", path) : 0;
}

/* Renames path and its WAL to the first free *.damaged-N. */
static int rename_damaged(const char *path)
{
	static const char *const suffixes[] = {"-wal", "-journal"};
	char to[PATH_MAX + 64];
	int n = 1;
	do
		snprintf(to, sizeof(to), "%s.damaged-%d", path, n++);
	while (!access(to, F_OK) && n < MAX_DAMAGED_NAMES);
	if (rename(path, to))
		return -errno;
	for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
		char from_side[PATH_MAX + 16];
		char to_side[sizeof(to) + 16];
		snprintf(from_side, sizeof(from_side), "%s%s", path, suffixes[i]);
		snprintf(to_side, sizeof(to_side), "%s%s", to, suffixes[i]);
		if (rename(from_side, to_side) && errno != ENOENT)
			return -errno;
	}
	char shm[PATH_MAX + 16];
	snprintf(shm, sizeof(shm), "%s-shm", path);
	unlink(shm); /* an index of the WAL; made anew */
	return 0;
}

static void leave_out(struct catalog *catalog, const char *path)
{
	AUTO_MEM char *copy = strdup(path);
	if (copy && !ARRAY_RESERVE(catalog->left_out, catalog->left_out_cap,
				   catalog->left_out_count, MAX_PARTITIONS))
		catalog->left_out[catalog->left_out_count++] = TAKE(copy);
}

void catalog_set_aside(struct catalog *catalog, struct partition *partition, bool may_rename,
		       const char *why)
{
	const char *path = partition_path(partition);
	pthread_mutex_lock(&catalog->lock);
	size_t at = 0;
	while (at < catalog->count && catalog->partitions[at] != partition)
		at++;
	bool is_known = at < catalog->count;
	bool is_renamed = is_known && may_rename && !rename_damaged(path);
	if (is_known && !is_renamed)
		leave_out(catalog, path);
	catalog->set_aside_count += is_known;
	pthread_mutex_unlock(&catalog->lock);
	if (!is_known) /* somebody else saw it first */
		return;
	catalog_notice(catalog, "Partition %s is damaged and was %s: %s", path,
		       is_renamed ? "set aside (renamed to *.damaged-N)" : "left out", why);
	pthread_mutex_lock(&catalog->lock);
	for (at = 0; at < catalog->count; at++) {
		if (catalog->partitions[at] == partition) {
			drop_at(catalog, at);
			break;
		}
	}
	pthread_mutex_unlock(&catalog->lock);
}

void catalog_retire(struct catalog *catalog, uint64_t max_bytes,
		    bool (*is_kept)(const void *ctx, const char *path), const void *ctx)
{
	pthread_mutex_lock(&catalog->lock);
	uint64_t bytes = 0;
	for (size_t i = 0; i < catalog->count; i++)
		bytes += partition_size_bytes(partition_path(catalog->partitions[i]));
	for (size_t i = 0; i < catalog->count && bytes > max_bytes;) {
		const char *path = partition_path(catalog->partitions[i]);
		if (is_kept(ctx, path)) {
			i++;
			continue;
		}
		bytes -= partition_size_bytes(path);
		partition_unlink(path);
		drop_at(catalog, i);
	}
	pthread_mutex_unlock(&catalog->lock);
}

int catalog_each(struct catalog *catalog, int (*visit)(void *ctx, struct partition *partition),
		 void *ctx)
{
	struct partition_list list;
	int rc = catalog_select(catalog, INT64_MIN, INT64_MAX, &list);
	for (size_t i = 0; !rc && i < list.count; i++)
		rc = visit(ctx, list.items[i]);
	catalog_release(catalog, &list);
	return rc;
}

uint64_t catalog_next_use(struct catalog *catalog)
{
	pthread_mutex_lock(&catalog->lock);
	uint64_t number = ++catalog->use_number;
	pthread_mutex_unlock(&catalog->lock);
	return number;
}

uint64_t catalog_set_aside_count(struct catalog *catalog)
{
	pthread_mutex_lock(&catalog->lock);
	uint64_t count = catalog->set_aside_count;
	pthread_mutex_unlock(&catalog->lock);
	return count;
}

void catalog_notice(struct catalog *catalog, const char *fmt, ...)
{
	char text[1024];
	va_list args;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	AUTO_MEM char *copy = strdup(text);
	pthread_mutex_lock(&catalog->lock);
	if (copy && !ARRAY_RESERVE(catalog->notices, catalog->notice_cap, catalog->notice_count,
				   MAX_NOTICES))
		catalog->notices[catalog->notice_count++] = TAKE(copy);
	pthread_mutex_unlock(&catalog->lock);
}

void catalog_notices(struct catalog *catalog, void (*visit)(void *ctx, const char *text), void *ctx)
{
	pthread_mutex_lock(&catalog->lock);
	for (size_t i = 0; i < catalog->notice_count; i++)
		visit(ctx, catalog->notices[i]);
	pthread_mutex_unlock(&catalog->lock);
}
