/*
 * symbol_cache: GSYM files kept in a cache_dir, one for each build ID.
 *
 * What is damaged, cut, or of another version is as if it were not there: compile it again and
 * store it. That nothing could be compiled is remembered too, for a day. The caller trims the
 * directory. Any thread.
 */
#pragma once
#include "base/err.h"
#include "symbolizer/cache_dir.h"
#include "symbolizer/executable.h"
#include "symbolizer/gsym.h"

/* The name an executable goes by in the cache: its build ID, or for want of one, zeros, its size,
 * and a hash of which file it is, when that was written, and its first page, where Go's build ID
 * is. Equal bytes in two files are two names. fstat(2)'s errors; -EBADF: it is in memory. */
int symbol_cache_id(char id[static BUILD_ID_HEX_BYTES], const struct executable *exe,
		    struct err *err);

/* Open the file of an id. The caller owns *out. -ENOENT: not there, or of no use; -EAGAIN: it was
 * tried within a day and nothing came of it, with the sentence that was given then; -EINVAL: not
 * an id; -ENOMEM; openat(2)'s, mmap(2)'s errors. */
int symbol_cache_load(struct gsym **out, int dir_fd, const char *id, struct err *err);

/* Begin to write the file of an id; then cache_write_commit() and cache_write_fini(). -EINVAL;
 * openat(2)'s errors. */
int symbol_cache_begin(struct cache_write *write, int dir_fd, const char *id, struct err *err);
/* Remember that nothing came of it, with a sentence. */
int symbol_cache_store_failure(int dir_fd, const char *id, const char *why, struct err *err);
