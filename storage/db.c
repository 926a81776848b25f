#include "storage/db.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "storage/schema.h"

enum {
	/* Longest wait for another process's checkpoint or recovery. Readers and the writer
	 * do not wait for each other in WAL mode. */
	BUSY_TIMEOUT_MS = 5000,
};

struct db {
	sqlite3 *handle;
	sqlite3_stmt *statements[STATEMENT_COUNT];
	char *path;
};

static int errno_of(const struct db *db, int code)
{
	int system_errno = db->handle ? sqlite3_system_errno(db->handle) : 0;
	switch (code & 0xff) {
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
	case SQLITE_ERROR: /* no such table: the schema is not ours */
	case SQLITE_FORMAT:
		return -EBADMSG;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_READONLY:
		return -EROFS;
	case SQLITE_PERM:
	case SQLITE_AUTH:
		return -EACCES;
	case SQLITE_TOOBIG:
		return -E2BIG;
	case SQLITE_CONSTRAINT: /* ids that collide: what we know is not what is stored */
	case SQLITE_MISMATCH:
		return -EBADMSG;
	case SQLITE_CANTOPEN:
		return system_errno ? -system_errno : -ENOENT;
	default:
		return system_errno == ENOSPC ? -ENOSPC : -EIO;
	}
}

static int fail(const struct db *db, int code, struct err *err)
{
	const char *text = db->handle ? sqlite3_errmsg(db->handle) : sqlite3_errstr(code);
	return err_set(err, errno_of(db, code), "%s: %s", db->path, text);
}

void db_free(struct db *db)
{
	if (!db)
		return;
	for (size_t i = 0; i < STATEMENT_COUNT; i++)
		sqlite3_finalize(db->statements[i]);
	sqlite3_close(db->handle);
	free(db->path);
	free(db);
}

static int exec(struct db *db, const char *sql, struct err *err)
{
	int code = sqlite3_exec(db->handle, sql, NULL, NULL, NULL);
	return code ? fail(db, code, err) : 0;
}

static int check_identity(struct db *db, struct err *err)
{
	sqlite3_stmt *stmt = NULL;
	int rc = db_start(db, SELECT_IDENTITY, DB_NO_ARGS, &stmt, err);
	if (rc)
		return rc;
	rc = db_step(db, stmt, err);
	if (rc < 0)
		return rc;
	int64_t application_id = rc ? sqlite3_column_int64(stmt, 0) : 0;
	int64_t version = rc ? sqlite3_column_int64(stmt, 1) : 0;
	sqlite3_reset(stmt);
	if (application_id != SCHEMA_APPLICATION_ID)
		return err_set(err, -EBADMSG, "%s: a SQLite file, but not Hearth's", db->path);
	if (version != SCHEMA_VERSION)
		return err_set(err, -EBADMSG, "%s: layout version %lld, this Hearth reads %d",
			       db->path, (long long)version, SCHEMA_VERSION);
	return 0;
}

static int prepare_mode(struct db *db, enum db_mode mode, struct err *err)
{
	if (mode == DB_CREATE) {
		/* One transaction in rollback mode; synced before the file gets its name. Then
		 * WAL mode, which is entered without waiting only while nobody reads. */
		int rc = exec(db, "BEGIN", err);
		if (!rc)
			rc = exec(db, schema_sql, err);
		if (!rc)
			rc = exec(db, "COMMIT", err);
		return rc ? rc : exec(db, "PRAGMA journal_mode = WAL", err);
	}
	int rc = check_identity(db, err);
	if (rc || mode != DB_WRITE)
		return rc;
	/* The limit gives back what one long reader made the WAL grow to. */
	return exec(db,
		    "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
		    " PRAGMA journal_size_limit = 16777216; PRAGMA cache_size = -4096",
		    err);
}

/* SQLite's URI of a path: '%', '?' and '#' mean something else there. */
static char *uri_of(const char *path, bool alone)
{
	const char *suffix = alone ? "?immutable=1" : "";
	size_t size_bytes = strlen("file:") + 3 * strlen(path) + strlen(suffix) + 1;
	char *uri = malloc(size_bytes);
	if (!uri)
		return NULL;
	char *to = stpcpy(uri, "file:");
	for (const char *c = path; *c; c++) {
		if (strchr("%?#", *c))
			to += snprintf(to, 4, "%%%02X", (unsigned int)*c);
		else
			*to++ = *c;
	}
	stpcpy(to, suffix);
	return uri;
}

int db_open(struct db **out, const char *path, enum db_mode mode, struct err *err)
{
	static const int flags[] = {
		[DB_READ] = SQLITE_OPEN_READONLY,
		[DB_READ_ALONE] = SQLITE_OPEN_READONLY,
		[DB_WRITE] = SQLITE_OPEN_READWRITE,
		[DB_CREATE] = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE,
	};
	AUTO(db) db = calloc(1, sizeof(*db));
	AUTO_MEM char *uri = uri_of(path, mode == DB_READ_ALONE);
	if (!db || !uri)
		return err_set(err, -ENOMEM, "open %s: %m", path);
	db->path = strdup(path);
	if (!db->path)
		return err_set(err, -ENOMEM, "open %s: %m", path);
	int code = sqlite3_open_v2(uri, &db->handle,
				   flags[mode] | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX, NULL);
	if (code)
		return fail(db, code, err);
	sqlite3_busy_timeout(db->handle, BUSY_TIMEOUT_MS);
	int rc = prepare_mode(db, mode, err);
	if (rc)
		return rc;
	*out = TAKE(db);
	return 0;
}

int db_settle(struct db *db, struct err *err)
{
	/* Others who read are not waited for: the next open tries again. */
	sqlite3_busy_timeout(db->handle, 0);
	int rc = exec(db, "PRAGMA journal_mode = DELETE", err);
	sqlite3_busy_timeout(db->handle, BUSY_TIMEOUT_MS);
	return rc;
}

int db_start(struct db *db, enum statement which, size_t argc, const int64_t *argv,
	     sqlite3_stmt **stmt, struct err *err)
{
	sqlite3_stmt **slot = &db->statements[which];
	if (!*slot) {
		int code = sqlite3_prepare_v3(db->handle, statement_sql(which), -1,
					      SQLITE_PREPARE_PERSISTENT, slot, NULL);
		if (code)
			return fail(db, code, err);
	}
	sqlite3_reset(*slot);
	for (size_t i = 0; i < argc; i++)
		sqlite3_bind_int64(*slot, (int)i + 1, argv[i]);
	*stmt = *slot;
	return 0;
}

int db_step(struct db *db, sqlite3_stmt *stmt, struct err *err)
{
	int code = sqlite3_step(stmt);
	if (code == SQLITE_ROW)
		return 1;
	int rc = code == SQLITE_DONE ? 0 : fail(db, code, err);
	sqlite3_reset(stmt);
	return rc;
}

int db_run(struct db *db, enum statement which, size_t argc, const int64_t *argv, struct err *err)
{
	sqlite3_stmt *stmt;
	int rc = db_start(db, which, argc, argv, &stmt, err);
	if (rc)
		return rc;
	do
		rc = db_step(db, stmt, err);
	while (rc > 0);
	return rc;
}

int64_t db_last_id(const struct db *db)
{
	return sqlite3_last_insert_rowid(db->handle);
}
