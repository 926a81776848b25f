/*
 * unwind_builder: makes rows from rules given in the order of their addresses.
 */
#pragma once
#include <stdbool.h>

#include "base/index.h"
#include "symbolizer/unwind_rows.h"

enum { UNWIND_RECENT_RULES = 1024 };

struct unwind_builder {
	struct unwind_rows *rows;             /* being made; borrowed */
	struct index index;                   /* of its rules */
	uint32_t rule;                        /* in force at the end of what was added */
	bool is_full;                         /* a rule came that could not be numbered */
	int error;                            /* sticky: -ENOMEM or -ENOSPC */
	uint32_t recent[UNWIND_RECENT_RULES]; /* numbers by hash, to skip the index */
};

/* rows is empty and zeroed. unwind_builder_fini() is owed in any case. */
void unwind_builder_init(struct unwind_builder *builder, struct unwind_rows *rows);
void unwind_builder_fini(struct unwind_builder *builder);

/* From vaddr on, rule holds. vaddr is above that of the call before, and below 2^47. False: the
 * file has too many rules already, and this row is UNWIND_CFA_UNSUPPORTED. */
bool unwind_builder_add(struct unwind_builder *builder, uint64_t vaddr,
			const struct unwind_rule *rule);

/* All is added: the rows can be used. Returns the sticky error. */
int unwind_builder_finish(struct unwind_builder *builder);
