#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/array.h"
#include "symbolizer/demangle.h"
#include "tool.h"

static const struct {
	const char *mangled;
	const char *readable; /* NULL: it is not mangled */
} rows[] = {
	/* https://itanium-cxx-abi.github.io/cxx-abi/abi.html#mangling */
	{"_Z1fv", "f()"},
	{"_Z1fi", "f(int)"},
	{"_Z3foo3bar", "foo(bar)"},
	{"_ZN1N1TIiiE2mfES0_IddE", "N::T<int, int>::mf(N::T<double, double>)"},
	{"_Z1fv.cold", "f() [clone .cold]"},
	{"_Z1fv@plt", "f()@plt"},
	{"_RNvC6_123foo3bar@plt", "123foo::bar@plt"},
	{"_Z1fv.llvm.123", "f() [clone .llvm.123]"},
	{"_RNvC6_123foo3bar.llvm.123", "123foo::bar"},
	{"_ZN3foo3bar17h0123456789abcdefE.llvm.123", "foo::bar"},
	{"_Z1fv.part.0", "f() [clone .part.0]"},
	{"_Z1fv.constprop.0", "f() [clone .constprop.0]"},
	{"_Z1fv.isra.0.cold", "f() [clone .isra.0] [clone .cold]"},
	{"_ZNSt6vectorIiSaIiEE9push_backERKi",
	 "std::vector<int, std::allocator<int> >::push_back(int const&)"},
	{"_ZNSs4swapERSs", "std::string::swap(std::string&)"},
	/* https://doc.rust-lang.org/rustc/symbol-mangling/v0.html, and RFC 2603 */
	{"_RNvCskwGfYPst2Cb_3foo16example_function", "foo::example_function"},
	{"_RNvC6_123foo3bar", "123foo::bar"},
	{"_RNqCs4fqI2P2rA04_11utf8_identsu30____7hkackfecea1cbdathfdh9hlq6y",
	 "utf8_idents::საჭმელად_გემრიელი_სადილი"},
	{"_RINvNtC3std3mem8align_ofdE", "std::mem::align_of::<f64>"},
	{"_RINvC1a1fFG_RL0_hEuE", "a::f::<for<'a> fn(&'a u8)>"},
	/* legacy: the hash is dropped */
	{"_ZN4core3fmt9Formatter9write_str17h0123456789abcdefE", "core::fmt::Formatter::write_str"},
	{"_ZN71_$LT$Test$u20$$u2b$$u20$$u27$static$u20$as$u20$foo..Bar$LT$Test$GT$$GT$3bar17h"
	 "930b740aa94f1d3aE",
	 "<Test + 'static as foo::Bar<Test>>::bar"},
	{"_ZN17h0123456789abcdefE", "h0123456789abcdef"}, /* nothing but a hash: C++ */
	/* https://dlang.org/spec/abi.html#name_mangling */
	{"_D8demangle4testFiZv", "demangle.test(int)"},
	{"_D3foo3Bar3bazMFZi", "foo.Bar.baz()"},
	/* not mangled, or not by us */
	{"", NULL},
	{"_", NULL},
	{"_Z", NULL},
	{"_R", NULL},
	{"_D", NULL},
	{"_DYNAMIC", NULL},
	{"_Dl_start", NULL},
	{"main", NULL},
	{"Z1fv", NULL},
	{"__Z1fv", NULL},
	{"_ZN3foo", NULL},
	{"_Z99999999999999999999f", NULL},
	{"@plt", NULL},
	{"main@plt", NULL},
	{"_Z@plt", NULL},
	{"_RNvC", NULL},
	/* libiberty counts to some billions for nothing */
	{"_RMINvNtC3std3emm7et3emm7etFFFFFFGFFFFtt_ofr6", NULL},
	{"_RNvMNvYFGzzzzzz_EuC1b1xl3bar", NULL},
	{"_RB_", NULL},
	{"_D99999999999999999999f", NULL},
	{"_Z\xff\xfe", NULL},
};

static void names_of_the_specifications(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO_MEM char *readable = demangle(rows[i].mangled);
		if ((readable && rows[i].readable) ? strcmp(readable, rows[i].readable)
						   : readable != rows[i].readable)
			fail_msg("%s: %s, not %s", rows[i].mangled, readable, rows[i].readable);
	}
}

/* Every C++ function of libstdc++, as c++filt -i prints it. */
static void libstdcxx_as_cxxfilt(void **state)
{
	(void)state;
	AUTO_MEM char *mangled =
		tool_output("nm -D --defined-only $(ls /usr/lib/*/libstdc++.so.6 | head -1) | "
			    "sed -n 's/^.* [TtWwi] \\(_Z[^@]*\\).*/\\1/p' | sort -u");
	AUTO_MEM char *readable =
		tool_output("nm -D --defined-only $(ls /usr/lib/*/libstdc++.so.6 | head -1) | "
			    "sed -n 's/^.* [TtWwi] \\(_Z[^@]*\\).*/\\1/p' | sort -u | c++filt -i");
	char *save = NULL, *readable_save = NULL;
	char *expected = strtok_r(readable, "\n", &readable_save);
	size_t count = 0;
	for (char *name = strtok_r(mangled, "\n", &save); name;
	     name = strtok_r(NULL, "\n", &save), count++) {
		assert_non_null(expected);
		AUTO_MEM char *ours = demangle(name);
		assert_string_equal(ours ? ours : name, expected);
		expected = strtok_r(NULL, "\n", &readable_save);
	}
	print_message("%zu names\n", count);
	assert_true(count > 1000);
}

/* before, then middle count times, then after count times, then end */
static char *repeated(const char *before, const char *middle, const char *after, size_t count,
		      const char *end)
{
	struct buf text;
	buf_init(&text, 1 << 20);
	buf_append_str(&text, before);
	for (size_t i = 0; i < count; i++)
		buf_append_str(&text, middle);
	for (size_t i = 0; i < count; i++)
		buf_append_str(&text, after);
	buf_append_str(&text, end);
	return buf_take_str(&text);
}

/* Each level prints the one before twice: 2^levels names. */
static char *exponential_cxx(int levels)
{
	static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
	struct buf text;
	buf_init(&text, 1 << 20);
	buf_append_str(&text, "_Z1fSt4pairIiiE"); /* S_: std::pair; S0_: of two ints; ... */
	for (int i = 0; i < levels; i++)
		buf_printf(&text, "S_IS%c_S%c_E", digits[i], digits[i]);
	return buf_take_str(&text);
}

/* "B" and an offset after "_R" in base 62: "_" is 0, "0_" is 1, "10_" is 63. */
static void append_rust_backref(struct buf *text, size_t off)
{
	static const char digits[] =
		"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
	assert_in_range(off, 63, 62 * 62);
	buf_printf(text, "B%c%c_", digits[(off - 1) / 62], digits[(off - 1) % 62]);
}

/* f::<(x, x)>, where each x is the pair before. */
static char *exponential_rust(int levels)
{
	struct buf text;
	buf_init(&text, 1 << 20);
	buf_append_str(&text, "_RINvC1a50"
			      "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
			      "yyyyyy");
	size_t before = text.len_bytes - 2;
	buf_append_str(&text, "TyyE");
	for (int i = 0; i < levels; i++) {
		size_t at = text.len_bytes - 2;
		buf_append_str(&text, "T");
		append_rust_backref(&text, before);
		append_rust_backref(&text, before);
		buf_append_str(&text, "E");
		before = at;
	}
	buf_append_str(&text, "E");
	return buf_take_str(&text);
}

/* So that the names below are what they claim: a level more doubles them. */
static void repetition_doubles(void **state)
{
	(void)state;
	for (int levels = 4; levels < 8; levels++) {
		AUTO_MEM char *cxx_name = exponential_cxx(levels);
		AUTO_MEM char *rust_name = exponential_rust(levels);
		AUTO_MEM char *cxx = demangle(cxx_name);
		AUTO_MEM char *rust = demangle(rust_name);
		assert_non_null(cxx);
		assert_non_null(rust);
		size_t ints = 0, pairs = 0;
		for (char *pos = strstr(cxx, "int"); pos; pos = strstr(pos + 1, "int"))
			ints++;
		for (char *pos = strstr(rust, "(u64"); pos; pos = strstr(pos + 1, "(u64"))
			pairs++;
		assert_int_equal(ints, (2 << (levels + 1)) - 2);
		assert_int_equal(pairs, (2 << levels) - 1);
	}
}

static void endless_names_end(void **state)
{
	(void)state;
	char *names[] = {
		exponential_cxx(20),
		exponential_cxx(30),
		exponential_rust(20),
		exponential_rust(40),
		repeated("_D8demangle4testFS8demangle__T1STiZ1S", "Qu", "", 9, "Zv"),
		repeated("_Z1f", "P", "", 4000, "i"),
		repeated("_Z1f", "P", "", 100000, "i"),
		repeated("_Z1f", "1AI", "E", 1000, ""),
		repeated("_Z1f", "PFv", "E", 1000, ""),
		repeated("_ZN", "1A", "", 2000, "Ev"),
		repeated("_", "ZZ", "E1f", 800, ""),
		repeated("_Z1f", "DTng", "E", 800, ""),
		repeated("_Z1f", "S_", "", 2000, ""),
		repeated("_Z1fIJ", "DpT_", "", 1000, "EEvT_"),
		repeated("_RINvC1a1f", "R", "", 4000, "lE"),
		repeated("_RINvC1a1f", "TR", "E", 1300, "E"),
		repeated("_R", "B", "", 4000, "_"),
		repeated("_RINvC1a1fTB7_", "B7_", "", 1000, "EE"),
		/* as long as it may be */
		repeated("_Z1f", "P", "", 65000, "i"),
		repeated("_Z1f", "1AI", "E", 16000, ""),
		repeated("_Z1f", "PFv", "E", 16000, ""),
		repeated("_", "ZZ", "E1f", 13000, ""),
		repeated("_Z1f", "DTng", "E", 13000, ""),
		repeated("_Z1f", "S_", "", 32000, ""),
		repeated("_ZN", "1A", "", 32000, "Ev"),
		repeated("_Z1fIJ", "DpT_", "", 16000, "EEvT_"),
		repeated("_RINvC1a1f", "TR", "E", 21000, "E"),
		repeated("_R", "B", "", 65000, "_"),
		repeated("_D1aF", "P", "", 4000, "iZv"),
		repeated("_D1aF", "Qb", "", 2000, "Zv"),
		repeated("_D1a", "__T1b", "Z", 700, ""),
		repeated("_D", "1a", "", 2000, "FZv"),
	};
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		clock_t start = clock();
		AUTO_MEM char *readable = demangle(names[i]);
		double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
		if (readable)
			assert_in_range(strlen(readable), 1, 256 << 10);
		if (seconds > 0.5)
			fail_msg("%.80s: %g s", names[i], seconds);
		free(names[i]);
	}
	assert_null(demangle("_Z99999f"));
}

static void long_names_within_the_limit(void **state)
{
	(void)state;
	/* past the 1 KiB where c++filt stops by itself */
	AUTO_MEM char *name = repeated("_Z1f", "10aaaaaaaaaa", "", 300, "");
	AUTO_MEM char *readable = demangle(name);
	assert_non_null(readable);
	assert_int_equal(strlen(readable), 3 + 300 * 10 + 299 * 2);
	/* 50 KB, whole; libiberty prints lists of a thousand things at most */
	AUTO_MEM char *long_name = repeated(
		"_Z1f", "50aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "", 970, "");
	assert_in_range(strlen(long_name), 50000, 64 << 10);
	AUTO_MEM char *long_readable = demangle(long_name);
	assert_non_null(long_readable);
	assert_int_equal(strlen(long_readable), 3 + 970 * 50 + 969 * 2);
	AUTO_MEM char *too_long = repeated("_Z1f", "10aaaaaaaaaa", "", 5500, "");
	assert_null(demangle(too_long));
}

/* The stack that the header promises to suffice. */
static void *run_endless(void *state)
{
	endless_names_end(state);
	return NULL;
}

static void a_mebibyte_of_stack(void **state)
{
	pthread_attr_t attributes;
	pthread_t thread;
	assert_int_equal(pthread_attr_init(&attributes), 0);
	assert_int_equal(pthread_attr_setstacksize(&attributes, 1 << 20), 0);
	assert_int_equal(pthread_create(&thread, &attributes, run_endless, state), 0);
	pthread_join(thread, NULL);
	pthread_attr_destroy(&attributes);
}

int main(void)
{
	tool_need("nm");
	tool_need("c++filt");
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_of_the_specifications),
		cmocka_unit_test(libstdcxx_as_cxxfilt),
		cmocka_unit_test(repetition_doubles),
		cmocka_unit_test(endless_names_end),
		cmocka_unit_test(long_names_within_the_limit),
		cmocka_unit_test(a_mebibyte_of_stack),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
