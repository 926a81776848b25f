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

struct batch {
	uint64_t start_mono_ns;
	uint64_t end_mono_ns;
	int64_t unix_minus_mono_ns; /* CLOCK_REALTIME - CLOCK_MONOTONIC when it was closed */
	int64_t period_ns;          /* nominal time between ticks */
	struct ledger delta;        /* taken = stored (the samples here) + dropped since the last */
	struct raw_thread *threads;
	struct raw_stack **stacks; /* references */
	struct raw_sample *samples;
	size_t thread_count, stack_count, sample_count;
	size_t thread_cap, stack_cap, sample_cap;
};

enum { BATCH_MAX_SAMPLES = 1 << 20 };

int batch_new(struct batch **out, uint64_t start_mono_ns); /* -ENOMEM */
void batch_free(struct batch *batch);                      /* NULL is fine */
AUTO_DEFINE(batch)

/* Each writes the position of what was added. -ENOMEM; -ENOSPC: BATCH_MAX_SAMPLES. Strings
 * are copied; a reference to the stack is taken. */
int batch_add_thread(struct batch *batch, const struct raw_thread *thread, uint32_t *position);
int batch_add_stack(struct batch *batch, struct raw_stack *stack, uint32_t *position);
int batch_add_sample(struct batch *batch, const struct raw_sample *sample);
