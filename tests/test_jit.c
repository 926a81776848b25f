/*
 * The files of real processes: this one, and children of it.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/array.h"
#include "base/clock.h"
#include "jitdump_maker.h"
#include "profiler/jit.h"

static void map_path(char path[static 64], pid_t pid)
{
	snprintf(path, 64, "/tmp/perf-%d.map", pid);
}

static void write_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	assert_int_equal(fclose(file), 0);
}

/* A child that waits, and is gone with the test; its perf map, too. */
struct child {
	pid_t pid;
	char map[64];
};

static void child_init(struct child *child)
{
	child->pid = fork();
	assert_true(child->pid >= 0);
	if (!child->pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		pause();
		_exit(0);
	}
	map_path(child->map, child->pid);
	unlink(child->map);
}

static void child_end(struct child *child)
{
	if (child->pid <= 0)
		return;
	kill(child->pid, SIGKILL);
	waitpid(child->pid, NULL, 0);
	child->pid = 0;
}

static void child_fini(struct child *child)
{
	child_end(child);
	unlink(child->map);
}

static void unref_jit(struct jit **jit)
{
	jit_unref(*jit);
}

static void unref_process(struct jit_process **process)
{
	jit_process_unref(*process);
}
#define AUTO_JIT     AUTO_FINI(unref_jit) struct jit *
#define AUTO_PROCESS AUTO_FINI(unref_process) struct jit_process *

static struct jit *new_jit(void)
{
	struct jit *jit;
	assert_int_equal(jit_new(&jit, NULL, NULL), 0);
	return jit;
}

/* Files are not read again at once: until then an answer may be the old one. */
static const char *name_at(struct jit_process *process, uint64_t ip)
{
	struct jit_symbol symbol;
	return jit_process_find(process, ip, UINT64_MAX, &symbol) ? symbol.name : "";
}

/* Only a hang takes so long. The more work reading was, the longer until it is done again. */
static void wait_for_name(struct jit_process *process, uint64_t ip, const char *want)
{
	int64_t deadline_mono_ns = clock_mono_ns() + 200 * NS_PER_S;
	while (strcmp(name_at(process, ip), want) && clock_mono_ns() < deadline_mono_ns)
		usleep(10000);
	assert_string_equal(name_at(process, ip), want);
}

static void test_grows(void **state)
{
	(void)state;
	AUTO_FINI(child_fini) struct child child;
	child_init(&child);
	AUTO_JIT jit = new_jit();
	AUTO_PROCESS process = jit_process_new(jit, (uint32_t)child.pid, NULL);
	assert_non_null(process);
	assert_string_equal(name_at(process, 0x1000), "");
	assert_non_null(strstr(jit_process_unnamed(process).reason, "without a perf map"));
	write_file(child.map, "1000 10 one\n2000 10 tw");
	wait_for_name(process, 0x1000, "one");
	assert_string_equal(name_at(process, 0x2000), "");
	assert_string_equal(jit_process_unnamed(process).reason,
			    "its perf map does not tell of this code");
	write_file(child.map, "1000 10 one\n2000 10 two\n1000 10 other\n");
	wait_for_name(process, 0x2000, "two");
	wait_for_name(process, 0x1000, "other"); /* though 0x1000 was known */
}

/* What is there when it ends is read after it, and stays when the file is removed. */
static void test_ends(void **state)
{
	(void)state;
	AUTO_FINI(child_fini) struct child child;
	child_init(&child);
	AUTO_JIT jit = new_jit();
	AUTO_PROCESS process = jit_process_new(jit, (uint32_t)child.pid, NULL);
	write_file(child.map, "1000 10 one\n");
	child_end(&child);
	wait_for_name(process, 0x1000, "one");
	unlink(child.map);
	usleep(50000);
	assert_string_equal(name_at(process, 0x1000), "one");
}

static void test_inherited(void **state)
{
	(void)state;
	AUTO_FINI(child_fini) struct child parent, child;
	child_init(&parent);
	child_init(&child);
	write_file(parent.map, "1000 10 of_parent\n2000 10 of_parent\n");
	write_file(child.map, "2000 10 of_child\n");
	AUTO_JIT jit = new_jit();
	AUTO_PROCESS old = jit_process_new(jit, (uint32_t)parent.pid, NULL);
	AUTO_PROCESS young = jit_process_new(jit, (uint32_t)child.pid, old);
	assert_string_equal(name_at(young, 0x1000), "of_parent");
	assert_string_equal(name_at(young, 0x2000), "of_child");
	assert_string_equal(name_at(old, 0x2000), "of_parent");
	assert_string_equal(name_at(young, 0x3000), "");
	assert_string_equal(jit_process_unnamed(young).reason,
			    "its perf map does not tell of this code");

	/* Without a map of its own, that of who made the code is the one that lacks it. */
	AUTO_FINI(child_fini) struct child third;
	child_init(&third);
	AUTO_PROCESS heir = jit_process_new(jit, (uint32_t)third.pid, old);
	assert_string_equal(name_at(heir, 0x3000), "");
	assert_string_equal(jit_process_unnamed(heir).reason,
			    "its perf map does not tell of this code");
}

enum trick { FIFO, DIRECTORY, LINK, OLD, STRANGER };

static const struct {
	enum trick trick;
	const char *reason;
} tricks[] = {
	{FIFO, "without a perf map"},
	{DIRECTORY, "without a perf map"},
	{LINK, "without a perf map"},
	{OLD, "its perf map is older than the process"},
	{STRANGER, "its perf map belongs to another user"},
};

static void play(enum trick trick, const char *path)
{
	static const char text[] = "1000 10 wrong\n";
	if (trick == FIFO)
		assert_int_equal(mkfifo(path, 0600), 0);
	if (trick == DIRECTORY)
		assert_int_equal(mkdir(path, 0700), 0);
	if (trick == LINK)
		assert_int_equal(symlink("/etc/passwd", path), 0);
	if (trick == OLD || trick == STRANGER)
		write_file(path, text);
	const struct timespec times[] = {{.tv_sec = 1000000000}, {.tv_sec = 1000000000}};
	if (trick == OLD)
		assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
	if (trick == STRANGER)
		assert_int_equal(chown(path, 12345, 12345), 0);
}

static void test_tricks(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(tricks); i++) {
		if (tricks[i].trick == STRANGER && geteuid())
			continue; /* only root gives files away */
		AUTO_FINI(child_fini) struct child child;
		child_init(&child);
		play(tricks[i].trick, child.map);
		AUTO_JIT jit = new_jit();
		AUTO_PROCESS process = jit_process_new(jit, (uint32_t)child.pid, NULL);
		assert_string_equal(name_at(process, 0x1000), "");
		if (!strstr(jit_process_unnamed(process).reason, tricks[i].reason))
			fail_msg("trick %d: %s", tricks[i].trick,
				 jit_process_unnamed(process).reason);
		assert_true(strlen(jit_process_unnamed(process).remedy) > 0);
		remove(child.map);
	}
}

static int new_dump(uint64_t from_mono_ns, const char *name)
{
	AUTO_FINI(buf_fini) struct buf bytes;
	buf_init(&bytes, 1 << 20);
	jitdump_header(&bytes, &(struct jitdump_header){0});
	const struct jitdump_line lines[] = {{0x1000, 3, "a.js"}};
	jitdump_debug_info(&bytes, from_mono_ns, 0x1000, lines, 1);
	jitdump_load(&bytes, from_mono_ns, 0x1000, 0x10, name);
	char path[] = "/tmp/hearth_dump.XXXXXX";
	int fd = mkostemp(path, O_CLOEXEC);
	assert_true(fd >= 0);
	unlink(path);
	assert_int_equal(write(fd, bytes.data, bytes.len_bytes), bytes.len_bytes);
	return fd;
}

/* A jitdump goes before a perf map, because it has times. Told twice, it is read once. */
static void test_dump(void **state)
{
	(void)state;
	AUTO_FINI(child_fini) struct child child;
	child_init(&child);
	write_file(child.map, "1000 20 of_map\n3000 1 so_that_it_is_longer_than_a_header\n");
	AUTO_JIT jit = new_jit();
	AUTO_PROCESS process = jit_process_new(jit, (uint32_t)child.pid, NULL);
	AUTO_FD fd = new_dump(100, "of_dump");
	AUTO_FD text_fd = open(child.map, O_RDONLY | O_CLOEXEC); /* not a jitdump */
	for (int i = 0; i < 10; i++)
		jit_process_add_dump(process, fd);
	jit_process_add_dump(process, text_fd);
	struct jit_symbol symbol;
	assert_true(jit_process_find(process, 0x1004, 100, &symbol));
	assert_string_equal(symbol.name, "of_dump");
	assert_string_equal(symbol.file, "a.js");
	assert_int_equal(symbol.line, 3);
	assert_true(jit_process_find(process, 0x1004, 99, &symbol));
	assert_string_equal(symbol.name, "of_map");
	assert_string_equal(symbol.file, "");
	assert_false(jit_process_find(process, 0x1020, 100, &symbol));
	assert_non_null(strstr(jit_process_unnamed(process).reason, "magic number"));
}

/* No process of that number: nothing is opened, nothing is found. */
static void test_gone(void **state)
{
	(void)state;
	AUTO_FINI(child_fini) struct child child;
	child_init(&child);
	pid_t pid = child.pid;
	child_end(&child);
	write_file(child.map, "1000 10 nobodys\n");
	AUTO_JIT jit = new_jit();
	AUTO_PROCESS process = jit_process_new(jit, (uint32_t)pid, NULL);
	assert_non_null(process);
	assert_string_equal(name_at(process, 0x1000), "");
}

static void test_budget(void **state)
{
	(void)state;
	AUTO_FINI(child_fini) struct child one, two;
	child_init(&one);
	child_init(&two);
	write_file(one.map, "1000 10 one\n");
	write_file(two.map, "1000 10 two\n");
	struct jit *jit;
	struct jit_options options = {.max_bytes = 1};
	assert_int_equal(jit_new(&jit, &options, NULL), 0);
	struct jit_process *first = jit_process_new(jit, (uint32_t)one.pid, NULL);
	AUTO_PROCESS second = jit_process_new(jit, (uint32_t)two.pid, NULL);
	jit_unref(jit); /* its processes keep it */
	assert_string_equal(name_at(first, 0x1000), "one");
	assert_string_equal(name_at(second, 0x1000), "");
	assert_string_equal(jit_process_unnamed(second).reason,
			    "names of code made at run time have used up their memory");
	jit_process_unref(first);
	assert_string_equal(name_at(second, 0x1000), "two");
}

/* Descriptors are few: more processes than that have names. */
static void test_many(void **state)
{
	(void)state;
	enum { MANY = 3000 };
	AUTO_JIT jit = new_jit();
	static struct jit_process *processes[MANY];
	int count = 0;
	for (int i = 0; i < MANY; i++) {
		processes[i] =
			jit_process_new(jit, (uint32_t)getpid(), i ? processes[i - 1] : NULL);
		count += processes[i] != NULL;
	}
	assert_int_equal(count, 2048);
	for (int i = 0; i < MANY; i++)
		jit_process_unref(processes[i]);
	AUTO_PROCESS again = jit_process_new(jit, (uint32_t)getpid(), NULL);
	assert_non_null(again);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_grows),     cmocka_unit_test(test_ends),
		cmocka_unit_test(test_inherited), cmocka_unit_test(test_tricks),
		cmocka_unit_test(test_dump),      cmocka_unit_test(test_gone),
		cmocka_unit_test(test_budget),    cmocka_unit_test(test_many),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
