/*
 * perf_event: opens software events of perf_event_open(2), one CPU at a time, and says in
 * words why the kernel refuses. Thin; the attributes are the caller's.
 */
#pragma once
#include <linux/perf_event.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

/* A descriptor (close-on-exec, disabled until PERF_EVENT_IOC_ENABLE), or -errno. `what` names
 * the event in the text. -ENODEV: the CPU is offline. */
int perf_event_open_cpu(struct perf_event_attr *attr, uint32_t cpu, const char *what,
			struct err *err);

/* Has an enabled event died? It does so with its CPU, and stays dead when that comes back;
 * poll(2) and read(2) do not tell, but its time stands still from one look to the next, which
 * must be a while (1 ms) apart. *enabled_ns keeps it in between; 0 before the first look. */
bool perf_event_is_dead(int fd, uint64_t *enabled_ns);
