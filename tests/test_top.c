#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/array.h"
#include "profile/calltree.h"
#include "tests/profile_maker.h"

static struct profile *new_profile(void)
{
	struct profile *profile = NULL;
	assert_int_equal(profile_new(&profile, PROFILE_CPU), 0);
	return profile;
}

static struct top_table *build(const struct profile *profile)
{
	struct top_table *table = NULL;
	struct err err = {0};
	assert_int_equal(top_table_build(&table, profile, FRAME_VIEW_FUNCTION, &err), 0);
	return table;
}

static void expect_table(const struct top_table *table, const char *expected)
{
	struct buf text;
	buf_init(&text, 1 << 20);
	for (size_t i = 0; i < table->row_count; i++) {
		const struct top_row *row = &table->rows[i];
		buf_printf(&text, "%s %d %s %lld/%lld %llu/%llu\n",
			   strtab_get(&table->strings, row->name), (int)row->kind,
			   strtab_get(&table->strings, row->mapping), (long long)row->self_weight,
			   (long long)row->total_weight, (unsigned long long)row->self_count,
			   (unsigned long long)row->total_count);
	}
	AUTO_MEM char *got = buf_take_str(&text);
	assert_string_equal(got, expected);
}

static void an_empty_profile_has_no_rows(void **state)
{
	(void)state;
	AUTO(profile) profile = new_profile();
	AUTO(top_table) table = build(profile);
	assert_int_equal(table->row_count, 0);
	assert_int_equal(table->total_weight, 0);
	top_table_free(NULL);
}

static void recursion_counts_once(void **state)
{
	(void)state;
	AUTO(profile) profile = new_profile();
	maker_sample(profile, "c", 1, "main;f;f;g;f", 10);
	maker_sample(profile, "c", 1, "main;f;g", 5);
	maker_sample(profile, "c", 2, "main;g", 1);
	maker_sample(profile, "c", 2, "", 100);
	AUTO(top_table) table = build(profile);
	expect_table(table, "f 1 /bin/x 10/15 1/2\n"
			    "g 1 /bin/x 6/16 2/3\n"
			    "main 1 /bin/x 0/16 0/3\n");
	assert_int_equal(table->total_weight, 116);
	assert_int_equal(table->total_count, 4);
}

static void inlined_and_mutual_recursion(void **state)
{
	(void)state;
	AUTO(profile) profile = new_profile();
	maker_sample(profile, "c", 1, "a;b;a;b>a", 1);
	AUTO(top_table) table = build(profile);
	expect_table(table, "a 3 /bin/x 1/1 1/1\n"
			    "a 1 /bin/x 0/1 0/1\n"
			    "b 1 /bin/x 0/1 0/1\n");
}

static void functions_of_one_name_in_two_files_are_two(void **state)
{
	(void)state;
	AUTO(profile) profile = new_profile();
	static const char *const files[] = {"/bin/b", "/bin/a"};
	for (size_t i = 0; i < 2; i++) {
		struct profile_sample sample = {.weight = 1, .count = 1};
		uint32_t location = maker_location(profile, files[i], 1, "main", NULL);
		assert_int_equal(profile_add_stack(profile, 0, location, &sample.stack), 0);
		assert_int_equal(profile_add_sample(profile, &sample), 0);
	}
	AUTO(top_table) table = build(profile);
	expect_table(table, "main 1 /bin/a 1/1 1/1\nmain 1 /bin/b 1/1 1/1\n");
}

/* Is a row's function on the stack, by names alone? */
static bool on_stack(const struct profile *profile, uint32_t stack, const char *name,
		     enum frame_kind kind)
{
	for (; stack; stack = profile->stacks[stack].parent) {
		const struct profile_location *loc =
			&profile->locations[profile->stacks[stack].location];
		const char *file =
			profile_string(profile, profile->mappings[loc->mapping].filename);
		enum frame_kind native = !strcmp(file, "[jit]") ? FRAME_JIT
					 : file[0] == '['       ? FRAME_KERNEL
					 : !file[0]             ? FRAME_MARK
								: FRAME_NATIVE;
		if (!loc->line_count && !strcmp(name, "[x+0x1f]"))
			return true;
		for (uint32_t i = 0; i < loc->line_count; i++) {
			const struct profile_line *line = &profile->lines[loc->first_line + i];
			bool inlined = i + 1 < loc->line_count;
			if (!strcmp(profile_string(profile,
						   profile->functions[line->function].name),
				    name) &&
			    kind == (inlined ? FRAME_INLINED : native))
				return true;
		}
	}
	return false;
}

static void agrees_with_a_naive_count(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 20; round++) {
		unsigned seed = maker_seed(round);
		AUTO(profile) profile = maker_random(&seed, 200);
		AUTO(top_table) table = build(profile);
		int64_t selves = 0, no_stack = 0;
		for (size_t i = 0; i < table->row_count; i++) {
			const struct top_row *row = &table->rows[i];
			const char *name = strtab_get(&table->strings, row->name);
			int64_t weight = 0;
			uint64_t count = 0;
			for (size_t j = 0; j < profile->sample_count; j++) {
				const struct profile_sample *sample = &profile->samples[j];
				if (!on_stack(profile, sample->stack, name, row->kind))
					continue;
				weight += sample->weight;
				count += sample->count;
			}
			assert_int_equal(row->total_weight, weight);
			assert_int_equal(row->total_count, count);
			assert_true(i == 0 || row->self_weight <= row[-1].self_weight);
			selves += row->self_weight;
		}
		for (size_t j = 0; j < profile->sample_count; j++)
			no_stack += profile->samples[j].stack ? 0 : profile->samples[j].weight;
		assert_int_equal(selves + no_stack, table->total_weight);
		assert_int_equal(table->total_weight, profile_total_weight(profile));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_profile_has_no_rows),
		cmocka_unit_test(recursion_counts_once),
		cmocka_unit_test(inlined_and_mutual_recursion),
		cmocka_unit_test(functions_of_one_name_in_two_files_are_two),
		cmocka_unit_test(agrees_with_a_naive_count),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
