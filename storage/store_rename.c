/* Better names for what is stored already: partition by partition, appends in between. */
#include <errno.h>

#include "storage/db.h"
#include "storage/engine.h"

struct renaming {
	struct store *store;
	const char *build_id;
	const struct profile_renamer *renamer;
	size_t *renamed;
	struct err *err;
	int rc; /* the first failure; the other partitions are still renamed */
};

static int has_build_id(const char *path, const char *build_id, struct err *err)
{
	AUTO(db) db = NULL;
	int rc = db_open(&db, path, DB_READ, err);
	sqlite3_stmt *stmt;
	if (!rc)
		rc = db_start(db, SELECT_BUILD_ID, DB_NO_ARGS, &stmt, err);
	if (rc)
		return rc;
	sqlite3_bind_text(stmt, 1, build_id, -1, SQLITE_STATIC);
	rc = db_step(db, stmt, err);
	if (rc > 0)
		sqlite3_reset(stmt);
	return rc;
}

static int rename_at_rest(struct renaming *renaming, struct partition *partition, struct err *err)
{
	/* Our own idle readers would keep the file in WAL mode. */
	partition_shrink(partition);
	AUTO(writer) writer = NULL;
	int rc = writer_open(&writer, partition_path(partition), err);
	return rc ? rc
		  : writer_rename(writer, renaming->build_id, renaming->renamer, renaming->renamed,
				  err);
}

static int rename_partition(void *ctx, struct partition *partition)
{
	struct renaming *renaming = ctx;
	struct store *store = renaming->store;
	struct err err = {0};
	/* Most old partitions know nothing of the file: no append waits for that answer. */
	int found = has_build_id(partition_path(partition), renaming->build_id, &err);
	int rc = found < 0 ? found : 0;
	if (found > 0) {
		pthread_mutex_lock(&store->append_lock);
		struct engine_writer *slot = engine_find_writer(store, partition);
		rc = slot ? writer_rename(slot->writer, renaming->build_id, renaming->renamer,
					  renaming->renamed, &err)
			  : rename_at_rest(renaming, partition, &err);
		pthread_mutex_unlock(&store->append_lock);
	}
	if (rc && !renaming->rc && rc != -ENOENT) { /* removed to make room */
		renaming->rc = rc;
		if (renaming->err)
			*renaming->err = err;
	}
	return 0;
}

int store_rename(struct store *store, const char *build_id, const struct profile_renamer *renamer,
		 size_t *renamed, struct err *err)
{
	*renamed = 0;
	if (!store->is_writable)
		return err_set(err, -EROFS, "%s is open for reading only", store->directory);
	struct renaming renaming = {store, build_id, renamer, renamed, err, 0};
	int rc = catalog_each(store->catalog, rename_partition, &renaming);
	return rc ? err_set(err, rc, "rename: %m") : renaming.rc;
}
