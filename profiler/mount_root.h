/*
 * mount_root: the "/" of processes that have another one than we do.
 *
 * The debug file of a container's executable is in the container. One descriptor for all
 * processes with one root. Roots are counted atomically; the table: one thread.
 */
#pragma once
#include <stdint.h>

#include "base/auto.h"
#include "base/map.h"

struct mount_root {
	unsigned int refs; /* atomic */
	int fd;            /* O_PATH */
};

void mount_root_unref(struct mount_root *root); /* NULL is fine */

struct mount_roots {
	struct map by_identity; /* a reference each */
	uint64_t own_identity;
};

void mount_roots_init(struct mount_roots *roots);
void mount_roots_fini(struct mount_roots *roots);

/* The root of a process; a reference that the caller owns. NULL: it is ours too, or the process
 * is gone. */
struct mount_root *mount_roots_get(struct mount_roots *roots, uint32_t pid);
/* Let go of those that nobody else has. */
void mount_roots_sweep(struct mount_roots *roots);
