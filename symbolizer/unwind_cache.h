/*
 * unwind_cache: unwind rows kept in a directory, one file a build ID.
 *
 * What is damaged, cut, or of another version is as if it were not there: read the rows from
 * the ELF file again and store them. The caller trims the directory (cache_dir.h), and decides
 * whom to believe: a build ID is what a file says of itself. Any thread.
 */
#pragma once
#include <stdint.h>

#include "base/err.h"
#include "symbolizer/unwind.h"

/* Load the rows of build_id (lower-case hex). The caller owns *out. -ENOENT: not there, or of
 * no use; -EINVAL: not a build ID; -ENOMEM; open(2)'s errors. */
int unwind_cache_load(struct unwind_rows **out, int dir_fd, const char *build_id, struct err *err);

/* Store rows, in place of what is there. -EINVAL; -ENOMEM; openat(2)'s, write(2)'s, renameat(2)'s
 * errors. On failure what was there stays. */
int unwind_cache_store(int dir_fd, const char *build_id, const struct unwind_rows *rows,
		       struct err *err);
