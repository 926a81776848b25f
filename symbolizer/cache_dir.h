/*
 * cache_dir: a directory of files that can be made again, named by build ID.
 *
 * A file appears whole or not at all (rename), so any number of processes may share the
 * directory. Nothing waits for the disk: after a power cut a file may be cut or damaged, and its
 * reader must be able to tell. What was not used for the longest time goes first when the
 * directory is trimmed; use is the file's modification time. Any thread.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

enum { CACHE_BUILD_ID_HEX_BYTES = 40, CACHE_NAME_BYTES = CACHE_BUILD_ID_HEX_BYTES + 64 };

/* The name of the file of build_id (lower-case hex), with a suffix of at most 20 characters.
 * -EINVAL: not a build ID; nothing else may name a file, a path least of all. */
int cache_dir_name(char name[static CACHE_NAME_BYTES], const char *build_id, const char *suffix,
		   struct err *err);

/* Open a file for reading, and note its use. *is_old: it may be from before this boot, so that a
 * power cut may have damaged it; cache_dir_trust() when it was found whole. The caller closes
 * *fd. openat(2)'s errors. */
int cache_dir_open(int dir_fd, const char *name, int *fd, bool *is_old, struct err *err);
void cache_dir_trust(int fd);

/* A file on its way into the directory. */
struct cache_write {
	int dir_fd; /* borrowed */
	int fd;     /* write here, from position 0 */
	char name[CACHE_NAME_BYTES], temporary[CACHE_NAME_BYTES];
};

/* cache_write_fini() is owed when this succeeds. openat(2)'s errors. */
int cache_write_begin(struct cache_write *write, int dir_fd, const char *name, struct err *err);
/* Put the file in place of what is there. renameat(2)'s errors. */
int cache_write_commit(struct cache_write *write, struct err *err);
/* Takes away what was not committed. */
void cache_write_fini(struct cache_write *write);

/* Remove the files that were not used for the longest time until all take at most max_bytes. What
 * cannot be removed stays. */
void cache_dir_trim(int dir_fd, uint64_t max_bytes);
