#include "symbolizer/dwarf_abbrev.h"

#include <errno.h>

#include "base/array.h"

/* Whole programs compiled as one unit have some ten thousand abbreviations. */
enum { MAX_ABBREVS = 1 << 18, MAX_ATTRIBUTES = 1 << 20 };

static void abbrevs_free(struct dwarf_abbrevs *abbrevs)
{
	if (!abbrevs)
		return;
	free(abbrevs->items);
	free(abbrevs->attributes);
	free(abbrevs->steps);
	free(abbrevs);
}

struct dwarf_abbrevs *dwarf_abbrevs_ref(struct dwarf_abbrevs *abbrevs)
{
	abbrevs->refs++;
	return abbrevs;
}

void dwarf_abbrevs_unref(struct dwarf_abbrevs *abbrevs)
{
	if (abbrevs && --abbrevs->refs == 0)
		abbrevs_free(abbrevs);
}

size_t dwarf_abbrevs_bytes(const struct dwarf_abbrevs *abbrevs)
{
	return sizeof(*abbrevs) + abbrevs->cap * sizeof(*abbrevs->items) +
	       abbrevs->attribute_cap * sizeof(*abbrevs->attributes) +
	       abbrevs->step_cap * sizeof(*abbrevs->steps);
}

static void unref_pointer(struct dwarf_abbrevs **abbrevs)
{
	dwarf_abbrevs_unref(*abbrevs);
}

/* Add an attribute to the last abbreviation, and its bytes to the steps over it. */
static int add_attribute(struct dwarf_abbrevs *abbrevs, struct dwarf_abbrev *abbrev, uint64_t name,
			 uint64_t form, int64_t constant, struct err *err)
{
	int bytes = dwarf_form_bytes(form, abbrevs->shape);
	if (bytes == DWARF_FORM_UNKNOWN)
		return err_set(err, -EOPNOTSUPP, "form %#llx is unknown", (unsigned long long)form);
	int rc = ARRAY_RESERVE(abbrevs->attributes, abbrevs->attribute_cap,
			       abbrevs->attribute_count, MAX_ATTRIBUTES);
	if (!rc)
		rc = ARRAY_RESERVE(abbrevs->steps, abbrevs->step_cap, abbrevs->step_count,
				   MAX_ATTRIBUTES);
	if (rc)
		return err_set(err, rc, "a table of abbreviations: %m");
	abbrevs->attributes[abbrevs->attribute_count++] = (struct dwarf_attribute){
		.name = name < UINT16_MAX ? (uint16_t)name : UINT16_MAX,
		.form = (uint16_t)form,
		.constant = constant,
	};
	abbrev->attribute_count++;
	abbrev->is_declaration |= name == DW_AT_declaration;
	abbrev->has_code |= name == DW_AT_low_pc || name == DW_AT_ranges;
	if (name == DW_AT_sibling && form == DW_FORM_ref4 && abbrev->step_count == 0)
		abbrev->sibling_off = (int32_t)abbrev->tail_bytes;
	if (bytes != DWARF_FORM_VARIES) {
		abbrev->tail_bytes += (uint32_t)bytes;
		return 0;
	}
	abbrevs->steps[abbrevs->step_count++] =
		(struct dwarf_step){.fixed_bytes = abbrev->tail_bytes, .form = (uint16_t)form};
	abbrev->step_count++;
	abbrev->tail_bytes = 0;
	return 0;
}

static int read_attributes(struct dwarf_abbrevs *abbrevs, struct dwarf_abbrev *abbrev,
			   struct reader *r, struct err *err)
{
	abbrev->first_attribute = (uint32_t)abbrevs->attribute_count;
	abbrev->first_step = (uint32_t)abbrevs->step_count;
	abbrev->sibling_off = -1;
	for (;;) {
		uint64_t name = reader_varint(r);
		uint64_t form = reader_varint(r);
		int64_t constant = form == DW_FORM_implicit_const ? reader_sleb(r) : 0;
		if (r->bad)
			return err_set(err, -ENODATA, "a table of abbreviations ends early");
		if (name == 0 && form == 0)
			return 0;
		int rc = add_attribute(abbrevs, abbrev, name, form, constant, err);
		if (rc)
			return rc;
	}
}

static int compare_codes(const void *left, const void *right)
{
	const struct dwarf_abbrev *a = left, *b = right;
	if (a->code != b->code)
		return a->code < b->code ? -1 : 1;
	/* of two with one code the first counts */
	return (a->first_attribute > b->first_attribute) -
	       (a->first_attribute < b->first_attribute);
}

/* Compilers number from 1 on; then the code is the position. */
static void sort(struct dwarf_abbrevs *abbrevs)
{
	abbrevs->is_dense = true;
	for (size_t i = 0; i < abbrevs->count; i++)
		abbrevs->is_dense &= abbrevs->items[i].code == i + 1;
	if (!abbrevs->is_dense)
		qsort(abbrevs->items, abbrevs->count, sizeof(*abbrevs->items), compare_codes);
}

const struct dwarf_abbrev *dwarf_abbrevs_search(const struct dwarf_abbrevs *abbrevs, uint64_t code)
{
	size_t low = 0, high = abbrevs->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (abbrevs->items[middle].code < code)
			low = middle + 1;
		else
			high = middle;
	}
	return low < abbrevs->count && abbrevs->items[low].code == code ? &abbrevs->items[low]
									: NULL;
}

int dwarf_abbrevs_read(struct dwarf_abbrevs **out, struct reader r, struct dwarf_shape shape,
		       struct dwarf_work *work, struct err *err)
{
	AUTO_FINI(unref_pointer) struct dwarf_abbrevs *abbrevs = calloc(1, sizeof(*abbrevs));
	if (!abbrevs)
		return err_set(err, -ENOMEM, "abbreviations: %m");
	abbrevs->refs = 1;
	abbrevs->shape = shape;
	for (;;) {
		const uint8_t *start = r.pos;
		struct dwarf_abbrev abbrev = {.code = reader_varint(&r)};
		/* The last table may lack its end. */
		if (abbrev.code == 0)
			break;
		uint64_t tag = reader_varint(&r);
		abbrev.tag = tag < UINT16_MAX ? (uint16_t)tag : UINT16_MAX;
		abbrev.has_children = reader_u8(&r) != 0;
		int rc = read_attributes(abbrevs, &abbrev, &r, err);
		if (!rc && !dwarf_work_pay(work, (uint64_t)(r.pos - start)))
			rc = err_set(err, -ENOSPC, "abbreviations are read too often");
		if (rc)
			return rc;
		rc = ARRAY_RESERVE(abbrevs->items, abbrevs->cap, abbrevs->count, MAX_ABBREVS);
		if (rc)
			return err_set(err, rc, "a table of abbreviations: %m");
		abbrevs->items[abbrevs->count++] = abbrev;
	}
	sort(abbrevs);
	*out = TAKE(abbrevs);
	return 0;
}
