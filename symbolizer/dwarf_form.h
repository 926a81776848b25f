/*
 * dwarf_form: values of attributes as their bytes say, and how to step over them.
 * DWARF 5 section 7.5.5.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/reader.h"
#include "symbolizer/dwarf_constants.h"

/* What the sizes of forms depend on. Addresses have 8 bytes. */
struct dwarf_shape {
	uint8_t offset_bytes; /* 4, or 8: 64-bit DWARF */
	bool is_version_2;    /* DW_FORM_ref_addr had the size of an address */
};

enum { DWARF_FORM_VARIES = -1, DWARF_FORM_UNKNOWN = -2 };

struct dwarf_value {
	uint16_t form;        /* 0: there is no such attribute */
	uint64_t number;      /* also an offset, an index, the length of a block */
	const uint8_t *bytes; /* of a string or block inside the unit; else NULL */
};

/* The size of a form, DWARF_FORM_VARIES or DWARF_FORM_UNKNOWN. */
int dwarf_form_bytes(uint64_t form, struct dwarf_shape shape);
/* Step over a value whose form is known and varies; bad when it cannot. */
void dwarf_form_skip(struct reader *r, uint16_t form, struct dwarf_shape shape);
/* constant: of DW_FORM_implicit_const. The reader is bad when it cannot be read. */
struct dwarf_value dwarf_form_read(struct reader *r, uint16_t form, int64_t constant,
				   struct dwarf_shape shape);
