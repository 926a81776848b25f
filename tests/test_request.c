/* What strangers send: targets, escapes, parameters, and the common question. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/array.h"
#include "base/clock.h"
#include "web/listen.h"
#include "web/question.h"
#include "web/response.h"

struct target_row {
	const char *target;
	int rc;
	const char *path;
	const char *name; /* a parameter; NULL: none to look at */
	const char *value;
};

static const struct target_row target_rows[] = {
	{"/", 0, "/", NULL, NULL},
	{"/api/v1/flame?type=cpu", 0, "/api/v1/flame", "type", "cpu"},
	{"/a?x=1&y=2", 0, "/a", "y", "2"},
	{"/a?x=1&x=2", 0, "/a", "x", "1"},
	{"/a?x=%7Bcomm%3D%22a+b%22%7D", 0, "/a", "x", "{comm=\"a b\"}"},
	{"/a?x={comm=~\"p.*\",a!=\"b\"}", 0, "/a", "x", "{comm=~\"p.*\",a!=\"b\"}"},
	{"/a%2fb+c", 0, "/a/b+c", NULL, NULL},
	{"/a?x=%2B%26%3d%25", 0, "/a", "x", "+&=%"},
	{"/a?x=%c3%a9", 0, "/a", "x", "\xc3\xa9"},
	{"/a?%78=1", 0, "/a", "x", "1"},
	{"/a?", 0, "/a", NULL, NULL},
	{"/a?&&x=1&", 0, "/a", "x", "1"},
	{"/a?x", 0, "/a", "x", NULL},
	{"/a?x=", 0, "/a", "x", NULL},
	{"/a?=1", 0, "/a", "", "1"},
	{"/a?x=1?2", 0, "/a", "x", "1?2"},
	{"/a?y=1", 0, "/a", "x", NULL},
	{"//a/../b", 0, "//a/../b", NULL, NULL},
	{"http://h:1/a?x=1", 0, "/a", "x", "1"},
	{"HTTP://h:1", 0, "/", NULL, NULL},
	{"http://h:1?x=1", 0, "/", "x", "1"},

	{"", -EINVAL, NULL, NULL, NULL},
	{"*", -EINVAL, NULL, NULL, NULL},
	{"a", -EINVAL, NULL, NULL, NULL},
	{"?x=1", -EINVAL, NULL, NULL, NULL},
	{"https://h/a", -EINVAL, NULL, NULL, NULL},
	{"/a#b", -EINVAL, NULL, NULL, NULL},
	{"/%", -EINVAL, NULL, NULL, NULL},
	{"/%4", -EINVAL, NULL, NULL, NULL},
	{"/%4g", -EINVAL, NULL, NULL, NULL},
	{"/%g4", -EINVAL, NULL, NULL, NULL},
	{"/%00", -EINVAL, NULL, NULL, NULL},
	{"/a?x=%", -EINVAL, NULL, NULL, NULL},
	{"/a?x=%1", -EINVAL, NULL, NULL, NULL},
	{"/a?x=%%41", -EINVAL, NULL, NULL, NULL},
	{"/a?x=a%00b", -EINVAL, NULL, NULL, NULL},
	{"/a?%zz=1", -EINVAL, NULL, NULL, NULL},
	{"/a?x=%+1", -EINVAL, NULL, NULL, NULL},
	{"/a?x=%-1", -EINVAL, NULL, NULL, NULL},
};

static struct request *new_request(void)
{
	struct request *request = calloc(1, sizeof(*request));
	assert_non_null(request);
	return request;
}

static void test_targets(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(target_rows); i++) {
		const struct target_row *row = &target_rows[i];
		AUTO_MEM struct request *request = new_request();
		struct err err = {0};
		int rc = request_parse(request, row->target, &err);
		if (rc != row->rc)
			fail_msg("\"%s\": %d, %s", row->target, rc, err.text);
		assert_int_equal(err.code, row->rc);
		assert_int_equal(rc != 0, *err.text != '\0');
		if (rc)
			continue;
		assert_string_equal(request->path, row->path);
		const char *value = row->name ? request_param(request, row->name) : NULL;
		if (!row->value)
			assert_null(value);
		else if (!value || strcmp(value, row->value) != 0)
			fail_msg("\"%s\": %s", row->target, value);
	}
}

static void test_absolute_form_sets_host(void **state)
{
	(void)state;
	AUTO_MEM struct request *request = new_request();
	request->host = "localhost";
	assert_int_equal(request_parse(request, "http://evil.example:4040/a", NULL), 0);
	assert_string_equal(request->host, "evil.example:4040");
	request->host = "localhost";
	assert_int_equal(request_parse(request, "/a", NULL), 0);
	assert_string_equal(request->host, "localhost");
}

/* The longest target that is allowed, made of what needs most room, and one byte more. */
static void test_length_limit(void **state)
{
	(void)state;
	static const char *const starts[] = {"/", "/?", "/?a=", "/?a&b=", "http://h", "http://"};
	for (size_t i = 0; i < ARRAY_LEN(starts); i++) {
		char target[REQUEST_MAX_TARGET_BYTES + 2];
		memset(target, 'x', sizeof(target));
		memcpy(target, starts[i], strlen(starts[i]));
		target[REQUEST_MAX_TARGET_BYTES + 1] = '\0';
		AUTO_MEM struct request *request = new_request();
		assert_int_equal(request_parse(request, target, NULL), -ENAMETOOLONG);
		target[REQUEST_MAX_TARGET_BYTES] = '\0';
		assert_int_equal(request_parse(request, target, NULL), 0);
	}
}

static void test_parameter_limit(void **state)
{
	(void)state;
	char target[REQUEST_MAX_PARAMS * 2 + 8] = "/?";
	for (int i = 0; i < REQUEST_MAX_PARAMS; i++)
		strncat(target, "a&", 3);
	AUTO_MEM struct request *request = new_request();
	assert_int_equal(request_parse(request, target, NULL), 0);
	assert_int_equal(request->param_count, REQUEST_MAX_PARAMS);
	strncat(target, "b", 2);
	assert_int_equal(request_parse(request, target, NULL), -EINVAL);
}

struct number_row {
	const char *target;
	int rc;
	uint64_t value; /* 7: left alone */
};

static const struct number_row number_rows[] = {
	{"/?n=1", 0, 1},
	{"/?n=100", 0, 100},
	{"/?n=007", 0, 7},
	{"/?n=", 0, 7},
	{"/?m=3", 0, 7},
	{"/?n=0", -EINVAL, 7},
	{"/?n=101", -EINVAL, 7},
	{"/?n=-1", -EINVAL, 7},
	{"/?n=%2B1", -EINVAL, 7},
	{"/?n=+1", -EINVAL, 7},
	{"/?n=1.5", -EINVAL, 7},
	{"/?n=1e1", -EINVAL, 7},
	{"/?n=0x10", -EINVAL, 7},
	{"/?n=ten", -EINVAL, 7},
	{"/?n=1%202", -EINVAL, 7},
	{"/?n=18446744073709551617", -EINVAL, 7},
	{"/?n=99999999999999999999999999", -EINVAL, 7},
};

static void test_numbers(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(number_rows); i++) {
		AUTO_MEM struct request *request = new_request();
		assert_int_equal(request_parse(request, number_rows[i].target, NULL), 0);
		struct err err = {0};
		uint64_t value = 7;
		assert_int_equal(request_number(request, "n", 100, &value, &err),
				 number_rows[i].rc);
		assert_int_equal(value, number_rows[i].value);
		if (number_rows[i].rc)
			assert_non_null(strstr(err.text, "from 1 to 100"));
	}
}

static void test_choices(void **state)
{
	(void)state;
	static const char *const words[] = {"json", "table"};
	AUTO_MEM struct request *request = new_request();
	size_t choice = 9;
	assert_int_equal(request_parse(request, "/", NULL), 0);
	assert_int_equal(request_choice(request, "f", words, 2, &choice, NULL), 0);
	assert_int_equal(choice, 0);
	assert_int_equal(request_parse(request, "/?f=table", NULL), 0);
	assert_int_equal(request_choice(request, "f", words, 2, &choice, NULL), 0);
	assert_int_equal(choice, 1);
	static const char *const bad[] = {"/?f=TABLE", "/?f=tabl", "/?f=tables", "/?f=json,table"};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct err err = {0};
		assert_int_equal(request_parse(request, bad[i], NULL), 0);
		assert_int_equal(request_choice(request, "f", words, 2, &choice, &err), -EINVAL);
		assert_non_null(strstr(err.text, "json, table"));
		assert_int_equal(choice, 1);
	}
}

#define NOW_S 1800000000 /* 2027-01-15T08:00:00Z */

struct question_row {
	const char *params;
	int rc;
	const char *says; /* the error does */
	enum profile_type type;
	int64_t from_s;
	int64_t until_s;
};

static const struct question_row question_rows[] = {
	{"", 0, NULL, PROFILE_CPU, NOW_S - 900, NOW_S},
	{"type=offcpu", 0, NULL, PROFILE_OFFCPU, NOW_S - 900, NOW_S},
	{"type=wall&from=now-1h", 0, NULL, PROFILE_WALL, NOW_S - 3600, NOW_S},
	{"until=now-1h", 0, NULL, PROFILE_CPU, NOW_S - 4500, NOW_S - 3600},
	{"from=1700000000&until=1700000001", 0, NULL, PROFILE_CPU, 1700000000, 1700000001},
	{"from=1700000000000&until=1700000001000", 0, NULL, PROFILE_CPU, 1700000000, 1700000001},
	{"from=2023-11-14T22:13:20Z", 0, NULL, PROFILE_CPU, 1700000000, NOW_S},
	{"from=&until=&type=&query=", 0, NULL, PROFILE_CPU, NOW_S - 900, NOW_S},
	{"color=red", 0, NULL, PROFILE_CPU, NOW_S - 900, NOW_S},

	{"type=memory", -EINVAL, "cpu, offcpu or wall", 0, 0, 0},
	{"type=CPU", -EINVAL, "CPU", 0, 0, 0},
	{"from=yesterday", -EINVAL, "from: \"yesterday\"", 0, 0, 0},
	{"until=now-", -EINVAL, "until: ", 0, 0, 0},
	{"from=now&until=now", -EINVAL, "not before", 0, 0, 0},
	{"from=now&until=now-1s", -EINVAL, "not before", 0, 0, 0},
	{"from=1800000001", -EINVAL, "not before", 0, 0, 0},
	{"query={", -EINVAL, "query: ", 0, 0, 0},
	{"query={comm=~\"(\"}", -EINVAL, "query: ", 0, 0, 0},
	{"query=comm", -EINVAL, "query: ", 0, 0, 0},
};

static void test_questions(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(question_rows); i++) {
		const struct question_row *row = &question_rows[i];
		char target[256];
		snprintf(target, sizeof(target), "/?%s", row->params);
		AUTO_MEM struct request *request = new_request();
		request->now_unix_ns = NOW_S * NS_PER_S;
		assert_int_equal(request_parse(request, target, NULL), 0);
		struct err err = {0};
		AUTO_QUESTION question = {0};
		int rc = question_init(&question, request, PROFILE_CPU, &err);
		if (rc != row->rc)
			fail_msg("\"%s\": %d, %s", row->params, rc, err.text);
		if (rc && !strstr(err.text, row->says))
			fail_msg("\"%s\": %s", row->params, err.text);
		if (rc)
			continue;
		assert_int_equal(question.type, row->type);
		assert_int_equal(question.from_unix_ns, row->from_s * NS_PER_S);
		assert_int_equal(question.until_unix_ns, row->until_s * NS_PER_S);
		assert_string_equal(question.query, "{}");
		assert_true(selector_is_all(question.selector));
	}
}

struct encoding_row {
	const char *header;
	bool gzip;
};

static const struct encoding_row encoding_rows[] = {
	{"gzip", true},
	{"GZIP", true},
	{"deflate, gzip;q=1.0, *;q=0.5", true},
	{"br,gzip", true},
	{"*", true},
	{"gzip;q=0.001", true},
	{"gzip ; q=0.5", true},
	{NULL, false},
	{"", false},
	{"identity", false},
	{"gzip;q=0", false},
	{"gzip;q=0.0, *", false},
	{"*;q=0", false},
	{"br", false},
	{"xgzip", false},
	{"gzipx", false},
	{"deflate;gzip", false},
	{", ;,q=", false},
};

static void test_encodings(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(encoding_rows); i++)
		if (accepts_gzip(encoding_rows[i].header) != encoding_rows[i].gzip)
			fail_msg("Accept-Encoding: %s", encoding_rows[i].header);
}

struct listen_row {
	const char *text;
	bool insecure;
	int rc;
	const char *says; /* the error, or the URL's beginning */
};

static const struct listen_row listen_rows[] = {
	{"127.0.0.1:0", false, 0, "http://127.0.0.1:"},
	{"localhost:0", false, 0, "http://127.0.0.1:"},
	{"127.1.2.3:0", false, 0, "http://127.1.2.3:"},
	{"0.0.0.0:0", true, 0, "http://0.0.0.0:"},
	{":0", true, 0, "http://0.0.0.0:"},

	{"0.0.0.0:0", false, -EINVAL, "--insecure"},
	{":0", false, -EINVAL, "--insecure"},
	{"[::]:0", false, -EINVAL, "--insecure"},
	{"", false, -EINVAL, "HOST:PORT"},
	{"127.0.0.1", false, -EINVAL, "HOST:PORT"},
	{"4040", false, -EINVAL, "HOST:PORT"},
	{"127.0.0.1:", false, -EINVAL, "HOST:PORT"},
	{"127.0.0.1:http", false, -EINVAL, "HOST:PORT"},
	{"127.0.0.1:65536", false, -EINVAL, "HOST:PORT"},
	{"127.0.0.1:-1", false, -EINVAL, "HOST:PORT"},
	{"127.0.0.1:000080", false, -EINVAL, "HOST:PORT"},
	{"::1:4040", false, -EINVAL, "HOST:PORT"},
	{"[::1:4040", false, -EINVAL, "HOST:PORT"},
	{"[:4040", false, -EINVAL, "HOST:PORT"},
	{"http://127.0.0.1:4040", false, -EINVAL, "HOST:PORT"},
	{"256.0.0.1:0", false, -EINVAL, "256.0.0.1:0"},
	{"198.51.100.7:0", true, -EADDRNOTAVAIL, "198.51.100.7:0"}, /* RFC 5737: nobody's */
};

static void test_listen_addresses(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(listen_rows); i++) {
		const struct listen_row *row = &listen_rows[i];
		struct err err = {0};
		struct listener listener = {.fd = -1};
		int rc = listener_open(&listener, row->text, row->insecure, &err);
		if (rc != row->rc)
			fail_msg("\"%s\": %d, %s", row->text, rc, err.text);
		if (!strstr(rc ? err.text : listener.url, row->says))
			fail_msg("\"%s\": %s%s", row->text, err.text, listener.url);
		assert_int_equal(rc == 0, listener.fd >= 0);
		if (!rc)
			assert_int_equal(listener.loopback, !row->insecure);
		if (!rc)
			close(listener.fd);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_targets),
		cmocka_unit_test(test_absolute_form_sets_host),
		cmocka_unit_test(test_length_limit),
		cmocka_unit_test(test_parameter_limit),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_choices),
		cmocka_unit_test(test_questions),
		cmocka_unit_test(test_encodings),
		cmocka_unit_test(test_listen_addresses),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
