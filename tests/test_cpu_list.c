#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/array.h"
#include "profiler/cpu_list.h"

static void wrong_lists_change_nothing(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		int rc;
	} rows[] = {
		{"x", -EBADMSG},           {"-1", -EBADMSG},
		{"0-", -EBADMSG},          {"0-x", -EBADMSG},
		{"3-1", -EBADMSG},         {"0,", -EBADMSG},
		{"0,,1", -EBADMSG},        {"0 1", -EBADMSG},
		{" 0", -EBADMSG},          {",0", -EBADMSG},
		{"0;1", -EBADMSG},         {"0-1-2", -EBADMSG},
		{"0x3", -EBADMSG},         {"8192", -ENOSPC},
		{"0-8192", -ENOSPC},       {"0,9999999", -ENOSPC},
		{"1-4294967296", -ENOSPC}, {"99999999999999999999", -ENOSPC},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct cpu_list list;
		memset(&list, 0xa5, sizeof(list));
		struct cpu_list before = list;
		struct err err = {0};
		if (cpu_list_parse(&list, rows[i].text, &err) != rows[i].rc)
			fail_msg("\"%s\": %d, not %d", rows[i].text, err.code, rows[i].rc);
		assert_true(err.text[0]);
		assert_memory_equal(&list, &before, sizeof(list));
	}
}

static void right_lists(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		uint32_t count, first, last;
	} rows[] = {
		{"", 0, 0, 0},        {"\n", 0, 0, 0},
		{"0\n", 1, 0, 0},     {"0-1\n", 2, 0, 1},
		{"5", 1, 5, 5},       {"63-64", 2, 63, 64},
		{"0-3,8\n", 5, 0, 8}, {"0,2,4", 3, 0, 4},
		{"1-1", 1, 1, 1},     {"0-8191", 8192, 0, 8191},
		{"3,1", 2, 1, 3},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct cpu_list list;
		assert_int_equal(cpu_list_parse(&list, rows[i].text, NULL), 0);
		assert_int_equal(cpu_list_count(&list), rows[i].count);
		if (!rows[i].count)
			continue;
		assert_true(cpu_list_has(&list, rows[i].first));
		assert_true(cpu_list_has(&list, rows[i].last));
		assert_false(cpu_list_has(&list, rows[i].last + 1));
		assert_true(!rows[i].first || !cpu_list_has(&list, rows[i].first - 1));
	}
}

static void cpus_beyond_the_list_are_not_in_it(void **state)
{
	(void)state;
	struct cpu_list all;
	memset(&all, 0xff, sizeof(all));
	assert_true(cpu_list_has(&all, CPU_LIST_MAX - 1));
	assert_false(cpu_list_has(&all, CPU_LIST_MAX));
	assert_false(cpu_list_has(&all, UINT32_MAX));
}

static void this_machine(void **state)
{
	(void)state;
	struct cpu_list online;
	struct err err = {0};
	if (cpu_list_online(&online, &err))
		fail_msg("%s", err.text);
	assert_int_equal(cpu_list_count(&online), sysconf(_SC_NPROCESSORS_ONLN));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wrong_lists_change_nothing),
		cmocka_unit_test(right_lists),
		cmocka_unit_test(cpus_beyond_the_list_are_not_in_it),
		cmocka_unit_test(this_machine),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
