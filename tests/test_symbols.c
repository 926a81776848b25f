/*
 * Programs that gcc made, named step by step: by symbol table, by a debug file that comes later,
 * by an upload, by the cache of the run before.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/array.h"
#include "base/clock.h"
#include "profiler/symbols.h"
#include "symbolizer/demangle_cache.h"
#include "symbolizer/symbol_frames.h"

enum { LONG_S = 240, /* only a hang takes so long */ PATH_BYTES = 256 };

struct fixture {
	char directory[64];
	struct symbols *symbols;
	struct demangle_cache *demangled;
	pthread_mutex_t lock;
	int told;
	char told_id[BUILD_ID_HEX_BYTES];
	size_t renamed;
};

static void run_in(const struct fixture *fixture, const char *command)
{
	char line[1024];
	snprintf(line, sizeof(line), "cd %s && %s", fixture->directory, command);
	assert_int_equal(system(line), 0);
}

/* outer() calls inner(), which is inlined; `debug` has what `stripped` lost. */
static const char *const make_program =
	"printf '%s\\n' 'volatile int sink;' "
	"'static inline __attribute__((always_inline)) void inner(int x) { sink = x * 7; }' "
	"'__attribute__((noinline)) void outer(int x) {' ' inner(x); sink++; }' "
	"'int main(int argc, char **argv) { outer(argc); return 0; }' > program.c && "
	"gcc -O2 -g -Wl,--build-id -o whole program.c && "
	"objcopy --only-keep-debug whole debug && strip -o stripped whole";

static void on_renamed(void *ctx, const char *build_id, const struct profile_renamer *renamer)
{
	struct fixture *fixture = ctx;
	(void)renamer;
	pthread_mutex_lock(&fixture->lock);
	fixture->told++;
	snprintf(fixture->told_id, sizeof(fixture->told_id), "%s", build_id);
	pthread_mutex_unlock(&fixture->lock);
}

static void open_symbols(struct fixture *fixture)
{
	static char cache[PATH_BYTES], uploads[PATH_BYTES], debug[PATH_BYTES];
	static const char *const debug_dirs[] = {debug};
	snprintf(cache, sizeof(cache), "%s/cache", fixture->directory);
	snprintf(uploads, sizeof(uploads), "%s/uploads", fixture->directory);
	snprintf(debug, sizeof(debug), "%s/debug-dir", fixture->directory);
	struct symbols_options options = {.cache_directory = cache,
					  .upload_directory = uploads,
					  .debug_dirs = debug_dirs,
					  .debug_dir_count = 1,
					  .debuginfod_urls = "",
					  .renamed = on_renamed,
					  .ctx = fixture};
	struct err err = {0};
	if (symbols_new(&fixture->symbols, &options, &err))
		fail_msg("%s", err.text);
}

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	pthread_mutex_init(&fixture->lock, NULL);
	snprintf(fixture->directory, sizeof(fixture->directory), "/tmp/hearth-test-names-XXXXXX");
	assert_non_null(mkdtemp(fixture->directory));
	assert_int_equal(demangle_cache_new(&fixture->demangled, 1 << 20, NULL), 0);
	run_in(fixture, make_program);
	open_symbols(fixture);
	*state = fixture;
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;
	symbols_free(fixture->symbols);
	demangle_cache_free(fixture->demangled);
	nftw(fixture->directory, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	free(fixture);
	return 0;
}

static int open_file(const struct fixture *fixture, const char *name)
{
	char path[PATH_BYTES];
	snprintf(path, sizeof(path), "%s/%s", fixture->directory, name);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static struct executable *open_exe(const struct fixture *fixture, const char *name)
{
	struct executable *exe = NULL;
	char path[PATH_BYTES];
	snprintf(path, sizeof(path), "%s/%s", fixture->directory, name);
	assert_int_equal(executable_open(&exe, open_file(fixture, name), path, NULL), 0);
	return exe;
}

/* By nm(1), of the file that has it. */
static uint64_t address_of(const struct fixture *fixture, const char *symbol)
{
	char command[PATH_BYTES];
	unsigned long long vaddr = 0;
	snprintf(command, sizeof(command), "nm %s/whole | grep ' %s$'", fixture->directory, symbol);
	FILE *pipe = popen(command, "re");
	assert_non_null(pipe);
	assert_int_equal(fscanf(pipe, "%llx", &vaddr), 1);
	pclose(pipe);
	return vaddr;
}

/* "inner;outer" or less: the functions at the start of outer(), which does inner()'s work. */
static void expect_names(const struct fixture *fixture, struct executable *exe, const char *names)
{
	struct symbol_frames frames;
	char text[256] = "";
	bool is_found =
		symbol_frames_find(&frames, exe, address_of(fixture, "outer"), fixture->demangled);
	for (uint32_t i = 0; is_found && i < frames.count; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s", i ? ";" : "",
			 frames.frames[i].name);
	assert_string_equal(text, names);
	if (!strcmp(names, "inner;outer"))
		assert_string_equal(frames.frames[0].base, "program.c");
}

static void install_debug_file(const struct fixture *fixture, const char *build_id)
{
	char command[512];
	snprintf(command, sizeof(command),
		 "mkdir -p debug-dir/.build-id/%.2s && cp debug debug-dir/.build-id/%.2s/%s.debug",
		 build_id, build_id, build_id + 2);
	run_in(fixture, command);
}

static void wait_done(const struct fixture *fixture)
{
	assert_true(symbols_wait(fixture->symbols, LONG_S * NS_PER_S));
}

static void test_own_debug_information(void **state)
{
	struct fixture *fixture = *state;
	struct executable *exe = open_exe(fixture, "whole");
	expect_names(fixture, exe, "outer"); /* by its symbol table, at once */
	symbols_meet(fixture->symbols, exe, -1);
	wait_done(fixture);
	expect_names(fixture, exe, "inner;outer");
	assert_int_equal(fixture->told, 2); /* and once more for what was under way */
	assert_string_equal(fixture->told_id, executable_build_id(exe));
	executable_unref(exe);
}

static void test_cache(void **state)
{
	struct fixture *fixture = *state;
	struct executable *exe = open_exe(fixture, "whole");
	symbols_meet(fixture->symbols, exe, -1);
	wait_done(fixture);
	executable_unref(exe);
	symbols_free(fixture->symbols);
	open_symbols(fixture);
	fixture->told = 0;
	exe = open_exe(fixture, "whole");
	symbols_meet(fixture->symbols, exe, -1);
	expect_names(fixture, exe, "inner;outer"); /* without waiting */
	struct symbols_status status;
	symbols_read_status(fixture->symbols, &status);
	assert_int_equal(status.from_cache, 1);
	assert_int_equal(status.with_lines, 1);
	assert_int_equal(status.compiled, 0);
	wait_done(fixture);
	assert_int_equal(fixture->told, 0); /* nothing stored has poorer names */
	executable_unref(exe);
}

static void test_debug_file_that_comes_later(void **state)
{
	struct fixture *fixture = *state;
	struct executable *exe = open_exe(fixture, "stripped");
	symbols_meet(fixture->symbols, exe, -1);
	wait_done(fixture);
	struct symbols_status status;
	symbols_add_unnamed(fixture->symbols, exe, 12);
	symbols_read_status(fixture->symbols, &status);
	assert_int_equal(status.unnamed_samples, 12);
	assert_int_equal(status.unnamed_count, 1);
	assert_int_equal(status.unnamed[0].samples, 12);
	assert_string_equal(status.unnamed[0].build_id, executable_build_id(exe));
	assert_string_equal(status.unnamed[0].reason, "stripped");
	assert_non_null(strstr(status.unnamed[0].remedy, "debug"));
	install_debug_file(fixture, executable_build_id(exe));
	for (int i = 0; i < LONG_S * 10 && !status.with_lines; i++) {
		usleep(100000);
		symbols_read_status(fixture->symbols, &status);
	}
	wait_done(fixture);
	expect_names(fixture, exe, "inner;outer");
	assert_true(fixture->told >= 2);
	executable_unref(exe);
}

static void test_upload(void **state)
{
	struct fixture *fixture = *state;
	struct executable *exe = open_exe(fixture, "stripped");
	symbols_meet(fixture->symbols, exe, -1);
	wait_done(fixture);
	AUTO_FD fd = open_file(fixture, "debug");
	struct err err = {0};
	int rc = symbols_upload(fixture->symbols, executable_build_id(exe), fd, &err);
	if (rc)
		fail_msg("%s", err.text);
	expect_names(fixture, exe, "inner;outer");
	assert_true(fixture->told >= 1);
	/* It stays, for whoever comes after the cache was emptied. */
	symbols_free(fixture->symbols);
	executable_unref(exe);
	run_in(fixture, "rm -rf cache");
	open_symbols(fixture);
	exe = open_exe(fixture, "stripped");
	symbols_meet(fixture->symbols, exe, -1);
	expect_names(fixture, exe, "inner;outer");
	executable_unref(exe);
}

static void test_bad_uploads(void **state)
{
	struct fixture *fixture = *state;
	static const struct {
		const char *file, *build_id;
		int rc;
		const char *text;
	} rows[] = {
		{"program.c", "0011", -EBADMSG, "ELF"},
		{"debug", "0011", -EINVAL, "the file has build ID "},
		{"debug", "", -EINVAL, "the file has build ID "},
		{"debug", "../../etc/passwd", -EINVAL, "the file has build ID "},
		{"no-id", "0011", -EINVAL, "the file has no build ID"},
	};
	run_in(fixture, "gcc -g -Wl,--build-id=none -o no-id program.c");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO_FD fd = open_file(fixture, rows[i].file);
		struct err err = {0};
		assert_int_equal(symbols_upload(fixture->symbols, rows[i].build_id, fd, &err),
				 rows[i].rc);
		if (!strstr(err.text, rows[i].text))
			fail_msg("%s: %s", rows[i].file, err.text);
	}
	assert_int_equal(fixture->told, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_own_debug_information, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_cache, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_debug_file_that_comes_later, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_upload, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_bad_uploads, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
