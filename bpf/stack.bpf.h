/*
 * stack: puts a task's stack together, and hands it to user space.
 *
 * A (process, stack) goes out whole the first time it is met in a generation, after that only
 * small records name it by its hash. The hash table of what went out is an LRU: an entry that is
 * evicted, or older than the current generation, costs one resend and heals whatever was lost.
 *
 * Every object that includes this takes the same stacks for the same. But for `scratches` the maps
 * are the sampler's: who loads another object has it use those (sampler_share()).
 */
#pragma once
#include <linux/bpf.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "bpf/abi.h"
#include "bpf/compat.bpf.h"
#include "bpf/unwind.bpf.h"

const volatile __u32 abi_version = ABI_VERSION;
const volatile __u32 cfg_follow = 0; /* only processes in `followed` */
const volatile __u32 cfg_ring_bytes = 0;
/* Of stack in a tail, at most: what there is room for in `scratches`. */
const volatile __u32 cfg_slice_bytes = ABI_SLICE_BYTES;

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

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct controls);
} controls SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, STAT_COUNT);
	__type(key, __u32);
	__type(value, __u64);
} stats SEC(".maps");

/* One for each CPU, or for each thread that takes stacks of others. Values of per-CPU maps cannot
 * be so large: PCPU_MIN_UNIT_SIZE in include/linux/percpu.h. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct scratch);
} scratches SEC(".maps");

static __always_inline struct scratch *find_scratch(__u32 number)
{
	return bpf_map_lookup_elem(&scratches, &number);
}

/* In one instruction, as a tick may interrupt a program of ours that counts the same. */
static __always_inline void count(__u32 stat, __u64 by)
{
	__u64 *value = bpf_map_lookup_elem(&stats, &stat);
	if (value)
		__sync_fetch_and_add(value, by);
}

static __always_inline struct controls look_at_controls(void)
{
	__u32 zero = 0;
	const struct controls *now = bpf_map_lookup_elem(&controls, &zero);
	return now ? *now : (struct controls){0};
}

static __always_inline __u32 is_followed(__u32 pid)
{
	return !cfg_follow || bpf_map_lookup_elem(&followed, &pid);
}

static __always_inline __u64 mix(__u64 hash, __u64 value)
{
	hash = (hash ^ value) * 0x9e3779b97f4a7c15ULL;
	return hash ^ (hash >> 29);
}

/* All that tells the process apart, but its cgroup. */
static __always_inline void identify(struct rec_stack *rec, struct task_struct *task)
{
	struct task_struct *leader = BPF_CORE_READ(task, group_leader);
	rec->sample.pid = BPF_CORE_READ(task, tgid);
	rec->sample.tid = BPF_CORE_READ(task, pid);
	rec->start_boot_ns = compat_start_boot_ns(leader);
	rec->exec_id = compat_exec_id(leader);
	rec->flags = 0;
	rec->sample.stack_hash = 0;
	/* Zeroed first: what is sent must not hold another process's bytes. */
	__builtin_memset(rec->comm, 0, sizeof(rec->comm));
	BPF_CORE_READ_STR_INTO(&rec->comm, leader, comm);
}

/* After bpf_get_stack() or bpf_get_task_stack() into frames[]. */
static __always_inline void note_kernel_frames(struct scratch *scratch, long bytes)
{
	__u32 frames = bytes > 0 ? (__u32)bytes / sizeof(__u64) : 0;
	if (frames >= ABI_MAX_KERNEL_FRAMES) {
		frames = ABI_MAX_KERNEL_FRAMES;
		scratch->rec.flags |= STACK_KERNEL_CUT;
	}
	scratch->rec.kernel_frames = frames;
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

/* From the registers in the scratch, which are all zero where there is no user stack: workers of
 * io_uring are threads of a process, too. */
static __always_inline void begin_walk(struct scratch *scratch)
{
	struct walk *walk = &scratch->walk;
	__u32 pid = scratch->rec.sample.pid;
	struct umem_process_ref *ref = bpf_map_lookup_elem(&umem_processes, &pid);
	walk->ip = scratch->regs.rip;
	walk->sp = scratch->regs.rsp;
	walk->fp = scratch->regs.rbp;
	walk->rbx = scratch->regs.rbx;
	walk->rbx_at = 0;
	walk->is_exact = 1;
	walk->is_fp_known = 1;
	walk->map_start = walk->map_end = 0;
	walk->needs_chunk = 0;
	walk->next_chunk = 0;
	for (int i = 0; i < CHUNKS; i++)
		walk->chunks_at[i] = NO_CHUNK;
	walk->generation = look_at_controls().umem_generation;
	/* Index 0 holds zeros: a process without mappings. */
	walk->process = 0;
	if (ref && (!ref->exec_id || ref->exec_id == scratch->rec.exec_id) &&
	    (!ref->start_boot_ns || ref->start_boot_ns == scratch->rec.start_boot_ns) &&
	    is_held(ref))
		walk->process = ref->block;
}

/* There is no user stack until a walk begins. */
static __always_inline void clear_walk(struct scratch *scratch)
{
	scratch->walk.end = WALK_NONE;
	scratch->walk.frames = 0;
	scratch->walk.hash = 0;
}

/* One frame: into the record and the hash, then on to its caller. 1: the walk has ended. A global
 * function, which the verifier checks once and not for each of the frames; it finds its state by
 * itself, as such functions could not be given pointers before v5.13. */
__attribute__((noinline)) int take_frame(__u32 scratch_number)
{
	struct scratch *scratch = find_scratch(scratch_number);
	if (!scratch)
		return 1;
	struct walk *walk = &scratch->walk;
#ifdef WALK_OTHERS
	/* The frame is there, and its step could not be taken. */
	if (walk->needs_chunk) {
		walk->needs_chunk = 0;
		return walk_step(walk);
	}
#endif
	__u32 at = scratch->rec.kernel_frames + walk->frames;
	walk->end = WALK_CUT;
	if (walk->frames >= ABI_MAX_USER_FRAMES || at >= MAX_FRAMES)
		return 1;
	scratch->frames[at] = walk->ip + walk->is_exact;
	walk->hash = mix(walk->hash, walk->ip);
	walk->frames++;
	return walk_step(walk);
}

static __always_inline void end_walk(struct scratch *scratch)
{
	struct rec_stack *rec = &scratch->rec;
	struct walk *walk = &scratch->walk;
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
static __always_inline __u32 slice_limit(struct task_struct *task, __u64 at)
{
	__u64 used_bytes = bpf_ringbuf_query(&samples, BPF_RB_AVAIL_DATA);
	__u64 left_bytes = used_bytes < cfg_ring_bytes ? cfg_ring_bytes - used_bytes : 0;
	__u64 end = least_above(at + cfg_slice_bytes, at + left_bytes / 64, at);
	end = least_above(end, BPF_CORE_READ(task, mm, start_stack), at);
	end = least_above(end, BPF_CORE_READ(task, thread.fsbase), at);
	return end - at;
}

/* Read memory of the task whose stack it is: 0 or an error. `task` is a trusted pointer where tasks
 * are others. */
#ifdef WALK_OTHERS
#define READ_TASK(task, to, bytes, at) bpf_copy_from_user_task(to, bytes, (void *)(at), task, 0)
#else
#define READ_TASK(task, to, bytes, at) bpf_probe_read_user(to, bytes, (void *)(at))
#endif

/* Behind the frames: where the walk stopped, and the stack from there on. */
static __always_inline __u32 fill_tail(struct scratch *scratch, struct task_struct *task,
				       __u32 frames)
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
	tail->is_rbx_known =
		!walk->rbx_at || (walk->rbx_at != RBX_NOWHERE &&
				  !READ_TASK(task, &tail->rbx, sizeof(tail->rbx), walk->rbx_at));
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
	__u32 limit_bytes = slice_limit(task, at);
	tail->slice_at = at;
	tail->slice_bytes = 0;
	tail->readable = 0;
	for (__u32 i = 0; i < cfg_slice_bytes / ABI_CHUNK_BYTES; i++) {
		if (i * ABI_CHUNK_BYTES >= limit_bytes)
			break;
		/* Kept in memory: of registers the verifier would follow every value. */
		asm volatile("" ::: "memory");
		if (READ_TASK(task, tail->slice + i * ABI_CHUNK_BYTES, ABI_CHUNK_BYTES,
			      at + i * ABI_CHUNK_BYTES))
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

enum interned {
	INTERNED,     /* the stack went out in this generation */
	INTERNED_NOW, /* it did not, and is about to */
};

/* Enter a stack first, so that nobody else sends it meanwhile; when its record does not fit it is
 * taken out again (forget_stack()), so that the next sample tries anew. */
static __always_inline enum interned intern_stack(__u64 hash)
{
	__u32 current = look_at_controls().stack_generation;
	__u32 *sent_in = bpf_map_lookup_elem(&interned, &hash);
	if (sent_in && *sent_in == current)
		return INTERNED;
	bpf_map_update_elem(&interned, &hash, &current, BPF_ANY);
	return INTERNED_NOW;
}

static __always_inline void forget_stack(__u64 hash)
{
	bpf_map_delete_elem(&interned, &hash);
}

/* The stack in the scratch, with its hash entered: 0, or an error and it was taken out again. */
static __always_inline long send_interned(struct scratch *scratch, __u32 size_bytes)
{
	long rc = send_whole(scratch, size_bytes, wakeup_flags());
	if (rc)
		forget_stack(scratch->rec.sample.stack_hash);
	else
		count(STAT_NEW_STACKS, 1);
	return rc;
}

/* Of the record without a tail. */
static __always_inline __u32 record_bytes(const struct rec_stack *rec)
{
	return sizeof(*rec) + ((__u32)rec->kernel_frames + rec->user_frames) * sizeof(__u64);
}
