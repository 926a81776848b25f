#include "storage/tables.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"

enum {
	MAX_LINES = 4096,  /* functions inlined into one another at one address */
	MAX_LABELS = 4096, /* in one set */
};

void tables_free(struct tables *tables)
{
	if (!tables)
		return;
	profile_free(tables->profile);
	free(tables);
}

void tables_saved(struct tables *tables)
{
	const struct profile *profile = tables->profile;
	tables->saved_strings = profile->strings.count;
	tables->saved_mappings = profile->mapping_count;
	tables->saved_functions = profile->function_count;
	tables->saved_lines = profile->line_count;
	tables->saved_locations = profile->location_count;
	tables->saved_stacks = profile->stack_count;
	tables->saved_label_sets = profile->label_set_count;
	tables->saved_threads = profile->thread_count;
	tables->saved_waits = profile->wait_count;
}

int tables_new(struct tables **out)
{
	AUTO(tables) tables = calloc(1, sizeof(*tables));
	if (!tables)
		return -ENOMEM;
	int rc = profile_new(&tables->profile, PROFILE_CPU);
	if (rc)
		return rc;
	/* Only "", so that the ids of strings are the partition's whatever a new profile has. */
	struct profile *profile = tables->profile;
	size_t max_bytes = profile->strings.max_bytes;
	strtab_fini(&profile->strings);
	rc = strtab_init(&profile->strings, PROFILE_MAX_ENTRIES, max_bytes);
	if (rc)
		return rc;
	profile->unit = 0;
	profile->type_text = 0;
	tables_saved(tables);
	*out = TAKE(tables);
	return 0;
}

/* An unsigned 32-bit column; what does not fit is an id that is nowhere. */
static uint32_t column_u32(sqlite3_stmt *stmt, int column)
{
	int64_t value = sqlite3_column_int64(stmt, column);
	return value < 0 || value > UINT32_MAX ? UINT32_MAX : (uint32_t)value;
}

static uint64_t column_u64(sqlite3_stmt *stmt, int column)
{
	return (uint64_t)sqlite3_column_int64(stmt, column);
}

/* What came back must be the row's own id: dense, in order, nothing twice. By pointer, as the
 * call that writes it is an argument beside it. */
static int expect_id(sqlite3_stmt *stmt, int rc, const uint32_t *id)
{
	if (rc == -EINVAL)
		return -EBADMSG; /* an id in the row that is not there */
	return rc ? rc : (int64_t)*id == sqlite3_column_int64(stmt, 0) ? 0 : -EBADMSG;
}

static int load_string(struct profile *profile, sqlite3_stmt *stmt)
{
	const char *text = (const char *)sqlite3_column_text(stmt, 1);
	uint32_t id;
	if (!text)
		return -ENOMEM;
	return expect_id(stmt, profile_add_string(profile, text, &id), &id);
}

static int load_mapping(struct profile *profile, sqlite3_stmt *stmt)
{
	struct profile_mapping mapping = {
		.start_vaddr = column_u64(stmt, 1),
		.limit_vaddr = column_u64(stmt, 2),
		.file_off = column_u64(stmt, 3),
		.filename = column_u32(stmt, 4),
		.build_id = column_u32(stmt, 5),
	};
	uint32_t id;
	return expect_id(stmt, profile_add_mapping(profile, &mapping, &id), &id);
}

static int load_function(struct profile *profile, sqlite3_stmt *stmt)
{
	struct profile_function function = {
		.name = column_u32(stmt, 1),
		.system_name = column_u32(stmt, 2),
		.filename = column_u32(stmt, 3),
		.start_line = column_u32(stmt, 4),
	};
	uint32_t id;
	return expect_id(stmt, profile_add_function(profile, &function, &id), &id);
}

static int load_stack(struct profile *profile, sqlite3_stmt *stmt)
{
	uint32_t id;
	int rc = profile_add_stack(profile, column_u32(stmt, 1), column_u32(stmt, 2), &id);
	return expect_id(stmt, rc, &id);
}

static int load_thread(struct profile *profile, sqlite3_stmt *stmt)
{
	struct profile_thread thread = {
		.pid = column_u32(stmt, 1),
		.tid = column_u32(stmt, 2),
		.name = column_u32(stmt, 3),
		.label_set = column_u32(stmt, 4),
	};
	uint32_t id;
	return expect_id(stmt, profile_add_thread(profile, &thread, &id), &id);
}

static int load_wait(struct profile *profile, sqlite3_stmt *stmt)
{
	struct profile_wait wait = {
		.reason = column_u32(stmt, 1),
		.waits_on = column_u32(stmt, 2),
		.is_idle = sqlite3_column_int(stmt, 3),
	};
	uint32_t id;
	return expect_id(stmt, profile_add_wait(profile, &wait, &id), &id);
}

static int damaged(struct err *err, int rc, const char *table)
{
	return err_set(err, rc, "the table %s: %s", table,
		       rc == -EBADMSG ? "ids do not fit together" : strerror(-rc));
}

static int load_rows(struct db *db, struct profile *profile, enum statement which, size_t have,
		     int (*load)(struct profile *, sqlite3_stmt *), const char *table,
		     struct err *err)
{
	sqlite3_stmt *stmt;
	int rc = db_start(db, which, DB_ARGS((int64_t)have - 1), &stmt, err);
	if (rc)
		return rc;
	while ((rc = db_step(db, stmt, err)) > 0) {
		rc = load(profile, stmt);
		if (rc) {
			sqlite3_reset(stmt);
			return damaged(err, rc, table);
		}
	}
	return rc;
}

/* A location is as many rows as it has lines; one row with NULLs without. */
struct location_rows {
	int64_t id;
	struct profile_location location;
	struct profile_line lines[MAX_LINES];
	uint32_t line_count;
};

static int add_line_row(struct location_rows *rows, sqlite3_stmt *stmt)
{
	rows->id = sqlite3_column_int64(stmt, 0);
	rows->location = (struct profile_location){.mapping = column_u32(stmt, 1),
						   .vaddr = column_u64(stmt, 2),
						   .is_folded = sqlite3_column_int(stmt, 3)};
	if (sqlite3_column_type(stmt, 4) == SQLITE_NULL)
		return 0;
	if (rows->line_count == MAX_LINES)
		return -EBADMSG;
	rows->lines[rows->line_count++] = (struct profile_line){
		column_u32(stmt, 4), column_u32(stmt, 5), column_u32(stmt, 6)};
	return 0;
}

static int add_location(struct profile *profile, struct location_rows *rows, bool is_late)
{
	uint32_t id;
	if (!rows->id)
		return 0;
	int rc = profile_add_location(profile, &rows->location, rows->lines, rows->line_count, &id);
	if (!rc && is_late)
		rc = profile_set_lines(profile, id, rows->lines, rows->line_count,
				       rows->location.is_folded);
	if (rc == -EINVAL || (!rc && id != rows->id))
		rc = -EBADMSG;
	rows->id = 0;
	rows->line_count = 0;
	return rc;
}

/* Both statements give the same columns: new locations, or old ones with new names. */
static int load_locations(struct db *db, struct tables *tables, enum statement which, int64_t after,
			  struct err *err)
{
	AUTO_MEM struct location_rows *rows = calloc(1, sizeof(*rows));
	if (!rows)
		return err_set(err, -ENOMEM, "load locations: %m");
	sqlite3_stmt *stmt;
	int rc = db_start(db, which, DB_ARGS(after), &stmt, err);
	if (rc)
		return rc;
	bool is_late = which == SELECT_LATE_NAMES;
	while ((rc = db_step(db, stmt, err)) > 0) {
		/* One that was named twice comes twice, each time with the lines of today. */
		bool is_next = rows->id != sqlite3_column_int64(stmt, 0) ||
			       (is_late && tables->last_late_name != sqlite3_column_int64(stmt, 7));
		rc = is_next ? add_location(tables->profile, rows, is_late) : 0;
		if (!rc)
			rc = add_line_row(rows, stmt);
		if (rc) {
			sqlite3_reset(stmt);
			return damaged(err, rc, "location");
		}
		if (is_late)
			tables->last_late_name = sqlite3_column_int64(stmt, 7);
	}
	if (rc)
		return rc;
	rc = add_location(tables->profile, rows, is_late);
	return rc ? damaged(err, rc, "location") : 0;
}

struct label_rows {
	int64_t id;
	struct profile_label labels[MAX_LABELS];
	uint32_t count;
};

static int add_label_set(struct profile *profile, struct label_rows *rows)
{
	uint32_t id;
	if (!rows->id)
		return 0;
	int rc = profile_add_label_set(profile, rows->labels, rows->count, &id);
	if (rc == -EINVAL || (!rc && id != rows->id))
		rc = -EBADMSG;
	rows->count = 0;
	return rc;
}

static int add_label_row(struct profile *profile, struct label_rows *rows, sqlite3_stmt *stmt)
{
	int64_t id = sqlite3_column_int64(stmt, 0);
	int rc = id != rows->id ? add_label_set(profile, rows) : 0;
	rows->id = id;
	if (!rc && rows->count == MAX_LABELS)
		rc = -EBADMSG;
	if (!rc)
		rows->labels[rows->count++] =
			(struct profile_label){column_u32(stmt, 1), column_u32(stmt, 2)};
	return rc;
}

static int load_label_sets(struct db *db, struct profile *profile, struct err *err)
{
	AUTO_MEM struct label_rows *rows = calloc(1, sizeof(*rows));
	if (!rows)
		return err_set(err, -ENOMEM, "load labels: %m");
	sqlite3_stmt *stmt;
	int64_t have = (int64_t)profile->label_set_count;
	int rc = db_start(db, SELECT_LABELS, DB_ARGS(have - 1), &stmt, err);
	if (rc)
		return rc;
	while ((rc = db_step(db, stmt, err)) > 0) {
		rc = add_label_row(profile, rows, stmt);
		if (rc) {
			sqlite3_reset(stmt);
			return damaged(err, rc, "label");
		}
	}
	if (rc)
		return rc;
	rc = add_label_set(profile, rows);
	return rc ? damaged(err, rc, "label") : 0;
}

int tables_load(struct db *db, struct tables *tables, struct err *err)
{
	struct profile *profile = tables->profile;
	int rc = load_rows(db, profile, SELECT_STRINGS, profile->strings.count, load_string,
			   "string", err);
	if (!rc)
		rc = load_rows(db, profile, SELECT_MAPPINGS, profile->mapping_count, load_mapping,
			       "mapping", err);
	if (!rc)
		rc = load_rows(db, profile, SELECT_FUNCTIONS, profile->function_count,
			       load_function, "function", err);
	if (!rc)
		rc = load_locations(db, tables, SELECT_LOCATIONS,
				    (int64_t)profile->location_count - 1, err);
	if (!rc)
		rc = load_locations(db, tables, SELECT_LATE_NAMES, tables->last_late_name, err);
	if (!rc)
		rc = load_rows(db, profile, SELECT_STACKS, profile->stack_count, load_stack,
			       "stack", err);
	if (!rc)
		rc = load_label_sets(db, profile, err);
	if (!rc)
		rc = load_rows(db, profile, SELECT_THREADS, profile->thread_count, load_thread,
			       "thread", err);
	if (!rc)
		rc = load_rows(db, profile, SELECT_WAITS, profile->wait_count, load_wait, "wait",
			       err);
	if (!rc)
		tables_saved(tables);
	return rc;
}

static int save_strings(struct db *db, const struct tables *tables, struct err *err)
{
	const struct strtab *strings = &tables->profile->strings;
	for (size_t i = tables->saved_strings; i < strings->count; i++) {
		sqlite3_stmt *stmt;
		int rc = db_start(db, INSERT_STRING, DB_ARGS((int64_t)i), &stmt, err);
		if (rc)
			return rc;
		sqlite3_bind_text(stmt, 2, strings->texts[i], -1, SQLITE_STATIC);
		rc = db_step(db, stmt, err);
		if (rc)
			return rc;
	}
	return 0;
}

static int save_mappings(struct db *db, const struct tables *tables, struct err *err)
{
	const struct profile *profile = tables->profile;
	for (size_t i = tables->saved_mappings; i < profile->mapping_count; i++) {
		const struct profile_mapping *mapping = &profile->mappings[i];
		int rc = db_run(db, INSERT_MAPPING,
				DB_ARGS((int64_t)i, (int64_t)mapping->start_vaddr,
					(int64_t)mapping->limit_vaddr, (int64_t)mapping->file_off,
					mapping->filename, mapping->build_id),
				err);
		if (rc)
			return rc;
	}
	return 0;
}

static int save_functions(struct db *db, const struct tables *tables, struct err *err)
{
	const struct profile *profile = tables->profile;
	for (size_t i = tables->saved_functions; i < profile->function_count; i++) {
		const struct profile_function *function = &profile->functions[i];
		int rc = db_run(db, INSERT_FUNCTION,
				DB_ARGS((int64_t)i, function->name, function->system_name,
					function->filename, function->start_line),
				err);
		if (rc)
			return rc;
	}
	return 0;
}

static int save_lines(struct db *db, const struct profile *profile, size_t id, struct err *err)
{
	const struct profile_location *location = &profile->locations[id];
	for (uint32_t i = 0; i < location->line_count && i < MAX_LINES; i++) {
		const struct profile_line *line = &profile->lines[location->first_line + i];
		int rc = db_run(db, INSERT_LINE,
				DB_ARGS((int64_t)id, i, line->function, line->line, line->column),
				err);
		if (rc)
			return rc;
	}
	return 0;
}

/* The name of a location that was saved without one, or with a poorer one. */
static int save_late_name(struct db *db, const struct profile *profile, size_t id, struct err *err)
{
	int rc = db_run(db, DELETE_LINES, DB_ARGS((int64_t)id), err);
	if (!rc)
		rc = save_lines(db, profile, id, err);
	if (!rc)
		rc = db_run(db, UPDATE_LOCATION,
			    DB_ARGS((int64_t)id, profile->locations[id].is_folded), err);
	return rc ? rc : db_run(db, INSERT_LATE_NAME, DB_ARGS((int64_t)id), err);
}

/* Locations that got their lines after they were saved. */
static int save_late_names(struct db *db, const struct tables *tables, struct err *err)
{
	const struct profile *profile = tables->profile;
	for (size_t i = 1; i < tables->saved_locations; i++) {
		const struct profile_location *location = &profile->locations[i];
		if (!location->line_count || location->first_line < tables->saved_lines)
			continue;
		int rc = save_late_name(db, profile, i, err);
		if (rc)
			return rc;
	}
	return 0;
}

static int save_locations(struct db *db, const struct tables *tables, struct err *err)
{
	const struct profile *profile = tables->profile;
	size_t new_lines = 0;
	for (size_t i = tables->saved_locations; i < profile->location_count; i++) {
		const struct profile_location *location = &profile->locations[i];
		int rc = db_run(db, INSERT_LOCATION,
				DB_ARGS((int64_t)i, location->mapping, (int64_t)location->vaddr,
					location->is_folded),
				err);
		if (!rc)
			rc = save_lines(db, profile, i, err);
		if (rc)
			return rc;
		new_lines += location->line_count;
	}
	/* More new lines than the new locations have: the rest belongs to old ones. */
	bool is_late = profile->line_count - tables->saved_lines > new_lines;
	return is_late ? save_late_names(db, tables, err) : 0;
}

static int save_stacks(struct db *db, const struct tables *tables, struct err *err)
{
	const struct profile *profile = tables->profile;
	for (size_t i = tables->saved_stacks; i < profile->stack_count; i++) {
		const struct profile_stack *stack = &profile->stacks[i];
		int rc = db_run(db, INSERT_STACK,
				DB_ARGS((int64_t)i, stack->parent, stack->location), err);
		if (rc)
			return rc;
	}
	return 0;
}

static int save_label_sets(struct db *db, const struct tables *tables, struct err *err)
{
	const struct profile *profile = tables->profile;
	for (size_t i = tables->saved_label_sets; i < profile->label_set_count; i++) {
		const struct profile_label_set *set = &profile->label_sets[i];
		for (uint32_t j = 0; j < set->count; j++) {
			const struct profile_label *label = &profile->labels[set->first + j];
			int rc = db_run(db, INSERT_LABEL,
					DB_ARGS((int64_t)i, label->key, label->value), err);
			if (rc)
				return rc;
		}
	}
	return 0;
}

static int save_threads(struct db *db, const struct tables *tables, struct err *err)
{
	const struct profile *profile = tables->profile;
	for (size_t i = tables->saved_threads; i < profile->thread_count; i++) {
		const struct profile_thread *thread = &profile->threads[i];
		int rc = db_run(db, INSERT_THREAD,
				DB_ARGS((int64_t)i, thread->pid, thread->tid, thread->name,
					thread->label_set),
				err);
		if (rc)
			return rc;
	}
	return 0;
}

static int save_waits(struct db *db, const struct tables *tables, struct err *err)
{
	const struct profile *profile = tables->profile;
	for (size_t i = tables->saved_waits; i < profile->wait_count; i++) {
		const struct profile_wait *wait = &profile->waits[i];
		int rc = db_run(db, INSERT_WAIT,
				DB_ARGS((int64_t)i, wait->reason, wait->waits_on, wait->is_idle),
				err);
		if (rc)
			return rc;
	}
	return 0;
}

int tables_save(struct db *db, const struct tables *tables, struct err *err)
{
	static int (*const saves[])(struct db *, const struct tables *, struct err *) = {
		save_strings, save_mappings,   save_functions, save_locations,
		save_stacks,  save_label_sets, save_threads,   save_waits,
	};
	for (size_t i = 0; i < ARRAY_LEN(saves); i++) {
		int rc = saves[i](db, tables, err);
		if (rc)
			return rc;
	}
	return 0;
}
