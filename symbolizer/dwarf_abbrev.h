/*
 * dwarf_abbrev: one table of abbreviations: which attributes an entry of .debug_info has, and
 * how to step over all of them in one or a few steps. DWARF 5 section 7.5.3.
 *
 * Immutable once read and shared by the units that name the same table. One thread.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/auto.h"
#include "base/err.h"
#include "base/reader.h"
#include "symbolizer/dwarf_form.h"
#include "symbolizer/dwarf_work.h"

struct dwarf_attribute {
	uint16_t name; /* DW_AT_*; 0xffff for one that does not fit */
	uint16_t form;
	int64_t constant; /* of DW_FORM_implicit_const */
};

/* Bytes of fixed size and one value that varies after them. */
struct dwarf_step {
	uint32_t fixed_bytes;
	uint16_t form;
};

struct dwarf_abbrev {
	uint64_t code;
	uint32_t first_attribute, attribute_count;
	uint32_t first_step, step_count;
	uint32_t tail_bytes; /* after the last step */
	int32_t sibling_off; /* of a DW_AT_sibling of 4 bytes in the entry; -1: none there */
	uint16_t tag;
	bool has_children;
	bool has_code;       /* DW_AT_low_pc or DW_AT_ranges */
	bool is_declaration; /* DW_AT_declaration */
};

struct dwarf_abbrevs {
	struct dwarf_abbrev *items; /* by code */
	size_t count, cap;
	struct dwarf_attribute *attributes;
	size_t attribute_count, attribute_cap;
	struct dwarf_step *steps;
	size_t step_count, step_cap;
	bool is_dense; /* items[i] has code i + 1 */
	struct dwarf_shape shape;
	uint64_t off; /* in .debug_abbrev */
	unsigned int refs;
};

/* Read the table at r with one reference on it. -EBADMSG, -ENODATA, -EOPNOTSUPP: a form that
 * is not known; -ENOSPC: a ceiling, or no work is left; -ENOMEM. */
int dwarf_abbrevs_read(struct dwarf_abbrevs **out, struct reader r, struct dwarf_shape shape,
		       struct dwarf_work *work, struct err *err);
struct dwarf_abbrevs *dwarf_abbrevs_ref(struct dwarf_abbrevs *abbrevs);
void dwarf_abbrevs_unref(struct dwarf_abbrevs *abbrevs); /* NULL is fine */

size_t dwarf_abbrevs_bytes(const struct dwarf_abbrevs *abbrevs); /* of memory */

const struct dwarf_abbrev *dwarf_abbrevs_search(const struct dwarf_abbrevs *abbrevs, uint64_t code);

/* NULL: no such code. */
static inline const struct dwarf_abbrev *dwarf_abbrevs_find(const struct dwarf_abbrevs *abbrevs,
							    uint64_t code)
{
	if (abbrevs->is_dense)
		return code - 1 < abbrevs->count ? &abbrevs->items[code - 1] : NULL;
	return dwarf_abbrevs_search(abbrevs, code);
}

/* Step over all attributes of an entry whose code was just read. */
static inline void dwarf_abbrev_skip(const struct dwarf_abbrevs *abbrevs,
				     const struct dwarf_abbrev *abbrev, struct reader *r)
{
	for (uint32_t i = 0; i < abbrev->step_count; i++) {
		const struct dwarf_step *step = &abbrevs->steps[abbrev->first_step + i];
		reader_skip(r, step->fixed_bytes);
		dwarf_form_skip(r, step->form, abbrevs->shape);
	}
	reader_skip(r, abbrev->tail_bytes);
}
