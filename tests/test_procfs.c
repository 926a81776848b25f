#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/array.h"
#include "profiler/procfs.h"
#include "tool.h"

/* proc(5): pid (comm) state ppid ... ; field 22 is starttime. */
#define STAT_TAIL(ppid, start)                                                        \
	" S " ppid " 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 " start " 170000 200 " \
	"18446744073709551615 1 1 0 0 0 0 0 0 0 0 0 0 17 1 0 0 0 0 0\n"

static void stats_that_are_none(void **state)
{
	(void)state;
	static const char *const rows[] = {
		"",
		"\n",
		"1",
		"1 init S 0",
		"1 (init",
		"1 init) S 0 0",
		"1 )init( S 0 0",
		"1 (init)",
		"1 (init) S",
		"1 (init) S x 0 0 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 5",
		"1 (init) S 0 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1",
		"1 (init) S 0 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 x",
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct proc_stat stat;
		memset(&stat, 0xa5, sizeof(stat));
		struct proc_stat before = stat;
		if (proc_stat_parse(&stat, rows[i]) != -EBADMSG)
			fail_msg("\"%s\" was taken", rows[i]);
		assert_memory_equal(&stat, &before, sizeof(stat));
	}
}

static void stats(void **state)
{
	(void)state;
	static const struct {
		const char *text, *comm;
		uint32_t parent_pid;
		uint64_t start_boot_ticks;
	} rows[] = {
		{"1 (init)" STAT_TAIL("0", "3"), "init", 0, 3},
		{"12 (a b)" STAT_TAIL("4194303", "99"), "a b", 4194303, 99},
		{"12 (a) S 7)" STAT_TAIL("2", "4"), "a) S 7", 2, 4},
		{"12 (()" STAT_TAIL("2", "4"), "(", 2, 4},
		{"12 ())" STAT_TAIL("2", "4"), ")", 2, 4},
		{"12 ()" STAT_TAIL("2", "4"), "", 2, 4},
		{"12 (two\nlines)" STAT_TAIL("2", "4"), "two\nlines", 2, 4},
		{"12 (kworker/0:1H+kblockd)" STAT_TAIL("2", "4"), "kworker/0:1H", 2, 4},
		{"12 (kworker/0:0H)" STAT_TAIL("2", "4"), "kworker/0:0H", 2, 4},
		{"12 (a-worker+1)" STAT_TAIL("2", "4"), "a-worker+1", 2, 4},
		{"12 (kworker/u8:2-events_unbound)" STAT_TAIL("2", "4"), "kworker/u8:2", 2, 4},
		{"12 (x)" STAT_TAIL("1", "18446744073709551615"), "x", 1, UINT64_MAX},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct proc_stat stat;
		assert_int_equal(proc_stat_parse(&stat, rows[i].text), 0);
		assert_string_equal(stat.comm, rows[i].comm);
		assert_int_equal(stat.parent_pid, rows[i].parent_pid);
		assert_int_equal(stat.start_boot_ticks, rows[i].start_boot_ticks);
	}
}

static void lines_that_are_no_mapping(void **state)
{
	(void)state;
	static const char *const rows[] = {
		"",
		"\n",
		"7f00-7f10",
		"7f00 7f10 r-xp 0 08:01 42 /a",
		"7f10-7f00 r-xp 00001000 08:01 42 /a", /* end before start */
		"7f10-7f10 r-xp 00001000 08:01 42 /a", /* empty */
		"xyz-7f10 r-xp 00001000 08:01 42 /a",
		"7f00-7f10 r-xp zzz 08:01 42 /a",
		"7f00-7f10 r-xp 00001000 0801 42 /a",
		"7f00-7f10 r-xp 00001000 08:01 x /a",
		"7f00-7f10 r-xp 00001000 08:01",
		"Size:                  4 kB",
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char line[128];
		snprintf(line, sizeof(line), "%s", rows[i]);
		struct proc_mapping mapping;
		memset(&mapping, 0xa5, sizeof(mapping));
		struct proc_mapping before = mapping;
		if (proc_mapping_parse(&mapping, line) != -EBADMSG)
			fail_msg("\"%s\" was taken", rows[i]);
		assert_memory_equal(&mapping, &before, sizeof(mapping));
	}
}

static void mappings(void **state)
{
	(void)state;
	static const struct {
		const char *line;
		uint64_t start_ip, end_ip, file_off;
		uint32_t dev_major, dev_minor;
		uint64_t inode;
		bool is_executable;
		const char *path;
	} rows[] = {
		{"7f00-7f10 r-xp 00001000 08:01 42                         /bin/a\n", 0x7f00,
		 0x7f10, 0x1000, 8, 1, 42, true, "/bin/a"},
		{"7f00-7f10 r--p 00000000 08:01 42 /bin/a\n", 0x7f00, 0x7f10, 0, 8, 1, 42, false,
		 "/bin/a"},
		{"7f00-7f10 --xs 00000000 08:01 42 /bin/a", 0x7f00, 0x7f10, 0, 8, 1, 42, true,
		 "/bin/a"},
		{"7f00-7f10 rwxp 00000000 00:00 0 \n", 0x7f00, 0x7f10, 0, 0, 0, 0, true, ""},
		{"7f00-7f10 rwxp 00000000 00:00 0\n", 0x7f00, 0x7f10, 0, 0, 0, 0, true, ""},
		{"7f00-7f10 r 00000000 00:00 0\n", 0x7f00, 0x7f10, 0, 0, 0, 0, false, ""},
		{"7f00-7f10 r-xp 0 fd:fffff 42 /a b  c\n", 0x7f00, 0x7f10, 0, 0xfd, 0xfffff, 42,
		 true, "/a b  c"},
		{"7f00-7f10 r-xp 0 08:01 42 /a (deleted)\n", 0x7f00, 0x7f10, 0, 8, 1, 42, true,
		 "/a"},
		{"7f00-7f10 r-xp 0 08:01 42 /a (deleted) (deleted)\n", 0x7f00, 0x7f10, 0, 8, 1, 42,
		 true, "/a (deleted)"},
		{"7f00-7f10 r-xp 0 08:01 42 /(deleted)\n", 0x7f00, 0x7f10, 0, 8, 1, 42, true,
		 "/(deleted)"},
		{"7f00-7f10 r-xp 0 00:01 9 /memfd:a (deleted)\n", 0x7f00, 0x7f10, 0, 0, 1, 9, true,
		 "/memfd:a"},
		{"7ffd-7ffe r-xp 00000000 00:00 0                          [vdso]\n", 0x7ffd,
		 0x7ffe, 0, 0, 0, 0, true, "[vdso]"},
		{"ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0  [vsyscall]\n",
		 UINT64_C(0xffffffffff600000), UINT64_C(0xffffffffff601000), 0, 0, 0, 0, true,
		 "[vsyscall]"},
		{"0-ffffffffffffffff r-xp ffffffffffffffff ff:ff 18446744073709551615 /a\n", 0,
		 UINT64_MAX, UINT64_MAX, 255, 255, UINT64_MAX, true, "/a"},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char line[160];
		snprintf(line, sizeof(line), "%s", rows[i].line);
		struct proc_mapping mapping;
		if (proc_mapping_parse(&mapping, line))
			fail_msg("refused: %s", rows[i].line);
		assert_true(mapping.start_ip == rows[i].start_ip);
		assert_true(mapping.end_ip == rows[i].end_ip);
		assert_true(mapping.file_off == rows[i].file_off);
		assert_int_equal(mapping.dev_major, rows[i].dev_major);
		assert_int_equal(mapping.dev_minor, rows[i].dev_minor);
		assert_true(mapping.inode == rows[i].inode);
		assert_int_equal(mapping.is_executable, rows[i].is_executable);
		assert_string_equal(mapping.path, rows[i].path);
	}
}

static void cgroups(void **state)
{
	(void)state;
	static const struct {
		const char *what, *text, *path;
	} rows[] = {
		{"nothing", "", ""},
		{"no colon", "garbage\n", ""},
		{"one colon", "0:\n", ""},
		{"only other v1", "4:memory:/m\n3:cpu,cpuacct:/c\n", ""},
		{"garbage ends it", "8:pids:/p\ngarbage\n0::/x\n", "/p"},
		{"v2", "0::/system.slice/a.service\n", "/system.slice/a.service"},
		{"v2 root", "0::/\n", "/"},
		{"v2 without a newline", "0::/x", "/x"},
		{"v1 by systemd", "12:pids:/p\n1:name=systemd:/user.slice\n", "/p"},
		{"v1 first", "9:name=systemd:/s\n8:pids:/p\n", "/s"},
		{"v1 root", "9:name=systemd:/\n8:pids:/\n", "/"},
		{"hybrid, v2 in use", "8:pids:/p\n0::/v2\n", "/v2"},
		{"hybrid, v2 at its root", "8:pids:/p\n1:name=systemd:/s\n0::/\n", "/p"},
		{"hybrid, all roots", "1:name=systemd:/\n0::/\n", "/"},
		{"colons and spaces", "0::/a:b/c d\n", "/a:b/c d"},
		{"another namespace", "0::/../../x\n", "/../../x"},
		{"gone", "0::/x (deleted)\n", "/x"},
		{"controller with a longer name", "8:pidsy:/p\n7:name=systemdx:/s\n", ""},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char path[64] = "untouched";
		proc_cgroup_parse(rows[i].text, path, sizeof(path));
		if (strcmp(path, rows[i].path) != 0)
			fail_msg("%s: \"%s\", not \"%s\"", rows[i].what, path, rows[i].path);
	}
	char narrow[5];
	proc_cgroup_parse("0::/abcdefg\n", narrow, sizeof(narrow));
	assert_string_equal(narrow, "/abc");
}

struct found {
	struct proc_mapping items[4096];
	char paths[4096][512];
	size_t count;
};

static void keep_mapping(void *ctx, const struct proc_mapping *mapping)
{
	struct found *found = ctx;
	assert_true(found->count < ARRAY_LEN(found->items));
	assert_true(mapping->is_executable);
	found->items[found->count] = *mapping;
	snprintf(found->paths[found->count++], 512, "%s", mapping->path);
}

/* The same file, read with awk. */
static void own_mappings_agree_with_awk(void **state)
{
	(void)state;
	static struct found found;
	found.count = 0;
	AUTO_MEM char *text =
		tool_output("awk '$2 ~ /x/ {print $1, $3, $5, $6}' /proc/%d/maps", getpid());
	assert_int_equal(proc_visit_mappings((uint32_t)getpid(), keep_mapping, &found), 0);
	assert_true(found.count > 2);
	size_t matched = 0;
	char *save = NULL;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		unsigned long long start, end, off, inode;
		char path[512] = "";
		assert_true(sscanf(line, "%llx-%llx %llx %llu %511s", &start, &end, &off, &inode,
				   path) >= 4);
		for (size_t i = 0; i < found.count; i++)
			matched += found.items[i].start_ip == start &&
				   found.items[i].end_ip == end && found.items[i].inode == inode &&
				   found.items[i].file_off == off && !strcmp(found.paths[i], path);
	}
	assert_int_equal(matched, found.count);
}

static void count_id(void *ctx, uint32_t id)
{
	uint32_t *wanted = ctx;
	if (*wanted == id)
		*wanted = 0;
}

static void what_is_gone(void **state)
{
	(void)state;
	pid_t pid = fork();
	if (!pid)
		_exit(0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	uint32_t gone = (uint32_t)pid;
	struct proc_stat stat;
	char text[64] = "untouched";
	uint32_t wanted = gone;
	assert_int_equal(proc_read_stat(&stat, gone), -ESRCH);
	assert_int_equal(proc_read_cgroup(gone, text, sizeof(text)), -ESRCH);
	assert_int_equal(proc_read_thread_comm(gone, gone, text), -ESRCH);
	assert_string_equal(text, "untouched");
	assert_int_equal(proc_visit_mappings(gone, keep_mapping, NULL), -ESRCH);
	assert_int_equal(proc_visit_tids(gone, count_id, &wanted), -ESRCH);
	assert_int_equal(proc_visit_pids(count_id, &wanted), 0);
	assert_int_equal(wanted, gone);
}

static void this_process(void **state)
{
	(void)state;
	uint32_t self = (uint32_t)getpid();
	assert_int_equal(prctl(PR_SET_NAME, "a) (b\n9 S 1"), 0);
	struct proc_stat stat;
	assert_int_equal(proc_read_stat(&stat, self), 0);
	assert_string_equal(stat.comm, "a) (b\n9 S 1");
	assert_int_equal(stat.parent_pid, getppid());
	AUTO_MEM char *start =
		tool_output("tr '\\n' ' ' </proc/%u/stat | sed 's/.*) //' | cut -d' ' -f20", self);
	assert_true(stat.start_boot_ticks == strtoull(start, NULL, 10));
	char comm[COMM_BYTES];
	prctl(PR_SET_NAME, "123456789012345");
	assert_int_equal(proc_read_thread_comm(self, self, comm), 0);
	assert_string_equal(comm, "123456789012345");
	uint32_t wanted = self;
	assert_int_equal(proc_visit_pids(count_id, &wanted), 0);
	assert_int_equal(wanted, 0);
	wanted = self;
	assert_int_equal(proc_visit_tids(self, count_id, &wanted), 0);
	assert_int_equal(wanted, 0);
}

static const struct {
	const char *text;
	int code;
	uint32_t uid, ns_pid;
} statuses[] = {
	{"Name:\tcat\nUid:\t1\t2\t3\t4\nNSpid:\t77\nNSpgid:\t78\n", 0, 2, 77},
	{"Name:\tcat\nUid:\t0\t0\t0\t0\nNSpid:\t77\t9\t1\n", 0, 0, 1},
	{"Name:\tUid:\nUid:\t5\t6\t7\t8\nNSpid:\t4294967295\n", 0, 6, UINT32_MAX},
	{"", -EBADMSG, 0, 0},
	{"Name:\tcat\n", -EBADMSG, 0, 0},
	{"Name:\tcat\nUid:\t1\t2\t3\t4\n", -EBADMSG, 0, 0},
	{"Name:\tcat\nNSpid:\t77\n", -EBADMSG, 0, 0},
	{"Name:\tcat\nUid:\t1\nNSpid:\t77\n", -EBADMSG, 0, 0},
	{"Name:\tcat\nUid:\tx\ty\nNSpid:\t77\n", -EBADMSG, 0, 0},
	{"Name:\tcat\nUid:\t1\t2\t3\t4\nNSpid:\n", -EBADMSG, 0, 0},
	{"Name:\tcat\nUid:\t1\t2\t3\t4\nNSpid:\t77", -EBADMSG, 0, 0}, /* torn: 77 or 770? */
	{"Name:\tcat\nUid:\t1\t2\t3\t4\nNSpid:\t77x\n", -EBADMSG, 0, 0},
};

static void status_files(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(statuses); i++) {
		struct proc_status status = {1234, 5678};
		assert_int_equal(proc_status_parse(&status, statuses[i].text), statuses[i].code);
		assert_int_equal(status.uid, statuses[i].code ? 1234 : statuses[i].uid);
		assert_int_equal(status.ns_pid, statuses[i].code ? 5678 : statuses[i].ns_pid);
	}
	struct proc_status own;
	assert_int_equal(proc_read_status(&own, (uint32_t)getpid()), 0);
	assert_int_equal(own.uid, geteuid());
	assert_int_equal(proc_read_status(&own, UINT32_MAX), -ESRCH);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stats_that_are_none),
		cmocka_unit_test(stats),
		cmocka_unit_test(status_files),
		cmocka_unit_test(lines_that_are_no_mapping),
		cmocka_unit_test(mappings),
		cmocka_unit_test(cgroups),
		cmocka_unit_test(own_mappings_agree_with_awk),
		cmocka_unit_test(what_is_gone),
		cmocka_unit_test(this_process),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
