/*
 * waiting: visits to threads that are not running: how long they waited, and where.
 *
 * Whatever a thread waited since its last visit is credit, exact by the scheduler's clock. A thread
 * that is found waiting in the same place as before is given credit there, by one comparison; where
 * it has moved, its stack is taken. What was given goes out as one record when the thread moves,
 * every FLUSH_NS, or when it ends.
 *
 * Visits are made by a runner, a thread of user space, and never by two to one thread at a time.
 */
#pragma once
#define WALK_OTHERS 1
#include <linux/bpf.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "bpf/abi.h"
#include "bpf/compat.bpf.h"
#include "bpf/stack.bpf.h"
#include "bpf/wait_account.bpf.h"
#include "bpf/wait_reason.bpf.h"

#define FLUSH_NS 10000000000ULL
/* In one pass; the rest waits for the next. */
#define MAX_WALKS 512
#define MAX_WANTS 64
/* Pages of one stack: as many as fit ABI_MAX_USER_FRAMES of 512 bytes. */
#define MAX_COPIES 64
/* While rows are being read; after that the stack is taken as it is, and anew at each later try. */
#define MAX_TRIES    4
#define LAST_TRY     7
#define FIRST_TRY_NS 40000000ULL /* doubled for each try */

/* What each visit touches comes first. */
struct waiter {
	__u64 key;                    /* of the wait it was seen in; 0: moved on */
	__u64 seen_key;               /* as of the last visit; 0: it ran */
	__u64 visit_mono_ns;          /* the last visit */
	__u64 credited_run_ns;        /* its CPU time, when credit was last computed */
	__u64 due_mono_ns;            /* for a record */
	__u64 retry_mono_ns;          /* no walk before */
	__u64 voluntary, involuntary; /* switches, as of the last visit */
	__u32 generation;             /* in which the stack went out */
	__u32 tries;                  /* walks that lacked rows */
	__u32 is_preempted;           /* by the counters of switches */
	__u32 is_cut;                 /* rows were missing when the stack was taken */
	struct wait_account account;
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct waiter);
} waiters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, ABI_RUNNERS);
	__type(key, __u32);
	__type(value, struct wait_runner);
} runners SEC(".maps");

/* Processes whose memory is not to be read before that time. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, __u32); /* pid */
	__type(value, __u64);
} avoided SEC(".maps");

static __always_inline struct wait_runner *find_runner(__u32 number)
{
	return bpf_map_lookup_elem(&runners, &number);
}

/* The number of the current thread; ABI_RUNNERS: it is none, or was given up. */
static __always_inline __u32 runner_number(void)
{
	__u32 tid = (__u32)bpf_get_current_pid_tgid();
	for (__u32 i = 0; i < ABI_RUNNERS; i++) {
		const struct wait_runner *runner = find_runner(i);
		if (runner && runner->tid == tid && !runner->is_given_up)
			return i;
	}
	return ABI_RUNNERS;
}

static __always_inline void begin_pass(struct wait_runner *runner, __u64 now_mono_ns)
{
	runner->changed_last_pass = runner->changed;
	runner->visits = runner->changed = runner->walks = runner->wants = 0;
	runner->pass_mono_ns = now_mono_ns;
}

static __always_inline void end_pass(struct wait_runner *runner)
{
	count(STAT_WAIT_PASSES, 1);
	count(STAT_WAIT_VISITS, runner->visits);
	count(STAT_WAIT_PASS_NS, bpf_ktime_get_ns() - runner->pass_mono_ns);
}

/* --- credit --- */

/* Tells one wait of a thread from the next. */
static __always_inline __u64 switches(struct task_struct *task)
{
	return task->nvcsw + task->nivcsw + 1;
}

static __always_inline void meet(struct waiter *waiter, struct task_struct *task, __u64 now_mono_ns)
{
	__u64 born_mono_ns = task->start_time;
	__u32 is_young = born_mono_ns > cfg_start_mono_ns && born_mono_ns < now_mono_ns;
	waiter->account.until_mono_ns = is_young ? born_mono_ns : now_mono_ns;
	waiter->credited_run_ns = is_young ? 0 : task->se.sum_exec_runtime;
	waiter->visit_mono_ns = waiter->account.until_mono_ns;
	waiter->due_mono_ns = now_mono_ns + FLUSH_NS / 1024 * (bpf_get_prandom_u32() & 1023);
	waiter->voluntary = task->nvcsw;
	waiter->involuntary = task->nivcsw;
}

/* Only while it is off the CPU: then the scheduler has counted all that it ran. Clocks differ by a
 * little, so credit may be a little below 0 for a while. */
static __always_inline void add_credit(struct waiter *waiter, struct task_struct *task,
				       __u64 now_mono_ns)
{
	__u64 run_ns = task->se.sum_exec_runtime;
	waiter->account.credit_ns +=
		(now_mono_ns - waiter->account.until_mono_ns) - (run_ns - waiter->credited_run_ns);
	waiter->account.until_mono_ns = now_mono_ns;
	waiter->credited_run_ns = run_ns;
}

/* --- visits --- */

static __always_inline __u32 is_visited(struct task_struct *task)
{
	__u32 flags = task->flags;
	if (!task->pid || task->exit_state || (flags & PF_EXITING) ||
	    (!cfg_kernel_threads && (flags & PF_KTHREAD)))
		return 0;
	return is_followed(task->tgid);
}

/* Does user space still know the stack, and was it whole? */
static __always_inline __u32 is_stack_good(struct waiter *waiter)
{
	__u32 current = look_at_controls().stack_generation;
	if (waiter->generation == current)
		return !waiter->is_cut;
	waiter->tries = 0;
	__u64 hash = waiter->account.wait.sample.stack_hash;
	__u32 *sent_in = bpf_map_lookup_elem(&interned, &hash);
	if (!sent_in || *sent_in != current)
		return 0;
	waiter->generation = current;
	return 1;
}

/* It is where it was. 1: its stack is to be taken anew. */
static __always_inline __u32 stay(struct waiter *waiter, struct task_struct *task,
				  __u64 now_mono_ns, __u32 sends_all)
{
	if (!(waiter->account.wait.flags & WAIT_IS_QUEUED) && is_queued(task)) {
		send_wait(&waiter->account);
		waiter->account.wait.flags |= WAIT_IS_QUEUED;
		waiter->account.wait.state = 0;
		waiter->account.wait.since_mono_ns = now_mono_ns;
	}
	if ((waiter->account.wait.flags & WAIT_IS_THROTTLED) && !compat_is_throttled(task)) {
		send_wait(&waiter->account);
		waiter->account.wait.flags &= ~WAIT_IS_THROTTLED;
		waiter->account.wait.since_mono_ns = now_mono_ns;
	}
	give_share(&waiter->account, sends_all);
	__u32 is_due = sends_all || now_mono_ns >= waiter->due_mono_ns;
	if (!is_due && !(waiter->is_cut && now_mono_ns >= waiter->retry_mono_ns))
		return 0;
	send_wait(&waiter->account);
	if (is_due)
		waiter->due_mono_ns = now_mono_ns + FLUSH_NS;
	return !is_stack_good(waiter);
}

static __always_inline void note_switches(struct waiter *waiter, struct task_struct *task)
{
	__u64 voluntary = task->nvcsw, involuntary = task->nivcsw;
	if (voluntary != waiter->voluntary)
		waiter->is_preempted = 0;
	else if (involuntary != waiter->involuntary)
		waiter->is_preempted = 1; /* the last switch, whatever was before */
	waiter->voluntary = voluntary;
	waiter->involuntary = involuntary;
}

static __always_inline __u32 defer(void)
{
	count(STAT_WAIT_DEFERRED, 1);
	return 0;
}

/* 1: its stack is to be taken. */
static __always_inline __u32 visit(struct task_struct *task, struct wait_runner *runner,
				   __u64 now_mono_ns)
{
	struct waiter *waiter =
		bpf_task_storage_get(&waiters, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!waiter)
		return 0;
	__u64 key = switches(task);
	__u32 sends_all = runner->sends_all;
	if (!waiter->visit_mono_ns)
		meet(waiter, task, now_mono_ns);
	note_switches(waiter, task);
	if (waiter->seen_key != key)
		waiter->account.stands_ns = 0;
	waiter->account.stands_ns += now_mono_ns - waiter->visit_mono_ns;
	waiter->visit_mono_ns = now_mono_ns;
	if (task->on_cpu) {
		waiter->key = waiter->seen_key = 0;
		if (sends_all && waiter->account.wait.sample.stack_hash)
			give(&waiter->account, waiter->account.credit_ns);
		send_wait(&waiter->account);
		return 0;
	}
	runner->visits++;
	waiter->seen_key = key;
	add_credit(waiter, task, now_mono_ns);
	if (waiter->key == key)
		return stay(waiter, task, now_mono_ns, sends_all);
	send_wait(&waiter->account);
	waiter->key = 0;
	return waiter->tries >= MAX_TRIES || now_mono_ns >= waiter->retry_mono_ns || defer();
}

/* When too many threads moved in the last pass, chance decides who is taken in this one: always the
 * same come first. */
static __always_inline __u32 is_taken(const struct wait_runner *runner)
{
	__u32 last = runner->changed_last_pass;
	if (runner->walks < MAX_WALKS &&
	    (last <= MAX_WALKS || bpf_get_prandom_u32() % last < MAX_WALKS))
		return 1;
	return defer();
}

/* --- stacks --- */

/* Frames up to the end of the stack, or to one that needs a chunk. A global function: the verifier
 * checks it once and not for each chunk. */
__attribute__((noinline)) int walk_on(__u32 number)
{
	for (int i = 0; i <= ABI_MAX_USER_FRAMES; i++)
		if (take_frame(number))
			break;
	return 0;
}

/* In place of the one that was copied the longest ago. */
static __always_inline void copy_chunk(struct walk *walk, struct task_struct *task)
{
	__u32 i = walk->next_chunk++ & (CHUNKS - 1);
	__u64 at = walk->wanted_at;
	long rc = bpf_copy_from_user_task(walk->chunks[i], CHUNK_BYTES, (void *)at, task, 0);
	walk->chunks_at[i] = rc ? at | BAD_CHUNK : at;
}

static __always_inline void walk_other(struct scratch *scratch, __u32 number,
				       struct task_struct *task)
{
	struct walk *walk = &scratch->walk;
	begin_walk(scratch);
	for (int i = 0; i < MAX_COPIES; i++) {
		walk_on(number);
		if (!walk->needs_chunk)
			return;
		copy_chunk(walk, task);
	}
	walk->end = WALK_CUT;
}

static __always_inline __u32 read_registers(struct scratch *scratch, struct task_struct *task)
{
	void *regs = (void *)bpf_task_pt_regs(task);
	return !bpf_probe_read_kernel(&scratch->regs, sizeof(scratch->regs), regs);
}

static __always_inline void fill_stack(struct scratch *scratch, __u32 number,
				       struct task_struct *task, struct waiter *waiter)
{
	struct rec_stack *rec = &scratch->rec;
	__u32 has_registers = 0;
	identify(rec, task);
	rec->sample.end_mono_ns = waiter->account.until_mono_ns;
	rec->sample.weight_ns = 0;
	rec->sample.cpu = compat_task_cpu(task);
	rec->cgroup_id = BPF_CORE_READ(task, cgroups, dfl_cgrp, kn, id);
	note_kernel_frames(scratch, bpf_get_task_stack(task, scratch->frames,
						       ABI_MAX_KERNEL_FRAMES * sizeof(__u64), 0));
	clear_walk(scratch);
	if (task->flags & PF_KTHREAD)
		rec->flags |= STACK_KTHREAD;
	else
		has_registers = read_registers(scratch, task) && scratch->regs.rsp;
	note_reason(&waiter->account.wait, task, has_registers ? &scratch->regs : 0);
	if (has_registers && !compat_in_execve(task))
		walk_other(scratch, number, task);
	end_walk(scratch);
}

static __always_inline void put_off(struct waiter *waiter)
{
	waiter->retry_mono_ns = waiter->visit_mono_ns + (FIRST_TRY_NS << (waiter->tries & 7));
	if (waiter->tries < LAST_TRY)
		waiter->tries++;
}

static __always_inline __u32 want_rows(struct scratch *scratch, struct task_struct *task,
				       struct wait_runner *runner)
{
	if (runner->wants >= MAX_WANTS)
		return 0;
	runner->wants++;
	send_want(scratch, task);
	return 1;
}

/* Rows are missing: user space is asked for them, and the thread is looked at again. */
static __always_inline void ask_for_rows(struct scratch *scratch, struct task_struct *task,
					 struct waiter *waiter, struct wait_runner *runner)
{
	defer();
	if (want_rows(scratch, task, runner))
		put_off(waiter);
}

/* This is where it waits. */
static __always_inline void settle(struct waiter *waiter, __u64 key, const struct rec_stack *rec,
				   __u32 sends_all)
{
	struct rec_wait *wait = &waiter->account.wait;
	if (waiter->key != key)
		wait->since_mono_ns = waiter->visit_mono_ns;
	waiter->key = key;
	waiter->generation = look_at_controls().stack_generation;
	waiter->is_cut = wants_tail(rec->walk_end);
	if (waiter->is_cut) /* what has not moved by then is looked at again */
		put_off(waiter);
	else
		waiter->tries = 0;
	if (waiter->is_preempted && (wait->flags & WAIT_IS_QUEUED))
		wait->flags |= WAIT_IS_PREEMPTED;
	set_place(wait, rec);
	give_share(&waiter->account, sends_all);
	if (sends_all)
		send_wait(&waiter->account);
}

static __always_inline __u32 has_moved(struct task_struct *task, __u64 key)
{
	return switches(task) != key || task->on_cpu || (task->flags & PF_EXITING);
}

static __always_inline __u32 is_avoided(__u32 pid, __u64 now_mono_ns)
{
	const __u64 *until_mono_ns = bpf_map_lookup_elem(&avoided, &pid);
	return until_mono_ns && now_mono_ns < *until_mono_ns;
}

/* Of a trusted task, where the program may sleep: copying may wait for whoever holds the lock of the
 * address space, or serves its pages. */
static __always_inline void take_stack(struct task_struct *task, __u32 number,
				       struct wait_runner *runner)
{
	struct scratch *scratch = find_scratch(number);
	struct waiter *waiter = bpf_task_storage_get(&waiters, task, 0, 0);
	if (!scratch || !waiter)
		return;
	__u64 key = switches(task);
	__u32 pid = task->tgid;
	if (compat_is_mm_locked(task) || is_avoided(pid, waiter->visit_mono_ns)) {
		count(STAT_WAIT_BUSY, 1);
		return;
	}
	count(STAT_WAIT_WALKS, 1);
	runner->since_mono_ns = bpf_ktime_get_ns();
	runner->pid = pid;
	fill_stack(scratch, number, task, waiter);
	if (runner->is_given_up || has_moved(task, key))
		count(STAT_WAIT_RACED, 1);
	else if (wants_tail(scratch->rec.walk_end) && waiter->tries < MAX_TRIES)
		ask_for_rows(scratch, task, waiter, runner);
	else if (!send_stack(scratch)) {
		settle(waiter, key, &scratch->rec, runner->sends_all);
		if (waiter->is_cut)
			want_rows(scratch, task, runner);
	}
	runner->pid = 0; /* not before: slices of the stack are read as well */
}

/* --- ends of threads --- */

static __always_inline void add_unseen(__s64 waited_ns)
{
	if (waited_ns > 0)
		count(STAT_WAIT_UNSEEN_NS, waited_ns);
}

/* The thread is at its end; what it waited since its last visit was where it was seen last. */
SEC("raw_tp/sched_process_exit")
int on_exit(void *ctx)
{
	(void)ctx;
	struct task_struct *task = bpf_get_current_task_btf();
	__u64 now_mono_ns = bpf_ktime_get_ns();
	struct waiter *waiter = bpf_task_storage_get(&waiters, task, 0, 0);
	if (!waiter) {
		if (task->start_time > cfg_start_mono_ns && !(task->flags & PF_KTHREAD) &&
		    is_followed(task->tgid))
			add_unseen((now_mono_ns - task->start_time) - task->se.sum_exec_runtime);
		return 0;
	}
	add_credit(waiter, task, now_mono_ns);
	if (!waiter->account.wait.sample.stack_hash) {
		add_unseen(waiter->account.credit_ns);
		return 0;
	}
	give(&waiter->account, waiter->account.credit_ns);
	waiter->account.wait.flags |= WAIT_IS_EXIT;
	send_wait(&waiter->account);
	return 0;
}
