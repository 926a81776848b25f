/*
 * clock: what time it is, in ns, and on which clock; and instants as users write them.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define NS_PER_US INT64_C(1000)
#define NS_PER_MS INT64_C(1000000)
#define NS_PER_S  INT64_C(1000000000)

int64_t clock_mono_ns(void);   /* CLOCK_MONOTONIC: what BPF and perf records carry */
int64_t clock_unix_ns(void);   /* CLOCK_REALTIME */
int64_t clock_thread_ns(void); /* CLOCK_THREAD_CPUTIME_ID: CPU time of the calling thread */

/* RFC 3339 ("2026-11-21T23:45:00Z", fraction and offset allowed), unix seconds (a fraction
 * allowed), unix ms, us or ns (told apart by size, as Pyroscope does), "now", or "now-15m" /
 * "now-1h30m" with ms, s, m, h, d, w. now_unix_ns is what "now" means. -EINVAL. */
int clock_parse(const char *text, int64_t now_unix_ns, int64_t *unix_ns, struct err *err);

/* "250ms", "30s", "15m", "1h30m", "7d"; a bare number is seconds. -EINVAL; never negative. */
int clock_parse_duration(const char *text, int64_t *duration_ns, struct err *err);

/* RFC 3339 in UTC with ms, e.g. "2026-11-21T23:45:00.123Z". */
enum { CLOCK_TEXT_BYTES = 40 };
void clock_format(int64_t unix_ns, char text[static CLOCK_TEXT_BYTES]);
