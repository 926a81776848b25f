#include "symbolizer/dwarf_split.h"

#include <errno.h>

enum {
	SPLIT_KINDS = 1 << DWARF_INFO | 1 << DWARF_ABBREV | 1 << DWARF_STR |
		      1 << DWARF_STR_OFFSETS | 1 << DWARF_RNGLISTS,
	MAX_PACKAGE_COLUMNS = 16,
};

void dwarf_splits_init(struct dwarf_splits *splits, const struct dwarf_input *input,
		       struct dwarf_scratch *scratch, struct dwarf_work *work, uint32_t last_serial)
{
	*splits = (struct dwarf_splits){
		.input = input, .scratch = scratch, .work = work, .last_serial = last_serial};
}

void dwarf_splits_release(struct dwarf_splits *splits)
{
	dwarf_unit_free(TAKE(splits->unit));
	if (!splits->file.serial)
		return;
	dwarf_file_fini(&splits->file);
	splits->scratch->end_off = splits->scratch_end_off;
}

void dwarf_splits_fini(struct dwarf_splits *splits)
{
	dwarf_splits_release(splits);
	dwarf_file_fini(&splits->package);
}

static int load(struct dwarf_splits *splits, struct dwarf_file *file, enum dwarf_split_kind kind,
		const char *name, const char *directory, struct err *err)
{
	unsigned int kinds = SPLIT_KINDS;
	if (kind == DWARF_SPLIT_DWP)
		kinds |= 1 << DWARF_CU_INDEX;
	int fd = splits->input->open_split
			 ? splits->input->open_split(splits->input->ctx, kind, name, directory)
			 : -ENOENT;
	if (fd < 0)
		return err_set(err, -ENOENT, "split unit %s: %s", name,
			       fd == -ENOENT ? "not found" : "cannot be opened");
	struct elf_file *elf;
	int rc = elf_file_open_debug(&elf, fd, err);
	if (rc)
		return err_wrap(err, rc, "%s", name);
	AUTO(elf_file) owned = elf;
	file->serial = ++splits->last_serial;
	file->work = splits->work;
	uint64_t before_bytes = splits->scratch->left_bytes;
	rc = dwarf_sections_load(&file->sections, owned, true, kinds, splits->scratch, err);
	/* What may be read in all has a limit, so that this has one too. */
	splits->work->left_bytes +=
		DWARF_WORK_PER_BYTE * (before_bytes - splits->scratch->left_bytes);
	return rc ? err_wrap(err, rc, "%s", name) : 0;
}

/* The package is looked for once. Without it, it is a file without sections. */
static int load_package(struct dwarf_splits *splits)
{
	if (splits->was_package_asked)
		return 0;
	splits->was_package_asked = true;
	int rc = load(splits, &splits->package, DWARF_SPLIT_DWP, "", "", NULL);
	if (!rc)
		return 0;
	dwarf_file_fini(&splits->package);
	return rc == -ENOMEM || rc == -ECANCELED ? rc : 0;
}

/* The parts of .debug_cu_index; section 7.3.5.3. */
struct package_index {
	uint16_t version;
	uint32_t columns, units, slots;
	struct reader ids, rows;             /* a slot each */
	struct reader kinds, offsets, sizes; /* columns; units x columns; the same */
};

static bool read_index(const struct dwarf_file *package, struct package_index *index)
{
	struct reader r = dwarf_section_reader(&package->sections.of[DWARF_CU_INDEX], 0);
	*index = (struct package_index){.version = reader_u16(&r)};
	reader_skip(&r, 2); /* padding; the upper half of version 2 */
	index->columns = reader_u32(&r);
	index->units = reader_u32(&r);
	index->slots = reader_u32(&r);
	if (r.bad || index->columns == 0 || index->columns > MAX_PACKAGE_COLUMNS ||
	    (index->version != 2 && index->version != 5) ||
	    (index->slots & (index->slots - 1)) != 0 || index->slots == 0)
		return false;
	uint64_t cells = (uint64_t)index->units * index->columns;
	index->ids = reader_sub(&r, (size_t)index->slots * 8);
	index->rows = reader_sub(&r, (size_t)index->slots * 4);
	index->kinds = reader_sub(&r, (size_t)index->columns * 4);
	index->offsets = reader_sub(&r, cells * 4);
	index->sizes = reader_sub(&r, cells * 4);
	return !r.bad;
}

static uint64_t nth_u64(struct reader r, uint64_t position)
{
	reader_skip(&r, position * 8);
	return reader_u64(&r);
}

static uint32_t nth_u32(struct reader r, uint64_t position)
{
	reader_skip(&r, position * 4);
	return reader_u32(&r);
}

/* Row of a unit, from 1 on; 0: not in the package. */
static uint32_t find_row(const struct package_index *index, uint64_t id)
{
	uint64_t mask = index->slots - 1;
	uint64_t slot = id & mask;
	uint64_t step = ((id >> 32) & mask) | 1;
	for (uint32_t tries = 0; tries < index->slots; tries++) {
		uint32_t row = nth_u32(index->rows, slot);
		if (row == 0 || nth_u64(index->ids, slot) == id)
			return row <= index->units ? row : 0;
		slot = (slot + step) & mask;
	}
	return 0;
}

static void take_bases(const struct package_index *index, uint32_t row, struct dwarf_bases *bases)
{
	*bases = (struct dwarf_bases){0};
	for (uint32_t column = 0; column < index->columns; column++) {
		uint32_t kind = nth_u32(index->kinds, column);
		uint32_t off =
			nth_u32(index->offsets, (uint64_t)(row - 1) * index->columns + column);
		if (kind == DW_SECT_INFO)
			bases->info_off = off;
		else if (kind == DW_SECT_ABBREV)
			bases->abbrev_off = off;
		else if (kind == DW_SECT_STR_OFFSETS)
			bases->str_offsets_off = off;
		else if (kind == DW_SECT_RNGLISTS && index->version == 5)
			bases->rnglists_off = off;
	}
}

static bool is_half_of(const struct dwarf_unit *unit, const struct dwarf_unit *skeleton)
{
	return unit->has_id && skeleton->has_id && unit->id == skeleton->id;
}

static int find_in_package(struct dwarf_splits *splits, const struct dwarf_unit *skeleton,
			   struct err *err)
{
	struct package_index index;
	struct dwarf_bases bases;
	uint32_t row = read_index(&splits->package, &index) && skeleton->has_id
			       ? find_row(&index, skeleton->id)
			       : 0;
	if (!row)
		return -ENOENT;
	take_bases(&index, row, &bases);
	int rc = dwarf_unit_read(&splits->unit, &splits->package, bases.info_off, &bases, skeleton,
				 err);
	if (rc || is_half_of(splits->unit, skeleton))
		return rc;
	dwarf_unit_free(TAKE(splits->unit));
	return err_set(err, -EBADMSG, "the package's index leads to another unit");
}

/* A .dwo may have type units before its unit. */
static int find_in_file(struct dwarf_splits *splits, const struct dwarf_unit *skeleton,
			struct err *err)
{
	struct err problem = {0};
	int rc = dwarf_file_list_units(&splits->file, &problem, err);
	for (size_t i = 0; !rc && i < splits->file.unit_count; i++) {
		if (!dwarf_work_pay(splits->work, sizeof(struct dwarf_unit)))
			return err_set(err, -ENOSPC, "split units are read too often");
		rc = dwarf_unit_read(&splits->unit, &splits->file, splits->file.unit_offs[i], NULL,
				     skeleton, err);
		if (!rc && is_half_of(splits->unit, skeleton))
			return 0;
		dwarf_unit_free(TAKE(splits->unit));
	}
	return rc ? rc
		  : err_set(err, -ENOENT, "%s is of another compilation", skeleton->split_name);
}

int dwarf_splits_find(struct dwarf_splits *splits, const struct dwarf_unit *skeleton,
		      struct dwarf_unit **unit, struct err *err)
{
	int rc = load_package(splits);
	dwarf_file_trim(&splits->package);
	if (!rc)
		rc = find_in_package(splits, skeleton, err);
	if (rc == -ENOENT) {
		splits->scratch_end_off = splits->scratch->end_off;
		rc = load(splits, &splits->file, DWARF_SPLIT_DWO, skeleton->split_name,
			  skeleton->directory ? skeleton->directory : "", err);
		if (!rc)
			rc = find_in_file(splits, skeleton, err);
	}
	if (!rc)
		*unit = splits->unit;
	return rc;
}
