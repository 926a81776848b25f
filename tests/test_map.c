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

#include "base/map.h"

static char values[1000];

static void put_get_remove(void **state)
{
	(void)state;
	struct map map;
	map_init(&map, 10);
	assert_null(map_get(&map, 0));
	assert_null(map_remove(&map, 0));
	assert_int_equal(map_put(&map, 0, &values[0]), 0);
	assert_int_equal(map_put(&map, UINT64_MAX, &values[1]), 0);
	assert_ptr_equal(map_get(&map, 0), &values[0]);
	assert_ptr_equal(map_get(&map, UINT64_MAX), &values[1]);
	assert_null(map_get(&map, 1));
	assert_int_equal(map_put(&map, 0, &values[2]), 0); /* replaces */
	assert_int_equal(map.count, 2);
	assert_ptr_equal(map_remove(&map, 0), &values[2]);
	assert_null(map_remove(&map, 0));
	assert_null(map_get(&map, 0));
	assert_int_equal(map.count, 1);
	map_fini(&map);
}

static void the_ceiling(void **state)
{
	(void)state;
	struct map map;
	map_init(&map, 100);
	for (uint64_t key = 0; key < 100; key++)
		assert_int_equal(map_put(&map, key, &values[key]), 0);
	assert_int_equal(map_put(&map, 100, &values[100]), -ENOSPC);
	assert_null(map_get(&map, 100));
	assert_int_equal(map_put(&map, 99, &values[0]), 0); /* is there: no more room needed */
	map_remove(&map, 7);
	assert_int_equal(map_put(&map, 100, &values[100]), 0);
	map_fini(&map);
	map_init(&map, 0);
	assert_int_equal(map_put(&map, 1, &values[0]), -ENOSPC);
	map_fini(&map);
}

/* Random puts and removes agree with an array, and graves do not make the table grow. */
static void agrees_with_an_array(void **state)
{
	(void)state;
	enum { KEYS = 1000, STEPS = 200000 };
	const char *given = getenv("SEED");
	unsigned seed = given ? (unsigned)strtoul(given, NULL, 10) : 20240601U;
	print_message("seed %u\n", seed);
	char *expected[KEYS] = {0};
	size_t count = 0;
	struct map map;
	map_init(&map, KEYS);
	for (int step = 0; step < STEPS; step++) {
		size_t key = (size_t)rand_r(&seed) % KEYS;
		uint64_t spread = (uint64_t)key << 40; /* keys that differ in high bits only */
		assert_ptr_equal(map_get(&map, spread), expected[key]);
		if (rand_r(&seed) % 2) {
			assert_int_equal(map_put(&map, spread, &values[step % 1000]), 0);
			count += !expected[key];
			expected[key] = &values[step % 1000];
		} else {
			assert_ptr_equal(map_remove(&map, spread), expected[key]);
			count -= expected[key] != NULL;
			expected[key] = NULL;
		}
		assert_int_equal(map.count, count);
	}
	assert_in_range(map.slot_count, KEYS / 2, 4 * KEYS);
	size_t cursor = 0, seen = 0;
	uint64_t key;
	for (char *value = map_next(&map, &cursor, &key); value;
	     value = map_next(&map, &cursor, &key), seen++)
		assert_ptr_equal(value, expected[key >> 40]);
	assert_int_equal(seen, count);
	map_fini(&map);
}

/* Removing while walking, as the header allows. */
static void walk_and_remove(void **state)
{
	(void)state;
	struct map map;
	map_init(&map, 1000);
	size_t cursor = 0;
	assert_null(map_next(&map, &cursor, NULL));
	for (uint64_t key = 0; key < 1000; key++)
		map_put(&map, key, &values[key]);
	uint64_t key;
	size_t seen = 0;
	cursor = 0;
	for (char *value = map_next(&map, &cursor, &key); value;
	     value = map_next(&map, &cursor, &key), seen++)
		assert_ptr_equal(map_remove(&map, key), value);
	assert_int_equal(seen, 1000);
	assert_int_equal(map.count, 0);
	cursor = 0;
	assert_null(map_next(&map, &cursor, NULL));
	map_fini(&map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(put_get_remove),
		cmocka_unit_test(the_ceiling),
		cmocka_unit_test(agrees_with_an_array),
		cmocka_unit_test(walk_and_remove),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
