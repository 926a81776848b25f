/*
 * render: call trees, tables, series and labels as text for a terminal.
 */
#pragma once
#include <stdio.h>

#include "profile/calltree.h"
#include "profile/series.h"

/* One line a node, indented by depth, in the tree's order; subtrees below min_share of the
 * total are left out. */
void render_flame(FILE *out, const struct calltree *tree, double min_share);
void render_top(FILE *out, const struct top_table *table, size_t limit);
/* unit says what the numbers are: "CPUs in use". */
void render_series(FILE *out, const struct series_set *set, const char *unit);
/* Names with, when there are any, their totals. */
void render_names(FILE *out, const struct series_set *set);
