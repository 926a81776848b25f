/*
 * collector: drains the kernel and keeps time: which sample belongs to which process and file
 * at the moment it was taken.
 *
 * In each round the sample ring is drained before the side-band, so every event that precedes
 * a drained sample is at hand; events younger than the round wait for the next one. Both are
 * then applied in the order of time. Never waits for files or locks held for long. One thread
 * runs it; collector_stats() may be called from any.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/auto.h"
#include "base/err.h"
#include "profile/ledger.h"
#include "profiler/batch.h"
#include "profiler/processes.h"
#include "profiler/sampler.h"

struct collector; /* opaque */

struct collector_options {
	struct sampler *sampler; /* borrowed */
	uint32_t rate_hz;
	/* Lays the mappings of a process before the kernel's stack walker; epoch moves when it
	 * has learnt something that makes another push worth while. */
	int (*push)(void *ctx, const struct process *process, const struct process_map *map);
	uint64_t (*push_epoch)(void *ctx);
	/* The child has just what its parent has, as after fork(2). False: it has nothing. */
	bool (*share)(void *ctx, const struct process *child, uint32_t parent_pid);
	/* Takes them away again: the process has ended, and its pid may be another's soon. */
	void (*forget)(void *ctx, uint32_t pid);
	/* A stack came that the kernel's walker had to leave: it wants what is missing soon. */
	void (*tail)(void *ctx, struct raw_stack *stack);
	void (*tick)(void *ctx, uint64_t now_mono_ns); /* once a round */
	uint64_t (*wait_period_ns)(void *ctx); /* between visits of waiting threads; NULL: none */
	/* Takes a closed batch over. False: no room; the batch is still the collector's. */
	bool (*emit)(void *ctx, struct batch *batch);
	void (*warn)(void *ctx, const char *text);
	void *ctx;
};

/* Opens the side-band and scans /proc. -EPERM, -EOPNOTSUPP, ... */
int collector_open(struct collector **out, const struct collector_options *options,
		   struct err *err);
void collector_free(struct collector *collector); /* NULL is fine */
AUTO_DEFINE(collector)

/* Rounds until collector_wake(); emits a batch about every second. */
void collector_run(struct collector *collector);
/* Makes collector_run() return soon. Any thread, signal handlers included. */
void collector_wake(struct collector *collector);
/* Have a batch with all that was in the ring by now closed soon. Any thread. */
void collector_hurry(struct collector *collector);
/* After the ticks have stopped: take what is left and emit the last batch. */
void collector_finish(struct collector *collector);

/* A batch that was emitted and then lost after all: counted under reason from the next batch
 * on. Any thread. */
void collector_lost(struct collector *collector, const struct batch *batch,
		    enum drop_reason reason);
/* A batch that arrived where it was to go. Any thread. */
void collector_stored(struct collector *collector, const struct batch *batch);
/* The user half of the ledger and the collector's own counts. Any thread. */
void collector_stats(struct collector *collector, struct sampler_stats *stats);
