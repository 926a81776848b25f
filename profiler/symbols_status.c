/* What symbols says about itself. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "profiler/symbols_state.h"

static int compare_unnamed(const void *a, const void *b)
{
	const struct symbols_unnamed *left = a, *right = b;
	if (left->samples != right->samples)
		return left->samples > right->samples ? -1 : 1;
	return strcmp(left->file, right->file);
}

/* Keeps the rows with the most samples, sorted. */
static void add_row(struct symbols_status *status, const struct symbols_unnamed *row)
{
	struct symbols_unnamed *last = &status->unnamed[SYMBOLS_MAX_UNNAMED - 1];
	if (status->unnamed_count < SYMBOLS_MAX_UNNAMED)
		status->unnamed[status->unnamed_count++] = *row;
	else if (compare_unnamed(row, last) < 0)
		*last = *row;
	else
		return;
	qsort(status->unnamed, status->unnamed_count, sizeof(*row), compare_unnamed);
}

static void describe(struct symbols_unnamed *row, const struct symbols_entry *entry)
{
	*row = (struct symbols_unnamed){.samples = entry->unnamed_samples};
	snprintf(row->file, sizeof(row->file), "%s", executable_name(entry->exe));
	snprintf(row->build_id, sizeof(row->build_id), "%s", executable_build_id(entry->exe));
	const char *reason = "its symbol table does not name all of its code";
	if (entry->stage != SYMBOLS_DONE)
		reason = "its names are being compiled";
	else if (entry->is_pending)
		reason = "a debuginfod server was asked for its debug file";
	else if (entry->reason[0])
		reason = entry->reason;
	snprintf(row->reason, sizeof(row->reason), "%s", reason);
	snprintf(row->remedy, sizeof(row->remedy), "%s", entry->problem);
}

/* Under the lock. */
static void list_unnamed(const struct symbols *symbols, struct symbols_status *status)
{
	struct symbols_unnamed row;
	for (size_t i = 0; i < symbols->entry_count; i++) {
		if (!symbols->entries[i]->unnamed_samples)
			continue;
		describe(&row, symbols->entries[i]);
		add_row(status, &row);
	}
	for (size_t i = 0; i < symbols->other_count; i++)
		add_row(status, &symbols->others[i]);
}

static void describe_transfer(struct debuginfod *remote, struct symbols_status *status)
{
	struct debuginfod_status transfer;
	debuginfod_status(remote, &transfer);
	if (transfer.running[0])
		snprintf(status->running, sizeof(status->running),
			 "debug file %s, %llu bytes so far", transfer.running,
			 (unsigned long long)transfer.got_bytes);
}

void symbols_read_status(struct symbols *symbols, struct symbols_status *status)
{
	pthread_mutex_lock(&symbols->lock);
	*status = (struct symbols_status){
		.executables = symbols->entry_count,
		.compiled = symbols->compiled,
		.from_cache = symbols->from_cache,
		.failed = symbols->failed,
		.unnamed_samples = symbols->lost_unnamed_samples,
	};
	for (size_t i = 0; i < symbols->entry_count; i++) {
		const struct symbols_entry *entry = symbols->entries[i];
		status->with_lines += entry->has_lines;
		status->waiting += entry->stage == SYMBOLS_WAITING;
		status->unnamed_samples += entry->unnamed_samples;
	}
	for (size_t i = 0; i < symbols->other_count; i++)
		status->unnamed_samples += symbols->others[i].samples;
	if (symbols->running)
		snprintf(status->running, sizeof(status->running), "%s",
			 executable_name(symbols->running->exe));
	else if (symbols->remote)
		describe_transfer(symbols->remote, status);
	list_unnamed(symbols, status);
	pthread_mutex_unlock(&symbols->lock);
}
