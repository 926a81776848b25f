/*
 * debuginfod_cache: the directory that libdebuginfod keeps its files in, DIR/BUILD_ID/debuginfo.
 *
 * Files appear whole (by rename). An empty file is libdebuginfod's mark of "no server has it",
 * which it also leaves when it was only cancelled; debuginfod remembers that itself, so the
 * marks are removed. No state; any thread.
 * Layout: https://sourceware.org/git/?p=elfutils.git;a=blob;f=debuginfod/debuginfod-client.c;
 * hb=elfutils-0.188, debuginfod_query_server().
 */
#pragma once
#include <stdint.h>

#include "base/err.h"

/* Open the file of a build ID (lower-case hex) after comparing its own; the caller's. A file
 * that is of another build is removed. -ENOENT: not there; -ESTALE: it was another's. */
int debuginfod_cache_open(int dir_fd, const char *build_id, int *fd, struct err *err);
/* Remove the mark of "no server has it". */
void debuginfod_cache_forget(int dir_fd, const char *build_id);
/* Remove what was fetched first until no more than max_bytes are left; keep (NULL: none) stays
 * in any case. -ENOMEM, or open(2)'s errors. */
int debuginfod_cache_trim(int dir_fd, uint64_t max_bytes, const char *keep, struct err *err);
