#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "base/array.h"
#include "cfi_maker.h"
#include "symbolizer/cache_dir.h"
#include "symbolizer/unwind_cache.h"
#include "tool.h"

#define BUILD_ID "0123456789abcdef0123456789abcdef01234567"
#define OTHER_ID "ff23456789abcdef0123456789abcdef01234567"

struct fixture {
	char *dir;
	int dir_fd;
	struct unwind_rows *rows;
};

/* Functions of size_bytes each, so that files differ. */
static struct unwind_rows *make_rows(uint32_t size_bytes)
{
	struct buf frame, bytes;
	buf_init(&frame, CFI_MAX_BYTES);
	buf_init(&bytes, CFI_MAX_BYTES);
	cfi_add_usual_common(&frame);
	for (uint32_t i = 0; i < 100; i++)
		cfi_add_function(&frame, 0, CFI_TEXT_VADDR + i * 0x1000, size_bytes,
				 "\x44\x0e\x10\x86\x02\x48\x0c\x06\x10", 9);
	const struct cfi_image image = {.eh_frame = &frame};
	cfi_make_image(&bytes, &image);
	struct elf_file *file;
	struct unwind_rows *rows;
	assert_int_equal(elf_file_from_memory(&file, bytes.data, bytes.len_bytes, NULL), 0);
	assert_int_equal(unwind_rows_open(&rows, file, NULL), 0);
	elf_file_free(file);
	buf_fini(&frame);
	buf_fini(&bytes);
	return rows;
}

static int setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	fixture->dir = tool_dir_new();
	fixture->dir_fd = open(fixture->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fixture->rows = make_rows(64);
	*state = fixture;
	return fixture->dir_fd < 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;
	close(fixture->dir_fd);
	tool_dir_remove(fixture->dir);
	unwind_rows_free(fixture->rows);
	free(fixture);
	return 0;
}

static void assert_same(const struct unwind_rows *left, const struct unwind_rows *right)
{
	struct buf a, b;
	buf_init(&a, CFI_MAX_BYTES);
	buf_init(&b, CFI_MAX_BYTES);
	unwind_rows_encode(left, &a);
	unwind_rows_encode(right, &b);
	assert_int_equal(a.len_bytes, b.len_bytes);
	assert_memory_equal(a.data, b.data, a.len_bytes);
	buf_fini(&a);
	buf_fini(&b);
	for (uint64_t off = 0; off < 0x2000; off++)
		assert_memory_equal(unwind_rows_find(left, CFI_TEXT_VADDR + off),
				    unwind_rows_find(right, CFI_TEXT_VADDR + off),
				    sizeof(struct unwind_rule));
}

static void stored_is_loaded(void **state)
{
	const struct fixture *fixture = *state;
	struct unwind_rows *loaded, *other = make_rows(32);
	assert_int_equal(unwind_cache_store(fixture->dir_fd, BUILD_ID, fixture->rows, NULL), 0);
	assert_int_equal(unwind_cache_store(fixture->dir_fd, OTHER_ID, other, NULL), 0);
	assert_int_equal(unwind_cache_load(&loaded, fixture->dir_fd, BUILD_ID, NULL), 0);
	assert_same(fixture->rows, loaded);
	unwind_rows_free(loaded);
	/* the last one stored holds */
	assert_int_equal(unwind_cache_store(fixture->dir_fd, BUILD_ID, other, NULL), 0);
	assert_int_equal(unwind_cache_load(&loaded, fixture->dir_fd, BUILD_ID, NULL), 0);
	assert_same(other, loaded);
	unwind_rows_free(loaded);
	unwind_rows_free(other);
}

static void names_that_are_no_build_id(void **state)
{
	const struct fixture *fixture = *state;
	static const char *const ids[] = {"",   "a",  "abc",     "../x", "a/",
					  "AB", "0g", "00.rows", "00\n", BUILD_ID "00"};
	for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
		struct unwind_rows *loaded = NULL;
		struct err err = {0};
		assert_int_equal(unwind_cache_load(&loaded, fixture->dir_fd, ids[i], &err),
				 -EINVAL);
		assert_null(loaded);
		assert_int_equal(err.code, -EINVAL);
		assert_int_equal(unwind_cache_store(fixture->dir_fd, ids[i], fixture->rows, NULL),
				 -EINVAL);
	}
}

static int file_of(const struct fixture *fixture, int flags)
{
	return openat(fixture->dir_fd, BUILD_ID ".unwind", flags | O_CLOEXEC);
}

static void not_loaded(const struct fixture *fixture)
{
	struct unwind_rows *loaded = NULL;
	struct err err = {0};
	assert_int_equal(unwind_cache_load(&loaded, fixture->dir_fd, BUILD_ID, &err), -ENOENT);
	assert_null(loaded);
	assert_true(err.text[0]);
}

static void not_there(void **state)
{
	const struct fixture *fixture = *state;
	not_loaded(fixture);
	assert_int_equal(mkdirat(fixture->dir_fd, BUILD_ID ".unwind", 0700), 0);
	not_loaded(fixture);
	assert_int_not_equal(unwind_cache_store(fixture->dir_fd, BUILD_ID, fixture->rows, NULL), 0);
}

/* Any byte changed, and any length cut: not loaded, and the next store makes it good. */
static void damaged(void **state)
{
	const struct fixture *fixture = *state;
	assert_int_equal(unwind_cache_store(fixture->dir_fd, BUILD_ID, fixture->rows, NULL), 0);
	int fd = file_of(fixture, O_RDWR);
	assert_true(fd >= 0);
	struct stat st;
	assert_int_equal(fstat(fd, &st), 0);
	for (off_t at = 0; at < st.st_size; at++) {
		unsigned char byte, changed;
		assert_int_equal(pread(fd, &byte, 1, at), 1);
		changed = byte ^ 0x10;
		assert_int_equal(pwrite(fd, &changed, 1, at), 1);
		not_loaded(fixture);
		assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	}
	for (off_t len_bytes = st.st_size - 1; len_bytes >= 0; len_bytes -= 7) {
		assert_int_equal(ftruncate(fd, len_bytes), 0);
		not_loaded(fixture);
	}
	close(fd);
	assert_int_equal(unwind_cache_store(fixture->dir_fd, BUILD_ID, fixture->rows, NULL), 0);
	struct unwind_rows *loaded;
	assert_int_equal(unwind_cache_load(&loaded, fixture->dir_fd, BUILD_ID, NULL), 0);
	unwind_rows_free(loaded);
}

/* Rows of another file under this build ID's name. */
static void swapped(void **state)
{
	const struct fixture *fixture = *state;
	assert_int_equal(unwind_cache_store(fixture->dir_fd, OTHER_ID, fixture->rows, NULL), 0);
	assert_int_equal(renameat(fixture->dir_fd, OTHER_ID ".unwind", fixture->dir_fd,
				  BUILD_ID ".unwind"),
			 0);
	not_loaded(fixture);
}

/* What passes the checksum may still be made up: every word of the encoding, changed. */
static void encodings_that_lie(void **state)
{
	const struct fixture *fixture = *state;
	struct buf encoded;
	buf_init(&encoded, CFI_MAX_BYTES);
	unwind_rows_encode(fixture->rows, &encoded);
	static const uint32_t values[] = {0, 1, 0xffff, UINT32_MAX};
	for (size_t at = 0; at + 4 <= encoded.len_bytes; at += 4) {
		char before[4];
		memcpy(before, encoded.data + at, 4);
		for (size_t i = 0; i < ARRAY_LEN(values); i++) {
			memcpy(encoded.data + at, &values[i], 4);
			struct unwind_rows *rows = NULL;
			int rc = unwind_rows_decode(&rows, encoded.data, encoded.len_bytes, NULL);
			assert_true(rc == 0 || rc == -EBADMSG);
			for (uint64_t off = 0; rows && off < 0x1000; off += 4)
				unwind_rows_find(rows, CFI_TEXT_VADDR + off);
			unwind_rows_free(rows);
		}
		memcpy(encoded.data + at, before, 4);
	}
	for (size_t len_bytes = 0; len_bytes < encoded.len_bytes; len_bytes++) {
		struct unwind_rows *rows = NULL;
		char *exact = malloc(len_bytes + 1);
		memcpy(exact, encoded.data, len_bytes);
		assert_int_equal(unwind_rows_decode(&rows, exact, len_bytes, NULL), -EBADMSG);
		free(exact);
	}
	buf_fini(&encoded);
}

/* Four processes store and load the same name: what is loaded is always whole. */
static void processes_at_once(void **state)
{
	const struct fixture *fixture = *state;
	enum { CHILDREN = 4, ROUNDS = 100 };
	assert_int_equal(unwind_cache_store(fixture->dir_fd, BUILD_ID, fixture->rows, NULL), 0);
	for (int i = 0; i < CHILDREN; i++) {
		pid_t pid = fork();
		assert_true(pid >= 0);
		for (int round = 0; pid == 0 && round < ROUNDS; round++) {
			struct unwind_rows *loaded = NULL;
			if (unwind_cache_store(fixture->dir_fd, BUILD_ID, fixture->rows, NULL) ||
			    unwind_cache_load(&loaded, fixture->dir_fd, BUILD_ID, NULL))
				_exit(1);
			unwind_rows_free(loaded);
		}
		if (pid == 0)
			_exit(0);
	}
	for (int i = 0; i < CHILDREN; i++) {
		int status;
		assert_true(wait(&status) > 0);
		assert_int_equal(status, 0);
	}
	AUTO_MEM char *names = tool_output("ls -A %s", fixture->dir);
	assert_string_equal(names, BUILD_ID ".unwind\n"); /* no temporary file stays */
}

/* Of four files of one size, stored an hour apart, the newest that fit stay. */
static void trimmed(void **state)
{
	const struct fixture *fixture = *state;
	static const char *const ids[] = {"0a", "0b", "0c", "0d"};
	uint64_t file_bytes = 0;
	for (size_t i = 0; i < 4; i++) {
		char name[64];
		snprintf(name, sizeof(name), "%s.unwind", ids[i]);
		assert_int_equal(unwind_cache_store(fixture->dir_fd, ids[i], fixture->rows, NULL),
				 0);
		struct timespec times[2] = {{.tv_sec = 1000000 - 3600 * (time_t)i}};
		times[1] = times[0];
		assert_int_equal(utimensat(fixture->dir_fd, name, times, 0), 0);
		struct stat st;
		assert_int_equal(fstatat(fixture->dir_fd, name, &st, 0), 0);
		file_bytes = (uint64_t)st.st_size;
	}
	assert_int_equal(mkdirat(fixture->dir_fd, "left alone", 0700), 0);
	static const struct {
		unsigned int files;
		const char *names;
	} rows[] = {
		{4, "0a.unwind\n0b.unwind\n0c.unwind\n0d.unwind\nleft alone\n"},
		{2, "0a.unwind\n0b.unwind\nleft alone\n"},
		{0, "left alone\n"},
		{0, "left alone\n"},
	};
	for (size_t i = 0; i < 4; i++) {
		cache_dir_trim(fixture->dir_fd, rows[i].files * file_bytes + file_bytes / 2);
		AUTO_MEM char *names = tool_output("LC_ALL=C ls -A %s", fixture->dir);
		assert_string_equal(names, rows[i].names);
	}
}

int main(void)
{
#define CASE(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(stored_is_loaded),  CASE(names_that_are_no_build_id),
		CASE(not_there),         CASE(damaged),
		CASE(swapped),           CASE(encodings_that_lie),
		CASE(processes_at_once), CASE(trimmed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
