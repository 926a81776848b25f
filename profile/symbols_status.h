/*
 * symbols_status: how well executables are named, and what would name the others. Filled by
 * profiler/, shown by web/ and cli/. Plain data.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum { SYMBOLS_MAX_UNNAMED = 20, SYMBOLS_TEXT_BYTES = 256 };

struct symbols_unnamed {
	char file[SYMBOLS_TEXT_BYTES];
	char build_id[48];               /* lower-case hex; "" when it has none */
	uint64_t samples;                /* with a frame in it that has no name */
	char reason[SYMBOLS_TEXT_BYTES]; /* why: "stripped: no debug file in ..." */
	char remedy[SYMBOLS_TEXT_BYTES]; /* what would help */
};

struct symbols_status {
	uint64_t executables;             /* met */
	uint64_t with_lines;              /* of them, named with source lines and inlined calls */
	uint64_t waiting;                 /* to be compiled */
	char running[SYMBOLS_TEXT_BYTES]; /* being compiled; "": none */
	uint64_t compiled, from_cache, failed;               /* since the start */
	uint64_t unnamed_samples;                            /* of all executables */
	struct symbols_unnamed unnamed[SYMBOLS_MAX_UNNAMED]; /* the most samples first */
	uint32_t unnamed_count;
};
