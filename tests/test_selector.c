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
#include "storage/selector.h"

/* Column numbers count bytes from 1, by hand. */
static const struct {
	const char *name;
	const char *text;
	const char *says; /* part of the message */
} refused[] = {
	{"no braces", "a=\"b\"", "column 1: expected \"{\""},
	{"only an opening brace", "{", "column 2: expected a label name, found the end"},
	{"not closed", "{a=\"b\"", "column 7: expected \",\" or \"}\""},
	{"no value", "{a=}", "column 4: expected a value in double quotes"},
	{"value without quotes", "{a=b}", "column 4: expected a value in double quotes"},
	{"single quotes", "{a='b'}", "column 4: expected a value"},
	{"quote not closed", "{a=\"b}", "column 7: expected a closing double quote"},
	{"no operator", "{a\"b\"}", "column 3: expected one of = != =~ !~"},
	{"half an operator", "{a!\"b\"}", "column 3: expected one of"},
	{"operator of numbers", "{a>\"1\"}", "column 3: expected one of"},
	{"double equals", "{a==\"b\"}", "column 4: expected a value"},
	{"key with a dash", "{a-b=\"c\"}", "column 3: expected one of"},
	{"key from a digit", "{1a=\"c\"}", "column 2: expected a label name"},
	{"no key", "{=\"c\"}", "column 2: expected a label name"},
	{"only a comma", "{,}", "column 2: expected a label name"},
	{"two commas", "{a=\"b\",,}", "column 8: expected a label name"},
	{"no comma", "{a=\"b\" c=\"d\"}", "column 8: expected \",\" or \"}\""},
	{"text behind", "{a=\"b\"}x", "column 8: expected nothing more"},
	{"two selectors", "{}{}", "column 3: expected nothing more"},
	{"unknown escape", "{a=\"\\x\"}", "column 5: expected one of the escapes"},
	{"backslash at the end", "{a=\"\\", "column 5: expected one of the escapes"},
	{"broken pattern", "{a=~\"(\"}", "pattern \"(\""},
	{"pattern closes our group", "{a=~\"a)|(b\"}", "pattern \"a)|(b\""},
	{"nothing to repeat", "{a=~\"*\"}", "pattern \"*\""},
	{"back reference", "{a=~\"(a)\\\\1\"}", "references to groups are not supported"},
	{"pattern closes too much", "{a=~\"((){9}){9}){99}\"}", "unmatched closing parenthesis"},
	{"pattern too large", "{a!~\"(a?){9999}\"}", "too large"},
};

static void test_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		struct selector *selector = (void *)8;
		struct err err = {0};
		int rc = selector_parse(&selector, refused[i].text, &err);
		if (rc != -EINVAL || !strstr(err.text, refused[i].says))
			fail_msg("%s: %d, %s", refused[i].name, rc, err.text);
		assert_ptr_equal(selector, (void *)8);
		assert_int_equal(err.code, -EINVAL);
		assert_int_equal(selector_parse(&selector, refused[i].text, NULL), -EINVAL);
	}
}

static void refuse_long(const char *head, char fill, size_t count, const char *tail)
{
	struct selector *selector = NULL;
	struct err err = {0};
	char *text = calloc(1, strlen(head) + count + strlen(tail) + 1);
	assert_non_null(text);
	char *at = stpcpy(text, head);
	memset(at, fill, count);
	stpcpy(at + count, tail);
	assert_int_equal(selector_parse(&selector, text, &err), -EINVAL);
	assert_null(selector);
	free(text);
}

static void test_too_long(void **state)
{
	(void)state;
	refuse_long("", ' ', 9000, "");
	refuse_long("{", 'a', 257, "=\"b\"}");
	refuse_long("{a=\"", 'b', 4098, "\"}");

	char text[33 * 6 + 4];
	size_t len = (size_t)snprintf(text, sizeof(text), "{");
	for (int i = 0; i < 33; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "a=\"b\",");
	snprintf(text + len, sizeof(text) - len, "}");
	struct selector *selector = NULL;
	struct err err = {0};
	assert_int_equal(selector_parse(&selector, text, &err), -EINVAL);
	assert_non_null(strstr(err.text, "at most 32 labels"));
}

/* The labels all the selectors below are matched with. */
static const char *value_of(void *ctx, const char *key)
{
	(void)ctx;
	static const char *const labels[][2] = {
		{"service_name", "api"}, {"comm", "postgres"}, {"quoted", "a\"b\\c\nd"},
		{"empty", ""},           {"k8s.pod", "web-0"}, {"braces", "a{2}"},
	};
	for (size_t i = 0; i < ARRAY_LEN(labels); i++)
		if (!strcmp(labels[i][0], key))
			return labels[i][1];
	return NULL;
}

static const struct {
	const char *text;
	bool matches;
} accepted[] = {
	{"", true},
	{"  ", true},
	{"{}", true},
	{" { } ", true},
	{"{service_name=\"api\"}", true},
	{"{service_name=\"ap\"}", false},
	{"{service_name=\"apis\"}", false},
	{"{service_name!=\"api\"}", false},
	{"{service_name!=\"db\"}", true},
	{"{ service_name = \"api\" , comm =~ \"post.*\" }", true},
	{"{service_name=\"api\",comm=~\"post.*\",}", true},
	{"{service_name=\"api\",comm!~\"post.*\"}", false},
	/* anchored at both ends */
	{"{comm=~\"post\"}", false},
	{"{comm=~\"gres\"}", false},
	{"{comm=~\"post|gres\"}", false},
	{"{comm=~\"mysql|postgres\"}", true},
	{"{comm=~\"postgres|mysql\"}", true},
	{"{comm!~\"post\"}", true},
	{"{comm=~\"[a-z]{8}\"}", true},
	{"{comm=~\"[a-z]{7}\"}", false},
	{"{comm=~\"\"}", false},
	{"{comm=~\".+\"}", true},
	/* a missing label counts as "" */
	{"{missing=\"\"}", true},
	{"{missing!=\"\"}", false},
	{"{missing=~\"\"}", true},
	{"{missing=~\".+\"}", false},
	{"{missing!=\"x\"}", true},
	{"{missing!~\"x\"}", true},
	{"{empty=\"\"}", true},
	{"{quoted=\"a\\\"b\\\\c\\nd\"}", true},
	{"{quoted=\"a\"}", false},
	{"{k8s.pod=\"web-0\"}", true},
	{"{k8s.pod=~\"web-[0-9]\"}", true},
	{"{comm=~\"[^]{+]+\"}", true},
	{"{comm=~\"[[:alpha:]]{2,}\"}", true},
	{"{comm=~\"p+o+s+t+g+r+e+s+\"}", true},
	{"{braces=\"a{2}\"}", true},
	{"{braces=~\"a\\\\{2\\\\}\"}", true},
	{"{comm=\"postgres\",comm!=\"postgres\"}", false},
};

static void test_accepted(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(accepted); i++) {
		AUTO(selector) selector = NULL;
		struct err err = {0};
		int rc = selector_parse(&selector, accepted[i].text, &err);
		if (rc)
			fail_msg("%s: %s", accepted[i].text, err.text);
		bool matches = !accepted[i].matches;
		assert_int_equal(selector_matches(selector, value_of, NULL, &matches, &err), 0);
		if (matches != accepted[i].matches)
			fail_msg("%s: not %d", accepted[i].text, accepted[i].matches);
		assert_int_equal(selector_is_all(selector), !strchr(accepted[i].text, '"'));
	}
	assert_true(selector_is_all(NULL));
	bool matches = false;
	assert_int_equal(selector_matches(NULL, value_of, NULL, &matches, NULL), 0);
	assert_true(matches);
}

/* Whether it matches is not known; but what else is asked may say no first. */
static const struct {
	const char *text;
	int rc;
} costly[] = {
	{"{comm=~\"(.?){99}[!x]\"}", -EINVAL},
	{"{comm!~\"(.?){99}[!x]\"}", -EINVAL},
	{"{service_name=\"api\",comm=~\"(.?){99}[!x]\"}", -EINVAL},
	{"{service_name=\"db\",comm=~\"(.?){99}[!x]\"}", 0},
	{"{missing=~\"(.?){99}[!x]\"}", 0},
};

static void test_costly(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(costly); i++) {
		AUTO(selector) selector = NULL;
		struct err err = {0};
		bool matches = true;
		assert_int_equal(selector_parse(&selector, costly[i].text, &err), 0);
		int rc = selector_matches(selector, value_of, NULL, &matches, &err);
		assert_int_equal(rc, costly[i].rc);
		assert_int_equal(matches, rc != 0);
		if (rc)
			assert_string_equal(err.text,
					    "selector: pattern \"(.?){99}[!x]\": too costly to "
					    "match with \"postgres\": match limit exceeded");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_too_long),
		cmocka_unit_test(test_accepted),
		cmocka_unit_test(test_costly),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
