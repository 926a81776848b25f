/*
 * namer: turns a batch of places into profiles with names: one of what ran, one of what waited, and
 * the tables of traced switches. May read symbol tables: it takes ms
 * to seconds, once per file. One thread.
 */
#pragma once
#include "base/auto.h"
#include "base/err.h"
#include "profile/profile.h"
#include "profiler/batch.h"
#include "profiler/quality.h"
#include "profiler/switches.h"
#include "profiler/symbols.h"
#include "profiler/unwinder.h"

struct namer; /* opaque */

struct namer_options {
	struct unwinder *unwinder; /* borrowed */
	struct quality *quality;   /* is told how user stacks ended; borrowed */
	struct symbols
		*symbols; /* is told of executables and what they lack; borrowed; NULL: nobody is */
	void (*warn)(void *ctx, const char *text);
	void *ctx;
};

/* Kernel names that cannot be read are a warning, not a failure: warn(ctx, text) is called (it may
 * be NULL) and kernel frames stay without names. */
int namer_new(struct namer **out, const struct namer_options *options, struct err *err);
void namer_free(struct namer *namer); /* NULL is fine */
AUTO_DEFINE(namer)

/* What became of a batch. */
struct named_batch {
	struct profile *cpu;    /* may be empty */
	struct profile *offcpu; /* likewise */
	struct profile *tables; /* of the switches; NULL: there were none */
	struct named_switch *switches;
	size_t switch_count;
};

void named_batch_fini(struct named_batch *named);

/* The caller ends *out with named_batch_fini(). -ENOMEM, -ENOSPC. */
int namer_name(struct namer *namer, const struct batch *batch, struct named_batch *out,
	       struct err *err);
