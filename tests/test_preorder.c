#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/array.h"
#include "base/group.h"
#include "profile/preorder.h"
#include "tests/profile_maker.h"

static void groups_keep_the_order_taken(void **state)
{
	(void)state;
	static const uint32_t keys[] = {2, 0, 2, 3, 0};
	uint32_t starts[5], grouped[5];
	group_by_key(5, NULL, keys, 4, starts, grouped);
	assert_memory_equal(starts, ((uint32_t[]){0, 2, 2, 4, 5}), sizeof(starts));
	assert_memory_equal(grouped, ((uint32_t[]){1, 4, 0, 2, 3}), sizeof(grouped));
	group_by_key(5, (uint32_t[]){4, 3, 2, 1, 0}, keys, 4, starts, grouped);
	assert_memory_equal(grouped, ((uint32_t[]){4, 1, 2, 0, 3}), sizeof(grouped));
	group_by_key(0, NULL, NULL, 0, starts, grouped);
	assert_int_equal(starts[0], 0);
}

/*
 * 0 - 1 - 3
 *   |   ` 4
 *   ` 2 - 5
 */
static void positions_and_sizes(void **state)
{
	(void)state;
	static const uint32_t parents[] = {0, 0, 0, 1, 1, 2};
	static const uint32_t ranks[] = {0, 9, 1, 5, 4, 0};
	uint32_t positions[6], sizes[6];
	assert_int_equal(preorder(6, parents, NULL, 0, positions, sizes), 0);
	assert_memory_equal(positions, ((uint32_t[]){0, 1, 4, 2, 3, 5}), sizeof(positions));
	assert_memory_equal(sizes, ((uint32_t[]){6, 3, 2, 1, 1, 1}), sizeof(sizes));
	assert_int_equal(preorder(6, parents, ranks, 10, positions, sizes), 0);
	assert_memory_equal(positions, ((uint32_t[]){0, 3, 1, 5, 4, 2}), sizeof(positions));
	assert_memory_equal(sizes, ((uint32_t[]){6, 3, 2, 1, 1, 1}), sizeof(sizes));
	assert_int_equal(preorder(1, parents, NULL, 0, positions, sizes), 0);
	assert_int_equal(positions[0] + sizes[0], 1);
}

/* Depth first means: each stack comes after its parent, with only the parent's other
 * descendants between. */
static void stacks_are_depth_first(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 10; round++) {
		unsigned seed = maker_seed(round);
		AUTO(profile) profile = maker_random(&seed, 200);
		AUTO_MEM uint32_t *order = calloc(profile->stack_count, sizeof(*order));
		assert_int_equal(preorder_stacks(profile, order), 0);
		assert_int_equal(order[0], 0);
		for (size_t i = 1; i < profile->stack_count; i++) {
			uint32_t at = order[i - 1];
			while (at && at != profile->stacks[order[i]].parent)
				at = profile->stacks[at].parent;
			assert_int_equal(at, profile->stacks[order[i]].parent);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(groups_keep_the_order_taken),
		cmocka_unit_test(positions_and_sizes),
		cmocka_unit_test(stacks_are_depth_first),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
