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

#include "base/err.h"

static void set_text_and_code(void **state)
{
	(void)state;
	struct err err = {0};
	assert_int_equal(err_set(&err, -EBADMSG, "line %d: %s", 7, "bad"), -EBADMSG);
	assert_int_equal(err.code, -EBADMSG);
	assert_string_equal(err.text, "line 7: bad");
	assert_int_equal(err_set(&err, 0, "fine"), 0);
	assert_int_equal(err.code, 0);
}

/* %m is the code that is set, whatever errno says, and errno stays. */
static void percent_m(void **state)
{
	(void)state;
	struct err err = {0};
	errno = EINTR;
	err_set(&err, -ENOENT, "open x: %m");
	assert_string_equal(err.text, "open x: No such file or directory");
	assert_int_equal(errno, EINTR);
}

static void wrap_prefixes(void **state)
{
	(void)state;
	struct err err = {0};
	err_set(&err, -ENOENT, "open x");
	assert_int_equal(err_wrap(&err, -ENOENT, "load %s", "db"), -ENOENT);
	assert_int_equal(err_wrap(&err, -EIO, "start"), -EIO);
	assert_string_equal(err.text, "start: load db: open x");
	assert_int_equal(err.code, -EIO);
}

static void wrap_of_nothing_names_the_code(void **state)
{
	(void)state;
	struct err err = {0};
	err_wrap(&err, -ENOSPC, "write");
	assert_string_equal(err.text, "write: No space left on device");
}

static void nobody_listens(void **state)
{
	(void)state;
	assert_int_equal(err_set(NULL, -EIO, "%s", "x"), -EIO);
	assert_int_equal(err_wrap(NULL, -EPERM, "%s", "x"), -EPERM);
}

/* Texts that do not fit are cut, keep their beginning and stay terminated. */
static void too_long(void **state)
{
	(void)state;
	enum { ROOM = sizeof(((struct err *)0)->text) };
	for (size_t len = ROOM - 3; len <= 2 * ROOM; len++) {
		char *text = calloc(1, len + 1);
		memset(text, 'a', len);
		struct err err;
		memset(&err, 0xff, sizeof(err));
		err_set(&err, -EIO, "%s", text);
		size_t kept = len < ROOM - 1 ? len : ROOM - 1;
		assert_int_equal(strnlen(err.text, ROOM), kept);
		err_wrap(&err, -EIO, "%s", "b");
		assert_int_equal(strnlen(err.text, ROOM), ROOM - 1);
		assert_memory_equal(err.text, "b: aaa", 6);
		err_wrap(&err, -EIO, "%s", text);
		assert_int_equal(strnlen(err.text, ROOM), ROOM - 1);
		assert_int_equal(err.text[0], 'a');
		free(text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(set_text_and_code),
		cmocka_unit_test(percent_m),
		cmocka_unit_test(wrap_prefixes),
		cmocka_unit_test(wrap_of_nothing_names_the_code),
		cmocka_unit_test(nobody_listens),
		cmocka_unit_test(too_long),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
