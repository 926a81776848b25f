/*
 * trace: one session of exact tracing, beside a profiler that runs: opened, stopped, and made into
 * profiles and a report.
 *
 * trace_take() is called on the profiler's namer thread, trace_rename() on any; all else on one.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/auto.h"
#include "base/err.h"
#include "profile/profile.h"
#include "profile/rename.h"
#include "profile/trace_report.h"
#include "profiler/profiler.h"
#include "profiler/switches.h"
#include "profiler/trace_join.h"
#include "profiler/tracing.h"

struct trace; /* opaque */

struct trace_options {
	pid_t pid; /* 0: any */
	pid_t tid;
	const char *cgroup; /* of the v2 hierarchy, cgroup_directory(); NULL: any */
	uint32_t states;    /* of enum tracing_state; 0: all */
	uint64_t min_ns;
	uint64_t max_ns;       /* 0: none is too long */
	uint64_t slow_ns;      /* run-queue delays that are listed; 0: from 10 ms on */
	bool takes_all_stacks; /* at every switch, not as long as threads wait */
	bool takes_self;       /* Hearth's own threads, too */
	uint32_t session;      /* another for each session of a profiler */
};

struct trace_result {
	struct trace_views views;
	struct trace_report *report;
};

void trace_result_fini(struct trace_result *result);

/* Start. tracing_open()'s errors. The profiler outlives it, and hands its switches to trace_take(). */
int trace_open(struct trace **out, struct profiler *profiler, const struct trace_options *options,
	       struct err *err);
void trace_free(struct trace *trace); /* NULL is fine */
AUTO_DEFINE(trace)

/* profiler_options.switches; those of other sessions are left out. */
void trace_take(struct trace *trace, const struct named_switches *switches);
/* profile_rename() for what is there by now. */
void trace_rename(struct trace *trace, const char *build_id, const struct profile_renamer *renamer);

/* Detach and count. Waits until what came before has been taken, half a minute at the most. */
int trace_stop(struct trace *trace, struct err *err);
/* After that. The caller ends *result with trace_result_fini(). -ENOMEM, -ENOSPC. */
int trace_finish(struct trace *trace, struct trace_result *result, struct err *err);
