/* The cache gives what demangle() gives, before and after it was emptied. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/array.h"
#include "symbolizer/demangle_cache.h"

static void test_names(void **state)
{
	(void)state;
	static const struct {
		const char *name, *readable;
	} rows[] = {
		{"_ZN3foo3barEv", "foo::bar()"},
		{"_RNvC6_123foo3bar", "123foo::bar"},
		{"main", "main"},
		{"", ""},
		{"_Z", "_Z"},
		{"_ZN3foo3barEv", "foo::bar()"},
	};
	AUTO(demangle_cache) cache = NULL;
	assert_int_equal(demangle_cache_new(&cache, 1 << 20, NULL), 0);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_string_equal(demangle_cached(cache, rows[i].name), rows[i].readable);
}

static void test_sweep(void **state)
{
	(void)state;
	AUTO(demangle_cache) cache = NULL;
	assert_int_equal(demangle_cache_new(&cache, 1000, NULL), 0);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 200; i++) {
			char name[32], readable[32];
			snprintf(name, sizeof(name), "_ZN1a4f%03dEv", i);
			snprintf(readable, sizeof(readable), "a::f%03d()", i);
			assert_string_equal(demangle_cached(cache, name), readable);
		}
		demangle_cache_sweep(cache);
	}
	const char *kept = demangle_cached(cache, "_ZN1a1bEv");
	demangle_cache_sweep(cache); /* below the limit: nothing goes */
	assert_ptr_equal(demangle_cached(cache, "_ZN1a1bEv"), kept);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_names),
					   cmocka_unit_test(test_sweep)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
