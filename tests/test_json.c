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

#include <math.h>

#include "base/array.h"
#include "base/json.h"
#include "tool.h"

enum { ROOM_BYTES = 16 << 20 };

static void expect(const struct buf *out, const char *text)
{
	assert_int_equal(buf_error(out), 0);
	assert_int_equal(out->len_bytes, strlen(text));
	assert_memory_equal(out->data, text, out->len_bytes);
}

static void nesting_and_commas(void **state)
{
	(void)state;
	struct buf out;
	buf_init(&out, 1000);
	struct json json = json_to(&out);
	json_open_object(&json);
	json_key_str(&json, "a", "b");
	json_key(&json, "list");
	json_open_array(&json);
	json_i64(&json, -1);
	json_open_array(&json);
	json_close_array(&json);
	json_open_object(&json);
	json_close_object(&json);
	json_bool(&json, true);
	json_close_array(&json);
	json_key_bool(&json, "no", false);
	json_key(&json, "inner");
	json_open_object(&json);
	json_key_i64(&json, "x", 1);
	json_key_u64(&json, "y", 2);
	json_close_object(&json);
	json_key_double(&json, "d", 0.5);
	json_close_object(&json);
	expect(&out, "{\"a\":\"b\",\"list\":[-1,[],{},true],\"no\":false,"
		     "\"inner\":{\"x\":1,\"y\":2},\"d\":0.5}");
	buf_fini(&out);
}

static void numbers(void **state)
{
	(void)state;
	struct buf out;
	buf_init(&out, 1000);
	struct json json = json_to(&out);
	json_open_array(&json);
	json_i64(&json, INT64_MIN);
	json_i64(&json, INT64_MAX);
	json_u64(&json, UINT64_MAX);
	json_double(&json, 0);
	json_double(&json, 1e300);
	json_double(&json, -0.125);
	json_double(&json, 1234567890);
	json_double(&json, (double)NAN);
	json_double(&json, (double)INFINITY);
	json_double(&json, -(double)INFINITY);
	json_close_array(&json);
	expect(&out, "[-9223372036854775808,9223372036854775807,18446744073709551615,"
		     "0,1e+300,-0.125,1234567890,null,null,null]");
	buf_fini(&out);
}

static const struct {
	const char *text, *json;
} strings[] = {
	{"", "\"\""},
	{"plain", "\"plain\""},
	{"\"\\/", "\"\\\"\\\\/\""},
	{"\n\t\r\b\f\x01\x1f", "\"\\n\\t\\u000d\\u0008\\u000c\\u0001\\u001f\""},
	{"\xc3\xa9\xe2\x82\xac\xf0\x9f\x94\xa5", "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x94\xa5\""},
	{"a\xff", "\"a\xef\xbf\xbd\""},
	{"\xc3", "\"\xef\xbf\xbd\""},
	{"\xe2\x82", "\"\xef\xbf\xbd\xef\xbf\xbd\""},
	{"\xc0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\""},                 /* overlong NUL */
	{"\xe0\x9f\xbf", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""}, /* overlong */
	{"\xed\xa0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""}, /* surrogate */
	{"\xed\x9f\xbf", "\"\xed\x9f\xbf\""},                         /* the one before */
	{"\xf4\x8f\xbf\xbf", "\"\xf4\x8f\xbf\xbf\""},                 /* U+10FFFF */
	{"\xf4\x90\x80\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
	{"\xf0\x8f\xbf\xbf", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
	{"\x80\xbf", "\"\xef\xbf\xbd\xef\xbf\xbd\""},
};

static void escapes(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(strings); i++) {
		struct buf out;
		buf_init(&out, 1000);
		struct json json = json_to(&out);
		json_str(&json, strings[i].text);
		expect(&out, strings[i].json);
		buf_fini(&out);
	}
}

static const char checker[] =
	"import codecs, json, sys\n"
	"codecs.register_error('each', lambda e: ('\\ufffd', e.start + 1))\n"
	"doc = open(sys.argv[1], 'rb').read().decode('utf-8')\n"
	"want = [bytes.fromhex(line).decode('utf-8', 'each') for line in open(sys.argv[2])]\n"
	"got = json.loads(doc)\n"
	"bad = [(w, g) for w, g in zip(want, got) if w != g]\n"
	"print(len(got), len(want), bad[:3])\n";

/* Random bytes, many of them parts of UTF-8, as Python reads the JSON. */
static void python_reads_any_bytes(void **state)
{
	(void)state;
	enum { COUNT = 20000 };
	static const uint8_t pieces[] = {'"',  '\\', '\n', 0x01, 0x7f, 'a',  0x80,
					 0xbf, 0xc1, 0xc2, 0xdf, 0xe0, 0xa0, 0xed,
					 0x9f, 0xef, 0xf0, 0x90, 0xf4, 0x8f};
	const char *given = getenv("SEED");
	unsigned seed = given ? (unsigned)strtoul(given, NULL, 10) : 20240601U;
	print_message("seed %u\n", seed);
	struct buf out, hex;
	buf_init(&out, ROOM_BYTES);
	buf_init(&hex, ROOM_BYTES);
	struct json json = json_to(&out);
	json_open_array(&json);
	for (int i = 0; i < COUNT; i++) {
		char text[16] = {0};
		int len = rand_r(&seed) % 12;
		for (int j = 0; j < len; j++) {
			int roll = rand_r(&seed);
			text[j] = (char)(roll % 4 ? pieces[roll / 4 % (int)ARRAY_LEN(pieces)]
						  : 1 + roll / 4 % 255);
			buf_printf(&hex, "%02x", (unsigned char)text[j]);
		}
		buf_append_u8(&hex, '\n');
		json_str(&json, text);
	}
	json_close_array(&json);
	assert_int_equal(buf_error(&out), 0);
	assert_int_equal(buf_error(&hex), 0);
	char *dir = tool_dir_new(), path[512];
	snprintf(path, sizeof(path), "%s/json", dir);
	tool_write_file(path, out.data, out.len_bytes);
	snprintf(path, sizeof(path), "%s/hex", dir);
	tool_write_file(path, hex.data, hex.len_bytes);
	snprintf(path, sizeof(path), "%s/check.py", dir);
	tool_write_file(path, checker, strlen(checker));
	AUTO_MEM char *answer = tool_output("python3 '%s' '%s/json' '%s/hex'", path, dir, dir);
	assert_string_equal(answer, "20000 20000 []\n");
	tool_dir_remove(dir);
	buf_fini(&out);
	buf_fini(&hex);
}

static void the_ceiling_is_sticky(void **state)
{
	(void)state;
	struct buf out;
	buf_init(&out, 10);
	struct json json = json_to(&out);
	json_open_object(&json);
	json_key_str(&json, "key", "a long value");
	json_key_i64(&json, "k", 1);
	json_close_object(&json);
	assert_int_equal(buf_error(&out), -ENOSPC);
	assert_true(out.len_bytes <= 10);
	buf_fini(&out);
}

int main(void)
{
	tool_need("python3");
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nesting_and_commas),
		cmocka_unit_test(numbers),
		cmocka_unit_test(escapes),
		cmocka_unit_test(python_reads_any_bytes),
		cmocka_unit_test(the_ceiling_is_sticky),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
