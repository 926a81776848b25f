#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/array.h"
#include "base/auto.h"
#include "symbolizer/rust_name.h"

#define NONE UINT64_MAX

/* In comments what c++filt prints. */
static const struct {
	const char *mangled;
	uint64_t lifetimes;
} rows[] = {
	{"_RNvC1a3foo", 0},
	{"_RNvC1a3foo.llvm.17", 0},
	{"_RNvC1a3fooC1b", 0},          /* for another crate */
	{"_RINvC1a1fFG_RL0_hEuE", 1},   /* a::f::<for<'a> fn(&'a u8)> */
	{"_RINvC1a1fFG8_RL0_hEuE", 10}, /* for<'a, ..., 'j> */
	{"_RINvC1a1fFGZ_uEuE", 63},
	{"_RINvC1a1fFG10_uEuE", 64},
	{"_RINvC1a1fFGzz_uEuE", 2207},
	{"_RINvC1a1fTFG_EuFG0_EuEE", 3},
	{"_RINvC1a1fFG_UKCPuEuE", 1}, /* for<'a> unsafe extern "C" fn */
	{"_RINvC1a1fFG_K3abcEuE", 1},
	{"_RINvC1a1fDG_INtC4core2FnTRL0_hEEp6OutputuEL_E", 1}, /* dyn for<'a> core::Fn */
	{"_RNvMC1aFG_RL0_hEu3bar", 1},                         /* <for<'a> fn(&'a u8)>::bar */
	{"_RNvXs_C3fooFG_EuNtB4_5Trait3bar", 1},
	{"_RNvYFG_EuNtC3foo5Trait3bar", 1},
	{"_RNvC1a3fooINtC1b1cFG_EuE", 1},
	{"_RNvMNvYFG0_EuC1b1xl3bar", 2}, /* where nothing is printed */
	/* no binders: names, numbers and constants that look like them */
	{"_RNvC1a5FGzz_", 0},
	{"_RNvCsFGzzzz_1a3foo", 0},
	{"_RNvMs_C3fool3bar", 0}, /* <i32>::bar */
	{"_RINvC1a1fAhj3_E", 0},  /* [u8; 3] */
	{"_RINvC1a1fAhj1_FG_EuE", 1},
	{"_RINvC1a1fKin7_Kc41_KbB3_KpE", 0},
	{"_RNqCs4fqI2P2rA04_11utf8_identsu30____7hkackfecea1cbdathfdh9hlq6y", 0},
	{"_RNvNvC1a1G0B3_", 0},
	{"_RNCNvC1a1f0B3_", 0}, /* a::f::{closure#0} */
	/* too large for any number */
	{"_RINvC1a1fFGzzzzzzzzzzzzzzzzzzzz_uEuE", NONE},
	/* none at all, or cut off */
	{"", NONE},
	{"_R", NONE},
	{"_ZN1a1bE", NONE},
	{"_RNvC1a", NONE},
	{"_RNvC1a9short", NONE},
	{"_RNvC1a99999999999999999999999999999short", NONE},
	{"_RINvC1a1fFG_uE", NONE},
	{"_RINvC1a1fFG", NONE},
	{"_RINvC1a1fFG-_uEuE", NONE},
	{"_RINvC1a1fDG_E", NONE},
	{"_RINvC1a1fKz", NONE},
	{"_RINvC1a1fAhj3E", NONE},
	{"_RNvC1a3foo rest", NONE},
	{"_RNvC1a3fooC1bC1c", NONE},
	{"_RMINvNtC3std3emm7et3emm7etFFFFFFGFFFFtt_ofr6", NONE}, /* 4 billion, then cut off */
};

static void test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint64_t lifetimes = rust_name_lifetimes(rows[i].mangled);
		if (lifetimes != rows[i].lifetimes)
			fail_msg("%s: %" PRIu64, rows[i].mangled, lifetimes);
	}
}

static void test_cut_off(void **state)
{
	(void)state;
	const char *whole = "_RINvC1a1fDG_INtC4core2FnTRL0_hEEp6OutputuEL_E";
	for (size_t len = 0; len < strlen(whole); len++) {
		AUTO_MEM char *part = strndup(whole, len);
		assert_true(rust_name_lifetimes(part) == NONE);
	}
}

static void test_depth(void **state)
{
	(void)state;
	for (size_t depth = 1000; depth <= 64000; depth *= 64) {
		AUTO_MEM char *name = calloc(1, depth + 32);
		char *at = stpcpy(name, "_RINvC1a1f");
		memset(at, 'P', depth);
		stpcpy(at + depth, "uE");
		assert_true(rust_name_lifetimes(name) == (depth > 1024 ? NONE : 0));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_cut_off),
		cmocka_unit_test(test_depth),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
