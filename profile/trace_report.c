#include "profile/trace_report.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"

struct trace_report *trace_report_new(void)
{
	return calloc(1, sizeof(struct trace_report));
}

static void free_groups(struct trace_groups *groups)
{
	for (size_t i = 0; i < groups->count; i++)
		free(groups->items[i].name);
	free(groups->items);
}

void trace_report_free(struct trace_report *report)
{
	if (!report)
		return;
	free(report->total.name);
	free_groups(&report->processes);
	free_groups(&report->cgroups);
	free_groups(&report->threads);
	for (size_t i = 0; i < report->throttle_count; i++)
		free(report->throttles[i].cgroup);
	free(report->throttles);
	free(report->preemptors);
	free(report->slow);
	free(report);
}

uint64_t trace_group_off_ns(const struct trace_group *group)
{
	return group->sleep_ns + group->queued_ns + group->preempted_ns + group->throttled_ns;
}

static void add_histogram(struct trace_histogram *into, const struct trace_histogram *from)
{
	for (int i = 0; i < TRACE_REPORT_SLOTS; i++)
		into->slots[i] += from->slots[i];
}

void trace_group_add(struct trace_group *group, const struct trace_group *from)
{
	group->waits += from->waits;
	group->sleep_ns += from->sleep_ns;
	group->queued_ns += from->queued_ns;
	group->preempted_ns += from->preempted_ns;
	group->throttled_ns += from->throttled_ns;
	group->running_ns += from->running_ns;
	add_histogram(&group->queued, &from->queued);
	add_histogram(&group->running, &from->running);
	add_histogram(&group->off, &from->off);
}

bool trace_ledger_balances(const struct trace_ledger *ledger)
{
	uint64_t filtered = ledger->filtered_others + ledger->filtered_state +
			    ledger->filtered_short + ledger->filtered_long;
	uint64_t dropped = ledger->dropped_no_room + ledger->dropped_missed +
			   ledger->dropped_no_scratch + ledger->dropped_ring_full;
	return ledger->seen ==
	       ledger->sent + ledger->unsampled + ledger->open + ledger->ended + filtered + dropped;
}

/* Descending; equal ones in the order of their second key, so that results do not depend on the
 * order in which a hash table is read. */
static int descending(uint64_t left, uint64_t right)
{
	return (left < right) - (left > right);
}

static int by_weight(const void *a, const void *b)
{
	const struct trace_group *left = a, *right = b;
	int order = descending(trace_group_off_ns(left) + left->running_ns,
			       trace_group_off_ns(right) + right->running_ns);
	if (!order)
		order = descending(right->pid, left->pid);
	return order ? order : descending(right->tid, left->tid);
}

static int by_preempted(const void *a, const void *b)
{
	const struct trace_preemptor *left = a, *right = b;
	int order = descending(left->preempted_ns, right->preempted_ns);
	if (!order)
		order = memcmp(left->name, right->name, sizeof(left->name));
	return order ? order : memcmp(left->by, right->by, sizeof(left->by));
}

static int by_delay(const void *a, const void *b)
{
	const struct trace_slow *left = a, *right = b;
	return descending(left->delay_ns, right->delay_ns);
}

static int by_time(const void *a, const void *b)
{
	const struct trace_slow *left = a, *right = b;
	return (left->time_unix_ns > right->time_unix_ns) -
	       (left->time_unix_ns < right->time_unix_ns);
}

static int by_throttled(const void *a, const void *b)
{
	const struct trace_throttle *left = a, *right = b;
	int order = descending(left->throttled_ns, right->throttled_ns);
	return order ? order : strcmp(left->cgroup, right->cgroup);
}

static void sort(void *items, size_t count, size_t item_bytes,
		 int (*order)(const void *, const void *))
{
	if (count)
		qsort(items, count, item_bytes, order);
}

void trace_report_sort(struct trace_report *report)
{
	struct trace_groups *const groups[] = {&report->processes, &report->cgroups,
					       &report->threads};
	for (size_t i = 0; i < ARRAY_LEN(groups); i++)
		sort(groups[i]->items, groups[i]->count, sizeof(*groups[i]->items), by_weight);
	sort(report->preemptors, report->preemptor_count, sizeof(*report->preemptors),
	     by_preempted);
	sort(report->throttles, report->throttle_count, sizeof(*report->throttles), by_throttled);
	sort(report->slow, report->slow_count, sizeof(*report->slow), by_delay);
	if (report->slow_count > TRACE_REPORT_SHOWN)
		report->slow_count = TRACE_REPORT_SHOWN;
	sort(report->slow, report->slow_count, sizeof(*report->slow), by_time);
}
