/*
 * unwind: walks a user stack by the rows in unwind memory (abi.h), leaf to thread start.
 *
 * The state lives in a map value, not on the BPF stack: there the verifier would follow every
 * value of every step. The search functions are global, so that each is verified once.
 *
 * With WALK_OTHERS defined, walks of tasks that are not the current one: a step whose memory was not
 * copied yet says so and changes nothing, and is taken anew when it was.
 */
#pragma once
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "bpf/abi.h"

/* Words of unwind memory less one; a power of two of them. Every index is masked with it: a
 * comparison would make the verifier follow each value that an index can have. */
const volatile __u32 cfg_umem_mask = (1 << 20) - 1;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, 4 << 20);
} umem SEC(".maps");

/* Allocated in advance, like all hash maps here: before v6.1 a program on a perf event may use no
 * others. https://git.kernel.org/torvalds/c/34dd3bad1a6f */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, __u32); /* pid */
	__type(value, struct umem_process_ref);
} umem_processes SEC(".maps");

/* Stack memory is read this much at a time: one call serves several frames. Chunks are aligned, so
 * that none touches a page that holds nothing of what is asked for. */
#ifdef WALK_OTHERS
#define CHUNK_WORDS 512 /* a page: the time goes into finding it */
#define CHUNKS      4   /* that one step can touch: a power of two */
#else
#define CHUNK_WORDS 64
#define CHUNKS      1
#endif
#define CHUNK_BYTES (CHUNK_WORDS * sizeof(__u64))

struct walk {
	__u64 ip, sp, fp;
	__u64 rbx;    /* of the leaf */
	__u64 rbx_at; /* where the frames below saved this one's; 0: it is the leaf's */
	__u64 hash;
	__u64 map_start, map_end, map_bias; /* the mapping of the last frame */
	__u32 map_file, map_flags;
	__u32 process; /* process block */
	__u32 frames;
	__u32 end;         /* enum walk_end */
	__u32 is_exact;    /* ip is where the thread is, not after a call */
	__u32 is_fp_known; /* 0: the frames below did not say where it was saved */
	__u32 generation;
	__u32 needs_chunk; /* a step could not be taken without the chunk at wanted_at */
	__u32 next_chunk;  /* whose place the next one takes */
	__u64 wanted_at;
	/* Addresses of chunks[], or NO_CHUNK; with BAD_CHUNK what is there cannot be read. */
	__u64 chunks_at[CHUNKS];
	__u64 chunks[CHUNKS][CHUNK_WORDS];
};

#define NO_CHUNK          (~0ULL)
#define BAD_CHUNK         1ULL
#define RBX_NOWHERE       (~0ULL)
#define MAX_MAPPING_STEPS 20 /* binary search over a million mappings */
#define MAX_ROW_STEPS     9  /* and over a bucket's 256 rows */

static __always_inline __u32 *umem_memory(void)
{
	__u32 zero = 0;
	return bpf_map_lookup_elem(&umem, &zero);
}

static __always_inline __u32 umem_word(const __u32 *memory, __u32 at)
{
	return memory[at & cfg_umem_mask];
}

static __always_inline __u64 umem_dword(const __u32 *memory, __u32 at)
{
	return umem_word(memory, at) | ((__u64)umem_word(memory, at + 1) << 32);
}

#define MAPPING_WORDS (sizeof(struct umem_mapping) / sizeof(__u32))
#define PROCESS_WORDS (sizeof(struct umem_process) / sizeof(__u32))

/* Word index of the mapping that covers ip, or 0. */
__attribute__((noinline)) __u32 umem_find_mapping(__u32 process, __u64 ip)
{
	const __u32 *memory = umem_memory();
	if (!memory)
		return 0;
	__u32 low = 0, high = umem_word(memory, process);
	for (int step = 0; step < MAX_MAPPING_STEPS && low < high; step++) {
		__u32 middle = low + (high - low) / 2;
		__u32 at = process + PROCESS_WORDS + middle * MAPPING_WORDS;
		if (umem_dword(memory, at) <= ip)
			low = middle + 1;
		else
			high = middle;
	}
	if (!low)
		return 0;
	__u32 at = process + PROCESS_WORDS + (low - 1) * MAPPING_WORDS;
	return ip < umem_dword(memory, at + 2) ? at : 0;
}

static __always_inline __u32 umem_bucket(const __u32 *memory, __u32 page, __u32 bucket)
{
	__u32 word = umem_word(memory, page + UMEM_PAGE_BUCKETS + bucket / 2);
	return bucket & 1 ? word >> 16 : word & 0xffff;
}

/* The number of the rule in force at an offset of a page; 0: a hole. */
__attribute__((noinline)) __u32 umem_find_rule(__u32 page, __u32 off)
{
	const __u32 *memory = umem_memory();
	if (!memory)
		return 0;
	__u32 bucket = (off >> UMEM_BUCKET_SHIFT) & (UMEM_BUCKETS - 1);
	__u32 low = umem_bucket(memory, page, bucket);
	__u32 high = umem_bucket(memory, page, bucket + 1);
	__u32 rows = page + UMEM_PAGE_HEADER;
	/* The last row at or before off lies in [low, high]. */
	for (int step = 0; step < MAX_ROW_STEPS && low < high; step++) {
		__u32 middle = low + (high - low + 1) / 2;
		if ((umem_word(memory, rows + middle) & 0xffff) <= off)
			low = middle;
		else
			high = middle - 1;
	}
	return umem_word(memory, rows + low) >> 16;
}

/* Does a call instruction end where these 8 bytes do? E8, or FF /2 with one of its addressing forms.
 * Intel SDM volume 2A, CALL. */
static __always_inline __u32 is_call(__u64 before)
{
	__u32 is_one = (before >> 24 & 0xff) == 0xe8;
	const __u32 with_operand[] = {2, 3, 4, 6, 7}; /* bytes it may have */
#pragma unroll
	for (int i = 0; i < 5; i++) {
		__u32 at = 64 - 8 * with_operand[i];
		is_one |= (before >> at & 0x38ff) == 0x10ff;
	}
	return is_one;
}

#ifndef WALK_OTHERS
/* May a caller go on there: is it code with rows, after a call? */
__attribute__((noinline)) __u32 umem_is_return(__u32 process, __u64 ip)
{
	const __u32 *memory = umem_memory();
	__u32 at = umem_find_mapping(process, ip - 1);
	__u64 before = 0;
	if (!memory || !at)
		return 0;
	__u32 file = umem_word(memory, at + 6);
	__u64 vaddr = ip - 1 - umem_dword(memory, at + 4);
	__u32 page_number = (__u32)(vaddr >> UMEM_PAGE_SHIFT) - umem_word(memory, file);
	if (!file || page_number >= umem_word(memory, file + 1))
		return 0;
	__u32 page = umem_word(memory, file + 4 + page_number);
	/* A page that is not loaded has rows, and the walk ends there for user space to go on. */
	if (page && !umem_find_rule(page, vaddr & ((1 << UMEM_PAGE_SHIFT) - 1)))
		return 0;
	return !bpf_probe_read_user(&before, sizeof(before), (void *)(ip - sizeof(before))) &&
	       is_call(before);
}
#endif

#ifdef WALK_OTHERS
/* 0 or an error; the word may be unaligned. */
static __always_inline long walk_read(struct walk *walk, __u64 addr, __u64 *value)
{
	__u64 chunk_at = addr & ~(CHUNK_BYTES - 1);
	__u64 off = addr & (CHUNK_BYTES - 1);
	if (off > CHUNK_BYTES - sizeof(*value))
		return 1;
	for (__u32 i = 0; i < CHUNKS; i++) {
		__u64 at = walk->chunks_at[i];
		if ((at & ~BAD_CHUNK) != chunk_at)
			continue;
		if (at & BAD_CHUNK)
			return 1;
		const __u64 *words = walk->chunks[i];
		__u32 shift = 8 * (off & 7);
		__u64 word = words[(off / 8) & (CHUNK_WORDS - 1)] >> shift;
		if (shift)
			word |= words[(off / 8 + 1) & (CHUNK_WORDS - 1)] << (64 - shift);
		*value = word;
		return 0;
	}
	walk->needs_chunk = 1;
	walk->wanted_at = chunk_at;
	return 1;
}
#else
/* 0 or an error. */
static __always_inline long walk_read(struct walk *walk, __u64 addr, __u64 *value)
{
	if (addr & 7)
		return bpf_probe_read_user(value, sizeof(*value), (void *)addr);
	__u64 off = addr - walk->chunks_at[0];
	if (off >= CHUNK_BYTES) {
		__u64 chunk_at = addr & ~(CHUNK_BYTES - 1);
		walk->chunks_at[0] = NO_CHUNK;
		if (bpf_probe_read_user(walk->chunks[0], CHUNK_BYTES, (void *)chunk_at))
			return 1;
		walk->chunks_at[0] = chunk_at;
		off = addr - chunk_at;
	}
	/* The compiler knows the bound and would drop the mask that shows the verifier. */
	asm volatile("" : "+r"(off));
	*value = walk->chunks[0][(off / 8) & (CHUNK_WORDS - 1)];
	return 0;
}
#endif

static __always_inline __u32 walk_find_mapping(struct walk *walk, const __u32 *memory, __u64 ip)
{
	if (ip >= walk->map_start && ip < walk->map_end)
		return 1;
	__u32 at = umem_find_mapping(walk->process, ip);
	if (!at)
		return 0;
	walk->map_start = umem_dword(memory, at);
	walk->map_end = umem_dword(memory, at + 2);
	walk->map_bias = umem_dword(memory, at + 4);
	walk->map_file = umem_word(memory, at + 6);
	walk->map_flags = umem_word(memory, at + 7);
	return 1;
}

/* Word index of the rule for ip in the mapping of the walk; 0: why is in walk->end. */
static __always_inline __u32 walk_find_rule(struct walk *walk, __u32 *memory, __u64 ip)
{
	__u64 vaddr = ip - walk->map_bias;
	__u32 file = walk->map_file;
	__u32 page_number = (__u32)(vaddr >> UMEM_PAGE_SHIFT) - umem_word(memory, file);
	walk->end = WALK_NO_ROWS;
	if (!file)
		return 0;
	walk->end = WALK_HOLE;
	if (page_number >= umem_word(memory, file + 1))
		return 0;
	__u32 page = umem_word(memory, file + 4 + page_number);
	walk->end = WALK_NO_ROWS;
	if (!page)
		return 0;
	/* Written only when it changes: CPUs share the line. */
	if (umem_word(memory, page) != walk->generation)
		memory[page & cfg_umem_mask] = walk->generation;
	__u32 rule = umem_find_rule(page, vaddr & ((1 << UMEM_PAGE_SHIFT) - 1));
	walk->end = WALK_HOLE;
	if (!rule || rule >= umem_word(memory, file + 3))
		return 0;
	return umem_word(memory, file + 2) + rule * (sizeof(struct umem_rule) / sizeof(__u32));
}

/* push rbp; mov rbp, rsp: the caller's frame pointer and address lie where rbp points. */
static __always_inline long walk_frame_pointer(struct walk *walk)
{
	__u64 fp = 0, ra = 0, at = walk->fp;
	walk->end = WALK_COMPLETE;
	if (walk->is_fp_known && !at)
		return 1;
	walk->end = WALK_IMPLAUSIBLE;
	if (!walk->is_fp_known || at < walk->sp)
		return 1;
	walk->end = WALK_FAULT;
	if (walk_read(walk, at, &fp) || walk_read(walk, at + 8, &ra))
		return 1;
	walk->end = WALK_COMPLETE;
	if (!ra)
		return 1;
	walk->rbx_at = RBX_NOWHERE; /* who knows */
	walk->ip = ra;
	walk->sp = at + 16;
	walk->fp = fp;
	walk->is_exact = 0;
	return 0;
}

/* The four words of a rule, taken apart. */
struct rule {
	__u32 kinds;
	__s32 cfa_off, fp_off;
	__s32 ra_off, extra;
};

static __always_inline struct rule load_rule(const __u32 *memory, __u32 at)
{
	__u32 last = umem_word(memory, at + 3);
	return (struct rule){
		.kinds = umem_word(memory, at),
		.cfa_off = umem_word(memory, at + 1),
		.fp_off = umem_word(memory, at + 2),
		.ra_off = (__s16)(last & 0xffff),
		.extra = (__s16)(last >> 16),
	};
}

#define REG_RBX 3 /* psABI 1.0, table 3.36 */

/* For frames that have their CFA by rbx and call others. Other registers than that are at hand
 * in the leaf only, and user space has those. */
static __always_inline long walk_cfa_by_register(struct walk *walk, const struct rule *rule,
						 __u64 *cfa)
{
	__u64 rbx = walk->rbx;
	walk->end = WALK_UNSUPPORTED;
	if (rule->extra != REG_RBX || walk->rbx_at == RBX_NOWHERE)
		return 1;
	walk->end = WALK_FAULT;
	if (walk->rbx_at && walk_read(walk, walk->rbx_at, &rbx))
		return 1;
	*cfa = rbx + rule->cfa_off;
	return 0;
}

/* Sets *cfa, or says in walk->end why not and returns 1. */
static __always_inline long walk_cfa(struct walk *walk, const struct rule *rule, __u64 *cfa)
{
	__u32 kind = rule->kinds & 0xff;
	__u64 base = walk->sp;
	walk->end = WALK_COMPLETE;
	if (kind == UMEM_CFA_END)
		return 1;
	walk->end = WALK_HOLE;
	if (kind == UMEM_CFA_NONE)
		return 1;
	walk->end = WALK_UNSUPPORTED;
	if (kind == UMEM_CFA_UNSUPPORTED)
		return 1;
	if (kind == UMEM_CFA_REG)
		return walk_cfa_by_register(walk, rule, cfa);
	if (kind == UMEM_CFA_FP || kind == UMEM_CFA_FP_DEREF) {
		if (!walk->is_fp_known)
			return 1;
		base = walk->fp;
	}
	base += rule->cfa_off;
	if (kind == UMEM_CFA_PLT && (__s32)(walk->ip & 15) >= rule->extra)
		base += 8;
	if (kind == UMEM_CFA_SP_DEREF || kind == UMEM_CFA_FP_DEREF) {
		walk->end = WALK_FAULT;
		if (walk_read(walk, base, &base))
			return 1;
		base += rule->extra;
	}
	*cfa = base;
	return 0;
}

/* Where a saved value lies; 0: nowhere that the walker knows. */
static __always_inline __u64 saved_at(const struct walk *walk, __u32 kind, __s32 off, __u64 cfa)
{
	if (kind == UMEM_AT_CFA)
		return cfa + off;
	if (kind == UMEM_AT_SP)
		return walk->sp + off;
	return kind == UMEM_AT_FP && walk->is_fp_known ? walk->fp + off : 0;
}

/* Only the place is noted: hardly any walk reads what is there. */
static __always_inline void note_rbx(struct walk *walk, const struct rule *rule, __u64 cfa)
{
	__u64 number = rule->kinds >> (24 + UMEM_RBX_SHIFT);
	if (number == UMEM_RBX_SAME)
		return;
	walk->rbx_at = RBX_NOWHERE;
	if (number <= UMEM_RBX_AT_CFA_LAST)
		walk->rbx_at = cfa - 8 * number;
	else if (number >= UMEM_RBX_AT_FP && walk->is_fp_known)
		walk->rbx_at = walk->fp - 8 * (number - UMEM_RBX_AT_FP);
	else if (number == UMEM_RBX_AFTER_FP)
		walk->rbx_at = walk->sp + rule->fp_off + 8;
}

/* symbolizer/unwind_step.h, step by step. */
static __always_inline long walk_by_rule(struct walk *walk, const __u32 *memory, __u32 rule_at)
{
	struct rule rule = load_rule(memory, rule_at);
	__u64 cfa = 0, ra = 0, fp = walk->fp;
	__u32 is_signal = (rule.kinds >> 24) & UMEM_SIGNAL_FRAME;
	__u32 fp_kind = (rule.kinds >> 8) & 0xff;
	if (walk_cfa(walk, &rule, &cfa))
		return 1;
	__u64 ra_at = saved_at(walk, (rule.kinds >> 16) & 0xff, rule.ra_off, cfa);
	__u64 fp_at = saved_at(walk, fp_kind, rule.fp_off, cfa);
	walk->end = WALK_UNSUPPORTED;
	if (!ra_at)
		return 1; /* in a register: user space has those of the leaf */
	walk->end = WALK_IMPLAUSIBLE;
	if (cfa <= walk->sp && !is_signal)
		return 1;
	walk->end = WALK_FAULT;
	/* The saved frame pointer lies below: the address is in the same chunk then. */
	if (fp_at && walk_read(walk, fp_at, &fp))
		return 1;
	if (walk_read(walk, ra_at, &ra))
		return 1;
	walk->end = WALK_COMPLETE;
	if (!ra)
		return 1;
	note_rbx(walk, &rule, cfa);
	if (fp_kind != UMEM_AT_SAME)
		walk->is_fp_known = fp_at != 0;
	walk->ip = ra;
	walk->sp = cfa;
	walk->fp = fp;
	walk->is_exact = is_signal;
	return 0;
}

#ifdef WALK_OTHERS
/* It would take a copy of code, for leaves in which hardly any thread waits. */
static __always_inline long walk_bare_leaf(struct walk *walk)
{
	(void)walk;
	return 0;
}
#else
/* Code without rows in a file that has them, at its leaf: _init and _fini, assembly by hand. Before
 * it made a frame, if it makes one at all, the return address is on top of the stack, or below one
 * register that was pushed. profiler/unwinder.c, step_bare_leaf(). 1: the walk goes on. */
static __always_inline long walk_bare_leaf(struct walk *walk)
{
	__u64 top = 0, ra = 0, sp = walk->sp;
	if (!walk->is_exact || walk_read(walk, sp, &top))
		return 0;
	if (umem_is_return(walk->process, top)) {
		walk->ip = top;
		walk->sp = sp + 8;
		walk->is_exact = 0;
		return 1;
	}
	if (walk_read(walk, sp + 8, &ra) || !umem_is_return(walk->process, ra))
		return 0;
	if (walk->fp == sp) /* mov rbp, rsp is done */
		walk->fp = top;
	walk->rbx_at = RBX_NOWHERE; /* may be what was pushed */
	walk->ip = ra;
	walk->sp = sp + 16;
	walk->is_exact = 0;
	return 1;
}
#endif

/* One frame up. Returns 1 when the walk has ended; why is in walk->end. */
static __always_inline long walk_step(struct walk *walk)
{
	__u32 *memory = umem_memory();
	if (!memory)
		return 1;
	/* A return address may be the first instruction of the next function. */
	__u64 ip = walk->ip - !walk->is_exact;
	walk->end = WALK_NO_MAPPING;
	if (!walk_find_mapping(walk, memory, ip))
		return 1;
	if (!walk->map_file && (walk->map_flags & UMEM_FRAME_POINTERS))
		return walk_frame_pointer(walk);
	__u32 rule = walk_find_rule(walk, memory, ip);
	if (rule)
		return walk_by_rule(walk, memory, rule);
	if (walk->end != WALK_HOLE)
		return 1;
	if (walk_bare_leaf(walk))
		return 0;
	/* Code that brings no unwind information is mostly made by tools that keep frame
	 * pointers: assembly by hand, built-in snapshots of virtual machines. */
	long ended = walk_frame_pointer(walk);
	if (ended && walk->end != WALK_COMPLETE)
		walk->end = WALK_HOLE; /* it was one that does not */
	return ended;
}
