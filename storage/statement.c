#include "storage/statement.h"

#include <assert.h>

static const char *const texts[STATEMENT_COUNT] = {
	[SELECT_STRINGS] = "SELECT id, text FROM string WHERE id > ?1 ORDER BY id",
	[SELECT_MAPPINGS] = "SELECT id, start_vaddr, limit_vaddr, file_off, filename, build_id"
			    " FROM mapping WHERE id > ?1 ORDER BY id",
	[SELECT_FUNCTIONS] = "SELECT id, name, system_name, filename, start_line"
			     " FROM function WHERE id > ?1 ORDER BY id",
	[SELECT_LOCATIONS] = "SELECT location.id, mapping, vaddr, is_folded, function, line,"
			     " \"column\" FROM location LEFT JOIN line ON line.location ="
			     " location.id WHERE location.id > ?1 ORDER BY location.id, depth",
	[SELECT_LATE_NAMES] = "SELECT late_name.location, mapping, vaddr, is_folded, function,"
			      " line, \"column\", late_name.id FROM late_name"
			      " JOIN location ON location.id = late_name.location"
			      " JOIN line ON line.location = late_name.location"
			      " WHERE late_name.id > ?1 ORDER BY late_name.id, depth",
	[SELECT_STACKS] = "SELECT id, parent, location FROM stack WHERE id > ?1 ORDER BY id",
	[SELECT_LABELS] = "SELECT label_set, key, value FROM label WHERE label_set > ?1"
			  " ORDER BY label_set",
	[SELECT_THREADS] =
		"SELECT id, pid, tid, name, label_set FROM thread WHERE id > ?1 ORDER BY id",
	[SELECT_WAITS] = "SELECT id, reason, waits_on, is_idle FROM wait WHERE id > ?1 ORDER BY id",
	[SELECT_SEGMENTS] = "SELECT id, start_unix_us, end_unix_us, sample_count, total_count,"
			    " period_ns FROM segment WHERE type = ?1 AND tier_s = 0"
			    " AND end_unix_us > ?2 AND start_unix_us < ?3",
	[SELECT_COLUMN] = "SELECT data FROM segment_column WHERE segment = ?1 AND \"column\" = ?2",
	[SELECT_LEDGER] = "SELECT start_unix_us, duration_us, taken, coalesce((SELECT"
			  " sum(samples) FROM ledger_drop WHERE ledger = ledger.id), 0), type"
			  " FROM ledger WHERE start_unix_us > ?1 AND start_unix_us < ?2"
			  " ORDER BY start_unix_us",
	[INSERT_STRING] = "INSERT INTO string (id, text) VALUES (?1, ?2)",
	[INSERT_MAPPING] = "INSERT INTO mapping (id, start_vaddr, limit_vaddr, file_off, filename,"
			   " build_id) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
	[INSERT_FUNCTION] = "INSERT INTO function (id, name, system_name, filename, start_line)"
			    " VALUES (?1, ?2, ?3, ?4, ?5)",
	[INSERT_LOCATION] =
		"INSERT INTO location (id, mapping, vaddr, is_folded) VALUES (?1, ?2, ?3, ?4)",
	[INSERT_LINE] = "INSERT INTO line (location, depth, function, line, \"column\")"
			" VALUES (?1, ?2, ?3, ?4, ?5)",
	[INSERT_LATE_NAME] = "INSERT INTO late_name (location) VALUES (?1)",
	[DELETE_LINES] = "DELETE FROM line WHERE location = ?1",
	[UPDATE_LOCATION] = "UPDATE location SET is_folded = ?2 WHERE id = ?1",
	[INSERT_STACK] = "INSERT INTO stack (id, parent, location) VALUES (?1, ?2, ?3)",
	[INSERT_LABEL] = "INSERT INTO label (label_set, key, value) VALUES (?1, ?2, ?3)",
	[INSERT_THREAD] =
		"INSERT INTO thread (id, pid, tid, name, label_set) VALUES (?1, ?2, ?3, ?4, ?5)",
	[INSERT_WAIT] = "INSERT INTO wait (id, reason, waits_on, is_idle) VALUES (?1, ?2, ?3, ?4)",
	[INSERT_SEGMENT] = "INSERT INTO segment (id, tier_s, type, level, start_unix_us,"
			   " end_unix_us, sample_count, total_count, weight_ns, period_ns)"
			   " VALUES (?1, 0, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
	[INSERT_COLUMN] =
		"INSERT INTO segment_column (segment, \"column\", data) VALUES (?1, ?2, ?3)",
	[DELETE_SEGMENT] = "DELETE FROM segment WHERE id = ?1",
	[DELETE_COLUMNS] = "DELETE FROM segment_column WHERE segment = ?1",
	[INSERT_LEDGER] = "INSERT INTO ledger (type, start_unix_us, duration_us, taken, stored)"
			  " VALUES (?1, ?2, ?3, ?4, ?5)",
	[INSERT_DROP] = "INSERT INTO ledger_drop (ledger, samples, reason) VALUES (?1, ?2, ?3)",
	[BEGIN_READ] = "BEGIN",
	[BEGIN_WRITE] = "BEGIN IMMEDIATE",
	[COMMIT] = "COMMIT",
	[ROLLBACK] = "ROLLBACK",
	[SELECT_IDENTITY] = "SELECT application_id, user_version FROM"
			    " pragma_application_id, pragma_user_version",
	[SELECT_SPAN] = "SELECT start_unix_s, end_unix_s FROM partition WHERE id = 1",
	[SELECT_BUILD_ID] = "SELECT 1 FROM mapping JOIN string ON string.id = mapping.build_id"
			    " WHERE string.text = ?1 LIMIT 1",
	[INSERT_SPAN] = "INSERT INTO partition (id, start_unix_s, end_unix_s) VALUES (1, ?1, ?2)",
	[UPDATE_SPAN_END] = "UPDATE partition SET end_unix_s = ?1 WHERE id = 1",
	[SELECT_RAW_SEGMENTS] = "SELECT id, type, level, start_unix_us, end_unix_us, sample_count,"
				" total_count, period_ns FROM segment WHERE tier_s = 0 ORDER BY id",
	[SELECT_EXTENT] = "SELECT coalesce(sum(sample_count), 0), coalesce(min(start_unix_us), 0),"
			  " coalesce(max(end_unix_us), 0) FROM segment WHERE tier_s = 0",
	[SELECT_LAST_APPEND] = "SELECT coalesce(max(start_unix_us + duration_us), 0) FROM ledger",
	[SELECT_OPEN_RUNS] = "SELECT id, start_unix_us FROM run WHERE end_unix_us IS NULL",
	[INSERT_RUN] = "INSERT INTO run (start_unix_us) VALUES (?1)",
	[UPDATE_RUN] = "UPDATE run SET end_unix_us = ?2, is_clean = ?3 WHERE id = ?1",
};

const char *statement_sql(enum statement which)
{
	assert(which < STATEMENT_COUNT && texts[which]);
	return texts[which];
}
