#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/array.h"
#include "base/clock.h"
#include "tool.h"

#define S NS_PER_S

static const int64_t now_unix_ns = INT64_C(1800000000123456789);

/* Instants that are plain arithmetic. */
static const struct {
	const char *text;
	int64_t unix_ns;
} instants[] = {
	{"now", INT64_C(1800000000123456789)},
	{"now-0s", INT64_C(1800000000123456789)},
	{"now-15m", INT64_C(1799999100123456789)},
	{"now-1h30m", INT64_C(1799994600123456789)},
	{"now-1w", INT64_C(1799395200123456789)},
	{"now-500ms", INT64_C(1799999999623456789)},
	{"now-30", INT64_C(1799999970123456789)},
	{"0", 0},
	{"1", S},
	{"1.5", S + S / 2},
	{"1.000000001", S + 1},
	{"1.0000000019", S + 1},
	{"1700000000", INT64_C(1700000000) * S},
	{"1700000000.25", INT64_C(1700000000250000000)},
	{"1700000000123", INT64_C(1700000000123000000)},
	{"1700000000123456", INT64_C(1700000000123456000)},
	{"1700000000123456789", INT64_C(1700000000123456789)},
	{"100000000000", INT64_C(100000000000) * NS_PER_MS},
	{"9223372036854775807", INT64_MAX},
};

/* Instants whose value date -u tells. */
static const char *const dates[] = {
	"1970-01-01T00:00:00Z",      "1970-01-01T00:00:01+01:00",      "2026-11-21T23:45:00Z",
	"2026-11-21t23:45:00z",      "2026-11-21 23:45:00Z",           "2026-11-21T23:45:00.5Z",
	"2026-11-21T23:45:00.123Z",  "2026-11-21T23:45:00.123456789Z", "2026-11-21T23:45:00+05:30",
	"2026-11-21T23:45:00-08:00", "2026-11-21T23:45:00.25-00:00",   "2024-02-29T12:00:00Z",
	"2000-02-29T12:00:00Z",      "2038-01-19T03:14:08Z",           "2262-04-11T23:47:16Z",
	"2026-12-31T23:59:59+23:59",
};

static const char *const no_instants[] = {
	"",
	" ",
	"nov",
	"now-",
	"now+1h",
	"now-1x",
	"now--1s",
	"now-1h ",
	"now -1h",
	"NOW",
	"-1",
	"+1",
	" 1",
	"1 ",
	"1.",
	".5",
	"1e9",
	"0x10",
	"1.5.5",
	"12345678901234567890",
	"99999999999",    /* seconds, 5138 AD: past 2262 */
	"99999999999999", /* ms */
	"9223372036854775808",
	"2026-11-21",
	"2026-11-21T23:45Z",
	"2026-11-21T23:45:00",
	"2026-11-21T23:45:00 Z",
	"2026-11-21T23:45:00ZZ",
	"2026-11-21T23:45:00.Z",
	"2026-11-21T23:45:00,5Z",
	"2026-11-21X23:45:00Z",
	"2026-11-21T24:00:00Z",
	"2026-11-21T23:60:00Z",
	"2026-11-21T23:45:61Z",
	"2026-13-01T00:00:00Z",
	"2026-00-01T00:00:00Z",
	"2026-11-31T00:00:00Z",
	"2026-11-00T00:00:00Z",
	"2026-02-29T00:00:00Z",
	"2100-02-29T00:00:00Z",
	"1969-12-31T23:59:59Z",
	"2263-01-01T00:00:00Z",
	"9999-12-31T23:59:59Z",
	"26-11-21T23:45:00Z",
	"2026-1-21T23:45:00Z",
	"2026- 1-21T23:45:00Z",
	"2026-+1-21T23:45:00Z",
	"2026-11-21T3:45:00Z",
	"2026-11-21T 3:45:00Z",
	"2026-11-21T23:45:00+5:30",
	"2026-11-21T23:45:00+ 5:30",
	"2026-11-21T23:45:00++5:30",
	"2026-11-21T23:45:00+0530",
	"2026-11-21T23:45:00+24:00",
	"2026-11-21T23:45:00+05:60",
	"2026-11-21T23:45:00+05:30x",
};

static void numbers_and_now(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(instants); i++) {
		int64_t unix_ns = -1;
		int rc = clock_parse(instants[i].text, now_unix_ns, &unix_ns, NULL);
		if (rc || unix_ns != instants[i].unix_ns)
			fail_msg("%s: %d %lld", instants[i].text, rc, (long long)unix_ns);
	}
}

static void dates_as_date_says(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(dates); i++) {
		AUTO_MEM char *expected = tool_output("date -u -d '%s' +%%s%%N", dates[i]);
		int64_t unix_ns = -1;
		if (clock_parse(dates[i], now_unix_ns, &unix_ns, NULL))
			fail_msg("%s", dates[i]);
		assert_int_equal(unix_ns, strtoll(expected, NULL, 10));
	}
	/* RFC 3339 section 5.7; unix time has no name for a leap second */
	int64_t leap, after;
	assert_int_equal(clock_parse("2016-12-31T23:59:60Z", 0, &leap, NULL), 0);
	assert_int_equal(clock_parse("2017-01-01T00:00:00Z", 0, &after, NULL), 0);
	assert_int_equal(leap, after);
}

static void no_instant(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(no_instants); i++) {
		int64_t unix_ns = 77;
		struct err err = {0};
		int rc = clock_parse(no_instants[i], now_unix_ns, &unix_ns, &err);
		if (rc != -EINVAL || unix_ns != 77)
			fail_msg("\"%s\": %d %lld", no_instants[i], rc, (long long)unix_ns);
		assert_non_null(strstr(err.text, no_instants[i]));
	}
	int64_t unix_ns = 77;
	assert_int_equal(clock_parse("now-1s", INT64_MIN, &unix_ns, NULL), -EINVAL);
	assert_int_equal(unix_ns, 77);
}

static const struct {
	const char *text;
	int64_t duration_ns; /* -1: not a duration */
} durations[] = {
	{"0", 0},
	{"30", 30 * S},
	{"1.5", S + S / 2},
	{"250ms", S / 4},
	{"1us", 1000},
	{"1ns", 1},
	{"30s", 30 * S},
	{"15m", 900 * S},
	{"1h30m", 5400 * S},
	{"1.5h", 5400 * S},
	{"7d", 604800 * S},
	{"2w", 1209600 * S},
	{"1h1m1s1ms1us1ns", 3661 * S + 1001001},
	{"106751d", INT64_C(106751) * 86400 * S},
	{"9223372036854775807ns", INT64_MAX},
	{"", -1},
	{"s", -1},
	{"-1s", -1},
	{"+1s", -1},
	{" 1s", -1},
	{"1s ", -1},
	{"1 s", -1},
	{"1h 30m", -1},
	{"1h30", -1},
	{"1.s", -1},
	{".5s", -1},
	{"1,5s", -1},
	{"1x", -1},
	{"1S", -1},
	{"1min", -1},
	{"1e3s", -1},
	{"106752d", -1},
	{"9223372036854775808ns", -1},
	{"9223372036854775807ns1ns", -1},
	{"99999999999999999999s", -1},
};

static void parse_durations(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(durations); i++) {
		int64_t duration_ns = -1;
		struct err err = {0};
		int rc = clock_parse_duration(durations[i].text, &duration_ns, &err);
		if (rc != (durations[i].duration_ns < 0 ? -EINVAL : 0) ||
		    duration_ns != durations[i].duration_ns)
			fail_msg("\"%s\": %d %lld", durations[i].text, rc, (long long)duration_ns);
	}
}

static const struct {
	int64_t unix_ns;
	const char *text;
} formats[] = {
	{0, "1970-01-01T00:00:00.000Z"},
	{999999, "1970-01-01T00:00:00.000Z"},
	{1000000, "1970-01-01T00:00:00.001Z"},
	{-1, "1969-12-31T23:59:59.999Z"},
	{-NS_PER_S, "1969-12-31T23:59:59.000Z"},
	{INT64_C(1700000000123456789), "2023-11-14T22:13:20.123Z"},
	{INT64_MAX, "2262-04-11T23:47:16.854Z"},
	{INT64_MIN, "1677-09-21T00:12:43.145Z"},
};

static void format(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
		char text[CLOCK_TEXT_BYTES];
		clock_format(formats[i].unix_ns, text);
		assert_string_equal(text, formats[i].text);
	}
}

static void clocks_go_forward(void **state)
{
	(void)state;
	int64_t before_mono_ns = clock_mono_ns();
	AUTO_MEM char *date = tool_output("date +%%s%%N");
	assert_true(clock_mono_ns() >= before_mono_ns);
	int64_t apart_ns = clock_unix_ns() - strtoll(date, NULL, 10);
	assert_true(apart_ns > -3600 * NS_PER_S && apart_ns < 3600 * NS_PER_S);
}

static void thread_clock_stands_still_in_sleep(void **state)
{
	(void)state;
	int64_t before_mono_ns = clock_mono_ns(), before_ns = clock_thread_ns();
	usleep(50000);
	int64_t slept_ns = clock_thread_ns() - before_ns;
	assert_true(slept_ns >= 0 && slept_ns < (clock_mono_ns() - before_mono_ns) / 2);
	while (clock_thread_ns() < before_ns + NS_PER_MS)
		;
}

int main(void)
{
	tool_need("date");
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_and_now),
		cmocka_unit_test(dates_as_date_says),
		cmocka_unit_test(no_instant),
		cmocka_unit_test(parse_durations),
		cmocka_unit_test(format),
		cmocka_unit_test(clocks_go_forward),
		cmocka_unit_test(thread_clock_stands_still_in_sleep),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
