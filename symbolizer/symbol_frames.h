/*
 * symbol_frames: all that is known of one address of an executable: the function, the calls
 * inlined there, and their source lines. The one place that decides which source of names to
 * believe.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "symbolizer/demangle_cache.h"
#include "symbolizer/executable.h"
#include "symbolizer/function_bounds.h"

enum { SYMBOL_MAX_FRAMES = 64 };

/* Strings are borrowed: for the life of the executable and of what they are found in, or until
 * the cache's next sweep. */
struct symbol_frame {
	const char *name;        /* readable */
	const char *system_name; /* as in the file */
	const char *directory;   /* of the source file; "" when unknown */
	const char *base;        /* name of the source file; "" when unknown */
	uint32_t line;           /* 0 when unknown */
	bool is_inlined;         /* into the next frame */
};

struct symbol_frames {
	struct symbol_frame frames[SYMBOL_MAX_FRAMES]; /* innermost inlined callee first */
	uint32_t count;
	bool is_folded; /* several functions share this code */
	bool is_mark;   /* no name: the bounds of a function are all that is known */
	char mark[FUNCTION_MARK_BYTES]; /* then its name is here */
};

/* What is at vaddr. False: nothing is known. The first time may read the symbol table, as
 * executable_lookup() does. */
bool symbol_frames_find(struct symbol_frames *out, struct executable *exe, uint64_t vaddr,
			struct demangle_cache *cache);
