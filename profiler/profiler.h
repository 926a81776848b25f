/*
 * profiler: takes profiles of this machine. Loads the BPF side, follows processes, turns raw
 * samples into named profiles, and hands one over about every second.
 *
 * Two threads of its own: the collector drains the kernel and must never wait; the namer
 * looks names up and calls back. Between them is a bounded queue whose overflow is counted.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/auto.h"
#include "base/err.h"
#include "profile/ledger.h"
#include "profile/profile.h"
#include "profile/stack_quality.h"
#include "profiler/switches.h"
#include "profiler/symbols.h"
#include "profiler/waiting.h"

struct profiler; /* opaque */
struct sampler;

struct profiler_options {
	uint32_t rate_hz;    /* 0: 99 */
	uint32_t ring_bytes; /* 0: 8 MiB; rounded up to a power of two of pages */
	/* Of Hearth as a whole; 0: 256 MiB. An eighth is for rows of unwind information in the
	 * kernel, half for those in user space. */
	uint64_t max_memory_bytes;
	const char *cache_directory; /* for what is read from executables; NULL: not kept */
	struct symbols
		*symbols;  /* what knows names; borrowed until the stop; NULL: symbol tables only */
	const pid_t *pids; /* only these processes and their descendants; NULL: all */
	size_t pid_count;
	bool skips_cpu; /* take no samples of what runs */
	/* Sample waiting threads. Where this kernel cannot, that is one warning; or the end, with
	 * needs_waits. */
	bool takes_waits, needs_waits;
	uint32_t wait_rate_hz; /* 0: 20 */
	enum waiting_method wait_method;
	bool takes_kernel_threads; /* as far as waiting goes */
	/* Takes a finished batch (borrowed): one profile for each type of which there are samples, or
	 * one that is empty; and what the ledgers moved by since the last batch. Called on the
	 * namer's thread. What it returns other than 0 counts the batch as dropped (store_failed). */
	int (*deliver)(void *ctx, const struct profile *const *profiles, size_t profile_count,
		       const struct ledger *delta, struct err *err);
	/* Takes traced switches (borrowed), before the batch they came with. NULL: nobody traces. */
	void (*switches)(void *ctx, const struct named_switches *switches);
	/* Something a human should know; called rarely, from any thread of the profiler. */
	void (*warn)(void *ctx, const char *text);
	void *ctx;
};

/* Start sampling. -EPERM: what is missing and how to get it; -EOPNOTSUPP: what this kernel
 * lacks. On failure nothing is left attached. */
int profiler_open(struct profiler **out, const struct profiler_options *options, struct err *err);
/* Detach, drain and deliver what was taken. Stats are final after it. */
void profiler_stop(struct profiler *profiler);
void profiler_free(struct profiler *profiler); /* stops first; NULL is fine */
AUTO_DEFINE(profiler)

/* Returns when all that threads waited up to now was delivered, or after some seconds: a wait that
 * goes on is told of every 10 s only. Any thread, not deliver()'s. */
void profiler_flush_waits(struct profiler *profiler);

/* Returns when everything that came until then was delivered, or when that takes too long. Likewise. */
void profiler_wait_delivered(struct profiler *profiler, uint64_t until_mono_ns,
			     int64_t patience_ns);
/* What takes the samples. Borrowed. */
const struct sampler *profiler_sampler(const struct profiler *profiler);

/* Any thread, any time between open and free. */
void profiler_stats(struct profiler *profiler, struct sampler_stats *stats);
/* How the user stacks of all samples that were named ended. Likewise. */
void profiler_stack_quality(struct profiler *profiler, struct stack_quality *out);
