/*
 * waiting: samples the threads that do not run, 20 times a second.
 *
 * Passes over all threads are made by a thread of its own (bpf/waiting.bpf.h); records go into the
 * sampler's ring. Where a pass is stuck behind somebody's memory, another thread goes on with the
 * next, and leaves that process's memory alone for a while. Locked: any thread.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/auto.h"
#include "base/err.h"
#include "profile/ledger.h"
#include "profiler/sampler.h"

struct waiting; /* opaque */

enum waiting_method {
	WAITING_AUTO,   /* the first of these that this kernel has */
	WAITING_OPEN,   /* an iterator that programs open (Linux 6.7) */
	WAITING_ITER,   /* a program called for each thread (Linux 5.18) */
	WAITING_SWITCH, /* some of the switches, in proportion to what was waited */
	WAITING_METHODS,
};

struct waiting_options {
	struct sampler *sampler; /* whose maps are used; borrowed */
	uint32_t rate_hz;        /* 0: 20; lowered while passes cost more than 0.5 % of a CPU */
	bool takes_kernel_threads;
	enum waiting_method method;
};

/* Load. -EOPNOTSUPP: what this kernel lacks; -EPERM: what privilege is missing. */
int waiting_open(struct waiting **out, const struct waiting_options *options, struct err *err);
/* Stops first; NULL is fine. */
void waiting_free(struct waiting *waiting);
AUTO_DEFINE(waiting)

int waiting_start(struct waiting *waiting, struct err *err);
/* After a last pass, which sends all that is pending. */
void waiting_stop(struct waiting *waiting);

/* Have all that is pending sent, as a range of time is to be complete. Returns when it was, or after
 * 2 s. Of sampled switches there is nothing pending. */
void waiting_flush(struct waiting *waiting);

/* In words, as users see it. */
const char *waiting_method_name(enum waiting_method method);
/* As options have it: "auto", "open", "iter", "switch". */
const char *waiting_method_word(enum waiting_method method);
enum waiting_method waiting_method(const struct waiting *waiting);
/* By its word for options. WAITING_METHODS: it is none. */
enum waiting_method waiting_method_parse(const char *word);

void waiting_stats(struct waiting *waiting, struct waiting_stats *stats);
