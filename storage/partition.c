#include "storage/partition.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/array.h"
#include "base/clock.h"

enum { MAX_IDLE_SESSIONS = 4 };

/* The coarsest time stamps of files: FAT's. */
#define TIME_STAMP_STEP_NS (2 * NS_PER_S)

/* What is seen of a file without opening it. */
struct file_state {
	int64_t size_bytes, wal_bytes;
	int64_t changed_unix_ns;
	bool has_wal;
};

struct partition {
	char *path;
	int64_t start_unix_s;
	atomic_int references;

	pthread_mutex_t lock; /* guards idle, idle_count, active_count, last_use, extent */
	struct session *idle;
	size_t idle_count;
	size_t active_count;
	uint64_t last_use;
	struct extent extent;
	struct file_state extent_state; /* zero: extent is not known */

	pthread_rwlock_t tables_lock; /* sessions hold it for reading */
	struct tables *tables;
};

void partition_name(int64_t start_unix_s, char name[static PARTITION_NAME_BYTES])
{
	snprintf(name, PARTITION_NAME_BYTES, PARTITION_NAME_FORMAT, (long long)start_unix_s);
}

bool partition_name_parse(const char *name, int64_t *start_unix_s)
{
	char again[PARTITION_NAME_BYTES];
	char *end;
	if (strncmp(name, "p-", 2) || strspn(name + 2, "0123456789") > 15)
		return false;
	int64_t start = strtoll(name + 2, &end, 10);
	partition_name(start, again);
	if (strcmp(again, name))
		return false;
	*start_unix_s = start;
	return true;
}

static int fill_new(const char *path, int64_t start_unix_s, int64_t end_unix_s, struct err *err)
{
	AUTO(db) db = NULL;
	int rc = db_open(&db, path, DB_CREATE, err);
	return rc ? rc : db_run(db, INSERT_SPAN, DB_ARGS(start_unix_s, end_unix_s), err);
}

/* A name that a power cut must not take back. */
static int sync_directory(const char *path)
{
	char directory[PATH_MAX];
	snprintf(directory, sizeof(directory), "%s", path);
	char *slash = strrchr(directory, '/');
	if (!slash)
		return 0;
	*slash = 0;
	AUTO_FD fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 || fsync(fd) ? -errno : 0;
}

void partition_unlink(const char *path)
{
	static const char *const suffixes[] = {"", "-journal", "-wal", "-shm"};
	for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
		char file[PATH_MAX + 16];
		snprintf(file, sizeof(file), "%s%s", path, suffixes[i]);
		unlink(file);
	}
}

int partition_create(const char *path, int64_t start_unix_s, int64_t end_unix_s, struct err *err)
{
	char making[PATH_MAX];
	if (snprintf(making, sizeof(making), "%s.new", path) >= (int)sizeof(making))
		return err_set(err, -ENAMETOOLONG, "%s: %m", path);
	if (!access(path, F_OK))
		return err_set(err, -EEXIST, "%s: %m", path);
	partition_unlink(making);
	int rc = fill_new(making, start_unix_s, end_unix_s, err);
	if (!rc && rename(making, path))
		rc = err_set(err, -errno, "rename %s: %m", making);
	if (!rc) {
		rc = sync_directory(path);
		return rc ? err_set(err, rc, "sync the directory of %s: %m", path) : 0;
	}
	partition_unlink(making);
	return rc;
}

int partition_new(struct partition **out, const char *path, int64_t start_unix_s)
{
	struct partition *partition = calloc(1, sizeof(*partition));
	char *copy = strdup(path);
	if (!partition || !copy) {
		free(partition);
		free(copy);
		return -ENOMEM;
	}
	partition->path = copy;
	partition->start_unix_s = start_unix_s;
	atomic_init(&partition->references, 1);
	pthread_mutex_init(&partition->lock, NULL);
	pthread_rwlockattr_t attributes;
	pthread_rwlockattr_init(&attributes);
	/* Else loads wait for as long as others keep asking. */
	pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&partition->tables_lock, &attributes);
	pthread_rwlockattr_destroy(&attributes);
	*out = partition;
	return 0;
}

static void close_session(struct session *session)
{
	db_free(session->db);
	segment_codec_free(session->codec);
	free(session);
}

static void close_idle(struct partition *partition)
{
	while (partition->idle) {
		struct session *session = partition->idle;
		partition->idle = session->next;
		close_session(session);
	}
	partition->idle_count = 0;
}

struct partition *partition_get(struct partition *partition)
{
	atomic_fetch_add(&partition->references, 1);
	return partition;
}

void partition_put(struct partition *partition)
{
	if (!partition || atomic_fetch_sub(&partition->references, 1) > 1)
		return;
	close_idle(partition);
	tables_free(partition->tables);
	pthread_mutex_destroy(&partition->lock);
	pthread_rwlock_destroy(&partition->tables_lock);
	free(partition->path);
	free(partition);
}

const char *partition_path(const struct partition *partition)
{
	return partition->path;
}

int64_t partition_start_unix_s(const struct partition *partition)
{
	return partition->start_unix_s;
}

bool partition_shrink(struct partition *partition)
{
	pthread_mutex_lock(&partition->lock);
	bool is_idle = !partition->active_count;
	if (is_idle) {
		/* Nobody has tables_lock, and who wants it first needs `lock`. */
		close_idle(partition);
		tables_free(partition->tables);
		partition->tables = NULL;
	}
	pthread_mutex_unlock(&partition->lock);
	return is_idle;
}

bool partition_is_loaded(struct partition *partition, uint64_t *last_use)
{
	pthread_mutex_lock(&partition->lock);
	bool is_loaded = partition->active_count || partition->idle;
	*last_use = partition->last_use;
	pthread_mutex_unlock(&partition->lock);
	return is_loaded;
}

static bool has_wal(const char *path)
{
	char wal[PATH_MAX];
	struct stat st;
	snprintf(wal, sizeof(wal), "%s-wal", path);
	return !stat(wal, &st) && st.st_size;
}

static int connect_session(struct session *session, struct err *err)
{
	const char *path = session->partition->path;
	int rc = db_open(&session->db, path, DB_READ, err);
	/* A file at rest whose directory we may not write to: SQLite wants to make its -shm
	 * there when the file was left in WAL mode. No WAL, nobody who writes: read it as is. */
	bool is_refused = rc == -EACCES || rc == -EROFS || rc == -ENOENT || rc == -EPERM;
	if (is_refused && !access(path, R_OK) && !has_wal(path)) {
		session->is_alone = true;
		rc = db_open(&session->db, path, DB_READ_ALONE, err);
	}
	return rc;
}

static int open_session(struct session **out, struct partition *partition, struct err *err)
{
	struct session *session = calloc(1, sizeof(*session));
	if (!session)
		return err_set(err, -ENOMEM, "read %s: %m", partition->path);
	session->partition = partition;
	int rc = segment_codec_new(&session->codec);
	if (rc)
		err_set(err, rc, "read %s: %m", partition->path);
	else
		rc = connect_session(session, err);
	if (rc) {
		close_session(session);
		return rc;
	}
	*out = session;
	return 0;
}

static struct session *take_idle(struct partition *partition, uint64_t use_number)
{
	pthread_mutex_lock(&partition->lock);
	struct session *session = partition->idle;
	if (session) {
		partition->idle = session->next;
		partition->idle_count--;
		session->next = NULL;
	}
	partition->active_count++;
	if (use_number > partition->last_use)
		partition->last_use = use_number;
	pthread_mutex_unlock(&partition->lock);
	return session;
}

static void give_back(struct partition *partition, struct session *session, bool is_good)
{
	pthread_mutex_lock(&partition->lock);
	partition->active_count--;
	if (session && is_good && partition->idle_count < MAX_IDLE_SESSIONS) {
		session->next = partition->idle;
		partition->idle = session;
		partition->idle_count++;
		session = NULL;
	}
	pthread_mutex_unlock(&partition->lock);
	if (session)
		close_session(session);
}

/* Fixes the view of the file that this session has. Here and not later, since here it may
 * wait for a writer who enters or leaves WAL mode, and he for those who read: nobody may wait
 * for the file with tables_lock held while another reads it and waits for tables_lock. */
static int begin_view(struct session *session, struct err *err)
{
	int rc = db_run(session->db, BEGIN_READ, DB_NO_ARGS, err);
	return rc ? rc : db_run(session->db, SELECT_SPAN, DB_NO_ARGS, err); /* takes the lock */
}

static int update_tables(struct session *session, struct err *err)
{
	struct partition *partition = session->partition;
	pthread_rwlock_wrlock(&partition->tables_lock);
	int rc = partition->tables ? 0 : tables_new(&partition->tables);
	rc = rc ? err_set(err, rc, "tables: %m") : tables_load(session->db, partition->tables, err);
	if (rc) {
		tables_free(partition->tables);
		partition->tables = NULL;
	}
	pthread_rwlock_unlock(&partition->tables_lock);
	return rc;
}

/* Brings the shared tables up to this session's view and leaves them locked for reading. */
static int load_tables(struct session *session, struct err *err)
{
	struct partition *partition = session->partition;
	for (;;) {
		int rc = update_tables(session, err);
		if (rc)
			return rc;
		pthread_rwlock_rdlock(&partition->tables_lock);
		if (partition->tables)
			break;
		/* Another session failed meanwhile, perhaps for want of memory, and took them
		 * away. That says nothing of the file: load them again. */
		pthread_rwlock_unlock(&partition->tables_lock);
	}
	session->tables = partition->tables->profile;
	return 0;
}

int session_open(struct session **out, struct partition *partition, uint64_t use_number,
		 struct err *err)
{
	struct session *session = take_idle(partition, use_number);
	int rc = session ? 0 : open_session(&session, partition, err);
	if (!rc)
		rc = begin_view(session, err);
	if (!rc)
		rc = load_tables(session, err);
	if (rc) {
		give_back(partition, session, false);
		return rc;
	}
	*out = session;
	return 0;
}

void session_free(struct session *session)
{
	if (!session)
		return;
	pthread_rwlock_unlock(&session->partition->tables_lock);
	session->tables = NULL;
	int rc = db_run(session->db, COMMIT, DB_NO_ARGS, NULL);
	give_back(session->partition, session, !rc && !session->is_alone);
}

static void state_of(const char *path, struct file_state *state)
{
	char wal[PATH_MAX];
	struct stat st;
	snprintf(wal, sizeof(wal), "%s-wal", path);
	*state = (struct file_state){0};
	if (!stat(path, &st)) {
		state->size_bytes = st.st_size;
		state->changed_unix_ns = st.st_mtim.tv_sec * NS_PER_S + st.st_mtim.tv_nsec;
	}
	state->has_wal = !stat(wal, &st);
	if (state->has_wal)
		state->wal_bytes = st.st_size;
}

/* Will the next change show in size and time? Not while there is a WAL: that is written before
 * what it says counts, and then over and over at the same size. Nor just after a change: the
 * next one may get the same time stamp. */
static bool is_at_rest(const struct file_state *state)
{
	return state->size_bytes && !state->has_wal &&
	       clock_unix_ns() - state->changed_unix_ns > TIME_STAMP_STEP_NS;
}

uint64_t partition_size_bytes(const char *path)
{
	struct file_state state;
	state_of(path, &state);
	return (uint64_t)(state.size_bytes + state.wal_bytes);
}

static int read_extent(struct partition *partition, struct extent *extent, struct err *err)
{
	struct session *session = take_idle(partition, 0);
	int rc = session ? 0 : open_session(&session, partition, err);
	sqlite3_stmt *stmt;
	if (!rc)
		rc = db_start(session->db, SELECT_EXTENT, DB_NO_ARGS, &stmt, err);
	if (!rc)
		rc = db_step(session->db, stmt, err);
	if (rc > 0) {
		extent->samples = (uint64_t)sqlite3_column_int64(stmt, 0);
		extent->oldest_unix_us = sqlite3_column_int64(stmt, 1);
		extent->newest_unix_us = sqlite3_column_int64(stmt, 2);
		sqlite3_reset(stmt);
		rc = 0;
	}
	give_back(partition, session, !rc && !session->is_alone);
	return rc;
}

int partition_extent(struct partition *partition, struct extent *extent, struct err *err)
{
	struct file_state state;
	state_of(partition->path, &state);
	bool will_tell = is_at_rest(&state);
	pthread_mutex_lock(&partition->lock);
	bool is_known = will_tell && state.size_bytes == partition->extent_state.size_bytes &&
			state.changed_unix_ns == partition->extent_state.changed_unix_ns;
	*extent = partition->extent;
	pthread_mutex_unlock(&partition->lock);
	if (is_known)
		return 0;
	int rc = read_extent(partition, extent, err);
	if (rc || !will_tell)
		return rc;
	pthread_mutex_lock(&partition->lock);
	partition->extent = *extent;
	partition->extent_state = state;
	pthread_mutex_unlock(&partition->lock);
	return 0;
}
