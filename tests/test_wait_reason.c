#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/array.h"
#include "profile/wait_reason.h"

/* As stored and as in docs/API.md: neither number nor name may change. */
static const struct {
	int number;
	const char *name;
} known[] = {
	{1, "run_queue"}, {2, "preempted"}, {3, "throttled"}, {4, "lock"},   {5, "disk"},
	{6, "network"},   {7, "poll"},      {8, "pipe"},      {9, "sleep"},  {10, "page_fault"},
	{11, "child"},    {12, "stopped"},  {13, "io_uring"}, {14, "other"},
};

static void names_round_trip(void **state)
{
	(void)state;
	assert_int_equal(ARRAY_LEN(known) + 1, WAIT_REASONS);
	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		enum wait_reason reason = WAIT_NONE;
		assert_int_equal(wait_reason_parse(known[i].name, &reason, NULL), 0);
		assert_int_equal(reason, known[i].number);
		assert_string_equal(wait_reason_name(reason), known[i].name);
		assert_true(strlen(wait_reason_text(reason)) > 3);
	}
	assert_string_equal(wait_reason_name(WAIT_NONE), "");
	assert_null(wait_reason_name(WAIT_REASONS));
	assert_null(wait_reason_name((enum wait_reason) - 1));
	assert_null(wait_reason_text(WAIT_REASONS));
}

static void other_names_are_refused(void **state)
{
	static const char *const rows[] = {"",      "Lock",    "lock ", " lock", "loc",
					   "locks", "running", "none",  "1"};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		enum wait_reason reason = WAIT_PIPE;
		struct err err = {0};
		assert_int_equal(wait_reason_parse(rows[i], &reason, &err), -EINVAL);
		assert_int_equal(reason, WAIT_PIPE);
		for (size_t j = 0; j < ARRAY_LEN(known); j++)
			assert_non_null(strstr(err.text, known[j].name));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_round_trip),
		cmocka_unit_test(other_names_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
