/*
 * frame_lines: what is known of an address (symbol_frames) as lines of a profile.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "profile/profile.h"
#include "symbolizer/symbol_frames.h"

/* Adds the functions to `profile` and writes frames->count lines. -ENOMEM, -ENOSPC. */
int frame_lines(struct profile *profile, const struct symbol_frames *frames,
		struct profile_line lines[static SYMBOL_MAX_FRAMES]);
