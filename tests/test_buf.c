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

static void expect(const struct buf *buf, const void *bytes, size_t len_bytes)
{
	assert_int_equal(buf_error(buf), 0);
	assert_int_equal(buf->len_bytes, len_bytes);
	assert_memory_equal(buf->data, bytes, len_bytes);
}

static void little_endian(void **state)
{
	(void)state;
	struct buf buf;
	buf_init(&buf, 64);
	buf_append_u8(&buf, 0xfe);
	buf_append_u32le(&buf, 0x01020304);
	buf_append_u64le(&buf, 0x1122334455667788);
	expect(&buf, "\xfe\x04\x03\x02\x01\x88\x77\x66\x55\x44\x33\x22\x11", 13);
	buf_fini(&buf);
}

/* DWARF 5 section 7.6, figure 22, and the edges of 64 bits. */
static const struct {
	uint64_t value;
	const char *bytes;
	size_t len_bytes;
} varints[] = {
	{0, "\x00", 1},
	{2, "\x02", 1},
	{127, "\x7f", 1},
	{128, "\x80\x01", 2},
	{129, "\x81\x01", 2},
	{12857, "\xb9\x64", 2},
	{16383, "\xff\x7f", 2},
	{16384, "\x80\x80\x01", 3},
	{UINT32_MAX, "\xff\xff\xff\xff\x0f", 5},
	{INT64_MAX, "\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 9},
	{UINT64_C(1) << 63, "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 10},
	{UINT64_MAX, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10},
};

/* https://protobuf.dev/programming-guides/encoding/#signed-ints */
static const struct {
	int64_t value;
	uint64_t varint;
} zigzags[] = {
	{0, 0},
	{-1, 1},
	{1, 2},
	{-2, 3},
	{0x7fffffff, 0xfffffffe},
	{-INT64_C(0x80000000), 0xffffffff},
	{INT64_MAX, UINT64_MAX - 1},
	{INT64_MIN, UINT64_MAX},
};

static void variable_lengths(void **state)
{
	(void)state;
	struct buf buf, other;
	buf_init(&buf, 64);
	buf_init(&other, 64);
	for (size_t i = 0; i < ARRAY_LEN(varints); i++) {
		buf_clear(&buf);
		buf_append_varint(&buf, varints[i].value);
		expect(&buf, varints[i].bytes, varints[i].len_bytes);
	}
	for (size_t i = 0; i < ARRAY_LEN(zigzags); i++) {
		buf_clear(&buf);
		buf_clear(&other);
		buf_append_zigzag(&buf, zigzags[i].value);
		buf_append_varint(&other, zigzags[i].varint);
		expect(&buf, other.data, other.len_bytes);
	}
	buf_fini(&buf);
	buf_fini(&other);
}

/* Exactly the ceiling fits; one byte more is refused, and so is all that follows. */
static void the_ceiling(void **state)
{
	(void)state;
	for (size_t max_bytes = 0; max_bytes < 300; max_bytes++) {
		struct buf buf;
		buf_init(&buf, max_bytes);
		for (size_t i = 0; i < max_bytes; i++)
			buf_append_u8(&buf, (uint8_t)i);
		assert_int_equal(buf_error(&buf), 0);
		assert_int_equal(buf.len_bytes, max_bytes);
		buf_append(&buf, "", 0);
		assert_int_equal(buf_error(&buf), 0);
		buf_append_u8(&buf, 1);
		assert_int_equal(buf_error(&buf), -ENOSPC);
		buf_append_str(&buf, "more");
		buf_printf(&buf, "%d", 1);
		assert_null(buf_extend(&buf, 0));
		assert_int_equal(buf_error(&buf), -ENOSPC);
		assert_int_equal(buf.len_bytes, max_bytes);
		for (size_t i = 0; i < max_bytes; i++)
			assert_int_equal((uint8_t)buf.data[i], i & 0xff);
		buf_clear(&buf);
		assert_int_equal(buf_error(&buf), 0);
		assert_int_equal(buf.len_bytes, 0);
		buf_fini(&buf);
		assert_int_equal(buf.max_bytes, max_bytes);
	}
}

static void too_much_at_once(void **state)
{
	(void)state;
	struct buf buf;
	buf_init(&buf, 100);
	buf_append(&buf, "abc", 3);
	assert_null(buf_extend(&buf, SIZE_MAX));
	assert_null(buf_extend(&buf, 1));
	assert_int_equal(buf_error(&buf), -ENOSPC);
	assert_int_equal(buf.len_bytes, 3);
	buf_fini(&buf);
}

/* printf has a small buffer of its own; lengths around it. */
static void formats(void **state)
{
	(void)state;
	char text[600];
	for (int len = 0; len < 599; len++) {
		memset(text, 'x', (size_t)len);
		text[len] = '\0';
		struct buf buf;
		buf_init(&buf, 1000);
		buf_printf(&buf, "<%s>", text);
		assert_int_equal(buf.len_bytes, len + 2);
		assert_memory_equal(buf.data + 1, text, (size_t)len);
		assert_int_equal(buf.data[len + 1], '>');
		buf_fini(&buf);
	}
}

static void strings(void **state)
{
	(void)state;
	struct buf buf;
	buf_init(&buf, 4);
	char *empty = buf_take_str(&buf);
	assert_string_equal(empty, "");
	free(empty);
	buf_append_str(&buf, "abc");
	char *text = buf_take_str(&buf);
	assert_string_equal(text, "abc");
	free(text);
	assert_null(buf.data);
	buf_append_str(&buf, "abcd"); /* no room for the NUL */
	assert_null(buf_take_str(&buf));
	assert_int_equal(buf_error(&buf), -ENOSPC);
	assert_null(buf.data);
	buf_clear(&buf);
	buf_append_str(&buf, "a");
	expect(&buf, "a", 1);
	buf_fini(&buf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(little_endian), cmocka_unit_test(variable_lengths),
		cmocka_unit_test(the_ceiling),   cmocka_unit_test(too_much_at_once),
		cmocka_unit_test(formats),       cmocka_unit_test(strings),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
