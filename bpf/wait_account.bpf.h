/*
 * wait_account: what a thread waited, and what of it was given to the places where it waits.
 */
#pragma once
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "bpf/abi.h"
#include "bpf/stack.bpf.h"

const volatile __u32 cfg_kernel_threads = 0; /* sample them, too */
/* Threads born before have waited for longer than anybody asked. */
const volatile __u64 cfg_start_mono_ns = 0;

/* A sighting stands for the time since the last visit: that makes shares between places fair. Where it
 * ran between them, credit is more or less than that; the difference belongs to no place in particular,
 * and each sighting has a part of it, so that in the end the sum is what was waited. Giving
 * just the credit would favour those places that come long after the thread ran. */
#define BALANCE_SHIFT 4 /* a 16th: BPF has no signed division */
/* Credit may be overdrawn by one sighting, and by this part of all that was given: what ends then was
 * given that much too much. */
#define OVERDRAFT_PART 128

struct wait_account {
	__u64 until_mono_ns; /* when credit was last computed */
	__s64 credit_ns;     /* waited, and not given to any place yet */
	__u64 given_ns;      /* to all places */
	__u64 stands_ns;     /* what its sightings in this place stand for, as yet */
	/* The place it was last seen in: sample.stack_hash; 0: none yet. weight_ns was not sent. */
	struct rec_wait wait;
};

static __always_inline void give(struct wait_account *account, __s64 weight_ns)
{
	if (weight_ns <= 0)
		return;
	account->credit_ns -= weight_ns;
	account->given_ns += weight_ns;
	account->wait.weight_ns += weight_ns;
	account->wait.sample.end_mono_ns = account->until_mono_ns;
}

static __always_inline void give_share(struct wait_account *account, __u32 sends_all)
{
	__s64 stands_ns = account->stands_ns;
	__s64 overdraft_ns = account->given_ns / OVERDRAFT_PART;
	__s64 most_ns = account->credit_ns;
	__s64 weight_ns = stands_ns + ((most_ns - stands_ns) >> BALANCE_SHIFT);
	most_ns += overdraft_ns < stands_ns ? overdraft_ns : stands_ns;
	account->stands_ns = 0;
	if (weight_ns > most_ns)
		weight_ns = most_ns;
	give(account, sends_all ? account->credit_ns : weight_ns);
}

static __always_inline void send_wait(struct wait_account *account)
{
	if (!account->wait.weight_ns)
		return;
	count(STAT_TAKEN, 1);
	long rc =
		bpf_ringbuf_output(&samples, &account->wait, sizeof(account->wait), wakeup_flags());
	count(rc ? STAT_RING_FULL : STAT_SENT, 1);
	account->wait.weight_ns = 0;
}

/* From now on it waits where the stack in the scratch says. */
static __always_inline void set_place(struct rec_wait *wait, const struct rec_stack *rec)
{
	wait->sample.kind = REC_WAIT;
	wait->sample.size_bytes = sizeof(*wait);
	wait->sample.weight_ns = 0;
	wait->sample.stack_hash = rec->sample.stack_hash;
	wait->sample.pid = rec->sample.pid;
	wait->sample.tid = rec->sample.tid;
	wait->sample.cpu = rec->sample.cpu;
}

/* The stack goes out, as no sample, unless it has: 0, or an error. */
static __always_inline long send_stack(struct scratch *scratch)
{
	struct rec_stack *rec = &scratch->rec;
	rec->sample.stack_hash = hash_stack(scratch);
	if (intern_stack(rec->sample.stack_hash) == INTERNED)
		return 0;
	rec->flags |= STACK_ONLY;
	return send_interned(scratch, record_bytes(rec));
}

/* Rows are missing: user space is asked for them, by a stack that no record will name. */
static __always_inline void send_want(struct scratch *scratch, struct task_struct *task)
{
	struct rec_stack *rec = &scratch->rec;
	__u32 size_bytes = record_bytes(rec);
	rec->flags |= STACK_ONLY | STACK_TAIL | STACK_WANT;
	size_bytes += fill_tail(scratch, task, (__u32)rec->kernel_frames + rec->user_frames);
	send_whole(scratch, size_bytes, BPF_RB_FORCE_WAKEUP);
}
