/*
 * Damaged GSYM files are refused, and the builder's rules: which name stays, what is cut.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/array.h"
#include "base/buf.h"
#include "symbolizer/gsym.h"
#include "symbolizer/gsym_file.h"

enum { MAX_BYTES = 1 << 20 };

struct added {
	uint64_t start_vaddr, end_vaddr;
	const char *name; /* NULL: none */
	enum gsym_source source;
	bool name_wins;
};

static void add(struct gsym_builder *builder, const struct added *added)
{
	struct gsym_function function = {
		.range = {added->start_vaddr, added->end_vaddr},
		.source = added->source,
		.name_wins = added->name_wins,
	};
	if (added->name)
		assert_int_equal(gsym_builder_add_string(builder, added->name, strlen(added->name),
							 &function.name),
				 0);
	assert_int_equal(gsym_builder_add_function(builder, &function), 0);
}

/* The file's descriptor; the caller closes it. */
static int written(const struct added *added, size_t count)
{
	AUTO(gsym_builder) builder = NULL;
	assert_int_equal(gsym_builder_new(&builder, MAX_BYTES, NULL), 0);
	for (size_t i = 0; i < count && added[i].end_vaddr; i++)
		add(builder, &added[i]);
	int fd = memfd_create("gsym", MFD_CLOEXEC);
	assert_int_equal(gsym_builder_write(builder, fd, NULL, 0, NULL), 0);
	return fd;
}

static const struct {
	const char *what;
	struct added added[3];
	uint64_t asked_vaddr;
	const char *name; /* NULL: nothing is there */
	bool is_folded, has_mark_only;
} name_rows[] = {
	{"the first byte", {{16, 32, "f", GSYM_FROM_DWARF, false}}, 16, "f", false, false},
	{"the last byte", {{16, 32, "f", GSYM_FROM_DWARF, false}}, 31, "f", false, false},
	{"before all", {{16, 32, "f", GSYM_FROM_DWARF, false}}, 15, NULL, false, false},
	{"behind all", {{16, 32, "f", GSYM_FROM_DWARF, false}}, 32, NULL, false, false},
	{"far behind", {{16, 32, "f", GSYM_FROM_DWARF, false}}, UINT64_MAX, NULL, false, false},
	{"the greater source",
	 {{16, 32, "s", GSYM_FROM_SYMBOL_TABLE, false}, {16, 32, "d", GSYM_FROM_DWARF, false}},
	 20,
	 "d",
	 false,
	 false},
	{"a symbol whose name wins",
	 {{16, 32, "s", GSYM_FROM_SYMBOL_TABLE, true}, {16, 32, "d", GSYM_FROM_DWARF, false}},
	 20,
	 "s",
	 false,
	 false},
	{"a mangled symbol",
	 {{16, 32, "_Z1fv", GSYM_FROM_SYMBOL_TABLE, false}, {16, 32, "f", GSYM_FROM_DWARF, false}},
	 20,
	 "_Z1fv",
	 false,
	 false},
	{"the inner of two",
	 {{16, 64, "outer", GSYM_FROM_DWARF, false}, {32, 48, "inner", GSYM_FROM_DWARF, false}},
	 40,
	 "inner",
	 false,
	 false},
	{"the outer behind the inner",
	 {{16, 64, "outer", GSYM_FROM_DWARF, false}, {32, 48, "inner", GSYM_FROM_DWARF, false}},
	 48,
	 "outer",
	 false,
	 false},
	{"a symbol inside of what DWARF knows",
	 {{16, 64, "d", GSYM_FROM_DWARF, false}, {32, 48, "label", GSYM_FROM_SYMBOL_TABLE, false}},
	 40,
	 "d",
	 false,
	 false},
	{"the rest of a symbol",
	 {{16, 64, "s", GSYM_FROM_SYMBOL_TABLE, false}, {16, 48, "d", GSYM_FROM_DWARF, false}},
	 50,
	 "s",
	 false,
	 false},
	{"two names from DWARF",
	 {{16, 32, "a", GSYM_FROM_DWARF, false}, {16, 32, "b", GSYM_FROM_DWARF, false}},
	 20,
	 "a",
	 true,
	 false},
	{"one name twice",
	 {{16, 32, "a", GSYM_FROM_DWARF, false}, {16, 32, "a", GSYM_FROM_DWARF, false}},
	 20,
	 "a",
	 false,
	 false},
	{"aliases are not folded",
	 {{16, 32, "a", GSYM_FROM_SYMBOL_TABLE, false},
	  {16, 32, "b", GSYM_FROM_SYMBOL_TABLE, false}},
	 20,
	 "a",
	 false,
	 false},
	{"no end",
	 {{16, 16, "open", GSYM_FROM_SYMBOL_TABLE, false},
	  {32, 48, "next", GSYM_FROM_DWARF, false}},
	 31,
	 "open",
	 false,
	 false},
	{"no end, and nothing behind",
	 {{16, 16, "open", GSYM_FROM_DWARF, false}},
	 17,
	 NULL,
	 false,
	 false},
	{"no name", {{16, 32, NULL, GSYM_FROM_DWARF, false}}, 20, "[unnamed]", false, true},
	{"no name, but a symbol's",
	 {{16, 32, NULL, GSYM_FROM_PCLNTAB, false}, {16, 32, "s", GSYM_FROM_SYMBOL_TABLE, false}},
	 20,
	 "s",
	 false,
	 true},
	{"bounds only", {{16, 32, "[x]", GSYM_FROM_UNWIND_ROWS, false}}, 20, "[x]", false, true},
};

static void rules_of_names(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(name_rows); i++) {
		print_message("%s\n", name_rows[i].what);
		AUTO_FD fd = written(name_rows[i].added, ARRAY_LEN(name_rows[i].added));
		AUTO(gsym) gsym = NULL;
		assert_int_equal(gsym_open(&gsym, fd, NULL), 0);
		struct gsym_frame frame;
		struct gsym_answer answer;
		bool found = gsym_lookup(gsym, name_rows[i].asked_vaddr, &frame, 1, &answer);
		assert_int_equal(found, name_rows[i].name != NULL);
		if (!found)
			continue;
		assert_string_equal(frame.name, name_rows[i].name);
		assert_string_equal(frame.base, "");
		assert_int_equal(frame.line, 0);
		assert_int_equal(answer.is_folded, name_rows[i].is_folded);
		assert_int_equal(answer.has_mark_only, name_rows[i].has_mark_only);
	}
}

static void what_the_builder_refuses(void **state)
{
	(void)state;
	AUTO(gsym_builder) builder = NULL;
	assert_int_equal(gsym_builder_new(&builder, MAX_BYTES, NULL), 0);
	uint32_t id = 77, name;
	assert_int_equal(gsym_builder_add_string(builder, "name", 4, &name), 0);
	assert_int_equal(gsym_builder_add_file(builder, name + 1, 0, &id), -EINVAL);
	assert_int_equal(gsym_builder_add_file(builder, 0, 1 << 30, &id), -EINVAL);
	assert_int_equal(id, 77);
	const struct gsym_range range = {16, 32};
	const struct gsym_line line = {16, 9, 1};
	const struct gsym_inline skips = {.name = name, .depth = 2, .range_count = 1};
	const struct gsym_inline no_name = {.name = name + 1, .depth = 1, .range_count = 1};
	const struct gsym_inline no_file = {.depth = 1, .call_file = 5};
	const struct gsym_function rows[] = {
		{.range = range, .name = name + 2, .source = GSYM_FROM_DWARF},
		{.range = range, .name = name, .lines = &line, .line_count = 1},
		{.range = range, .name = name, .inlines = &skips, .inline_count = 1},
		{.range = range, .name = name, .inlines = &no_name, .inline_count = 1},
		{.range = range, .name = name, .inlines = &no_file, .inline_count = 1},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(gsym_builder_add_function(builder, &rows[i]), -EINVAL);
	AUTO(gsym_builder) small = NULL;
	assert_int_equal(gsym_builder_new(&small, 2048, NULL), 0);
	int rc = 0;
	for (int i = 0; !rc && i < 2048; i++) {
		char text[16];
		int len = snprintf(text, sizeof(text), "name%d", i);
		rc = gsym_builder_add_string(small, text, (size_t)len, &id);
	}
	assert_int_equal(rc, -ENOSPC);
}

/* One byte of a good file changed, or its end cut off. */
static void damaged_files(void **state)
{
	(void)state;
	static const struct added added[] = {{16, 32, "f", GSYM_FROM_DWARF, false},
					     {64, 99, "g", GSYM_FROM_SYMBOL_TABLE, false}};
	AUTO_FD fd = written(added, ARRAY_LEN(added));
	struct stat st;
	assert_int_equal(fstat(fd, &st), 0);
	size_t whole_bytes = (size_t)st.st_size;
	AUTO_MEM uint8_t *bytes = malloc(whole_bytes);
	assert_int_equal(pread(fd, bytes, whole_bytes, 0), whole_bytes);
	static const struct {
		const char *what;
		size_t off;
		uint8_t byte;
		int code;
	} rows[] = {
		{"magic", 0, 'X', -EBADMSG},
		{"version", 4, 9, -EOPNOTSUPP},
		{"address size 3", 6, 3, -EBADMSG},
		{"address size 0", 6, 0, -EBADMSG},
		{"UUID of 21 bytes", 7, 21, -EBADMSG},
		{"too many functions", 19, 0x7f, -EBADMSG},
		{"strings behind the end", 23, 0x7f, -EBADMSG},
		{"strings that are too long", 27, 0x7f, -EBADMSG},
		{"strings without their NUL", 24, 5, -EBADMSG},
	};
	struct gsym *gsym = NULL;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		print_message("%s\n", rows[i].what);
		uint8_t was = bytes[rows[i].off];
		bytes[rows[i].off] = rows[i].byte;
		struct err err = {0};
		assert_int_equal(gsym_from_memory(&gsym, bytes, whole_bytes, &err), rows[i].code);
		assert_null(gsym);
		assert_string_not_equal(err.text, "");
		bytes[rows[i].off] = was;
	}
	for (size_t cut_bytes = 1; cut_bytes <= whole_bytes; cut_bytes++) {
		int rc = gsym_from_memory(&gsym, bytes, whole_bytes - cut_bytes, NULL);
		if (!rc)
			assert_false(gsym_is_whole(gsym));
		gsym_free(TAKE(gsym));
		assert_int_equal(ftruncate(fd, (off_t)(whole_bytes - cut_bytes)), 0);
		assert_int_equal(gsym_file_check(fd, NULL), -EBADMSG);
	}
}

/* Calls in a row, each with another one in its middle: 4 bytes of the call, 4 of the inner one, 4
 * of the call, 4 of the function. */
enum { CALL_BYTES = 16, CALLS_VADDR = 0x10000 };

static int with_calls(uint32_t count)
{
	AUTO(gsym_builder) builder = NULL;
	assert_int_equal(gsym_builder_new(&builder, 16 * MAX_BYTES, NULL), 0);
	struct gsym_function function = {
		.range = {CALLS_VADDR, CALLS_VADDR + (uint64_t)count * CALL_BYTES},
		.source = GSYM_FROM_DWARF,
		.inline_count = 2 * (size_t)count,
	};
	uint32_t outer, inner;
	assert_int_equal(gsym_builder_add_string(builder, "f", 1, &function.name), 0);
	assert_int_equal(gsym_builder_add_string(builder, "outer", 5, &outer), 0);
	assert_int_equal(gsym_builder_add_string(builder, "inner", 5, &inner), 0);
	AUTO_MEM struct gsym_inline *calls = calloc(2 * (size_t)count, sizeof(*calls));
	AUTO_MEM struct gsym_range *ranges = calloc(2 * (size_t)count, sizeof(*ranges));
	assert_non_null(calls);
	assert_non_null(ranges);
	for (uint32_t i = 0; i < count; i++) {
		uint64_t vaddr = CALLS_VADDR + (uint64_t)i * CALL_BYTES;
		ranges[2 * i] = (struct gsym_range){vaddr, vaddr + 12};
		ranges[2 * i + 1] = (struct gsym_range){vaddr + 4, vaddr + 8};
		calls[2 * i] = (struct gsym_inline){outer, 0, 1 + i, 1, 2 * i, 1};
		calls[2 * i + 1] = (struct gsym_inline){inner, 0, 1000000 + i, 2, 2 * i + 1, 1};
	}
	function.inlines = calls;
	function.ranges = ranges;
	assert_int_equal(gsym_builder_add_function(builder, &function), 0);
	int fd = memfd_create("gsym", MFD_CLOEXEC);
	assert_int_equal(gsym_builder_write(builder, fd, NULL, 0, NULL), 0);
	return fd;
}

/* So many that they are numbered by one byte, by two, and that there is no table. */
static void many_calls(void **state)
{
	(void)state;
	static const uint32_t counts[] = {1, 3, 4, 5, 100, 511, 512, 513, 3000, 140000};
	static const uint32_t depths[CALL_BYTES / 4] = {2, 3, 2, 1};
	for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
		AUTO_FD fd = with_calls(counts[i]);
		AUTO(gsym) gsym = NULL;
		assert_int_equal(gsym_open(&gsym, fd, NULL), 0);
		uint32_t step = counts[i] < 10000 ? 1 : 100003;
		for (uint32_t off = 0; off < counts[i] * CALL_BYTES; off += step) {
			struct gsym_frame frames[4];
			struct gsym_answer answer;
			assert_true(gsym_lookup(gsym, CALLS_VADDR + off, frames, 4, &answer));
			uint32_t depth = depths[off % CALL_BYTES / 4];
			assert_int_equal(answer.frame_count, depth);
			assert_string_equal(frames[depth - 1].name, "f");
			assert_int_equal(frames[depth - 1].line,
					 depth > 1 ? 1 + off / CALL_BYTES : 0);
			if (depth == 3) {
				assert_string_equal(frames[0].name, "inner");
				assert_string_equal(frames[1].name, "outer");
				assert_int_equal(frames[1].line, 1000000 + off / CALL_BYTES);
			}
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rules_of_names),
		cmocka_unit_test(what_the_builder_refuses),
		cmocka_unit_test(damaged_files),
		cmocka_unit_test(many_calls),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
