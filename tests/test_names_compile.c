/*
 * All names of a program compiled by gcc are found again, from whichever of its files are there;
 * what cannot be read or written is said, and costs no more than it must.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/array.h"
#include "names_fixture.h"
#include "symbolizer/names_make.h"
#include "symbolizer/symbol_cache.h"

enum { MAX_BYTES = 16 << 20 };
#define ID "0123abcd"

static char *dir;

static int setup(void **state)
{
	(void)state;
	dir = tool_dir_new();
	names_fixture_build(dir);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	tool_dir_remove(dir);
	return 0;
}

/* As nm prints it of the file that has all symbols. */
static uint64_t start_of(const char *function)
{
	char *text = tool_output("nm %s/program | awk '$3 == \"%s\" { print $1 }'", dir, function);
	uint64_t vaddr = strtoull(text, NULL, 16);
	free(text);
	assert_int_not_equal(vaddr, 0);
	return vaddr;
}

enum { MARK = 1, NAMES, LINES };

static const struct {
	const char *what, *file, *debug; /* NULL: not there */
	int knows;
	bool is_stripped;
} file_rows[] = {
	{"the program with all", "program", NULL, LINES, false},
	{"with its debug file", "stripped", "debug", LINES, false},
	{"with all, and a debug file", "program", "debug", LINES, false},
	{"the debug file alone", NULL, "debug", LINES, false},
	{"a debug file without anything", "program", "stripped", LINES, false},
	{"stripped", "stripped", NULL, MARK, true},
	{"stripped, twice", "stripped", "stripped", MARK, true},
	{"symbols only", "symbols", NULL, NAMES, false},
};

static void expect_function(const struct gsym *gsym, const char *name, int knows)
{
	struct gsym_frame frames[4];
	struct gsym_answer answer;
	uint64_t vaddr = start_of(name);
	assert_true(gsym_lookup(gsym, vaddr, frames, 4, &answer));
	assert_int_equal(answer.start_vaddr, vaddr);
	assert_int_equal(answer.has_mark_only, knows == MARK);
	const struct gsym_frame *function = &frames[answer.frame_count - 1];
	if (knows > MARK)
		assert_string_equal(function->name, name);
	assert_string_equal(function->base, knows == LINES ? "program.c" : "");
	assert_int_equal(function->line > 0, knows == LINES);
	if (knows < LINES)
		assert_int_equal(answer.frame_count, 1);
}

/* Somewhere in outer, inner is inlined by line 9. */
static void expect_inlined(const struct gsym *gsym)
{
	uint64_t vaddr = start_of("outer");
	struct gsym_frame frames[4];
	struct gsym_answer answer = {.end_vaddr = vaddr + 1};
	bool found = false;
	for (; !found && vaddr < answer.end_vaddr; vaddr++) {
		assert_true(gsym_lookup(gsym, vaddr, frames, 4, &answer));
		found = answer.frame_count == 2 && !strcmp(frames[0].name, "inner");
	}
	assert_true(found);
	assert_true(frames[0].is_inlined);
	assert_string_equal(frames[1].name, "outer");
	assert_int_equal(frames[1].line, 9);
}

static void names_of_all_files(void **state)
{
	(void)state;
	free(tool_output("cd %s && cp program symbols && strip -g symbols && echo", dir));
	for (size_t i = 0; i < ARRAY_LEN(file_rows); i++) {
		print_message("%s\n", file_rows[i].what);
		const char *names[] = {file_rows[i].file, file_rows[i].debug};
		AUTO(elf_file) file = names[0] ? names_fixture_elf(dir, names[0]) : NULL;
		AUTO(elf_file) debug = names[1] ? names_fixture_elf(dir, names[1]) : NULL;
		const struct names_input input = {.file = file, .debug = debug, .scratch_fd = -1};
		AUTO_FD fd = memfd_create("names", MFD_CLOEXEC);
		struct names_stats stats;
		struct err err = {0};
		assert_int_equal(names_compile(&input, MAX_BYTES, fd, &stats, &err), 0);
		assert_string_equal(stats.problem.text, "");
		assert_int_equal(stats.is_stripped, file_rows[i].is_stripped);
		AUTO(gsym) gsym = NULL;
		assert_int_equal(gsym_open(&gsym, fd, NULL), 0);
		assert_true(gsym_is_whole(gsym));
		int knows = file_rows[i].knows;
		assert_int_equal(gsym_has_source(gsym, GSYM_FROM_DWARF), knows == LINES);
		expect_function(gsym, "outer", knows);
		expect_function(gsym, "other", knows);
		expect_function(gsym, "main", knows);
		if (knows == LINES)
			expect_inlined(gsym);
	}
}

static bool yes(void *ctx)
{
	(void)ctx;
	return true;
}

static void what_fails(void **state)
{
	(void)state;
	static const struct {
		const char *what, *file, *out;
		int flags;
		bool is_cancelled;
		int code;
	} rows[] = {
		{"no names at all", "bare", NULL, 0, false, -ENOENT},
		{"cancelled", "program", NULL, 0, true, -ECANCELED},
		{"a full disk", "program", "/dev/full", O_WRONLY, false, -ENOSPC},
		{"a file that is not open for writing", "program", "/dev/null", O_RDONLY, false,
		 -EBADF},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		print_message("%s\n", rows[i].what);
		AUTO(elf_file) file = names_fixture_elf(dir, rows[i].file);
		const struct names_input input = {
			.file = file,
			.scratch_fd = -1,
			.is_cancelled = rows[i].is_cancelled ? yes : NULL,
		};
		AUTO_FD fd = rows[i].out ? open(rows[i].out, rows[i].flags | O_CLOEXEC)
					 : memfd_create("names", MFD_CLOEXEC);
		struct names_stats stats;
		struct err err = {0};
		assert_int_equal(names_compile(&input, MAX_BYTES, fd, &stats, &err), rows[i].code);
		assert_string_not_equal(err.text, "");
		struct stat st;
		assert_int_equal(fstat(fd, &st), 0);
		assert_int_equal(st.st_size, 0);
	}
}

/* With less and less memory there are fewer names, but never without a word. */
static void too_little_memory(void **state)
{
	(void)state;
	AUTO(elf_file) file = names_fixture_elf(dir, "program");
	const struct names_input input = {.file = file, .scratch_fd = -1};
	size_t without_dwarf = 0;
	for (size_t max_bytes = 64 << 10; max_bytes >= 256; max_bytes -= max_bytes / 8) {
		AUTO_FD fd = memfd_create("names", MFD_CLOEXEC);
		AUTO(gsym) gsym = NULL;
		struct names_stats stats;
		struct err err = {0};
		int rc = names_compile(&input, max_bytes, fd, &stats, &err);
		if (rc) {
			assert_int_equal(rc, -ENOSPC);
			assert_string_not_equal(err.text, "");
			continue;
		}
		assert_int_equal(gsym_open(&gsym, fd, NULL), 0);
		if (!stats.problem.code)
			expect_inlined(gsym);
		else
			assert_string_not_equal(stats.problem.text, "");
		without_dwarf += !gsym_has_source(gsym, GSYM_FROM_DWARF);
	}
	assert_in_range(without_dwarf, 1, 1000);
}

/* A debug file that ends early: its own names are lost, those of the program are not. */
static void cut_debug_file(void **state)
{
	(void)state;
	free(tool_output("cd %s && head -c 2000 debug >cut && echo", dir));
	AUTO(elf_file) file = names_fixture_elf(dir, "symbols");
	char path[512];
	snprintf(path, sizeof(path), "%s/cut", dir);
	struct debug_file debug = {.fd = open(path, O_RDONLY | O_CLOEXEC), .alternate_fd = -1};
	const struct names_order order = {.file = file, .debug = &debug, .cache_fd = -1};
	AUTO(gsym) gsym = NULL;
	struct names_stats stats;
	assert_int_equal(names_make(&gsym, &order, &stats, NULL), 0);
	assert_int_equal(debug.fd, -1); /* taken */
	expect_function(gsym, "outer", NAMES);
}

static void through_the_cache(void **state)
{
	(void)state;
	char *cache = tool_dir_new();
	AUTO_FD cache_fd = open(cache, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	AUTO(elf_file) file = names_fixture_elf(dir, "program");
	const struct names_order order = {.file = file, .cache_fd = cache_fd, .id = ID};
	for (int i = 0; i < 2; i++) {
		AUTO(gsym) made = NULL;
		AUTO(gsym) loaded = NULL;
		struct names_stats stats;
		assert_int_equal(names_make(&made, &order, &stats, NULL), 0);
		assert_string_equal(stats.problem.text, "");
		assert_int_equal(symbol_cache_load(&loaded, cache_fd, ID, NULL), 0);
		expect_inlined(made);
		expect_inlined(loaded);
		assert_int_equal(names_fixture_files(cache), 1);
	}
	tool_dir_remove(cache);
}

/* Without a cache that can be written to there are all names, and a sentence; but what must be
 * kept has failed. */
static void cache_that_is_gone(void **state)
{
	(void)state;
	char *cache = tool_dir_new();
	AUTO_FD cache_fd = open(cache, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	tool_dir_remove(cache);
	AUTO(elf_file) file = names_fixture_elf(dir, "program");
	struct names_order order = {.file = file, .cache_fd = cache_fd, .id = ID};
	struct names_stats stats;
	AUTO(gsym) gsym = NULL;
	assert_int_equal(names_make(&gsym, &order, &stats, NULL), 0);
	expect_inlined(gsym);
	assert_int_equal(stats.problem.code, -ENOENT);
	assert_non_null(strstr(stats.problem.text, "not kept"));

	struct gsym *none = NULL;
	struct err err = {0};
	order.must_keep = true;
	assert_int_equal(names_make(&none, &order, &stats, &err), -ENOENT);
	assert_null(none);
	assert_string_not_equal(err.text, "");
}

/* The cache's disk is full in the middle of it, and so is memory here: nothing is left behind. In
 * a child, for a limit cannot be raised again. */
static void full_in_the_middle(void **state)
{
	(void)state;
	char *cache = tool_dir_new();
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		AUTO_FD cache_fd = open(cache, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		AUTO(elf_file) file = names_fixture_elf(dir, "program");
		const struct names_order order = {.file = file, .cache_fd = cache_fd, .id = ID};
		const struct rlimit limit = {300, 300};
		struct names_stats stats;
		struct gsym *gsym = NULL;
		(void)signal(SIGXFSZ, SIG_IGN);
		if (setrlimit(RLIMIT_FSIZE, &limit))
			_exit(2);
		_exit(names_make(&gsym, &order, &stats, NULL) == -EFBIG && !gsym ? 0 : 1);
	}
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(names_fixture_files(cache), 0);
	tool_dir_remove(cache);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_of_all_files), cmocka_unit_test(what_fails),
		cmocka_unit_test(too_little_memory),  cmocka_unit_test(cut_debug_file),
		cmocka_unit_test(through_the_cache),  cmocka_unit_test(cache_that_is_gone),
		cmocka_unit_test(full_in_the_middle),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
