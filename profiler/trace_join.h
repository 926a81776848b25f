/*
 * trace_join: traced waits as profiles: where threads waited, who woke them, and both in one stack.
 *
 * Weights are ns of waiting. What a thread waited altogether is known exactly; where only some of
 * its waits have stacks, or some were lost, theirs are scaled so that the sums are right.
 *
 * Stacks of `offwake`, from the root on: the waiter's frames down to where it waited, what for
 * ("[lock]"), "[woken by]", the waker's frames from its leaf back to its root, and "[its comm]".
 * Where the waker itself had been waiting meanwhile, the longest such wait follows: "[which waited
 * in]", its frames, its reason, "[woken by]" and so on, up to TRACE_MAX_HOPS wakers. Brendan Gregg's chain graphs:
 * https://www.brendangregg.com/FlameGraphs/offcpuflamegraphs.html
 *
 * What follows the waking is a sample of its own, of the reason run_queue. Leaves of `wakers` say whom
 * they woke: "[wakes comm]". Pure; one thread.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "profile/profile.h"
#include "profiler/switches.h"

enum { TRACE_MAX_HOPS = 8 };

/* What all kept waits of a thread come to. */
struct trace_kept {
	uint32_t pid;
	uint32_t tid;
	char comm[16];
	uint64_t kept_ns;
	uint64_t kept_waits;
};

struct trace_waits {
	const struct profile *tables;
	const struct named_switch *switches; /* ids of tables; in any order */
	size_t count;
	const struct trace_kept *kept; /* each tid once */
	size_t kept_count;
};

struct trace_views {
	struct profile *waits;
	struct profile *wakers;
	struct profile *offwake;
};

/* The caller ends *views with trace_views_fini(). -ENOMEM, -ENOSPC. */
int trace_join(struct trace_views *views, const struct trace_waits *waits, struct err *err);
void trace_views_fini(struct trace_views *views);
