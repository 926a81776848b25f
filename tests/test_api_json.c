#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/reader.h"
#include "profile/api_json.h"
#include "tests/profile_maker.h"

static const struct api_question question = {
	.type = PROFILE_CPU,
	.query = "{comm=\"c\"}",
	.from_unix_ns = 1999,
	.until_unix_ns = -1, /* before 1970 rounds down, too */
};
#define ASKED "\"type\":\"cpu\",\"query\":\"{comm=\\\"c\\\"}\",\"from_us\":1,\"until_us\":-1"

static struct profile *new_profile(void)
{
	struct profile *profile = NULL;
	assert_int_equal(profile_new(&profile, PROFILE_CPU), 0);
	return profile;
}

static struct profile *small_profile(void)
{
	struct profile *profile = new_profile();
	maker_sample(profile, "c", 1, "main;f", 1999);
	maker_sample(profile, "c", 1, "main;k:f", 2000);
	maker_sample(profile, "c", 1, "main", 1);
	return profile;
}

static void expect_text(struct buf *out, const char *expected)
{
	AUTO_MEM char *got = buf_take_str(out);
	assert_string_equal(got, expected);
}

static void flame(void **state)
{
	(void)state;
	AUTO(profile) profile = small_profile();
	AUTO(calltree) tree = NULL;
	assert_int_equal(calltree_build(&tree, profile, NULL, NULL), 0);
	struct buf out;
	buf_init(&out, 1 << 20);
	struct json json = json_to(&out);
	api_json_flame(&json, &question, tree);
	expect_text(&out,
		    "{" ASKED ",\"total_us\":4,\"samples\":3,\"max_depth\":2,"
		    "\"names\":[\"all\",\"main\",\"f\"],"
		    "\"mappings\":[\"\",\"/bin/x\",\"[kernel.kallsyms]\"],"
		    "\"nodes\":{\"parent\":[0,0,1,1],\"name\":[0,1,2,2],\"mapping\":[0,1,1,2],"
		    "\"kind\":[0,1,1,2],\"self_us\":[0,0,1,2],\"total_us\":[4,4,1,2],"
		    "\"self_samples\":[0,1,1,1],\"total_samples\":[3,3,1,1]}}");
}

static void only_used_names_are_sent(void **state)
{
	(void)state;
	AUTO(profile) profile = small_profile();
	AUTO(calltree) tree = NULL;
	assert_int_equal(calltree_build(&tree, profile, &(struct calltree_options){.max_nodes = 2},
					NULL),
			 0);
	struct buf out;
	buf_init(&out, 1 << 20);
	struct json json = json_to(&out);
	api_json_flame(&json, &question, tree);
	AUTO_MEM char *got = buf_take_str(&out);
	assert_non_null(strstr(got, "\"names\":[\"all\",\"main\"],\"mappings\":[\"\",\"/bin/x\"]"));
}

static void top(void **state)
{
	(void)state;
	AUTO(profile) profile = small_profile();
	AUTO(top_table) table = NULL;
	assert_int_equal(top_table_build(&table, profile, FRAME_VIEW_FUNCTION, NULL), 0);
	struct buf out;
	buf_init(&out, 1 << 20);
	struct json json = json_to(&out);
	api_json_top(&json, &question, table, 1);
	expect_text(&out, "{" ASKED ",\"total_us\":4,\"samples\":3,\"functions\":3,\"rows\":["
			  "{\"name\":\"f\",\"mapping\":\"[kernel.kallsyms]\",\"kind\":2,"
			  "\"self_us\":2,\"total_us\":2,\"self_samples\":1,\"total_samples\":1}]}");
}

static void series(void **state)
{
	(void)state;
	AUTO(series_set) set = NULL;
	struct series_line *line = NULL;
	assert_int_equal(series_set_new(&set, 0, 15000000000, 2), 0);
	assert_int_equal(series_set_line(set, "cc1", 1, &line), 0);
	line->weight_ns[0] = 2999;
	line->weight_ns[1] = 3000;
	line->total_ns = 5999;
	set->health[1] = (struct series_health){14000000999, 1500, 20};
	struct buf out;
	buf_init(&out, 1 << 20);
	struct json json = json_to(&out);
	api_json_series(&json, &question, "comm", set);
	expect_text(&out, "{" ASKED ",\"start_us\":0,\"step_us\":15000000,\"points\":2,"
			  "\"group_by\":\"comm\",\"series\":[{\"name\":\"cc1\",\"total_us\":5,"
			  "\"weight_us\":[2,3]}],\"covered_us\":[0,14000000],\"taken\":[0,1500],"
			  "\"dropped\":[0,20]}");
}

static void ledger(void **state)
{
	(void)state;
	struct ledger l = {.taken = 9, .stored = 6, .pending = 1, .dropped = {0, 2}};
	struct buf out;
	buf_init(&out, 1 << 20);
	struct json json = json_to(&out);
	api_json_ledger(&json, &l);
	expect_text(&out, "{\"taken\":9,\"stored\":6,\"pending\":1,\"dropped\":{\"no_scratch\":0,"
			  "\"ring_full\":2,\"bad_record\":0,\"unknown_stack\":0,\"queue_full\":0,"
			  "\"no_memory\":0,\"store_failed\":0}}");
}

static double read_f64(struct reader *r)
{
	uint64_t bits = reader_u64(r);
	double value;
	memcpy(&value, &bits, sizeof(value));
	return value;
}

static void expect_f64s(struct reader *r, const double *expected, size_t count)
{
	for (size_t i = 0; i < count; i++)
		assert_true(read_f64(r) == expected[i]);
}

static void expect_u32s(struct reader *r, const uint32_t *expected, size_t count)
{
	for (size_t i = 0; i < count; i++)
		assert_int_equal(reader_u32(r), expected[i]);
}

/* Read back column by column, as docs/API.md lists them. 4 nodes, 6 names: 3 of functions and
 * 3 of mappings, of which none is shared. */
static void flame_table(void **state)
{
	(void)state;
	AUTO(profile) profile = small_profile();
	AUTO(calltree) tree = NULL;
	assert_int_equal(calltree_build(&tree, profile, NULL, NULL), 0);
	struct buf out;
	buf_init(&out, 1 << 20);
	buf_append_str(&out, "odd"); /* alignment is from the table's start */
	api_flame_table(&out, &question, tree);
	assert_int_equal(buf_error(&out), 0);
	struct reader r = reader_of(out.data + 3, out.len_bytes - 3);
	static const char names[] = "allmain/bin/xf[kernel.kallsyms]";
	assert_memory_equal(reader_bytes(&r, 8), "HEARTHF1", 8);
	expect_u32s(&r, (uint32_t[]){4, 6, sizeof(names) - 1, 2}, 4);
	expect_f64s(&r, (double[]){4000, 3}, 2);
	assert_int_equal((int64_t)reader_u64(&r), 1);
	assert_int_equal((int64_t)reader_u64(&r), -1);
	expect_f64s(&r, (double[]){0, 1, 1999, 2000}, 4);
	expect_f64s(&r, (double[]){4000, 4000, 1999, 2000}, 4);
	expect_u32s(&r, (uint32_t[]){0, 0, 1, 1}, 4); /* parent */
	expect_u32s(&r, (uint32_t[]){0, 2, 4, 4}, 4); /* name */
	expect_u32s(&r, (uint32_t[]){1, 3, 3, 5}, 4); /* mapping */
	expect_u32s(&r, (uint32_t[]){3, 3, 1, 1}, 4); /* samples */
	expect_u32s(&r, (uint32_t[]){0, 3, 3, 7, 13, 14, 31}, 7);
	reader_skip(&r, 4);
	assert_memory_equal(reader_bytes(&r, 4), ((uint8_t[]){0, 1, 1, 2}), 4);
	reader_skip(&r, 4);
	assert_memory_equal(reader_bytes(&r, sizeof(names) - 1), names, sizeof(names) - 1);
	assert_int_equal(reader_left_bytes(&r), 0);
	assert_false(r.bad);
	buf_fini(&out);
}

static void a_full_buffer_is_an_error(void **state)
{
	(void)state;
	AUTO(profile) profile = small_profile();
	AUTO(calltree) tree = NULL;
	assert_int_equal(calltree_build(&tree, profile, NULL, NULL), 0);
	for (size_t max_bytes = 0; max_bytes < 200; max_bytes += 7) {
		struct buf out;
		buf_init(&out, max_bytes);
		api_flame_table(&out, &question, tree);
		assert_int_equal(buf_error(&out), -ENOSPC);
		buf_fini(&out);
		buf_init(&out, max_bytes);
		struct json json = json_to(&out);
		api_json_flame(&json, &question, tree);
		assert_int_equal(buf_error(&out), -ENOSPC);
		buf_fini(&out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(flame),
		cmocka_unit_test(only_used_names_are_sent),
		cmocka_unit_test(top),
		cmocka_unit_test(series),
		cmocka_unit_test(ledger),
		cmocka_unit_test(flame_table),
		cmocka_unit_test(a_full_buffer_is_an_error),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
