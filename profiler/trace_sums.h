/*
 * trace_sums: what a tracing counted (profiler/tracing.h), as a report. One thread.
 */
#pragma once
#include "base/err.h"
#include "profile/trace_report.h"
#include "profiler/trace_join.h"
#include "profiler/tracing.h"

struct trace_sums {
	struct trace_report *report; /* is added to */
	struct trace_kept *kept;     /* of every thread that waited; owned by the caller */
	size_t kept_count, kept_cap;
};

/* Of a tracing that was stopped. -ENOMEM, -ENOSPC. */
int trace_sums_read(struct trace_sums *sums, const struct tracing *tracing,
		    int64_t unix_minus_mono_ns, struct err *err);
