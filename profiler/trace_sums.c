#include "profiler/trace_sums.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/map.h"
#include "profiler/cgroups.h"
#include "profiler/procfs.h"

_Static_assert(TRACE_REPORT_SLOTS == TRACE_SLOTS, "one histogram, two headers");

struct reading {
	struct trace_sums *sums;
	int64_t unix_minus_mono_ns;
	struct map process_of; /* pid -> position in processes, plus one */
	struct map cgroup_of;  /* cgroup id -> likewise in cgroups */
	struct map paths;      /* cgroup_paths_read() */
	int rc;                /* the first failure */
};

static void fini_reading(struct reading *reading)
{
	map_fini(&reading->process_of);
	map_fini(&reading->cgroup_of);
	cgroup_paths_fini(&reading->paths);
}

static void copy_slots(struct trace_histogram *into, const __u32 slots[TRACE_SLOTS])
{
	for (int i = 0; i < TRACE_SLOTS; i++)
		into->slots[i] = slots[i];
}

static struct trace_group group_of(const struct trace_thread *thread)
{
	struct trace_group group = {
		.pid = thread->pid,
		.tid = thread->tid,
		.cgroup_id = thread->cgroup_id,
		.waits = thread->waits,
		.sleep_ns = thread->sleep_ns,
		.queued_ns = thread->queued_ns,
		.preempted_ns = thread->preempted_ns,
		.throttled_ns = thread->throttled_ns,
		.running_ns = thread->running_ns,
	};
	copy_slots(&group.queued, thread->slots[TRACE_QUEUED]);
	copy_slots(&group.running, thread->slots[TRACE_RUNNING]);
	copy_slots(&group.off, thread->slots[TRACE_OFF]);
	return group;
}

/* name is copied. */
static int append(struct trace_groups *groups, const struct trace_group *group, const char *name)
{
	int rc = ARRAY_RESERVE(groups->items, groups->cap, groups->count, TRACE_REPORT_MAX_GROUPS);
	char *copy = rc ? NULL : strdup(name);
	if (!copy)
		return rc ? rc : -ENOMEM;
	groups->items[groups->count] = *group;
	groups->items[groups->count++].name = copy;
	return 0;
}

/* Add to the group of that key, which is made at its first part. */
static int add_to(struct trace_groups *groups, struct map *positions, uint64_t key,
		  const struct trace_group *part, const char *name)
{
	uintptr_t position = (uintptr_t)map_get(positions, key);
	if (position) {
		trace_group_add(&groups->items[position - 1], part);
		return 0;
	}
	int rc = append(groups, part, name);
	return rc ? rc : map_put(positions, key, (void *)(uintptr_t)groups->count);
}

/* The main thread's name is the process's, whenever it comes; where it slept all the time it is
 * asked for. */
static int add_process(struct reading *reading, const struct trace_group *thread, const char *comm)
{
	struct trace_groups *processes = &reading->sums->report->processes;
	struct trace_group part = *thread;
	struct proc_stat stat;
	part.tid = 0;
	bool is_asked = thread->tid != thread->pid && !map_get(&reading->process_of, part.pid) &&
			!proc_read_stat(&stat, part.pid);
	int rc = add_to(processes, &reading->process_of, part.pid, &part,
			is_asked ? stat.comm : comm);
	if (rc || thread->tid != thread->pid)
		return rc;
	uintptr_t position = (uintptr_t)map_get(&reading->process_of, part.pid);
	char *copy = strdup(comm);
	if (!copy)
		return -ENOMEM;
	free(processes->items[position - 1].name);
	processes->items[position - 1].name = copy;
	return 0;
}

static int add_cgroup(struct reading *reading, const struct trace_group *thread)
{
	struct trace_group part = *thread;
	const char *path = map_get(&reading->paths, part.cgroup_id);
	part.pid = part.tid = 0;
	return add_to(&reading->sums->report->cgroups, &reading->cgroup_of, part.cgroup_id, &part,
		      path ? path : "[removed]");
}

static int add_kept(struct trace_sums *sums, const struct trace_thread *thread)
{
	if (!thread->kept_waits)
		return 0;
	int rc = ARRAY_RESERVE(sums->kept, sums->kept_cap, sums->kept_count,
			       TRACE_REPORT_MAX_GROUPS);
	if (rc)
		return rc;
	struct trace_kept kept = {
		.pid = thread->pid,
		.tid = thread->tid,
		.kept_ns = thread->kept_ns,
		.kept_waits = thread->kept_waits,
	};
	memcpy(kept.comm, thread->comm, sizeof(kept.comm) - 1);
	sums->kept[sums->kept_count++] = kept;
	return 0;
}

static void take_thread(void *ctx, const struct trace_thread *thread)
{
	struct reading *reading = ctx;
	struct trace_report *report = reading->sums->report;
	char comm[ABI_COMM_BYTES + 1] = "";
	memcpy(comm, thread->comm, ABI_COMM_BYTES);
	if (thread->out_mono_ns && thread->off != TRACE_OFF_NEW)
		report->ledger.open++;
	struct trace_group group = group_of(thread);
	trace_group_add(&report->total, &group);
	int rc = append(&report->threads, &group, comm);
	if (!rc)
		rc = add_process(reading, &group, comm);
	if (!rc)
		rc = add_cgroup(reading, &group);
	if (!rc)
		rc = add_kept(reading->sums, thread);
	if (rc && !reading->rc)
		reading->rc = rc;
}

static void take_pair(void *ctx, const struct trace_pair *pair, const struct trace_pair_sum *sum)
{
	struct reading *reading = ctx;
	struct trace_report *report = reading->sums->report;
	struct trace_preemptor preemptor = {
		.count = sum->preemptions,
		.preempted_ns = sum->preempted_ns,
	};
	memcpy(preemptor.name, pair->comm, sizeof(preemptor.name) - 1);
	memcpy(preemptor.by, pair->other_comm, sizeof(preemptor.by) - 1);
	int rc = ARRAY_RESERVE(report->preemptors, report->preemptor_cap, report->preemptor_count,
			       TRACE_REPORT_MAX_GROUPS);
	if (rc && !reading->rc)
		reading->rc = rc;
	if (!rc)
		report->preemptors[report->preemptor_count++] = preemptor;
}

static void take_delay(void *ctx, const struct trace_delay *delay)
{
	struct reading *reading = ctx;
	struct trace_report *report = reading->sums->report;
	struct trace_slow slow = {
		.time_unix_ns = (int64_t)delay->in_mono_ns + reading->unix_minus_mono_ns,
		.delay_ns = delay->delay_ns,
		.pid = delay->pid,
		.tid = delay->tid,
		.cpu = delay->cpu,
		.other_tid = delay->other_tid,
	};
	memcpy(slow.name, delay->comm, sizeof(slow.name) - 1);
	memcpy(slow.other, delay->other_comm, sizeof(slow.other) - 1);
	int rc =
		ARRAY_RESERVE(report->slow, report->slow_cap, report->slow_count, TRACE_MAX_DELAYS);
	if (rc && !reading->rc)
		reading->rc = rc;
	if (!rc)
		report->slow[report->slow_count++] = slow;
}

static void read_counts(struct trace_report *report, const struct tracing *tracing)
{
	uint64_t counts[TRACE_STAT_COUNT];
	struct trace_ledger *ledger = &report->ledger;
	tracing_counts(tracing, counts);
	ledger->seen = counts[TRACE_SEEN];
	ledger->sent = counts[TRACE_SENT];
	ledger->unsampled = counts[TRACE_UNSAMPLED];
	ledger->ended = counts[TRACE_ENDED];
	ledger->filtered_others = counts[TRACE_OTHERS];
	ledger->filtered_state = counts[TRACE_STATES];
	ledger->filtered_short = counts[TRACE_SHORT];
	ledger->filtered_long = counts[TRACE_LONG];
	ledger->dropped_no_room = counts[TRACE_NO_THREAD];
	ledger->dropped_missed = counts[TRACE_MISSED];
	ledger->dropped_no_scratch = counts[TRACE_NO_SCRATCH];
	ledger->dropped_ring_full = counts[TRACE_RING_FULL];
	ledger->lost_stacks = counts[TRACE_STACKS_LOST];
	report->slow_total = counts[TRACE_DELAYS];
}

int trace_sums_read(struct trace_sums *sums, const struct tracing *tracing,
		    int64_t unix_minus_mono_ns, struct err *err)
{
	AUTO_FINI(fini_reading)
	struct reading reading = {.sums = sums, .unix_minus_mono_ns = unix_minus_mono_ns};
	map_init(&reading.process_of, TRACE_REPORT_MAX_GROUPS);
	map_init(&reading.cgroup_of, TRACE_REPORT_MAX_GROUPS);
	cgroup_paths_read(&reading.paths);
	read_counts(sums->report, tracing);
	tracing_visit_threads(tracing, take_thread, &reading);
	tracing_visit_pairs(tracing, take_pair, &reading);
	tracing_visit_delays(tracing, take_delay, &reading);
	return reading.rc ? err_set(err, reading.rc, "sums of a tracing: %m") : 0;
}
