/*
 * batch: about one second of raw samples on their way from the collector to the namer:
 * places in files, no names yet.
 *
 * Filled by the collector, then owned by the namer. Stacks and files are shared between
 * batches and counted atomically.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "base/auto.h"
#include "bpf/abi.h"
#include "profile/ledger.h"
#include "profiler/files.h"
#include "profiler/procfs.h"
#include "profiler/raw_stack.h"

struct raw_thread {
	uint32_t pid;
	uint32_t tid;
	char comm[COMM_BYTES];
	char process_comm[COMM_BYTES];
	char *cgroup; /* owned */
};

struct raw_sample {
	uint64_t end_mono_ns;
	uint32_t thread; /* position in threads */
	uint32_t stack;  /* position in stacks */
	uint32_t weight_ns;
};

/* A wait that ended, or an interval of a long one: it may begin before the batch. */
struct raw_wait {
	uint32_t thread; /* position in threads */
	uint32_t stack;  /* position in stacks */
	struct rec_wait rec;
};

/* A traced switch. */
struct raw_switch {
	uint32_t thread;
	uint32_t stack;        /* BATCH_NONE: none was taken */
	uint32_t waker_thread; /* BATCH_NONE: an interrupt, or nobody */
	uint32_t waker_stack;  /* BATCH_NONE: none was taken, or it is not known */
	struct rec_switch rec;
};

#define BATCH_NONE UINT32_MAX

struct batch {
	uint64_t start_mono_ns;
	uint64_t end_mono_ns;
	uint64_t drained_mono_ns;   /* what was in the ring by then is here, or was before */
	int64_t unix_minus_mono_ns; /* CLOCK_REALTIME - CLOCK_MONOTONIC when it was closed */
	int64_t period_ns;          /* nominal time between ticks */
	int64_t wait_period_ns;     /* likewise between visits of waiting threads; 0: none */
	struct ledger delta;        /* taken = stored (batch_samples()) + dropped since the last */
	uint64_t lost_switches;     /* traced, and not in any batch, since the last */
	struct raw_thread *threads;
	struct raw_stack **stacks; /* references */
	struct raw_sample *samples;
	struct raw_wait *waits;
	struct raw_switch *switches;
	size_t thread_count, stack_count, sample_count, wait_count, switch_count;
	size_t thread_cap, stack_cap, sample_cap, wait_cap, switch_cap;
};

/* What the ledger counts: switches belong to who traces them. */
static inline size_t batch_samples(const struct batch *batch)
{
	return batch->sample_count + batch->wait_count;
}

/* BATCH_MAX_SAMPLES is of each kind. */
enum { BATCH_MAX_SAMPLES = 1 << 20 };

int batch_new(struct batch **out, uint64_t start_mono_ns); /* -ENOMEM */
void batch_free(struct batch *batch);                      /* NULL is fine */
AUTO_DEFINE(batch)

/* Each writes the position of what was added. -ENOMEM; -ENOSPC: BATCH_MAX_SAMPLES. Strings
 * are copied; a reference to the stack is taken. */
int batch_add_thread(struct batch *batch, const struct raw_thread *thread, uint32_t *position);
int batch_add_stack(struct batch *batch, struct raw_stack *stack, uint32_t *position);
int batch_add_sample(struct batch *batch, const struct raw_sample *sample);
int batch_add_wait(struct batch *batch, const struct raw_wait *wait);
int batch_add_switch(struct batch *batch, const struct raw_switch *traced);
