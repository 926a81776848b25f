/*
 * unnamed: which files left the stacks of one batch with frames that have no name.
 *
 * Borrows everything; one thread.
 */
#pragma once
#include <stdint.h>

#include "base/map.h"
#include "profile/profile.h"
#include "profiler/files.h"
#include "profiler/symbols.h"

struct unnamed {
	struct map file_of; /* location: what does not name it */
};

void unnamed_init(struct unnamed *unnamed);
void unnamed_fini(struct unnamed *unnamed);

/* -ENOMEM, -ENOSPC. */
int unnamed_note(struct unnamed *unnamed, uint32_t location, const struct mapped_file *file);

/* Samples of one stack of the profile, of a process. */
struct unnamed_samples {
	const struct profile *profile;
	uint32_t stack;
	const char *comm;
	uint64_t count;
};

/* Tell symbols of them: each file once. */
void unnamed_count(const struct unnamed *unnamed, const struct unnamed_samples *samples,
		   struct symbols *symbols);
