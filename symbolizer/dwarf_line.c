#include "symbolizer/dwarf_line.h"

#include <errno.h>
#include <string.h>

#include "base/array.h"
#include "base/buf.h"

enum {
	MAX_FILES = 1 << 20,
	MAX_FORMATS = 256,
	MAX_PATH_BYTES = 64 << 10,
	STANDARD_OPCODES = 256,
	ADDRESS_BYTES = 8,
	ROWS_PER_SEQUENCE = 2, /* one takes as much memory as two rows */
};

/* Of the header, what the program needs. */
struct header {
	struct reader program;
	uint8_t offset_bytes;
	uint8_t min_instruction_bytes;
	int8_t line_base;
	uint8_t line_range;
	uint8_t opcode_base;
	uint8_t operands[STANDARD_OPCODES];
};

/* Registers of the state machine that are of interest; section 6.2.2. */
struct state {
	uint64_t vaddr;
	uint64_t file;
	uint64_t line;
};

struct table {
	struct dwarf_lines *lines;
	const struct dwarf_unit *unit; /* whose file has .debug_line: not a split one */
	const struct dwarf_code *code;
	struct header header;
	struct state state;
	size_t first_row; /* of the sequence at hand */
	bool is_sorted;
};

void dwarf_lines_init(struct dwarf_lines *lines, size_t max_rows)
{
	*lines = (struct dwarf_lines){.max_rows = max_rows};
}

void dwarf_lines_fini(struct dwarf_lines *lines)
{
	free(lines->rows);
	free(lines->sequences);
	free(lines->files);
	free(lines->directories);
	*lines = (struct dwarf_lines){0};
}

static int add_directory(struct dwarf_lines *lines, const char *name)
{
	int rc = ARRAY_RESERVE(lines->directories, lines->directory_cap, lines->directory_count,
			       MAX_FILES);
	if (!rc)
		lines->directories[lines->directory_count++] = name;
	return rc;
}

static int add_file(struct dwarf_lines *lines, const char *name, uint64_t directory)
{
	int rc = ARRAY_RESERVE(lines->files, lines->file_cap, lines->file_count, MAX_FILES);
	if (!rc)
		lines->files[lines->file_count++] = (struct dwarf_line_file){
			.name = name, .directory = directory, .id = UINT32_MAX};
	return rc;
}

/* DWARF 2 to 4: strings up to an empty one. */
static int read_old_names(struct dwarf_lines *lines, struct reader *r)
{
	int rc = 0;
	for (const char *name = reader_cstr(r); name && *name && !rc; name = reader_cstr(r))
		rc = add_directory(lines, name);
	for (const char *name = reader_cstr(r); name && *name && !rc; name = reader_cstr(r)) {
		uint64_t directory = reader_varint(r);
		(void)reader_varint(r); /* time of the last change */
		(void)reader_varint(r); /* length */
		rc = add_file(lines, name, directory);
	}
	return rc;
}

/* DWARF 5: a description of entries, then the entries. Those of the directories have no index
 * of a directory. */
static int read_names(struct table *table, struct reader *r, bool are_files)
{
	uint64_t content[MAX_FORMATS], forms[MAX_FORMATS];
	struct dwarf_shape shape = {.offset_bytes = table->header.offset_bytes};
	uint8_t format_count = reader_u8(r);
	for (uint8_t i = 0; i < format_count; i++) {
		content[i] = reader_varint(r);
		forms[i] = reader_varint(r);
		if (dwarf_form_bytes(forms[i], shape) == DWARF_FORM_UNKNOWN)
			return -EOPNOTSUPP;
	}
	uint64_t count = reader_varint(r);
	/* An entry of no bytes could come any number of times. */
	if (format_count == 0 && count > 0)
		return -EBADMSG;
	for (uint64_t i = 0; i < count && !r->bad; i++) {
		const char *name = NULL;
		uint64_t directory = 0;
		for (uint8_t j = 0; j < format_count; j++) {
			struct dwarf_value value = dwarf_form_read(r, (uint16_t)forms[j], 0, shape);
			if (content[j] == DW_LNCT_path && !r->bad)
				name = dwarf_unit_string(table->unit, &value);
			else if (content[j] == DW_LNCT_directory_index)
				directory = value.number;
		}
		name = name ? name : "";
		int rc = are_files ? add_file(table->lines, name, directory)
				   : add_directory(table->lines, name);
		if (rc)
			return rc;
	}
	return 0;
}

static int read_header(struct table *table, struct reader r)
{
	struct header *header = &table->header;
	struct dwarf_lines *lines = table->lines;
	uint64_t len_bytes = reader_u32(&r);
	header->offset_bytes = len_bytes == 0xffffffff ? 8 : 4;
	if (header->offset_bytes == 8)
		len_bytes = reader_u64(&r);
	r = reader_sub(&r, len_bytes);
	lines->version = reader_u16(&r);
	if (!r.bad && (lines->version < 2 || lines->version > 5))
		return -EOPNOTSUPP;
	if (lines->version >= 5)
		reader_skip(&r, 1 + 1); /* size of addresses, of segment selectors */
	uint64_t header_bytes = header->offset_bytes == 8 ? reader_u64(&r) : reader_u32(&r);
	header->program = r;
	reader_skip(&header->program, header_bytes);
	header->min_instruction_bytes = reader_u8(&r);
	if (lines->version >= 4)
		reader_skip(&r, 1); /* maximum_operations_per_instruction: VLIW machines */
	reader_skip(&r, 1);         /* default_is_stmt */
	header->line_base = (int8_t)reader_u8(&r);
	header->line_range = reader_u8(&r);
	header->opcode_base = reader_u8(&r);
	for (uint8_t i = 1; i < header->opcode_base; i++)
		header->operands[i] = reader_u8(&r);
	int rc;
	if (lines->version < 5) {
		rc = read_old_names(lines, &r);
	} else {
		rc = read_names(table, &r, false);
		if (!rc)
			rc = read_names(table, &r, true);
	}
	if (rc)
		return rc;
	return r.bad || header->program.bad ? -ENODATA : 0;
}

/* The last row at an address counts; one that repeats the line before it says nothing. */
static int add_row(struct table *table)
{
	struct dwarf_lines *lines = table->lines;
	struct dwarf_line_row row = {
		.vaddr = table->state.vaddr,
		.file = table->state.file < UINT32_MAX ? (uint32_t)table->state.file : UINT32_MAX,
		.line = table->state.line < UINT32_MAX ? (uint32_t)table->state.line : 0};
	if (lines->row_count > table->first_row) {
		struct dwarf_line_row *last = &lines->rows[lines->row_count - 1];
		if (row.vaddr < last->vaddr)
			table->is_sorted = false;
		if (last->vaddr == row.vaddr) {
			*last = row;
			return 0;
		}
		if (row.vaddr > last->vaddr && last->file == row.file && last->line == row.line)
			return 0;
	}
	int rc = ARRAY_RESERVE(lines->rows, lines->row_cap, lines->row_count, lines->max_rows);
	if (!rc)
		lines->rows[lines->row_count++] = row;
	return rc;
}

static int compare_rows(const void *left, const void *right)
{
	const struct dwarf_line_row *a = left, *b = right;
	return (a->vaddr > b->vaddr) - (a->vaddr < b->vaddr);
}

/* state.vaddr: the first address behind the sequence. */
static int end_sequence(struct table *table)
{
	struct dwarf_lines *lines = table->lines;
	size_t row_count = lines->row_count - table->first_row;
	if (row_count == 0)
		return 0;
	struct dwarf_line_row *rows = &lines->rows[table->first_row];
	if (!table->is_sorted)
		qsort(rows, row_count, sizeof(*rows), compare_rows);
	if (!dwarf_code_holds(table->code, rows[0].vaddr, table->state.vaddr)) {
		lines->row_count = table->first_row;
		return 0;
	}
	int rc = ARRAY_RESERVE(lines->sequences, lines->sequence_cap, lines->sequence_count,
			       lines->max_rows / ROWS_PER_SEQUENCE + 1);
	if (rc)
		return rc;
	lines->sequences[lines->sequence_count++] = (struct dwarf_line_sequence){
		.start_vaddr = rows[0].vaddr,
		.end_vaddr = table->state.vaddr,
		.first_row = table->first_row,
		.row_count = row_count,
	};
	table->first_row = lines->row_count;
	return 0;
}

static void reset(struct table *table)
{
	table->state = (struct state){.file = 1, .line = 1};
	table->first_row = table->lines->row_count;
	table->is_sorted = true;
}

static int run_extended(struct table *table, struct reader *r)
{
	struct reader operands = reader_sub(r, reader_varint(r));
	uint8_t opcode = reader_u8(&operands);
	int rc = 0;
	if (operands.bad)
		return 0; /* and so is r, or there is no opcode */
	if (opcode == DW_LNE_end_sequence) {
		rc = end_sequence(table);
		reset(table);
	} else if (opcode == DW_LNE_set_address) {
		if (reader_left_bytes(&operands) != ADDRESS_BYTES)
			return -EOPNOTSUPP;
		table->state.vaddr = reader_u64(&operands);
	} else if (opcode == DW_LNE_define_file) {
		const char *name = reader_cstr(&operands);
		uint64_t directory = reader_varint(&operands);
		if (!operands.bad)
			rc = add_file(table->lines, name, directory);
	}
	return rc;
}

static int run_standard(struct table *table, uint8_t opcode, struct reader *r)
{
	struct state *state = &table->state;
	const struct header *header = &table->header;
	switch (opcode) {
	case DW_LNS_copy:
		return add_row(table);
	case DW_LNS_advance_pc:
		state->vaddr += reader_varint(r) * header->min_instruction_bytes;
		return 0;
	case DW_LNS_advance_line:
		state->line += (uint64_t)reader_sleb(r);
		return 0;
	case DW_LNS_set_file:
		state->file = reader_varint(r);
		return 0;
	case DW_LNS_const_add_pc:
		state->vaddr += (uint64_t)((255 - header->opcode_base) / header->line_range) *
				header->min_instruction_bytes;
		return 0;
	case DW_LNS_fixed_advance_pc:
		state->vaddr += reader_u16(r);
		return 0;
	default: /* of no interest, or of the future */
		for (uint8_t i = 0; i < header->operands[opcode]; i++)
			(void)reader_varint(r);
		return 0;
	}
}

static int run_special(struct table *table, uint8_t opcode)
{
	const struct header *header = &table->header;
	uint8_t adjusted = opcode - header->opcode_base;
	table->state.vaddr +=
		(uint64_t)(adjusted / header->line_range) * header->min_instruction_bytes;
	table->state.line += (uint64_t)(int64_t)(header->line_base + adjusted % header->line_range);
	return add_row(table);
}

static int run(struct table *table)
{
	struct reader r = table->header.program;
	if (table->header.line_range == 0 || table->header.opcode_base == 0)
		return -EBADMSG;
	reset(table);
	int rc = 0;
	while (!rc && reader_left_bytes(&r) > 0) {
		uint8_t opcode = reader_u8(&r);
		if (opcode >= table->header.opcode_base)
			rc = run_special(table, opcode);
		else if (opcode)
			rc = run_standard(table, opcode, &r);
		else
			rc = run_extended(table, &r);
	}
	table->lines->row_count = table->first_row; /* a sequence without its end */
	return rc || !r.bad ? rc : -ENODATA;
}

static int compare_sequences(const void *left, const void *right)
{
	const struct dwarf_line_sequence *a = left, *b = right;
	if (a->start_vaddr != b->start_vaddr)
		return a->start_vaddr < b->start_vaddr ? -1 : 1;
	return (a->end_vaddr > b->end_vaddr) - (a->end_vaddr < b->end_vaddr);
}

static int read_table(struct table *table, struct reader r)
{
	int rc = r.bad ? -ENODATA : read_header(table, r);
	if (rc)
		return rc;
	if (!dwarf_work_pay(table->unit->file->work, (uint64_t)(table->header.program.end - r.pos)))
		return -ENOSPC;
	return run(table);
}

int dwarf_lines_read(struct dwarf_lines *lines, const struct dwarf_unit *unit,
		     const struct dwarf_code *code, struct err *err)
{
	const struct dwarf_unit *owner = unit->skeleton ? unit->skeleton : unit;
	if (lines->of_file == owner->file && lines->of_off == unit->line_off && unit->has_line &&
	    lines->unit_directory == unit->directory)
		return 0;
	lines->row_count = lines->sequence_count = 0;
	lines->file_count = lines->directory_count = 0;
	lines->of_file = NULL;
	lines->unit_directory = unit->directory;
	if (!unit->has_line)
		return 0;
	struct table table = {.lines = lines, .unit = owner, .code = code};
	struct reader r =
		dwarf_section_reader(&owner->file->sections.of[DWARF_LINE], unit->line_off);
	int rc = read_table(&table, r);
	if (lines->sequence_count)
		qsort(lines->sequences, lines->sequence_count, sizeof(*lines->sequences),
		      compare_sequences);
	if (rc)
		return err_set(err, rc, "the line table at %#llx: %m",
			       (unsigned long long)unit->line_off);
	lines->of_file = owner->file;
	lines->of_off = unit->line_off;
	return 0;
}

static const char *directory_of(const struct dwarf_lines *lines, const struct dwarf_line_file *file)
{
	/* Before DWARF 5, 0 was the directory of the compilation and not in the list. */
	uint64_t position = lines->version < 5 ? file->directory - 1 : file->directory;
	return position < lines->directory_count ? lines->directories[position] : "";
}

static void append_component(struct buf *path, const char *component)
{
	if (path->len_bytes && path->data[path->len_bytes - 1] != '/' && *component)
		buf_append_u8(path, '/');
	buf_append_str(path, component);
}

static int add_path(struct gsym_builder *builder, const char *path, size_t len_bytes, uint32_t *id)
{
	const char *slash = memrchr(path, '/', len_bytes);
	size_t base_at = slash ? (size_t)(slash - path) + 1 : 0;
	size_t directory_bytes = base_at > 1 ? base_at - 1 : base_at; /* "/" stays */
	uint32_t directory, base;
	int rc = gsym_builder_add_string(builder, path, directory_bytes, &directory);
	if (!rc)
		rc = gsym_builder_add_string(builder, path + base_at, len_bytes - base_at, &base);
	return rc ? rc : gsym_builder_add_file(builder, directory, base, id);
}

int dwarf_lines_file(struct dwarf_lines *lines, struct gsym_builder *builder, uint64_t number,
		     uint32_t *id)
{
	*id = 0;
	uint64_t position = lines->version < 5 ? number - 1 : number;
	if (position >= lines->file_count)
		return 0;
	struct dwarf_line_file *file = &lines->files[position];
	if (file->id != UINT32_MAX) {
		*id = file->id;
		return 0;
	}
	struct buf path;
	buf_init(&path, MAX_PATH_BYTES);
	const char *directory = directory_of(lines, file);
	if (file->name[0] != '/') {
		if (directory[0] != '/' && lines->unit_directory)
			append_component(&path, lines->unit_directory);
		append_component(&path, directory);
	}
	append_component(&path, file->name);
	int rc = buf_error(&path) == -ENOMEM ? -ENOMEM : 0;
	if (!rc && !buf_error(&path) && path.len_bytes)
		rc = add_path(builder, path.data, path.len_bytes, &file->id);
	else if (!rc)
		file->id = 0; /* no path is that long */
	buf_fini(&path);
	if (!rc)
		*id = file->id;
	return rc;
}

/* The first sequence that ends behind vaddr; they may overlap, which is damage. */
static size_t first_sequence(const struct dwarf_lines *lines, uint64_t vaddr)
{
	size_t low = 0, high = lines->sequence_count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (lines->sequences[middle].end_vaddr <= vaddr)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* The last row at or before vaddr, which is in the sequence. */
static size_t row_at(const struct dwarf_lines *lines, const struct dwarf_line_sequence *sequence,
		     uint64_t vaddr)
{
	size_t low = 0, high = sequence->row_count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (lines->rows[sequence->first_row + middle].vaddr <= vaddr)
			low = middle + 1;
		else
			high = middle;
	}
	return sequence->first_row + low - 1;
}

static int append_line(struct dwarf_line_list *list, struct gsym_line line)
{
	if (list->count > 0) {
		const struct gsym_line *last = &list->items[list->count - 1];
		if (last->file == line.file && last->line == line.line)
			return 0;
	}
	int rc = ARRAY_RESERVE(list->items, list->cap, list->count, SIZE_MAX / sizeof(line));
	if (!rc)
		list->items[list->count++] = line;
	return rc;
}

static int collect_sequence(struct dwarf_lines *lines, struct gsym_builder *builder,
			    const struct dwarf_line_sequence *sequence, struct gsym_range range,
			    struct dwarf_line_list *list)
{
	size_t end = sequence->first_row + sequence->row_count;
	for (size_t i = row_at(lines, sequence, range.start_vaddr); i < end; i++) {
		const struct dwarf_line_row *row = &lines->rows[i];
		if (row->vaddr >= range.end_vaddr)
			return 0;
		struct gsym_line line = {
			.vaddr = row->vaddr > range.start_vaddr ? row->vaddr : range.start_vaddr,
			.line = row->line};
		int rc = dwarf_lines_file(lines, builder, row->file, &line.file);
		if (!rc)
			rc = append_line(list, line);
		if (rc)
			return rc;
	}
	return 0;
}

int dwarf_lines_collect(struct dwarf_lines *lines, struct gsym_builder *builder,
			struct gsym_range range, struct dwarf_line_list *list)
{
	list->count = 0;
	for (size_t i = first_sequence(lines, range.start_vaddr);
	     i < lines->sequence_count && range.start_vaddr < range.end_vaddr; i++) {
		const struct dwarf_line_sequence *sequence = &lines->sequences[i];
		if (sequence->start_vaddr >= range.end_vaddr)
			break;
		if (sequence->end_vaddr <= range.start_vaddr)
			continue;
		if (sequence->start_vaddr > range.start_vaddr)
			range.start_vaddr = sequence->start_vaddr;
		int rc = collect_sequence(lines, builder, sequence, range, list);
		if (rc)
			return rc;
		range.start_vaddr = sequence->end_vaddr;
		/* Between two sequences nothing is known. */
		bool has_gap = range.start_vaddr < range.end_vaddr;
		rc = has_gap ? append_line(list, (struct gsym_line){.vaddr = range.start_vaddr})
			     : 0;
		if (rc)
			return rc;
	}
	return 0;
}
