/*
 * switches: waits that were traced from their first to their last nanosecond, with names.
 *
 * Made by the namer from struct rec_switch (bpf/abi.h), taken by profiler/tracing.h. Plain values.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "profile/profile.h"

/* Ids are of the tables of the profile it comes with. */
struct named_switch {
	uint32_t thread;       /* who waited */
	uint32_t stack;        /* where */
	uint32_t wait;         /* for what, until it was woken */
	uint32_t waker_thread; /* 0: an interrupt, or it was runnable all the time */
	uint32_t waker_stack;  /* 0: none was taken */
	uint32_t other_tid;    /* who ran instead when it was preempted; 0: it gave up the CPU */
	uint32_t session;      /* which tracing asked for it */
	uint64_t out_mono_ns;
	uint64_t waking_mono_ns; /* from here on it was on a run queue; out_mono_ns when runnable */
	uint64_t in_mono_ns;
	int64_t weight_ns; /* what it stands for: in - out, more when only some waits were sent */
};

/* What one batch brought. The profile has their tables, and no samples. */
struct named_switches {
	const struct profile *tables;
	const struct named_switch *switches; /* in the order of in_mono_ns, nearly */
	size_t count;
	uint64_t lost; /* on their way to here since the last batch; how many of which session is
			  not known */
	int64_t unix_minus_mono_ns;
};
