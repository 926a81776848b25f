#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/array.h"
#include "profile/profile.h"
#include "tests/profile_maker.h"

static struct profile *new_profile(void)
{
	struct profile *profile = NULL;
	assert_int_equal(profile_new(&profile, PROFILE_CPU), 0);
	return profile;
}

static void a_new_profile_has_only_empty_entries(void **state)
{
	(void)state;
	AUTO(profile) profile = new_profile();
	assert_int_equal(profile->mapping_count, 1);
	assert_int_equal(profile->function_count, 1);
	assert_int_equal(profile->location_count, 1);
	assert_int_equal(profile->stack_count, 1);
	assert_int_equal(profile->label_set_count, 1);
	assert_int_equal(profile->thread_count, 1);
	assert_int_equal(profile->sample_count, 0);
	assert_string_equal(profile_string(profile, 0), "");
	assert_string_equal(profile_string(profile, profile->unit), "nanoseconds");
	assert_string_equal(profile_string(profile, profile->type_text), "cpu");
	assert_int_equal(profile_total_weight(profile), 0);
	profile_free(NULL);
}

static void empty_entries_are_id_0(void **state)
{
	(void)state;
	AUTO(profile) profile = new_profile();
	uint32_t id = 99;
	assert_int_equal(profile_add_mapping(profile, &(struct profile_mapping){0}, &id), 0);
	assert_int_equal(id, 0);
	assert_int_equal(profile_add_function(profile, &(struct profile_function){0}, &id), 0);
	assert_int_equal(id, 0);
	assert_int_equal(profile_add_location(profile, &(struct profile_location){0}, NULL, 0, &id),
			 0);
	assert_int_equal(id, 0);
	assert_int_equal(profile_add_label_set(profile, NULL, 0, &id), 0);
	assert_int_equal(id, 0);
	assert_int_equal(profile_add_thread(profile, &(struct profile_thread){0}, &id), 0);
	assert_int_equal(id, 0);
}

static void type_names(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		int rc;
		enum profile_type type;
	} rows[] = {
		{"cpu", 0, PROFILE_CPU},   {"offcpu", 0, PROFILE_OFFCPU},
		{"wall", 0, PROFILE_WALL}, {"", -EINVAL, 0},
		{"CPU", -EINVAL, 0},       {"cpu ", -EINVAL, 0},
		{"off-cpu", -EINVAL, 0},   {"cp", -EINVAL, 0},
		{"(null)", -EINVAL, 0},    {"cpuoffcpu", -EINVAL, 0},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		enum profile_type type = 0;
		struct err err = {0};
		assert_int_equal(profile_type_parse(rows[i].text, &type, &err), rows[i].rc);
		assert_int_equal(type, rows[i].type);
		if (!rows[i].rc)
			assert_string_equal(profile_type_name(type), rows[i].text);
		else
			assert_non_null(strstr(err.text, "cpu, offcpu or wall"));
	}
	assert_null(profile_type_name(0));
	assert_null(profile_type_name(4));
	assert_null(profile_type_name((enum profile_type) - 1));
}

static void equal_entries_get_one_id(void **state)
{
	(void)state;
	AUTO(profile) profile = new_profile();
	uint32_t a = maker_location(profile, "/bin/x", 0x10, "f", NULL);
	uint32_t b = maker_location(profile, "/bin/x", 0x10, "f", NULL);
	uint32_t c = maker_location(profile, "/bin/x", 0x20, "f", NULL);
	uint32_t d = maker_location(profile, "/bin/y", 0x10, "f", NULL);
	assert_int_equal(a, b);
	assert_int_not_equal(a, c);
	assert_int_not_equal(a, d);
	assert_int_equal(profile->function_count, 2);
	uint32_t first, second, third;
	assert_int_equal(profile_add_stack(profile, 0, a, &first), 0);
	assert_int_equal(profile_add_stack(profile, first, c, &second), 0);
	assert_int_equal(profile_add_stack(profile, first, c, &third), 0);
	assert_int_equal(second, third);
	assert_true(first < second);
}

static void lines_given_first_stay_and_late_names_arrive(void **state)
{
	(void)state;
	AUTO(profile) profile = new_profile();
	uint32_t a = maker_location(profile, "/bin/x", 0x10, NULL, NULL);
	assert_int_equal(profile->locations[a].line_count, 0);
	assert_int_equal(maker_location(profile, "/bin/x", 0x10, "late", NULL), a);
	assert_int_equal(profile->locations[a].line_count, 1);
	assert_int_equal(maker_location(profile, "/bin/x", 0x10, "later", NULL), a);
	const struct profile_line *line = &profile->lines[profile->locations[a].first_line];
	assert_string_equal(profile_string(profile, profile->functions[line->function].name),
			    "late");
}

static void addresses_outside_files_are_no_identity(void **state)
{
	(void)state;
	AUTO(profile) profile = new_profile();
	uint32_t a = maker_location(profile, "[jit]", 0x10, "f", NULL);
	uint32_t b = maker_location(profile, "[jit]", 0x10, "g", NULL);
	assert_int_not_equal(a, b);
	a = maker_location(profile, NULL, 0x10, "f", NULL);
	b = maker_location(profile, NULL, 0x10, "g", NULL);
	assert_int_not_equal(a, b);
	a = maker_location(profile, "/bin/x", 0, "f", NULL);
	b = maker_location(profile, "/bin/x", 0, "f", "inlined");
	assert_int_not_equal(a, b);
	assert_int_equal(maker_location(profile, "/bin/x", 0, "f", NULL), a);
	a = maker_location(profile, "[kernel.kallsyms]", 0x10, "first_program", NULL);
	b = maker_location(profile, "[kernel.kallsyms]", 0x10, "other_program", NULL);
	assert_int_not_equal(a, b);
	assert_int_equal(maker_location(profile, "[kernel.kallsyms]", 0x10, "other_program", NULL),
			 b);
}

static void named_location(void **state)
{
	(void)state;
	AUTO(profile) profile = new_profile();
	uint32_t a, b;
	assert_int_equal(profile_add_named_location(profile, "[truncated]", &a), 0);
	assert_int_equal(profile_add_named_location(profile, "[truncated]", &b), 0);
	assert_int_equal(a, b);
	assert_int_equal(profile->locations[a].mapping, 0);
	assert_int_equal(profile->locations[a].vaddr, 0);
}

static void ids_that_are_not_there_are_refused(void **state)
{
	(void)state;
	AUTO(profile) profile = new_profile();
	uint32_t id = 77;
	struct profile_line bad_line = {.function = 1};
	struct profile_label bad_key = {.key = 9}, bad_value = {.value = 9};
	assert_int_equal(profile_add_mapping(profile, &(struct profile_mapping){.filename = 9},
					     &id),
			 -EINVAL);
	assert_int_equal(profile_add_mapping(profile, &(struct profile_mapping){.build_id = 9},
					     &id),
			 -EINVAL);
	assert_int_equal(profile_add_function(profile, &(struct profile_function){.name = 9}, &id),
			 -EINVAL);
	assert_int_equal(profile_add_function(profile, &(struct profile_function){.system_name = 9},
					      &id),
			 -EINVAL);
	assert_int_equal(profile_add_function(profile, &(struct profile_function){.filename = 9},
					      &id),
			 -EINVAL);
	assert_int_equal(profile_add_location(profile, &(struct profile_location){.mapping = 1},
					      NULL, 0, &id),
			 -EINVAL);
	assert_int_equal(profile_add_location(profile, &(struct profile_location){0}, &bad_line, 1,
					      &id),
			 -EINVAL);
	assert_int_equal(profile_add_stack(profile, 0, 0, &id), -EINVAL);
	assert_int_equal(profile_add_stack(profile, 0, 1, &id), -EINVAL);
	assert_int_equal(profile_add_stack(profile, 1, 0, &id), -EINVAL);
	assert_int_equal(profile_add_label_set(profile, &bad_key, 1, &id), -EINVAL);
	assert_int_equal(profile_add_label_set(profile, &bad_value, 1, &id), -EINVAL);
	assert_int_equal(profile_add_thread(profile, &(struct profile_thread){.name = 9}, &id),
			 -EINVAL);
	assert_int_equal(profile_add_thread(profile, &(struct profile_thread){.label_set = 1}, &id),
			 -EINVAL);
	assert_int_equal(profile_add_sample(profile, &(struct profile_sample){.stack = 1}),
			 -EINVAL);
	assert_int_equal(profile_add_sample(profile, &(struct profile_sample){.thread = 1}),
			 -EINVAL);
	assert_int_equal(id, 77);
	assert_int_equal(profile->sample_count, 0);
	assert_int_equal(profile->label_count, 0);
}

static struct profile_label label_of(struct profile *profile, const char *key, const char *value)
{
	return (struct profile_label){maker_string(profile, key), maker_string(profile, value)};
}

static void label_sets_are_sorted_and_shared(void **state)
{
	(void)state;
	AUTO(profile) profile = new_profile();
	struct profile_label forth[] = {label_of(profile, "host", "h"),
					label_of(profile, "comm", "c")};
	struct profile_label back[] = {forth[1], forth[0]};
	struct profile_label twice[] = {forth[0], forth[1], forth[0]};
	uint32_t a, b, c = 77;
	assert_int_equal(profile_add_label_set(profile, forth, 2, &a), 0);
	assert_int_equal(profile_add_label_set(profile, back, 2, &b), 0);
	assert_int_equal(profile_add_label_set(profile, twice, 3, &c), -EINVAL);
	assert_int_equal(a, b);
	assert_int_equal(c, 77);
	assert_int_equal(profile->label_count, 2);
	const struct profile_label *first = &profile->labels[profile->label_sets[a].first];
	assert_string_equal(profile_string(profile, first->key), "comm");
	assert_int_equal(profile_add_label_set(profile, forth, 1, &b), 0);
	assert_int_not_equal(a, b);
}

static void labels_of_a_thread(void **state)
{
	(void)state;
	AUTO(profile) profile = new_profile();
	uint32_t thread = maker_thread(profile, 7, 8, "worker", "postgres");
	uint32_t nobody = maker_thread(profile, 0, 0, "", "x");
	static const struct {
		const char *key;
		const char *thread_value;
		const char *nobody_value;
	} rows[] = {
		{"pid", "7", NULL},        {"tid", "8", NULL},    {"thread", "worker", NULL},
		{"comm", "postgres", "x"}, {"host", NULL, NULL},  {"", NULL, NULL},
		{"com", NULL, NULL},       {"comms", NULL, NULL},
	};
	char scratch[PROFILE_LABEL_SCRATCH_BYTES];
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *value = profile_thread_label(profile, thread, rows[i].key, scratch);
		if (rows[i].thread_value)
			assert_string_equal(value, rows[i].thread_value);
		else
			assert_null(value);
		value = profile_thread_label(profile, nobody, rows[i].key, scratch);
		if (rows[i].nobody_value)
			assert_string_equal(value, rows[i].nobody_value);
		else
			assert_null(value);
		assert_null(profile_thread_label(profile, 0, rows[i].key, scratch));
		assert_null(profile_thread_label(profile, 99, rows[i].key, scratch));
	}
}

static void totals_stop_at_the_end_of_their_type(void **state)
{
	(void)state;
	AUTO(profile) profile = new_profile();
	struct profile_sample sample = {.weight = INT64_MAX, .count = UINT64_MAX};
	assert_int_equal(profile_add_sample(profile, &sample), 0);
	assert_int_equal(profile_add_sample(profile, &sample), 0);
	assert_true(profile_total_weight(profile) == INT64_MAX);
	assert_true(profile_total_count(profile) == UINT64_MAX);
}

static void merge_joins_equal_samples(void **state)
{
	(void)state;
	AUTO(profile) a = new_profile();
	AUTO(profile) b = new_profile();
	/* Different orders of adding: ids differ, content is the same. */
	maker_sample(a, "c", 1, "main;f", 10);
	maker_sample(a, "c", 1, "main;f", 5);
	maker_sample(a, "c", 2, "main;f", 1);
	maker_sample(b, "c", 1, "main;g", 100);
	maker_sample(b, "c", 1, "main;f", 1000);
	a->start_unix_ns = 50, a->duration_ns = 10, a->period_ns = 3;
	b->start_unix_ns = 20, b->duration_ns = 10, b->period_ns = 4;
	struct err err = {0};
	assert_int_equal(profile_merge(a, b, &err), 0);
	assert_int_equal(a->sample_count, 3);
	assert_int_equal(a->samples[0].weight, 1015);
	assert_int_equal(a->samples[0].count, 3);
	assert_int_equal(a->samples[0].time_unix_ns, 0);
	assert_int_equal(a->samples[1].weight, 1);
	assert_int_equal(a->samples[2].weight, 100);
	assert_int_equal(a->start_unix_ns, 20);
	assert_int_equal(a->duration_ns, 40);
	assert_int_equal(a->period_ns, 4);
	/* What is added after a merge joins at the next one. */
	maker_sample(a, "c", 1, "main;f", 7);
	AUTO(profile) nothing = new_profile();
	assert_int_equal(profile_merge(a, nothing, &err), 0);
	assert_int_equal(a->sample_count, 3);
	assert_int_equal(a->samples[0].weight, 1022);
	assert_int_equal(a->start_unix_ns, 20);
}

static void merge_keeps_waits_apart(void **state)
{
	(void)state;
	AUTO(profile) a = new_profile();
	AUTO(profile) into = new_profile();
	maker_string(into, "ids of strings differ");
	maker_wait(into, WAIT_DISK, "", false);
	maker_waiting(a, "c", 1, "main", 0, 1);
	maker_waiting(a, "c", 1, "main", maker_wait(a, WAIT_LOCK, "", false), 2);
	maker_waiting(a, "c", 1, "main", maker_wait(a, WAIT_LOCK, "", true), 3);
	maker_waiting(a, "c", 1, "main", maker_wait(a, WAIT_LOCK, "futex 0x10", false), 4);
	maker_waiting(a, "c", 1, "main", maker_wait(a, WAIT_DISK, "", false), 5);
	assert_int_equal(profile_merge(into, a, NULL), 0);
	assert_int_equal(profile_merge(into, a, NULL), 0);
	assert_int_equal(into->wait_count, 5);
	AUTO(profile) twice = new_profile();
	for (size_t i = 0; i < 5; i++) {
		a->samples[i].weight *= 2;
		a->samples[i].count *= 2;
	}
	AUTO_MEM char *want = maker_dump(a);
	AUTO_MEM char *have = maker_dump(into);
	assert_string_equal(have, want);
}

static void waits(void **state)
{
	(void)state;
	AUTO(profile) profile = new_profile();
	uint32_t db = maker_string(profile, "tcp 10.0.0.1:40112 -> 10.0.0.7:5432");
	struct {
		struct profile_wait wait;
		int rc;
		uint32_t id;
		const char *reason, *waits_on, *idle;
	} rows[] = {
		{{WAIT_NONE, 0, false}, 0, 0, NULL, NULL, NULL},
		{{WAIT_NETWORK, db, false}, 0, 1, "network", profile_string(profile, db), NULL},
		{{WAIT_LOCK, 0, true}, 0, 2, "lock", NULL, "true"},
		{{WAIT_LOCK, 0, false}, 0, 3, "lock", NULL, NULL},
		{{WAIT_NETWORK, db, false}, 0, 1, "network", profile_string(profile, db), NULL},
		{.wait = {WAIT_REASONS, 0, false}, .rc = -EINVAL},
		{.wait = {WAIT_LOCK, 1000, false}, .rc = -EINVAL},
		{.wait = {WAIT_NONE, db, false}, .rc = -EINVAL},
		{.wait = {WAIT_NONE, 0, true}, .rc = -EINVAL},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint32_t id = 77;
		assert_int_equal(profile_add_wait(profile, &rows[i].wait, &id), rows[i].rc);
		assert_int_equal(id, rows[i].rc ? 77 : rows[i].id);
		if (rows[i].rc)
			continue;
		const char *const keys[] = {"reason", "waits_on", "idle", "comm"};
		const char *const want[] = {rows[i].reason, rows[i].waits_on, rows[i].idle, NULL};
		for (size_t key = 0; key < ARRAY_LEN(keys); key++) {
			const char *have = profile_wait_label(profile, id, keys[key]);
			assert_true(!have == !want[key] && (!have || !strcmp(have, want[key])));
			assert_int_equal(profile_is_wait_label(keys[key]), key < 3);
		}
	}
	assert_int_equal(profile->wait_count, 4);
	struct profile_sample beyond = {.wait = 4};
	assert_int_equal(profile_add_sample(profile, &beyond), -EINVAL);
	AUTO(profile) wall = NULL;
	assert_int_equal(profile_new(&wall, PROFILE_WALL), 0);
	assert_string_equal(profile_wait_label(wall, 0, "reason"), "running");
	assert_null(profile_wait_label(wall, 0, "idle"));
}

static void merge_refuses_other_units(void **state)
{
	(void)state;
	AUTO(profile) a = new_profile();
	AUTO(profile) b = new_profile();
	maker_sample(b, "c", 1, "main", 10);
	b->unit = maker_string(b, "bytes");
	struct err err = {0};
	assert_int_equal(profile_merge(a, b, &err), -EINVAL);
	assert_non_null(strstr(err.text, "bytes"));
	assert_int_equal(a->sample_count, 0);
	assert_int_equal(a->stack_count, 1);
}

static void merge_is_order_free(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 20; round++) {
		unsigned seed = maker_seed(round);
		struct profile *parts[4];
		AUTO(profile) forth = new_profile();
		AUTO(profile) back = new_profile();
		int64_t total = 0;
		for (int i = 0; i < 4; i++) {
			parts[i] = maker_random(&seed, 60);
			total += profile_total_weight(parts[i]);
		}
		for (int i = 0; i < 4; i++) {
			assert_int_equal(profile_merge(forth, parts[i], NULL), 0);
			assert_int_equal(profile_merge(back, parts[3 - i], NULL), 0);
		}
		AUTO_MEM char *forth_text = maker_dump(forth);
		AUTO_MEM char *back_text = maker_dump(back);
		assert_string_equal(forth_text, back_text);
		assert_int_equal(profile_total_weight(forth), total);
		for (int i = 0; i < 4; i++)
			profile_free(parts[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_profile_has_only_empty_entries),
		cmocka_unit_test(empty_entries_are_id_0),
		cmocka_unit_test(type_names),
		cmocka_unit_test(equal_entries_get_one_id),
		cmocka_unit_test(lines_given_first_stay_and_late_names_arrive),
		cmocka_unit_test(addresses_outside_files_are_no_identity),
		cmocka_unit_test(named_location),
		cmocka_unit_test(ids_that_are_not_there_are_refused),
		cmocka_unit_test(label_sets_are_sorted_and_shared),
		cmocka_unit_test(labels_of_a_thread),
		cmocka_unit_test(totals_stop_at_the_end_of_their_type),
		cmocka_unit_test(merge_joins_equal_samples),
		cmocka_unit_test(waits),
		cmocka_unit_test(merge_keeps_waits_apart),
		cmocka_unit_test(merge_refuses_other_units),
		cmocka_unit_test(merge_is_order_free),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
