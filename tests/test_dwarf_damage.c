/*
 * DWARF that is damaged or made to hurt: it ends early, goes in circles, is nested without end,
 * refers to one long list a thousand times, packs nothing into gigabytes. Each costs bounded time
 * and gives a sentence.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "base/array.h"
#include "dwarf_maker.h"
#include "symbolizer/dwarf.h"
#include "symbolizer/gsym.h"
#include "tool.h"

enum {
	MAX_BYTES = 64 << 20,
	DAMAGES = 1500,
	TEXT = DWARF_MAKER_TEXT_VADDR,
};

struct outcome {
	int rc;
	struct err err;
	struct dwarf_stats stats;
	struct gsym_builder *builder;
};

static void outcome_fini(struct outcome *outcome)
{
	gsym_builder_free(outcome->builder);
}

static void run(struct outcome *outcome, const struct elf_file *file,
		const struct dwarf_limits *limits, bool (*is_cancelled)(void *ctx))
{
	const struct dwarf_input input = {
		.file = file, .scratch_fd = -1, .is_cancelled = is_cancelled};
	*outcome = (struct outcome){0};
	assert_int_equal(gsym_builder_new(&outcome->builder, MAX_BYTES, NULL), 0);
	outcome->rc =
		dwarf_compile(&input, outcome->builder, limits, &outcome->stats, &outcome->err);
	assert_int_equal(outcome->rc, outcome->err.code);
	assert_true(!outcome->rc == !outcome->err.text[0]);
	assert_true(outcome->stats.bad_units <= outcome->stats.units);
}

static const struct dwarf_limits small_limits = {
	.max_section_bytes = 1 << 20, .max_total_bytes = 2 << 20, .max_unit_bytes = 1 << 20};

/* A table of abbreviations. 1: a unit with children. 2: a function by low_pc and high_pc with a
 * name. 3: the same with a specification. 4: one without children. 5: a block with children.
 * 6: a function by ranges. 7: an inlined call. 8: a unit with lines. 9: a form of the future.
 * 10: a declaration that refers on. 11: an entry point with an end. 12: without one. */
#define U8(x)  ((x)&0xff)
#define U16(x) U8(x), U8((x) >> 8)
#define U32(x) U16(x), U16((x) >> 16)
#define U64(x) U32((uint64_t)(x)), U32((uint64_t)(x) >> 32)

static const uint8_t abbrevs[] = {
	1,  0x11, 1, 0,    0,                                  /**/
	2,  0x2e, 1, 0x11, 0x01, 0x12, 0x06, 0x03, 0x08, 0, 0, /**/
	3,  0x2e, 0, 0x11, 0x01, 0x12, 0x06, 0x47, 0x13, 0, 0, /**/
	4,  0x2e, 0, 0x11, 0x01, 0x12, 0x06, 0x03, 0x08, 0, 0, /**/
	5,  0x0b, 1, 0,    0,                                  /**/
	6,  0x2e, 0, 0x55, 0x17, 0,    0,                      /**/
	7,  0x1d, 1, 0x11, 0x01, 0x12, 0x06, 0x31, 0x13, 0, 0, /**/
	8,  0x11, 1, 0x10, 0x17, 0,    0,                      /**/
	10, 0x2e, 0, 0x47, 0x13, 0,    0,                      /**/
	11, 0x03, 0, 0x11, 0x01, 0x12, 0x06, 0x03, 0x08, 0, 0, /**/
	12, 0x03, 0, 0x11, 0x01, 0x03, 0x08, 0,    0,          /**/
	0,
};

/* DWARF 4. The first entry is at 11. */
#define HEADER(bytes)                U32((bytes) + 7), U16(4), U32(0), 8
#define FUNCTION(code, vaddr, bytes) (code), U64(vaddr), U32(bytes)
enum { FIRST = 11 };

static const uint8_t good[] = {HEADER(17), 1, FUNCTION(4, TEXT, 16), 'f', 0, 0};

struct row {
	const char *what;
	const uint8_t *info;
	size_t info_bytes;
	int rc;
	uint64_t functions, bad_units;
	const char *problem; /* in the sentence of the failure or of the unit */
};

#define INFO(...) (const uint8_t[]){__VA_ARGS__}, sizeof((uint8_t[]){__VA_ARGS__})

static const struct row rows[] = {
	{"one function", INFO(HEADER(17), 1, FUNCTION(4, TEXT, 16), 'f', 0, 0), 0, 1, 0, NULL},
	{"two units",
	 INFO(HEADER(17), 1, FUNCTION(4, TEXT, 16), 'f', 0, 0, HEADER(17), 1,
	      FUNCTION(4, TEXT + 16, 16), 'g', 0, 0),
	 0, 2, 0, NULL},
	{"an entry point with code of its own",
	 INFO(HEADER(17), 1, FUNCTION(11, TEXT, 16), 'e', 0, 0), 0, 1, 0, NULL},
	{"an entry point into a function, whose code it is",
	 INFO(HEADER(29), 1, FUNCTION(2, TEXT, 32), 'f', 0, 12, U64(TEXT + 16), 'e', 0, 0, 0), 0, 1,
	 0, NULL},
	{"an entry point into nothing", INFO(HEADER(13), 1, 12, U64(TEXT), 'e', 0, 0), 0, 0, 0,
	 NULL},
	{"thrown away, at 0", INFO(HEADER(17), 1, FUNCTION(4, 0, 16), 'f', 0, 0), 0, 0, 0, NULL},
	{"thrown away, highest", INFO(HEADER(17), 1, FUNCTION(4, UINT64_MAX, 16), 'f', 0, 0), 0, 0,
	 0, NULL},
	{"thrown away, next to highest",
	 INFO(HEADER(17), 1, FUNCTION(4, UINT64_MAX - 1, 16), 'f', 0, 0), 0, 0, 0, NULL},
	{"not in the code", INFO(HEADER(17), 1, FUNCTION(4, 0x900000, 16), 'f', 0, 0), 0, 0, 0,
	 NULL},
	{"half in the code",
	 INFO(HEADER(17), 1, FUNCTION(4, TEXT + DWARF_MAKER_TEXT_BYTES - 8, 16), 'f', 0, 0), 0, 0,
	 0, NULL},
	{"end wraps", INFO(HEADER(17), 1, FUNCTION(4, TEXT, 0xffffffff), 'f', 0, 0), 0, 0, 0, NULL},
	{"no bytes", INFO(HEADER(17), 1, FUNCTION(4, TEXT, 0), 'f', 0, 0), 0, 0, 0, NULL},
	{"specification is itself", INFO(HEADER(19), 1, FUNCTION(3, TEXT, 16), U32(FIRST + 1), 0),
	 0, 1, 0, NULL},
	{"specifications in a circle",
	 INFO(HEADER(29), 1, FUNCTION(3, TEXT, 16), U32(FIRST + 18), 10, U32(FIRST + 23), 10,
	      U32(FIRST + 18), 0),
	 0, 1, 0, NULL},
	{"specification is elsewhere",
	 INFO(HEADER(19), 1, FUNCTION(3, TEXT, 16), U32(0x7fffffff), 0), 0, 1, 0, NULL},
	{"specification is the header", INFO(HEADER(19), 1, FUNCTION(3, TEXT, 16), U32(2), 0), 0, 1,
	 0, NULL},
	{"name without its end", INFO(HEADER(15), 1, FUNCTION(4, TEXT, 16), 'f'), -ENODATA, 0, 1,
	 "behind"},
	{"entry ends early", INFO(HEADER(5), 1, 4, 1, 2, 3), -ENODATA, 0, 1, "behind the unit"},
	{"code is not in the table", INFO(HEADER(3), 1, 77, 0), -EBADMSG, 0, 1, "abbreviation 77"},
	{"second unit is damaged",
	 INFO(HEADER(17), 1, FUNCTION(4, TEXT, 16), 'f', 0, 0, HEADER(3), 1, 77, 0), 0, 1, 1,
	 "abbreviation 77"},
	{"ranges are not there", INFO(HEADER(7), 1, 6, U32(0), 0), -EBADMSG, 0, 1, "ranges"},
	{"ranges are far away", INFO(HEADER(7), 1, 6, U32(0xfffffff0), 0), -EBADMSG, 0, 1,
	 "ranges"},
	{"lines are not there", INFO(HEADER(21), 8, U32(4), FUNCTION(4, TEXT, 16), 'f', 0, 0), 0, 1,
	 1, "line table"},
	{"call in no function", INFO(HEADER(20), 1, FUNCTION(7, TEXT, 16), U32(FIRST), 0, 0), 0, 0,
	 0, NULL},
	{"unit longer than the section", INFO(U32(1000), U16(4), U32(0), 8, 1, 0), -EBADMSG, 0, 0,
	 ".debug_info"},
	{"length is reserved", INFO(U32(0xfffffff5), U16(4), U32(0), 8, 1, 0), -EBADMSG, 0, 0,
	 ".debug_info"},
	{"header ends early", INFO(U32(3), U16(4), 0), -ENODATA, 0, 1, "header"},
	{"version 1", INFO(U32(8), U16(1), U32(0), 8, 0), -EOPNOTSUPP, 0, 1, "version 1"},
	{"version 6", INFO(U32(8), U16(6), U32(0), 8, 0), -EOPNOTSUPP, 0, 1, "version 6"},
	{"addresses of 4 bytes", INFO(U32(8), U16(4), U32(0), 4, 1), -EOPNOTSUPP, 0, 1, "4 bytes"},
	{"abbreviations are elsewhere", INFO(U32(8), U16(4), U32(0x7fffffff), 8, 1), -ENODATA, 0, 1,
	 "abbreviations"},
};

static struct elf_file *open_sections(const struct dwarf_maker_section *sections, size_t count)
{
	struct elf_file *file;
	struct buf image;
	buf_init(&image, MAX_BYTES);
	dwarf_maker_image(&image, sections, count);
	assert_int_equal(buf_error(&image), 0);
	assert_int_equal(elf_file_from_memory(&file, image.data, image.len_bytes, NULL), 0);
	buf_fini(&image);
	return file;
}

static struct elf_file *open_info(const void *info, size_t info_bytes)
{
	const struct dwarf_maker_section sections[] = {
		{".debug_info", info, info_bytes, 0},
		{".debug_abbrev", abbrevs, sizeof(abbrevs), 0},
	};
	return open_sections(sections, ARRAY_LEN(sections));
}

static void check_row(const struct row *row)
{
	struct elf_file *file = open_info(row->info, row->info_bytes);
	AUTO_FINI(outcome_fini) struct outcome outcome;
	run(&outcome, file, &small_limits, NULL);
	elf_file_free(file);
	const char *said = outcome.rc ? outcome.err.text : outcome.stats.problem.text;
	if (outcome.rc != row->rc || outcome.stats.functions != row->functions ||
	    outcome.stats.bad_units != row->bad_units ||
	    (row->problem ? !strstr(said, row->problem) : said[0] != '\0'))
		fail_msg("%s: %d, %llu functions, %llu bad units: %s", row->what, outcome.rc,
			 (unsigned long long)outcome.stats.functions,
			 (unsigned long long)outcome.stats.bad_units, said);
}

static void damaged_units(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		check_row(&rows[i]);
}

/* In the middle of a unit or of a table, at every byte. */
static void the_end_comes_early(void **state)
{
	(void)state;
	for (size_t len_bytes = 0; len_bytes < sizeof(good); len_bytes++) {
		struct elf_file *file = open_info(good, len_bytes);
		AUTO_FINI(outcome_fini) struct outcome outcome;
		run(&outcome, file, &small_limits, NULL);
		assert_int_equal(outcome.stats.functions, 0);
		if (outcome.rc != (len_bytes ? -EBADMSG : -ENOENT))
			fail_msg("%zu bytes: %d, %s", len_bytes, outcome.rc, outcome.err.text);
		elf_file_free(file);
	}
}

static void nested_without_end(void **state)
{
	(void)state;
	enum { LEVELS = 100000 };
	struct buf info;
	buf_init(&info, MAX_BYTES);
	buf_append(&info, (const uint8_t[]){HEADER(1 + LEVELS), 1}, 12);
	for (size_t i = 0; i < LEVELS; i++)
		buf_append_u8(&info, 5);
	struct elf_file *file = open_info(info.data, info.len_bytes);
	AUTO_FINI(outcome_fini) struct outcome outcome;
	run(&outcome, file, &small_limits, NULL);
	assert_int_equal(outcome.rc, -EBADMSG);
	assert_non_null(strstr(outcome.err.text, "nested deeper"));
	elf_file_free(file);
	buf_fini(&info);
}

/* 20,000 functions of 20,000 ranges each are 6.4 GB to read, from 420 KB. */
static void one_list_for_all(void **state)
{
	(void)state;
	enum { COUNT = 20000 };
	struct buf info, ranges;
	buf_init(&info, MAX_BYTES);
	buf_init(&ranges, MAX_BYTES);
	buf_append(&info, (const uint8_t[]){HEADER(1 + COUNT * 5), 1}, 12);
	for (size_t i = 0; i < COUNT; i++) {
		buf_append(&info, (const uint8_t[]){6, U32(0)}, 5);
		buf_append_u64le(&ranges, 0x900000 + i); /* in no segment: nothing is kept */
		buf_append_u64le(&ranges, 0x900000 + i + 1);
	}
	buf_append(&ranges, (const uint8_t[16]){0}, 16);
	const struct dwarf_maker_section sections[] = {
		{".debug_info", info.data, info.len_bytes, 0},
		{".debug_abbrev", abbrevs, sizeof(abbrevs), 0},
		{".debug_ranges", ranges.data, ranges.len_bytes, 0},
	};
	struct elf_file *file = open_sections(sections, ARRAY_LEN(sections));
	AUTO_FINI(outcome_fini) struct outcome outcome;
	run(&outcome, file, &small_limits, NULL);
	assert_int_equal(outcome.rc, -ENOSPC);
	assert_non_null(strstr(outcome.err.text, "too often"));
	elf_file_free(file);
	buf_fini(&info);
	buf_fini(&ranges);
}

struct packed_row {
	const char *what;
	uint32_t type;
	uint64_t plain_bytes;
	const char *bytes;
	size_t len_bytes;
	int rc;
};

/* zlib's and zstd's own containers, by hand: RFC 1950, RFC 8878. */
static const struct packed_row packed_rows[] = {
	{"nothing in gigabytes", ELFCOMPRESS_ZLIB, UINT64_C(1) << 40, "", 0, -ENOSPC},
	{"a little in a megabyte", ELFCOMPRESS_ZLIB, 1 << 20, "\x78\x9c", 2, -EBADMSG},
	{"not zlib", ELFCOMPRESS_ZLIB, 4, "abcdef", 6, -EBADMSG},
	{"zlib ends early", ELFCOMPRESS_ZLIB, 100, "\x78\x9c\x4b", 3, -EBADMSG},
	{"not zstd", 2, 4, "abcdef", 6, -EBADMSG},
	{"zstd ends early", 2, 4, "\x28\xb5\x2f\xfd", 4, -EBADMSG},
	{"zstd of nothing", 2, 1 << 19, "\x28\xb5\x2f\xfd\x20\x00\x01\x00\x00", 9, -EBADMSG},
	{"a method of the future", 77, 4, "abcd", 4, -EOPNOTSUPP},
};

static void damaged_packing(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(packed_rows); i++) {
		const struct packed_row *row = &packed_rows[i];
		Elf64_Chdr header = {.ch_type = row->type, .ch_size = row->plain_bytes};
		struct buf bytes;
		buf_init(&bytes, 1 << 10);
		buf_append(&bytes, &header, sizeof(header));
		buf_append(&bytes, row->bytes, row->len_bytes);
		const struct dwarf_maker_section section = {".debug_info", bytes.data,
							    bytes.len_bytes, SHF_COMPRESSED};
		struct elf_file *file = open_sections(&section, 1);
		AUTO_FINI(outcome_fini) struct outcome outcome;
		run(&outcome, file, &small_limits, NULL);
		if (outcome.rc != row->rc || !strstr(outcome.err.text, ".debug_info"))
			fail_msg("%s: %d, %s", row->what, outcome.rc, outcome.err.text);
		elf_file_free(file);
		buf_fini(&bytes);
	}
}

static bool at_once(void *ctx)
{
	(void)ctx;
	return true;
}

static void limits_and_cancelling(void **state)
{
	(void)state;
	static const struct dwarf_limits tiny = {
		.max_section_bytes = 10, .max_total_bytes = 1 << 20, .max_unit_bytes = 1 << 20};
	static const struct dwarf_limits few = {
		.max_section_bytes = 1 << 20, .max_total_bytes = 30, .max_unit_bytes = 1 << 20};
	struct elf_file *file = open_info(good, sizeof(good)), *empty = open_sections(NULL, 0);
	const struct {
		const struct elf_file *file;
		const struct dwarf_limits *limits;
		bool (*is_cancelled)(void *ctx);
		int rc;
	} tries[] = {
		{file, &tiny, NULL, -ENOSPC},
		{file, &few, NULL, -ENOSPC},
		{file, &small_limits, at_once, -ECANCELED},
		{empty, &small_limits, NULL, -ENOENT},
	};
	for (size_t i = 0; i < ARRAY_LEN(tries); i++) {
		AUTO_FINI(outcome_fini) struct outcome outcome;
		run(&outcome, tries[i].file, tries[i].limits, tries[i].is_cancelled);
		assert_int_equal(outcome.rc, tries[i].rc);
		assert_int_equal(outcome.stats.functions, 0);
	}
	elf_file_free(file);
	elf_file_free(empty);
}

/* xorshift64: https://www.jstatsoft.org/article/view/v008i14 */
static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* A real program with some bytes changed. */
static void any_byte_is_wrong(void **state)
{
	(void)state;
	char *dir = tool_dir_new();
	AUTO_MEM char *built = tool_output(
		"cd '%s' && printf '%%s\n' 'static inline int g(int x) { return x * x; }' "
		"'int f(int x) { for (int i = 0; i < x; i++) x += g(i); return x; }' >a.c && "
		"gcc -g -O2 -shared -nostdlib -fPIC -Wl,-z,max-page-size=16 -o a a.c && "
		"stat -c %%s a",
		dir);
	size_t len_bytes = strtoul(built, NULL, 10);
	AUTO_MEM char *path = NULL;
	assert_true(asprintf(&path, "%s/a", dir) > 0);
	AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC);
	AUTO_MEM char *image = malloc(len_bytes);
	AUTO_MEM char *damaged = malloc(len_bytes);
	assert_int_equal(read(fd, image, len_bytes), len_bytes);
	uint64_t seed = 88172645463325252;
	for (size_t i = 0; i < DAMAGES; i++) {
		memcpy(damaged, image, len_bytes);
		for (uint64_t left = 1 + next_random(&seed) % 4; left > 0; left--)
			damaged[next_random(&seed) % len_bytes] ^= (char)next_random(&seed);
		struct elf_file *file;
		if (elf_file_from_memory(&file, damaged, len_bytes, NULL))
			continue;
		AUTO_FINI(outcome_fini) struct outcome outcome;
		run(&outcome, file, &small_limits, NULL);
		elf_file_free(file);
	}
	tool_dir_remove(dir);
}

int main(void)
{
	tool_need("gcc");
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(damaged_units),      cmocka_unit_test(the_end_comes_early),
		cmocka_unit_test(nested_without_end), cmocka_unit_test(one_list_for_all),
		cmocka_unit_test(damaged_packing),    cmocka_unit_test(limits_and_cancelling),
		cmocka_unit_test(any_byte_is_wrong),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
