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

#include "base/array.h"

static void grows_to_its_ceiling(void **state)
{
	(void)state;
	for (size_t max_count = 0; max_count < 100; max_count++) {
		uint32_t *items = NULL;
		size_t cap = 0, count = 0;
		for (; count < max_count; count++) {
			assert_int_equal(ARRAY_RESERVE(items, cap, count, max_count), 0);
			assert_in_range(cap, count + 1, max_count);
			items[count] = (uint32_t)count;
		}
		const uint32_t *before = items;
		assert_int_equal(ARRAY_RESERVE(items, cap, count, max_count), -ENOSPC);
		assert_ptr_equal(items, before);
		assert_int_equal(cap, max_count);
		for (size_t i = 0; i < count; i++)
			assert_int_equal(items[i], i);
		free(items);
	}
}

static void more_than_memory(void **state)
{
	(void)state;
	char *items = NULL;
	size_t cap = 0;
	assert_int_equal(array_reserve((void **)&items, &cap, 0, SIZE_MAX / 2, SIZE_MAX), -ENOMEM);
	assert_null(items);
	assert_int_equal(cap, 0);
}

static void room_that_is_there(void **state)
{
	(void)state;
	int room[4];
	int *items = room;
	size_t cap = 4;
	assert_int_equal(ARRAY_RESERVE(items, cap, 3, 4), 0);
	assert_ptr_equal(items, room);
	assert_int_equal(ARRAY_LEN(room), 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(grows_to_its_ceiling),
		cmocka_unit_test(more_than_memory),
		cmocka_unit_test(room_that_is_there),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
