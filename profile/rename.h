/*
 * rename: gives better names to the locations of one executable in a profile.
 *
 * Names come in steps: symbol tables at once, source lines and inlined calls when debug
 * information was read, sometimes days later. A location keeps build ID and address for ever,
 * so it can take what is known by now.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "profile/profile.h"

enum { RENAME_MAX_LINES = 64 };

/* Who knows. lines() adds what it needs to `profile` (strings, functions) and writes up to
 * RENAME_MAX_LINES lines, innermost first; *count 0: nothing is known of vaddr. */
struct profile_renamer {
	int (*lines)(void *ctx, struct profile *profile, uint64_t vaddr, struct profile_line *lines,
		     uint32_t *count, bool *is_folded);
	void *ctx;
};

/* Ask for every location in mappings of that build ID (hex, not empty); *renamed is increased
 * by the locations whose lines are others now. -ENOMEM, -ENOSPC, or what lines() returned. */
int profile_rename(struct profile *profile, const char *build_id,
		   const struct profile_renamer *renamer, size_t *renamed);
