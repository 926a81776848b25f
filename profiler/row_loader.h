/*
 * row_loader: lays before the kernel's walker, from a thread of its own, the rows that stacks
 * need which it could not walk. Where stacks are named that would happen, too, but behind all
 * that came before, and one symbol table can take a second.
 */
#pragma once
#include "base/auto.h"
#include "base/err.h"
#include "profiler/raw_stack.h"
#include "profiler/unwinder.h"

struct row_loader; /* opaque */

/* Starts the thread. unwinder is borrowed. */
int row_loader_new(struct row_loader **out, struct unwinder *unwinder, struct err *err);
void row_loader_free(struct row_loader *loader); /* ends it; NULL is fine */
AUTO_DEFINE(row_loader)

/* Takes a reference to the stack. Never waits: with too many under way it is left out, as the
 * next sample there will ask again. Any thread. */
void row_loader_add(struct row_loader *loader, struct raw_stack *stack);
