#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cfi_maker.h"
#include "readelf.h"
#include "symbolizer/executable.h"
#include "symbolizer/function_bounds.h"

static char *dir; /* of the fixtures, for the life of this program */

static struct function_bounds *bounds_of(const char *path)
{
	struct err err = {0};
	struct elf_file *file = NULL;
	struct function_bounds *bounds = NULL;
	int rc = elf_file_open(&file, open(path, O_RDONLY | O_CLOEXEC), &err);
	if (!rc)
		rc = function_bounds_read(&bounds, file, &err);
	if (rc)
		fail_msg("%s: %d: %s", path, rc, err.text);
	elf_file_free(file);
	return bounds;
}

static struct executable *open_executable(const char *path)
{
	struct executable *exe = NULL;
	struct err err = {0};
	if (executable_open(&exe, open(path, O_RDONLY | O_CLOEXEC), path, &err))
		fail_msg("%s", err.text);
	return exe;
}

/* Every FDE that readelf lists begins a function, whose last byte is that function's too unless
 * another FDE begins in between; and there are no others. */
static void compare_with_readelf(const char *path)
{
	AUTO_MEM char *text =
		tool_output("readelf --debug-dump=frames '%s' 2>/dev/null | "
			    "sed -n 's/.* FDE .*pc=\\([0-9a-f]*\\)\\.\\.\\([0-9a-f]*\\)$"
			    "/\\1 \\2/p' | sort -u",
			    path);
	AUTO(function_bounds) bounds = bounds_of(path);
	uint32_t starts = 0, differ = 0;
	uint64_t before = 0;
	char *save = NULL;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		uint64_t start, limit;
		assert_int_equal(sscanf(line, "%" SCNx64 " %" SCNx64, &start, &limit), 2);
		if (!start || start == limit)
			continue; /* left out by the linker */
		uint32_t position = function_bounds_find(bounds, start);
		if (position == FUNCTION_BOUNDS_NONE)
			fail_msg("%s: nothing at %#" PRIx64, path, start);
		struct gsym_range range = function_bounds_range(bounds, position);
		assert_int_equal(range.start_vaddr, start);
		assert_true(range.end_vaddr > start);
		differ += range.end_vaddr != limit;
		starts += start != before;
		before = start;
	}
	print_message("%s: %" PRIu32 " functions, %" PRIu32 " cut by others\n", path, starts,
		      differ);
	assert_true(starts > 0);
	assert_int_equal(function_bounds_count(bounds), starts);
	assert_true(differ <= starts / 100);
}

static void bounds_are_readelfs(void **state)
{
	(void)state;
	static const char *const globs[] = {
		"/usr/lib/*/libc.so.6",
		"/usr/lib/*/libstdc++.so.6",
		"/usr/lib/*/libcrypto.so.3",
		"/usr/bin/python3",
		"/bin/bash",
	};
	for (size_t i = 0; i < ARRAY_LEN(globs); i++) {
		AUTO_MEM char *paths = tool_output("ls -1 %s 2>/dev/null || true", globs[i]);
		char *save = NULL;
		for (char *path = strtok_r(paths, "\n", &save); path;
		     path = strtok_r(NULL, "\n", &save))
			compare_with_readelf(path);
	}
}

/* Exported and static functions; a cold part; assembly without a size before a static one. */
static const char source[] =
	"__attribute__((noinline, noclone)) static int local_a(int x)\n"
	"{ __asm__ volatile(\"nop\" : \"+r\"(x)); return x * 3; }\n"
	"__attribute__((visibility(\"default\"))) int exported_a(int x) { return local_a(x) + 1; }\n"
	"__attribute__((noinline, noclone)) static int local_b(int x)\n"
	"{ __asm__ volatile(\"nop\\nnop\" : \"+r\"(x)); return x * 5; }\n"
	"__attribute__((cold, noinline)) static int local_cold(int x) { return local_a(x) - 9; }\n"
	"__attribute__((visibility(\"default\"))) int exported_b(int x)\n"
	"{ if (__builtin_expect(x == 77, 0)) return local_cold(x); return local_b(x) + 1; }\n"
	"__asm__(\".globl unsized_asm\\n.type unsized_asm, @function\\nunsized_asm:\\n\"\n"
	"	\".cfi_startproc\\nnop\\nnop\\nret\\n.cfi_endproc\\n\");\n"
	"__attribute__((used, noinline)) static int local_after(int x)\n"
	"{ __asm__ volatile(\"nop\" : \"+r\"(x)); return x * 7; }\n";

static const struct {
	const char *name, *flags;
} builds[] = {
	{"gcc_O0", "gcc -O0"},
	{"gcc_O2", "gcc -O2 -fno-toplevel-reorder"},
	{"clang_O1", "clang -O1"},
	{"lld", "clang -O2 -fuse-ld=lld"},
};

/* Each address of each function that the twin with symbols has: the exported name, or one mark
 * that says where the function begins. */
static void compare_twins(const char *whole, const char *stripped, const char *base)
{
	struct readelf list = readelf_functions(whole);
	struct executable *exe = open_executable(stripped);
	size_t marks = 0;
	for (size_t i = 0; i < list.count; i++) {
		const struct readelf_function *function = &list.functions[i];
		if (!strstr(function->name, "local_") && !strstr(function->name, "exported_"))
			continue; /* those of the C library's start files have no entries */
		char mark[FUNCTION_MARK_BYTES];
		snprintf(mark, sizeof(mark), "[stripped %s+0x%" PRIx64 "]", base, function->vaddr);
		bool exported =
			!strncmp(function->name, "exported_", 9) && !strchr(function->name, '.');
		for (uint64_t at = 0; at < function->size_bytes; at++) {
			struct symbol symbol = {0};
			if (!executable_lookup(exe, function->vaddr + at, &symbol))
				fail_msg("%s: nothing at %s+%" PRIu64, stripped, function->name,
					 at);
			assert_string_equal(symbol.name, exported ? function->name : mark);
			assert_int_equal(symbol.vaddr, function->vaddr);
			assert_int_equal(symbol.is_mark, !exported);
		}
		marks += !exported;
	}
	assert_true(marks >= 4);
	executable_unref(exe);
	readelf_fini(&list);
}

static void what_is_stripped_has_a_mark_per_function(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(builds); i++) {
		char whole[512], stripped[512], base[64];
		snprintf(base, sizeof(base), "lib%s.so", builds[i].name);
		snprintf(whole, sizeof(whole), "%s/%s.full", dir, base);
		snprintf(stripped, sizeof(stripped), "%s/%s", dir, base);
		free(tool_output("%s -fPIC -shared -fvisibility=hidden -o '%s' '%s/source.c' 2>&1",
				 builds[i].flags, whole, dir));
		free(tool_output("strip -o '%s' '%s'", stripped, whole));
		compare_twins(whole, stripped, base);
		/* Assembly says nothing of its size: its name ends where the next begins. */
		AUTO_MEM char *found =
			tool_output("nm '%s' | awk '$3 == \"unsized_asm\" {print $1}'", whole);
		uint64_t vaddr = strtoull(found, NULL, 16);
		struct executable *exe = open_executable(stripped);
		struct symbol symbol = {0};
		for (uint64_t at = 0; at < 3; at++) {
			assert_true(executable_lookup(exe, vaddr + at, &symbol));
			assert_string_equal(symbol.name, "unsized_asm");
			assert_false(symbol.is_mark);
		}
		executable_unref(exe);
	}
}

/* The C library of this system, as its users have it: all of .text is in named functions or in
 * marks, and each mark covers what readelf says the entry there covers. */
static void a_real_stripped_library(void **state)
{
	(void)state;
	AUTO_MEM char *path = tool_output("ls -1 /usr/lib/*/libc.so.6 | head -1 | tr -d '\\n'");
	AUTO_MEM char *text = tool_output("readelf -SW '%s' | grep ' \\.text '", path);
	uint64_t start, size_bytes;
	assert_int_equal(sscanf(strstr(text, "PROGBITS"), "PROGBITS %" SCNx64 " %*s %" SCNx64,
				&start, &size_bytes),
			 2);
	struct executable *exe = open_executable(path);
	AUTO(function_bounds) bounds = bounds_of(path);
	size_t named = 0, marked = 0, nothing = 0;
	for (uint64_t vaddr = start; vaddr < start + size_bytes; vaddr += 5) {
		struct symbol symbol = {0};
		if (!executable_lookup(exe, vaddr, &symbol)) {
			nothing++; /* padding between functions */
			continue;
		}
		assert_true(vaddr >= symbol.vaddr);
		named += !symbol.is_mark;
		marked += symbol.is_mark;
		if (!symbol.is_mark)
			continue;
		assert_true(vaddr - symbol.vaddr < symbol.size_bytes);
		struct gsym_range range =
			function_bounds_range(bounds, function_bounds_find(bounds, vaddr));
		assert_int_equal(range.start_vaddr, symbol.vaddr);
		/* The same pointer: one mark, made once. */
		struct symbol first = {0};
		assert_true(executable_lookup(exe, range.end_vaddr - 1, &first));
		if (first.is_mark)
			assert_ptr_equal(first.name, symbol.name);
	}
	print_message("%s: every 5th address: %zu named, %zu marked, %zu nothing\n", path, named,
		      marked, nothing);
	assert_true(named > 0);
	assert_true(nothing * 10 < named + marked);
	executable_unref(exe);
}

static void marks_are_base_names(void **state)
{
	(void)state;
	static const struct {
		const char *filename;
		uint64_t vaddr;
		bool is_stripped;
		const char *mark;
	} rows[] = {
		{"/usr/lib/libfoo.so.1", 0x12a0, true, "[stripped libfoo.so.1+0x12a0]"},
		{"libfoo.so", 0x12a0, true, "[stripped libfoo.so+0x12a0]"},
		{"/usr/bin/tool", 0x1020, false, "[tool+0x1020]"},
		{"[vdso]", 0x600, true, "[stripped vdso+0x600]"},
		{"/a/", 1, true, "[stripped +0x1]"},
		{"", 0, true, "[stripped +0x0]"},
		{"[", 7, true, "[stripped [+0x7]"},
		{"/memfd:x (deleted)", UINT64_MAX, true,
		 "[stripped memfd:x (deleted)+0xffffffffffffffff]"},
	};
	char text[FUNCTION_MARK_BYTES];
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		function_mark(text, rows[i].filename, rows[i].vaddr, rows[i].is_stripped);
		assert_string_equal(text, rows[i].mark);
	}
	char longest[4096];
	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = 0;
	function_mark(text, longest, UINT64_MAX, true);
	assert_int_equal(strlen(text), 10 + 255 + 3 + 16 + 1);
	assert_string_equal(text + 10 + 255, "+0xffffffffffffffff]");
}

struct made {
	uint64_t off; /* of CFI_TEXT_VADDR */
	uint32_t bytes;
};

static struct function_bounds *bounds_of_made(const struct made *functions, size_t count)
{
	struct buf eh_frame, image;
	buf_init(&eh_frame, CFI_MAX_BYTES);
	buf_init(&image, CFI_MAX_BYTES);
	cfi_add_usual_common(&eh_frame);
	uint64_t last_off = 0;
	for (size_t i = 0; i < count; i++) {
		last_off = eh_frame.len_bytes;
		cfi_add_function(&eh_frame, 0, CFI_TEXT_VADDR + functions[i].off,
				 functions[i].bytes, NULL, 0);
	}
	struct cfi_image made = {.eh_frame = &eh_frame, .last_fde_off = last_off};
	cfi_make_image(&image, &made);
	struct elf_file *file = NULL;
	struct function_bounds *bounds = NULL;
	assert_int_equal(elf_file_from_memory(&file, image.data, image.len_bytes, NULL), 0);
	assert_int_equal(function_bounds_read(&bounds, file, NULL), 0);
	elf_file_free(file);
	buf_fini(&eh_frame);
	buf_fini(&image);
	return bounds;
}

static void overlaps_and_lies(void **state)
{
	(void)state;
	/* Not in order; one inside another; two that begin together; outside of code. */
	static const struct made functions[] = {
		{0x300, 0x10},      {0x100, 0x80},      {0x140, 0x10}, {0x200, 0x10},
		{0x200, 0x40},      {0x208, 0x8},       {0x400, 0},    {CFI_TEXT_BYTES, 0x10},
		{UINT64_MAX, 0x10}, {0x500, INT32_MAX},
	};
	static const struct {
		uint64_t off;
		uint64_t start, end; /* 0, 0: none */
	} rows[] = {
		{0xff, 0, 0},
		{0x100, 0x100, 0x140},
		{0x13f, 0x100, 0x140},
		{0x140, 0x140, 0x150},
		{0x150, 0, 0},
		{0x200, 0x200, 0x208},
		{0x208, 0x208, 0x210},
		{0x210, 0, 0},
		{0x300, 0x300, 0x310},
		{0x310, 0, 0},
		{0x400, 0, 0},
		{0x500, 0x500, 0x500 + (uint64_t)INT32_MAX},
		{UINT64_MAX - CFI_TEXT_VADDR, 0, 0},
	};
	AUTO(function_bounds) bounds = bounds_of_made(functions, ARRAY_LEN(functions));
	assert_int_equal(function_bounds_count(bounds), 6);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint32_t position = function_bounds_find(bounds, CFI_TEXT_VADDR + rows[i].off);
		if (!rows[i].end) {
			assert_int_equal(position, FUNCTION_BOUNDS_NONE);
			continue;
		}
		assert_int_not_equal(position, FUNCTION_BOUNDS_NONE);
		struct gsym_range range = function_bounds_range(bounds, position);
		assert_int_equal(range.start_vaddr, CFI_TEXT_VADDR + rows[i].start);
		assert_int_equal(range.end_vaddr, CFI_TEXT_VADDR + rows[i].end);
	}
	assert_int_equal(function_bounds_find(bounds, 0), FUNCTION_BOUNDS_NONE);
}

static void no_entries_no_functions(void **state)
{
	(void)state;
	AUTO(function_bounds) bounds = bounds_of_made(NULL, 0);
	assert_int_equal(function_bounds_count(bounds), 0);
	assert_int_equal(function_bounds_find(bounds, CFI_TEXT_VADDR), FUNCTION_BOUNDS_NONE);
	function_bounds_free(NULL);
}

static int set_up(void **state)
{
	(void)state;
	char path[512];
	dir = tool_dir_new();
	snprintf(path, sizeof(path), "%s/source.c", dir);
	tool_write_file(path, source, strlen(source));
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	tool_dir_remove(dir);
	return 0;
}

int main(void)
{
	tool_need("gcc");
	tool_need("clang");
	tool_need("ld.lld");
	tool_need("readelf");
	tool_need("strip");
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bounds_are_readelfs),
		cmocka_unit_test(what_is_stripped_has_a_mark_per_function),
		cmocka_unit_test(a_real_stripped_library),
		cmocka_unit_test(marks_are_base_names),
		cmocka_unit_test(overlaps_and_lies),
		cmocka_unit_test(no_entries_no_functions),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
