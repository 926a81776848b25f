/*
 * statement: every SQL statement that Hearth prepares.
 *
 * Those below STATEMENT_HOT_COUNT run per append or per query and use an index for all but
 * the smallest tables; tests/test_storage_plan.c asks SQLite.
 */
#pragma once

enum statement {
	/* tables, by readers and by a writer that opens */
	SELECT_STRINGS,
	SELECT_MAPPINGS,
	SELECT_FUNCTIONS,
	SELECT_LOCATIONS,
	SELECT_LATE_NAMES,
	SELECT_STACKS,
	SELECT_LABELS,
	SELECT_THREADS,
	SELECT_WAITS,
	/* samples */
	SELECT_SEGMENTS,
	SELECT_COLUMN,
	SELECT_LEDGER,
	/* appends */
	INSERT_STRING,
	INSERT_MAPPING,
	INSERT_FUNCTION,
	INSERT_LOCATION,
	INSERT_LINE,
	INSERT_LATE_NAME,
	DELETE_LINES,
	UPDATE_LOCATION,
	INSERT_STACK,
	INSERT_LABEL,
	INSERT_THREAD,
	INSERT_WAIT,
	INSERT_SEGMENT,
	INSERT_COLUMN,
	DELETE_SEGMENT,
	DELETE_COLUMNS,
	INSERT_LEDGER,
	INSERT_DROP,
	STATEMENT_HOT_COUNT,
	/* once per transaction */
	BEGIN_READ = STATEMENT_HOT_COUNT,
	BEGIN_WRITE,
	COMMIT,
	ROLLBACK,
	/* once per open, or per look at the status */
	SELECT_IDENTITY,
	SELECT_SPAN,
	SELECT_BUILD_ID,
	INSERT_SPAN,
	UPDATE_SPAN_END,
	SELECT_RAW_SEGMENTS,
	SELECT_EXTENT,
	SELECT_LAST_APPEND,
	SELECT_OPEN_RUNS,
	INSERT_RUN,
	UPDATE_RUN,
	STATEMENT_COUNT,
};

const char *statement_sql(enum statement which);
