#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/array.h"
#include "base/buf.h"
#include "jitdump_maker.h"
#include "symbolizer/jitdump.h"

static void append(int fd, const void *data, size_t len_bytes)
{
	assert_true(lseek(fd, 0, SEEK_END) >= 0);
	assert_int_equal(write(fd, data, len_bytes), len_bytes);
}

static int new_file(const struct buf *bytes)
{
	int fd = memfd_create("jit-1.dump", MFD_CLOEXEC);
	assert_true(fd >= 0);
	append(fd, bytes->data, bytes->len_bytes);
	return fd;
}

/* "name file:line" or "name"; "": nothing there. */
static void say(const struct jitdump *dump, uint64_t ip, uint64_t at_mono_ns, char text[static 256])
{
	struct jit_symbol symbol;
	text[0] = 0;
	if (!jitdump_find(dump, ip, at_mono_ns, &symbol))
		return;
	if (symbol.line)
		snprintf(text, 256, "%.99s %.99s:%u", symbol.name, symbol.file, symbol.line);
	else
		snprintf(text, 256, "%.99s%.99s", symbol.name, symbol.file);
}

static void assert_found(const struct jitdump *dump, uint64_t ip, uint64_t at_mono_ns,
			 const char *want)
{
	char have[256];
	say(dump, ip, at_mono_ns, have);
	if (strcmp(have, want))
		fail_msg("0x%" PRIx64 " at %" PRIu64 ": \"%s\", not \"%s\"", ip, at_mono_ns, have,
			 want);
}

static void make_good(struct buf *out)
{
	jitdump_header(out, &(struct jitdump_header){0});
	const struct jitdump_line lines[] = {
		{0x1000, 3, "a.js"}, {0x1004, 4, "\xff"}, {0x1008, 9, "b.js"}};
	jitdump_debug_info(out, 10, 0x1000, lines, ARRAY_LEN(lines));
	jitdump_load(out, 10, 0x1000, 0x10, "first");
	jitdump_record(out, 4, 10, "unwinding", 9);
	jitdump_load(out, 20, 0x1000, 0x10, "second");
	jitdump_move(out, 30, 0x1000, 0x2000, 0x10);
	jitdump_load(out, 40, 0x1008, 0x10, "third");
	jitdump_record(out, 99, 40, "of the future", 13);
	jitdump_record(out, 3, 50, "", 0);
}

static const struct {
	uint64_t ip, at_mono_ns;
	const char *want;
} answers[] = {
	{0x1000, 9, ""},
	{0x1000, 10, "first a.js:3"},
	{0x1003, 19, "first a.js:3"},
	{0x1004, 19, "first a.js:4"},
	{0x1008, 19, "first b.js:9"},
	{0x100f, 19, "first b.js:9"},
	{0x1010, 19, ""},
	{0x1004, 20, "second"},
	{0x1004, 100, "second"},
	{0x1008, 39, "second"},
	{0x1008, 40, "third"},
	{0x1017, 40, "third"},
	{0x2000, 29, ""},
	{0x2000, 30, "second"},
	{0x200f, UINT64_MAX, "second"},
};

static void test_answers(void **state)
{
	(void)state;
	AUTO_FINI(buf_fini) struct buf bytes;
	buf_init(&bytes, 1 << 20);
	make_good(&bytes);
	/* Torn anywhere, and asked in between; the last round is the file at once. */
	for (size_t cut = 0; cut <= bytes.len_bytes; cut++) {
		AUTO_FD fd = memfd_create("jit-1.dump", MFD_CLOEXEC);
		append(fd, bytes.data, cut);
		AUTO(jitdump) dump = NULL;
		assert_int_equal(jitdump_new(&dump, NULL), 0);
		assert_int_equal(jitdump_read(dump, fd, NULL), cut < 40 ? -ENODATA : 0);
		append(fd, bytes.data + cut, bytes.len_bytes - cut);
		assert_int_equal(jitdump_read(dump, fd, NULL), 0);
		for (size_t i = 0; i < ARRAY_LEN(answers); i++)
			assert_found(dump, answers[i].ip, answers[i].at_mono_ns, answers[i].want);
		struct jitdump_stats stats;
		jitdump_stats(dump, &stats);
		assert_int_equal(stats.bad_records, 0);
	}
}

static const struct {
	const char *what;
	struct jitdump_header header;
	int code;
	const char *text;
} headers[] = {
	{"big-endian",
	 {.magic = 0x4454694A},
	 -EOPNOTSUPP,
	 "jitdump: written in the other byte order"},
	{"an ELF file", {.magic = 0x464c457f}, -EBADMSG, "jitdump: magic number is 0x464c457f"},
	{"version 2", {.version = 2}, -EOPNOTSUPP, "jitdump: version 2, not 1"},
	{"version 0", {.version = UINT32_MAX}, -EOPNOTSUPP, "jitdump: version 4294967295, not 1"},
	{"header too small", {.size_bytes = 39}, -EBADMSG, "jitdump: header of 39 bytes"},
};

static void test_headers(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(headers); i++) {
		AUTO_FINI(buf_fini) struct buf bytes;
		buf_init(&bytes, 1 << 20);
		jitdump_header(&bytes, &headers[i].header);
		jitdump_load(&bytes, 10, 0x1000, 0x10, "f");
		AUTO_FD fd = new_file(&bytes);
		AUTO(jitdump) dump = NULL;
		assert_int_equal(jitdump_new(&dump, NULL), 0);
		struct err err = {0};
		assert_int_equal(jitdump_read(dump, fd, &err), headers[i].code);
		assert_string_equal(err.text, headers[i].text);
		assert_int_equal(jitdump_read(dump, fd, &err), headers[i].code); /* for good */
		assert_found(dump, 0x1000, 100, "");
	}
}

static const struct {
	const char *what;
	uint32_t id;
	const char *body;
	size_t body_bytes;
	uint64_t bad_records;
} broken[] = {
	{"load of nothing", 0, "", 0, 1},
	{"load without a name's end", 0, "12345678901234567890123456789012345678901234567f", 48, 1},
	{"move of nothing", 1, "", 0, 1},
	{"move of code that is not there", 1, "123456789012345678901234567890123456789012345678",
	 48, 1},
	{"lines of nothing", 2, "", 0, 1},
	{"more lines than bytes", 2,
	 "\0\x10\0\0\0\0\0\0\2\0\0\0\0\0\0\0\0\x10\0\0\0\0\0\0\1\0\0\0\0\0\0\0a", 34, 1},
	{"lines without end", 2, "\0\x10\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff", 16, 1},
	{"line of the one before the first", 2,
	 "\0\x10\0\0\0\0\0\0\1\0\0\0\0\0\0\0\0\x10\0\0\0\0\0\0\1\0\0\0\0\0\0\0\xff", 34, 1},
	{"line before the code", 2,
	 "\0\x10\0\0\0\0\0\0\1\0\0\0\0\0\0\0\0\x0f\0\0\0\0\0\0\1\0\0\0\0\0\0\0a", 34, 1},
	{"line behind the code", 2,
	 "\0\x10\0\0\0\0\0\0\1\0\0\0\0\0\0\0\x11\x10\0\0\0\0\0\0\1\0\0\0\0\0\0\0a", 34, 1},
	{"lines of other code", 2,
	 "\0\x20\0\0\0\0\0\0\1\0\0\0\0\0\0\0\0\x20\0\0\0\0\0\0\1\0\0\0\0\0\0\0a", 34, 0},
	{"no lines", 2, "\0\x10\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16, 0},
};

/* A record that contradicts itself is passed over: those around it are good, and get no lines
 * that are not theirs. */
static void test_broken_records(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(broken); i++) {
		AUTO_FINI(buf_fini) struct buf bytes;
		buf_init(&bytes, 1 << 20);
		jitdump_header(&bytes, &(struct jitdump_header){0});
		jitdump_load(&bytes, 10, 0x5000, 0x10, "before");
		jitdump_record(&bytes, broken[i].id, 10, broken[i].body, broken[i].body_bytes);
		jitdump_load(&bytes, 10, 0x1000, 0x10, "after");
		AUTO_FD fd = new_file(&bytes);
		AUTO(jitdump) dump = NULL;
		assert_int_equal(jitdump_new(&dump, NULL), 0);
		assert_int_equal(jitdump_read(dump, fd, NULL), 0);
		assert_found(dump, 0x5000, 100, "before");
		assert_found(dump, 0x1008, 100, "after");
		struct jitdump_stats stats;
		jitdump_stats(dump, &stats);
		if (stats.bad_records != broken[i].bad_records || stats.ranges != 2)
			fail_msg("%s: %" PRIu64 " bad, %zu ranges", broken[i].what,
				 stats.bad_records, stats.ranges);
	}
}

/* The length of a record is what leads to the next one: when that is nonsense, nothing behind can
 * be read, and what came before stays. */
static void test_lost_thread(void **state)
{
	(void)state;
	for (uint32_t size_bytes = 0; size_bytes < 16; size_bytes++) {
		AUTO_FINI(buf_fini) struct buf bytes;
		buf_init(&bytes, 1 << 20);
		jitdump_header(&bytes, &(struct jitdump_header){0});
		jitdump_load(&bytes, 10, 0x1000, 0x10, "before");
		buf_append_u32le(&bytes, 0);
		buf_append_u32le(&bytes, size_bytes);
		buf_append_u64le(&bytes, 10);
		jitdump_load(&bytes, 10, 0x2000, 0x10, "after");
		AUTO_FD fd = new_file(&bytes);
		AUTO(jitdump) dump = NULL;
		assert_int_equal(jitdump_new(&dump, NULL), 0);
		struct err err = {0};
		assert_int_equal(jitdump_read(dump, fd, &err), -EBADMSG);
		assert_non_null(strstr(err.text, "jitdump: record of "));
		assert_int_equal(jitdump_read(dump, fd, NULL), -EBADMSG);
		assert_found(dump, 0x1000, 100, "before");
		assert_found(dump, 0x2000, 100, "");
	}
}

/* Code of a megabyte: its record is larger than what is read at a time. */
static void test_large_code(void **state)
{
	(void)state;
	AUTO_FINI(buf_fini) struct buf bytes;
	buf_init(&bytes, 8 << 20);
	jitdump_header(&bytes, &(struct jitdump_header){0});
	jitdump_load(&bytes, 10, 0x1000, 0x10, "before");
	jitdump_load(&bytes, 10, 0x100000, 1 << 20, "large");
	jitdump_load(&bytes, 10, 0x2000, 0x10, "after");
	assert_int_equal(buf_error(&bytes), 0);
	AUTO_FD fd = memfd_create("jit-1.dump", MFD_CLOEXEC);
	append(fd, bytes.data, 1 << 20); /* within the large one */
	AUTO(jitdump) dump = NULL;
	assert_int_equal(jitdump_new(&dump, NULL), 0);
	assert_int_equal(jitdump_read(dump, fd, NULL), 0);
	assert_found(dump, 0x1000, 10, "before");
	assert_found(dump, 0x100000, 10, "");
	append(fd, bytes.data + (1 << 20), bytes.len_bytes - (1 << 20));
	assert_int_equal(jitdump_read(dump, fd, NULL), 0);
	assert_found(dump, 0x1fffff, 10, "large");
	assert_found(dump, 0x2000, 10, "after");
}

/* V8 adds 64 to the addresses of lines, and says who it is. */
static void test_v8(void **state)
{
	(void)state;
	AUTO_FINI(buf_fini) struct buf bytes;
	buf_init(&bytes, 1 << 20);
	jitdump_header(&bytes, &(struct jitdump_header){.reserved = 0xdeadbeef});
	const struct jitdump_line lines[] = {{0x1040, 3, "a.js"}, {0x1048, 4, "a.js"}};
	jitdump_debug_info(&bytes, 10, 0x1000, lines, ARRAY_LEN(lines));
	jitdump_load(&bytes, 10, 0x1000, 0x10, "JS:^f a.js:3:1");
	AUTO_FD fd = new_file(&bytes);
	AUTO(jitdump) dump = NULL;
	assert_int_equal(jitdump_new(&dump, NULL), 0);
	assert_int_equal(jitdump_read(dump, fd, NULL), 0);
	assert_found(dump, 0x1007, 10, "JS:^f a.js:3:1 a.js:3");
	assert_found(dump, 0x1008, 10, "JS:^f a.js:3:1 a.js:4");
}

/* Cycles of the CPU are not comparable with our clock: the last one told of wins. */
static void test_other_clock(void **state)
{
	(void)state;
	AUTO_FINI(buf_fini) struct buf bytes;
	buf_init(&bytes, 1 << 20);
	jitdump_header(&bytes, &(struct jitdump_header){.flags = 1});
	jitdump_load(&bytes, 1000, 0x1000, 0x10, "first");
	jitdump_load(&bytes, 2000, 0x1000, 0x10, "second");
	AUTO_FD fd = new_file(&bytes);
	AUTO(jitdump) dump = NULL;
	assert_int_equal(jitdump_new(&dump, NULL), 0);
	assert_int_equal(jitdump_read(dump, fd, NULL), 0);
	assert_found(dump, 0x1000, 10, "second");
	assert_found(dump, 0x1000, 1500, "second");
}

static void test_not_a_file(void **state)
{
	(void)state;
	AUTO(jitdump) dump = NULL;
	assert_int_equal(jitdump_new(&dump, NULL), 0);
	int pipe_fds[2];
	assert_int_equal(pipe(pipe_fds), 0);
	assert_int_equal(jitdump_read(dump, pipe_fds[0], NULL), -EBADMSG);
	assert_int_equal(jitdump_read(dump, -1, NULL), -EBADF);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers),        cmocka_unit_test(test_headers),
		cmocka_unit_test(test_broken_records), cmocka_unit_test(test_lost_thread),
		cmocka_unit_test(test_large_code),     cmocka_unit_test(test_v8),
		cmocka_unit_test(test_other_clock),    cmocka_unit_test(test_not_a_file),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
