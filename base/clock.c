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
	*billionths = 0;
	if (*end == '.') {
		int64_t scale = NS_PER_S / 10;
		for (end++; isdigit((unsigned char)*end); end++, scale /= 10)
			*billionths += (*end - '0') * scale;
	}
	*pos = end;
	return true;
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

/* "Z" or "+hh:mm", as seconds east of UTC. */
static bool take_zone(const char *pos, int64_t *offset_s)
{
	if (!strcmp(pos, "Z") || !strcmp(pos, "z")) {
		*offset_s = 0;
		return true;
	}
	unsigned int hours, minutes;
	int used = 0;
	if ((*pos != '+' && *pos != '-') ||
	    sscanf(pos + 1, "%2u:%2u%n", &hours, &minutes, &used) != 2 || used != 5 || pos[6] ||
	    hours > 23 || minutes > 59)
		return false;
	*offset_s = (int64_t)(hours * 3600 + minutes * 60) * (*pos == '-' ? -1 : 1);
	return true;
}

static bool in_range(const struct tm *tm)
{
	return tm->tm_year >= 70 && tm->tm_mon >= 0 && tm->tm_mon < 12 && tm->tm_mday >= 1 &&
	       tm->tm_mday <= 31 && tm->tm_hour < 24 && tm->tm_min < 60 && tm->tm_sec <= 60;
}

static bool parse_rfc3339(const char *text, int64_t *unix_ns)
{
	struct tm tm = {0};
	int used = 0;
	if (sscanf(text, "%4d-%2d-%2d%*1[Tt ]%2d:%2d:%2d%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday,
		   &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &used) != 6 ||
	    used != 19)
		return false;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	if (!in_range(&tm))
		return false;
	int64_t fraction_ns = 0, digit_ns = NS_PER_S / 10;
	const char *pos = text + used;
	if (*pos == '.')
		for (pos++; isdigit((unsigned char)*pos); pos++, digit_ns /= 10)
			fraction_ns += (*pos - '0') * digit_ns;
	int64_t offset_s;
	if (!take_zone(pos, &offset_s))
		return false;
	int64_t unix_s = timegm(&tm) - offset_s;
	return !__builtin_mul_overflow(unix_s, NS_PER_S, unix_ns) &&
	       !__builtin_add_overflow(*unix_ns, fraction_ns, unix_ns);
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
	int64_t whole, billionths, back_ns;
	const char *pos = text;
	if (!strcmp(text, "now")) {
		*unix_ns = now_unix_ns;
		return 0;
	}
	if (!strncmp(text, "now-", 4)) {
		if (clock_parse_duration(text + 4, &back_ns, NULL) ||
		    __builtin_sub_overflow(now_unix_ns, back_ns, unix_ns))
			return bad_instant(text, err);
		return 0;
	}
	if (parse_rfc3339(text, unix_ns))
		return 0;
	if (!take_decimal(&pos, &whole, &billionths) || *pos ||
	    !scale(whole, billionths, unit_by_size(whole), unix_ns))
		return bad_instant(text, err);
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
