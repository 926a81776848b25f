/*
 * translate: entries of one profile's tables as entries of another's, each at most once.
 *
 * Only what is asked for is carried over, with what it needs. One thread; borrows both.
 */
#pragma once
#include "profile/profile.h"

struct translation {
	const struct profile *from;
	struct profile *into;
	/* By id in `from`: id in `into`, 0 when not carried over yet. */
	uint32_t *strings, *mappings, *functions, *locations, *stacks, *label_sets, *threads,
		*waits;
	uint32_t *path; /* scratch */
	size_t path_cap;
	struct profile_line *lines; /* scratch */
	size_t line_cap;
};

/* -ENOMEM. `from` may not grow while the translation lives. */
int translation_init(struct translation *t, const struct profile *from, struct profile *into);
void translation_fini(struct translation *t);

/* Errors are those of profile_add_*(). */
int translate_stack(struct translation *t, uint32_t from, uint32_t *into);
int translate_label_set(struct translation *t, uint32_t from, uint32_t *into);
int translate_thread(struct translation *t, uint32_t from, uint32_t *into);
int translate_wait(struct translation *t, uint32_t from, uint32_t *into);
