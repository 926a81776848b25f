/*
 * symbols: names of the executables that are met, better ones as they are found.
 *
 * The symbol table of a file names its functions at once. Debug files, source lines and inlined
 * calls take longer: one thread, at low priority, finds and compiles them, one executable
 * after the other, and keeps the result by build ID, so that it is there at once the next time.
 * When something is named better than before, renamed() is called, so that what was stored in
 * the meantime can be renamed. Any thread may call.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/auto.h"
#include "base/err.h"
#include "profile/rename.h"
#include "profile/symbols_status.h"
#include "symbolizer/executable.h"

struct symbols; /* opaque */

/* Borrowed until the end. */
struct symbols_options {
	const char *cache_directory;   /* made when missing; NULL: kept in memory until the end */
	const char *upload_directory;  /* made when needed; NULL: nothing can be uploaded */
	uint64_t cache_max_bytes;      /* 0: 1 GiB */
	const char *const *debug_dirs; /* laid out as /usr/lib/debug is */
	size_t debug_dir_count;
	const char *debuginfod_urls; /* NULL: the environment's DEBUGINFOD_URLS; "": off */
	/* The executable with that build ID has better names: see profile_rename(). On the thread
	 * of this module, at normal priority; and once more some seconds later, or before
	 * symbols_wait() and symbols_free() return, for what was under way meanwhile. */
	void (*renamed)(void *ctx, const char *build_id, const struct profile_renamer *renamer);
	/* Something a human should know. */
	void (*warn)(void *ctx, const char *text);
	void *ctx;
};

/* -ENOMEM; -EACCES, ...: the cache directory cannot be used. */
int symbols_new(struct symbols **out, const struct symbols_options *options, struct err *err);
/* Gives up what is under way. NULL is fine. */
void symbols_free(struct symbols *symbols);
AUTO_DEFINE(symbols)

/* An executable whose code runs, the first time and later. What the cache has is attached at
 * once; else it is queued. root_fd stands for "/" where its debug file may be, before this
 * machine's own; it is copied; -1: there is no other. */
void symbols_meet(struct symbols *symbols, struct executable *exe, int root_fd);

/* Samples that have a frame without a name in this executable. */
void symbols_add_unnamed(struct symbols *symbols, struct executable *exe, uint64_t samples);
/* Or in what is no executable that can be read: `file` as it is shown, once for each reason. */
void symbols_add_unnamed_other(struct symbols *symbols, const char *file, const char *reason,
			       const char *remedy, uint64_t samples);

/* Wait until all that was met is compiled and renamed() knows of it, at normal priority now.
 * False: the time is over. */
bool symbols_wait(struct symbols *symbols, int64_t timeout_ns);

/* Take names from an ELF file with debug information or symbols. Its build ID must be the one given (lower-case hex). fd is borrowed. Returns when it is compiled
 * and renamed() was called. -EBADMSG, -EINVAL: it is not such a file, or another's; -ENOTSUP:
 * no upload_directory; -ENOSPC; -ETIME: it takes longer than a minute and goes on. */
int symbols_upload(struct symbols *symbols, const char *build_id, int fd, struct err *err);
/* Let no symbols_upload() wait from now on, so that those who called it can end. */
void symbols_end_uploads(struct symbols *symbols);

void symbols_read_status(struct symbols *symbols, struct symbols_status *status);
