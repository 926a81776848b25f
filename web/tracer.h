/*
 * tracer: what the server asks of whoever traces exactly for it. docs/API.md, "Exact tracing".
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "profile/profile.h"
#include "profile/trace_report.h"

/* What is asked for; 0 and NULL: not given. */
struct tracer_request {
	uint64_t seconds;
	uint64_t pid, tid;
	const char *cgroup; /* path below its hierarchy, or of its directory */
	uint64_t min_us, max_us;
	bool is_sleeping, is_uninterruptible, is_runnable; /* none of them: any state */
	bool takes_all_stacks;
};

enum tracer_state { TRACER_RUNNING, TRACER_DONE, TRACER_FAILED };
enum tracer_view { TRACER_WAITS, TRACER_WAKERS, TRACER_OFFWAKE, TRACER_VIEWS };

struct tracer_status {
	uint64_t id;
	enum tracer_state state;
	uint64_t seconds;
	double seconds_left;
	int64_t start_unix_ns;
	const char *error; /* of one that failed */
	/* Of one that is done; else NULL. */
	const struct trace_report *report;
	const struct profile *views[TRACER_VIEWS];
};

/* Any thread may call these. */
struct tracer_ops {
	/* -EBUSY: one is running; -EINVAL, -EPERM, -EOPNOTSUPP, ... with a sentence. */
	int (*start)(void *ctx, const struct tracer_request *request, uint64_t *id,
		     struct err *err);
	/* Calls visit for the trace of that number, or with id 0 for all there are, oldest first.
	 * What it is given is there during the call. -ENOENT: there is none such. */
	int (*look)(void *ctx, uint64_t id,
		    int (*visit)(void *visit_ctx, const struct tracer_status *status,
				 struct err *err),
		    void *visit_ctx, struct err *err);
	/* Ends it soon; what it found is kept. -ENOENT. */
	int (*stop)(void *ctx, uint64_t id, struct err *err);
	void *ctx;
};
