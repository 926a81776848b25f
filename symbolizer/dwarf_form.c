#include "symbolizer/dwarf_form.h"

#include <string.h>

enum {
	OFFSET_SIZED = 100,
	REF_ADDR_SIZED = 101,
	VARIES = 102,
	STANDARD_FORMS = DW_FORM_addrx4 + 1,
	ADDRESS_BYTES = 8,
};

/* 0: unknown, so that forms of no bytes are NONE. */
enum { NONE = 103 };
static const uint8_t sizes[STANDARD_FORMS] = {
	[DW_FORM_addr] = ADDRESS_BYTES,
	[DW_FORM_block2] = VARIES,
	[DW_FORM_block4] = VARIES,
	[DW_FORM_data2] = 2,
	[DW_FORM_data4] = 4,
	[DW_FORM_data8] = 8,
	[DW_FORM_string] = VARIES,
	[DW_FORM_block] = VARIES,
	[DW_FORM_block1] = VARIES,
	[DW_FORM_data1] = 1,
	[DW_FORM_flag] = 1,
	[DW_FORM_sdata] = VARIES,
	[DW_FORM_strp] = OFFSET_SIZED,
	[DW_FORM_udata] = VARIES,
	[DW_FORM_ref_addr] = REF_ADDR_SIZED,
	[DW_FORM_ref1] = 1,
	[DW_FORM_ref2] = 2,
	[DW_FORM_ref4] = 4,
	[DW_FORM_ref8] = 8,
	[DW_FORM_ref_udata] = VARIES,
	[DW_FORM_indirect] = VARIES,
	[DW_FORM_sec_offset] = OFFSET_SIZED,
	[DW_FORM_exprloc] = VARIES,
	[DW_FORM_flag_present] = NONE,
	[DW_FORM_strx] = VARIES,
	[DW_FORM_addrx] = VARIES,
	[DW_FORM_ref_sup4] = 4,
	[DW_FORM_strp_sup] = OFFSET_SIZED,
	[DW_FORM_data16] = 16,
	[DW_FORM_line_strp] = OFFSET_SIZED,
	[DW_FORM_ref_sig8] = 8,
	[DW_FORM_implicit_const] = NONE,
	[DW_FORM_loclistx] = VARIES,
	[DW_FORM_rnglistx] = VARIES,
	[DW_FORM_ref_sup8] = 8,
	[DW_FORM_strx1] = 1,
	[DW_FORM_strx2] = 2,
	[DW_FORM_strx3] = 3,
	[DW_FORM_strx4] = 4,
	[DW_FORM_addrx1] = 1,
	[DW_FORM_addrx2] = 2,
	[DW_FORM_addrx3] = 3,
	[DW_FORM_addrx4] = 4,
};

static uint8_t size_of(uint64_t form)
{
	if (form < STANDARD_FORMS)
		return sizes[form];
	if (form == DW_FORM_GNU_addr_index || form == DW_FORM_GNU_str_index)
		return VARIES;
	if (form == DW_FORM_GNU_ref_alt || form == DW_FORM_GNU_strp_alt)
		return OFFSET_SIZED;
	return 0;
}

int dwarf_form_bytes(uint64_t form, struct dwarf_shape shape)
{
	uint8_t size = size_of(form);
	switch (size) {
	case 0:
		return DWARF_FORM_UNKNOWN;
	case NONE:
		return 0;
	case VARIES:
		return DWARF_FORM_VARIES;
	case OFFSET_SIZED:
		return shape.offset_bytes;
	case REF_ADDR_SIZED:
		return shape.is_version_2 ? ADDRESS_BYTES : shape.offset_bytes;
	default:
		return size;
	}
}

static uint64_t read_number(struct reader *r, int bytes)
{
	uint8_t number[sizeof(uint64_t)] = {0};
	const void *from = reader_bytes(r, (size_t)bytes);
	if (from)
		memcpy(number, from, (size_t)bytes);
	uint64_t value;
	memcpy(&value, number, sizeof(value));
	return le64toh(value);
}

static struct dwarf_value read_block(struct reader *r, uint16_t form, uint64_t len_bytes)
{
	struct dwarf_value value = {.form = form, .number = len_bytes};
	value.bytes = reader_bytes(r, len_bytes);
	return value;
}

static struct dwarf_value read_varying(struct reader *r, uint16_t form)
{
	struct dwarf_value value = {.form = form};
	switch (form) {
	case DW_FORM_block1:
		return read_block(r, form, reader_u8(r));
	case DW_FORM_block2:
		return read_block(r, form, reader_u16(r));
	case DW_FORM_block4:
		return read_block(r, form, reader_u32(r));
	case DW_FORM_block:
	case DW_FORM_exprloc:
		return read_block(r, form, reader_varint(r));
	case DW_FORM_string:
		value.bytes = (const uint8_t *)reader_cstr(r);
		return value;
	case DW_FORM_sdata:
		value.number = (uint64_t)reader_sleb(r);
		return value;
	default:
		value.number = reader_varint(r);
		return value;
	}
}

struct dwarf_value dwarf_form_read(struct reader *r, uint16_t form, int64_t constant,
				   struct dwarf_shape shape)
{
	if (form == DW_FORM_indirect) {
		uint64_t real = reader_varint(r);
		/* An abbreviation has the constant; and in a circle it would never end. */
		if (real == DW_FORM_implicit_const || real == DW_FORM_indirect ||
		    dwarf_form_bytes(real, shape) == DWARF_FORM_UNKNOWN)
			r->bad = true;
		form = r->bad ? DW_FORM_flag_present : (uint16_t)real;
	}
	int bytes = dwarf_form_bytes(form, shape);
	if (bytes == DWARF_FORM_VARIES)
		return read_varying(r, form);
	struct dwarf_value value = {.form = form};
	if (form == DW_FORM_implicit_const)
		value.number = (uint64_t)constant;
	else if (form == DW_FORM_flag_present)
		value.number = 1;
	else if (bytes > (int)sizeof(uint64_t))
		value.bytes = reader_bytes(r, (size_t)bytes);
	else if (bytes > 0)
		value.number = read_number(r, bytes);
	else
		r->bad = true;
	return value;
}

void dwarf_form_skip(struct reader *r, uint16_t form, struct dwarf_shape shape)
{
	(void)dwarf_form_read(r, form, 0, shape);
}
