/*
 * tracing: the kernel side of exact tracing (bpf/exact.bpf.c), loaded and attached.
 *
 * Its records (struct rec_switch) and their stacks come out of the sampler's ring, among the
 * others; its sums are read from here. One thread.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/auto.h"
#include "base/err.h"
#include "bpf/abi.h"
#include "profiler/sampler.h"

struct tracing; /* opaque */

enum tracing_state { /* bits */
		     TRACING_SLEEPING = 1 << 0,
		     TRACING_UNINTERRUPTIBLE = 1 << 1,
		     TRACING_RUNNABLE = 1 << 2,
		     TRACING_ANY_STATE = 7,
};

struct tracing_options {
	const struct sampler
		*sampler; /* whose maps it uses; what that does not follow is left out */
	pid_t pid;        /* 0: any */
	pid_t tid;
	pid_t not_pid;      /* 0: none */
	const char *cgroup; /* directory of the v2 hierarchy; NULL: any */
	uint32_t states;    /* of enum tracing_state */
	uint32_t session;   /* struct rec_switch.session */
	uint64_t min_ns, max_ns;
	uint64_t delay_ns;  /* on a run queue, from which on it is listed by itself */
	uint64_t period_ns; /* of waiting that a stack is taken for; 0: one for each wait */
};

/* Load and attach. -EPERM: what privilege is missing; -EOPNOTSUPP: what the kernel lacks; -EINVAL:
 * no cgroup of the v2 hierarchy; -ENOENT: no such cgroup; -ESRCH: no such process or thread. */
int tracing_open(struct tracing **out, const struct tracing_options *options, struct err *err);
void tracing_free(struct tracing *tracing); /* NULL is fine */
AUTO_DEFINE(tracing)

/* Detach. What it counted stays. */
void tracing_stop(struct tracing *tracing);

/* Sums over CPUs. TRACE_SEEN is those from TRACE_OTHERS to TRACE_RING_FULL and the waits that go on,
 * exactly so once it is stopped. */
void tracing_counts(const struct tracing *tracing, uint64_t counts[static TRACE_STAT_COUNT]);
/* Every thread that was met, in no order. */
void tracing_visit_threads(const struct tracing *tracing,
			   void (*visit)(void *ctx, const struct trace_thread *thread), void *ctx);
void tracing_visit_pairs(const struct tracing *tracing,
			 void (*visit)(void *ctx, const struct trace_pair *pair,
				       const struct trace_pair_sum *sum),
			 void *ctx);
void tracing_visit_delays(const struct tracing *tracing,
			  void (*visit)(void *ctx, const struct trace_delay *delay), void *ctx);
