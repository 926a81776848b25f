#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/array.h"
#include "base/auto.h"
#include "base/utf8.h"

/* Expected lengths by RFC 3629 section 4's table. */
static void lengths(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		size_t len_bytes;
	} rows[] = {
		{"a", 1},
		{"\x7f", 1},
		{"\xc2\x80", 2},
		{"\xdf\xbf", 2},
		{"\xe0\xa0\x80", 3},
		{"\xed\x9f\xbf", 3},
		{"\xef\xbf\xbf", 3},
		{"\xf0\x90\x80\x80", 4},
		{"\xf4\x8f\xbf\xbf", 4},
		{"\x80", 0}, /* a continuation alone */
		{"\xbf", 0},
		{"\xc0\x80", 0}, /* overlong NUL */
		{"\xc1\xbf", 0}, /* overlong */
		{"\xc2", 0},     /* cut */
		{"\xc2\x41", 0},
		{"\xe0\x9f\xbf", 0}, /* overlong */
		{"\xed\xa0\x80", 0}, /* a surrogate */
		{"\xe2\x82", 0},     /* cut */
		{"\xe2\x82\xc0", 0},
		{"\xf0\x8f\xbf\xbf", 0}, /* overlong */
		{"\xf4\x90\x80\x80", 0}, /* past U+10FFFF */
		{"\xf0\x90\x80", 0},     /* cut */
		{"\xf5\x80\x80\x80", 0},
		{"\xff", 0},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(utf8_len(rows[i].text), rows[i].len_bytes);
}

static void what_is_not_valid_is_replaced(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		const char *appended;
	} rows[] = {
		{"", ""},
		{"plain", "plain"},
		{"\xff", UTF8_REPLACEMENT},
		{"a\xffz", "a" UTF8_REPLACEMENT "z"},
		{"\xe2\x82\xac\xe2\x82", "\xe2\x82\xac" UTF8_REPLACEMENT UTF8_REPLACEMENT},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf out;
		buf_init(&out, 100);
		utf8_append(&out, rows[i].text);
		AUTO_MEM char *text = buf_take_str(&out);
		assert_string_equal(text, rows[i].appended);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lengths),
		cmocka_unit_test(what_is_not_valid_is_replaced),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
