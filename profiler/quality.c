#include "profiler/quality.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "bpf/abi.h"

_Static_assert((int)WALK_IMPLAUSIBLE == STACK_ENDS - 1, "one list of ends");
_Static_assert(WALK_NONE == 0 && WALK_COMPLETE == 1, "as profile/stack_quality.c has it");

static const uint64_t RECENT_NS = 10 * NS_PER_S;

struct use {
	uint64_t last_mono_ns;
	uint64_t samples;
};

/* Looked through from the begin: a few hundred keys in a row take less than naming a stack. */
struct table {
	struct stack_quality_table shown; /* in no order */
	uint64_t keys[STACK_QUALITY_ROWS];
	struct use uses[STACK_QUALITY_ROWS];
};

struct quality {
	pthread_mutex_t lock; /* guards all below */
	uint64_t ends[STACK_ENDS];
	struct table processes, libraries;
};

int quality_new(struct quality **out, struct err *err)
{
	struct quality *quality = calloc(1, sizeof(*quality));
	if (!quality)
		return err_set(err, -ENOMEM, "counters of stacks: %m");
	pthread_mutex_init(&quality->lock, NULL);
	*out = quality;
	return 0;
}

void quality_free(struct quality *quality)
{
	if (!quality)
		return;
	pthread_mutex_destroy(&quality->lock);
	free(quality);
}

static bool is_recent(const struct use *use, uint64_t now_mono_ns)
{
	return now_mono_ns < use->last_mono_ns + RECENT_NS;
}

static bool matters_less(const struct use *a, const struct use *b, uint64_t now_mono_ns)
{
	bool a_recent = is_recent(a, now_mono_ns), b_recent = is_recent(b, now_mono_ns);
	return a_recent != b_recent ? b_recent : a->samples < b->samples;
}

/* The position of a row that is free now. */
static size_t free_row(struct table *table, uint64_t now_mono_ns)
{
	struct stack_quality_table *shown = &table->shown;
	if (shown->row_count < STACK_QUALITY_ROWS)
		return shown->row_count++;
	size_t least = 0;
	for (size_t i = 1; i < STACK_QUALITY_ROWS; i++)
		if (matters_less(&table->uses[i], &table->uses[least], now_mono_ns))
			least = i;
	for (unsigned int end = 0; end < STACK_ENDS; end++)
		shown->other.ends[end] += shown->rows[least].ends[end];
	return least;
}

static void set_name(struct stack_quality_row *row, const char *name)
{
	size_t len = strlen(name);
	if (len < sizeof(row->name))
		snprintf(row->name, sizeof(row->name), "%s", name);
	else
		snprintf(row->name, sizeof(row->name), "…%s",
			 name + len - (sizeof(row->name) - sizeof("…")));
}

static size_t row_of(struct table *table, uint64_t key, const char *name, uint32_t pid,
		     uint64_t now_mono_ns)
{
	for (size_t i = 0; i < table->shown.row_count; i++)
		if (table->keys[i] == key)
			return i;
	size_t position = free_row(table, now_mono_ns);
	struct stack_quality_row *row = &table->shown.rows[position];
	*row = (struct stack_quality_row){.pid = pid};
	set_name(row, name);
	table->keys[position] = key;
	table->uses[position] = (struct use){0};
	return position;
}

static void add(struct table *table, size_t position, uint32_t end,
		const struct quality_samples *samples)
{
	table->shown.rows[position].ends[end] += samples->count;
	table->uses[position].samples += samples->count;
	table->uses[position].last_mono_ns = samples->now_mono_ns;
}

void quality_add(struct quality *quality, const struct quality_samples *samples)
{
	const char *comm = samples->comm, *library = samples->library;
	uint64_t comm_key = hash_mix(hash_bytes(comm, strlen(comm)), samples->pid);
	uint64_t library_key = hash_bytes(library, strlen(library));
	uint32_t end = samples->end < STACK_ENDS ? samples->end : (uint32_t)WALK_IMPLAUSIBLE;
	uint64_t now_mono_ns = samples->now_mono_ns;

	pthread_mutex_lock(&quality->lock);
	quality->ends[end] += samples->count;
	struct table *processes = &quality->processes, *libraries = &quality->libraries;
	size_t process = row_of(processes, comm_key, comm, samples->pid, now_mono_ns);
	add(processes, process, end, samples);
	add(libraries, row_of(libraries, library_key, library, 0, now_mono_ns), end, samples);
	pthread_mutex_unlock(&quality->lock);
}

void quality_totals(struct quality *quality, uint64_t ends[static STACK_ENDS])
{
	pthread_mutex_lock(&quality->lock);
	memcpy(ends, quality->ends, sizeof(quality->ends));
	pthread_mutex_unlock(&quality->lock);
}

static int compare_rows(const void *left, const void *right)
{
	const struct stack_quality_row *a = left, *b = right;
	uint64_t a_samples = stack_quality_samples(a->ends);
	uint64_t b_samples = stack_quality_samples(b->ends);
	if (a_samples != b_samples)
		return a_samples < b_samples ? 1 : -1;
	return a->pid != b->pid ? (a->pid > b->pid) - (a->pid < b->pid) : strcmp(a->name, b->name);
}

void quality_read(struct quality *quality, struct stack_quality *out)
{
	pthread_mutex_lock(&quality->lock);
	memcpy(out->ends, quality->ends, sizeof(out->ends));
	out->processes = quality->processes.shown;
	out->libraries = quality->libraries.shown;
	pthread_mutex_unlock(&quality->lock);
	qsort(out->processes.rows, out->processes.row_count, sizeof(out->processes.rows[0]),
	      compare_rows);
	qsort(out->libraries.rows, out->libraries.row_count, sizeof(out->libraries.rows[0]),
	      compare_rows);
}
