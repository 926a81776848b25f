#include "profiler/trace.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/array.h"
#include "base/clock.h"
#include "profiler/cgroups.h"
#include "profiler/trace_sums.h"

/* Kept one by one until the end; the time of those beyond is given to the others. */
enum { MAX_WAITS = 1 << 20 };

static const uint64_t PERIOD_NS = 1 * UINT64_C(1000000);
static const uint64_t SLOW_NS = 10 * UINT64_C(1000000);

/* A switch whose stack came late is looked at once more by the next round of the collector. */
static const uint64_t LATE_NS = 200 * UINT64_C(1000000);

/* Names of files that nobody looked at before take their time. */
static const int64_t PATIENCE_NS = 30 * NS_PER_S;

struct trace {
	struct profiler *profiler;
	struct tracing *tracing;
	uint32_t session;
	bool is_stopped;
	int64_t start_unix_ns;
	int64_t start_mono_ns, end_mono_ns;
	struct cgroup_quotas quotas; /* as they were at the start */
	struct trace_sums sums;

	pthread_mutex_t lock; /* guards all below */
	struct profile *tables;
	struct named_switch *switches; /* ids of tables */
	size_t switch_count, switch_cap;
	int failure; /* after which tables are not fit to be used */
};

void trace_result_fini(struct trace_result *result)
{
	trace_views_fini(&result->views);
	trace_report_free(result->report);
	result->report = NULL;
}

static int open_tracing(struct trace *trace, const struct trace_options *options, struct err *err)
{
	char cgroup[PATH_MAX];
	int rc = options->cgroup ? cgroup_directory(cgroup, options->cgroup, err) : 0;
	if (rc)
		return rc;
	struct tracing_options tracing = {
		.sampler = profiler_sampler(trace->profiler),
		.pid = options->pid,
		.tid = options->tid,
		.not_pid = options->takes_self ? 0 : getpid(),
		.cgroup = options->cgroup ? cgroup : NULL,
		.states = options->states ? options->states : TRACING_ANY_STATE,
		.session = options->session,
		.min_ns = options->min_ns,
		.max_ns = options->max_ns ? options->max_ns : UINT64_MAX,
		.delay_ns = options->slow_ns ? options->slow_ns : SLOW_NS,
		.period_ns = options->takes_all_stacks ? 0 : PERIOD_NS,
	};
	trace->sums.report->slow_limit_ns = tracing.delay_ns;
	return tracing_open(&trace->tracing, &tracing, err);
}

int trace_open(struct trace **out, struct profiler *profiler, const struct trace_options *options,
	       struct err *err)
{
	AUTO(trace) trace = calloc(1, sizeof(*trace));
	if (!trace)
		return err_set(err, -ENOMEM, "tracing: %m");
	pthread_mutex_init(&trace->lock, NULL);
	trace->profiler = profiler;
	trace->session = options->session;
	trace->sums.report = trace_report_new();
	int rc = profile_new(&trace->tables, PROFILE_OFFCPU);
	if (rc || !trace->sums.report)
		return err_set(err, -ENOMEM, "tracing: %m");
	cgroup_quotas_read(&trace->quotas);
	rc = open_tracing(trace, options, err);
	if (rc)
		return rc;
	trace->start_unix_ns = clock_unix_ns();
	trace->start_mono_ns = clock_mono_ns();
	*out = TAKE(trace);
	return 0;
}

void trace_free(struct trace *trace)
{
	if (!trace)
		return;
	tracing_free(trace->tracing);
	cgroup_quotas_fini(&trace->quotas);
	trace_report_free(trace->sums.report);
	free(trace->sums.kept);
	profile_free(trace->tables);
	free(trace->switches);
	pthread_mutex_destroy(&trace->lock);
	free(trace);
}

/* ids: where those of its tables are in ours. */
static void keep_switch(struct trace *trace, struct named_switch traced,
			const struct profile_ids *ids)
{
	if (ARRAY_RESERVE(trace->switches, trace->switch_cap, trace->switch_count, MAX_WAITS))
		return;
	traced.thread = ids->threads[traced.thread];
	traced.stack = ids->stacks[traced.stack];
	traced.wait = ids->waits[traced.wait];
	traced.waker_thread = ids->threads[traced.waker_thread];
	traced.waker_stack = ids->stacks[traced.waker_stack];
	trace->switches[trace->switch_count++] = traced;
}

void trace_take(struct trace *trace, const struct named_switches *switches)
{
	if (!switches->count)
		return;
	AUTO_FINI(profile_ids_fini) struct profile_ids ids = {0};
	pthread_mutex_lock(&trace->lock);
	if (!trace->failure)
		trace->failure = profile_merge_tables(trace->tables, switches->tables, &ids);
	for (size_t i = 0; i < switches->count && !trace->failure; i++)
		if (switches->switches[i].session == trace->session)
			keep_switch(trace, switches->switches[i], &ids);
	pthread_mutex_unlock(&trace->lock);
}

void trace_rename(struct trace *trace, const char *build_id, const struct profile_renamer *renamer)
{
	size_t renamed = 0;
	pthread_mutex_lock(&trace->lock);
	if (!trace->failure)
		trace->failure = profile_rename(trace->tables, build_id, renamer, &renamed);
	pthread_mutex_unlock(&trace->lock);
}

static int compare_quotas(struct trace *trace)
{
	AUTO_FINI(cgroup_quotas_fini) struct cgroup_quotas now = {0};
	cgroup_quotas_read(&now);
	return cgroup_quotas_compare(&trace->quotas, &now, trace->sums.report);
}

int trace_stop(struct trace *trace, struct err *err)
{
	if (trace->is_stopped)
		return 0;
	tracing_stop(trace->tracing);
	trace->is_stopped = true;
	trace->end_mono_ns = clock_mono_ns();
	int64_t unix_minus_mono_ns = trace->start_unix_ns - trace->start_mono_ns;
	int rc = trace_sums_read(&trace->sums, trace->tracing, unix_minus_mono_ns, err);
	if (!rc && (rc = compare_quotas(trace)) != 0)
		err_set(err, rc, "CPU quotas: %m");
	if (!rc)
		profiler_wait_delivered(trace->profiler, (uint64_t)trace->end_mono_ns + LATE_NS,
					PATIENCE_NS);
	return rc;
}

static void set_times(const struct trace *trace, struct trace_result *result)
{
	struct profile *const profiles[] = {result->views.waits, result->views.wakers,
					    result->views.offwake};
	struct trace_report *report = result->report;
	report->start_unix_ns = trace->start_unix_ns;
	report->duration_ns = trace->end_mono_ns - trace->start_mono_ns;
	for (size_t i = 0; i < ARRAY_LEN(profiles); i++) {
		profiles[i]->start_unix_ns = report->start_unix_ns;
		profiles[i]->duration_ns = report->duration_ns;
	}
}

int trace_finish(struct trace *trace, struct trace_result *result, struct err *err)
{
	*result = (struct trace_result){0};
	pthread_mutex_lock(&trace->lock);
	struct trace_waits waits = {
		.tables = trace->tables,
		.switches = trace->switches,
		.count = trace->switch_count,
		.kept = trace->sums.kept,
		.kept_count = trace->sums.kept_count,
	};
	int rc = trace->failure ? err_set(err, trace->failure, "keep traced waits: %m")
				: trace_join(&result->views, &waits, err);
	struct trace_ledger *ledger = &trace->sums.report->ledger;
	ledger->lost_later = ledger->sent > waits.count ? ledger->sent - waits.count : 0;
	pthread_mutex_unlock(&trace->lock);
	if (rc) {
		trace_result_fini(result);
		return rc;
	}
	result->report = TAKE(trace->sums.report);
	trace_report_sort(result->report);
	set_times(trace, result);
	return 0;
}
