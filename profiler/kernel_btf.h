/*
 * kernel_btf: what the running kernel can do, by the types it describes itself with.
 *
 * Asking BTF needs no privileges and has no effects, where trying to load a program needs both.
 * Format: Documentation/bpf/btf.rst. Immutable once open; any thread may read.
 */
#pragma once
#include <stdbool.h>

#include "base/auto.h"
#include "base/err.h"

struct kernel_btf; /* opaque */

/* Read /sys/kernel/btf/vmlinux. -ENOENT: this kernel has none; open(2)'s errors. */
int kernel_btf_open(struct kernel_btf **out, struct err *err);
void kernel_btf_free(struct kernel_btf *kernel); /* NULL is fine */
AUTO_DEFINE(kernel_btf)

/* "bpf_iter_task_new": a function of the kernel, kfuncs included. */
bool kernel_btf_has_function(const struct kernel_btf *kernel, const char *name);
/* "bpf_iter__task" */
bool kernel_btf_has_struct(const struct kernel_btf *kernel, const char *name);
/* "bpf_func_id", "BPF_FUNC_loop": helpers, map types and the like are numbered there. */
bool kernel_btf_has_enumerator(const struct kernel_btf *kernel, const char *enum_name,
			       const char *name);
/* "sched_switch": how many arguments the tracepoint hands to programs; 0: there is none. */
unsigned kernel_btf_tracepoint_args(const struct kernel_btf *kernel, const char *name);
