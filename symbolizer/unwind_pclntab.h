/*
 * unwind_pclntab: how to find the callers of Go functions, by the table that every Go program
 * carries for its runtime: for each place how far the stack pointer is from the return address.
 *
 * Go's linker makes .debug_frame of the same values, but not in a program that is stripped, and
 * .eh_frame never. More than that is known of rbp: the compiler saves it below the return address
 * where there is a frame. The outermost functions have the rule of the end; and so have those that
 * go over to the stack of the scheduler, where whoever called them is not.
 * runtime/symtab.go (pcvalue, funcFlag) and cmd/link/internal/ld/dwarf.go (writeframes) of Go 1.19.
 */
#pragma once
#include <stdint.h>

#include "symbolizer/pclntab_table.h"
#include "symbolizer/unwind_entries.h"
#include "symbolizer/unwind_rule.h"

/* Add the table's functions; malformed ones are left out, and counted. -ENOMEM; -ENOSPC: more
 * than 4 Mi functions. */
int unwind_pclntab_add(struct unwind_entries *entries, const struct pclntab_table *table);

/* From vaddr on, rule holds. */
typedef void (*unwind_pclntab_fn)(void *ctx, uint64_t vaddr, const struct unwind_rule *rule);

/* Calls fn for every row of a function that unwind_pclntab_add() added, in ascending order, the
 * first at its start, all below its limit. Steps are no more than its bytes. */
void unwind_pclntab_run(const struct pclntab_table *table, const struct unwind_function *function,
			unwind_pclntab_fn fn, void *ctx);
