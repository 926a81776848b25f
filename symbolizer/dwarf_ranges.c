#include "symbolizer/dwarf_ranges.h"

#include <errno.h>

#include "base/array.h"

enum { ADDRESS_BYTES = 8 };

/* Linkers put this and the one below for code that is gone. */
static const uint64_t highest_vaddr = UINT64_MAX;

static bool is_tombstone(uint64_t vaddr)
{
	return vaddr == 0 || vaddr >= highest_vaddr - 1;
}

static int compare(const void *left, const void *right)
{
	const struct gsym_range *a = left, *b = right;
	if (a->start_vaddr != b->start_vaddr)
		return a->start_vaddr < b->start_vaddr ? -1 : 1;
	return (a->end_vaddr > b->end_vaddr) - (a->end_vaddr < b->end_vaddr);
}

int dwarf_code_init(struct dwarf_code *code, const struct elf_file *file)
{
	size_t count;
	const struct elf_segment *segments = elf_file_segments(file, &count);
	*code = (struct dwarf_code){.items = calloc(count + 1, sizeof(*code->items))};
	if (!code->items)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		struct gsym_range range = {segments[i].vaddr,
					   segments[i].vaddr + segments[i].memory_bytes};
		if ((segments[i].flags & PF_X) && range.start_vaddr < range.end_vaddr)
			code->items[code->count++] = range;
	}
	qsort(code->items, code->count, sizeof(*code->items), compare);
	return 0;
}

void dwarf_code_fini(struct dwarf_code *code)
{
	free(code->items);
	*code = (struct dwarf_code){0};
}

bool dwarf_code_holds(const struct dwarf_code *code, uint64_t start_vaddr, uint64_t end_vaddr)
{
	if (is_tombstone(start_vaddr) || start_vaddr >= end_vaddr)
		return false;
	for (size_t i = 0; i < code->count; i++)
		if (start_vaddr >= code->items[i].start_vaddr &&
		    end_vaddr <= code->items[i].end_vaddr)
			return true;
	return false;
}

/* One list on its way in. */
struct listing {
	struct dwarf_range_list *list;
	const struct dwarf_unit *unit;
	const struct dwarf_code *code;
	uint64_t base_vaddr;
};

static int add(const struct listing *listing, uint64_t start_vaddr, uint64_t end_vaddr)
{
	struct dwarf_range_list *list = listing->list;
	if (!dwarf_code_holds(listing->code, start_vaddr, end_vaddr))
		return 0;
	int rc = ARRAY_RESERVE(list->items, list->cap, list->count, list->max_count);
	if (!rc)
		list->items[list->count++] = (struct gsym_range){start_vaddr, end_vaddr};
	return rc;
}

/* To a base that is a tombstone nothing is added: the sum may be an address that exists. Base 0
 * is that of units whose lists have whole addresses. */
static int add_pair(const struct listing *listing, uint64_t start, uint64_t end)
{
	if (listing->base_vaddr >= highest_vaddr - 1)
		return 0;
	return add(listing, listing->base_vaddr + start, listing->base_vaddr + end);
}

/* .debug_ranges. Every list is paid for by its bytes: many entries may name the same. */
static int read_old_list(struct listing *listing, struct reader r, bool *is_whole)
{
	for (;;) {
		uint64_t start = reader_u64(&r);
		uint64_t end = reader_u64(&r);
		if (r.bad || !dwarf_work_pay(listing->unit->file->work, 2 * ADDRESS_BYTES)) {
			*is_whole = false;
			return 0;
		}
		if (start == 0 && end == 0)
			return 0;
		if (start == highest_vaddr) {
			listing->base_vaddr = end;
			continue;
		}
		int rc = add_pair(listing, start, end);
		if (rc)
			return rc;
	}
}

static uint64_t read_indexed(const struct listing *listing, struct reader *r)
{
	uint64_t vaddr = 0;
	if (!dwarf_unit_indexed_address(listing->unit, reader_varint(r), &vaddr))
		r->bad = true;
	return vaddr;
}

/* One entry of .debug_rnglists; *is_last: there are no more. */
static int read_list_entry(struct listing *listing, struct reader *r, bool *is_last)
{
	uint64_t start, end;
	uint8_t kind = reader_u8(r);
	switch (kind) {
	case DW_RLE_base_addressx:
		listing->base_vaddr = read_indexed(listing, r);
		return 0;
	case DW_RLE_startx_endx:
		start = read_indexed(listing, r);
		end = read_indexed(listing, r);
		break;
	case DW_RLE_startx_length:
		start = read_indexed(listing, r);
		end = start + reader_varint(r);
		break;
	case DW_RLE_offset_pair:
		start = reader_varint(r);
		end = reader_varint(r);
		return r->bad ? 0 : add_pair(listing, start, end);
	case DW_RLE_base_address:
		listing->base_vaddr = reader_u64(r);
		return 0;
	case DW_RLE_start_end:
		start = reader_u64(r);
		end = reader_u64(r);
		break;
	case DW_RLE_start_length:
		start = reader_u64(r);
		end = start + reader_varint(r);
		break;
	default:
		r->bad |= kind != DW_RLE_end_of_list;
		*is_last = true;
		return 0;
	}
	return r->bad ? 0 : add(listing, start, end);
}

static int read_list(struct listing *listing, struct reader r, bool *is_whole)
{
	bool is_last = false;
	while (!is_last) {
		const uint8_t *start = r.pos;
		int rc = read_list_entry(listing, &r, &is_last);
		if (rc)
			return rc;
		if (r.bad ||
		    !dwarf_work_pay(listing->unit->file->work, (uint64_t)(r.pos - start))) {
			*is_whole = false;
			return 0;
		}
	}
	return 0;
}

/* Where in .debug_rnglists the list begins. */
static uint64_t list_off(const struct dwarf_unit *unit, const struct dwarf_value *value)
{
	if (value->form != DW_FORM_rnglistx)
		return unit->bases.rnglists_off + value->number;
	uint8_t offset_bytes = unit->abbrevs->shape.offset_bytes;
	if (value->number > UINT32_MAX)
		return UINT64_MAX;
	struct reader r = dwarf_section_reader(&unit->file->sections.of[DWARF_RNGLISTS],
					       unit->rnglists_base + value->number * offset_bytes);
	uint64_t off = offset_bytes == 8 ? reader_u64(&r) : reader_u32(&r);
	return r.bad ? UINT64_MAX : unit->rnglists_base + off;
}

static int append_list(struct listing *listing, const struct dwarf_value *value, bool *is_whole)
{
	const struct dwarf_unit *unit = listing->unit;
	if (unit->version >= 5) {
		struct reader r = dwarf_section_reader(&unit->file->sections.of[DWARF_RNGLISTS],
						       list_off(unit, value));
		return read_list(listing, r, is_whole);
	}
	/* A GNU split unit's lists are in the executable, behind its base. */
	const struct dwarf_file *file = unit->skeleton ? unit->skeleton->file : unit->file;
	uint64_t base = unit->skeleton ? unit->ranges_base : 0;
	struct reader r =
		dwarf_section_reader(&file->sections.of[DWARF_RANGES], base + value->number);
	return read_old_list(listing, r, is_whole);
}

static int append_single(const struct listing *listing, const struct dwarf_entry *entry,
			 bool *is_whole)
{
	uint64_t start, end;
	if (!dwarf_unit_address(listing->unit, &entry->low_pc, &start)) {
		*is_whole = false;
		return 0;
	}
	if (!entry->high_pc.form) /* a single address */
		return 0;
	/* An address, or how many bytes after low_pc. */
	if (!dwarf_unit_address(listing->unit, &entry->high_pc, &end))
		end = start + entry->high_pc.number;
	return add(listing, start, end);
}

void dwarf_ranges_tidy(struct dwarf_range_list *list, size_t first)
{
	if (list->count - first < 2)
		return;
	qsort(list->items + first, list->count - first, sizeof(*list->items), compare);
	size_t last = first;
	for (size_t i = first + 1; i < list->count; i++) {
		struct gsym_range *kept = &list->items[last], *next = &list->items[i];
		if (next->start_vaddr > kept->end_vaddr)
			list->items[++last] = *next;
		else if (next->end_vaddr > kept->end_vaddr)
			kept->end_vaddr = next->end_vaddr;
	}
	list->count = last + 1;
}

int dwarf_ranges_append(struct dwarf_range_list *list, const struct dwarf_unit *unit,
			const struct dwarf_entry *entry, const struct dwarf_code *code,
			bool *is_whole)
{
	struct listing listing = {
		.list = list, .unit = unit, .code = code, .base_vaddr = unit->low_vaddr};
	size_t first = list->count;
	*is_whole = true;
	int rc = 0;
	if (entry->ranges.form)
		rc = append_list(&listing, &entry->ranges, is_whole);
	else if (entry->low_pc.form)
		rc = append_single(&listing, entry, is_whole);
	dwarf_ranges_tidy(list, first);
	return rc;
}
