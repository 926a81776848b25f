/*
 * demangle_cache: readable names, each demangled once.
 *
 * Demangling costs microseconds and the same few thousand names come again and again. One
 * thread; memory is bounded by emptying the cache between two pieces of work.
 */
#pragma once
#include <stddef.h>

#include "base/auto.h"
#include "base/err.h"

struct demangle_cache; /* opaque */

/* max_bytes of text, mangled and readable; more than that is kept only until the next sweep.
 * -ENOMEM. */
int demangle_cache_new(struct demangle_cache **out, size_t max_bytes, struct err *err);
void demangle_cache_free(struct demangle_cache *cache); /* NULL is fine */
AUTO_DEFINE(demangle_cache)

/* The readable form of a name, or the name itself when it has none or memory is short.
 * Borrowed until the next sweep (the name itself: as long as it was). */
const char *demangle_cached(struct demangle_cache *cache, const char *name);

/* Forget everything when more than max_bytes are held. */
void demangle_cache_sweep(struct demangle_cache *cache);
