#include "cli/render.h"

#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "base/clock.h"

static double percent(int64_t part, int64_t whole)
{
	return whole ? 100.0 * (double)part / (double)whole : 0;
}

static void print_seconds(FILE *out, int64_t weight_ns)
{
	fprintf(out, "%10.3f s", (double)weight_ns / NS_PER_S);
}

/* Terminals obey control characters; names come from strangers' binaries. */
static void print_name(FILE *out, const char *name)
{
	for (; *name; name++)
		fputc((unsigned char)*name < 0x20 || *name == 0x7f ? '?' : *name, out);
}

static const char *base_name(const char *path)
{
	const char *slash = path;
	for (const char *pos = path; *pos; pos++)
		if (*pos == '/')
			slash = pos + 1;
	return slash;
}

static void print_node(FILE *out, const struct calltree *tree, const struct calltree_node *node)
{
	int64_t all = tree->nodes[0].total_weight;
	print_seconds(out, node->total_weight);
	fprintf(out, " %6.2f%% %6.2f%%  %*s", percent(node->total_weight, all),
		percent(node->self_weight, all), (int)node->depth, "");
	print_name(out, strtab_get(&tree->strings, node->name));
	const char *mapping = strtab_get(&tree->strings, node->mapping);
	if (*mapping && *mapping != '[')
		fprintf(out, "  (%s)", base_name(mapping));
	fputc('\n', out);
}

void render_flame(FILE *out, const struct calltree *tree, double min_share)
{
	double least = min_share * (double)tree->nodes[0].total_weight;
	fprintf(out, "%12s %7s %7s\n", "total", "total", "self");
	for (size_t i = 0; i < tree->node_count;) {
		const struct calltree_node *node = &tree->nodes[i];
		if (i && (double)node->total_weight < least) {
			i = node->end; /* the whole subtree is lighter still */
			continue;
		}
		print_node(out, tree, node);
		i++;
	}
}

void render_top(FILE *out, const struct top_table *table, size_t limit)
{
	fprintf(out, "%12s %7s %12s %7s  %s\n", "self", "self", "total", "total", "function");
	for (size_t i = 0; i < table->row_count && i < limit; i++) {
		const struct top_row *row = &table->rows[i];
		print_seconds(out, row->self_weight);
		fprintf(out, " %6.2f%% ", percent(row->self_weight, table->total_weight));
		print_seconds(out, row->total_weight);
		fprintf(out, " %6.2f%%  ", percent(row->total_weight, table->total_weight));
		print_name(out, strtab_get(&table->strings, row->name));
		const char *mapping = strtab_get(&table->strings, row->mapping);
		if (*mapping && *mapping != '[')
			fprintf(out, "  (%s)", base_name(mapping));
		fputc('\n', out);
	}
}

static const char *line_name(const struct series_set *set, const struct series_line *line)
{
	const char *name = strtab_get(&set->strings, line->name);
	return *name ? name : "all";
}

enum { SERIES_COLUMN = 8 };

/* Of a line's column: its name stands above its numbers. */
static int column_width(const struct series_set *set, size_t line)
{
	size_t length = strlen(line_name(set, &set->lines[line]));
	return length > SERIES_COLUMN ? (int)length : SERIES_COLUMN;
}

void render_series(FILE *out, const struct series_set *set, const char *unit)
{
	fprintf(out, "%-24s %8s", "time", "lost");
	for (size_t i = 0; i < set->line_count; i++) {
		const char *name = line_name(set, &set->lines[i]);
		fprintf(out, "  %*s", column_width(set, i) - (int)strlen(name), "");
		print_name(out, name);
	}
	fprintf(out, "  (%s)\n", unit);
	for (size_t point = 0; point < set->point_count; point++) {
		char time[CLOCK_TEXT_BYTES];
		clock_format(set->start_unix_ns + (int64_t)point * set->step_ns, time);
		fprintf(out, "%-24s %8llu", time, (unsigned long long)set->health[point].dropped);
		for (size_t i = 0; i < set->line_count; i++)
			fprintf(out, "  %*.3f", column_width(set, i),
				(double)set->lines[i].weight_ns[point] / (double)set->step_ns);
		fputs(set->health[point].covered_ns ? "\n" : "  (not sampled)\n", out);
	}
}

void render_names(FILE *out, const struct series_set *set)
{
	for (size_t i = 0; i < set->line_count; i++) {
		const struct series_line *line = &set->lines[i];
		if (line->total_ns)
			print_seconds(out, line->total_ns);
		if (line->total_ns)
			fputs("  ", out);
		print_name(out, strtab_get(&set->strings, line->name));
		fputc('\n', out);
	}
}
