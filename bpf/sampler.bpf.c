/*
 * sampler: on every tick of a CPU's clock, who runs there and where.
 */
#include <linux/bpf.h>
#include <linux/bpf_perf_event.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "bpf/abi.h"
#include "bpf/compat.bpf.h"
#include "bpf/stack.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

const volatile __u64 cfg_period_ns = 10101010;

/* A tick that is later than this is the clock's doing (a machine that slept), not a thread's. */
#define MAX_LATE_NS 1000000000ULL

struct cpu_clock {
	__u64 first_mono_ns;    /* the first tick: the grid the later ones are on */
	__u64 credited_periods; /* periods since then that some sample or idle tick stands for */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct cpu_clock);
} cpu_clocks SEC(".maps");

/* How many periods the current thread has been on the CPU without a break, as of the last
 * scheduler tick. kernel/sched/fair.c, set_next_entity() */
static __always_inline __u64 periods_on_cpu(void)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	__u64 run_ns = BPF_CORE_READ(task, se.sum_exec_runtime) -
		       BPF_CORE_READ(task, se.prev_sum_exec_runtime);
	return run_ns / cfg_period_ns;
}

/* The time this tick stands for, in whole periods. Ticks may come late, and on some machines
 * do not come at all while a CPU is idle: the periods since the last one are given to the
 * current thread as far as it was running then, so that the sum of weights is CPU time. */
static __always_inline __u32 due_weight_ns(__u64 now_mono_ns)
{
	__u32 zero = 0;
	struct cpu_clock *clock = bpf_map_lookup_elem(&cpu_clocks, &zero);
	if (!clock)
		return cfg_period_ns;
	if (!clock->first_mono_ns)
		clock->first_mono_ns = now_mono_ns;
	/* Half a period of slack: the first tick was a little late, too. */
	__u64 passed = (now_mono_ns - clock->first_mono_ns + cfg_period_ns / 2) / cfg_period_ns + 1;
	__u64 due = passed - clock->credited_periods;
	if ((__s64)due < 1)
		due = 1;
	clock->credited_periods += due;
	if (due > 1) {
		__u64 most = periods_on_cpu() + 1;
		due = due < most ? due : most;
		most = MAX_LATE_NS / cfg_period_ns + 1;
		due = due < most ? due : most;
		count(STAT_LATE, due - 1);
	}
	return due * cfg_period_ns;
}

/* The registers that the thread had, or will have, in user space. */
static __always_inline long user_registers(struct scratch *scratch, struct bpf_perf_event_data *ctx)
{
	if ((ctx->regs.cs & 3) == 3) {
		scratch->regs = *(struct pt_regs *)&ctx->regs;
		return 0;
	}
	return bpf_probe_read_kernel(&scratch->regs, sizeof(scratch->regs), compat_user_regs());
}

static __always_inline void fill_kernel(struct scratch *scratch, void *ctx)
{
	note_kernel_frames(scratch, bpf_get_stack(ctx, scratch->frames,
						  ABI_MAX_KERNEL_FRAMES * sizeof(__u64), 0));
}

static __always_inline void fill_user(struct scratch *scratch, __u32 cpu,
				      struct bpf_perf_event_data *ctx, struct task_struct *task)
{
	clear_walk(scratch);
	if (BPF_CORE_READ(task, flags) & PF_KTHREAD) {
		scratch->rec.flags |= STACK_KTHREAD;
	} else if (BPF_CORE_READ(task, mm) && !compat_in_execve(task) &&
		   !user_registers(scratch, ctx) && scratch->regs.rsp) {
		begin_walk(scratch);
		for (int i = 0; i <= ABI_MAX_USER_FRAMES; i++)
			if (take_frame(cpu))
				break;
	}
	end_walk(scratch);
}

static __always_inline long send(struct scratch *scratch, struct task_struct *task)
{
	struct rec_stack *rec = &scratch->rec;
	__u32 size_bytes = record_bytes(rec);
	if (wants_tail(rec->walk_end)) {
		rec->flags |= STACK_TAIL;
		size_bytes +=
			fill_tail(scratch, task, (__u32)rec->kernel_frames + rec->user_frames);
		/* Help is asked for at once: until it comes every sample here is a tail. */
		return send_whole(scratch, size_bytes, BPF_RB_FORCE_WAKEUP);
	}
	rec->sample.stack_hash = hash_stack(scratch);
	if (intern_stack(rec->sample.stack_hash) == INTERNED_NOW)
		return send_interned(scratch, size_bytes);
	rec->sample.kind = REC_SAMPLE;
	rec->sample.size_bytes = sizeof(rec->sample);
	return bpf_ringbuf_output(&samples, &rec->sample, sizeof(rec->sample), wakeup_flags());
}

static __always_inline void take_sample(struct bpf_perf_event_data *ctx, __u64 now_mono_ns,
					__u32 weight_ns)
{
	__u32 cpu = bpf_get_smp_processor_id();
	struct scratch *scratch = find_scratch(cpu);
	count(STAT_TAKEN, 1);
	if (!scratch) {
		count(STAT_NO_SCRATCH, 1);
		return;
	}
	struct task_struct *task = (void *)bpf_get_current_task();
	struct rec_stack *rec = &scratch->rec;
	rec->sample.end_mono_ns = now_mono_ns;
	rec->sample.weight_ns = weight_ns;
	rec->sample.cpu = cpu;
	identify(rec, task);
	rec->cgroup_id = bpf_get_current_cgroup_id();
	fill_kernel(scratch, ctx);
	fill_user(scratch, cpu, ctx, task);
	if (rec->flags & (STACK_KERNEL_CUT | STACK_USER_CUT))
		count(STAT_STACK_CUT, 1);
	count(send(scratch, task) ? STAT_RING_FULL : STAT_SENT, 1);
}

SEC("perf_event")
int on_cpu_tick(struct bpf_perf_event_data *ctx)
{
	__u64 now_mono_ns = bpf_ktime_get_ns();
	__u32 weight_ns = due_weight_ns(now_mono_ns);
	__u64 pid_tid = bpf_get_current_pid_tgid();
	if (!(__u32)pid_tid) /* the idle task, one per CPU, all with tid 0 */
		count(STAT_IDLE, 1);
	else if (!is_followed(pid_tid >> 32))
		count(STAT_FILTERED, 1);
	else
		take_sample(ctx, now_mono_ns, weight_ns);
	count(STAT_RUN_NS, bpf_ktime_get_ns() - now_mono_ns);
	count(STAT_RUNS, 1);
	return 0;
}

/* A child begins with its parent's mappings. User space hears of it soon, and lets it have the block
 * for itself. */
static __always_inline void inherit_mappings(struct task_struct *child, __u32 parent_pid,
					     __u32 child_pid)
{
	const struct umem_process_ref *parent = bpf_map_lookup_elem(&umem_processes, &parent_pid);
	if (!parent || !is_held(parent))
		return;
	struct umem_process_ref ref = {
		.block = parent->block,
		.exec_id = compat_exec_id(child),
		.start_boot_ns = compat_start_boot_ns(child),
		.parent_pid = parent->parent_pid ? parent->parent_pid : parent_pid,
	};
	/* An entry of an image before that one, which user space was too late to take away. */
	if (parent->exec_id && parent->exec_id != ref.exec_id)
		return;
	bpf_map_update_elem(&umem_processes, &child_pid, &ref, BPF_ANY);
}

/* Descendants of followed processes are followed from their first instruction on. */
SEC("raw_tp/sched_process_fork")
int on_fork(struct bpf_raw_tracepoint_args *ctx)
{
	struct task_struct *parent = (void *)ctx->args[0];
	struct task_struct *child = (void *)ctx->args[1];
	__u32 parent_pid = BPF_CORE_READ(parent, tgid);
	__u32 child_pid = BPF_CORE_READ(child, tgid);
	__u32 one = 1;
	if (parent_pid == child_pid)
		return 0; /* a thread */
	inherit_mappings(child, parent_pid, child_pid);
	if (cfg_follow && bpf_map_lookup_elem(&followed, &parent_pid))
		bpf_map_update_elem(&followed, &child_pid, &one, BPF_ANY);
	return 0;
}

/* The last thread of a process is gone: its pid may soon be somebody else's. */
SEC("raw_tp/sched_process_exit")
int on_exit(struct bpf_raw_tracepoint_args *ctx)
{
	struct task_struct *task = (void *)ctx->args[0];
	__u32 pid = BPF_CORE_READ(task, tgid);
	if (BPF_CORE_READ(task, signal, live.counter) != 0)
		return 0;
	bpf_map_delete_elem(&umem_processes, &pid);
	if (cfg_follow)
		bpf_map_delete_elem(&followed, &pid);
	return 0;
}

/* A new image: what was mapped before says nothing about it. */
SEC("raw_tp/sched_process_exec")
int on_exec(struct bpf_raw_tracepoint_args *ctx)
{
	struct task_struct *task = (void *)ctx->args[0];
	__u32 pid = BPF_CORE_READ(task, tgid);
	bpf_map_delete_elem(&umem_processes, &pid);
	return 0;
}
