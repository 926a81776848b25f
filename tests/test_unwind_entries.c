/*
 * Entries of .eh_frame and .debug_frame byte by byte: encodings, augmentations, overlaps, and what
 * is malformed, cut, or hostile.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <zlib.h>

#include <cmocka.h>

#include "base/array.h"
#include "cfi_maker.h"
#include "symbolizer/unwind.h"

#define TEXT CFI_TEXT_VADDR

static struct buf new_buf(void)
{
	struct buf buf;
	buf_init(&buf, CFI_MAX_BYTES);
	return buf;
}

/* NULL: refused, with *rc. */
static struct unwind_rows *rows_of(const struct cfi_image *image, int *rc)
{
	struct buf bytes = new_buf();
	cfi_make_image(&bytes, image);
	assert_int_equal(buf_error(&bytes), 0);
	struct elf_file *file;
	assert_int_equal(elf_file_from_memory(&file, bytes.data, bytes.len_bytes, NULL), 0);
	struct unwind_rows *rows = NULL;
	struct err err = {0};
	*rc = unwind_rows_open(&rows, file, &err);
	assert_int_equal(*rc, err.code);
	assert_true(!*rc == !!rows);
	elf_file_free(file);
	buf_fini(&bytes);
	return rows;
}

static struct unwind_rows *good_rows(const struct cfi_image *image)
{
	int rc;
	struct unwind_rows *rows = rows_of(image, &rc);
	assert_int_equal(rc, 0);
	return rows;
}

/* One CIE and one FDE, whole: the length of both is in the bytes. */
#define BYTES(...) (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__})

/* What an entry says of the function at TEXT + 0x10 with 0x20 bytes. */
static const struct {
	const char *label;
	const uint8_t *common; /* after the id */
	size_t common_bytes;
	const uint8_t *function; /* after the CIE pointer */
	size_t function_bytes;
	int functions;
	enum unwind_unsupported kind; /* with functions 0, or when the rule is unsupported */
	int kind_count;
} entry_rows[] = {
	{"absptr", BYTES(1, 'z', 'R', 0, 1, 0x78, 16, 1, 0x00, 0x0c, 7, 8, 0x90, 1),
	 BYTES(0x10, 0, 0x10, 0, 0, 0, 0, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0), 1, 0, 0},
	{"udata4", BYTES(1, 'z', 'R', 0, 1, 0x78, 16, 1, 0x03, 0x0c, 7, 8, 0x90, 1),
	 BYTES(0x10, 0, 0x10, 0, 0x20, 0, 0, 0, 0), 1, 0, 0},
	{"sdata4", BYTES(1, 'z', 'R', 0, 1, 0x78, 16, 1, 0x0b, 0x0c, 7, 8, 0x90, 1),
	 BYTES(0x10, 0, 0x10, 0, 0x20, 0, 0, 0, 0), 1, 0, 0},
	{"sdata8", BYTES(1, 'z', 'R', 0, 1, 0x78, 16, 1, 0x0c, 0x0c, 7, 8, 0x90, 1),
	 BYTES(0x10, 0, 0x10, 0, 0, 0, 0, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0), 1, 0, 0},
	{"uleb128", BYTES(1, 'z', 'R', 0, 1, 0x78, 16, 1, 0x01, 0x0c, 7, 8, 0x90, 1),
	 BYTES(0x90, 0x80, 0xc0, 0, 0x20, 0), 1, 0, 0},
	{"sleb128", BYTES(1, 'z', 'R', 0, 1, 0x78, 16, 1, 0x09, 0x0c, 7, 8, 0x90, 1),
	 BYTES(0x90, 0x80, 0xc0, 0, 0x20, 0), 1, 0, 0},
	{"udata2 is too short", BYTES(1, 'z', 'R', 0, 1, 0x78, 16, 1, 0x02, 0x0c, 7, 8, 0x90, 1),
	 BYTES(0x10, 0x10, 0x20, 0, 0), 0, 0, 0}, /* outside of the code */
	{"no augmentation", BYTES(1, 0, 1, 0x78, 16, 0x0c, 7, 8, 0x90, 1),
	 BYTES(0x10, 0, 0x10, 0, 0, 0, 0, 0, 0x20, 0, 0, 0, 0, 0, 0, 0), 1, 0, 0},
	{"eh of GCC 2",
	 BYTES(1, 'e', 'h', 0, 1, 2, 3, 4, 5, 6, 7, 8, 1, 0x78, 16, 0x0c, 7, 8, 0x90, 1),
	 BYTES(0x10, 0, 0x10, 0, 0, 0, 0, 0, 0x20, 0, 0, 0, 0, 0, 0, 0), 1, 0, 0},
	{"version 3", BYTES(3, 'z', 'R', 0, 1, 0x78, 0x90, 0, 1, 0x03, 0x0c, 7, 8, 0x90, 1),
	 BYTES(0x10, 0, 0x10, 0, 0x20, 0, 0, 0, 0), 1, 0, 0},
	{"zPLRS",
	 BYTES(1, 'z', 'P', 'L', 'R', 'S', 0, 1, 0x78, 16, 7, 0x9b, 1, 2, 3, 4, 0x1b, 0x03, 0x0c, 7,
	       8, 0x90, 1),
	 BYTES(0x10, 0, 0x10, 0, 0x20, 0, 0, 0, 4, 0xff, 0xff, 0xff, 0xff), 1, 0, 0},
	{"zB", BYTES(1, 'z', 'R', 'B', 0, 1, 0x78, 16, 1, 0x03, 0x0c, 7, 8, 0x90, 1),
	 BYTES(0x10, 0, 0x10, 0, 0x20, 0, 0, 0, 0), 1, 0, 0},
	{"code alignment", BYTES(1, 'z', 'R', 0, 4, 0x78, 16, 1, 0x03, 0x0c, 7, 8, 0x90, 1),
	 BYTES(0x10, 0, 0x10, 0, 0x20, 0, 0, 0, 0, 0x48, 0x0e, 16), 1, 0, 0},
	{"DW_CFA_set_loc past the end",
	 BYTES(1, 'z', 'R', 0, 1, 0x78, 16, 1, 0x03, 0x0c, 7, 8, 0x90, 1),
	 BYTES(0x10, 0, 0x10, 0, 0x20, 0, 0, 0, 0, 0x01, 0x31, 0, 0x10, 0, 0x0e, 16), 1, 0, 0},
	{"DW_CFA_set_loc backwards",
	 BYTES(1, 'z', 'R', 0, 1, 0x78, 16, 1, 0x03, 0x0c, 7, 8, 0x90, 1),
	 BYTES(0x10, 0, 0x10, 0, 0x20, 0, 0, 0, 0, 0x01, 0x0f, 0, 0x10, 0), 1, UNWIND_BAD_PROGRAM,
	 1},
	{"unknown letter after R",
	 BYTES(1, 'z', 'R', '?', 0, 1, 0x78, 16, 1, 0x03, 0x0c, 7, 8, 0x90, 1),
	 BYTES(0x10, 0, 0x10, 0, 0x20, 0, 0, 0, 0), 1, UNWIND_BAD_AUGMENTATION, 1},
	{"unknown letter before R",
	 BYTES(1, 'z', '?', 'R', 0, 1, 0x78, 16, 1, 0x03, 0x0c, 7, 8, 0x90, 1),
	 BYTES(0x10, 0, 0x10, 0, 0x20, 0, 0, 0, 0), 0, UNWIND_BAD_AUGMENTATION, 1},
	{"unknown augmentation", BYTES(1, 'a', 'r', 'm', 0, 1, 0x78, 16, 0x0c, 7, 8, 0x90, 1),
	 BYTES(0x10, 0, 0x10, 0, 0, 0, 0, 0, 0x20, 0, 0, 0, 0, 0, 0, 0), 0, UNWIND_BAD_AUGMENTATION,
	 1},
	{"another return address register",
	 BYTES(1, 'z', 'R', 0, 1, 0x78, 3, 1, 0x03, 0x0c, 7, 8, 0x90, 1),
	 BYTES(0x10, 0, 0x10, 0, 0x20, 0, 0, 0, 0), 1, UNWIND_BAD_CIE, 1},
	{"version 2", BYTES(2, 'z', 'R', 0, 1, 0x78, 16, 1, 0x03),
	 BYTES(0x10, 0, 0x10, 0, 0x20, 0, 0, 0, 0), 0, UNWIND_BAD_CIE, 1},
	{"32-bit addresses", BYTES(4, 0, 4, 0, 1, 0x78, 16, 0x0c, 7, 8, 0x90, 1),
	 BYTES(0x10, 0, 0x10, 0, 0x20, 0, 0, 0, 0), 0, UNWIND_BAD_CIE, 1},
	{"segment selectors", BYTES(4, 0, 8, 1, 1, 0x78, 16, 0x0c, 7, 8, 0x90, 1),
	 BYTES(0, 0x10, 0, 0x10, 0, 0x20, 0, 0, 0, 0), 0, UNWIND_BAD_CIE, 1},
	{"indirect", BYTES(1, 'z', 'R', 0, 1, 0x78, 16, 1, 0x9b, 0x0c, 7, 8, 0x90, 1),
	 BYTES(0x10, 0, 0x10, 0, 0x20, 0, 0, 0, 0), 0, UNWIND_BAD_ENCODING, 1},
	{"text-relative", BYTES(1, 'z', 'R', 0, 1, 0x78, 16, 1, 0x2b, 0x0c, 7, 8, 0x90, 1),
	 BYTES(0x10, 0, 0x10, 0, 0x20, 0, 0, 0, 0), 0, UNWIND_BAD_ENCODING, 1},
	{"function-relative", BYTES(1, 'z', 'R', 0, 1, 0x78, 16, 1, 0x43, 0x0c, 7, 8, 0x90, 1),
	 BYTES(0x10, 0, 0x10, 0, 0x20, 0, 0, 0, 0), 0, UNWIND_BAD_ENCODING, 1},
	{"omitted", BYTES(1, 'z', 'R', 0, 1, 0x78, 16, 1, 0xff, 0x0c, 7, 8, 0x90, 1),
	 BYTES(0x10, 0, 0x10, 0, 0x20, 0, 0, 0, 0), 0, UNWIND_BAD_ENCODING, 1},
	{"unknown form", BYTES(1, 'z', 'R', 0, 1, 0x78, 16, 1, 0x05, 0x0c, 7, 8, 0x90, 1),
	 BYTES(0x10, 0, 0x10, 0, 0x20, 0, 0, 0, 0), 0, UNWIND_BAD_ENCODING, 1},
	{"augmentation longer than the CIE", BYTES(1, 'z', 'R', 0, 1, 0x78, 16, 0x7f, 0x03),
	 BYTES(0x10, 0, 0x10, 0, 0x20, 0, 0, 0, 0), 0, UNWIND_BAD_ENTRY, 1},
	{"augmentation data too short",
	 BYTES(1, 'z', 'P', 'R', 0, 1, 0x78, 16, 1, 0x00, 0x0c, 7, 8, 0x90, 1),
	 BYTES(0x10, 0, 0x10, 0, 0x20, 0, 0, 0, 0), 0, UNWIND_BAD_ENTRY, 1},
	{"augmentation without NUL",
	 BYTES(1, 'z', 'R', 'R', 'R', 'R', 'R', 'R', 'R', 'R', 'R', 'R'),
	 BYTES(0x10, 0, 0x10, 0, 0x20, 0, 0, 0, 0), 0, UNWIND_BAD_ENTRY, 1},
	{"FDE too short", BYTES(1, 'z', 'R', 0, 1, 0x78, 16, 1, 0x04, 0x0c, 7, 8, 0x90, 1),
	 BYTES(0x10, 0, 0x10, 0), 0, UNWIND_BAD_ENTRY, 1},
	{"FDE's data too long", BYTES(1, 'z', 'R', 0, 1, 0x78, 16, 1, 0x03, 0x0c, 7, 8, 0x90, 1),
	 BYTES(0x10, 0, 0x10, 0, 0x20, 0, 0, 0, 0x7f), 0, UNWIND_BAD_ENTRY, 1},
	{"range past the end of addresses",
	 BYTES(1, 'z', 'R', 0, 1, 0x78, 16, 1, 0x04, 0x0c, 7, 8, 0x90, 1),
	 BYTES(0x10, 0, 0x10, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0), 0,
	 UNWIND_BAD_ENTRY, 1},
	{"advance in a CIE", BYTES(1, 'z', 'R', 0, 1, 0x78, 16, 1, 0x03, 0x0c, 7, 8, 0x41),
	 BYTES(0x10, 0, 0x10, 0, 0x20, 0, 0, 0, 0), 1, UNWIND_BAD_PROGRAM, 1},
	{"unknown instruction in a CIE", BYTES(1, 'z', 'R', 0, 1, 0x78, 16, 1, 0x03, 0x3f),
	 BYTES(0x10, 0, 0x10, 0, 0x20, 0, 0, 0, 0), 1, UNWIND_BAD_INSTRUCTION, 1},
	{"cut instruction in a CIE", BYTES(1, 'z', 'R', 0, 1, 0x78, 16, 1, 0x03, 0, 0x0c, 7),
	 BYTES(0x10, 0, 0x10, 0, 0x20, 0, 0, 0, 0), 1, UNWIND_BAD_PROGRAM, 1},
};

/* Nothing is padded, for an instruction must end where its entry does. */
static void add_raw(struct buf *out, uint32_t id, const uint8_t *data, size_t len_bytes)
{
	buf_append_u32le(out, (uint32_t)len_bytes + 4);
	buf_append_u32le(out, id);
	buf_append(out, data, len_bytes);
}

static void check_entry_row(size_t i)
{
	struct buf frame = new_buf();
	add_raw(&frame, 0, entry_rows[i].common, entry_rows[i].common_bytes);
	add_raw(&frame, (uint32_t)frame.len_bytes + 4, entry_rows[i].function,
		entry_rows[i].function_bytes);
	const struct cfi_image image = {.eh_frame = &frame};
	struct unwind_rows *rows = good_rows(&image);
	const struct unwind_stats *stats = unwind_rows_stats(rows);
	for (int kind = 0; kind < UNWIND_UNSUPPORTED_KINDS; kind++) {
		uint64_t wanted =
			kind == (int)entry_rows[i].kind ? (uint64_t)entry_rows[i].kind_count : 0;
		if (stats->unsupported[kind] != wanted)
			fail_msg("%s: %s %d", entry_rows[i].label, unwind_unsupported_name(kind),
				 (int)stats->unsupported[kind]);
	}
	if (stats->functions != (uint64_t)entry_rows[i].functions)
		fail_msg("%s: %d functions", entry_rows[i].label, (int)stats->functions);
	uint8_t wanted = entry_rows[i].kind_count ? UNWIND_CFA_UNSUPPORTED : UNWIND_CFA_SP;
	if (!stats->functions)
		wanted = UNWIND_CFA_NONE;
	assert_int_equal(unwind_rows_find(rows, TEXT + 0x0f)->cfa, UNWIND_CFA_NONE);
	assert_int_equal(unwind_rows_find(rows, TEXT + 0x10)->cfa, wanted);
	assert_int_equal(unwind_rows_find(rows, TEXT + 0x2f)->cfa, wanted);
	assert_int_equal(unwind_rows_find(rows, TEXT + 0x30)->cfa, UNWIND_CFA_NONE);
	if (strchr(entry_rows[i].label, 'S') && entry_rows[i].label[0] == 'z')
		assert_int_equal(unwind_rows_find(rows, TEXT + 0x10)->flags, UNWIND_SIGNAL_FRAME);
	if (!strcmp(entry_rows[i].label, "code alignment")) {
		assert_int_equal(unwind_rows_find(rows, TEXT + 0x2f)->cfa_off, 8);
	}
	unwind_rows_free(rows);
	buf_fini(&frame);
}

static void kinds_of_entries(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(entry_rows); i++)
		check_entry_row(i);
}

struct given {
	uint32_t off, len_bytes; /* from TEXT */
	uint8_t cfa_off;
};

struct wanted {
	uint32_t off;
	int32_t cfa_off; /* 0: a hole */
};

/* Overlapping functions, and what holds where. */
static const struct {
	const char *label;
	struct given given[4];
	struct wanted wanted[8];
	int overlapped, discarded, outside;
} overlap_rows[] = {
	{"in any order",
	 {{64, 16, 24}, {0, 16, 8}, {32, 16, 16}},
	 {{0, 8}, {15, 8}, {16, 0}, {32, 16}, {47, 16}, {64, 24}, {80, 0}},
	 0,
	 0,
	 0},
	{"side by side",
	 {{0, 16, 8}, {16, 16, 16}},
	 {{15, 8}, {16, 16}, {31, 16}, {32, 0}},
	 0,
	 0,
	 0},
	{"the later begin holds",
	 {{0, 32, 8}, {16, 32, 16}},
	 {{15, 8}, {16, 16}, {47, 16}, {48, 0}},
	 1,
	 0,
	 0},
	{"nothing resumes behind the inner one",
	 {{0, 64, 8}, {16, 16, 16}},
	 {{15, 8}, {16, 16}, {31, 16}, {32, 0}, {63, 0}},
	 1,
	 0,
	 0},
	{"same begin: the longer one",
	 {{0, 16, 8}, {0, 32, 16}},
	 {{0, 16}, {31, 16}, {32, 0}},
	 1,
	 0,
	 0},
	{"twice the same: the first",
	 {{0, 16, 8}, {0, 16, 16}},
	 {{0, 8}, {15, 8}, {16, 0}},
	 1,
	 0,
	 0},
	{"empty", {{0, 16, 8}, {8, 0, 16}}, {{0, 8}, {8, 8}, {15, 8}}, 0, 1, 0},
	{"behind the code",
	 {{0, 16, 8}, {CFI_TEXT_BYTES, 16, 16}},
	 {{0, 8}, {CFI_TEXT_BYTES, 0}},
	 0,
	 0,
	 1},
	{"over the end of the code",
	 {{CFI_TEXT_BYTES - 8, 64, 8}},
	 {{CFI_TEXT_BYTES - 1, 8}, {CFI_TEXT_BYTES, 0}},
	 0,
	 0,
	 0},
	{"all of many pages",
	 {{0x8000, 0x48000, 8}},
	 {{0x7fff, 0}, {0x8000, 8}, {0x10000, 8}, {0x3ffff, 8}, {0x4ffff, 8}, {0x50000, 0}},
	 0,
	 0,
	 0},
};

static void overlaps(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(overlap_rows); i++) {
		struct buf frame = new_buf();
		cfi_add_usual_common(&frame);
		for (size_t j = 0; j < 4 && overlap_rows[i].given[j].cfa_off; j++) {
			const struct given *given = &overlap_rows[i].given[j];
			const uint8_t program[] = {0x0e, given->cfa_off};
			cfi_add_function(&frame, 0, TEXT + given->off, given->len_bytes, program,
					 sizeof(program));
		}
		const struct cfi_image image = {.eh_frame = &frame};
		struct unwind_rows *rows = good_rows(&image);
		for (size_t j = 0; j < 8; j++) {
			const struct wanted *wanted = &overlap_rows[i].wanted[j];
			const struct unwind_rule *rule = unwind_rows_find(rows, TEXT + wanted->off);
			if (j > 0 && !wanted->off)
				break;
			if (rule->cfa_off != wanted->cfa_off ||
			    rule->cfa != (wanted->cfa_off ? UNWIND_CFA_SP : UNWIND_CFA_NONE))
				fail_msg("%s: at %u: %u %d", overlap_rows[i].label, wanted->off,
					 rule->cfa, rule->cfa_off);
		}
		const struct unwind_stats *stats = unwind_rows_stats(rows);
		assert_int_equal(stats->overlapped, overlap_rows[i].overlapped);
		assert_int_equal(stats->discarded, overlap_rows[i].discarded);
		assert_int_equal(stats->outside, overlap_rows[i].outside);
		unwind_rows_free(rows);
		buf_fini(&frame);
	}
}

/* "One function at TEXT" in the form of .debug_frame: DWARF 5 section 6.4.1. */
static void add_debug(struct buf *out, bool is_64, uint32_t off, uint8_t len, uint8_t cfa_off)
{
	uint64_t common_off = out->len_bytes;
	struct buf common = new_buf(), function = new_buf();
	if (is_64)
		buf_append_u64le(&common, UINT64_MAX);
	else
		buf_append_u32le(&common, UINT32_MAX);
	buf_append(&common, "\4\0\x08\0\1\x78\x10\x0c\7\x08\x90\1", 12);
	if (is_64)
		buf_append_u64le(&function, common_off);
	else
		buf_append_u32le(&function, (uint32_t)common_off);
	buf_append_u64le(&function, TEXT + off);
	buf_append_u64le(&function, len);
	buf_append_u8(&function, 0x0e);
	buf_append_u8(&function, cfa_off);
	struct buf *entries[] = {&common, &function};
	for (size_t i = 0; i < ARRAY_LEN(entries); i++) {
		if (is_64)
			buf_append_u32le(out, UINT32_MAX);
		if (is_64)
			buf_append_u64le(out, entries[i]->len_bytes);
		else
			buf_append_u32le(out, (uint32_t)entries[i]->len_bytes);
		buf_append(out, entries[i]->data, entries[i]->len_bytes);
		buf_fini(entries[i]);
	}
}

static int32_t cfa_off_at(const struct unwind_rows *rows, uint32_t off)
{
	return unwind_rows_find(rows, TEXT + off)->cfa_off;
}

static void debug_frame(void **state)
{
	(void)state;
	for (int is_64 = 0; is_64 < 2; is_64++) {
		struct buf debug = new_buf();
		add_debug(&debug, is_64, 0x10, 0x10, 16);
		add_debug(&debug, is_64, 0x40, 0x20, 24);
		add_debug(&debug, is_64, 0x80, 0x10, 32);
		struct cfi_image image = {.debug_frame = &debug};
		struct unwind_rows *rows = good_rows(&image);
		assert_int_equal(unwind_rows_stats(rows)->functions, 3);
		assert_int_equal(cfa_off_at(rows, 0x1f), 16);
		assert_int_equal(cfa_off_at(rows, 0x20), 0);
		assert_int_equal(cfa_off_at(rows, 0x40), 24);
		assert_int_equal(cfa_off_at(rows, 0x8f), 32);
		unwind_rows_free(rows);

		/* .eh_frame comes first, where both speak of a place. */
		struct buf frame = new_buf();
		cfi_add_usual_common(&frame);
		cfi_add_function(&frame, 0, TEXT + 0x50, 0x20, "", 0);
		cfi_add_function(&frame, 0, TEXT + 0x10, 0x10, "", 0);
		image.eh_frame = &frame;
		rows = good_rows(&image);
		assert_int_equal(unwind_rows_stats(rows)->functions, 3);
		assert_int_equal(cfa_off_at(rows, 0x10), 8);
		assert_int_equal(cfa_off_at(rows, 0x40), 0);
		assert_int_equal(cfa_off_at(rows, 0x50), 8);
		assert_int_equal(cfa_off_at(rows, 0x80), 32);
		unwind_rows_free(rows);
		buf_fini(&frame);
		buf_fini(&debug);
	}
}

/* A packed section: struct Elf64_Chdr, then what zlib made. */
static struct buf pack(const struct buf *plain, uint32_t type, uint64_t plain_bytes)
{
	struct buf packed = new_buf();
	Bytef bytes[4096];
	uLongf len_bytes = sizeof(bytes);
	assert_int_equal(compress(bytes, &len_bytes, (const Bytef *)plain->data, plain->len_bytes),
			 Z_OK);
	buf_append_u32le(&packed, type);
	buf_append_u32le(&packed, 0);
	buf_append_u64le(&packed, plain_bytes);
	buf_append_u64le(&packed, 8);
	buf_append(&packed, bytes, len_bytes);
	return packed;
}

static void packed_debug_frame(void **state)
{
	(void)state;
	struct buf debug = new_buf();
	add_debug(&debug, false, 0x10, 0x10, 16);
	static const struct {
		uint32_t type;
		uint64_t plain_bytes; /* 0: the truth */
		size_t cut_bytes;
		int functions;
	} rows[] = {
		{ELFCOMPRESS_ZLIB, 0, 0, 1},
		{ELFCOMPRESS_ZLIB, 4096, 0, 1}, /* more than there is: harmless */
		{ELFCOMPRESS_ZLIB, 8, 0, 0},
		{ELFCOMPRESS_ZLIB, UINT64_MAX, 0, 0},
		{ELFCOMPRESS_ZLIB, 200 << 20, 0, 0}, /* deflate cannot pack so well */
		{ELFCOMPRESS_ZLIB, 0, 4, 0},
		{2 /* ELFCOMPRESS_ZSTD */, 0, 0, 0},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf packed =
			pack(&debug, rows[i].type,
			     rows[i].plain_bytes ? rows[i].plain_bytes : debug.len_bytes);
		packed.len_bytes -= rows[i].cut_bytes;
		const struct cfi_image image = {.debug_frame = &packed,
						.debug_flags = SHF_COMPRESSED};
		struct unwind_rows *found = good_rows(&image);
		assert_int_equal(unwind_rows_stats(found)->functions, rows[i].functions);
		unwind_rows_free(found);
		buf_fini(&packed);
	}
	buf_fini(&debug);
}

/* Three functions, with a zero length (as of a crtend.o in the middle) before the third. */
static struct buf three_functions(size_t *last_off)
{
	struct buf frame = new_buf();
	cfi_add_usual_common(&frame);
	cfi_add_function(&frame, 0, TEXT, 16, "", 0);
	cfi_add_function(&frame, 0, TEXT + 16, 16, "\x44\x0e\x10\x44\x0e\x18", 6);
	buf_append_u32le(&frame, 0);
	*last_off = frame.len_bytes;
	cfi_add_function(&frame, 0, TEXT + 64, 16, "\x44\x0e\x10", 3);
	return frame;
}

static void ends_of_eh_frame(void **state)
{
	(void)state;
	size_t last_off;
	struct buf frame = three_functions(&last_off);
	static const struct {
		bool no_sections, no_table;
		int table_off; /* added to the truth */
		int functions;
	} rows[] = {
		{false, false, 0, 3}, /* the section says where it ends */
		{false, true, 0, 3},          {true, false, 0, 3}, /* the table does */
		{true, true, 0, 2},                                /* the zero does */
		{true, false, 1 << 20, 2},                         /* a table that lies */
		{true, false, -(1 << 20), 2}, {true, false, INT32_MAX / 2, 2},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct cfi_image image = {
			.eh_frame = &frame,
			.no_sections = rows[i].no_sections,
			.no_table = rows[i].no_table,
			.last_fde_off = last_off + (uint64_t)(int64_t)rows[i].table_off};
		struct unwind_rows *found = good_rows(&image);
		if (unwind_rows_stats(found)->functions != (uint64_t)rows[i].functions)
			fail_msg("row %zu: %d functions", i,
				 (int)unwind_rows_stats(found)->functions);
		unwind_rows_free(found);
	}
	buf_fini(&frame);
}

/* Section headers that point past the end of the file: program headers are asked, if there are. */
static void sections_that_lie(void **state)
{
	(void)state;
	size_t last_off;
	struct buf frame = three_functions(&last_off);
	struct cfi_image image = {
		.eh_frame = &frame, .last_fde_off = last_off, .lie_bytes = 1 << 20};
	struct unwind_rows *rows = good_rows(&image);
	assert_int_equal(unwind_rows_stats(rows)->functions, 3);
	unwind_rows_free(rows);

	image.no_header = true;
	int rc;
	assert_null(rows_of(&image, &rc));
	assert_int_equal(rc, -ENODATA);
	buf_fini(&frame);
}

static void other_machines(void **state)
{
	(void)state;
	int rc;
	const struct cfi_image image = {.machine = EM_AARCH64};
	assert_null(rows_of(&image, &rc));
	assert_int_equal(rc, -EOPNOTSUPP);
	const struct cfi_image empty = {0};
	struct unwind_rows *rows = good_rows(&empty);
	assert_int_equal(unwind_rows_stats(rows)->functions, 0);
	assert_int_equal(unwind_rows_find(rows, TEXT)->cfa, UNWIND_CFA_NONE);
	assert_int_equal(unwind_rows_find(rows, UINT64_MAX)->cfa, UNWIND_CFA_NONE);
	unwind_rows_free(rows);
}

/* Whatever comes of damaged bytes can be asked anything. */
static void use_image(const char *data, size_t len_bytes)
{
	struct elf_file *file;
	if (elf_file_from_memory(&file, data, len_bytes, NULL))
		return;
	struct unwind_rows *rows = NULL;
	struct err err = {0};
	int rc = unwind_rows_open(&rows, file, &err);
	if (rc)
		assert_true(rc == -ENODATA || rc == -EBADMSG || rc == -ENOSPC || rc == -EOPNOTSUPP);
	else
		for (uint64_t off = 0; off < 128; off++)
			assert_in_range(unwind_rows_find(rows, TEXT + off)->cfa, UNWIND_CFA_NONE,
					UNWIND_CFA_PLT);
	unwind_rows_free(rows);
	elf_file_free(file);
}

static void damaged(void **state)
{
	(void)state;
	static const uint8_t values[] = {0x00, 0x01, 0x7f, 0x80, 0xff};
	size_t last_off;
	struct buf frame = three_functions(&last_off);
	for (int no_sections = 0; no_sections < 2; no_sections++) {
		struct buf bytes = new_buf();
		const struct cfi_image image = {
			.eh_frame = &frame, .no_sections = no_sections, .last_fde_off = last_off};
		cfi_make_image(&bytes, &image);
		for (size_t len_bytes = 0; len_bytes <= bytes.len_bytes; len_bytes++) {
			char *exact = malloc(len_bytes + 1);
			memcpy(exact, bytes.data, len_bytes);
			use_image(exact, len_bytes);
			free(exact);
		}
		for (size_t i = 0; i < bytes.len_bytes; i++) {
			char before = bytes.data[i];
			for (size_t j = 0; j < ARRAY_LEN(values); j++) {
				bytes.data[i] = (char)values[j];
				use_image(bytes.data, bytes.len_bytes);
			}
			bytes.data[i] = before;
		}
		buf_fini(&bytes);
	}
	buf_fini(&frame);
}

/* .eh_frame that is cut anywhere: the functions that are whole, and one malformed entry. */
static void cut(void **state)
{
	(void)state;
	size_t last_off;
	struct buf frame = three_functions(&last_off);
	uint64_t before = 0;
	for (size_t len_bytes = 0; len_bytes <= frame.len_bytes; len_bytes++) {
		struct buf part = new_buf();
		buf_append(&part, frame.data, len_bytes);
		const struct cfi_image image = {.eh_frame = &part};
		struct unwind_rows *rows = good_rows(&image);
		const struct unwind_stats *stats = unwind_rows_stats(rows);
		assert_in_range(stats->functions, before, before + 1);
		assert_in_range(stats->unsupported[UNWIND_BAD_ENTRY], 0, 1);
		before = stats->functions;
		unwind_rows_free(rows);
		buf_fini(&part);
	}
	assert_int_equal(before, 3);
	buf_fini(&frame);
}

/* More different rules than have numbers: the rest is unsupported and counted, not wrong. */
static void too_many_rules(void **state)
{
	(void)state;
	enum { FUNCTIONS = 16, ROWS = 5000 };
	struct buf frame = new_buf();
	cfi_add_usual_common(&frame);
	for (uint32_t i = 0; i < FUNCTIONS; i++) {
		struct buf program = new_buf();
		for (uint32_t j = 0; j < ROWS; j++) {
			buf_append_u8(&program, 0x0e);
			buf_append_varint(&program, 64 + 8 * (i * ROWS + j));
			buf_append_u8(&program, 0x41);
		}
		cfi_add_function(&frame, 0, TEXT + i * 0x2000, 0x2000, program.data,
				 program.len_bytes);
		buf_fini(&program);
	}
	assert_int_equal(buf_error(&frame), 0);
	const struct cfi_image image = {.eh_frame = &frame};
	struct unwind_rows *rows = good_rows(&image);
	const struct unwind_stats *stats = unwind_rows_stats(rows);
	assert_int_equal(stats->rules, 65536);
	/* 65534 are numbered, for two are there from the start; the last rule of a function has
	 * one row more, to the function's end, and the last three functions lack theirs. */
	assert_int_equal(stats->unsupported[UNWIND_BAD_RULE_COUNT], FUNCTIONS * ROWS - 65534 + 3);
	assert_int_equal(cfa_off_at(rows, 100), 64 + 8 * 100);
	assert_int_equal(unwind_rows_find(rows, TEXT + 15 * 0x2000)->cfa, UNWIND_CFA_UNSUPPORTED);
	unwind_rows_free(rows);
	buf_fini(&frame);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kinds_of_entries), cmocka_unit_test(overlaps),
		cmocka_unit_test(debug_frame),      cmocka_unit_test(packed_debug_frame),
		cmocka_unit_test(ends_of_eh_frame), cmocka_unit_test(other_machines),
		cmocka_unit_test(damaged),          cmocka_unit_test(cut),
		cmocka_unit_test(too_many_rules),   cmocka_unit_test(sections_that_lie),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
