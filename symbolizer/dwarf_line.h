/*
 * dwarf_line: the line table of one unit, by address. DWARF 5 section 6.2; the older headers:
 * DWARF 4 section 6.2.4.
 *
 * One table is used for one unit after the other and keeps its memory. One thread.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "symbolizer/dwarf_ranges.h"
#include "symbolizer/dwarf_unit.h"
#include "symbolizer/gsym_builder.h"

struct dwarf_line_row {
	uint64_t vaddr;
	uint32_t file; /* as in the table */
	uint32_t line;
};

/* Rows that follow each other in memory. */
struct dwarf_line_sequence {
	uint64_t start_vaddr, end_vaddr;
	size_t first_row, row_count;
};

struct dwarf_line_file {
	const char *name;
	uint64_t directory;
	uint32_t id; /* of the builder; UINT32_MAX: not yet asked for */
};

struct dwarf_lines {
	struct dwarf_line_row *rows;
	size_t row_count, row_cap;
	struct dwarf_line_sequence *sequences; /* by address */
	size_t sequence_count, sequence_cap;
	struct dwarf_line_file *files;
	size_t file_count, file_cap;
	const char **directories;
	size_t directory_count, directory_cap;
	uint16_t version;
	const char *unit_directory; /* NULL: none */
	size_t max_rows;
	/* What is in it: another unit may have the same. */
	const struct dwarf_file *of_file;
	uint64_t of_off;
};

void dwarf_lines_init(struct dwarf_lines *lines, size_t max_rows);
void dwarf_lines_fini(struct dwarf_lines *lines);

/* Read the table of a unit; without one it is empty. What comes before damage is kept.
 * -EBADMSG, -ENODATA, -EOPNOTSUPP; -ENOSPC: too many rows, or no work is left; -ENOMEM. */
int dwarf_lines_read(struct dwarf_lines *lines, const struct dwarf_unit *unit,
		     const struct dwarf_code *code, struct err *err);

/* The builder's id of a file by its number in the table; 0 when it is not there. */
int dwarf_lines_file(struct dwarf_lines *lines, struct gsym_builder *builder, uint64_t number,
		     uint32_t *id);

struct dwarf_line_list {
	struct gsym_line *items;
	size_t count, cap;
};

/* Replace what is in list by the lines of a range. */
int dwarf_lines_collect(struct dwarf_lines *lines, struct gsym_builder *builder,
			struct gsym_range range, struct dwarf_line_list *list);
