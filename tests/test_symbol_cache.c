/*
 * What is in the cache is whole or not there, whatever happened to the files, and whoever writes
 * at the same time.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <time.h>

#include <cmocka.h>

#include "base/array.h"
#include "names_fixture.h"
#include "symbolizer/symbol_cache.h"

#define BUILD_ID "0123456789abcdef0123456789abcdef01234567"

enum {
	TRAILER_VERSION_OFF = 24, /* from the end: gsym_format.h */
	VERSION_OFF = 4,
	DAY_S = 24 * 3600,
};

struct fixture {
	char *dir;
	int dir_fd;
};

static int setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	fixture->dir = tool_dir_new();
	fixture->dir_fd = open(fixture->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	*state = fixture;
	return fixture->dir_fd < 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;
	close(fixture->dir_fd);
	tool_dir_remove(fixture->dir);
	free(fixture);
	return 0;
}

/* Returns the name that the file has in the directory. */
static struct cache_write store(int dir_fd, const char *id, const char *function)
{
	struct cache_write write;
	assert_int_equal(symbol_cache_begin(&write, dir_fd, id, NULL), 0);
	names_fixture_write(write.fd, function);
	assert_int_equal(cache_write_commit(&write, NULL), 0);
	cache_write_fini(&write);
	return write;
}

static void expect(int dir_fd, const char *id, const char *function)
{
	AUTO(gsym) gsym = NULL;
	assert_int_equal(symbol_cache_load(&gsym, dir_fd, id, NULL), 0);
	assert_string_equal(names_fixture_at(gsym, NAMES_FIXTURE_VADDR), function);
}

static void expect_code(int dir_fd, const char *id, int code)
{
	struct gsym *gsym = NULL;
	struct err err = {0};
	assert_int_equal(symbol_cache_load(&gsym, dir_fd, id, &err), code);
	assert_null(gsym);
	assert_string_not_equal(err.text, "");
}

static void set_used(int dir_fd, const char *name, int64_t seconds_ago)
{
	struct timespec times[2];
	clock_gettime(CLOCK_REALTIME, &times[0]);
	times[0].tv_sec -= seconds_ago;
	times[1] = times[0];
	assert_int_equal(utimensat(dir_fd, name, times, 0), 0);
}

static void round_trip(void **state)
{
	const struct fixture *fixture = *state;
	expect_code(fixture->dir_fd, BUILD_ID, -ENOENT);
	store(fixture->dir_fd, BUILD_ID, "first");
	expect(fixture->dir_fd, BUILD_ID, "first");
	expect_code(fixture->dir_fd, "ff", -ENOENT);
	store(fixture->dir_fd, BUILD_ID, "second"); /* in place of it */
	expect(fixture->dir_fd, BUILD_ID, "second");
	assert_int_equal(names_fixture_files(fixture->dir), 1);

	struct cache_write write;
	assert_int_equal(symbol_cache_begin(&write, fixture->dir_fd, BUILD_ID, NULL), 0);
	names_fixture_write(write.fd, "never");
	cache_write_fini(&write);
	expect(fixture->dir_fd, BUILD_ID, "second");
	assert_int_equal(names_fixture_files(fixture->dir), 1);
}

static void bad_ids(void **state)
{
	const struct fixture *fixture = *state;
	static const char *const ids[] = {"",      "a",    "abc", "ABCD",       "../etc",
					  "ab/cd", "0x12", "12 ", BUILD_ID "00"};
	for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
		struct cache_write write;
		print_message("\"%s\"\n", ids[i]);
		expect_code(fixture->dir_fd, ids[i], -EINVAL);
		assert_int_equal(symbol_cache_begin(&write, fixture->dir_fd, ids[i], NULL),
				 -EINVAL);
		assert_int_equal(symbol_cache_store_failure(fixture->dir_fd, ids[i], "why", NULL),
				 -EINVAL);
	}
	assert_int_equal(names_fixture_files(fixture->dir), 0);
}

static void cut_anywhere(void **state)
{
	const struct fixture *fixture = *state;
	struct cache_write write = store(fixture->dir_fd, BUILD_ID, "whole");
	AUTO_FD fd = openat(fixture->dir_fd, write.name, O_RDWR | O_CLOEXEC);
	struct stat st;
	assert_int_equal(fstat(fd, &st), 0);
	for (off_t bytes = st.st_size - 1; bytes >= 0; bytes--) {
		assert_int_equal(ftruncate(fd, bytes), 0);
		expect_code(fixture->dir_fd, BUILD_ID, -ENOENT);
	}
	store(fixture->dir_fd, BUILD_ID, "again");
	expect(fixture->dir_fd, BUILD_ID, "again");
}

static void other_versions(void **state)
{
	const struct fixture *fixture = *state;
	for (int is_trailer = 0; is_trailer < 2; is_trailer++)
		for (int step = -1; step <= 1; step += 2) {
			struct cache_write write = store(fixture->dir_fd, BUILD_ID, "f");
			AUTO_FD fd = openat(fixture->dir_fd, write.name, O_RDWR | O_CLOEXEC);
			struct stat st;
			uint8_t version;
			assert_int_equal(fstat(fd, &st), 0);
			off_t off = is_trailer ? st.st_size - TRAILER_VERSION_OFF : VERSION_OFF;
			assert_int_equal(pread(fd, &version, 1, off), 1);
			version = (uint8_t)(version + step);
			assert_int_equal(pwrite(fd, &version, 1, off), 1);
			expect_code(fixture->dir_fd, BUILD_ID, -ENOENT);
			store(fixture->dir_fd, BUILD_ID, "of this version");
			expect(fixture->dir_fd, BUILD_ID, "of this version");
		}
}

static void no_files(void **state)
{
	const struct fixture *fixture = *state;
	struct cache_write write = store(fixture->dir_fd, BUILD_ID, "f");
	assert_int_equal(renameat(fixture->dir_fd, write.name, fixture->dir_fd, "away"), 0);
	assert_int_equal(symlinkat("away", fixture->dir_fd, write.name), 0);
	expect_code(fixture->dir_fd, BUILD_ID, -ELOOP);
	assert_int_equal(unlinkat(fixture->dir_fd, write.name, 0), 0);
	assert_int_equal(mkfifoat(fixture->dir_fd, write.name, 0600), 0);
	expect_code(fixture->dir_fd, BUILD_ID, -ENOENT);
	assert_int_equal(unlinkat(fixture->dir_fd, write.name, 0), 0);
	assert_int_equal(mkdirat(fixture->dir_fd, write.name, 0700), 0);
	expect_code(fixture->dir_fd, BUILD_ID, -ENOENT);
}

static void failures(void **state)
{
	const struct fixture *fixture = *state;
	static const char why[] = "it has no names";
	assert_int_equal(symbol_cache_store_failure(fixture->dir_fd, BUILD_ID, why, NULL), 0);
	struct gsym *gsym = NULL;
	struct err err = {0};
	assert_int_equal(symbol_cache_load(&gsym, fixture->dir_fd, BUILD_ID, &err), -EAGAIN);
	assert_string_equal(err.text, why);

	char *names = tool_output("ls %s", fixture->dir);
	names[strcspn(names, "\n")] = 0;
	set_used(fixture->dir_fd, names, DAY_S - 600);
	expect_code(fixture->dir_fd, BUILD_ID, -EAGAIN);
	set_used(fixture->dir_fd, names, DAY_S + 600);
	expect_code(fixture->dir_fd, BUILD_ID, -ENOENT);
	set_used(fixture->dir_fd, names, -DAY_S); /* a clock that was wrong */
	expect_code(fixture->dir_fd, BUILD_ID, -ENOENT);
	free(names);

	assert_int_equal(symbol_cache_store_failure(fixture->dir_fd, BUILD_ID, why, NULL), 0);
	store(fixture->dir_fd, BUILD_ID, "after all");
	expect(fixture->dir_fd, BUILD_ID, "after all");
}

/* The one that was not used for the longest time goes first; to be loaded is to be used. */
static void eviction(void **state)
{
	const struct fixture *fixture = *state;
	static const char *const ids[] = {"00", "11", "22", "33", "44"};
	struct stat st;
	for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
		struct cache_write write = store(fixture->dir_fd, ids[i], "function");
		set_used(fixture->dir_fd, write.name, (int64_t)(ARRAY_LEN(ids) - i) * DAY_S);
		assert_int_equal(fstatat(fixture->dir_fd, write.name, &st, 0), 0);
	}
	uint64_t file_bytes = (uint64_t)st.st_size;
	expect(fixture->dir_fd, ids[0], "function");
	cache_dir_trim(fixture->dir_fd, 5 * file_bytes);
	assert_int_equal(names_fixture_files(fixture->dir), 5);
	cache_dir_trim(fixture->dir_fd, 5 * file_bytes - 1);
	assert_int_equal(names_fixture_files(fixture->dir), 4);
	expect_code(fixture->dir_fd, ids[1], -ENOENT);
	cache_dir_trim(fixture->dir_fd, 2 * file_bytes);
	expect_code(fixture->dir_fd, ids[2], -ENOENT);
	expect_code(fixture->dir_fd, ids[3], -ENOENT);
	expect(fixture->dir_fd, ids[4], "function");
	expect(fixture->dir_fd, ids[0], "function");
	cache_dir_trim(fixture->dir_fd, 0);
	assert_int_equal(names_fixture_files(fixture->dir), 0);
}

enum { WRITERS = 3, WRITES = 40 };

static pid_t start_writer(int dir_fd, int number)
{
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid)
		return pid;
	char name[32];
	snprintf(name, sizeof(name), "writer%d", number);
	for (int i = 0; i < WRITES; i++)
		store(dir_fd, BUILD_ID, name);
	_exit(0);
}

static void writers_at_once(void **state)
{
	const struct fixture *fixture = *state;
	pid_t pids[WRITERS];
	for (int i = 0; i < WRITERS; i++)
		pids[i] = start_writer(fixture->dir_fd, i);
	bool was_there = false;
	for (int left = WRITERS, status; left > 0;) {
		AUTO(gsym) gsym = NULL;
		int rc = symbol_cache_load(&gsym, fixture->dir_fd, BUILD_ID, NULL);
		assert_true(rc == 0 || (rc == -ENOENT && !was_there));
		was_there |= !rc;
		if (!rc)
			assert_memory_equal(names_fixture_at(gsym, NAMES_FIXTURE_VADDR), "writer",
					    6);
		pid_t ended = waitpid(-1, &status, WNOHANG);
		assert_true(ended >= 0);
		for (int i = 0; i < WRITERS; i++)
			if (ended == pids[i]) {
				assert_int_equal(status, 0);
				left--;
			}
	}
	assert_true(was_there || names_fixture_files(fixture->dir) == 1);
	assert_int_equal(names_fixture_files(fixture->dir), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(round_trip, setup, teardown),
		cmocka_unit_test_setup_teardown(bad_ids, setup, teardown),
		cmocka_unit_test_setup_teardown(cut_anywhere, setup, teardown),
		cmocka_unit_test_setup_teardown(other_versions, setup, teardown),
		cmocka_unit_test_setup_teardown(no_files, setup, teardown),
		cmocka_unit_test_setup_teardown(failures, setup, teardown),
		cmocka_unit_test_setup_teardown(eviction, setup, teardown),
		cmocka_unit_test_setup_teardown(writers_at_once, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
