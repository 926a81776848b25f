/*
 * sampler: on every tick of a CPU's clock, who runs there and where.
 *
 * A (process, stack) goes out whole the first time it is met in a generation, after that only
 * a small record with its hash. The hash table of what went out is an LRU: an entry that is
 * evicted, or older than the current generation, costs one resend and heals whatever was lost.
 */
#include <linux/bpf.h>
#include <linux/bpf_perf_event.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "bpf/abi.h"
#include "bpf/compat.bpf.h"
#include "bpf/unwind.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

const volatile __u32 abi_version = ABI_VERSION;
const volatile __u64 cfg_period_ns = 10101010;
const volatile __u32 cfg_follow = 0; /* only processes in `followed` */
const volatile __u32 cfg_ring_bytes = 0;
/* Of stack in a tail, at most: what there is room for in `scratches`. */
const volatile __u32 cfg_slice_bytes = ABI_SLICE_BYTES;

/* Bumped by user space; entries of older generations are sent whole again. */
__u32 generation = 1;

/* A tick that is later than this is the clock's doing (a machine that slept), not a thread's. */
#define MAX_LATE_NS 1000000000ULL

#define MAX_FRAMES (ABI_MAX_KERNEL_FRAMES + ABI_MAX_USER_FRAMES)

struct scratch {
	struct walk walk;
	struct pt_regs regs; /* of user space */
	/* All that is sent begins here. */
	struct rec_stack rec;
	__u64 frames[MAX_FRAMES]; /* rec.frames[] */
	/* A tail begins right behind the frames there are, so this is room for the last one. */
	struct rec_tail tail_room;
	__u8 slice_room[ABI_SLICE_BYTES]; /* cfg_slice_bytes of them are there */
};

struct cpu_clock {
	__u64 first_mono_ns;    /* the first tick: the grid the later ones are on */
	__u64 credited_periods; /* periods since then that some sample or idle tick stands for */
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 8 << 20);
} samples SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 32768);
	__type(key, __u64);   /* stack hash */
	__type(value, __u32); /* generation in which the stack last went out */
} interned SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, __u32); /* pid */
	__type(value, __u32);
} followed SEC(".maps");

/* One for each CPU. Values of per-CPU maps cannot be so large: PCPU_MIN_UNIT_SIZE in
 * include/linux/percpu.h. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct scratch);
} scratches SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct cpu_clock);
} cpu_clocks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, STAT_COUNT);
	__type(key, __u32);
	__type(value, __u64);
} stats SEC(".maps");

static __always_inline struct scratch *this_scratch(void)
{
	__u32 cpu = bpf_get_smp_processor_id();
	return bpf_map_lookup_elem(&scratches, &cpu);
}

static __always_inline void count(__u32 stat, __u64 by)
{
	__u64 *value = bpf_map_lookup_elem(&stats, &stat);
	if (value)
		*value += by;
}

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

static __always_inline __u64 mix(__u64 hash, __u64 value)
{
	hash = (hash ^ value) * 0x9e3779b97f4a7c15ULL;
	return hash ^ (hash >> 29);
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

static __always_inline __u32 fill_kernel(struct scratch *scratch, void *ctx)
{
	long bytes = bpf_get_stack(ctx, scratch->frames, ABI_MAX_KERNEL_FRAMES * sizeof(__u64), 0);
	__u32 frames = bytes > 0 ? (__u32)bytes / sizeof(__u64) : 0;
	if (frames >= ABI_MAX_KERNEL_FRAMES) {
		frames = ABI_MAX_KERNEL_FRAMES;
		scratch->rec.flags |= STACK_KERNEL_CUT;
	}
	scratch->rec.kernel_frames = frames;
	return frames;
}

/* One frame: into the record and the hash, then on to its caller. 1: the walk has ended. A global
 * function, which the verifier checks once and not for each of the frames; it finds its state by
 * itself, as such functions could not be given pointers before v5.13. */
__attribute__((noinline)) int take_frame(void)
{
	struct scratch *scratch = this_scratch();
	if (!scratch)
		return 1;
	struct walk *walk = &scratch->walk;
	__u32 at = scratch->rec.kernel_frames + walk->frames;
	walk->end = WALK_CUT;
	if (walk->frames >= ABI_MAX_USER_FRAMES || at >= MAX_FRAMES)
		return 1;
	scratch->frames[at] = walk->ip + walk->is_exact;
	walk->hash = mix(walk->hash, walk->ip);
	walk->frames++;
	return walk_step(walk);
}

/* A block that a child has from its parent is the parent's: it may go when that has another. */
static __always_inline __u32 is_held(const struct umem_process_ref *ref)
{
	__u32 parent_pid = ref->parent_pid;
	if (!parent_pid)
		return 1;
	const struct umem_process_ref *parent = bpf_map_lookup_elem(&umem_processes, &parent_pid);
	return parent && parent->block == ref->block;
}

static __always_inline void walk_user(struct scratch *scratch, __u32 pid)
{
	struct walk *walk = &scratch->walk;
	struct umem_process_ref *ref = bpf_map_lookup_elem(&umem_processes, &pid);
	walk->ip = scratch->regs.rip;
	walk->sp = scratch->regs.rsp;
	walk->fp = scratch->regs.rbp;
	walk->rbx = scratch->regs.rbx;
	walk->rbx_at = 0;
	walk->is_exact = 1;
	walk->is_fp_known = 1;
	walk->hash = 0;
	walk->frames = 0;
	walk->map_start = walk->map_end = 0;
	walk->chunk_at = NO_CHUNK;
	walk->generation = umem_generation;
	/* Index 0 holds zeros: a process without mappings. */
	walk->process = 0;
	if (ref && (!ref->exec_id || ref->exec_id == scratch->rec.exec_id) &&
	    (!ref->start_boot_ns || ref->start_boot_ns == scratch->rec.start_boot_ns) &&
	    is_held(ref))
		walk->process = ref->block;
	for (int i = 0; i <= ABI_MAX_USER_FRAMES; i++)
		if (take_frame())
			break;
}

static __always_inline void fill_user(struct scratch *scratch, struct bpf_perf_event_data *ctx,
				      struct task_struct *task)
{
	struct rec_stack *rec = &scratch->rec;
	struct walk *walk = &scratch->walk;
	walk->end = WALK_NONE;
	walk->frames = 0;
	walk->hash = 0;
	if (BPF_CORE_READ(task, flags) & PF_KTHREAD)
		rec->flags |= STACK_KTHREAD;
	else if (BPF_CORE_READ(task, mm) && !compat_in_execve(task) &&
		 !user_registers(scratch, ctx))
		walk_user(scratch, rec->sample.pid);
	if (walk->end == WALK_CUT)
		rec->flags |= STACK_USER_CUT;
	rec->user_frames = walk->frames;
	rec->walk_end = walk->end;
	count(STAT_WALK_FIRST + (walk->end & 15), 1);
}

/* What user space can do better: it has all mappings and rows, or can get them. */
static __always_inline __u32 wants_tail(__u32 walk_end)
{
	return walk_end == WALK_NO_MAPPING || walk_end == WALK_NO_ROWS ||
	       walk_end == WALK_UNSUPPORTED;
}

static __always_inline __u64 least_above(__u64 least, __u64 at, __u64 floor)
{
	return at > floor && at < least ? at : least;
}

/* How much of the stack from `at` on may be of use. No frame is above the place where the kernel
 * began the main thread's stack, nor above a thread's control block, which C libraries put where
 * the thread's stack begins. What is sent must not fill the ring: the fuller it is, the less. */
static __always_inline __u32 slice_limit(__u64 at)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	__u64 used_bytes = bpf_ringbuf_query(&samples, BPF_RB_AVAIL_DATA);
	__u64 left_bytes = used_bytes < cfg_ring_bytes ? cfg_ring_bytes - used_bytes : 0;
	__u64 end = least_above(at + cfg_slice_bytes, at + left_bytes / 64, at);
	end = least_above(end, BPF_CORE_READ(task, mm, start_stack), at);
	end = least_above(end, BPF_CORE_READ(task, thread.fsbase), at);
	return end - at;
}

/* Behind the frames: where the walk stopped, and the stack from there on. */
static __always_inline __u32 fill_tail(struct scratch *scratch, __u32 frames)
{
	struct walk *walk = &scratch->walk;
	if (frames > MAX_FRAMES)
		return 0;
	struct rec_tail *tail = (void *)&scratch->frames[frames];
	tail->ip = walk->ip;
	tail->sp = walk->sp;
	tail->fp = walk->fp;
	tail->is_exact = walk->is_exact;
	tail->is_fp_known = walk->is_fp_known;
	tail->has_registers = walk->frames == 1;
	tail->rbx = walk->rbx;
	tail->is_rbx_known = !walk->rbx_at || (walk->rbx_at != RBX_NOWHERE &&
					       !bpf_probe_read_user(&tail->rbx, sizeof(tail->rbx),
								    (void *)walk->rbx_at));
	tail->reserved = 0;
	const struct pt_regs *regs = &scratch->regs;
	const __u64 registers[ABI_REGISTERS] = {
		regs->rax, regs->rdx, regs->rcx, regs->rbx, regs->rsi, regs->rdi,
		regs->rbp, regs->rsp, regs->r8,  regs->r9,  regs->r10, regs->r11,
		regs->r12, regs->r13, regs->r14, regs->r15,
	};
	__builtin_memcpy(tail->registers, registers, sizeof(registers));
	/* Aligned chunks: none reaches into a page that holds nothing of the stack. A page that was
	 * never touched, within a large frame, cannot be read, and what is above it can. */
	__u64 at = walk->sp & ~(ABI_CHUNK_BYTES - 1ULL);
	__u32 limit_bytes = slice_limit(at);
	tail->slice_at = at;
	tail->slice_bytes = 0;
	tail->readable = 0;
	for (__u32 i = 0; i < cfg_slice_bytes / ABI_CHUNK_BYTES; i++) {
		if (i * ABI_CHUNK_BYTES >= limit_bytes)
			break;
		/* Kept in memory: of registers the verifier would follow every value. */
		asm volatile("" ::: "memory");
		if (bpf_probe_read_user(tail->slice + i * ABI_CHUNK_BYTES, ABI_CHUNK_BYTES,
					(void *)(at + i * ABI_CHUNK_BYTES)))
			continue;
		tail->readable |= 1ULL << i;
		tail->slice_bytes = (i + 1) * ABI_CHUNK_BYTES;
	}
	asm volatile("" ::: "memory");
	__u32 slice_bytes = tail->slice_bytes;
	count(STAT_TAILS, 1);
	count(STAT_TAIL_BYTES, slice_bytes);
	return sizeof(*tail) + slice_bytes;
}

static __always_inline __u64 hash_stack(const struct scratch *scratch)
{
	const struct rec_stack *rec = &scratch->rec;
	__u64 hash = mix(rec->start_boot_ns, ((__u64)rec->sample.pid << 32) | rec->exec_id);
	hash = mix(hash, rec->cgroup_id);
	hash = mix(hash, ((__u64)rec->kernel_frames << 32) | rec->flags);
	hash = mix(hash, ((__u64)rec->user_frames << 32) | rec->walk_end);
	hash = mix(hash, scratch->walk.hash); /* the user part, hashed on its way */
	for (__u32 i = 0; i < ABI_MAX_KERNEL_FRAMES; i++) {
		if (i >= rec->kernel_frames)
			break;
		hash = mix(hash, scratch->frames[i]);
	}
	return hash;
}

#define MAX_RECORD_BYTES                                                                   \
	(sizeof(struct rec_stack) + MAX_FRAMES * sizeof(__u64) + sizeof(struct rec_tail) + \
	 cfg_slice_bytes)

/* Waking user space costs more than all the rest; it looks by itself every 100 ms. */
static __always_inline __u64 wakeup_flags(void)
{
	if (bpf_ringbuf_query(&samples, BPF_RB_AVAIL_DATA) > cfg_ring_bytes / 2)
		return BPF_RB_FORCE_WAKEUP;
	return BPF_RB_NO_WAKEUP;
}

static __always_inline long send_whole(struct scratch *scratch, __u32 size_bytes, __u64 flags)
{
	struct rec_stack *rec = &scratch->rec;
	if (size_bytes > MAX_RECORD_BYTES)
		size_bytes = MAX_RECORD_BYTES;
	rec->sample.kind = REC_STACK;
	rec->sample.size_bytes = size_bytes;
	return bpf_ringbuf_output(&samples, rec, size_bytes, flags);
}

static __always_inline long send(struct scratch *scratch, __u32 frames)
{
	struct rec_stack *rec = &scratch->rec;
	__u32 size_bytes = sizeof(*rec) + frames * sizeof(__u64);
	if (wants_tail(rec->walk_end)) {
		rec->flags |= STACK_TAIL;
		/* Help is asked for at once: until it comes every sample here is a tail. */
		return send_whole(scratch, size_bytes + fill_tail(scratch, frames),
				  BPF_RB_FORCE_WAKEUP);
	}
	rec->sample.stack_hash = hash_stack(scratch);
	__u64 hash = rec->sample.stack_hash;
	__u32 current = generation;
	__u32 *sent_in = bpf_map_lookup_elem(&interned, &hash);
	if (sent_in && *sent_in == current) {
		rec->sample.kind = REC_SAMPLE;
		rec->sample.size_bytes = sizeof(rec->sample);
		return bpf_ringbuf_output(&samples, &rec->sample, sizeof(rec->sample),
					  wakeup_flags());
	}
	/* Entered first, so that other CPUs do not send the same stack; taken out again when
	 * the record does not fit, so that the next sample tries anew. */
	bpf_map_update_elem(&interned, &hash, &current, BPF_ANY);
	long rc = send_whole(scratch, size_bytes, wakeup_flags());
	if (rc)
		bpf_map_delete_elem(&interned, &hash);
	else
		count(STAT_NEW_STACKS, 1);
	return rc;
}

static __always_inline void identify(struct rec_stack *rec, struct task_struct *task, __u64 pid_tid)
{
	struct task_struct *leader = BPF_CORE_READ(task, group_leader);
	rec->sample.pid = pid_tid >> 32;
	rec->sample.tid = (__u32)pid_tid;
	rec->sample.cpu = bpf_get_smp_processor_id();
	rec->start_boot_ns = compat_start_boot_ns(leader);
	rec->exec_id = compat_exec_id(leader);
	rec->cgroup_id = bpf_get_current_cgroup_id();
	rec->flags = 0;
	rec->sample.stack_hash = 0;
	/* Zeroed first: what is sent must not hold another process's bytes. */
	__builtin_memset(rec->comm, 0, sizeof(rec->comm));
	BPF_CORE_READ_STR_INTO(&rec->comm, leader, comm);
}

static __always_inline __u32 is_followed(__u32 pid)
{
	return !cfg_follow || bpf_map_lookup_elem(&followed, &pid);
}

static __always_inline void take_sample(struct bpf_perf_event_data *ctx, __u64 now_mono_ns,
					__u64 pid_tid, __u32 weight_ns)
{
	struct scratch *scratch = this_scratch();
	count(STAT_TAKEN, 1);
	if (!scratch) {
		count(STAT_NO_SCRATCH, 1);
		return;
	}
	struct task_struct *task = (void *)bpf_get_current_task();
	struct rec_stack *rec = &scratch->rec;
	rec->sample.end_mono_ns = now_mono_ns;
	rec->sample.weight_ns = weight_ns;
	identify(rec, task, pid_tid);
	fill_kernel(scratch, ctx);
	fill_user(scratch, ctx, task);
	if (rec->flags & (STACK_KERNEL_CUT | STACK_USER_CUT))
		count(STAT_STACK_CUT, 1);
	count(send(scratch, (__u32)rec->kernel_frames + rec->user_frames) ? STAT_RING_FULL
									  : STAT_SENT,
	      1);
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
		take_sample(ctx, now_mono_ns, pid_tid, weight_ns);
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
