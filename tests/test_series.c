#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "profile/series.h"

static struct series_set *new_set(size_t points)
{
	struct series_set *set = NULL;
	assert_int_equal(series_set_new(&set, 100, 10, points), 0);
	return set;
}

static void add(struct series_set *set, const char *name, size_t point, int64_t weight_ns)
{
	struct series_line *line = NULL;
	assert_int_equal(series_set_line(set, name, 100, &line), 0);
	line->weight_ns[point] += weight_ns;
	line->total_ns += weight_ns;
}

static void expect_line(const struct series_set *set, size_t i, const char *name, int64_t total,
			int64_t first, int64_t second)
{
	assert_true(i < set->line_count);
	assert_string_equal(strtab_get(&set->strings, set->lines[i].name), name);
	assert_int_equal(set->lines[i].total_ns, total);
	assert_int_equal(set->lines[i].weight_ns[0], first);
	assert_int_equal(set->lines[i].weight_ns[1], second);
}

static void a_new_set_is_all_zero(void **state)
{
	(void)state;
	AUTO(series_set) set = new_set(3);
	assert_int_equal(set->line_count, 0);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(set->health[i].covered_ns + (int64_t)set->health[i].taken, 0);
	AUTO(series_set) pointless = new_set(0);
	assert_int_equal(pointless->point_count, 0);
	assert_int_equal(series_set_finish(pointless, 0), 0);
	assert_int_equal(pointless->line_count, 0);
	series_set_free(NULL);
}

static void lines_are_found_by_name(void **state)
{
	(void)state;
	AUTO(series_set) set = new_set(2);
	add(set, "", 0, 1);
	add(set, "a", 0, 5);
	add(set, "b", 1, 7);
	add(set, "a", 1, 6);
	assert_int_equal(set->line_count, 3);
	expect_line(set, 0, "", 1, 1, 0);
	expect_line(set, 1, "a", 11, 5, 6);
	expect_line(set, 2, "b", 7, 0, 7);
}

static void too_many_lines_are_refused(void **state)
{
	(void)state;
	AUTO(series_set) set = new_set(2);
	struct series_line *line = NULL, *same = NULL;
	assert_int_equal(series_set_line(set, "a", 0, &line), -ENOSPC);
	assert_null(line);
	assert_int_equal(series_set_line(set, "a", 1, &line), 0);
	assert_int_equal(series_set_line(set, "b", 1, &same), -ENOSPC);
	assert_null(same);
	assert_int_equal(series_set_line(set, "a", 1, &same), 0);
	assert_ptr_equal(line, same);
	assert_int_equal(set->line_count, 1);
}

static void finish_sorts_and_sums_the_rest(void **state)
{
	(void)state;
	AUTO(series_set) set = new_set(2);
	add(set, "light", 0, 1);
	add(set, "heavy", 1, 100);
	add(set, "middle", 0, 50);
	add(set, "lighter", 1, 2);
	assert_int_equal(series_set_finish(set, 2), 0);
	assert_int_equal(set->line_count, 3);
	expect_line(set, 0, "heavy", 100, 0, 100);
	expect_line(set, 1, "middle", 50, 50, 0);
	expect_line(set, 2, "other", 3, 1, 2);
	add(set, "heavy", 0, 1); /* still found after the sort */
	assert_int_equal(set->line_count, 3);
	expect_line(set, 0, "heavy", 101, 1, 100);
}

static void finish_within_the_limit_adds_nothing(void **state)
{
	(void)state;
	AUTO(series_set) set = new_set(2);
	add(set, "b", 0, 1);
	add(set, "a", 1, 1);
	assert_int_equal(series_set_finish(set, 2), 0);
	assert_int_equal(set->line_count, 2);
	expect_line(set, 0, "a", 1, 0, 1); /* equally heavy: by name */
	expect_line(set, 1, "b", 1, 1, 0);
}

static void a_value_named_other_takes_the_rest(void **state)
{
	(void)state;
	AUTO(series_set) set = new_set(2);
	add(set, "other", 0, 100);
	add(set, "a", 1, 50);
	add(set, "b", 1, 20);
	assert_int_equal(series_set_finish(set, 1), 0);
	assert_int_equal(set->line_count, 2);
	expect_line(set, 0, "a", 50, 0, 50);
	expect_line(set, 1, "other", 120, 100, 20);
	AUTO(series_set) nothing_kept = new_set(2);
	add(nothing_kept, "a", 0, 3);
	add(nothing_kept, "b", 1, 4);
	assert_int_equal(series_set_finish(nothing_kept, 0), 0);
	assert_int_equal(nothing_kept->line_count, 1);
	expect_line(nothing_kept, 0, "other", 7, 3, 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_set_is_all_zero),
		cmocka_unit_test(lines_are_found_by_name),
		cmocka_unit_test(too_many_lines_are_refused),
		cmocka_unit_test(finish_sorts_and_sums_the_rest),
		cmocka_unit_test(finish_within_the_limit_adds_nothing),
		cmocka_unit_test(a_value_named_other_takes_the_rest),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
