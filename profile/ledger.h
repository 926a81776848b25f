/*
 * ledger: what became of every sample. Nothing is lost silently:
 *
 *	taken = stored + sum(dropped by reason) + pending
 *
 * In the kernel, taken is ticks that hit a thread to be sampled and stored is records handed
 * to user space; in user space, taken is records received. Plain values.
 */
#pragma once
#include <stdint.h>

#include "profile/delays.h"

/* Why a sample was lost. Stored by name: append, never rename. */
enum drop_reason {
	/* in the kernel */
	DROP_NO_SCRATCH, /* no per-CPU scratch memory */
	DROP_RING_FULL,  /* user space did not drain the ring buffer in time */
	/* in user space */
	DROP_BAD_RECORD,    /* the record is not what abi.h says */
	DROP_UNKNOWN_STACK, /* the record with the stack itself was lost */
	DROP_QUEUE_FULL,    /* naming fell behind by more than its queue holds */
	DROP_NO_MEMORY,
	DROP_STORE_FAILED, /* the store refused the batch: disk full, I/O error */
	DROP_REASONS,
};

/* "ring_full", ...: as shown in the API, metrics and the store. NULL for another value. */
const char *drop_reason_name(enum drop_reason reason);
/* A sentence for a human: what happened and what helps. */
const char *drop_reason_help(enum drop_reason reason);

struct ledger {
	uint64_t taken;
	uint64_t stored;
	uint64_t pending; /* under way at the moment of reading */
	uint64_t dropped[DROP_REASONS];
};

uint64_t ledger_dropped(const struct ledger *ledger);
/* Does the law hold? */
int ledger_balances(const struct ledger *ledger);
/* after - before, field by field (pending: after's). */
struct ledger ledger_since(const struct ledger *after, const struct ledger *before);

/* How the walks of user stacks ended, by number; [1] is "complete": at the thread's start. */
enum { STACK_ENDS = 9 };
/* "complete", "too deep", "no unwind info", ...: in marks, in the API and in metrics. */
const char *stack_end_name(unsigned int end);

/* Rows of unwind information, held by the kernel's walker (in pages of a file) or by user space
 * (in whole files). */
struct unwind_memory {
	uint64_t cap_bytes, used_bytes;
	uint64_t loads; /* of pages, of files */
	uint64_t evictions;
	uint64_t
		misses; /* stacks that the kernel left to user space; files that had been evicted */
};

/* The sampler of waiting threads about itself. Counts are since the start. */
struct waiting_stats {
	char method[32];    /* how, in words: "task iterator"; "": waiting is not sampled */
	char why_off[256];  /* why it is not; "" where it is, and where nothing is sampled */
	uint64_t passes;    /* over all threads */
	uint64_t visits;    /* of threads that were off the CPU */
	uint64_t walks;     /* of them, stacks taken anew */
	uint64_t raced;     /* stacks thrown away, as the thread ran meanwhile */
	uint64_t busy;      /* left for the next pass: its address space was locked */
	uint64_t deferred;  /* likewise: too much in this one, or rows were missing */
	uint64_t unseen_ns; /* waited by threads that ended before any visit found them waiting */
	uint64_t pass_ns;   /* CPU time spent in passes */
	uint64_t period_ns; /* between two passes, at present */
	uint64_t threads;   /* met off the CPU in the last pass */
	uint64_t stuck;     /* passes given up, as somebody's memory could not be read for 1 s */
};

/* What a running sampler tells about itself; filled by profiler/, shown by web/ and cli/. */
struct sampler_stats {
	struct ledger kernel;
	struct ledger user;
	uint64_t stack_ends[STACK_ENDS]; /* of the samples named; stack_quality.h */
	struct unwind_memory unwind_kernel, unwind_user;
	uint64_t tails;                  /* samples whose stack was finished in user space */
	uint64_t unwind_memory_bytes;    /* of the kernel's walker, in use */
	uint64_t samples_with_cut_stack; /* kernel or user part hit the depth limit */
	uint64_t late_ticks; /* timer periods that fired late and were added to the next */
	uint64_t sideband_records;
	uint64_t sideband_lost; /* perf side-band records the kernel dropped */
	uint64_t rescans;       /* /proc scans made to heal such losses */
	/* From the event of a mapping until the kernel's walker has it, for processes it knows. */
	struct delays mapping_pushes;
	uint64_t processes, threads, executables, stacks_cached;
	uint64_t bpf_run_ns, bpf_runs;       /* time inside the BPF programs; 0 when not measured */
	uint64_t cpu_user_ns, cpu_system_ns; /* of this process */
	uint64_t memory_bytes;               /* resident set of this process */
	uint32_t cpus_sampled, cpus_online;
	uint32_t rate_hz;
	struct waiting_stats waiting;
};
