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

#include "base/hash.h"
#include "base/index.h"

enum { COUNT = 20000 };

static bool same_value(const void *ctx, uint32_t position, const void *key)
{
	const uint64_t *values = ctx;
	return values[position] == *(const uint64_t *)key;
}

static uint64_t good_hash(uint64_t value)
{
	return hash_u64(value);
}

static uint64_t worst_hash(uint64_t value)
{
	(void)value;
	return 42;
}

static uint64_t poor_hash(uint64_t value)
{
	return value % 64 << 32; /* only the high half differs */
}

/* All that was added is found, and nothing else, whatever the hash is worth. */
static void finds_what_was_added(void **state)
{
	(void)state;
	static const struct {
		uint64_t (*hash)(uint64_t value);
		uint32_t count;
	} rows[] = {{good_hash, COUNT}, {poor_hash, 2000}, {worst_hash, 1000}};
	for (size_t row = 0; row < sizeof(rows) / sizeof(rows[0]); row++) {
		uint64_t *values = calloc(COUNT, sizeof(*values));
		struct index index;
		index_init(&index, COUNT);
		for (uint32_t i = 0; i < rows[row].count; i++) {
			uint64_t value = (uint64_t)i * 7919;
			uint64_t hash = rows[row].hash(value);
			assert_int_equal(index_find(&index, hash, same_value, values, &value),
					 INDEX_NONE);
			values[i] = value;
			assert_int_equal(index_add(&index, hash, i), 0);
		}
		for (uint32_t i = 0; i < rows[row].count; i++) {
			uint64_t value = (uint64_t)i * 7919, other = value + 1;
			assert_int_equal(index_find(&index, rows[row].hash(value), same_value,
						    values, &value),
					 i);
			assert_int_equal(index_find(&index, rows[row].hash(other), same_value,
						    values, &other),
					 INDEX_NONE);
		}
		index_fini(&index);
		free(values);
	}
}

static void the_ceiling(void **state)
{
	(void)state;
	uint64_t values[40];
	struct index index;
	index_init(&index, 40);
	for (uint32_t i = 0; i < 40; i++) {
		values[i] = i;
		assert_int_equal(index_add(&index, hash_u64(i), i), 0);
	}
	assert_int_equal(index_add(&index, hash_u64(40), 40), -ENOSPC);
	assert_int_equal(index.count, 40);
	uint64_t key = 39;
	assert_int_equal(index_find(&index, hash_u64(39), same_value, values, &key), 39);
	index_fini(&index);
	index_init(&index, 0);
	assert_int_equal(index_add(&index, 1, 0), -ENOSPC);
	assert_int_equal(index_find(&index, 1, same_value, values, &key), INDEX_NONE);
	index_fini(&index);
}

/* Equal bytes hash alike, and every byte counts, at every length. */
static void hashes_of_bytes(void **state)
{
	(void)state;
	for (size_t len_bytes = 0; len_bytes < 40; len_bytes++) {
		uint8_t *bytes =
			calloc(1, len_bytes + 1); /* exact, so that over-reads are caught */
		uint64_t hash = hash_bytes(bytes, len_bytes);
		uint8_t other[41] = {0};
		assert_true(hash_bytes(other + 1, len_bytes) == hash);
		assert_true(hash_bytes(other, len_bytes + 1) != hash);
		for (size_t i = 0; i < len_bytes * 8; i++) {
			other[i / 8] ^= (uint8_t)(1 << i % 8);
			assert_true(hash_bytes(other, len_bytes) != hash);
			other[i / 8] = 0;
		}
		free(bytes);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_what_was_added),
		cmocka_unit_test(the_ceiling),
		cmocka_unit_test(hashes_of_bytes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
