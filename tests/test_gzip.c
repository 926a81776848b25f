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
#include "base/gzip.h"
#include "tool.h"

enum { ROOM_BYTES = 16 << 20 };

/* Sizes around zlib's and our own blocks. */
static const size_t sizes[] = {0,     1,      2,      100,    65535,   65536,
			       65537, 131071, 131072, 131073, 1000000, 4000000};

/* Text that packs well, or bytes that do not. */
static char *make_data(size_t len_bytes, bool packs)
{
	char *data = malloc(len_bytes + 1);
	unsigned seed = 20240601U;
	for (size_t i = 0; i < len_bytes; i++)
		data[i] = packs ? "main;work;"[i % 10] : (char)(rand_r(&seed) >> 7);
	return data;
}

static void round_trip(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sizes) * 2; i++) {
		size_t len_bytes = sizes[i / 2];
		AUTO_MEM char *data = make_data(len_bytes, i % 2);
		struct buf packed, plain;
		buf_init(&packed, ROOM_BYTES);
		buf_init(&plain, len_bytes + 3); /* "abc", and exactly what it needs */
		buf_append_str(&packed, "abc");
		buf_append_str(&plain, "abc");
		assert_int_equal(gzip_compress(&packed, data, len_bytes, 1 + i % 9, NULL), 0);
		assert_true(gzip_is(packed.data + 3, packed.len_bytes - 3));
		assert_int_equal(
			gzip_decompress(&plain, packed.data + 3, packed.len_bytes - 3, NULL), 0);
		assert_int_equal(plain.len_bytes, len_bytes + 3);
		assert_memory_equal(plain.data, "abc", 3);
		assert_memory_equal(plain.data + 3, data, len_bytes);
		buf_fini(&packed);
		buf_fini(&plain);
	}
}

/* The gzip program reads what we write, and we read what it writes, two members in a row. */
static void with_the_gzip_program(void **state)
{
	(void)state;
	char *dir = tool_dir_new(), path[512];
	snprintf(path, sizeof(path), "%s/x.gz", dir);
	AUTO_MEM char *data = make_data(300000, true);
	struct buf packed, plain;
	buf_init(&packed, ROOM_BYTES);
	buf_init(&plain, ROOM_BYTES);
	assert_int_equal(gzip_compress(&packed, data, 300000, 6, NULL), 0);
	tool_write_file(path, packed.data, packed.len_bytes);
	data[300000] = '\0';
	AUTO_MEM char *read_back = tool_output("gzip -dc '%s'", path);
	assert_string_equal(read_back, data);

	free(tool_output("(printf hello | gzip -9; printf ', world' | gzip -1) > '%s'", path));
	FILE *file = fopen(path, "r");
	char bytes[512];
	size_t len_bytes = fread(bytes, 1, sizeof(bytes), file);
	fclose(file);
	assert_int_equal(gzip_decompress(&plain, bytes, len_bytes, NULL), 0);
	assert_int_equal(plain.len_bytes, 12);
	assert_memory_equal(plain.data, "hello, world", 12);
	buf_fini(&packed);
	buf_fini(&plain);
	tool_dir_remove(dir);
}

/* What fails leaves the output as it was. */
static void expect_failure(const char *label, const void *data, size_t len_bytes, size_t room_bytes,
			   int code)
{
	struct buf out;
	struct err err = {0};
	buf_init(&out, room_bytes);
	buf_append_str(&out, "abc");
	int rc = gzip_decompress(&out, data, len_bytes, &err);
	if (rc != code)
		fail_msg("%s: %d %s", label, rc, err.text);
	assert_true(err.text[0]);
	assert_int_equal(out.len_bytes, 3);
	assert_memory_equal(out.data, "abc", 3);
	buf_fini(&out);
}

static void damaged(void **state)
{
	(void)state;
	struct buf packed;
	buf_init(&packed, ROOM_BYTES);
	AUTO_MEM char *data = make_data(200000, false);
	assert_int_equal(gzip_compress(&packed, data, 1000, 6, NULL), 0);
	for (size_t len_bytes = 0; len_bytes < packed.len_bytes; len_bytes++)
		expect_failure("cut", packed.data, len_bytes, ROOM_BYTES, -ENODATA);
	expect_failure("text", "hello, world", 12, ROOM_BYTES, -EBADMSG);
	expect_failure("zlib's own format", "\x78\x9c\x03\x00\x00\x00\x00\x01", 8, ROOM_BYTES,
		       -EBADMSG);
	packed.data[packed.len_bytes - 5] ^= 1; /* CRC32: RFC 1952 section 2.3 */
	expect_failure("checksum", packed.data, packed.len_bytes, ROOM_BYTES, -EBADMSG);
	packed.data[packed.len_bytes - 5] ^= 1;
	packed.data[packed.len_bytes - 1] ^= 1; /* ISIZE */
	expect_failure("length", packed.data, packed.len_bytes, ROOM_BYTES, -EBADMSG);
	packed.data[packed.len_bytes - 1] ^= 1;
	buf_append_str(&packed, "trailing bytes that are no member");
	expect_failure("trailing bytes", packed.data, packed.len_bytes, ROOM_BYTES, -EBADMSG);
	buf_fini(&packed);
}

static void bombs(void **state)
{
	(void)state;
	AUTO_MEM char *zeros = calloc(1, 4000000);
	struct buf packed;
	buf_init(&packed, ROOM_BYTES);
	assert_int_equal(gzip_compress(&packed, zeros, 4000000, 9, NULL), 0);
	assert_true(packed.len_bytes < 10000);
	static const size_t rooms[] = {3, 4, 100, 65536, 65539, 1000000, 4000002};
	for (size_t i = 0; i < ARRAY_LEN(rooms); i++)
		expect_failure("bomb", packed.data, packed.len_bytes, rooms[i], -ENOSPC);
	buf_fini(&packed);
}

static void output_that_does_not_fit(void **state)
{
	(void)state;
	AUTO_MEM char *data = make_data(100000, false);
	struct buf packed;
	struct err err = {0};
	buf_init(&packed, 50000);
	buf_append_str(&packed, "abc");
	assert_int_equal(gzip_compress(&packed, data, 100000, 6, &err), -ENOSPC);
	assert_int_equal(packed.len_bytes, 3);
	assert_int_equal(gzip_compress(&packed, data, 40000, 6, &err), 0); /* may be used again */
	buf_fini(&packed);
	/* a ceiling below the worst case is enough for what does not need it */
	AUTO_MEM char *zeros = calloc(1, 100000);
	buf_init(&packed, 200);
	assert_int_equal(gzip_compress(&packed, zeros, 100000, 6, &err), 0);
	buf_fini(&packed);
}

static void the_magic_number(void **state)
{
	(void)state;
	assert_true(gzip_is("\x1f\x8b\x08", 3));
	assert_true(gzip_is("\x1f\x8b", 2));
	assert_false(gzip_is("\x1f", 1));
	assert_false(gzip_is("", 0));
	assert_false(gzip_is("\x8b\x1f", 2));
}

int main(void)
{
	tool_need("gzip");
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trip),
		cmocka_unit_test(with_the_gzip_program),
		cmocka_unit_test(damaged),
		cmocka_unit_test(bombs),
		cmocka_unit_test(output_that_does_not_fit),
		cmocka_unit_test(the_magic_number),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
