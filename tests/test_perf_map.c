#include <errno.h>
#include <fcntl.h>
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
#include "symbolizer/perf_map.h"

static void append(int fd, const char *text, size_t len_bytes)
{
	assert_int_equal(lseek(fd, 0, SEEK_END) >= 0, 1);
	assert_int_equal(write(fd, text, len_bytes), len_bytes);
}

static void append_str(int fd, const char *text)
{
	append(fd, text, strlen(text));
}

static int new_file(const char *text)
{
	int fd = memfd_create("perf-1.map", MFD_CLOEXEC);
	assert_true(fd >= 0);
	append_str(fd, text);
	return fd;
}

static const char *name_at(const struct perf_map *map, uint64_t ip)
{
	struct jit_symbol symbol;
	if (!perf_map_find(map, ip, &symbol))
		return NULL;
	assert_string_equal(symbol.file, "");
	assert_int_equal(symbol.line, 0);
	return symbol.name;
}

static void assert_name(const struct perf_map *map, uint64_t ip, const char *want)
{
	const char *have = name_at(map, ip);
	if (!have != !want || (want && strcmp(have, want)))
		fail_msg("0x%" PRIx64 ": %s, not %s", ip, have ? have : "nothing",
			 want ? want : "nothing");
}

static void read_again(struct perf_map *map, int fd)
{
	struct err err = {0};
	if (perf_map_read(map, fd, &err))
		fail_msg("%s", err.text);
}

/* One line each, asked for 0x1000. */
static const struct {
	const char *line;
	const char *want; /* NULL: not a line */
} lines[] = {
	{"1000 10 f", "f"},
	{"1000 10 JS:*fib /tmp/a b.js:1:13", "JS:*fib /tmp/a b.js:1:13"},
	{"0x0000000000001000 0x0000000000000010 void Main.run()", "void Main.run()"},
	{"0X1000 0XA Lower::and::UPPER", "Lower::and::UPPER"},
	{"fff FF f", "f"},
	{"1000\t10\tf", "f"},
	{"1000  10   f", "f"},
	{"1000 10 f\r", "f?"},
	{"1000 10 a\033[2Jb", "a?[2Jb"},
	{"0 ffffffffffffffff all", "all"},
	{"1000 10 10", "10"},
	{"", NULL},
	{"1000", NULL},
	{"1000 10", NULL},
	{"1000 10 ", NULL},
	{"1000 0 f", NULL},
	{"1001 10 behind", NULL},
	{"1000 1000 ", NULL},
	{" 1000 10 f", NULL},
	{"-1000 10 f", NULL},
	{"1000,10,f", NULL},
	{"1000 1z f", NULL},
	{"0x 10 f", NULL},
	{"1000 0x f", NULL},
	{"g000 10 f", NULL},
	{"00000000000001000 10 f", NULL},   /* 17 digits */
	{"1000 fffffffffffffffff f", NULL}, /* 17 digits */
	{"1000 ffffffffffffffff f", NULL},  /* past the end of memory */
	{"ffffffffffffffff 1 f", NULL},     /* its end is one too many */
	{"START SIZE name", NULL},
};

static void test_lines(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		AUTO_FD fd = new_file("2000 10 before\n");
		append_str(fd, lines[i].line);
		append_str(fd, "\n3000 10 after\n");
		AUTO(perf_map) map = NULL;
		assert_int_equal(perf_map_new(&map, NULL), 0);
		read_again(map, fd);
		const char *have = name_at(map, 0x1000);
		const char *want = lines[i].want;
		if (!have != !want || (want && strcmp(have, want)))
			fail_msg("\"%s\": %s", lines[i].line, have ? have : "nothing");
		bool is_other = strstr(lines[i].line, "behind");
		struct perf_map_stats stats;
		perf_map_stats(map, &stats);
		assert_int_equal(stats.bad_lines, !want && !is_other);
		if (strcmp(lines[i].line, "0 ffffffffffffffff all"))
			assert_name(map, 0x2000, "before");
		assert_name(map, 0x3000, "after");
	}
}

/* However the file is torn, what was asked for in between is right, and the end is the same. */
static void test_torn(void **state)
{
	(void)state;
	static const char text[] = "1000 10 one\n2000 10 two\n1008 4 three\n";
	for (size_t cut = 0; cut < sizeof(text); cut++) {
		AUTO_FD fd = new_file("");
		append(fd, text, cut);
		AUTO(perf_map) map = NULL;
		assert_int_equal(perf_map_new(&map, NULL), 0);
		read_again(map, fd);
		assert_name(map, 0x1000, cut >= 12 ? "one" : NULL);
		assert_name(map, 0x2000, cut >= 24 ? "two" : NULL);
		append(fd, text + cut, sizeof(text) - 1 - cut);
		read_again(map, fd);
		assert_name(map, 0x1000, "one");
		assert_name(map, 0x2000, "two");
		assert_name(map, 0x1008, "three");
		assert_name(map, 0x100c, "one");
		struct perf_map_stats stats;
		perf_map_stats(map, &stats);
		assert_int_equal(stats.bad_lines, 0);
		assert_int_equal(stats.rereads, 0);
		assert_int_equal(stats.ranges, 4);
	}
}

enum change { REPLACED, SHRUNK, REWRITTEN_SHORTER, REWRITTEN_LONGER, REWRITTEN_SAME_SIZE };

static void test_written_anew(void **state)
{
	(void)state;
	for (enum change change = REPLACED; change <= REWRITTEN_SAME_SIZE; change++) {
		AUTO_FD fd = new_file("1000 10 old_one\n2000 10 old_two\n");
		AUTO(perf_map) map = NULL;
		assert_int_equal(perf_map_new(&map, NULL), 0);
		read_again(map, fd);
		assert_name(map, 0x2000, "old_two");
		if (change == REPLACED) {
			int other_fd = new_file("1000 10 old_one\n3000 10 new\n4000 10 more\n");
			close(fd);
			fd = other_fd;
		} else {
			assert_int_equal(ftruncate(fd, change == SHRUNK ? 16 : 0), 0);
		}
		if (change == REWRITTEN_SHORTER)
			append_str(fd, "3000 10 new\n");
		else if (change == REWRITTEN_LONGER)
			append_str(fd, "3000 10 a_new_one\n4000 10 another_new_one\n");
		else if (change == REWRITTEN_SAME_SIZE)
			append_str(fd, "3000 10 new_one\n4000 10 new_two\n");
		read_again(map, fd);
		assert_name(map, 0x2000, NULL);
		assert_name(map, 0x1000, change <= SHRUNK ? "old_one" : NULL);
		assert_int_equal(name_at(map, 0x3000) != NULL, change != SHRUNK);
		struct perf_map_stats stats;
		perf_map_stats(map, &stats);
		assert_int_equal(stats.rereads, 1);
	}
}

/* A line longer than any is passed over, whole or torn; so are bytes that are no text. */
static void test_endless_line(void **state)
{
	(void)state;
	AUTO_FD fd = new_file("1000 10 before\n5000 10 ");
	enum { LONG_BYTES = 300000 };
	AUTO_MEM char *filler = malloc(LONG_BYTES);
	assert_non_null(filler);
	memset(filler, 'x', LONG_BYTES);
	append(fd, filler, LONG_BYTES);
	AUTO(perf_map) map = NULL;
	assert_int_equal(perf_map_new(&map, NULL), 0);
	read_again(map, fd);
	append(fd, filler, LONG_BYTES);
	read_again(map, fd);
	append_str(fd, "6000 10 still_it\n2000 10 after\n");
	memset(filler, 0, LONG_BYTES);
	append(fd, filler, LONG_BYTES);
	append_str(fd, "\n3000 10 last\n");
	read_again(map, fd);
	assert_name(map, 0x1000, "before");
	assert_name(map, 0x2000, "after");
	assert_name(map, 0x3000, "last");
	assert_name(map, 0x5000, NULL);
	assert_name(map, 0x6000, NULL);
	struct perf_map_stats stats;
	perf_map_stats(map, &stats);
	assert_int_equal(stats.bad_lines, 2);
	assert_int_equal(stats.rereads, 0);
}

/* Of a file of many GiB (all holes, here) the end is read. */
static void test_huge_file(void **state)
{
	(void)state;
	AUTO_FD fd = new_file("1000 10 lost\n");
	assert_int_equal(ftruncate(fd, (off_t)8 << 30), 0);
	append_str(fd, "\n2000 10 last\n");
	AUTO(perf_map) map = NULL;
	assert_int_equal(perf_map_new(&map, NULL), 0);
	read_again(map, fd);
	read_again(map, fd);
	assert_name(map, 0x1000, NULL);
	assert_name(map, 0x2000, "last");
}

static void test_not_a_file(void **state)
{
	(void)state;
	AUTO(perf_map) map = NULL;
	assert_int_equal(perf_map_new(&map, NULL), 0);
	int pipe_fds[2];
	assert_int_equal(pipe(pipe_fds), 0);
	AUTO_FD directory_fd = open("/tmp", O_RDONLY | O_CLOEXEC);
	const int fds[] = {pipe_fds[0], directory_fd};
	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		struct err err = {0};
		assert_int_equal(perf_map_read(map, fds[i], &err), -EBADMSG);
		assert_string_equal(err.text, "perf map: not a regular file");
	}
	struct err err = {0};
	assert_int_equal(perf_map_read(map, -1, &err), -EBADF);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
	struct perf_map_stats stats;
	perf_map_stats(map, &stats);
	assert_int_equal(stats.ranges, 0);
}

/* As many lines as a large service has: every one found, and in the order of the file. */
static void test_many(void **state)
{
	(void)state;
	enum { LINES = 200000 };
	AUTO_FINI(buf_fini) struct buf text;
	buf_init(&text, 64 << 20);
	for (unsigned int i = 0; i < LINES; i++)
		buf_printf(&text, "%x 40 f%u\n", 0x100000 + 0x20 * (i * 7919 % LINES), i);
	assert_int_equal(buf_error(&text), 0);
	AUTO_FD fd = new_file("");
	AUTO(perf_map) map = NULL;
	assert_int_equal(perf_map_new(&map, NULL), 0);
	for (size_t at = 0; at < text.len_bytes;) {
		size_t part_bytes = text.len_bytes - at < 1000003 ? text.len_bytes - at : 1000003;
		append(fd, text.data + at, part_bytes);
		at += part_bytes;
		read_again(map, fd);
	}
	/* 7919 is prime and does not divide LINES: each slot is written once, and half covered by
	 * the slot before it when that came later. */
	AUTO_MEM unsigned int *slots = calloc(LINES, sizeof(*slots));
	assert_non_null(slots);
	for (unsigned int i = 0; i < LINES; i++)
		slots[i * 7919 % LINES] = i;
	for (unsigned int slot = 1; slot < LINES; slot++) {
		unsigned int last = slots[slot] > slots[slot - 1] ? slots[slot] : slots[slot - 1];
		char want[16];
		snprintf(want, sizeof(want), "f%u", last);
		assert_name(map, 0x100000 + 0x20 * slot + 5, want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),        cmocka_unit_test(test_torn),
		cmocka_unit_test(test_written_anew), cmocka_unit_test(test_endless_line),
		cmocka_unit_test(test_huge_file),    cmocka_unit_test(test_not_a_file),
		cmocka_unit_test(test_many),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
