#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/array.h"
#include "cli/api_client.h"

/* Two points of 15 s, as docs/API.md shows them. */
#define HEALTH "\"covered_us\":[15000000,14000000],\"taken\":[1480,1500],\"dropped\":[0,20]"
#define GRID   "\"start_us\":30000000,\"step_us\":15000000,\"points\":2"

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
		cmocka_unit_test(refused_series),
		cmocka_unit_test(series),
		cmocka_unit_test(labels),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
