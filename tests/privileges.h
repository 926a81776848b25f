/*
 * privileges: tests that sample for real need them; where there are none they are skipped (77).
 */
#pragma once
#include <errno.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/auto.h"
#include "profiler/perf_event.h"

static inline void privileges_need_perf(void)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.config = PERF_COUNT_SW_CPU_CLOCK,
	};
	struct err err = {0};
	AUTO_FD fd = perf_event_open_cpu(&attr, 0, "the CPU clock", &err);
	if (fd >= 0 || err.code != -EPERM)
		return;
	fprintf(stderr, "skipped: %s\n", err.text);
	exit(77);
}
