/*
 * trace_report: what exact tracing found beside stacks: how long threads waited and ran, who took
 * CPUs from whom, which run-queue delays were long, which CPU quotas ran out, and what was lost.
 *
 * Plain values, as text for people and as JSON.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/auto.h"
#include "base/buf.h"
#include "base/json.h"

/* Slot i counts times of [2^i, 2^(i+1)) us, slot 0 those below 2 us, the last one all above. */
enum { TRACE_REPORT_SLOTS = 30 };

struct trace_histogram {
	uint64_t slots[TRACE_REPORT_SLOTS];
};

/* A thread, all threads of a process or cgroup, or all there are. All times are exact. */
struct trace_group {
	char *name;   /* comm; path of the cgroup; "" of all. Owned. */
	uint32_t pid; /* 0 where there is none */
	uint32_t tid;
	uint64_t cgroup_id;
	uint64_t waits;
	uint64_t sleep_ns;     /* until it was woken */
	uint64_t queued_ns;    /* from there on, until it ran */
	uint64_t preempted_ns; /* runnable, its CPU was given to another */
	uint64_t throttled_ns; /* runnable, the CPU quota of its cgroup was used up */
	uint64_t running_ns;
	struct trace_histogram queued;  /* times on a run queue, both kinds, unless throttled */
	struct trace_histogram running; /* times on a CPU, from switch to switch */
	struct trace_histogram off;     /* times off the CPU */
};

struct trace_groups {
	struct trace_group *items; /* the most waiting and running first */
	size_t count, cap;
};

/* Threads called `by` took the CPU from threads called `name`. */
struct trace_preemptor {
	char name[16];
	char by[16];
	uint64_t count;
	uint64_t preempted_ns;
};

struct trace_slow {
	int64_t time_unix_ns; /* when it ran at last */
	uint64_t delay_ns;
	uint32_t pid, tid, cpu;
	uint32_t other_tid; /* who had the CPU just before */
	char name[16];
	char other[16];
};

struct trace_throttle {
	char *cgroup;     /* path below its hierarchy; owned */
	uint64_t periods; /* in which its quota ran out */
	uint64_t throttled_ns;
};

/* Each switch of a thread off a CPU is in exactly one of those below seen. */
struct trace_ledger {
	uint64_t seen;
	uint64_t sent;      /* with a stack */
	uint64_t unsampled; /* counted exactly, without a stack */
	uint64_t open;      /* waits that went on when it ended */
	uint64_t ended;     /* threads that did */
	uint64_t filtered_others, filtered_state, filtered_short, filtered_long;
	uint64_t dropped_no_room; /* more threads than there is room for */
	uint64_t dropped_missed;  /* nobody told when the wait ended */
	uint64_t dropped_no_scratch, dropped_ring_full;
	/* Of those sent: without a stack after all, or not kept. Their time is in the profiles all
	 * the same, on the thread's other stacks. */
	uint64_t lost_stacks, lost_later;
};

struct trace_report {
	int64_t start_unix_ns;
	int64_t duration_ns;
	uint64_t slow_limit_ns;
	struct trace_ledger ledger;
	struct trace_group total;
	struct trace_groups processes, cgroups, threads;
	struct trace_preemptor *preemptors; /* those that took the most time first */
	size_t preemptor_count, preemptor_cap;
	struct trace_slow *slow; /* the longest there is room for, in the order of time */
	size_t slow_count, slow_cap;
	uint64_t slow_total;
	struct trace_throttle *throttles; /* the longest first */
	size_t throttle_count, throttle_cap;
};

enum {
	TRACE_REPORT_MAX_GROUPS = 1 << 17,
	TRACE_REPORT_SHOWN = 100, /* of each kind, but the longest of histograms: */
	TRACE_REPORT_HISTOGRAMS = 20,
};

struct trace_report *trace_report_new(void); /* NULL: no memory */
void trace_report_free(struct trace_report *report);
AUTO_DEFINE(trace_report)

/* Off the CPU, all reasons. */
uint64_t trace_group_off_ns(const struct trace_group *group);
/* Add times and histograms of `from`. */
void trace_group_add(struct trace_group *group, const struct trace_group *from);
/* Is every switch accounted for? */
bool trace_ledger_balances(const struct trace_ledger *ledger);
/* Everything into the order that the struct promises; of slow ones only the longest stay. */
void trace_report_sort(struct trace_report *report);

/* As one object; docs/API.md, "Exact tracing". */
void trace_report_json(struct json *json, const struct trace_report *report);
/* As tables and histograms, like the tools of bcc print them. */
void trace_report_text(struct buf *out, const struct trace_report *report);
