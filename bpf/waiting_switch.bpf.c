/*
 * waiting_switch: waits by their beginnings and ends, for kernels without iterators that may sleep.
 *
 * All waits are measured, and some have their stack taken: by a chance that is decided before they
 * begin, in proportion to how long waits in that place have lasted, so that one stack is taken
 * per PERIOD_NS that a thread waited. What a captured wait lasted, divided by its chance, is what it
 * stands for. Threads that do not run at all are not seen.
 */
#include <linux/bpf.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "bpf/abi.h"
#include "bpf/compat.bpf.h"
#include "bpf/stack.bpf.h"
#include "bpf/wait_account.bpf.h"
#include "bpf/wait_reason.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define PERIOD_NS    50000000ULL
#define CERTAIN      65536 /* chances are in parts of it */
#define LEAST_CHANCE 64
#define MEAN_SHIFT   3 /* an 8th of each wait goes into the mean of its place */
#define MAX_TRIES    4
#define MAX_SKIP     16 /* frames of the scheduler and of tracing */

struct switcher {
	__u64 out_mono_ns; /* when it left the CPU; 0: it was not seen to */
	__u64 run_ns;      /* its CPU time then */
	__u64 place;
	__u32 chance;
	__u32 is_captured; /* the wait under way has its stack in account.wait */
	__u32 generation;  /* in which that went out */
	__u32 tries;       /* captures that lacked rows */
	struct wait_account account;
};

/* Task storage is younger than what this is for (v5.12). */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, __u32); /* tid */
	__type(value, struct switcher);
} switchers SEC(".maps");

/* Places of threads, by the address of the system call: how long waits there last. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 32768);
	__type(key, __u64);
	__type(value, __u64); /* mean, ns */
} places SEC(".maps");

/* A new entry: values are too large for the BPF stack. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct switcher);
} blanks SEC(".maps");

/* The functions that are left out of stacks of threads that do not run: kernel/sched/core.c,
 * in_sched_functions(). */
extern const void __sched_text_start __ksym __weak;
extern const void __sched_text_end __ksym __weak;

static __always_inline struct switcher *find_switcher(__u32 tid)
{
	return bpf_map_lookup_elem(&switchers, &tid);
}

static __always_inline struct switcher *get_switcher(__u32 tid)
{
	struct switcher *switcher = find_switcher(tid);
	__u32 zero = 0;
	if (switcher)
		return switcher;
	const struct switcher *blank = bpf_map_lookup_elem(&blanks, &zero);
	if (!blank || bpf_map_update_elem(&switchers, &tid, blank, BPF_NOEXIST))
		return 0;
	return find_switcher(tid);
}

/* A thread that was pushed aside may be anywhere: that is one place. */
static __always_inline __u64 place_of(struct task_struct *task, __u32 is_preempted)
{
	struct pt_regs *regs = compat_user_regs();
	__u64 ip = 0;
	if (!is_preempted && !(task->flags & PF_KTHREAD))
		ip = BPF_PROBE_READ(regs, rip) ^ (BPF_PROBE_READ(regs, rsp) << 16);
	return mix(task->pid, ip);
}

static __always_inline __u32 chance_of(const struct switcher *switcher)
{
	const __u64 *mean_ns = bpf_map_lookup_elem(&places, &switcher->place);
	if (!mean_ns || *mean_ns >= PERIOD_NS)
		return CERTAIN;
	__u32 chance = *mean_ns * CERTAIN / PERIOD_NS;
	return chance < LEAST_CHANCE ? LEAST_CHANCE : chance;
}

static __always_inline void learn(const struct switcher *switcher, __u64 waited_ns)
{
	__u64 place = switcher->place;
	__u64 *mean_ns = bpf_map_lookup_elem(&places, &place);
	if (mean_ns)
		*mean_ns += (__s64)(waited_ns - *mean_ns) >> MEAN_SHIFT;
	else
		bpf_map_update_elem(&places, &place, &waited_ns, BPF_ANY);
}

static __always_inline __u32 is_scheduler(__u64 ip)
{
	return ip >= (__u64)&__sched_text_start && ip < (__u64)&__sched_text_end;
}

/* Without the frames of tracing and of the scheduler, as of threads that are looked at by others. */
static __always_inline void fill_kernel(struct scratch *scratch, void *ctx)
{
	__u64 *frames = scratch->frames;
	__u32 skip = 0, is_inside = 0;
	bpf_get_stack(ctx, frames, MAX_SKIP * sizeof(*frames), 0);
	for (__u32 i = 0; i < MAX_SKIP; i++) {
		__u32 is_one = is_scheduler(frames[i]);
		if (is_inside && !is_one)
			break;
		is_inside |= is_one;
		if (is_one)
			skip = i + 1;
	}
	note_kernel_frames(scratch, bpf_get_stack(ctx, frames,
						  ABI_MAX_KERNEL_FRAMES * sizeof(*frames), skip));
}

static __always_inline void fill_stack(struct scratch *scratch, void *ctx, struct task_struct *task,
				       struct rec_wait *wait)
{
	struct rec_stack *rec = &scratch->rec;
	__u32 cpu = bpf_get_smp_processor_id();
	__u32 has_registers = 0;
	identify(rec, task);
	rec->sample.end_mono_ns = bpf_ktime_get_ns();
	rec->sample.weight_ns = 0;
	rec->sample.cpu = cpu;
	rec->cgroup_id = bpf_get_current_cgroup_id();
	fill_kernel(scratch, ctx);
	clear_walk(scratch);
	if (task->flags & PF_KTHREAD)
		rec->flags |= STACK_KTHREAD;
	else
		has_registers = !bpf_probe_read_kernel(&scratch->regs, sizeof(scratch->regs),
						       compat_user_regs()) &&
				scratch->regs.rsp;
	note_reason(wait, task, has_registers ? &scratch->regs : 0);
	if (has_registers && !compat_in_execve(task)) {
		begin_walk(scratch);
		for (int i = 0; i <= ABI_MAX_USER_FRAMES; i++)
			if (take_frame(cpu))
				break;
	}
	end_walk(scratch);
}

static __always_inline void capture(struct switcher *switcher, void *ctx, struct task_struct *task,
				    __u32 is_preempted)
{
	struct rec_wait *wait = &switcher->account.wait;
	struct scratch *scratch = find_scratch(bpf_get_smp_processor_id());
	if (!scratch)
		return;
	count(STAT_WAIT_WALKS, 1);
	fill_stack(scratch, ctx, task, wait);
	if (is_preempted)
		wait->flags |= WAIT_IS_QUEUED | WAIT_IS_PREEMPTED;
	if (wants_tail(scratch->rec.walk_end) && switcher->tries < MAX_TRIES) {
		switcher->tries++;
		count(STAT_WAIT_DEFERRED, 1);
		send_want(scratch, task);
		return;
	}
	if (send_stack(scratch))
		return;
	if (!wants_tail(scratch->rec.walk_end))
		switcher->tries = 0;
	switcher->generation = look_at_controls().stack_generation;
	switcher->is_captured = 1;
	wait->since_mono_ns = switcher->out_mono_ns;
	set_place(wait, &scratch->rec);
}

/* One that ends was taken leave of in on_exit(): what it waits after that would make it known anew, for
 * as long as nobody has its number. */
static __always_inline __u32 is_sampled(struct task_struct *task)
{
	__u32 flags = task->flags;
	return task->pid && !(flags & PF_EXITING) &&
	       (cfg_kernel_threads || !(flags & PF_KTHREAD)) && is_followed(task->tgid);
}

/* User space forgets stacks in two generations. */
static __always_inline __u32 is_stack_known(const struct switcher *switcher)
{
	return look_at_controls().stack_generation - switcher->generation < 2;
}

static __always_inline void add_credit(struct switcher *switcher, __u64 now_mono_ns, __u64 run_ns)
{
	struct wait_account *account = &switcher->account;
	if (account->until_mono_ns)
		account->credit_ns += now_mono_ns - account->until_mono_ns - run_ns;
	account->until_mono_ns = now_mono_ns;
}

static __always_inline void end_wait(struct switcher *switcher, __u64 now_mono_ns)
{
	__u64 waited_ns = now_mono_ns - switcher->out_mono_ns;
	count(STAT_WAIT_VISITS, 1);
	switcher->out_mono_ns = 0;
	add_credit(switcher, now_mono_ns, 0);
	learn(switcher, waited_ns);
	if (!switcher->is_captured || !is_stack_known(switcher))
		return;
	switcher->account.stands_ns = waited_ns * CERTAIN / switcher->chance;
	give_share(&switcher->account, 0);
	send_wait(&switcher->account);
}

static __always_inline void enter_cpu(__u32 tid, __u64 now_mono_ns)
{
	struct switcher *switcher = find_switcher(tid);
	if (switcher && switcher->out_mono_ns)
		end_wait(switcher, now_mono_ns);
}

static __always_inline void leave_cpu(void *ctx, struct task_struct *task, __u32 is_preempted,
				      __u64 now_mono_ns)
{
	struct switcher *switcher = get_switcher(task->pid);
	if (!switcher)
		return;
	__u64 ran_ns = task->se.sum_exec_runtime - switcher->run_ns;
	/* It came back unseen: some hosts hide the switches from threads of their own. What it ran
	 * since tells when. */
	if (switcher->out_mono_ns)
		end_wait(switcher, now_mono_ns - ran_ns);
	/* Of what was between, it did not run all: a hypervisor or interrupts did. */
	add_credit(switcher, now_mono_ns, ran_ns);
	switcher->run_ns += ran_ns;
	switcher->is_captured = 0;
	switcher->out_mono_ns = now_mono_ns;
	switcher->place = place_of(task, is_preempted);
	switcher->chance = chance_of(switcher);
	if ((bpf_get_prandom_u32() & (CERTAIN - 1)) < switcher->chance)
		capture(switcher, ctx, task, is_preempted);
}

SEC("tp_btf/sched_switch")
int BPF_PROG(on_switch, int is_preempted, struct task_struct *prev, struct task_struct *next)
{
	__u64 now_mono_ns = bpf_ktime_get_ns();
	if (is_sampled(prev))
		leave_cpu(ctx, prev, is_preempted || !compat_task_state(prev), now_mono_ns);
	if (is_sampled(next))
		enter_cpu(next->pid, now_mono_ns);
	return 0;
}

SEC("raw_tp/sched_process_exit")
int on_exit(void *ctx)
{
	(void)ctx;
	__u32 tid = (__u32)bpf_get_current_pid_tgid();
	struct switcher *switcher = find_switcher(tid);
	if (!switcher)
		return 0;
	struct wait_account *account = &switcher->account;
	if (account->wait.sample.stack_hash && is_stack_known(switcher)) {
		give(account, account->credit_ns);
		account->wait.flags |= WAIT_IS_EXIT;
		send_wait(account);
	} else if (account->credit_ns > 0) {
		count(STAT_WAIT_UNSEEN_NS, account->credit_ns);
	}
	bpf_map_delete_elem(&switchers, &tid);
	return 0;
}
