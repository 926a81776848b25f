/*
 * namer: turns a batch of places into a named profile. May read symbol tables: it takes ms
 * to seconds, once per file. One thread.
 */
#pragma once
#include "base/auto.h"
#include "base/err.h"
#include "profile/profile.h"
#include "profiler/batch.h"
#include "profiler/quality.h"
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

/* Caller owns *out. -ENOMEM, -ENOSPC. */
int namer_name(struct namer *namer, const struct batch *batch, struct profile **out,
	       struct err *err);
