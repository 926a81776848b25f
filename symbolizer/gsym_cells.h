/*
 * gsym_cells: which inlined calls have code in each small piece of a function.
 *
 * In a function with hundreds of calls only a few of them are near an address; the table says
 * which, so that a reader decodes no others. One thread.
 */
#pragma once
#include "symbolizer/gsym_encode.h"

/* Fill encoder->call_groups, group_depths, cell_starts, cell_groups and cell_shift, as gsym_format.h has them, for
 * its calls: with the smallest cells that cost at most a quarter of the calls_bytes that the calls
 * take. They stay empty when that is no more than one cell. -ENOMEM. */
int gsym_cells_make(struct gsym_encoder *encoder, size_t calls_bytes);
