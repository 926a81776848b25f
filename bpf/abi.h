/*
 * abi: every byte that crosses between the BPF programs and user space, and nothing else.
 *
 * Only fixed-width members, padding named and zeroed, sizes asserted. The loader refuses an
 * object built with another ABI_VERSION.
 */
#pragma once
#include <linux/types.h>

#define ABI_VERSION 4

/* Kernel: what bpf_get_stack() allows (kernel.perf_event_max_stack). User: our own limit. */
#define ABI_MAX_KERNEL_FRAMES 127
#define ABI_MAX_USER_FRAMES   512
#define ABI_COMM_BYTES        16

/* Append only, never renumber. */
enum rec_kind {
	REC_SAMPLE = 1, /* struct rec_sample: a stack that went out before */
	REC_STACK = 2,  /* struct rec_stack: a sample and its stack */
	REC_WAIT = 3,   /* struct rec_wait: a thread waited, on a stack that went out before */
	REC_SWITCH =
		4, /* struct rec_switch: a wait that was traced from its first to its last ns */
};

struct rec_sample {
	__u32 kind;        /* enum rec_kind; first in every record */
	__u32 size_bytes;  /* whole record, frames included */
	__u64 end_mono_ns; /* when taken */
	__u64 stack_hash;  /* of process identity and all frames */
	__u32 pid;
	__u32 tid;
	__u32 cpu;
	__u32 weight_ns; /* CPU time this sample stands for */
};
_Static_assert(sizeof(struct rec_sample) == 40, "layout changed: bump ABI_VERSION");

enum stack_flag {
	STACK_KERNEL_CUT = 1 << 0, /* more kernel frames than the limit */
	STACK_USER_CUT = 1 << 1,   /* more user frames than the limit */
	STACK_KTHREAD = 1 << 2,    /* a kernel thread: there is no user part */
	STACK_TAIL = 1 << 3,       /* struct rec_tail follows the frames */
	STACK_ONLY = 1 << 4,       /* no sample: records to come name the stack by its hash */
	/* With STACK_ONLY and STACK_TAIL one record to come names the stack, by a hash that no other
	 * has; but with STACK_WANT: mappings or rows are missing, and when they are there the
	 * stack is walked anew. No record will name this one. */
	STACK_WANT = 1 << 5,
};

/* What a socket is connected to. Addresses as in memory: 4 bytes used of AF_INET, 16 of AF_INET6. */
struct rec_socket {
	__u16 family;     /* AF_*; 0: no socket, or one that could not be read */
	__u16 protocol;   /* IPPROTO_*; 0 of AF_UNIX */
	__u16 local_port; /* host order */
	__u16 remote_port;
	__u8 local[16];
	__u8 remote[16];
};
_Static_assert(sizeof(struct rec_socket) == 40, "layout changed: bump ABI_VERSION");

enum wait_flag {
	WAIT_IS_QUEUED = 1 << 0,    /* runnable, and not running */
	WAIT_IS_IO = 1 << 1,        /* task_struct.in_iowait */
	WAIT_IS_PREEMPTED = 1 << 2, /* it did not give up the CPU by itself */
	WAIT_IS_EXIT = 1 << 3,      /* the thread's last record: it has ended */
	WAIT_IS_THROTTLED = 1 << 4, /* runnable, but the CPU quota of its cgroup is used up */
};

/* A thread waited for weight_ns until sample.end_mono_ns (sample.weight_ns is 0). What it waited
 * for is as it was seen when its stack was taken. */
struct rec_wait {
	struct rec_sample sample;
	__u64 weight_ns;
	__u64 since_mono_ns; /* when it was first seen in this wait; may be before the interval */
	__u64 object;        /* user address of the futex; 0: none */
	__u32 state;         /* task_struct.__state: TASK_* */
	__s32 syscall;       /* number; -1: it was in none */
	__u32 flags;         /* enum wait_flag */
	__u32 file_mode;     /* st_mode of the file that the system call works on; 0: none */
	__u64 args[2];       /* the system call's first two */
	struct rec_socket socket;
};
_Static_assert(sizeof(struct rec_wait) == 136, "layout changed: bump ABI_VERSION");

/* Off the CPU from wait.since_mono_ns until wait.sample.end_mono_ns, both exact: first waiting
 * until waking_mono_ns, then on a run queue. */
struct rec_switch {
	struct rec_wait wait; /* weight_ns: what the record stands for; more than it lasted when
				 only some waits are sent */
	__u64 waking_mono_ns; /* 0: it was runnable all the time */
	__u64 waker_hash;     /* stack of who woke it; 0: none was taken */
	__u32 waker_pid;
	__u32 waker_tid; /* 0: an interrupt, not a thread */
	__u32 other_tid; /* who ran instead when it was preempted */
	__u32 session;   /* which tracing asked for it */
};
_Static_assert(sizeof(struct rec_switch) == 168, "layout changed: bump ABI_VERSION");

/* Goes out when a (process, stack) is met for the first time in a generation. */
struct rec_stack {
	struct rec_sample sample;
	__u64 start_boot_ns; /* when the process started, CLOCK_BOOTTIME: tells reused pids apart */
	__u64 cgroup_id;     /* of the v2 hierarchy: inode of its directory */
	__u32 exec_id;       /* counts the process's execve(2)s */
	__u32 flags;         /* enum stack_flag */
	__u16 kernel_frames; /* frames[0..] leaf first, then the user part, leaf first */
	__u16 user_frames;
	__u32 walk_end;            /* enum walk_end: how the walk of the user part ended */
	char comm[ABI_COMM_BYTES]; /* of the process (its leader), NUL-terminated */
	/* Kernel: ip. User: what ip - 1 is to be looked up by: a return address, or one past the
	 * instruction that is being executed. */
	__u64 frames[];
};
_Static_assert(sizeof(struct rec_stack) == 88, "layout changed: bump ABI_VERSION");

/* Where the walker had to leave a user stack, and what user space needs to go on: the registers
 * of the frame whose ip is the last of frames[], and a slice of stack memory. Follows frames[] in
 * a record with STACK_TAIL; such a stack is not interned. */
#define ABI_REGISTERS   16
#define ABI_SLICE_BYTES 65536
#define ABI_CHUNK_BYTES 1024 /* of a slice, that could be read or not; 64 of them at most */

struct rec_tail {
	__u64 ip;
	__u64 sp;
	__u64 fp;
	__u32 is_exact;      /* ip is being executed, not returned to */
	__u32 is_fp_known;   /* 0: the frames below did not say where fp was saved */
	__u32 has_registers; /* registers[] are the leaf's, by DWARF number */
	__u32 is_rbx_known;  /* 0: as with fp */
	__u64 rbx;
	__u32 reserved;
	__u32 slice_bytes; /* of slice[] */
	__u64 slice_at;    /* address of slice[0] */
	__u64 readable;    /* bit by chunk of slice[]; the others are zero bytes */
	__u64 registers[ABI_REGISTERS];
	__u8 slice[]; /* up to ABI_SLICE_BYTES */
};
_Static_assert(sizeof(struct rec_tail) == 200, "layout changed: bump ABI_VERSION");

/* What user space moves on, and all programs look at: the one entry of the map `controls`. */
struct controls {
	__u32 stack_generation; /* stacks that went out in older ones are sent whole again */
	__u32 umem_generation;  /* stamped into each page of unwind memory that is used */
};
_Static_assert(sizeof(struct controls) == 8, "layout changed: bump ABI_VERSION");

/* A thread of user space that makes passes over all threads: the entries of the map `runners`. Its
 * number is that of its scratch memory. */
#define ABI_RUNNERS 4

struct wait_runner {
	__u32 tid;               /* written by user space; 0: there is none */
	__u32 sends_all;         /* likewise: send all that is pending */
	__u32 is_given_up;       /* likewise: it was stuck too long, and does nothing more */
	__u32 pid;               /* whose memory is being read; 0: nobody's */
	__u64 since_mono_ns;     /* it is */
	__u64 pass_mono_ns;      /* when the pass began */
	__u32 visits;            /* threads seen off the CPU in this pass */
	__u32 changed;           /* of them, such that need a walk */
	__u32 walks;             /* that were begun */
	__u32 wants;             /* records with STACK_WANT that were sent */
	__u32 changed_last_pass; /* `changed` of the pass before */
	__u32 reserved;
};
_Static_assert(sizeof(struct wait_runner) == 56, "layout changed: bump ABI_VERSION");

/*
 * Unwind memory: one array of 32-bit words that user space fills and the walker reads. Blocks
 * refer to each other by the index of their first word; 0 is none.
 *
 * A process block has its executable mappings, sorted; a mapping refers to a file block; a
 * file block has a table of pages (64 KiB of vaddr each) and the file's rules; a page block
 * has its rows, sorted. What is not loaded is 0, and the sample goes the slow way.
 */
struct umem_mapping {
	__u64 start_ip;
	__u64 end_ip;
	__u64 bias;  /* vaddr = ip - bias */
	__u32 file;  /* file block; 0: see flags */
	__u32 flags; /* enum umem_mapping_flag */
};
_Static_assert(sizeof(struct umem_mapping) == 32, "layout changed: bump ABI_VERSION");

enum umem_mapping_flag {
	UMEM_FRAME_POINTERS = 1 << 0, /* code without rows that keeps frame pointers (JIT) */
};

struct umem_process {
	__u32 mapping_count;
	__u32 reserved;
	struct umem_mapping mappings[];
};

/* Which block belongs to a pid, as long as it is the same process with the same image. */
struct umem_process_ref {
	__u32 block;         /* process block */
	__u32 exec_id;       /* 0: not known, any */
	__u64 start_boot_ns; /* 0: likewise */
	__u32 parent_pid;    /* 0, or good as long as this pid's entry has the same block */
	__u32 reserved;
};
_Static_assert(sizeof(struct umem_process_ref) == 24, "layout changed: bump ABI_VERSION");

struct umem_file {
	__u32 first_page; /* vaddr >> UMEM_PAGE_SHIFT of pages[0] */
	__u32 page_count;
	__u32 rules; /* word index of struct umem_rule[] */
	__u32 rule_count;
	__u32 pages[]; /* page blocks; 0: not loaded */
};

#define UMEM_PAGE_SHIFT   16
#define UMEM_BUCKET_SHIFT 8
#define UMEM_BUCKETS      (1 << (UMEM_PAGE_SHIFT - UMEM_BUCKET_SHIFT))
/* {used, row_count, UMEM_BUCKETS + 1 numbers of 16 bits, padded}, then rows: a row is offset in
 * the page in the low half and rule number in the high half of a word. A bucket is the number
 * of the row in force where it starts. */
#define UMEM_PAGE_USED    0
#define UMEM_PAGE_ROWS    1
#define UMEM_PAGE_BUCKETS 2
#define UMEM_PAGE_HEADER  (2 + UMEM_BUCKETS / 2 + 1)

/* How to find the caller's frame; enum unwind_cfa, enum unwind_at and struct unwind_rule of
 * symbolizer/unwind_rule.h, byte by byte (profiler/umem_layout.c asserts it). */
enum umem_cfa {
	UMEM_CFA_NONE,
	UMEM_CFA_END,
	UMEM_CFA_UNSUPPORTED,
	UMEM_CFA_SP,
	UMEM_CFA_FP,
	UMEM_CFA_REG,
	UMEM_CFA_SP_DEREF,
	UMEM_CFA_FP_DEREF,
	UMEM_CFA_PLT,
};
enum umem_at {
	UMEM_AT_SAME,
	UMEM_AT_CFA,
	UMEM_AT_SP,
	UMEM_AT_FP,
	UMEM_AT_REG,
	UMEM_AT_UNDEFINED,
	UMEM_AT_UNSUPPORTED,
};
#define UMEM_SIGNAL_FRAME 1
#define UMEM_RBX_SHIFT    1
enum umem_rbx { /* the other bits of flags */
		UMEM_RBX_SAME,
		UMEM_RBX_AT_CFA_LAST = 61,
		UMEM_RBX_AFTER_FP,
		UMEM_RBX_LOST,
		UMEM_RBX_AT_FP,
};

struct umem_rule {
	__u8 cfa;   /* enum umem_cfa */
	__u8 fp;    /* enum umem_at */
	__u8 ra;    /* enum umem_at */
	__u8 flags; /* UMEM_SIGNAL_FRAME | enum umem_rbx << UMEM_RBX_SHIFT */
	__s32 cfa_off;
	__s32 fp_off;
	__u16 ra_off; /* signed */
	__u16 extra;  /* signed */
};
_Static_assert(sizeof(struct umem_rule) == 16, "layout changed: bump ABI_VERSION");

/* How a walk of a user stack ended. Append only, never renumber. */
enum walk_end {
	WALK_NONE,        /* there was no user stack */
	WALK_COMPLETE,    /* reached the thread's start */
	WALK_CUT,         /* more frames than fit */
	WALK_NO_MAPPING,  /* an address in no known mapping */
	WALK_NO_ROWS,     /* a mapping whose rows are not in unwind memory */
	WALK_HOLE,        /* code that has no unwind information */
	WALK_UNSUPPORTED, /* unwind information that has no rule */
	WALK_FAULT,       /* stack memory could not be read */
	WALK_IMPLAUSIBLE, /* the stack did not grow, or the address cannot be code */
};

/* Indexes of the per-CPU counters. seen: STAT_TAKEN == STAT_SENT + STAT_NO_SCRATCH +
 * STAT_RING_FULL. Append only, never renumber. */
enum stat_index {
	STAT_TAKEN,      /* ticks that hit a thread to be sampled */
	STAT_SENT,       /* records handed to user space */
	STAT_NO_SCRATCH, /* lost: no scratch memory */
	STAT_RING_FULL,  /* lost: the ring buffer was full */
	STAT_IDLE,       /* ticks on an idle CPU: not samples */
	STAT_FILTERED,   /* ticks on processes that were not asked for: not samples */
	STAT_LATE,       /* timer periods that passed without a tick, added to the next one */
	STAT_STACK_CUT,  /* samples with STACK_KERNEL_CUT or STACK_USER_CUT */
	STAT_NEW_STACKS, /* records that carried a stack */
	STAT_RUN_NS,     /* time spent in the program */
	STAT_RUNS,       /* of the program */
	STAT_TAILS,      /* records that carried a tail: the slow way */
	STAT_TAIL_BYTES, /* of stack memory in them */
	STAT_WALK_FIRST, /* user walks by enum walk_end, from here on */
	STAT_WALK_LAST = STAT_WALK_FIRST + 15,
	STAT_WAIT_PASSES,    /* over all threads */
	STAT_WAIT_VISITS,    /* threads seen off the CPU */
	STAT_WAIT_WALKS,     /* of them, stacks taken anew */
	STAT_WAIT_RACED,     /* stacks thrown away: the thread ran meanwhile */
	STAT_WAIT_BUSY,      /* left for the next pass: its address space was locked */
	STAT_WAIT_DEFERRED,  /* left for the next pass: too much in this one, or rows missing */
	STAT_WAIT_UNSEEN_NS, /* waited by threads that ended before any visit found them waiting */
	STAT_WAIT_PASS_NS,   /* time spent in passes */
	STAT_COUNT,
};

/*
 * Tracing of every switch (bpf/exact.bpf.c): what its maps hold.
 */

/* Indexes of its per-CPU counters. Each switch of a thread off a CPU ends in exactly one of those
 * from TRACE_OTHERS to TRACE_RING_FULL, or the wait goes on. Append only, never renumber. */
enum trace_stat {
	TRACE_SEEN,        /* threads that left a CPU */
	TRACE_OTHERS,      /* filtered: of a process, thread or cgroup that was not asked for */
	TRACE_STATES,      /* filtered: in a state that was not asked for */
	TRACE_SHORT,       /* filtered: shorter than asked for */
	TRACE_LONG,        /* filtered: longer */
	TRACE_ENDED,       /* not a wait: the thread has ended */
	TRACE_UNSAMPLED,   /* counted exactly, but without a stack */
	TRACE_SENT,        /* struct rec_switch handed to user space */
	TRACE_NO_THREAD,   /* lost: more threads than there is room for */
	TRACE_MISSED,      /* lost: nobody told when the wait ended */
	TRACE_NO_SCRATCH,  /* lost: no scratch memory */
	TRACE_RING_FULL,   /* lost: the ring buffer was full */
	TRACE_STACKS_LOST, /* stacks that did not fit in it; waits name them in vain */
	TRACE_DELAYS,      /* struct trace_delay written, over old ones in the end */
	TRACE_PAIRS_LOST,  /* preemptions that did not fit in their table */
	TRACE_STAT_COUNT,
};

/* Slot i counts times of [2^i, 2^(i+1)) us, slot 0 those below 2 us, the last one all above. */
#define TRACE_SLOTS 30

enum trace_times {
	TRACE_QUEUED,  /* on a run queue, ready to run */
	TRACE_RUNNING, /* on a CPU, from one switch to the next */
	TRACE_OFF,     /* off the CPU, all reasons */
	TRACE_TIMES,
};

enum trace_off {
	TRACE_OFF_SLEEP,     /* until it was woken */
	TRACE_OFF_PREEMPTED, /* runnable, its CPU was given to another */
	TRACE_OFF_NEW,       /* not yet run */
};

/* One thread. Times are exact, whether stacks are taken or not. */
struct trace_thread {
	struct rec_switch rec; /* the wait under way, if its stack was taken */
	__u64 out_mono_ns;     /* 0: it is on a CPU, or nobody knows */
	__u64 waking_mono_ns;  /* 0: not woken yet */
	__u64 in_mono_ns;      /* when it was last given a CPU; 0: not known */
	__u64 mean_ns;         /* how long it waits, decayed */
	__u64 sleep_ns;        /* sums: until it was woken, */
	__u64 queued_ns;       /* from there on, */
	__u64 preempted_ns;    /* runnable all the time, */
	__u64 throttled_ns;    /* runnable, and the quota of its cgroup was used up */
	__u64 running_ns;
	__u64 waits;
	__u64 kept_ns; /* of waits that pass all filters */
	__u64 kept_waits;
	__u64 cgroup_id; /* as of its last switch off a CPU */
	__u32 pid;
	__u32 tid;
	__u32 off;          /* enum trace_off */
	__u32 fate;         /* what is to become of the wait, see bpf/exact.bpf.c */
	__u32 is_throttled; /* while it waited */
	__u32 other_tid;
	char comm[ABI_COMM_BYTES];
	char other_comm[ABI_COMM_BYTES];
	__u32 slots[TRACE_TIMES][TRACE_SLOTS];
};
_Static_assert(sizeof(struct trace_thread) == 688, "layout changed: bump ABI_VERSION");

/* A thread that had to wait on a run queue for longer than asked for. */
struct trace_delay {
	__u64 in_mono_ns;
	__u64 delay_ns;
	__u32 pid;
	__u32 tid;
	__u32 other_tid; /* who had the CPU just before */
	__u32 cpu;
	char comm[ABI_COMM_BYTES];
	char other_comm[ABI_COMM_BYTES];
};
_Static_assert(sizeof(struct trace_delay) == 64, "layout changed: bump ABI_VERSION");

#define TRACE_MAX_DELAYS 4096 /* a power of two */

/* Who took the CPU from whom. */
struct trace_pair {
	char comm[ABI_COMM_BYTES];
	char other_comm[ABI_COMM_BYTES];
};
_Static_assert(sizeof(struct trace_pair) == 32, "layout changed: bump ABI_VERSION");

struct trace_pair_sum {
	__u64 preemptions;
	__u64 preempted_ns;
};
_Static_assert(sizeof(struct trace_pair_sum) == 16, "layout changed: bump ABI_VERSION");
