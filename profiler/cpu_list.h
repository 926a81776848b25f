/*
 * cpu_list: which CPUs there are, from the kernel's list format ("0-3,8"), cpulist in
 * Documentation/admin-guide/cputopology.rst.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

enum { CPU_LIST_MAX = 8192 };

struct cpu_list {
	uint64_t bits[CPU_LIST_MAX / 64];
};

/* -EBADMSG: not a list; -ENOSPC: a CPU past CPU_LIST_MAX. */
int cpu_list_parse(struct cpu_list *list, const char *text, struct err *err);
/* /sys/devices/system/cpu/online */
int cpu_list_online(struct cpu_list *list, struct err *err);
bool cpu_list_has(const struct cpu_list *list, uint32_t cpu);
uint32_t cpu_list_count(const struct cpu_list *list);
