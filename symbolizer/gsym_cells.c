#include "symbolizer/gsym_cells.h"

#include <string.h>

#include "base/array.h"
#include "symbolizer/gsym_format.h"

enum {
	MIN_SHIFT = 4,
	MIN_CALLS = 2 * GSYM_GROUP_CALLS,
	HEAD_BYTES = 8,
	MAX_SHARE = 4, /* a quarter of the calls' bytes */
};

/* What is known of one cell while its entries are counted, and then written. */
struct gsym_cell {
	uint32_t last_group; /* + 1 */
	uint32_t position;   /* how many entries; then where the next one goes */
};

struct table {
	struct gsym_encoder *encoder;
	size_t group_count, entry_bytes;
	uint32_t shift;
	size_t cell_count;
	size_t entry_count, max_entries;
	uint8_t *entries; /* NULL while they are counted */
};

/* False: they are too many. */
static bool add_entry(struct table *table, size_t position, uint32_t group)
{
	struct gsym_cell *cell = &table->encoder->cells[position];
	if (cell->last_group == group + 1)
		return true;
	cell->last_group = group + 1;
	if (table->entries) /* little-endian */
		memcpy(table->entries + cell->position * table->entry_bytes, &group,
		       table->entry_bytes);
	cell->position++;
	return ++table->entry_count <= table->max_entries;
}

static bool add_call(struct table *table, const struct gsym_clipped *call, uint32_t group)
{
	const struct gsym_range *ranges = &table->encoder->ranges[call->first_range];
	uint64_t start_vaddr = table->encoder->ranges[0].start_vaddr; /* of the function */
	uint64_t next = 0;
	for (size_t i = 0; i < call->range_count; i++) {
		uint64_t first = (ranges[i].start_vaddr - start_vaddr) >> table->shift;
		uint64_t last = (ranges[i].end_vaddr - 1 - start_vaddr) >> table->shift;
		for (next = next > first ? next : first; next <= last; next++)
			if (!add_entry(table, next, group))
				return false;
	}
	return true;
}

static bool add_all(struct table *table)
{
	for (size_t i = 0; i < table->cell_count; i++)
		table->encoder->cells[i].last_group = 0;
	table->entry_count = 0;
	for (size_t i = 1; i < table->encoder->call_count; i++)
		if (!add_call(table, &table->encoder->calls[i],
			      (uint32_t)(i - 1) / GSYM_GROUP_CALLS))
			return false;
	return true;
}

/* Count the entries of each cell. False: with cells of this size they are too many. */
static bool count_entries(struct table *table)
{
	for (size_t i = 0; i < table->cell_count; i++)
		table->encoder->cells[i].position = 0;
	table->entries = NULL;
	return add_all(table);
}

static void make_groups(struct table *table)
{
	struct gsym_encoder *encoder = table->encoder;
	for (size_t i = 1; i < encoder->call_count; i += GSYM_GROUP_CALLS) {
		const struct gsym_clipped *calls = &encoder->calls[i];
		size_t count = encoder->call_count - i;
		uint32_t lowest = calls[0].call->depth;
		for (size_t j = 1; j < count && j < GSYM_GROUP_CALLS; j++)
			if (calls[j].call->depth < lowest)
				lowest = calls[j].call->depth;
		buf_append_u32le(&encoder->call_groups,
				 calls[0].call->depth << GSYM_GROUP_DEPTH_SHIFT | calls[0].off);
		buf_append_u8(&encoder->group_depths, (uint8_t)lowest);
	}
}

static void append_u16le(struct buf *out, uint32_t value)
{
	buf_append_u8(out, (uint8_t)value);
	buf_append_u8(out, (uint8_t)(value >> 8));
}

/* Of counts make positions. */
static void make_starts(struct table *table)
{
	uint32_t position = 0;
	for (size_t i = 0; i < table->cell_count; i++) {
		append_u16le(&table->encoder->cell_starts, position);
		uint32_t count = table->encoder->cells[i].position;
		table->encoder->cells[i].position = position;
		position += count;
	}
	append_u16le(&table->encoder->cell_starts, position);
}

static void make_entries(struct table *table)
{
	table->entries =
		buf_extend(&table->encoder->cell_groups, table->entry_count * table->entry_bytes);
	if (table->entries)
		(void)add_all(table);
}

/* Cells as small as max_bytes allow; false: there is no room for two. */
static bool choose_shift(struct table *table, uint64_t code_bytes, size_t max_bytes)
{
	size_t groups_bytes = HEAD_BYTES + (GSYM_CALL_GROUP_BYTES + 1) * table->group_count;
	for (table->shift = MIN_SHIFT; code_bytes > UINT64_C(1) << table->shift; table->shift++) {
		uint64_t cell_count = ((code_bytes - 1) >> table->shift) + 1;
		uint64_t fixed_bytes = groups_bytes + 2 * (cell_count + 1);
		if (fixed_bytes > max_bytes)
			continue;
		table->cell_count = cell_count;
		table->max_entries = (max_bytes - fixed_bytes) / table->entry_bytes;
		if (table->max_entries > UINT16_MAX)
			table->max_entries = UINT16_MAX;
		if (count_entries(table))
			return true;
	}
	return false;
}

int gsym_cells_make(struct gsym_encoder *encoder, size_t calls_bytes)
{
	uint64_t code_bytes = encoder->ranges[0].end_vaddr - encoder->ranges[0].start_vaddr;
	size_t call_count = encoder->call_count - 1; /* without the function itself */
	size_t group_count = (call_count + GSYM_GROUP_CALLS - 1) / GSYM_GROUP_CALLS;
	size_t max_bytes = calls_bytes / MAX_SHARE;
	if (call_count < MIN_CALLS || group_count > UINT16_MAX || calls_bytes > GSYM_GROUP_OFF_MASK)
		return 0;
	while (encoder->cell_cap < max_bytes / 2) {
		int rc = ARRAY_RESERVE(encoder->cells, encoder->cell_cap, max_bytes / 2 - 1,
				       GSYM_GROUP_OFF_MASK);
		if (rc)
			return rc;
	}
	struct table table = {
		.encoder = encoder,
		.group_count = group_count,
		.entry_bytes = group_count <= UINT8_MAX + 1 ? 1 : 2,
	};
	if (!choose_shift(&table, code_bytes, max_bytes))
		return 0;
	encoder->cell_shift = table.shift;
	make_groups(&table);
	make_starts(&table);
	make_entries(&table);
	return 0;
}
