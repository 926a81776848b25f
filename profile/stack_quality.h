/*
 * stack_quality: how many user stacks were whole, and why the others were not: in all, by process
 * and by library.
 *
 * In samples. The rows of a table add up to the totals, end by end, as what has no row of its own
 * is in `other`. Plain values.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "profile/ledger.h"

enum { STACK_QUALITY_ROWS = 256, STACK_QUALITY_NAME_BYTES = 256 };

struct stack_quality_row {
	/* A process's comm; or of a library, which is the mapping where the walk ended, the path:
	 * of a long one the end. */
	char name[STACK_QUALITY_NAME_BYTES];
	uint32_t pid; /* of a process */
	uint64_t ends[STACK_ENDS];
};

struct stack_quality_table {
	struct stack_quality_row rows[STACK_QUALITY_ROWS]; /* most samples first */
	size_t row_count;
	struct stack_quality_row other;
};

struct stack_quality {
	uint64_t ends[STACK_ENDS]; /* totals */
	struct stack_quality_table processes;
	struct stack_quality_table libraries;
};

uint64_t stack_quality_samples(const uint64_t ends[static STACK_ENDS]);
/* Those of threads that had a user stack at all. */
uint64_t stack_quality_walked(const uint64_t ends[static STACK_ENDS]);
/* Of these the whole ones. */
uint64_t stack_quality_whole(const uint64_t ends[static STACK_ENDS]);
