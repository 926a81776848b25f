/*
 * abi: every byte that crosses between the BPF programs and user space, and nothing else.
 *
 * Only fixed-width members, padding named and zeroed, sizes asserted. The loader refuses an
 * object built with another ABI_VERSION.
 */
#pragma once
#include <linux/types.h>

#define ABI_VERSION 1

/* What the depth limit of bpf_get_stack() allows (kernel.perf_event_max_stack). */
#define ABI_MAX_KERNEL_FRAMES 127
#define ABI_MAX_USER_FRAMES 127
#define ABI_COMM_BYTES 16

enum rec_kind { /* append only, never renumber */
	REC_SAMPLE = 1, /* struct rec_sample: a stack that went out before */
	REC_STACK = 2,	/* struct rec_stack: a sample and its stack */
};

struct rec_sample {
	__u32 kind;	  /* enum rec_kind; first in every record */
	__u32 size_bytes; /* whole record, frames included */
	__u64 end_mono_ns; /* when taken */
	__u64 stack_hash; /* of process identity and all frames */
	__u32 pid;
	__u32 tid;
	__u32 cpu;
	__u32 weight_ns; /* CPU time this sample stands for */
};
_Static_assert(sizeof(struct rec_sample) == 40, "layout changed: bump ABI_VERSION");

enum stack_flag {
	STACK_KERNEL_CUT = 1 << 0, /* more kernel frames than the limit */
	STACK_USER_CUT = 1 << 1,   /* more user frames than the limit */
	STACK_KTHREAD = 1 << 2,	   /* a kernel thread: there is no user part */
	STACK_USER_FAULT = 1 << 3, /* user stack memory could not be read */
};

/* Goes out when a (process, stack) is met for the first time in a generation. */
struct rec_stack {
	struct rec_sample sample;
	__u64 start_boot_ns; /* when the process started, CLOCK_BOOTTIME: tells reused pids apart */
	__u64 cgroup_id;     /* of the v2 hierarchy: inode of its directory */
	__u32 exec_id;	     /* counts the process's execve(2)s */
	__u32 flags;	     /* enum stack_flag */
	__u16 kernel_frames; /* frames[0..] leaf first, then the user part, leaf first */
	__u16 user_frames;
	__u32 reserved;
	char comm[ABI_COMM_BYTES]; /* of the process (its leader), NUL-terminated */
	__u64 frames[];		   /* ip */
};
_Static_assert(sizeof(struct rec_stack) == 88, "layout changed: bump ABI_VERSION");

/* Indexes of the per-CPU counters. seen: STAT_TAKEN == STAT_SENT + STAT_NO_SCRATCH +
 * STAT_RING_FULL. */
enum stat_index { /* append only, never renumber */
	STAT_TAKEN,	  /* ticks that hit a thread to be sampled */
	STAT_SENT,	  /* records handed to user space */
	STAT_NO_SCRATCH,  /* lost: no scratch memory */
	STAT_RING_FULL,	  /* lost: the ring buffer was full */
	STAT_IDLE,	  /* ticks on an idle CPU: not samples */
	STAT_FILTERED,	  /* ticks on processes that were not asked for: not samples */
	STAT_LATE,	  /* timer periods that passed without a tick, added to the next one */
	STAT_STACK_CUT,	  /* samples with STACK_KERNEL_CUT or STACK_USER_CUT */
	STAT_NEW_STACKS,  /* records that carried a stack */
	STAT_RUN_NS,	  /* time spent in the program */
	STAT_RUNS,
	STAT_COUNT,
};
