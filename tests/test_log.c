#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <unistd.h>

#include "base/log.h"

/* What one call writes to stderr. */
static void expect_line(const char *expected, enum log_level level, const char *text)
{
	int ends[2], saved = dup(STDERR_FILENO);
	assert_int_equal(pipe(ends), 0);
	assert_true(dup2(ends[1], STDERR_FILENO) >= 0);
	log_line(level, "%s", text);
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(ends[1]);
	char line[4096] = {0};
	ssize_t got = read(ends[0], line, sizeof(line) - 1);
	close(ends[0]);
	assert_int_equal(got, strlen(expected));
	assert_string_equal(line, expected);
}

static void levels(void **state)
{
	(void)state;
	expect_line("hearth: no\n", LOG_ERROR, "no");
	expect_line("hearth: warning: so so\n", LOG_WARN, "so so");
	expect_line("hearth: yes\n", LOG_INFO, "yes");
	expect_line("hearth: \n", LOG_INFO, "");
}

static void one_line_only(void **state)
{
	(void)state;
	expect_line("hearth: a?hearth: b?[31m?\n", LOG_INFO, "a\nhearth: b\x1b[31m\x7f");
	expect_line("hearth: \xc3\xa9\n", LOG_INFO, "\xc3\xa9");
}

static void long_lines_are_cut(void **state)
{
	(void)state;
	for (size_t len = 900; len < 1200; len++) {
		char text[1201] = {0}, expected[1301] = "hearth: ";
		memset(text, 'x', len);
		size_t shown = len < 1014 ? len : 1014; /* 1024 with prefix, newline and NUL */
		memset(expected + 8, 'x', shown);
		expected[8 + shown] = '\n';
		expect_line(expected, LOG_INFO, text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(levels),
		cmocka_unit_test(one_line_only),
		cmocka_unit_test(long_lines_are_cut),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
