#include "symbolizer/unwind_entries.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"

enum { MAX_COMMONS = 256 << 10, REG_RA = 16 };

struct walk {
	struct unwind_entries *entries;
	const struct eh_section *section;
	size_t first_common; /* of this section */
	size_t last_common;  /* the one that was asked for last */
	bool is_debug;
};

struct entry {
	uint64_t off;    /* of its length, in the section */
	uint64_t id_off; /* of the field that tells CIE from FDE */
	uint64_t id;     /* that field */
	bool is_64;      /* 64-bit DWARF */
	struct reader r; /* what comes after it */
};

void unwind_entries_fini(struct unwind_entries *entries)
{
	free(entries->commons);
	free(entries->functions);
	*entries = (struct unwind_entries){0};
}

static uint64_t offset_of(const struct walk *walk, const struct reader *r)
{
	return (uint64_t)(r->pos - walk->section->data);
}

static bool is_common(const struct walk *walk, const struct entry *entry)
{
	if (!walk->is_debug)
		return entry->id == 0;
	return entry->id == (entry->is_64 ? UINT64_MAX : UINT32_MAX);
}

/* Augmentation strings without 'z' are those of GCC 2: "eh" has a pointer, the rest is lost. */
static void read_augmentation(struct walk *walk, struct unwind_common *common, const char *text,
			      struct reader *r)
{
	uint64_t len_bytes = reader_varint(r);
	struct reader data = reader_sub(r, len_bytes);
	common->has_data = true;
	for (const char *letter = text + 1; *letter; letter++) {
		if (*letter == 'R') {
			common->encoding = reader_u8(&data);
		} else if (*letter == 'P') { /* personality: read, to get past it */
			uint8_t encoding = reader_u8(&data);
			eh_pointer_read(walk->section, encoding, &data);
		} else if (*letter == 'L') {
			reader_u8(&data);
		} else if (*letter == 'S') {
			common->cfi.is_signal_frame = true;
		} else if (*letter != 'B') { /* aarch64: return addresses are signed */
			common->is_run = false;
			common->is_located = strchr(letter, 'R') == NULL;
			common->why = UNWIND_BAD_AUGMENTATION;
			break;
		}
	}
	if (data.bad)
		r->bad = true;
}

static void reject(struct unwind_common *common, enum unwind_unsupported why)
{
	common->is_located = false;
	common->is_run = false;
	common->why = why;
}

/* The fields of a CIE up to its program. */
static void read_common(struct walk *walk, struct unwind_common *common, struct reader *r)
{
	uint8_t version = reader_u8(r);
	const char *augmentation = reader_cstr(r);
	if (r->bad || (version != 1 && version != 3 && version != 4)) {
		reject(common, UNWIND_BAD_CIE);
		return;
	}
	if (!strcmp(augmentation, "eh"))
		reader_skip(r, 8);
	if (version == 4) {
		uint8_t address_bytes = reader_u8(r);
		uint8_t segment_bytes = reader_u8(r);
		if (address_bytes != 8 || segment_bytes != 0) {
			reject(common, UNWIND_BAD_CIE);
			return;
		}
	}
	common->cfi.code_align = reader_varint(r);
	common->cfi.data_align = reader_sleb(r);
	uint64_t return_register = version == 1 ? reader_u8(r) : reader_varint(r);
	if (return_register != REG_RA) {
		common->is_run = false;
		common->why = UNWIND_BAD_CIE;
	}
	if (augmentation[0] == 'z')
		read_augmentation(walk, common, augmentation, r);
	else if (augmentation[0] && strcmp(augmentation, "eh") != 0)
		reject(common, UNWIND_BAD_AUGMENTATION);
	common->cfi.encoding = common->encoding;
	if (common->is_located && !eh_pointer_is_known(walk->section, common->encoding))
		reject(common, UNWIND_BAD_ENCODING);
}

static int add_common(struct walk *walk, const struct entry *entry)
{
	struct unwind_entries *entries = walk->entries;
	int rc = ARRAY_RESERVE(entries->commons, entries->common_cap, entries->common_count,
			       MAX_COMMONS);
	if (rc)
		return rc;
	struct unwind_common common = {.off = entry->off, .is_located = true, .is_run = true};
	struct reader r = entry->r;
	read_common(walk, &common, &r);
	if (r.bad)
		reject(&common, UNWIND_BAD_ENTRY);
	if (common.is_run)
		common.is_run = cfi_run_common(&common.cfi, walk->section, r, &common.why);
	entries->commons[entries->common_count++] = common;
	return 0;
}

/* The CIE of this section at off, among those met so far; they ascend. NULL: there is none. */
static const struct unwind_common *find_common(struct walk *walk, uint64_t off)
{
	const struct unwind_entries *entries = walk->entries;
	size_t low = walk->first_common, high = entries->common_count;
	if (walk->last_common < high && entries->commons[walk->last_common].off == off)
		return &entries->commons[walk->last_common];
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (entries->commons[middle].off < off)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == entries->common_count || entries->commons[low].off != off)
		return NULL;
	walk->last_common = low;
	return &entries->commons[low];
}

/* The place of the function; the length has the form of the start, and is relative to none. */
static void read_place(struct walk *walk, const struct unwind_common *common, struct reader *r,
		       uint64_t *start_vaddr, uint64_t *limit_vaddr)
{
	*start_vaddr = eh_pointer_read(walk->section, common->encoding, r);
	uint64_t len_bytes = eh_pointer_read(walk->section, common->encoding & EH_POINTER_FORM, r);
	if (__builtin_add_overflow(*start_vaddr, len_bytes, limit_vaddr))
		r->bad = true;
}

static int add_function(struct walk *walk, const struct entry *entry)
{
	struct unwind_entries *entries = walk->entries;
	uint64_t off = walk->is_debug ? entry->id : entry->id_off - entry->id;
	const struct unwind_common *common = find_common(walk, off);
	if (!common || !common->is_located) {
		entries->unknown[common ? common->why : UNWIND_BAD_ENTRY]++;
		return 0;
	}
	struct reader r = entry->r;
	struct unwind_function function = {.source = walk->is_debug ? UNWIND_DEBUG_FRAME
								    : UNWIND_EH_FRAME};
	read_place(walk, common, &r, &function.start_vaddr, &function.limit_vaddr);
	if (common->has_data)
		reader_skip(&r, reader_varint(&r));
	if (r.bad) {
		entries->unknown[UNWIND_BAD_ENTRY]++;
		return 0;
	}
	if (!function.start_vaddr || function.start_vaddr == function.limit_vaddr) {
		entries->discarded++;
		return 0;
	}
	function.program_off = (uint32_t)offset_of(walk, &r);
	function.program_bytes = (uint32_t)reader_left_bytes(&r);
	function.common = (uint32_t)(common - entries->commons);
	int rc = ARRAY_RESERVE(entries->functions, entries->cap, entries->count,
			       UNWIND_MAX_FUNCTIONS);
	if (!rc)
		entries->functions[entries->count++] = function;
	return rc;
}

/* The entry at r, which gets past it. False: an end, or no entry fits there (r->bad). */
static bool next_entry(const struct walk *walk, struct reader *r, struct entry *entry)
{
	entry->off = offset_of(walk, r);
	uint64_t len_bytes = reader_u32(r);
	entry->is_64 = len_bytes == UINT32_MAX;
	if (entry->is_64)
		len_bytes = reader_u64(r);
	if (!len_bytes)
		return false;
	entry->id_off = offset_of(walk, r);
	entry->r = reader_sub(r, len_bytes);
	/* .eh_frame keeps 4 bytes here even in its 64-bit form */
	entry->id = entry->is_64 && walk->is_debug ? reader_u64(&entry->r) : reader_u32(&entry->r);
	return !r->bad;
}

int unwind_entries_add(struct unwind_entries *entries, const struct eh_section *section,
		       bool is_debug, bool stop_at_zero)
{
	struct walk walk = {
		.entries = entries,
		.section = section,
		.first_common = entries->common_count,
		.last_common = entries->common_count,
		.is_debug = is_debug,
	};
	struct reader r = reader_of(section->data, section->len_bytes);
	int rc = 0;
	while (reader_left_bytes(&r) > 0 && !rc) {
		struct entry entry;
		bool is_entry = next_entry(&walk, &r, &entry);
		if (r.bad || (is_entry && entry.r.bad))
			entries->unknown[UNWIND_BAD_ENTRY]++;
		else if (is_entry)
			rc = is_common(&walk, &entry) ? add_common(&walk, &entry)
						      : add_function(&walk, &entry);
		else if (stop_at_zero)
			break;
	}
	return rc;
}
