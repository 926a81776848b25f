/*
 * stack_advice: what to do about user stacks that are not whole.
 *
 * Pure: judges counters, looks at nothing else.
 */
#pragma once
#include <stdbool.h>

#include "profile/ledger.h"
#include "profile/stack_quality.h"

struct stack_advice {
	const char *topic; /* "whole stacks", "unwind memory", "cut stacks" */
	bool is_fine;
	char finding[512];
	const char *remedy; /* what to do; NULL when it is fine */
};

/* Call visit for the machine, for the memory of rows, and for each of the libraries that cut the
 * most, if they cut more than a few stacks and more than 1 % of those that end in them. */
void stack_advise(const struct stack_quality *quality, const struct unwind_memory *kernel,
		  void (*visit)(void *ctx, const struct stack_advice *advice), void *ctx);
