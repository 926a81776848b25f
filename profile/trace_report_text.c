#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "profile/trace_report.h"

enum { SHOWN_ROWS = 20, BAR_CHARS = 40, LABEL_BYTES = 64 };

static double to_ms(uint64_t ns)
{
	return (double)ns / 1e6;
}

static void write_bar(struct buf *out, uint64_t count, uint64_t most)
{
	int stars = (int)((double)count / (double)most * BAR_CHARS);
	for (int i = 0; i < BAR_CHARS; i++)
		buf_append_u8(out, i < stars ? '*' : ' ');
}

/* As bcc's tools print theirs. */
static void write_histogram(struct buf *out, const char *title, const struct trace_histogram *h)
{
	uint64_t most = 0;
	int used = 0;
	for (int i = 0; i < TRACE_REPORT_SLOTS; i++) {
		if (h->slots[i])
			used = i + 1;
		if (h->slots[i] > most)
			most = h->slots[i];
	}
	if (!most)
		return;
	buf_printf(out, "\n%s\n     usecs               : count     distribution\n", title);
	for (int i = 0; i < used; i++) {
		uint64_t low = i ? UINT64_C(1) << i : 0, high = (UINT64_C(2) << i) - 1;
		buf_printf(out, "%10" PRIu64 " -> %-10" PRIu64 " : %-8" PRIu64 " |", low, high,
			   h->slots[i]);
		write_bar(out, h->slots[i], most);
		buf_append_str(out, "|\n");
	}
}

static void write_group(struct buf *out, const struct trace_group *group, const char *label)
{
	buf_printf(out, "%-36.36s %9" PRIu64 " %11.3f %11.3f %11.3f %11.3f %11.3f %11.3f\n", label,
		   group->waits, to_ms(trace_group_off_ns(group)), to_ms(group->sleep_ns),
		   to_ms(group->queued_ns), to_ms(group->preempted_ns), to_ms(group->throttled_ns),
		   to_ms(group->running_ns));
}

static void write_head(struct buf *out, const char *title)
{
	buf_printf(out, "\n%-36s %9s %11s %11s %11s %11s %11s %11s\n", title, "waits", "off CPU ms",
		   "sleeping", "run queue", "preempted", "throttled", "on CPU ms");
}

static void write_groups(struct buf *out, const char *title, const struct trace_groups *groups)
{
	if (!groups->count)
		return;
	write_head(out, title);
	for (size_t i = 0; i < groups->count && i < SHOWN_ROWS; i++) {
		const struct trace_group *group = &groups->items[i];
		char label[LABEL_BYTES];
		if (group->tid)
			snprintf(label, sizeof(label), "%.16s %u/%u", group->name, group->pid,
				 group->tid);
		else if (group->pid)
			snprintf(label, sizeof(label), "%.16s %u", group->name, group->pid);
		else
			snprintf(label, sizeof(label), "%.48s", group->name);
		write_group(out, group, label);
	}
	if (groups->count > SHOWN_ROWS)
		buf_printf(out, "... and %zu more\n", groups->count - SHOWN_ROWS);
}

static void write_preemptors(struct buf *out, const struct trace_report *report)
{
	if (!report->preemptor_count)
		return;
	buf_printf(out, "\n%-16s %-16s %9s %12s\n", "preempted", "by", "times", "ms");
	for (size_t i = 0; i < report->preemptor_count && i < SHOWN_ROWS; i++) {
		const struct trace_preemptor *preemptor = &report->preemptors[i];
		buf_printf(out, "%-16.16s %-16.16s %9" PRIu64 " %12.3f\n", preemptor->name,
			   preemptor->by, preemptor->count, to_ms(preemptor->preempted_ns));
	}
}

static void write_slow(struct buf *out, const struct trace_report *report)
{
	if (!report->slow_count)
		return;
	buf_printf(out, "\nRun-queue delays of %.3f ms or more: %" PRIu64 "\n",
		   to_ms(report->slow_limit_ns), report->slow_total);
	buf_printf(out, "%-15s %-16s %8s %12s   %s\n", "time", "comm", "tid", "ms",
		   "who had the CPU before");
	for (size_t i = 0; i < report->slow_count; i++) {
		const struct trace_slow *slow = &report->slow[i];
		time_t seconds = slow->time_unix_ns / 1000000000;
		struct tm local;
		char text[16] = "";
		if (localtime_r(&seconds, &local))
			strftime(text, sizeof(text), "%H:%M:%S", &local);
		buf_printf(out, "%s.%06d %-16.16s %8u %12.3f   %.16s %u\n", text,
			   (int)(slow->time_unix_ns % 1000000000 / 1000), slow->name, slow->tid,
			   to_ms(slow->delay_ns), slow->other, slow->other_tid);
	}
}

static void write_throttles(struct buf *out, const struct trace_report *report)
{
	if (!report->throttle_count)
		return;
	buf_append_str(out,
		       "\ncgroups whose CPU quota ran out              periods     CPU ms kept\n");
	for (size_t i = 0; i < report->throttle_count && i < SHOWN_ROWS; i++) {
		const struct trace_throttle *throttle = &report->throttles[i];
		buf_printf(out, "%-44.44s %7" PRIu64 " %15.3f\n", throttle->cgroup,
			   throttle->periods, to_ms(throttle->throttled_ns));
	}
}

static void write_count(struct buf *out, uint64_t count, const char *what)
{
	if (count)
		buf_printf(out, "  %12" PRIu64 " %s\n", count, what);
}

static void write_ledger(struct buf *out, const struct trace_ledger *ledger)
{
	buf_printf(out, "\n%" PRIu64 " switches off a CPU were seen. Of them\n", ledger->seen);
	write_count(out, ledger->sent, "waits have a stack");
	write_count(out, ledger->unsampled, "waits were counted without a stack");
	write_count(out, ledger->open, "waits went on at the end, and are in no sum");
	write_count(out, ledger->ended, "threads ended");
	write_count(out, ledger->filtered_others, "were of others than asked for");
	write_count(out, ledger->filtered_state, "were in another state than asked for");
	write_count(out, ledger->filtered_short, "waits were shorter than asked for");
	write_count(out, ledger->filtered_long, "waits were longer than asked for");
	write_count(out, ledger->dropped_no_room, "LOST: too many threads");
	write_count(out, ledger->dropped_missed, "LOST: the kernel did not tell when they ended");
	write_count(out, ledger->dropped_no_scratch, "LOST: no scratch memory");
	write_count(out, ledger->dropped_ring_full, "LOST: the ring buffer was full");
	write_count(out, ledger->lost_stacks, "stacks were LOST on their way");
	write_count(out, ledger->lost_later, "waits with a stack were LOST on their way");
}

void trace_report_text(struct buf *out, const struct trace_report *report)
{
	buf_printf(out, "Traced for %.3f s\n", (double)report->duration_ns / 1e9);
	write_groups(out, "process", &report->processes);
	write_groups(out, "thread", &report->threads);
	write_groups(out, "cgroup", &report->cgroups);
	write_head(out, "");
	write_group(out, &report->total, "all");
	write_histogram(out, "Delay on a run queue", &report->total.queued);
	write_histogram(out, "Time on a CPU", &report->total.running);
	write_histogram(out, "Time off the CPU", &report->total.off);
	write_preemptors(out, report);
	write_slow(out, report);
	write_throttles(out, report);
	write_ledger(out, &report->ledger);
}
