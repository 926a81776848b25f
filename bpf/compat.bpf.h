/*
 * compat: differences between kernels, one function each, chosen by feature.
 */
#pragma once
#include <asm/ptrace.h>
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

/* What the current task saved when it entered the kernel from user space. bpf_task_pt_regs() came
 * with v5.15: https://git.kernel.org/torvalds/c/dd6e10fbd9fb
 * Before, the registers lie at the top of the kernel stack: task_pt_regs() in
 * arch/x86/include/asm/processor.h, THREAD_SIZE in page_64_types.h.
 * Delete when 5.15 is the oldest kernel we support. */
enum bpf_func_id___has_pt_regs { BPF_FUNC_task_pt_regs___has_pt_regs = 1 };

#define COMPAT_THREAD_BYTES 16384

static __always_inline void *compat_user_regs(void)
{
	if (bpf_core_enum_value_exists(enum bpf_func_id___has_pt_regs,
				       BPF_FUNC_task_pt_regs___has_pt_regs))
		return (void *)bpf_task_pt_regs(bpf_get_current_task_btf());
	struct task_struct *task = (void *)bpf_get_current_task();
	return BPF_CORE_READ(task, stack) + COMPAT_THREAD_BYTES - sizeof(struct pt_regs);
}

/* While execve(2) is under way the registers are the old image's and the memory may be the new
 * one's already: there is no user stack. include/linux/sched.h */
static __always_inline __u32 compat_in_execve(struct task_struct *task)
{
	if (!bpf_core_field_exists(task->in_execve))
		return 0;
	return BPF_CORE_READ_BITFIELD_PROBED(task, in_execve);
}

/* task->state became task->__state in v5.14: https://git.kernel.org/torvalds/c/2f064a59a1
 * Delete when 5.14 is the oldest kernel we support. */
struct task_struct___before_5_14 {
	long state;
} __attribute__((preserve_access_index));

static __always_inline __u32 compat_task_state(struct task_struct *task)
{
	struct task_struct___before_5_14 *old = (void *)task;
	return bpf_core_field_exists(task->__state) ? BPF_CORE_READ(task, __state)
						    : (__u32)BPF_CORE_READ(old, state);
}

/* task->cpu became task->thread_info.cpu in v5.16: https://git.kernel.org/torvalds/c/bcf9033e5449
 * Delete when 5.16 is the oldest kernel we support. */
struct task_struct___before_5_16 {
	unsigned int cpu;
} __attribute__((preserve_access_index));

static __always_inline __u32 compat_task_cpu(struct task_struct *task)
{
	struct task_struct___before_5_16 *old = (void *)task;
	return bpf_core_field_exists(task->thread_info.cpu) ? BPF_CORE_READ(task, thread_info.cpu)
							    : BPF_CORE_READ(old, cpu);
}

/* From v6.12 on a task that went to sleep may stay on its run queue until its turn would have come:
 * https://git.kernel.org/torvalds/c/152e11f6df29 */
static __always_inline __u32 compat_is_sleep_delayed(struct task_struct *task)
{
	return bpf_core_field_exists(task->se.sched_delayed) ? BPF_CORE_READ(task, se.sched_delayed)
							     : 0;
}

/* Does somebody hold the lock of the address space for writing? Bit 0 of the count says so
 * (kernel/locking/rwsem.c, RWSEM_WRITER_LOCKED); with PREEMPT_RT there is no count. */
static __always_inline __u32 compat_is_mm_locked(struct task_struct *task)
{
	if (!bpf_core_field_exists(struct rw_semaphore, count))
		return 0;
	return BPF_CORE_READ(task, mm, mmap_lock.count.counter) & 1;
}

/* Since v6.18 a thread is stopped on its way to user space, and says so itself; before, its group's
 * queue is taken away with all who are on it. https://git.kernel.org/torvalds/c/e1fad12dcb66 */
struct task_struct___throttled {
	_Bool throttled;
} __attribute__((preserve_access_index));

struct cfs_rq___throttled {
	int throttle_count;
} __attribute__((preserve_access_index));

struct sched_entity___group {
	struct cfs_rq___throttled *cfs_rq;
} __attribute__((preserve_access_index));

struct task_struct___group {
	struct sched_entity___group se;
} __attribute__((preserve_access_index));

static __always_inline __u32 compat_is_throttled(struct task_struct *task)
{
	struct task_struct___throttled *alone = (void *)task;
	struct task_struct___group *grouped = (void *)task;
	if (bpf_core_field_exists(alone->throttled))
		return BPF_CORE_READ(alone, throttled);
	if (!bpf_core_field_exists(grouped->se.cfs_rq) ||
	    !bpf_core_field_exists(struct cfs_rq___throttled, throttle_count))
		return 0;
	return BPF_CORE_READ(grouped, se.cfs_rq, throttle_count) > 0;
}
