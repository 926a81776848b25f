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
#include "base/buf.h"
#include "base/reader.h"

static void fixed_sizes(void **state)
{
	(void)state;
	static const char bytes[] = "\xfe\x02\x01\x04\x03\x02\x81\x88\x77\x66\x55\x44\x33\x22\x91";
	struct reader r = reader_of(bytes, 15);
	assert_int_equal(reader_u8(&r), 0xfe);
	assert_int_equal(reader_u16(&r), 0x0102);
	assert_int_equal(reader_u32(&r), 0x81020304);
	assert_true(reader_u64(&r) == UINT64_C(0x9122334455667788));
	assert_int_equal(reader_left_bytes(&r), 0);
	assert_false(r.bad);
	assert_int_equal(reader_u8(&r), 0);
	assert_true(r.bad);
}

/* Every read, with every number of bytes too few: 0, and bad for ever. */
static void too_few_bytes(void **state)
{
	(void)state;
	static const uint8_t bytes[8] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	for (size_t len_bytes = 0; len_bytes < 8; len_bytes++) {
		for (int kind = 0; kind < 8; kind++) {
			static const size_t needs[] = {1, 2, 4, 8, 9, 9, 9, 9};
			if (len_bytes >= needs[kind])
				continue;
			uint8_t *exact = malloc(len_bytes + 1);
			memcpy(exact, bytes, len_bytes);
			struct reader r = reader_of(exact, len_bytes);
			bool zero = true;
			switch (kind) {
			case 0:
				zero = !reader_u8(&r);
				break;
			case 1:
				zero = !reader_u16(&r);
				break;
			case 2:
				zero = !reader_u32(&r);
				break;
			case 3:
				zero = !reader_u64(&r);
				break;
			case 4:
				zero = !reader_varint(&r);
				break;
			case 5:
				zero = !reader_sleb(&r);
				break;
			case 6:
				zero = !reader_zigzag(&r);
				break;
			default:
				zero = !reader_cstr(&r);
			}
			assert_true(zero);
			assert_true(r.bad);
			assert_int_equal(reader_left_bytes(&r), 0);
			assert_int_equal(reader_u8(&r), 0);
			assert_null(reader_bytes(&r, 0));
			assert_null(reader_cstr(&r));
			assert_true(reader_sub(&r, 0).bad);
			free(exact);
		}
	}
}

/* DWARF 5 section 7.6, figures 22 and 23, and the edges of 64 bits. */
static const struct {
	const char *label, *bytes;
	size_t len_bytes;
	bool bad;
	uint64_t value;
} varints[] = {
	{"2", "\x02", 1, false, 2},
	{"127", "\x7f", 1, false, 127},
	{"128", "\x80\x01", 2, false, 128},
	{"129", "\x81\x01", 2, false, 129},
	{"12857", "\xb9\x64", 2, false, 12857},
	{"0, padded", "\x80\x80\x00", 3, false, 0},
	{"2^63", "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 10, false, UINT64_C(1) << 63},
	{"2^64-1", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10, false, UINT64_MAX},
	{"2^64", "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x02", 10, true, 0},
	{"65 bits", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x03", 10, true, 0},
	{"11 bytes", "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00", 11, true, 0},
	{"11 bytes of 1", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x81\x00", 11, true, 0},
	{"empty", "", 0, true, 0},
	{"cut", "\x80", 1, true, 0},
};

static const struct {
	const char *label, *bytes;
	size_t len_bytes;
	bool bad;
	int64_t value;
} slebs[] = {
	{"2", "\x02", 1, false, 2},
	{"-2", "\x7e", 1, false, -2},
	{"127", "\xff\x00", 2, false, 127},
	{"-127", "\x81\x7f", 2, false, -127},
	{"128", "\x80\x01", 2, false, 128},
	{"-128", "\x80\x7f", 2, false, -128},
	{"129", "\x81\x01", 2, false, 129},
	{"-129", "\xff\x7e", 2, false, -129},
	{"0", "\x00", 1, false, 0},
	{"-1", "\x7f", 1, false, -1},
	{"-1, padded", "\xff\xff\x7f", 3, false, -1},
	{"63", "\x3f", 1, false, 63},
	{"-64", "\x40", 1, false, -64},
	{"2^62", "\x80\x80\x80\x80\x80\x80\x80\x80\xc0\x00", 10, false, INT64_C(1) << 62},
	{"2^63-1", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00", 10, false, INT64_MAX},
	{"-2^63", "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x7f", 10, false, INT64_MIN},
	{"2^63", "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 10, true, 0},
	{"-2^63-1", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7e", 10, true, 0},
	{"11 bytes", "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00", 11, true, 0},
	{"11 bytes of -1", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 11, true, 0},
	{"empty", "", 0, true, 0},
	{"cut", "\xff", 1, true, 0},
};

static void variable_lengths(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(varints); i++) {
		struct reader r = reader_of(varints[i].bytes, varints[i].len_bytes);
		uint64_t value = reader_varint(&r);
		if (value != varints[i].value || r.bad != varints[i].bad)
			fail_msg("varint %s: %llu", varints[i].label, (unsigned long long)value);
		if (!r.bad)
			assert_int_equal(reader_left_bytes(&r), 0);
	}
	for (size_t i = 0; i < ARRAY_LEN(slebs); i++) {
		struct reader r = reader_of(slebs[i].bytes, slebs[i].len_bytes);
		int64_t value = reader_sleb(&r);
		if (value != slebs[i].value || r.bad != slebs[i].bad)
			fail_msg("sleb %s: %lld", slebs[i].label, (long long)value);
		if (!r.bad)
			assert_int_equal(reader_left_bytes(&r), 0);
	}
}

/* What buf writes, reader reads: around every power of two. */
static void what_was_written(void **state)
{
	(void)state;
	for (int shift = 0; shift < 64; shift++) {
		for (int delta = -1; delta <= 1; delta++) {
			uint64_t value = (UINT64_C(1) << shift) + (uint64_t)(int64_t)delta;
			struct buf buf;
			buf_init(&buf, 64);
			buf_append_varint(&buf, value);
			buf_append_zigzag(&buf, (int64_t)value);
			buf_append_u32le(&buf, (uint32_t)value);
			buf_append_u64le(&buf, value);
			struct reader r = reader_of(buf.data, buf.len_bytes);
			assert_true(reader_varint(&r) == value);
			assert_true(reader_zigzag(&r) == (int64_t)value);
			assert_int_equal(reader_u32(&r), (uint32_t)value);
			assert_true(reader_u64(&r) == value);
			assert_false(r.bad);
			assert_int_equal(reader_left_bytes(&r), 0);
			buf_fini(&buf);
		}
	}
}

static void texts(void **state)
{
	(void)state;
	struct reader r = reader_of("ab\0\0cd", 6);
	assert_string_equal(reader_cstr(&r), "ab");
	assert_string_equal(reader_cstr(&r), "");
	assert_int_equal(reader_left_bytes(&r), 2);
	assert_null(reader_cstr(&r)); /* no NUL within the bytes */
	assert_true(r.bad);
}

static void parts(void **state)
{
	(void)state;
	struct reader r = reader_of("abcdef", 6);
	reader_skip(&r, 1);
	struct reader sub = reader_sub(&r, 3);
	assert_memory_equal(reader_bytes(&sub, 3), "bcd", 3);
	assert_int_equal(reader_left_bytes(&sub), 0);
	reader_skip(&sub, 1);
	assert_true(sub.bad);
	assert_false(r.bad); /* its own error */
	assert_int_equal(reader_u8(&r), 'e');
	assert_true(reader_sub(&r, 2).bad);
	assert_true(r.bad);
	struct reader again = reader_of("x", 1);
	reader_skip(&again, SIZE_MAX);
	assert_true(again.bad);
}

static void nothing_at_all(void **state)
{
	(void)state;
	struct reader r = reader_of(NULL, 0);
	assert_int_equal(reader_left_bytes(&r), 0);
	assert_false(reader_sub(&r, 0).bad);
	assert_false(r.bad);
	assert_null(reader_cstr(&r));
	assert_true(r.bad);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fixed_sizes),
		cmocka_unit_test(too_few_bytes),
		cmocka_unit_test(variable_lengths),
		cmocka_unit_test(what_was_written),
		cmocka_unit_test(texts),
		cmocka_unit_test(parts),
		cmocka_unit_test(nothing_at_all),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
