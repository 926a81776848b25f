/*
 * How SQLite runs the statements of appends and queries: none of them reads a whole table.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "storage/schema.h"
#include "storage/statement.h"

static void test_no_scans(void **state)
{
	(void)state;
	sqlite3 *db;
	assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, schema_sql, 0, 0, 0), SQLITE_OK);
	for (int i = 0; i < STATEMENT_HOT_COUNT; i++) {
		char sql[1024];
		sqlite3_stmt *stmt;
		const char *text = statement_sql((enum statement)i);
		snprintf(sql, sizeof(sql), "EXPLAIN QUERY PLAN %s", text);
		int rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);
		if (rc)
			fail_msg("%s: %s", text, sqlite3_errmsg(db));
		while (sqlite3_step(stmt) == SQLITE_ROW) {
			const char *detail = (const char *)sqlite3_column_text(stmt, 3);
			if (!strncmp(detail, "SCAN", 4) || strstr(detail, "TEMP B-TREE"))
				fail_msg("%s: %s", text, detail);
		}
		sqlite3_finalize(stmt);
	}
	sqlite3_close(db);
}

/* The others have a right to scan, but must be right. */
static void test_all_prepare(void **state)
{
	(void)state;
	sqlite3 *db;
	assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, schema_sql, 0, 0, 0), SQLITE_OK);
	for (int i = 0; i < STATEMENT_COUNT; i++) {
		sqlite3_stmt *stmt;
		const char *text = statement_sql((enum statement)i);
		if (sqlite3_prepare_v2(db, text, -1, &stmt, NULL))
			fail_msg("%s: %s", text, sqlite3_errmsg(db));
		sqlite3_finalize(stmt);
	}
	sqlite3_close(db);
}

static void test_identity(void **state)
{
	(void)state;
	sqlite3 *db;
	sqlite3_stmt *stmt;
	assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, schema_sql, 0, 0, 0), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, statement_sql(SELECT_IDENTITY), -1, &stmt, NULL),
			 0);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	assert_int_equal(sqlite3_column_int(stmt, 0), SCHEMA_APPLICATION_ID);
	assert_int_equal(sqlite3_column_int(stmt, 1), SCHEMA_VERSION);
	/* "Hrth", big-endian as in the file's header, so that file(1) can know it */
	assert_int_equal(SCHEMA_APPLICATION_ID, 'H' << 24 | 'r' << 16 | 't' << 8 | 'h');
	sqlite3_finalize(stmt);
	sqlite3_close(db);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_scans),
		cmocka_unit_test(test_all_prepare),
		cmocka_unit_test(test_identity),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
