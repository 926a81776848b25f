/*
 * tracer: exact traces for the server: one at a time, on a thread of its own; the last ones are kept
 * in memory.
 *
 * Any thread may call tracer_ops(), tracer_take() and tracer_rename().
 */
#pragma once
#include "base/auto.h"
#include "base/err.h"
#include "profile/rename.h"
#include "profiler/profiler.h"
#include "web/tracer.h"

struct tracer; /* opaque */

enum { TRACER_KEPT = 4 };

int tracer_new(struct tracer **out, struct err *err);
/* End a trace that runs: before the profiler ends, and when nobody asks for another any more. */
void tracer_stop(struct tracer *tracer);
void tracer_free(struct tracer *tracer); /* after that; NULL is fine */
AUTO_DEFINE(tracer)

/* Once, before anything is asked: whose switches it traces. It outlives the tracer. */
void tracer_attach(struct tracer *tracer, struct profiler *profiler);
/* For struct server_options; borrowed. */
const struct tracer_ops *tracer_ops(const struct tracer *tracer);
/* profiler_options.switches and symbols_options.renamed, for the trace that runs. */
void tracer_take(struct tracer *tracer, const struct named_switches *switches);
void tracer_rename(struct tracer *tracer, const char *build_id,
		   const struct profile_renamer *renamer);
