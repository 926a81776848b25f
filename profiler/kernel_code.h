/*
 * kernel_code: where some parts of the kernel's code lie. Plain values.
 */
#pragma once
#include <stdint.h>

#include "base/err.h"

struct code_range {
	uint64_t start_ip;
	uint64_t end_ip; /* both 0: not known */
};

struct kernel_code {
	struct code_range sched; /* functions that are left out of stacks of waiting threads:
				    in_sched_functions() of kernel/sched/core.c */
	struct code_range wake;  /* try_to_wake_up() */
	struct code_range irq;   /* entries of interrupts, exceptions not among them */
};

/* Reads text as of /proc/kallsyms, some 30 ms long; what it hides is not known. open(2)'s errors. */
int kernel_code_read(struct kernel_code *code, const char *path, struct err *err);
