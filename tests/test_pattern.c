#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/array.h"
#include "storage/pattern.h"

#define FOUR(x)    x x x x
#define SIXTEEN(x) FOUR(FOUR(x))
#define MANY(x)    FOUR(SIXTEEN(x)) /* 64 */

static const struct {
	const char *name;
	const char *text;
	const char *says; /* part of the message */
} refused[] = {
	{"not closed", "(a", "pattern \"(a\": missing closing parenthesis, after byte 2"},
	{"closes ours", "a)|(b", "pattern \"a)|(b\": unmatched closing parenthesis"},
	{"only closes", ")", "unmatched closing parenthesis"},
	{"nothing to repeat", "*", "quantifier does not follow"},
	{"repeats a beginning", "^*", "quantifier does not follow"},
	{"repeats a repeat", "a**", "quantifier does not follow"},
	{"three repeats", "a+++", "quantifier does not follow"},
	{"bracket not closed", "[a", "missing terminating ]"},
	{"range backwards", "[z-a]", "range out of order"},
	{"counts backwards", "a{3,2}", "numbers out of order"},
	{"count over 65535", "a{65536}", "number too big"},
	{"count over all numbers", "a{1,99999999999999999999}", "number too big"},
	{"no such class", "[[:nothing:]]", "unknown POSIX class"},
	{"no such property", "\\p{Nothing}", "unknown property"},
	{"no such escape", "\\y", "unrecognized character follows \\"},
	{"ends in a backslash", "a\\", "\\ at end of pattern"},
	{"no such option", "(?y)a", "unrecognized character after (?"},
	{"no such verb", "(*NOTHING)a", "not recognized"},
	{"no character", "\\x{110000}", "code point"},
	{"a single byte", "\\C", "\\C is disabled"},
	{"not UTF-8", "a\xff", "UTF-8 error"},
	{"surrogate", "\xed\xa0\x80", "UTF-8 error"},

	{"back reference", "(a)\\1", "references to groups are not supported"},
	{"back reference by name", "(?P<x>a)\\k<x>", "references to groups are not supported"},
	{"back reference in Python's way", "(?P<x>a)(?P=x)", "references to groups"},
	{"back reference to a name by number", "(?P<x>a)\\1", "references to groups"},
	{"depends on a group", "(?P<x>a)?(?(x)b|c)", "references to groups"},
	{"calls a group", "(a)(?1)", "references to groups are not supported"},

	{"nested repeats", "((a{100}){100}){100}", "too large"},
	{"many groups", "(a?){9999}", "too large"},
	{"many classes", "([^a]?){9999}", "too large"},
	{"nested 251 deep",
	 MANY("(") MANY("(") MANY("(") SIXTEEN("(") SIXTEEN("(") SIXTEEN("(") SIXTEEN("("),
	 "parentheses are too deeply nested"},
	/* Each took glibc's regcomp() seconds and up to 2 GB. */
	{"unmatched and nested repeats", "((){9}){9}){99}", "unmatched closing parenthesis"},
	{"anchored, unmatched", "^(((){9}){9}){99})$", "unmatched closing parenthesis"},
	{"repeats of repeats", "9******************************+***}", "quantifier"},
	{"look-behind of any length", "(?<=a*)b", "lookbehind assertion is not fixed length"},
};

static void test_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		struct pattern *pattern = (void *)8;
		struct err err = {0};
		int rc = pattern_new(&pattern, refused[i].text, &err);
		if (rc != -EINVAL || !strstr(err.text, refused[i].says))
			fail_msg("%s: %d, %s", refused[i].name, rc, err.text);
		assert_ptr_equal(pattern, (void *)8);
		assert_int_equal(err.code, -EINVAL);
		assert_int_equal(pattern_new(&pattern, refused[i].text, NULL), -EINVAL);
	}
}

static void test_length(void **state)
{
	(void)state;
	struct err err = {0};
	char text[PATTERN_MAX_BYTES + 2] = "";
	AUTO(pattern) pattern = NULL;
	memset(text, 'a', PATTERN_MAX_BYTES);
	assert_int_equal(pattern_new(&pattern, text, &err), 0);
	bool matches = false;
	assert_int_equal(pattern_matches(pattern, text, &matches, &err), 0);
	assert_true(matches);
	struct pattern *untouched = (void *)8;
	text[PATTERN_MAX_BYTES] = 'a';
	assert_int_equal(pattern_new(&untouched, text, &err), -EINVAL);
	assert_non_null(strstr(err.text, "longer than 4096 bytes"));
	assert_ptr_equal(untouched, (void *)8);
	assert_int_equal(pattern_matches(pattern, text, &matches, &err), 0);
	assert_false(matches);
}

static const struct {
	const char *text;
	const char *with;
	bool matches;
} rows[] = {
	/* at both ends */
	{"", "", true},
	{"", "a", false},
	{"post", "postgres", false},
	{"gres", "postgres", false},
	{"post|gres", "postgres", false},
	{"post|postgres", "postgres", true},
	{"postgres|post", "postgres", true},
	{"^post.*$", "postgres", true},
	{"(?:a|ab)(?:c|bcd)", "abcd", true},
	{"a$", "a\n", false}, /* "$" is the very end, as in RE2 */
	{"(?m)a$.b", "a\nb", true},
	{".*", "", true},
	{".+", "", false},
	{".*", "two\nlines", true}, /* as in Prometheus 3 */
	{"(?-s).*", "two\nlines", false},
	/* RE2's syntax, https://github.com/google/re2/wiki/Syntax */
	{"web-\\d+", "web-17", true},
	{"web-\\d+", "web-x", false},
	{"\\d", "\xd9\xa3", false}, /* ASCII digits, as there */
	{"\\w+\\s\\W\\D\\S", "ab_1 -1x", false},
	{"\\w+\\s\\W\\D\\S", "ab_1 -yx", true},
	{"(?i)POST.*", "postgres", true},
	{"POST.*", "postgres", false},
	{"(?i:P)ost", "post", true},
	{"(?P<name>a|b)c", "bc", true},
	{"(?:ab)+?", "ababab", true},
	{"(?U)a+", "aaa", true},
	{"a{2,3}", "aaaa", false},
	{"a{2,}", "aaaa", true},
	{"a{,2}", "a{,2}", true}, /* itself, as there */
	{"[[:alpha:]]{2,}", "ab", true},
	{"[^]{+]+", "postgres", true},
	{"[\\d.]+", "10.42", true},
	{"\\Qa.b\\E", "a.b", true},
	{"\\Qa.b\\E", "aXb", false},
	{"\\x41\\x{e9}", "A\xc3\xa9", true},
	{"\\bab\\b.cd\\z", "ab cd", true},
	{"a\\.b", "axb", false},
	{"\\pL\\p{Greek}\\PL",
	 "a\xce\xb1"
	 "1",
	 true},
	/* and more, which is PCRE2's */
	{"(?!test).*", "tests", false},
	{"(?!test).*", "api", true},
	{"(?>a|ab)c", "abc", false},
	{"a++", "aaa", true},
	/* characters are UTF-8 */
	{"caf.", "caf\xc3\xa9", true},
	{"caf..", "caf\xc3\xa9", false},
	{"[\xc3\xa0-\xc3\xbf]", "\xc3\xa9", true},
	{"(?i)\xc3\x89", "\xc3\xa9", true},
	{"..", "\xf0\x9f\x94\xa5!", true},
	/* and what is not counts as U+FFFD for each byte */
	{".*", "a\xff", true},
	{"a.", "a\xff", true},
	{"a\xef\xbf\xbd", "a\xff", true},
	{"a..b",
	 "a\xe2\x82"
	 "b",
	 true},
	{".{3}", "\xed\xa0\x80", true},
	{".", "\xc0\x80", false},
	{"\\w*", "a\xff", false},
	/* what glibc's regcomp() took seconds for, or all memory */
	{"(((a?)+)+){400}", "", true},
	{"(((a?)+)+){400}", "aaa", true},
	{"(a?){999}", "aaa", true},
	{"((((((((((((((((a+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+)+", "aaa", true},
	{"(((((a*)*)*)*)*)", "aab", false},
	{"a{30000}", "aaa", false},
};

static void test_matches(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO(pattern) pattern = NULL;
		struct err err = {0};
		bool matches = !rows[i].matches;
		int rc = pattern_new(&pattern, rows[i].text, &err);
		if (!rc)
			rc = pattern_matches(pattern, rows[i].with, &matches, &err);
		if (rc)
			fail_msg("%s with %s: %s", rows[i].text, rows[i].with, err.text);
		if (matches != rows[i].matches)
			fail_msg("%s with %s: not %d", rows[i].text, rows[i].with, rows[i].matches);
	}
}

/* Neither yes nor no. */
static const struct {
	const char *text;
	const char *with;
	const char *says;
} costly[] = {
	{"(a+)+[bc]", MANY("a"), "match limit exceeded"},
	{"(a|aa)*[bc]", MANY("a"), "match limit exceeded"},
	{"(.?){99}[!x]", "alpha", "match limit exceeded"},
	{"(a?){64}a{64}", MANY("a") "b", "match limit exceeded"},
	{"(.*)(.*)(.*)(.*)(.*)[!x]", MANY("a") MANY("b"), "match limit exceeded"},
	{"(*LIMIT_MATCH=99999999)(a+)+[bc]", MANY("a"), "match limit exceeded"},
	{"(*LIMIT_MATCH=3)(a+)+[bc]", "aaaa", "match limit exceeded"},
	{"(?R)", "a", "nested recursion"},
	{"(a+)+[bc]", MANY("a") "\xff", "match limit exceeded"},
};

static void test_costly(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(costly); i++) {
		for (int was = 0; was <= 1; was++) {
			AUTO(pattern) pattern = NULL;
			struct err err = {0};
			bool matches = was;
			assert_int_equal(pattern_new(&pattern, costly[i].text, &err), 0);
			int rc = pattern_matches(pattern, costly[i].with, &matches, &err);
			if (rc != -EINVAL || !strstr(err.text, costly[i].says))
				fail_msg("%s: %d, %s", costly[i].text, rc, err.text);
			assert_int_equal(matches, was);
			assert_int_equal(pattern_matches(pattern, "", &matches, NULL),
					 strcmp(costly[i].text, "(?R)") ? 0 : -EINVAL);
		}
	}
}

/* Hundreds of named groups make a place to come back to 8 KiB large: the limit of memory comes
 * first. */
static void test_heap(void **state)
{
	(void)state;
	struct err err = {0};
	bool matches = true;
	char text[PATTERN_MAX_BYTES + 1];
	size_t len = 0;
	for (int i = 0; i < 400; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "(?<a%d>)", i);
	snprintf(text + len, sizeof(text) - len, "(?:.|x)*y|z");
	AUTO(pattern) pattern = NULL;
	assert_int_equal(pattern_new(&pattern, text, &err), 0);
	AUTO_MEM char *with = calloc(1, 20001);
	assert_non_null(with);
	memset(with, 'x', 20000);
	assert_int_equal(pattern_matches(pattern, with, &matches, &err), -EINVAL);
	assert_non_null(strstr(err.text, "heap limit exceeded"));
	assert_true(matches);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refused), cmocka_unit_test(test_length),
		cmocka_unit_test(test_matches), cmocka_unit_test(test_costly),
		cmocka_unit_test(test_heap),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
