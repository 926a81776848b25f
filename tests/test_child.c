#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/array.h"
#include "cli/child.h"
#include "cli/signals.h"
#include "tool.h"

static struct child start(const char *program, const char *script)
{
	char *argv[] = {(char *)(uintptr_t)program, (char[]){"-c"}, (char *)(uintptr_t)script,
			NULL};
	struct child child;
	struct err err = {0};
	if (child_start(&child, argv, &err))
		fail_msg("%s", err.text);
	return child;
}

static size_t open_descriptors(void)
{
	size_t count = 0;
	for (int fd = 0; fd < 1024; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

static void what_cannot_be_run(void **state)
{
	(void)state;
	static const struct {
		const char *program;
		int rc, exit_code;
	} rows[] = {
		{"/nonexistent/program", -ENOENT, 127},
		{"no-program-has-this-name", -ENOENT, 127},
		{"/dev/null", -EACCES, 126},
		{"/", -EACCES, 126},
	};
	size_t before = open_descriptors();
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct child child = start(rows[i].program, "");
		struct err err = {0};
		assert_int_equal(child_go(&child, rows[i].program, &err), rows[i].rc);
		assert_non_null(strstr(err.text, rows[i].program));
		assert_true(child.ended);
		assert_false(child.runs);
		assert_int_equal(child_exit_code(&child), rows[i].exit_code);
		child_fini(&child);
	}
	assert_int_equal(open_descriptors(), before);
}

static void killed_before_it_could_go(void **state)
{
	(void)state;
	struct child child = start("/bin/sh", "exit 0");
	assert_int_equal(kill(child.pid, SIGKILL), 0);
	siginfo_t info;
	assert_int_equal(waitid(P_PID, (id_t)child.pid, &info, WEXITED | WNOWAIT), 0);
	struct err err = {0};
	assert_true(child_go(&child, "sh", &err) < 0);
	assert_true(err.text[0]);
	assert_int_equal(child_exit_code(&child), 128 + SIGKILL);
	child_fini(&child);
}

/* One that is not let go does nothing. */
static void never_let_go(void **state)
{
	(void)state;
	char *dir = tool_dir_new();
	char script[700], path[600];
	snprintf(path, sizeof(path), "%s/done", dir);
	snprintf(script, sizeof(script), "touch %s", path);
	size_t before = open_descriptors();
	struct child child = start("/bin/sh", script);
	pid_t pid = child.pid;
	assert_false(child_poll(&child, false));
	child_fini(&child);
	child_fini(&child); /* once more does nothing */
	assert_int_equal(waitpid(pid, NULL, 0), -1);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(open_descriptors(), before);
	tool_dir_remove(dir);
}

static void how_it_ends_is_passed_on(void **state)
{
	(void)state;
	static const struct {
		const char *script;
		int exit_code;
	} rows[] = {
		{"exit 1", 1},          {"exit 255", 255},     {"kill -TERM $$", 143},
		{"kill -KILL $$", 137}, {"kill -INT $$", 130}, {"exit 0", 0},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct child child = start("/bin/sh", rows[i].script);
		struct err err = {0};
		if (child_go(&child, "sh", &err))
			fail_msg("%s", err.text);
		assert_true(child.runs);
		assert_true(child_poll(&child, true));
		assert_true(child_poll(&child, true)); /* once is enough */
		if (child_exit_code(&child) != rows[i].exit_code)
			fail_msg("%s: %d", rows[i].script, child_exit_code(&child));
		child_fini(&child);
	}
}

/* A signal that we wait for is not blocked in the child. */
static void signals_reach_it(void **state)
{
	(void)state;
	signals_block();
	struct child child = start("/bin/sh", "sleep 100");
	assert_int_equal(child_go(&child, "sh", NULL), 0);
	assert_false(child_poll(&child, false));
	kill(child.pid, SIGTERM);
	assert_true(child_poll(&child, true));
	assert_int_equal(child_exit_code(&child), 128 + SIGTERM);
	child_fini(&child);
	int signal_number;
	do /* the ends of all children before this one are one SIGCHLD */
		signal_number = signals_wait(0);
	while (signal_number == SIGCHLD);
	assert_int_equal(signal_number, 0);
	kill(getpid(), SIGINT);
	assert_int_equal(signals_wait(1000000), SIGINT);
	assert_int_equal(signals_wait(1000000), 0);
	signals_unblock();
}

int main(void)
{
	signal(SIGPIPE, SIG_IGN);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_cannot_be_run), cmocka_unit_test(killed_before_it_could_go),
		cmocka_unit_test(never_let_go),       cmocka_unit_test(how_it_ends_is_passed_on),
		cmocka_unit_test(signals_reach_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
