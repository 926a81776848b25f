#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/array.h"
#include "base/clock.h"
#include "profile/delays.h"

struct row {
	const char *what;
	uint64_t delay_ns;
	uint64_t within[DELAY_LIMITS]; /* 1 2 5 10 20 50 100 200 1000 ms */
};

static const struct row rows[] = {
	{"no time", 0, {1, 1, 1, 1, 1, 1, 1, 1, 1}},
	{"just 1 ms", 1000000, {1, 1, 1, 1, 1, 1, 1, 1, 1}},
	{"a bit more", 1000001, {0, 1, 1, 1, 1, 1, 1, 1, 1}},
	{"20 ms", 20000000, {0, 0, 0, 0, 1, 1, 1, 1, 1}},
	{"just 1 s", 1000000000, {0, 0, 0, 0, 0, 0, 0, 0, 1}},
	{"a bit more", 1000000001, {0}},
	{"for ever", UINT64_MAX, {0}},
};

static void test_one(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct delays delays = {0};
		delays_add(&delays, rows[i].delay_ns);
		assert_int_equal(delays.count, 1);
		assert_int_equal(delays.sum_ns, rows[i].delay_ns);
		assert_int_equal(delays.max_ns, rows[i].delay_ns);
		if (memcmp(delays.within, rows[i].within, sizeof(delays.within)) != 0)
			fail_msg("%s: %" PRIu64 " ns", rows[i].what, rows[i].delay_ns);
	}
}

static void test_many(void **state)
{
	(void)state;
	struct delays delays = {0};
	delays_add(&delays, 3 * NS_PER_MS);
	delays_add(&delays, 300 * NS_PER_MS);
	delays_add(&delays, 4 * NS_PER_MS);
	assert_int_equal(delays.count, 3);
	assert_int_equal(delays.sum_ns, 307 * NS_PER_MS);
	assert_int_equal(delays.max_ns, 300 * NS_PER_MS);
	static const uint64_t within[DELAY_LIMITS] = {0, 0, 2, 2, 2, 2, 2, 2, 3};
	assert_memory_equal(delays.within, within, sizeof(within));
}

static void test_limits(void **state)
{
	(void)state;
	static const uint32_t limits_ms[DELAY_LIMITS] = {1, 2, 5, 10, 20, 50, 100, 200, 1000};
	for (unsigned int i = 0; i < DELAY_LIMITS; i++)
		assert_int_equal(delays_limit_ms(i), limits_ms[i]);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_limits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
