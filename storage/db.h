/*
 * db: one connection to one partition's SQLite file, with its prepared statements.
 *
 * All SQL that Hearth runs is the constant text of statement.h, prepared at first use and
 * always bound. Errors of SQLite become -errno here and nowhere else. One thread at a time.
 *
 * Journal: a partition that is being written is in WAL mode with synchronous=NORMAL: a killed
 * process loses nothing that was committed; a power cut may lose what the kernel had not
 * written back yet (some 30 s) but leaves the file whole. A partition at rest is in rollback
 * mode: a single file that anybody may copy, or read without rights to write.
 */
#pragma once
#include <sqlite3.h>
#include <stddef.h>
#include <stdint.h>

#include "base/auto.h"
#include "base/err.h"
#include "storage/statement.h"

struct db; /* opaque */

enum db_mode {
	DB_READ,       /* beside a writer, or of a file at rest */
	DB_READ_ALONE, /* nobody writes: takes no lock, needs no right to write */
	DB_WRITE,      /* WAL mode */
	DB_CREATE,     /* makes the file with the schema in it, in WAL mode */
};

/* Open path and check that it is a partition of this version. -EBADMSG: it is not, or it is
 * damaged; -ENOENT, -EACCES, -EBUSY, -ENOSPC, -EIO, ... */
int db_open(struct db **out, const char *path, enum db_mode mode, struct err *err);
void db_free(struct db *db); /* NULL is fine */
AUTO_DEFINE(db)

/* Leave WAL mode, so that the file is complete by itself. -EBUSY while others have it open. */
int db_settle(struct db *db, struct err *err);

/* A statement with ints bound to ?1, ?2, ...; further parameters are the caller's to bind. */
int db_start(struct db *db, enum statement which, size_t argc, const int64_t *argv,
	     sqlite3_stmt **stmt, struct err *err);
/* 1: a row; 0: no more, and the statement is reset; else -errno, and it is reset. */
int db_step(struct db *db, sqlite3_stmt *stmt, struct err *err);
/* Start, step to the end. */
int db_run(struct db *db, enum statement which, size_t argc, const int64_t *argv, struct err *err);

/* The rowid of the last row inserted. */
int64_t db_last_id(const struct db *db);

/* The argc and argv of db_start() and db_run(). */
#define DB_ARGS(...) \
	(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), ((const int64_t[]){__VA_ARGS__})
#define DB_NO_ARGS 0, NULL
