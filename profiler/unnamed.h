/*
 * unnamed: which executables left the stacks of one batch with frames that have no name.
 *
 * Borrows everything; one thread.
 */
#pragma once
#include <stdint.h>

#include "base/map.h"
#include "profile/profile.h"
#include "profiler/symbols.h"

struct unnamed {
	struct map exe_of; /* location: the executable that does not name it */
};

void unnamed_init(struct unnamed *unnamed);
void unnamed_fini(struct unnamed *unnamed);

/* -ENOMEM, -ENOSPC. */
int unnamed_note(struct unnamed *unnamed, uint32_t location, struct executable *exe);
/* Tell symbols of samples with that stack: each executable once. */
void unnamed_count(const struct unnamed *unnamed, const struct profile *profile, uint32_t stack,
		   uint64_t samples, struct symbols *symbols);
