#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/array.h"
#include "section_maker.h"
#include "symbolizer/minidebug.h"
#include "tool.h"

/* What shell prints, packed by xz in one way or another. */
static struct buf packed(const char *command)
{
	char path[] = "/tmp/hearth-xz-XXXXXX";
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	char *nothing = tool_output("{ %s; } >%s; echo", command, path);
	free(nothing);
	struct stat st;
	assert_int_equal(fstat(fd, &st), 0);
	struct buf out;
	buf_init(&out, 1 << 20);
	assert_int_equal(read(fd, buf_extend(&out, (size_t)st.st_size), (size_t)st.st_size),
			 st.st_size);
	close(fd);
	unlink(path);
	return out;
}

static int open_packed(const void *data, size_t len_bytes, int *fd, struct err *err)
{
	struct buf image;
	struct elf_file *file;
	struct elf_sections sections = {0};
	buf_init(&image, 2 << 20);
	const struct made_section made = {".gnu_debugdata", data, len_bytes, 0};
	section_maker_elf(&image, &made, 1);
	assert_int_equal(elf_file_from_memory(&file, image.data, image.len_bytes, NULL), 0);
	assert_int_equal(elf_file_sections(file, &sections, NULL), 0);
	int rc = minidebug_open(file, &sections.items[1], fd, err);
	elf_sections_fini(&sections);
	elf_file_free(file);
	buf_fini(&image);
	return rc;
}

static const struct {
	const char *command;
	int rc;
	uint64_t plain_bytes;
} rows[] = {
	{"printf '%s' hello | xz", 0, 5},
	{"printf '%s' hello | xz --check=crc32", 0, 5},
	{"printf '%s' hello | xz --check=none", 0, 5},
	{"printf '%s' hello | xz --check=sha256", 0, 5},
	{"printf '' | xz", 0, 0},
	{"head -c 1000000 /dev/zero | xz -0", 0, 1000000},
	{"head -c 1000000 /dev/zero | xz -9e", 0, 1000000},
	{"head -c 1000000 /dev/zero | xz --block-size=1000", 0, 1000000},
	{"head -c 67108864 /dev/zero | xz -0", 0, MINIDEBUG_MAX_BYTES},
	{"printf '%s' hello | xz; echo what follows", 0, 5},
	/* bombs, and what needs more memory than there is for it */
	{"head -c 67108865 /dev/zero | xz -0", -ENOSPC, 0},
	{"head -c 200000000 /dev/zero | xz -0", -ENOSPC, 0},
	{"printf '%s' hello | xz --lzma2=dict=256MiB", -ENOSPC, 0},
	/* not xz */
	{"printf ''", -ENODATA, 0},
	{"echo hello and more than a header of it", -EBADMSG, 0},
	{"printf '%s' hello | gzip", -EBADMSG, 0},
	{"printf '%s' hello | xz --format=lzma", -EBADMSG, 0},
	{"printf '%s' hello | xz | head -c 6", -ENODATA, 0},
	{"printf '%s' hello | xz | head -c -1", -ENODATA, 0},
	{"head -c 1000000 /dev/urandom | xz | head -c 500000", -ENODATA, 0},
};

static void packed_in_many_ways(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf data = packed(rows[i].command);
		int fd = -1;
		struct err err = {0};
		int rc = open_packed(data.data, data.len_bytes, &fd, &err);
		buf_fini(&data);
		if (rc != rows[i].rc || rc != err.code || !rc != !err.text[0])
			fail_msg("%s: %d (%s)", rows[i].command, rc, err.text);
		if (rc) {
			assert_int_equal(fd, -1);
			continue;
		}
		struct stat st;
		assert_int_equal(fstat(fd, &st), 0);
		assert_int_equal(st.st_size, rows[i].plain_bytes);
		if (st.st_size == 5) {
			char text[8] = "";
			assert_int_equal(pread(fd, text, 5, 0), 5);
			assert_string_equal(text, "hello");
		}
		close(fd);
	}
}

static void sealed(void **state)
{
	(void)state;
	struct buf data = packed("printf '%s' hello | xz");
	int fd = -1;
	assert_int_equal(open_packed(data.data, data.len_bytes, &fd, NULL), 0);
	buf_fini(&data);
	assert_int_equal(pwrite(fd, "x", 1, 0), -1);
	assert_int_equal(ftruncate(fd, 1), -1);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	close(fd);
}

/* Any byte changed: an error, or what was in it, for some bytes mean nothing. */
static void damaged(void **state)
{
	(void)state;
	struct buf data = packed("printf '%s' hello | xz");
	for (size_t at = 0; at < data.len_bytes; at++) {
		data.data[at] ^= 0x55;
		int fd = -1;
		struct err err = {0};
		int rc = open_packed(data.data, data.len_bytes, &fd, &err);
		assert_true(rc == 0 || rc == -EBADMSG || rc == -ENODATA || rc == -EOPNOTSUPP ||
			    rc == -ENOSPC);
		assert_true(!rc || err.text[0]);
		if (!rc)
			close(fd);
		data.data[at] ^= 0x55;
	}
	buf_fini(&data);
}

/* Section headers that lie about where it is. */
static void not_in_the_file(void **state)
{
	(void)state;
	struct buf image;
	struct elf_file *file;
	buf_init(&image, 1 << 20);
	section_maker_elf(&image, NULL, 0);
	assert_int_equal(elf_file_from_memory(&file, image.data, image.len_bytes, NULL), 0);
	static const struct {
		uint64_t off, size_bytes;
		int rc;
	} places[] = {
		{0, 100000, -ENODATA},
		{UINT64_MAX, 10, -ENODATA},
		{UINT64_MAX - 4, 10, -ENODATA},
		{0, UINT64_MAX, -ENOSPC},
		{0, 64, -EBADMSG},
		{1 << 30, 1, -ENODATA},
	};
	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		const struct elf_section section = {.type = SHT_PROGBITS,
						    .off = places[i].off,
						    .size_bytes = places[i].size_bytes};
		int fd = -1;
		assert_int_equal(minidebug_open(file, &section, &fd, NULL), places[i].rc);
		assert_int_equal(fd, -1);
	}
	elf_file_free(file);
	buf_fini(&image);
}

int main(void)
{
	tool_need("xz");
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(packed_in_many_ways),
		cmocka_unit_test(sealed),
		cmocka_unit_test(damaged),
		cmocka_unit_test(not_in_the_file),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
