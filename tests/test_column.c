#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/array.h"
#include "storage/column.h"

struct blob {
	const char *name;
	const char *data;
	size_t len_bytes;
	size_t count;
};
#define BLOB(name, text, count)                     \
	{                                           \
		name, text, sizeof(text) - 1, count \
	}

/* Written by hand from the format in column.h. */
static const struct blob damaged[] = {
	BLOB("nothing", "", 0),
	BLOB("only a coding", "\x01", 0),
	BLOB("coding 0", "\x00\x00\x00", 0),
	BLOB("coding 4", "\x04\x00\x00", 0),
	BLOB("packing 2", "\x01\x02\x00", 0),
	BLOB("dictionary: no size", "\x01\x00", 0),
	BLOB("dictionary: size not ended", "\x01\x00\x80", 1),
	BLOB("dictionary: larger than the column", "\x01\x00\x02\x05\x01", 1),
	BLOB("dictionary: empty for a value", "\x01\x00\x00", 1),
	BLOB("dictionary: value missing", "\x01\x00\x01", 1),
	BLOB("dictionary: index missing", "\x01\x00\x02\x05\x01\x00", 2),
	BLOB("dictionary: index past its end", "\x01\x00\x02\x05\x01\x00\x02", 2),
	BLOB("dictionary: bytes left", "\x01\x00\x01\x05\x00", 1),
	BLOB("plain: no width", "\x02\x00", 1),
	BLOB("plain: width 9", "\x02\x00\x09\x01\x01\x01\x01\x01\x01\x01\x01\x01", 1),
	BLOB("plain: too few bytes", "\x02\x00\x02\x01\x02\x03", 2),
	BLOB("plain: too many bytes", "\x02\x00\x01\x01\x02\x03", 2),
	BLOB("ascending: too few bytes", "\x03\x00\x01", 1),
	BLOB("zstd: no frame", "\x02\x01", 1),
	BLOB("zstd: no magic", "\x02\x01\x00\x00\x00\x00\x00\x00\x00\x00", 1),
	/* frame header: single segment, 4-byte content size of 0x7fffffff */
	BLOB("zstd: bomb", "\x02\x01\x28\xb5\x2f\xfd\xa0\xff\xff\xff\x7f\x01\x00\x00", 1),
	BLOB("zstd: truncated", "\x02\x01\x28\xb5\x2f\xfd\x20\x05\x29\x00", 1),
};

static void test_damaged(void **state)
{
	struct column_codec *codec = *state;
	for (size_t i = 0; i < ARRAY_LEN(damaged); i++) {
		uint64_t values[4];
		const struct blob *blob = &damaged[i];
		/* a copy of its exact size, so that the sanitizer sees a read past it */
		char *copy = malloc(blob->len_bytes + !blob->len_bytes);
		assert_non_null(copy);
		memcpy(copy, blob->data, blob->len_bytes);
		int rc = column_decode(codec, copy, blob->len_bytes, values, blob->count);
		free(copy);
		if (rc != -EBADMSG)
			fail_msg("%s: %d", blob->name, rc);
	}
}

static void test_known_bytes(void **state)
{
	struct column_codec *codec = *state;
	uint64_t values[3];
	const char dictionary[] = "\x01\x00\x02\x05\x03\x01\x00\x01";
	assert_int_equal(column_decode(codec, dictionary, 8, values, 3), 0);
	assert_true(values[0] == 8 && values[1] == 5 && values[2] == 8);
	const char plain[] = "\x02\x00\x02\x01\x02\x03\x10\x20\x30";
	assert_int_equal(column_decode(codec, plain, 9, values, 3), 0);
	assert_true(values[0] == 0x1001 && values[1] == 0x2002 && values[2] == 0x3003);
	const char ascending[] = "\x03\x00\x01\x07\x00\x02";
	assert_int_equal(column_decode(codec, ascending, 6, values, 3), 0);
	assert_true(values[0] == 7 && values[1] == 7 && values[2] == 9);
}

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static uint64_t make_constant(uint64_t *state, size_t i)
{
	(void)state;
	(void)i;
	return 10101010;
}

static uint64_t make_few(uint64_t *state, size_t i)
{
	(void)i;
	return next_random(state) % 7 * UINT64_C(0x123456789);
}

static uint64_t make_many(uint64_t *state, size_t i)
{
	(void)i;
	return next_random(state) % 3000;
}

static uint64_t make_any(uint64_t *state, size_t i)
{
	(void)i;
	return next_random(state);
}

static uint64_t make_extremes(uint64_t *state, size_t i)
{
	(void)state;
	return i % 2 ? UINT64_MAX : 0;
}

static uint64_t make_rising(uint64_t *state, size_t i)
{
	return i * 5000 + next_random(state) % 5000;
}

static const struct {
	const char *name;
	uint64_t (*make)(uint64_t *state, size_t i);
	enum column_order order;
} makers[] = {
	{"constant", make_constant, COLUMN_ANY},
	{"few", make_few, COLUMN_ANY},
	{"many", make_many, COLUMN_ANY},
	{"any", make_any, COLUMN_ANY},
	{"extremes", make_extremes, COLUMN_ANY},
	{"rising", make_rising, COLUMN_RISES},
	{"constant rises", make_constant, COLUMN_RISES},
};
static const size_t counts[] = {0, 1, 2, 3, 255, 256, 257, 4097, COLUMN_MAX_VALUES};

static void check_round_trip(struct column_codec *codec, size_t maker, size_t count, uint64_t seed)
{
	uint64_t random = seed;
	uint64_t *values = calloc(count + 1, sizeof(*values));
	uint64_t *back = calloc(count + 1, sizeof(*back));
	assert_true(values && back);
	for (size_t i = 0; i < count; i++)
		values[i] = makers[maker].make(&random, i);
	struct buf out;
	buf_init(&out, 2 << 20);
	assert_int_equal(column_encode(codec, values, count, makers[maker].order, &out), 0);
	int rc = column_decode(codec, out.data, out.len_bytes, back, count);
	if (rc || memcmp(values, back, count * sizeof(*values)))
		fail_msg("%s, %zu values, seed %llu: %d", makers[maker].name, count,
			 (unsigned long long)seed, rc);
	/* cut anywhere, it is not a column of as many values any more */
	for (size_t len = 0; len < out.len_bytes; len += 1 + out.len_bytes / 40) {
		char *cut = malloc(len + 1);
		memcpy(cut, out.data, len);
		assert_int_equal(column_decode(codec, cut, len, back, count), -EBADMSG);
		free(cut);
	}
	/* with another count, it decodes to something or is refused, without harm */
	column_decode(codec, out.data, out.len_bytes, back, count / 2);
	buf_fini(&out);
	free(values);
	free(back);
}

static void test_round_trip(void **state)
{
	for (size_t maker = 0; maker < ARRAY_LEN(makers); maker++)
		for (size_t i = 0; i < ARRAY_LEN(counts); i++)
			check_round_trip(*state, maker, counts[i], 42 + i);
}

static void test_flipped_bits(void **state)
{
	struct column_codec *codec = *state;
	static uint64_t values[500];
	static uint64_t back[500];
	uint64_t random = 7;
	for (size_t i = 0; i < ARRAY_LEN(values); i++)
		values[i] = make_few(&random, i);
	struct buf out;
	buf_init(&out, 1 << 20);
	assert_int_equal(column_encode(codec, values, ARRAY_LEN(values), COLUMN_ANY, &out), 0);
	assert_int_equal(out.data[1], 1); /* packed: zstd's checksum covers it */
	size_t unnoticed = 0;
	for (size_t bit = 16; bit < out.len_bytes * 8; bit++) {
		out.data[bit / 8] ^= (char)(1 << bit % 8);
		int rc = column_decode(codec, out.data, out.len_bytes, back, ARRAY_LEN(values));
		assert_true(rc == 0 || rc == -EBADMSG);
		unnoticed += rc == 0 && memcmp(values, back, sizeof(values));
		out.data[bit / 8] ^= (char)(1 << bit % 8);
	}
	assert_int_equal(unnoticed, 0);
	buf_fini(&out);
}

static void test_limits(void **state)
{
	struct column_codec *codec = *state;
	uint64_t *values = calloc(COLUMN_MAX_VALUES + 1, sizeof(*values));
	assert_non_null(values);
	struct buf out;
	buf_init(&out, 2);
	assert_int_equal(column_encode(codec, values, COLUMN_MAX_VALUES + 1, COLUMN_ANY, &out),
			 -ENOSPC);
	assert_int_equal(column_encode(codec, values, 1, COLUMN_ANY, &out), -ENOSPC);
	assert_int_equal(column_decode(codec, "\x01\x00\x01\x05", 4, values, COLUMN_MAX_VALUES + 1),
			 -EBADMSG);
	buf_fini(&out);
	free(values);
}

static int set_up(void **state)
{
	return column_codec_new((struct column_codec **)state);
}

static int tear_down(void **state)
{
	column_codec_free(*state);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_damaged),    cmocka_unit_test(test_known_bytes),
		cmocka_unit_test(test_round_trip), cmocka_unit_test(test_flipped_bits),
		cmocka_unit_test(test_limits),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
