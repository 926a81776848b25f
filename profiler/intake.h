/*
 * intake: turns the kernel's records into the samples, waits and switches of a batch: which
 * process, thread and files they belong to at the time they tell of.
 *
 * Records are kept as they come and taken later, each at its time, when what happened before it is
 * known. A record may name a stack that another CPU has not sent yet: it waits one round for it.
 * One thread.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "base/auto.h"
#include "base/err.h"
#include "profile/ledger.h"
#include "profiler/batch.h"
#include "profiler/processes.h"

struct intake; /* opaque */

struct intake_options {
	struct processes *processes; /* borrowed */
	size_t max_bytes;            /* of records that are kept */
	/* Apply what happened to processes up to then. */
	void (*catch_up)(void *ctx, uint64_t time_mono_ns);
	/* A stack came that the kernel's walker had to leave: it wants the mappings of the process,
	 * and the rows that are missing, soon. */
	void (*push)(void *ctx, struct process *process, uint64_t now_mono_ns);
	void (*tail)(void *ctx, struct raw_stack *stack);
	/* For the ledger. Of traced switches, which have none: lost ones are in the batch. */
	void (*count_taken)(void *ctx);
	void (*count_drop)(void *ctx, enum drop_reason reason);
	void *ctx;
};

int intake_new(struct intake **out, const struct intake_options *options, struct err *err);
void intake_free(struct intake *intake); /* NULL is fine */
AUTO_DEFINE(intake)

/* What is taken from now on goes into this batch, borrowed until the next one. */
void intake_fill(struct intake *intake, struct batch *batch);

/* Keep a copy of a record of the ring. */
void intake_keep(struct intake *intake, const void *record, size_t size_bytes);
/* Take all that is kept, in the order in which it came; then have a second and last look at what
 * was left over by the call before. */
void intake_take(struct intake *intake);

/* A new generation of stacks begins: those last named before the one that ends are forgotten. At
 * most once a round, after intake_take(). */
void intake_next_generation(struct intake *intake, uint32_t generation);
/* Have so many stacks come that a new generation should begin now? */
bool intake_is_crowded(const struct intake *intake);
uint64_t intake_stacks(const struct intake *intake);
