#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/array.h"
#include "base/auto.h"
#include "cli/api_client.h"

/* Two points of 15 s, as docs/API.md shows them. */
#define HEALTH "\"covered_us\":[15000000,14000000],\"taken\":[1480,1500],\"dropped\":[0,20]"
#define GRID   "\"start_us\":30000000,\"step_us\":15000000,\"points\":2"

static void refused_quality(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		const char *json;
		const char *says;
	} rows[] = {
		{"nothing", "", "no JSON"},
		{"another thing", "[]", "stack_ends"},
		{"another server", "{\"status\":\"ok\"}", "stack_ends"},
		{"an older server", "{\"stack_ends\":{\"complete\":1}}", "rows"},
		{"no libraries",
		 "{\"stack_ends\":{},\"stack_quality\":{\"processes\":{\"rows\":[]}}}", "rows"},
		{"no name",
		 "{\"stack_ends\":{},\"stack_quality\":{\"processes\":{\"rows\":[{\"pid\":1}]}}}",
		 "comm"},
	};
	AUTO_MEM struct stack_quality *quality = calloc(1, sizeof(*quality));
	struct unwind_memory kernel;
	bool is_sampling;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct err err = {0};
		int rc = api_decode_quality(quality, &kernel, &is_sampling, rows[i].json,
					    strlen(rows[i].json), &err);
		assert_int_equal(rc, -EBADMSG);
		if (!strstr(err.text, rows[i].says))
			fail_msg("%s: %s", rows[i].name, err.text);
	}
}

static void quality(void **state)
{
	(void)state;
	static const char json[] =
		"{\"sampling\":true,\"stack_ends\":{\"complete\":9,\"no unwind info\":1,\"new\":7,"
		"\"too deep\":-3},\"stack_quality\":{\"processes\":{\"rows\":[{\"pid\":42,"
		"\"comm\":\"cc1\",\"ends\":{\"complete\":9}}],\"other\":{\"no unwind info\":1}},"
		"\"libraries\":{\"rows\":[{\"library\":\"[jit]\",\"ends\":{}}]}},"
		"\"unwind\":{\"kernel\":{\"cap_bytes\":8,\"used_bytes\":7,\"loads\":6,"
		"\"evictions\":5,\"misses\":4}}}";
	AUTO_MEM struct stack_quality *read = calloc(1, sizeof(*read));
	struct unwind_memory kernel;
	bool is_sampling = false;
	assert_int_equal(api_decode_quality(read, &kernel, &is_sampling, json, strlen(json), NULL),
			 0);
	assert_true(is_sampling);
	assert_int_equal(stack_quality_samples(read->ends), 10);
	assert_int_equal(read->ends[5], 1);
	assert_int_equal(read->processes.row_count, 1);
	assert_string_equal(read->processes.rows[0].name, "cc1");
	assert_int_equal(read->processes.rows[0].pid, 42);
	assert_int_equal(read->processes.rows[0].ends[1], 9);
	assert_int_equal(read->processes.other.ends[5], 1);
	assert_string_equal(read->libraries.rows[0].name, "[jit]");
	static const struct unwind_memory wanted = {8, 7, 6, 5, 4};
	assert_memory_equal(&kernel, &wanted, sizeof(wanted));
}

static void refused_series(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		const char *json;
		const char *says;
	} rows[] = {
		{"nothing", "", "no JSON"},
		{"cut", "{\"start_us\":1", "no JSON"},
		{"another thing", "[]", "step_us"},
		{"no step", "{\"start_us\":0,\"points\":2," HEALTH "}", "step_us"},
		{"step 0", "{\"start_us\":0,\"step_us\":0,\"points\":2," HEALTH "}", "step_us"},
		{"huge", "{\"start_us\":0,\"step_us\":1,\"points\":99999999}", "step_us"},
		{"negative", "{\"start_us\":0,\"step_us\":1,\"points\":-1}", "step_us"},
		{"no health", "{" GRID "}", "covered_us"},
		{"short line",
		 "{" GRID "," HEALTH
		 ",\"series\":[{\"name\":\"a\",\"total_us\":1,\"weight_us\":[1]}]}",
		 "weight_us"},
		{"no name",
		 "{" GRID "," HEALTH ",\"series\":[{\"total_us\":1,\"weight_us\":[1,2]}]}", "name"},
		{"text for a number",
		 "{" GRID "," HEALTH
		 ",\"series\":[{\"name\":\"a\",\"total_us\":\"1\",\"weight_us\":[1,2]}]}",
		 "name"},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct series_set *set = NULL;
		struct err err = {0};
		int rc = api_decode_series(&set, rows[i].json, strlen(rows[i].json), &err);
		assert_int_equal(rc, -EBADMSG);
		assert_null(set);
		assert_non_null(strstr(err.text, rows[i].says));
	}
}

static void series(void **state)
{
	(void)state;
	static const char json[] =
		"{" GRID "," HEALTH
		",\"series\":[{\"name\":\"cc1\",\"total_us\":5,\"weight_us\":[2,3]}]}";
	AUTO(series_set) set = NULL;
	assert_int_equal(api_decode_series(&set, json, strlen(json), NULL), 0);
	assert_int_equal(set->start_unix_ns, 30000000000);
	assert_int_equal(set->step_ns, 15000000000);
	assert_int_equal(set->line_count, 1);
	assert_string_equal(strtab_get(&set->strings, set->lines[0].name), "cc1");
	assert_int_equal(set->lines[0].total_ns, 5000);
	assert_int_equal(set->lines[0].weight_ns[1], 3000);
	assert_int_equal(set->health[1].covered_ns, 14000000000);
	assert_int_equal(set->health[1].dropped, 20);
}

static void labels(void **state)
{
	(void)state;
	static const char names[] = "{\"labels\":[\"comm\",\"host\"]}";
	static const char values[] =
		"{\"label\":\"comm\",\"values\":[{\"value\":\"cc1\",\"total_us\":7}]}";
	AUTO(series_set) set = NULL;
	assert_int_equal(api_decode_labels(&set, names, strlen(names), NULL), 0);
	assert_int_equal(set->line_count, 2);
	assert_string_equal(strtab_get(&set->strings, set->lines[1].name), "host");
	AUTO(series_set) of_label = NULL;
	assert_int_equal(api_decode_label_values(&of_label, values, strlen(values), NULL), 0);
	assert_int_equal(of_label->lines[0].total_ns, 7000);
	AUTO(series_set) none = NULL;
	assert_int_equal(api_decode_labels(&none, values, strlen(values), NULL), -EBADMSG);
	assert_int_equal(api_decode_label_values(&none, names, strlen(names), NULL), -EBADMSG);
	assert_int_equal(api_decode_labels(&none, "{\"labels\":[1]}", 14, NULL), -EBADMSG);
	assert_null(none);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refused_series), cmocka_unit_test(refused_quality),
		cmocka_unit_test(quality),        cmocka_unit_test(series),
		cmocka_unit_test(labels),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
