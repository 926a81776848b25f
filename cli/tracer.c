#include "cli/tracer.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/clock.h"
#include "base/log.h"
#include "profiler/trace.h"

struct run {
	uint64_t id; /* 0: none */
	enum tracer_state state;
	uint64_t seconds;
	int64_t start_unix_ns, end_mono_ns;
	struct err err;             /* of one that failed */
	struct trace_result result; /* of one that is done */
};

struct tracer {
	struct profiler *profiler;
	struct tracer_ops ops;
	pthread_t thread;
	bool has_thread; /* it is to be joined; guarded by start_lock */

	pthread_mutex_t start_lock; /* one start at a time: loading programs takes a while */
	pthread_mutex_t live_lock;  /* guards live; taken inside no other */
	struct trace *live;

	pthread_mutex_t lock; /* guards all below */
	pthread_cond_t wake;
	bool is_stopped; /* the one that runs is to end */
	struct run runs[TRACER_KEPT];
	uint64_t last_id;
};

static void set_live(struct tracer *tracer, struct trace *trace)
{
	pthread_mutex_lock(&tracer->live_lock);
	tracer->live = trace;
	pthread_mutex_unlock(&tracer->live_lock);
}

void tracer_take(struct tracer *tracer, const struct named_switches *switches)
{
	pthread_mutex_lock(&tracer->live_lock);
	if (tracer->live)
		trace_take(tracer->live, switches);
	pthread_mutex_unlock(&tracer->live_lock);
}

void tracer_rename(struct tracer *tracer, const char *build_id,
		   const struct profile_renamer *renamer)
{
	pthread_mutex_lock(&tracer->live_lock);
	if (tracer->live)
		trace_rename(tracer->live, build_id, renamer);
	pthread_mutex_unlock(&tracer->live_lock);
}

/* Ids count up: the place of a run is that of the one TRACER_KEPT before. */
static struct run *run_of(struct tracer *tracer, uint64_t id)
{
	struct run *run = &tracer->runs[id % TRACER_KEPT];
	return id && run->id == id ? run : NULL;
}

static void wait_for_end(struct tracer *tracer, int64_t end_mono_ns)
{
	struct timespec end = {.tv_sec = end_mono_ns / NS_PER_S, .tv_nsec = end_mono_ns % NS_PER_S};
	int rc = 0;
	pthread_mutex_lock(&tracer->lock);
	while (!tracer->is_stopped && !rc)
		rc = pthread_cond_timedwait(&tracer->wake, &tracer->lock, &end);
	pthread_mutex_unlock(&tracer->lock);
}

static void *run_trace(void *ctx)
{
	struct tracer *tracer = ctx;
	struct err err = {0};
	struct trace_result result = {0};
	pthread_setname_np(pthread_self(), "hearth-trace");
	pthread_mutex_lock(&tracer->lock);
	struct run *run = run_of(tracer, tracer->last_id);
	pthread_mutex_unlock(&tracer->lock);
	struct trace *trace = tracer->live; /* nobody else writes it while this thread runs */
	wait_for_end(tracer, run->end_mono_ns);
	int rc = trace_stop(trace, &err);
	if (!rc)
		rc = trace_finish(trace, &result, &err);
	set_live(tracer, NULL);
	trace_free(trace);
	if (rc)
		log_line(LOG_WARN, "exact tracing: %s", err.text);
	pthread_mutex_lock(&tracer->lock);
	run->state = rc ? TRACER_FAILED : TRACER_DONE;
	run->err = err;
	run->result = result;
	pthread_mutex_unlock(&tracer->lock);
	return NULL;
}

static bool is_running(struct tracer *tracer)
{
	pthread_mutex_lock(&tracer->lock);
	const struct run *run = run_of(tracer, tracer->last_id);
	bool is = run && run->state == TRACER_RUNNING;
	pthread_mutex_unlock(&tracer->lock);
	return is;
}

static void join_thread(struct tracer *tracer)
{
	if (tracer->has_thread)
		pthread_join(tracer->thread, NULL);
	tracer->has_thread = false;
}

static uint64_t add_run(struct tracer *tracer, const struct tracer_request *request)
{
	pthread_mutex_lock(&tracer->lock);
	uint64_t id = ++tracer->last_id;
	struct run *run = &tracer->runs[id % TRACER_KEPT];
	trace_result_fini(&run->result);
	*run = (struct run){
		.id = id,
		.state = TRACER_RUNNING,
		.seconds = request->seconds,
		.start_unix_ns = clock_unix_ns(),
		.end_mono_ns = clock_mono_ns() + (int64_t)request->seconds * NS_PER_S,
	};
	tracer->is_stopped = false;
	pthread_mutex_unlock(&tracer->lock);
	return id;
}

static int open_trace(struct tracer *tracer, const struct tracer_request *request,
		      struct trace **trace, struct err *err)
{
	struct trace_options options = {
		.pid = (pid_t)request->pid,
		.tid = (pid_t)request->tid,
		.cgroup = request->cgroup,
		.states = (request->is_sleeping ? TRACING_SLEEPING : 0) |
			  (request->is_uninterruptible ? TRACING_UNINTERRUPTIBLE : 0) |
			  (request->is_runnable ? TRACING_RUNNABLE : 0),
		.min_ns = request->min_us * NS_PER_US,
		.max_ns = request->max_us * NS_PER_US,
		.takes_all_stacks = request->takes_all_stacks,
		.session = (uint32_t)tracer->last_id + 1,
	};
	return trace_open(trace, tracer->profiler, &options, err);
}

/* With start_lock. */
static int start_locked(struct tracer *tracer, const struct tracer_request *request, uint64_t *id,
			struct err *err)
{
	struct trace *trace = NULL;
	if (is_running(tracer))
		return err_set(err, -EBUSY, "trace %llu is running, and there is one at a time",
			       (unsigned long long)tracer->last_id);
	join_thread(tracer);
	int rc = open_trace(tracer, request, &trace, err);
	if (rc)
		return rc;
	*id = add_run(tracer, request);
	set_live(tracer, trace);
	rc = -pthread_create(&tracer->thread, NULL, run_trace, tracer);
	if (!rc) {
		tracer->has_thread = true;
		return 0;
	}
	set_live(tracer, NULL);
	trace_free(trace);
	rc = err_set(err, rc, "start a thread: %m");
	pthread_mutex_lock(&tracer->lock);
	struct run *run = run_of(tracer, *id);
	run->state = TRACER_FAILED;
	run->err = *err;
	pthread_mutex_unlock(&tracer->lock);
	return rc;
}

static int start(void *ctx, const struct tracer_request *request, uint64_t *id, struct err *err)
{
	struct tracer *tracer = ctx;
	pthread_mutex_lock(&tracer->start_lock);
	int rc = start_locked(tracer, request, id, err);
	pthread_mutex_unlock(&tracer->start_lock);
	return rc;
}

static struct tracer_status status_of(const struct run *run)
{
	struct tracer_status status = {
		.id = run->id,
		.state = run->state,
		.seconds = run->seconds,
		.start_unix_ns = run->start_unix_ns,
		.error = run->err.text,
		.report = run->result.report,
		.views = {run->result.views.waits, run->result.views.wakers,
			  run->result.views.offwake},
	};
	int64_t left_ns = run->end_mono_ns - clock_mono_ns();
	if (run->state == TRACER_RUNNING && left_ns > 0)
		status.seconds_left = (double)left_ns / (double)NS_PER_S;
	return status;
}

typedef int (*visit_fn)(void *visit_ctx, const struct tracer_status *status, struct err *err);

static int no_such(uint64_t id, struct err *err)
{
	return err_set(err, -ENOENT, "there is no trace %llu; the last %d are kept",
		       (unsigned long long)id, TRACER_KEPT);
}

/* With lock. */
static int visit_runs(struct tracer *tracer, uint64_t id, visit_fn visit, void *visit_ctx,
		      struct err *err)
{
	if (id && !run_of(tracer, id))
		return no_such(id, err);
	uint64_t first = id                              ? id
			 : tracer->last_id > TRACER_KEPT ? tracer->last_id - TRACER_KEPT + 1
							 : 1;
	uint64_t last = id ? id : tracer->last_id;
	int rc = 0;
	for (uint64_t at = first; at <= last && !rc; at++) {
		const struct run *run = run_of(tracer, at);
		if (!run)
			continue;
		struct tracer_status status = status_of(run);
		rc = visit(visit_ctx, &status, err);
	}
	return rc;
}

static int look(void *ctx, uint64_t id, visit_fn visit, void *visit_ctx, struct err *err)
{
	struct tracer *tracer = ctx;
	pthread_mutex_lock(&tracer->lock);
	int rc = visit_runs(tracer, id, visit, visit_ctx, err);
	pthread_mutex_unlock(&tracer->lock);
	return rc;
}

static int stop(void *ctx, uint64_t id, struct err *err)
{
	struct tracer *tracer = ctx;
	pthread_mutex_lock(&tracer->lock);
	const struct run *run = run_of(tracer, id);
	if (run && run->state == TRACER_RUNNING) {
		tracer->is_stopped = true;
		pthread_cond_signal(&tracer->wake);
	}
	pthread_mutex_unlock(&tracer->lock);
	return run ? 0 : no_such(id, err);
}

int tracer_new(struct tracer **out, struct err *err)
{
	struct tracer *tracer = calloc(1, sizeof(*tracer));
	if (!tracer)
		return err_set(err, -ENOMEM, "tracer: %m");
	pthread_condattr_t attr;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&tracer->wake, &attr);
	pthread_condattr_destroy(&attr);
	pthread_mutex_init(&tracer->start_lock, NULL);
	pthread_mutex_init(&tracer->live_lock, NULL);
	pthread_mutex_init(&tracer->lock, NULL);
	tracer->ops = (struct tracer_ops){start, look, stop, tracer};
	*out = tracer;
	return 0;
}

void tracer_stop(struct tracer *tracer)
{
	pthread_mutex_lock(&tracer->lock);
	tracer->is_stopped = true;
	pthread_cond_signal(&tracer->wake);
	pthread_mutex_unlock(&tracer->lock);
	pthread_mutex_lock(&tracer->start_lock);
	join_thread(tracer);
	pthread_mutex_unlock(&tracer->start_lock);
}

void tracer_free(struct tracer *tracer)
{
	if (!tracer)
		return;
	tracer_stop(tracer);
	for (size_t i = 0; i < ARRAY_LEN(tracer->runs); i++)
		trace_result_fini(&tracer->runs[i].result);
	pthread_cond_destroy(&tracer->wake);
	pthread_mutex_destroy(&tracer->lock);
	pthread_mutex_destroy(&tracer->live_lock);
	pthread_mutex_destroy(&tracer->start_lock);
	free(tracer);
}

void tracer_attach(struct tracer *tracer, struct profiler *profiler)
{
	tracer->profiler = profiler;
}

const struct tracer_ops *tracer_ops(const struct tracer *tracer)
{
	return &tracer->ops;
}
