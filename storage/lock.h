/*
 * lock: one writer per data directory, by flock(2) on the file hearth.lock in it.
 *
 * The kernel lets go of it when the process ends, however it ends. The file holds the pid of
 * its owner, for the message to whoever comes second. Never removed: removing it would let
 * two writers lock two files of the same name.
 */
#pragma once
#include "base/auto.h"
#include "base/err.h"

#define LOCK_FILE_NAME "hearth.lock"

struct lock; /* opaque */

/* -EBUSY: taken (the text names the pid and the directory); else open(2)'s. */
int lock_open(struct lock **out, const char *directory, struct err *err);
void lock_free(struct lock *lock); /* lets go; NULL is fine */
AUTO_DEFINE(lock)
