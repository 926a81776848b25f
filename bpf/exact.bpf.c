/*
 * exact: every switch of the threads that are asked for, with times that are exact.
 *
 * Loaded only while somebody traces. Where a wait's stack is taken is decided when it begins,
 * before any work: each time, or with a chance that is the thread's mean wait over cfg_period_ns.
 * The other waits are counted all the same: the sums of a thread are those of all its waits, and a
 * record says how much it stands for.
 *
 * Programs run with interrupts off, so they have a CPU's scratch memory to themselves.
 */
#include <linux/bpf.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "bpf/abi.h"
#include "bpf/stack.bpf.h"
#include "bpf/wait_reason.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* The kernel tells the state that prev had when it called schedule(): since v5.18.
 * https://git.kernel.org/torvalds/c/9c2136be0878 */
const volatile __u32 cfg_has_state = 0;
const volatile __u32 cfg_pid = 0; /* 0: any */
const volatile __u32 cfg_tid = 0;
const volatile __u32 cfg_not_pid = 0;
const volatile __u32 cfg_in_cgroup = 0; /* only below asked_cgroups[0] */
const volatile __u32 cfg_states = 7;    /* enum wanted_state */
const volatile __u32 cfg_session = 0;
const volatile __u32 cfg_cpus = 1; /* possible ones */
const volatile __u64 cfg_min_ns = 0;
const volatile __u64 cfg_max_ns = ~0ULL;
const volatile __u64 cfg_delay_ns = ~0ULL; /* a run-queue delay that is worth a line */
const volatile __u64 cfg_period_ns = 0;    /* of waiting a stack is taken for; 0: for each wait */
/* Kernel code: the scheduler itself, the function that wakes, the entries of interrupts. Empty where
 * it is not known. */
const volatile __u64 cfg_sched_start = 0, cfg_sched_end = 0;
const volatile __u64 cfg_wake_start = 0, cfg_wake_end = 0;
const volatile __u64 cfg_irq_start = 0, cfg_irq_end = 0;

enum wanted_state {
	WANTED_SLEEPING = 1 << 0, /* interruptible */
	WANTED_BLOCKED = 1 << 1,  /* uninterruptible */
	WANTED_RUNNABLE = 1 << 2,
};

/* include/linux/sched.h */
#define TASK_UNINTERRUPTIBLE 0x0002
#define TASK_DEAD            0x0080

/* Where bpf_get_stack() begins is a few calls into the tracing itself. */
#define MAX_LEADING_FRAMES 16

/* A tail is copied with the run queue locked: not more often than this on a CPU, but for some in a row
 * when processes are new. */
#define TAIL_EVERY_NS 250000ULL
#define TAIL_BURST_NS (64 * TAIL_EVERY_NS)

enum fate {
	FATE_UNSAMPLED,
	FATE_TAKEN, /* rec has all that is known when a wait begins */
	FATE_STATES,
	FATE_NO_SCRATCH,
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, __u32); /* tid */
	__type(value, struct trace_thread);
} trace_threads SEC(".maps");

/* What a thread begins with: too large for the stack. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct trace_thread);
} trace_blank SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_CGROUP_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} asked_cgroups SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, struct trace_pair);
	__type(value, struct trace_pair_sum);
} trace_pairs SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, TRACE_MAX_DELAYS);
	__type(key, __u32);
	__type(value, struct trace_delay);
} trace_delays SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, TRACE_STAT_COUNT);
	__type(key, __u32);
	__type(value, __u64);
} trace_stats SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64); /* when the next tail is due */
} trace_tails SEC(".maps");

static __always_inline void note(__u32 stat)
{
	__u64 *value = bpf_map_lookup_elem(&trace_stats, &stat);
	if (value)
		__sync_fetch_and_add(value, 1);
}

static __always_inline __u32 is_asked_for(__u32 pid, __u32 tid)
{
	if ((cfg_pid && pid != cfg_pid) || (cfg_tid && tid != cfg_tid) || pid == cfg_not_pid)
		return 0;
	if (!is_followed(pid))
		return 0;
	return !cfg_in_cgroup || bpf_current_task_under_cgroup(&asked_cgroups, 0) == 1;
}

static __always_inline struct trace_thread *find_thread(__u32 tid)
{
	return bpf_map_lookup_elem(&trace_threads, &tid);
}

static __always_inline struct trace_thread *get_thread(struct task_struct *task)
{
	__u32 zero = 0, tid = task->pid;
	struct trace_thread *thread = find_thread(tid);
	if (thread)
		return thread;
	struct trace_thread *blank = bpf_map_lookup_elem(&trace_blank, &zero);
	if (!blank || bpf_map_update_elem(&trace_threads, &tid, blank, BPF_NOEXIST))
		return 0;
	return find_thread(tid);
}

static __always_inline void add_time(struct trace_thread *thread, enum trace_times times, __u64 ns)
{
	__u64 us = ns / 1000;
	__u32 slot = 0;
	if (us >> 32) {
		slot = TRACE_SLOTS - 1;
	} else {
		__u32 left = us;
		__u32 step = (left > 0xffff) << 4;
		left >>= step;
		slot = step;
		step = (left > 0xff) << 3;
		left >>= step;
		slot |= step;
		step = (left > 0xf) << 2;
		left >>= step;
		slot |= step;
		step = (left > 3) << 1;
		left >>= step;
		slot |= step | left >> 1;
	}
	if (slot >= TRACE_SLOTS)
		slot = TRACE_SLOTS - 1;
	thread->slots[times][slot]++;
}

/* From the leaf on, all up to the first run of frames in [start, end) and that run itself: how the
 * kernel came from there to this program. What is left is what bpf_get_task_stack() has. */
static __always_inline void drop_leading(struct scratch *scratch, __u64 start, __u64 end)
{
	__u32 frames = scratch->rec.kernel_frames, first = 0;
	for (__u32 i = 0; i < MAX_LEADING_FRAMES; i++) {
		if (i >= frames)
			break;
		if (scratch->frames[i] - start < end - start)
			first = i + 1;
		else if (first)
			break;
	}
	if (!first || first > frames)
		return;
	for (__u32 i = 0; i < ABI_MAX_KERNEL_FRAMES; i++) {
		if (i + first >= frames)
			break;
		scratch->frames[i] = scratch->frames[i + first];
	}
	scratch->rec.kernel_frames = frames - first;
}

static __always_inline __u32 is_interrupted(const struct scratch *scratch)
{
	for (__u32 i = 0; i < ABI_MAX_KERNEL_FRAMES; i++) {
		if (i >= scratch->rec.kernel_frames)
			break;
		if (scratch->frames[i] - cfg_irq_start < cfg_irq_end - cfg_irq_start)
			return 1;
	}
	return 0;
}

static __always_inline void fill_user(struct scratch *scratch, __u32 cpu, struct task_struct *task)
{
	clear_walk(scratch);
	if (BPF_CORE_READ(task, flags) & PF_KTHREAD) {
		scratch->rec.flags |= STACK_KTHREAD;
	} else if (BPF_CORE_READ(task, mm) && !compat_in_execve(task) &&
		   !bpf_probe_read_kernel(&scratch->regs, sizeof(scratch->regs),
					  compat_user_regs()) &&
		   scratch->regs.rsp) {
		begin_walk(scratch);
		for (int i = 0; i <= ABI_MAX_USER_FRAMES; i++)
			if (take_frame(cpu))
				break;
	}
	end_walk(scratch);
}

/* A walk that lacks rows: user space goes on with it, and has them loaded for those to come. Such a
 * stack is one wait's alone. 0, or it was not sent. */
static __always_inline __u64 send_tail(struct scratch *scratch, struct task_struct *task,
				       __u64 hash, __u64 now_mono_ns)
{
	__u32 zero = 0;
	struct rec_stack *rec = &scratch->rec;
	__u64 *next_mono_ns = bpf_map_lookup_elem(&trace_tails, &zero);
	if (!next_mono_ns || *next_mono_ns > now_mono_ns)
		return 0;
	if (*next_mono_ns < now_mono_ns - TAIL_BURST_NS)
		*next_mono_ns = now_mono_ns - TAIL_BURST_NS;
	*next_mono_ns += TAIL_EVERY_NS;
	__u32 flags = rec->flags;
	rec->flags |= STACK_ONLY | STACK_TAIL;
	rec->sample.stack_hash = mix(mix(hash, now_mono_ns), rec->sample.tid) | 1;
	__u32 frames = (__u32)rec->kernel_frames + rec->user_frames;
	if (!send_whole(scratch, record_bytes(rec) + fill_tail(scratch, task, frames),
			BPF_RB_FORCE_WAKEUP))
		return rec->sample.stack_hash;
	rec->flags = flags;
	return 0;
}

/* After the kernel part: the user part, and the whole to user space. Returns its hash. */
static __always_inline __u64 take_rest(struct scratch *scratch, __u32 cpu, struct task_struct *task,
				       __u64 now_mono_ns)
{
	struct rec_stack *rec = &scratch->rec;
	rec->sample.end_mono_ns = now_mono_ns;
	rec->sample.weight_ns = 0;
	rec->sample.cpu = cpu;
	rec->cgroup_id = bpf_get_current_cgroup_id();
	fill_user(scratch, cpu, task);
	__u64 hash = hash_stack(scratch);
	__u64 own_hash =
		wants_tail(rec->walk_end) ? send_tail(scratch, task, hash, now_mono_ns) : 0;
	if (own_hash)
		return own_hash;
	rec->sample.stack_hash = hash;
	if (intern_stack(hash) == INTERNED_NOW) {
		rec->flags |= STACK_ONLY;
		if (send_interned(scratch, record_bytes(rec)))
			note(TRACE_STACKS_LOST);
	}
	return hash;
}

static __always_inline void take_kernel(struct scratch *scratch, void *ctx,
					struct task_struct *task)
{
	identify(&scratch->rec, task);
	note_kernel_frames(scratch, bpf_get_stack(ctx, scratch->frames,
						  ABI_MAX_KERNEL_FRAMES * sizeof(__u64), 0));
}

static __always_inline enum fate take_wait(void *ctx, struct trace_thread *thread,
					   struct task_struct *task, __u32 state, __u64 now_mono_ns)
{
	__u32 cpu = bpf_get_smp_processor_id();
	struct scratch *scratch = find_scratch(cpu);
	struct rec_switch *rec = &thread->rec;
	struct rec_wait *wait = &rec->wait;
	if (!scratch)
		return FATE_NO_SCRATCH;
	take_kernel(scratch, ctx, task);
	drop_leading(scratch, cfg_sched_start, cfg_sched_end);
	wait->sample.stack_hash = take_rest(scratch, cpu, task, now_mono_ns);
	wait->sample.pid = thread->pid;
	wait->sample.tid = thread->tid;
	note_reason(wait, task, scratch->walk.end == WALK_NONE ? 0 : &scratch->regs);
	/* As it went to sleep: it may have been woken since, before it was gone. */
	wait->state = state;
	wait->flags &= WAIT_IS_IO;
	rec->waker_hash = 0;
	rec->waker_pid = 0;
	rec->waker_tid = 0;
	return FATE_TAKEN;
}

static __always_inline __u32 is_state_wanted(__u32 state, __u32 is_runnable)
{
	__u32 is = is_runnable                    ? WANTED_RUNNABLE
		   : state & TASK_UNINTERRUPTIBLE ? WANTED_BLOCKED
						  : WANTED_SLEEPING;
	return cfg_states & is;
}

/* Before any work: is this wait's stack taken? */
static __always_inline __u32 is_chosen(const struct trace_thread *thread)
{
	__u64 mean_ns = thread->mean_ns;
	if (!cfg_period_ns || !mean_ns || mean_ns >= cfg_period_ns)
		return 1;
	return (__u64)bpf_get_prandom_u32() * cfg_period_ns < mean_ns << 32;
}

/* What a wait stands for that was chosen with that chance. */
static __always_inline __u64 weight_of(const struct trace_thread *thread, __u64 off_ns)
{
	__u64 mean_ns = thread->mean_ns;
	if (!cfg_period_ns || !mean_ns || mean_ns >= cfg_period_ns)
		return off_ns;
	return off_ns * cfg_period_ns / mean_ns;
}

static __always_inline void leave_cpu(void *ctx, struct task_struct *prev, struct task_struct *next,
				      __u32 is_preempted, __u32 state, __u64 now_mono_ns)
{
	__u32 is_runnable = is_preempted || !state;
	note(TRACE_SEEN);
	if (!is_asked_for(prev->tgid, prev->pid))
		return note(TRACE_OTHERS);
	struct trace_thread *thread = get_thread(prev);
	if (!thread)
		return note(TRACE_NO_THREAD);
	thread->pid = prev->tgid;
	thread->tid = prev->pid;
	thread->cgroup_id = bpf_get_current_cgroup_id();
	/* Programs do not run within themselves, nor everywhere where the kernel forbids it. */
	if (thread->out_mono_ns && thread->off != TRACE_OFF_NEW)
		note(TRACE_MISSED);
	if (thread->in_mono_ns) {
		__u64 running_ns = now_mono_ns - thread->in_mono_ns;
		thread->running_ns += running_ns;
		add_time(thread, TRACE_RUNNING, running_ns);
	}
	thread->in_mono_ns = 0;
	thread->waking_mono_ns = 0;
	thread->out_mono_ns = 0;
	if (state & TASK_DEAD)
		return note(TRACE_ENDED);
	BPF_CORE_READ_INTO(&thread->comm, prev, comm);
	thread->off = is_runnable ? TRACE_OFF_PREEMPTED : TRACE_OFF_SLEEP;
	thread->other_tid = 0;
	thread->is_throttled = 0;
	if (is_runnable) {
		thread->is_throttled = compat_is_throttled(prev);
		thread->other_tid = next->pid;
		BPF_CORE_READ_INTO(&thread->other_comm, next, comm);
	}
	thread->fate = FATE_UNSAMPLED;
	if (!is_state_wanted(state, is_runnable))
		thread->fate = FATE_STATES;
	else if (is_chosen(thread))
		thread->fate = take_wait(ctx, thread, prev, is_runnable ? 0 : state, now_mono_ns);
	/* Last: from here on who wakes it may write, too. */
	thread->out_mono_ns = now_mono_ns;
}

static __always_inline void note_delay(const struct trace_thread *thread, struct task_struct *prev,
				       __u64 delay_ns, __u64 now_mono_ns)
{
	__u32 stat = TRACE_DELAYS, cpu = bpf_get_smp_processor_id();
	__u64 *delays = bpf_map_lookup_elem(&trace_stats, &stat);
	if (!delays)
		return;
	/* Each CPU has places of its own. */
	__u32 at = (*delays * cfg_cpus + cpu) & (TRACE_MAX_DELAYS - 1);
	struct trace_delay *delay = bpf_map_lookup_elem(&trace_delays, &at);
	*delays += 1;
	if (!delay)
		return;
	delay->in_mono_ns = now_mono_ns;
	delay->delay_ns = delay_ns;
	delay->pid = thread->pid;
	delay->tid = thread->tid;
	delay->other_tid = prev->pid;
	delay->cpu = cpu;
	__builtin_memcpy(delay->comm, thread->comm, sizeof(delay->comm));
	BPF_CORE_READ_INTO(&delay->other_comm, prev, comm);
}

static __always_inline void note_pair(const struct trace_thread *thread, __u64 preempted_ns)
{
	struct trace_pair pair;
	__builtin_memcpy(pair.comm, thread->comm, sizeof(pair.comm));
	__builtin_memcpy(pair.other_comm, thread->other_comm, sizeof(pair.other_comm));
	struct trace_pair_sum *sum = bpf_map_lookup_elem(&trace_pairs, &pair);
	if (!sum) {
		struct trace_pair_sum none = {0};
		bpf_map_update_elem(&trace_pairs, &pair, &none, BPF_NOEXIST);
		sum = bpf_map_lookup_elem(&trace_pairs, &pair);
	}
	if (!sum)
		return note(TRACE_PAIRS_LOST);
	__sync_fetch_and_add(&sum->preemptions, 1);
	__sync_fetch_and_add(&sum->preempted_ns, preempted_ns);
}

/* Exact sums and histograms. Returns how long it was runnable. */
static __always_inline void add_times(struct trace_thread *thread, struct task_struct *prev,
				      __u64 ready_mono_ns, __u64 off_ns, __u64 now_mono_ns)
{
	__u64 ready_ns = now_mono_ns - ready_mono_ns;
	thread->waits += thread->off != TRACE_OFF_NEW;
	thread->sleep_ns += off_ns - ready_ns;
	if (thread->off != TRACE_OFF_NEW)
		add_time(thread, TRACE_OFF, off_ns);
	if (thread->is_throttled) {
		thread->throttled_ns += ready_ns;
		return;
	}
	if (thread->off == TRACE_OFF_PREEMPTED) {
		thread->preempted_ns += ready_ns;
		note_pair(thread, ready_ns);
	} else {
		thread->queued_ns += ready_ns;
	}
	add_time(thread, TRACE_QUEUED, ready_ns);
	if (ready_ns >= cfg_delay_ns)
		note_delay(thread, prev, ready_ns, now_mono_ns);
}

static __always_inline void send_wait(struct trace_thread *thread, __u64 waking_mono_ns,
				      __u64 off_ns, __u64 now_mono_ns)
{
	struct rec_switch *rec = &thread->rec;
	struct rec_wait *wait = &rec->wait;
	wait->sample.kind = REC_SWITCH;
	wait->sample.size_bytes = sizeof(*rec);
	wait->sample.end_mono_ns = now_mono_ns;
	wait->sample.cpu = bpf_get_smp_processor_id();
	wait->sample.weight_ns = 0;
	wait->weight_ns = weight_of(thread, off_ns);
	wait->since_mono_ns = now_mono_ns - off_ns;
	if (thread->off == TRACE_OFF_PREEMPTED)
		wait->flags |= WAIT_IS_PREEMPTED | WAIT_IS_QUEUED |
			       (thread->is_throttled ? WAIT_IS_THROTTLED : 0);
	rec->waking_mono_ns = waking_mono_ns;
	rec->other_tid = thread->other_tid;
	rec->session = cfg_session;
	note(bpf_ringbuf_output(&samples, rec, sizeof(*rec), wakeup_flags()) ? TRACE_RING_FULL
									     : TRACE_SENT);
}

/* Of a wait that is over: what becomes of it. */
static __always_inline void end_wait(struct trace_thread *thread, __u64 waking_mono_ns,
				     __u64 off_ns, __u64 now_mono_ns)
{
	if (thread->fate == FATE_STATES)
		return note(TRACE_STATES);
	if (off_ns < cfg_min_ns)
		return note(TRACE_SHORT);
	if (off_ns > cfg_max_ns)
		return note(TRACE_LONG);
	thread->kept_ns += off_ns;
	thread->kept_waits++;
	if (thread->fate == FATE_TAKEN)
		send_wait(thread, waking_mono_ns, off_ns, now_mono_ns);
	else
		note(thread->fate == FATE_NO_SCRATCH ? TRACE_NO_SCRATCH : TRACE_UNSAMPLED);
}

static __always_inline void enter_cpu(struct task_struct *prev, struct task_struct *next,
				      __u64 now_mono_ns)
{
	struct trace_thread *thread = find_thread(next->pid);
	if (!thread)
		return;
	__u64 out_mono_ns = thread->out_mono_ns;
	thread->in_mono_ns = now_mono_ns;
	if (!out_mono_ns)
		return;
	thread->out_mono_ns = 0;
	__u64 waking_mono_ns = thread->waking_mono_ns;
	__u64 off_ns = now_mono_ns - out_mono_ns;
	__u64 ready_mono_ns = out_mono_ns;
	if (thread->off == TRACE_OFF_SLEEP) {
		if (waking_mono_ns < out_mono_ns || waking_mono_ns > now_mono_ns)
			waking_mono_ns = now_mono_ns;
		ready_mono_ns = waking_mono_ns;
	}
	add_times(thread, prev, ready_mono_ns, off_ns, now_mono_ns);
	if (thread->off == TRACE_OFF_NEW)
		return;
	end_wait(thread, waking_mono_ns, off_ns, now_mono_ns);
	/* Not before: a wait stands for what it was chosen for. */
	thread->mean_ns =
		thread->mean_ns ? thread->mean_ns - thread->mean_ns / 8 + off_ns / 8 : off_ns;
}

SEC("tp_btf/sched_switch")
int on_switch(__u64 *ctx)
{
	struct task_struct *prev = (void *)ctx[1];
	struct task_struct *next = (void *)ctx[2];
	__u64 now_mono_ns = bpf_ktime_get_ns();
	__u32 state = cfg_has_state ? (__u32)ctx[3] : compat_task_state(prev);
	if (prev->pid)
		leave_cpu(ctx, prev, next, ctx[0] & 1, state, now_mono_ns);
	if (next->pid)
		enter_cpu(prev, next, now_mono_ns);
	return 0;
}

/* Who wakes the thread, and from where. */
static __always_inline void take_waker(void *ctx, struct trace_thread *thread, __u64 now_mono_ns)
{
	__u32 cpu = bpf_get_smp_processor_id();
	struct scratch *scratch = find_scratch(cpu);
	struct task_struct *waker = (void *)bpf_get_current_task();
	__u64 pid_tid = bpf_get_current_pid_tgid();
	if (!scratch || !(__u32)pid_tid) /* an idle CPU is woken by interrupts only */
		return;
	take_kernel(scratch, ctx, waker);
	if (is_interrupted(scratch))
		return;
	drop_leading(scratch, cfg_wake_start, cfg_wake_end);
	thread->rec.waker_hash = take_rest(scratch, cpu, waker, now_mono_ns);
	thread->rec.waker_pid = pid_tid >> 32;
	thread->rec.waker_tid = (__u32)pid_tid;
}

SEC("tp_btf/sched_waking")
int on_waking(__u64 *ctx)
{
	struct task_struct *task = (void *)ctx[0];
	struct trace_thread *thread = find_thread(task->pid);
	if (!thread || !thread->out_mono_ns || thread->waking_mono_ns ||
	    thread->off != TRACE_OFF_SLEEP)
		return 0;
	__u64 now_mono_ns = bpf_ktime_get_ns();
	thread->waking_mono_ns = now_mono_ns;
	if (thread->fate == FATE_TAKEN)
		take_waker(ctx, thread, now_mono_ns);
	return 0;
}

/* It is on a run queue now. A thread that was woken just as it went to sleep was not known to be
 * off the CPU when sched_waking told. */
SEC("tp_btf/sched_wakeup")
int on_wakeup(__u64 *ctx)
{
	struct task_struct *task = (void *)ctx[0];
	struct trace_thread *thread = find_thread(task->pid);
	if (!thread || !thread->out_mono_ns || thread->off != TRACE_OFF_SLEEP)
		return 0;
	if (!thread->waking_mono_ns)
		thread->waking_mono_ns = bpf_ktime_get_ns();
	thread->is_throttled = compat_is_throttled(task);
	return 0;
}

SEC("tp_btf/sched_wakeup_new")
int on_wakeup_new(__u64 *ctx)
{
	struct task_struct *task = (void *)ctx[0];
	if (!is_asked_for(task->tgid, task->pid))
		return 0;
	struct trace_thread *thread = get_thread(task);
	if (!thread)
		return 0; /* counted when it leaves the CPU */
	thread->pid = task->tgid;
	thread->tid = task->pid;
	thread->cgroup_id = bpf_get_current_cgroup_id();
	BPF_CORE_READ_INTO(&thread->comm, task, comm);
	thread->off = TRACE_OFF_NEW;
	thread->mean_ns = 0;
	thread->is_throttled = compat_is_throttled(task);
	thread->waking_mono_ns = 0;
	thread->in_mono_ns = 0;
	thread->out_mono_ns = bpf_ktime_get_ns();
	return 0;
}
