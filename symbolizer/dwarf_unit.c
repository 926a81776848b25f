#include "symbolizer/dwarf_unit.h"

#include <errno.h>
#include <string.h>

#include "base/array.h"
#include "base/hash.h"

enum {
	MAX_UNITS = 1 << 22,
	MAX_KEPT_BYTES = 64 << 20, /* real files come to some five */
	ADDRESS_BYTES = 8,
};

struct reader dwarf_section_reader(const struct dwarf_section *section, uint64_t off)
{
	struct reader r = reader_of(section->data, section->len_bytes);
	reader_skip(&r, off);
	return r;
}

const char *dwarf_section_string(const struct dwarf_section *section, uint64_t off)
{
	struct reader r = dwarf_section_reader(section, off);
	return reader_cstr(&r);
}

static void drop_kept(struct dwarf_file *file)
{
	for (size_t i = 0; i < DWARF_UNITS_KEPT; i++) {
		dwarf_unit_free(TAKE(file->kept[i]));
		dwarf_abbrevs_unref(TAKE(file->abbrevs[i]));
	}
	file->kept_bytes = 0;
}

void dwarf_file_fini(struct dwarf_file *file)
{
	drop_kept(file);
	free(file->unit_offs);
	dwarf_sections_fini(&file->sections);
	*file = (struct dwarf_file){0};
}

void dwarf_file_trim(struct dwarf_file *file)
{
	if (file->kept_bytes > MAX_KEPT_BYTES)
		drop_kept(file);
}

/* unit_length, and with it the size of offsets. DWARF 5 section 7.4. */
static uint64_t read_length(struct reader *r, uint8_t *offset_bytes)
{
	uint64_t len_bytes = reader_u32(r);
	*offset_bytes = 4;
	if (len_bytes < 0xfffffff0)
		return len_bytes;
	*offset_bytes = 8;
	if (len_bytes != 0xffffffff)
		r->bad = true;
	return reader_u64(r);
}

static uint64_t read_offset(struct reader *r, uint8_t offset_bytes)
{
	return offset_bytes == 8 ? reader_u64(r) : reader_u32(r);
}

int dwarf_file_list_units(struct dwarf_file *file, struct err *problem, struct err *err)
{
	const struct dwarf_section *info = &file->sections.of[DWARF_INFO];
	struct reader r = dwarf_section_reader(info, 0);
	while (reader_left_bytes(&r) > 0) {
		uint64_t off = (uint64_t)(r.pos - info->data);
		uint8_t offset_bytes;
		uint64_t len_bytes = read_length(&r, &offset_bytes);
		reader_skip(&r, len_bytes);
		if (r.bad && !problem->code)
			err_set(problem, -EBADMSG, "the unit at %#llx ends behind .debug_info",
				(unsigned long long)off);
		if (r.bad)
			return 0;
		int rc =
			ARRAY_RESERVE(file->unit_offs, file->unit_cap, file->unit_count, MAX_UNITS);
		if (rc)
			return err_set(err, rc, "units of .debug_info: %m");
		if (len_bytes > 0) /* else padding */
			file->unit_offs[file->unit_count++] = off;
	}
	return 0;
}

void dwarf_unit_free(struct dwarf_unit *unit)
{
	if (!unit)
		return;
	dwarf_abbrevs_unref(unit->abbrevs);
	free(unit->scopes);
	free(unit);
}

struct reader dwarf_unit_reader(const struct dwarf_unit *unit, uint64_t off)
{
	const uint8_t *info = unit->file->sections.of[DWARF_INFO].data;
	struct reader r = reader_of(info + unit->off, unit->end_off - unit->off);
	if (off < unit->root_off)
		r.bad = true;
	reader_skip(&r, off - unit->off);
	return r;
}

uint64_t dwarf_unit_reader_off(const struct dwarf_unit *unit, const struct reader *r)
{
	return (uint64_t)(r->pos - unit->file->sections.of[DWARF_INFO].data);
}

/* The table is shared with the unit that last had one of this place in the cache. */
static int find_abbrevs(struct dwarf_unit *unit, uint64_t off, struct dwarf_shape shape,
			struct err *err)
{
	struct dwarf_file *file = unit->file;
	struct dwarf_abbrevs **kept = &file->abbrevs[hash_u64(off) % DWARF_UNITS_KEPT];
	if (!*kept || (*kept)->off != off || (*kept)->shape.offset_bytes != shape.offset_bytes ||
	    (*kept)->shape.is_version_2 != shape.is_version_2) {
		struct reader r = dwarf_section_reader(&file->sections.of[DWARF_ABBREV], off);
		struct dwarf_abbrevs *abbrevs;
		if (r.bad)
			return err_set(err, -ENODATA, "its abbreviations are behind the section");
		int rc = dwarf_abbrevs_read(&abbrevs, r, shape, file->work, err);
		if (rc)
			return rc;
		abbrevs->off = off;
		file->kept_bytes += dwarf_abbrevs_bytes(abbrevs);
		dwarf_abbrevs_unref(*kept);
		*kept = abbrevs;
	}
	unit->abbrevs = dwarf_abbrevs_ref(*kept);
	return 0;
}

static int read_header(struct dwarf_unit *unit, struct err *err)
{
	const struct dwarf_section *info = &unit->file->sections.of[DWARF_INFO];
	struct reader r = dwarf_section_reader(info, unit->off);
	struct dwarf_shape shape;
	uint64_t len_bytes = read_length(&r, &shape.offset_bytes);
	r = reader_sub(&r, len_bytes);
	unit->end_off = (uint64_t)(r.end - info->data);
	unit->version = reader_u16(&r);
	shape.is_version_2 = unit->version == 2;
	if (!r.bad && (unit->version < 2 || unit->version > 5))
		return err_set(err, -EOPNOTSUPP, "DWARF version %u", unit->version);
	unit->type = DW_UT_compile;
	uint8_t address_bytes = 0;
	if (unit->version >= 5) {
		unit->type = reader_u8(&r);
		address_bytes = reader_u8(&r);
	}
	uint64_t abbrev_off = read_offset(&r, shape.offset_bytes) + unit->bases.abbrev_off;
	if (unit->version < 5)
		address_bytes = reader_u8(&r);
	if (unit->type == DW_UT_skeleton || unit->type == DW_UT_split_compile) {
		unit->id = reader_u64(&r);
		unit->has_id = true;
	} else if (unit->type == DW_UT_type || unit->type == DW_UT_split_type) {
		unit->id = reader_u64(&r);                 /* its signature */
		(void)read_offset(&r, shape.offset_bytes); /* type_offset */
	}
	if (r.bad)
		return err_set(err, -ENODATA, "its header ends early");
	if (address_bytes != ADDRESS_BYTES)
		return err_set(err, -EOPNOTSUPP, "addresses of %u bytes", address_bytes);
	unit->root_off = dwarf_unit_reader_off(unit, &r);
	return find_abbrevs(unit, abbrev_off, shape, err);
}

/* Attributes of the first entry may come in any order, and some are needed to read others. */
struct root {
	struct dwarf_value language, line, low_pc, directory, split_name;
	struct dwarf_value str_offsets_base, addr_base, rnglists_base, ranges_base, id;
};

static struct dwarf_value *root_value(struct root *root, uint16_t name)
{
	switch (name) {
	case DW_AT_language:
		return &root->language;
	case DW_AT_stmt_list:
		return &root->line;
	case DW_AT_low_pc:
		return &root->low_pc;
	case DW_AT_comp_dir:
		return &root->directory;
	case DW_AT_dwo_name:
	case DW_AT_GNU_dwo_name:
		return &root->split_name;
	case DW_AT_str_offsets_base:
		return &root->str_offsets_base;
	case DW_AT_addr_base:
	case DW_AT_GNU_addr_base:
		return &root->addr_base;
	case DW_AT_rnglists_base:
		return &root->rnglists_base;
	case DW_AT_GNU_ranges_base:
		return &root->ranges_base;
	case DW_AT_GNU_dwo_id:
		return &root->id;
	default:
		return NULL;
	}
}

static uint64_t number_or(const struct dwarf_value *value, uint64_t otherwise)
{
	return value->form ? value->number : otherwise;
}

/* Bases. What a split unit does not say begins after the header of its part of the section:
 * DWARF 5 sections 3.1.2 and 7.3.5. The GNU predecessor's string offsets have no header. */
static void take_bases(struct dwarf_unit *unit, const struct root *root)
{
	bool is_64 = unit->abbrevs->shape.offset_bytes == 8;
	uint64_t str_offsets_header = unit->version < 5 ? 0 : is_64 ? 16 : 8;
	uint64_t rnglists_header = is_64 ? 20 : 12;
	unit->str_offsets_base = number_or(&root->str_offsets_base,
					   unit->bases.str_offsets_off + str_offsets_header);
	unit->rnglists_base =
		number_or(&root->rnglists_base, unit->bases.rnglists_off + rnglists_header);
	unit->addr_base = number_or(&root->addr_base, unit->version < 5 ? 0 : is_64 ? 16 : 8);
	unit->ranges_base = number_or(&root->ranges_base, 0);
	if (!unit->skeleton)
		return;
	unit->addr_base = unit->skeleton->addr_base;
	unit->ranges_base = unit->skeleton->ranges_base;
	unit->low_vaddr = unit->skeleton->low_vaddr;
	unit->directory = unit->skeleton->directory;
	unit->has_line = unit->skeleton->has_line;
	unit->line_off = unit->skeleton->line_off;
}

static int read_root(struct dwarf_unit *unit, struct err *err)
{
	struct reader r = dwarf_unit_reader(unit, unit->root_off);
	const struct dwarf_abbrev *abbrev = dwarf_abbrevs_find(unit->abbrevs, reader_varint(&r));
	if (r.bad || !abbrev)
		return err_set(err, -EBADMSG, "its first entry cannot be read");
	struct root root = {0};
	for (uint32_t i = 0; i < abbrev->attribute_count; i++) {
		const struct dwarf_attribute *attribute =
			&unit->abbrevs->attributes[abbrev->first_attribute + i];
		struct dwarf_value value = dwarf_form_read(&r, attribute->form, attribute->constant,
							   unit->abbrevs->shape);
		struct dwarf_value *kept = root_value(&root, attribute->name);
		if (kept)
			*kept = value;
	}
	if (r.bad)
		return err_set(err, -ENODATA, "its first entry ends early");
	unit->tag = abbrev->tag;
	unit->language = (uint16_t)root.language.number;
	if (root.id.form) {
		unit->id = root.id.number;
		unit->has_id = true;
	}
	take_bases(unit, &root);
	if (unit->skeleton)
		return 0;
	unit->has_line = root.line.form;
	unit->line_off = root.line.number;
	unit->directory = dwarf_unit_string(unit, &root.directory);
	unit->split_name = dwarf_unit_string(unit, &root.split_name);
	(void)dwarf_unit_address(unit, &root.low_pc, &unit->low_vaddr);
	return 0;
}

int dwarf_unit_read(struct dwarf_unit **out, struct dwarf_file *file, uint64_t off,
		    const struct dwarf_bases *bases, const struct dwarf_unit *skeleton,
		    struct err *err)
{
	AUTO(dwarf_unit) unit = calloc(1, sizeof(*unit));
	if (!unit)
		return err_set(err, -ENOMEM, "unit: %m");
	unit->file = file;
	unit->off = off;
	unit->skeleton = skeleton;
	if (bases)
		unit->bases = *bases;
	int rc = read_header(unit, err);
	if (!rc)
		rc = read_root(unit, err);
	if (rc)
		return err_wrap(err, rc, "the unit at %#llx", (unsigned long long)off);
	*out = TAKE(unit);
	return 0;
}

struct dwarf_unit *dwarf_file_unit(struct dwarf_file *file, uint64_t off)
{
	dwarf_file_trim(file);
	size_t low = 0, high = file->unit_count;
	while (low < high) { /* the first unit behind off */
		size_t middle = low + (high - low) / 2;
		if (file->unit_offs[middle] <= off)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == 0)
		return NULL;
	uint64_t unit_off = file->unit_offs[low - 1];
	struct dwarf_unit **kept = &file->kept[(low - 1) % DWARF_UNITS_KEPT];
	if (!*kept || (*kept)->off != unit_off) {
		dwarf_unit_free(TAKE(*kept));
		if (!dwarf_work_pay(file->work, sizeof(**kept)) ||
		    dwarf_unit_read(kept, file, unit_off, NULL, NULL, NULL))
			return NULL;
	}
	return off >= (*kept)->root_off && off < (*kept)->end_off ? *kept : NULL;
}

static struct dwarf_value *entry_value(struct dwarf_entry *entry, uint16_t name)
{
	switch (name) {
	case DW_AT_name:
		return &entry->name;
	case DW_AT_linkage_name:
	case DW_AT_MIPS_linkage_name:
		return &entry->linkage_name;
	case DW_AT_low_pc:
		return &entry->low_pc;
	case DW_AT_high_pc:
		return &entry->high_pc;
	case DW_AT_ranges:
		return &entry->ranges;
	case DW_AT_abstract_origin:
	case DW_AT_specification:
	case DW_AT_extension:
		return &entry->origin;
	case DW_AT_call_file:
		return &entry->call_file;
	case DW_AT_call_line:
		return &entry->call_line;
	default:
		return NULL;
	}
}

void dwarf_entry_read(const struct dwarf_unit *unit, const struct dwarf_abbrev *abbrev,
		      struct reader *r, struct dwarf_entry *entry)
{
	*entry = (struct dwarf_entry){.abbrev = abbrev};
	for (uint32_t i = 0; i < abbrev->attribute_count; i++) {
		const struct dwarf_attribute *attribute =
			&unit->abbrevs->attributes[abbrev->first_attribute + i];
		struct dwarf_value value = dwarf_form_read(r, attribute->form, attribute->constant,
							   unit->abbrevs->shape);
		struct dwarf_value *kept = entry_value(entry, attribute->name);
		if (kept && !r->bad)
			*kept = value;
	}
}

bool dwarf_entry_at(const struct dwarf_unit *unit, uint64_t off, struct dwarf_entry *entry)
{
	struct reader r = dwarf_unit_reader(unit, off);
	const uint8_t *start = r.pos;
	const struct dwarf_abbrev *abbrev = dwarf_abbrevs_find(unit->abbrevs, reader_varint(&r));
	if (r.bad || !abbrev)
		return false;
	dwarf_entry_read(unit, abbrev, &r, entry);
	entry->off = off;
	return !r.bad && dwarf_work_pay(unit->file->work, (uint64_t)(r.pos - start));
}

static const char *indexed_string(const struct dwarf_unit *unit, uint64_t index)
{
	const struct dwarf_sections *sections = &unit->file->sections;
	uint8_t offset_bytes = unit->abbrevs->shape.offset_bytes;
	if (index > UINT32_MAX)
		return NULL;
	struct reader r = dwarf_section_reader(&sections->of[DWARF_STR_OFFSETS],
					       unit->str_offsets_base + index * offset_bytes);
	uint64_t off = read_offset(&r, offset_bytes);
	return r.bad ? NULL : dwarf_section_string(&sections->of[DWARF_STR], off);
}

const char *dwarf_unit_string(const struct dwarf_unit *unit, const struct dwarf_value *value)
{
	const struct dwarf_sections *sections = &unit->file->sections;
	switch (value->form) {
	case DW_FORM_string:
		return (const char *)value->bytes;
	case DW_FORM_strp:
		return dwarf_section_string(&sections->of[DWARF_STR], value->number);
	case DW_FORM_line_strp:
		return dwarf_section_string(&sections->of[DWARF_LINE_STR], value->number);
	case DW_FORM_strp_sup:
	case DW_FORM_GNU_strp_alt:
		if (!unit->file->alternate)
			return NULL;
		return dwarf_section_string(&unit->file->alternate->sections.of[DWARF_STR],
					    value->number);
	case DW_FORM_strx:
	case DW_FORM_strx1:
	case DW_FORM_strx2:
	case DW_FORM_strx3:
	case DW_FORM_strx4:
	case DW_FORM_GNU_str_index:
		return indexed_string(unit, value->number);
	default:
		return NULL;
	}
}

bool dwarf_unit_indexed_address(const struct dwarf_unit *unit, uint64_t index, uint64_t *vaddr)
{
	const struct dwarf_file *file = unit->skeleton ? unit->skeleton->file : unit->file;
	if (index > UINT32_MAX)
		return false;
	struct reader r = dwarf_section_reader(&file->sections.of[DWARF_ADDR],
					       unit->addr_base + index * ADDRESS_BYTES);
	*vaddr = reader_u64(&r);
	return !r.bad;
}

bool dwarf_unit_address(const struct dwarf_unit *unit, const struct dwarf_value *value,
			uint64_t *vaddr)
{
	switch (value->form) {
	case DW_FORM_addr:
		*vaddr = value->number;
		return true;
	case DW_FORM_addrx:
	case DW_FORM_addrx1:
	case DW_FORM_addrx2:
	case DW_FORM_addrx3:
	case DW_FORM_addrx4:
	case DW_FORM_GNU_addr_index:
		return dwarf_unit_indexed_address(unit, value->number, vaddr);
	default:
		return false;
	}
}

bool dwarf_unit_place(const struct dwarf_unit *unit, const struct dwarf_value *value,
		      struct dwarf_place *place)
{
	switch (value->form) {
	case DW_FORM_ref1:
	case DW_FORM_ref2:
	case DW_FORM_ref4:
	case DW_FORM_ref8:
	case DW_FORM_ref_udata:
		*place = (struct dwarf_place){unit->file, unit->off + value->number};
		return value->number < unit->end_off - unit->off;
	case DW_FORM_ref_addr:
		*place = (struct dwarf_place){unit->file, unit->bases.info_off + value->number};
		return true;
	case DW_FORM_ref_sup4:
	case DW_FORM_ref_sup8:
	case DW_FORM_GNU_ref_alt:
		*place = (struct dwarf_place){unit->file->alternate, value->number};
		return unit->file->alternate;
	default:
		return false;
	}
}
