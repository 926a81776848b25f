/*
 * draft: one profile on its way out of a batch. Threads and stacks get their names when something
 * in the profile first asks for them.
 *
 * What the files of the namer share; nobody else includes it. One thread.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/map.h"
#include "profile/profile.h"
#include "profiler/batch.h"
#include "profiler/kernel_names.h"
#include "profiler/quality.h"
#include "profiler/symbols.h"
#include "profiler/unnamed.h"
#include "profiler/unwinder.h"
#include "profiler/wait_classify.h"
#include "symbolizer/demangle_cache.h"

/* What stays from batch to batch. All borrowed. */
struct draft_tools {
	struct unwinder *unwinder;
	struct quality *quality;
	struct symbols *symbols; /* NULL: nobody is told */
	struct demangle_cache *demangled;
	struct kernel_names *kernel;
	struct walked_stack *walked; /* the stack that is being named */
	const char *host;
};

/* By position in the batch. */
struct named_stack {
	bool is_named;
	bool is_site_read;
	uint32_t id;         /* in the profile */
	const char *library; /* where the user part ended; borrowed from the stack's files */
	enum walk_end end;
	uint32_t thread; /* position of one that was there: a stack is of one process */
	uint64_t samples;
	struct wait_site site; /* draft_site() */
};

struct draft {
	const struct draft_tools *tools;
	const struct batch *batch;
	struct profile *profile;
	uint32_t *threads; /* by position in the batch; UINT32_MAX: not yet */
	struct named_stack *stacks;
	/* Caches hold id + 1, so that 0 (NULL) means "not there". */
	struct map locations; /* hash of (file, ip_or_off) */
	struct map mappings;  /* file */
	struct unnamed unnamed;
	uint32_t kernel_mapping;
	size_t sockets;      /* distinct ones that threads waited on */
	uint64_t at_mono_ns; /* when the stack that is being named was first there */
};

/* An empty profile of the type. -ENOMEM. */
int draft_init(struct draft *draft, const struct draft_tools *tools, const struct batch *batch,
	       enum profile_type type);
void draft_fini(struct draft *draft);

/* The id of what is at that position of the batch. BATCH_NONE: 0. -ENOMEM, -ENOSPC. */
int draft_thread(struct draft *draft, uint32_t position, uint32_t *id);
/* at_mono_ns: when it was first seen there, as code made at run time may be other code later. */
int draft_stack(struct draft *draft, uint32_t position, uint64_t at_mono_ns, uint32_t *id);
/* What the functions of a stack that was named say about waiting there. Borrowed. */
const struct wait_site *draft_site(struct draft *draft, uint32_t position);

/* A sample is added to the profile: thread and stack are positions, and become ids. For whom the
 * ends of stacks and frames without names are counted. */
int draft_add_sample(struct draft *draft, struct profile_sample *sample, uint64_t at_mono_ns);
void draft_count(struct draft *draft);

/* draft_locations.c: the frames of a stack, on top of *stack. frames are leaf first. */
int draft_push_frames(struct draft *draft, const struct raw_frame *frames, uint32_t count,
		      bool is_kernel, uint32_t *stack);

/* draft_waits.c: all waits of the batch as samples; all its switches, into `switches`, which has
 * room for them. */
int draft_add_waits(struct draft *draft);
struct named_switch;
int draft_add_switches(struct draft *draft, struct named_switch *switches);
