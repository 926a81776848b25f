#include "base/clock.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/array.h"

static int64_t read_clock(clockid_t id)
{
	struct timespec ts;
	clock_gettime(id, &ts); /* cannot fail with these ids and a valid pointer */
	return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

int64_t clock_mono_ns(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

int64_t clock_unix_ns(void)
{
	return read_clock(CLOCK_REALTIME);
}

int64_t clock_thread_ns(void)
{
	return read_clock(CLOCK_THREAD_CPUTIME_ID);
}

static const struct {
	const char *suffix;
	int64_t unit_ns;
} units[] = {
	{"ms", NS_PER_MS},       {"us", NS_PER_US},           {"ns", 1},
	{"s", NS_PER_S},         {"m", 60 * NS_PER_S},        {"h", 3600 * NS_PER_S},
	{"d", 86400 * NS_PER_S}, {"w", 7 * 86400 * NS_PER_S},
};

static int64_t unit_of(const char **pos)
{
	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		size_t len = strlen(units[i].suffix);
		if (!strncmp(*pos, units[i].suffix, len)) {
			*pos += len;
			return units[i].unit_ns;
		}
	}
	return 0;
}

/* ".123" as billionths, of which more than nine digits do not count; none is fine. */
static bool take_fraction(const char **pos, int64_t *billionths)
{
	*billionths = 0;
	if (**pos != '.')
		return true;
	++*pos;
	if (!isdigit((unsigned char)**pos))
		return false;
	for (int64_t worth = NS_PER_S / 10; isdigit((unsigned char)**pos); ++*pos, worth /= 10)
		*billionths += (**pos - '0') * worth;
	return true;
}

/* A decimal number with up to 9 digits after the point, times unit, without rounding
 * through a double. False when it is not a number or does not fit. */
static bool take_decimal(const char **pos, int64_t *whole, int64_t *billionths)
{
	if (!isdigit((unsigned char)**pos))
		return false;
	char *end;
	errno = 0;
	*whole = strtoll(*pos, &end, 10);
	if (errno)
		return false;
	*pos = end;
	return take_fraction(pos, billionths);
}

static bool scale(int64_t whole, int64_t billionths, int64_t unit_ns, int64_t *result_ns)
{
	int64_t fraction_ns = (int64_t)((__int128)billionths * unit_ns / NS_PER_S);
	return !__builtin_mul_overflow(whole, unit_ns, result_ns) &&
	       !__builtin_add_overflow(*result_ns, fraction_ns, result_ns);
}

/* One "<number><unit>"; a bare number alone is seconds. */
static bool take_part(const char **pos, bool alone, int64_t *part_ns)
{
	int64_t whole, billionths;
	if (!take_decimal(pos, &whole, &billionths))
		return false;
	int64_t unit_ns = alone && !**pos ? NS_PER_S : unit_of(pos);
	return unit_ns && scale(whole, billionths, unit_ns, part_ns);
}

int clock_parse_duration(const char *text, int64_t *duration_ns, struct err *err)
{
	const char *pos = text;
	int64_t total_ns = 0;
	do {
		int64_t part_ns;
		if (!take_part(&pos, pos == text, &part_ns) ||
		    __builtin_add_overflow(total_ns, part_ns, &total_ns))
			return err_set(err, -EINVAL,
				       "\"%s\" is not a duration; write 250ms, 30s, 15m or 1h30m",
				       text);
	} while (*pos);
	*duration_ns = total_ns;
	return 0;
}

static int bad_instant(const char *text, struct err *err)
{
	return err_set(err, -EINVAL,
		       "\"%s\" is not a time; write 2026-01-31T12:00:00Z, unix seconds or now-15m",
		       text);
}

/* Exactly count digits. */
static bool take_digits(const char **pos, int count, int *value)
{
	*value = 0;
	for (; count > 0; count--, ++*pos) {
		if (!isdigit((unsigned char)**pos))
			return false;
		*value = *value * 10 + (**pos - '0');
	}
	return true;
}

static bool take_char(const char **pos, const char *allowed)
{
	if (!**pos || !strchr(allowed, **pos))
		return false;
	++*pos;
	return true;
}

/* "Z" or "+hh:mm", as seconds east of UTC. */
static bool take_zone(const char **pos, int64_t *offset_s)
{
	*offset_s = 0;
	if (take_char(pos, "Zz"))
		return true;
	int64_t sign = **pos == '-' ? -1 : 1;
	int hours, minutes;
	if (!take_char(pos, "+-") || !take_digits(pos, 2, &hours) || !take_char(pos, ":") ||
	    !take_digits(pos, 2, &minutes) || hours > 23 || minutes > 59)
		return false;
	*offset_s = sign * (hours * 3600 + minutes * 60);
	return true;
}

static int days_in_month(int year, int month)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
	return days[month - 1] + (month == 2 && leap);
}

/* "2026-11-21", with tm's way of counting years and months. */
static bool take_date(const char **pos, struct tm *tm)
{
	int year, month;
	if (!take_digits(pos, 4, &year) || !take_char(pos, "-") || !take_digits(pos, 2, &month) ||
	    !take_char(pos, "-") || !take_digits(pos, 2, &tm->tm_mday) || year < 1970 ||
	    month < 1 || month > 12 || tm->tm_mday < 1 || tm->tm_mday > days_in_month(year, month))
		return false;
	tm->tm_year = year - 1900;
	tm->tm_mon = month - 1;
	return true;
}

/* "23:45:00"; 60 is a leap second, which unix time counts as the second after. */
static bool take_time(const char **pos, struct tm *tm)
{
	return take_digits(pos, 2, &tm->tm_hour) && take_char(pos, ":") &&
	       take_digits(pos, 2, &tm->tm_min) && take_char(pos, ":") &&
	       take_digits(pos, 2, &tm->tm_sec) && tm->tm_hour < 24 && tm->tm_min < 60 &&
	       tm->tm_sec <= 60;
}

/* RFC 3339 section 5.6. */
static bool parse_rfc3339(const char *text, int64_t *unix_ns)
{
	struct tm tm = {0};
	int64_t fraction_ns, offset_s;
	if (!take_date(&text, &tm) || !take_char(&text, "Tt ") || !take_time(&text, &tm) ||
	    !take_fraction(&text, &fraction_ns) || !take_zone(&text, &offset_s) || *text)
		return false;
	return scale(timegm(&tm) - offset_s, fraction_ns, NS_PER_S, unix_ns);
}

/* Seconds have 10 digits until 2286; ms, us and ns have 3, 6 and 9 more. */
static int64_t unit_by_size(int64_t whole)
{
	if (whole < INT64_C(100000000000))
		return NS_PER_S;
	if (whole < INT64_C(100000000000000))
		return NS_PER_MS;
	return whole < INT64_C(100000000000000000) ? NS_PER_US : 1;
}

int clock_parse(const char *text, int64_t now_unix_ns, int64_t *unix_ns, struct err *err)
{
	int64_t whole, billionths, back_ns, result_ns;
	const char *pos = text;
	if (!strcmp(text, "now")) {
		result_ns = now_unix_ns;
	} else if (!strncmp(text, "now-", 4)) {
		if (clock_parse_duration(text + 4, &back_ns, NULL) ||
		    __builtin_sub_overflow(now_unix_ns, back_ns, &result_ns))
			return bad_instant(text, err);
	} else if (!parse_rfc3339(text, &result_ns)) {
		if (!take_decimal(&pos, &whole, &billionths) || *pos ||
		    !scale(whole, billionths, unit_by_size(whole), &result_ns))
			return bad_instant(text, err);
	}
	*unix_ns = result_ns;
	return 0;
}

void clock_format(int64_t unix_ns, char text[static CLOCK_TEXT_BYTES])
{
	int64_t fraction_ns = unix_ns % NS_PER_S;
	time_t unix_s = unix_ns / NS_PER_S - (fraction_ns < 0);
	fraction_ns += fraction_ns < 0 ? NS_PER_S : 0;
	struct tm tm;
	gmtime_r(&unix_s, &tm);
	size_t len = strftime(text, CLOCK_TEXT_BYTES, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text + len, CLOCK_TEXT_BYTES - len, ".%03dZ", (int)(fraction_ns / NS_PER_MS));
}
