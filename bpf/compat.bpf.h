/*
 * compat: differences between kernels, one function each, chosen by feature.
 */
#pragma once
#include <linux/bpf.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "bpf/kernel_types.h"

/* real_start_time became start_boottime in v5.5, before our floor: no fallback is needed. */
static __always_inline __u64 compat_start_boot_ns(struct task_struct *leader)
{
	return BPF_CORE_READ(leader, start_boottime);
}

/* self_exec_id was u32 before v5.7 and is u64 since; the low half is what tells images apart.
 * https://git.kernel.org/torvalds/c/d1e7fd6462ca */
static __always_inline __u32 compat_exec_id(struct task_struct *leader)
{
	return (__u32)BPF_CORE_READ(leader, self_exec_id);
}
