#include "profile/trace_report.h"

static uint64_t to_us(uint64_t ns)
{
	return ns / 1000;
}

/* Slots up to the last one that is not empty. */
static void write_histogram(struct json *json, const char *key, const struct trace_histogram *h)
{
	int used = TRACE_REPORT_SLOTS;
	while (used > 0 && !h->slots[used - 1])
		used--;
	json_key(json, key);
	json_open_array(json);
	for (int i = 0; i < used; i++)
		json_u64(json, h->slots[i]);
	json_close_array(json);
}

static void write_group(struct json *json, const struct trace_group *group, bool has_histograms)
{
	json_open_object(json);
	json_key_str(json, "name", group->name ? group->name : "");
	if (group->pid)
		json_key_u64(json, "pid", group->pid);
	if (group->tid)
		json_key_u64(json, "tid", group->tid);
	json_key_u64(json, "waits", group->waits);
	json_key_u64(json, "off_us", to_us(trace_group_off_ns(group)));
	json_key_u64(json, "sleep_us", to_us(group->sleep_ns));
	json_key_u64(json, "run_queue_us", to_us(group->queued_ns));
	json_key_u64(json, "preempted_us", to_us(group->preempted_ns));
	json_key_u64(json, "throttled_us", to_us(group->throttled_ns));
	json_key_u64(json, "running_us", to_us(group->running_ns));
	if (has_histograms) {
		write_histogram(json, "run_queue_delays", &group->queued);
		write_histogram(json, "time_slices", &group->running);
		write_histogram(json, "off_cpu_times", &group->off);
	}
	json_close_object(json);
}

static void write_groups(struct json *json, const char *key, const struct trace_groups *groups,
			 size_t histograms)
{
	json_key(json, key);
	json_open_array(json);
	for (size_t i = 0; i < groups->count && i < TRACE_REPORT_SHOWN; i++)
		write_group(json, &groups->items[i], i < histograms);
	json_close_array(json);
}

static void write_preemptors(struct json *json, const struct trace_report *report)
{
	json_key(json, "preemptors");
	json_open_array(json);
	for (size_t i = 0; i < report->preemptor_count && i < TRACE_REPORT_SHOWN; i++) {
		const struct trace_preemptor *preemptor = &report->preemptors[i];
		json_open_object(json);
		json_key_str(json, "name", preemptor->name);
		json_key_str(json, "by", preemptor->by);
		json_key_u64(json, "count", preemptor->count);
		json_key_u64(json, "preempted_us", to_us(preemptor->preempted_ns));
		json_close_object(json);
	}
	json_close_array(json);
}

static void write_slow(struct json *json, const struct trace_report *report)
{
	json_key_u64(json, "slow_limit_us", to_us(report->slow_limit_ns));
	json_key_u64(json, "slow_total", report->slow_total);
	json_key(json, "slow");
	json_open_array(json);
	for (size_t i = 0; i < report->slow_count; i++) {
		const struct trace_slow *slow = &report->slow[i];
		json_open_object(json);
		json_key_i64(json, "time_us", slow->time_unix_ns / 1000);
		json_key_u64(json, "delay_us", to_us(slow->delay_ns));
		json_key_str(json, "name", slow->name);
		json_key_u64(json, "pid", slow->pid);
		json_key_u64(json, "tid", slow->tid);
		json_key_u64(json, "cpu", slow->cpu);
		json_key_str(json, "previous", slow->other);
		json_key_u64(json, "previous_tid", slow->other_tid);
		json_close_object(json);
	}
	json_close_array(json);
}

static void write_throttles(struct json *json, const struct trace_report *report)
{
	json_key(json, "throttled");
	json_open_array(json);
	for (size_t i = 0; i < report->throttle_count && i < TRACE_REPORT_SHOWN; i++) {
		json_open_object(json);
		json_key_str(json, "cgroup", report->throttles[i].cgroup);
		json_key_u64(json, "periods", report->throttles[i].periods);
		json_key_u64(json, "throttled_us", to_us(report->throttles[i].throttled_ns));
		json_close_object(json);
	}
	json_close_array(json);
}

static void write_ledger(struct json *json, const struct trace_ledger *ledger)
{
	json_key(json, "switches");
	json_open_object(json);
	json_key_u64(json, "seen", ledger->seen);
	json_key_u64(json, "sent", ledger->sent);
	json_key_u64(json, "unsampled", ledger->unsampled);
	json_key_u64(json, "open", ledger->open);
	json_key_u64(json, "ended", ledger->ended);
	json_key(json, "filtered");
	json_open_object(json);
	json_key_u64(json, "others", ledger->filtered_others);
	json_key_u64(json, "state", ledger->filtered_state);
	json_key_u64(json, "short", ledger->filtered_short);
	json_key_u64(json, "long", ledger->filtered_long);
	json_close_object(json);
	json_key(json, "dropped");
	json_open_object(json);
	json_key_u64(json, "no_room", ledger->dropped_no_room);
	json_key_u64(json, "missed", ledger->dropped_missed);
	json_key_u64(json, "no_scratch", ledger->dropped_no_scratch);
	json_key_u64(json, "ring_full", ledger->dropped_ring_full);
	json_close_object(json);
	json_key_u64(json, "lost_stacks", ledger->lost_stacks);
	json_key_u64(json, "lost_later", ledger->lost_later);
	json_close_object(json);
}

void trace_report_json(struct json *json, const struct trace_report *report)
{
	json_open_object(json);
	json_key_i64(json, "start_us", report->start_unix_ns / 1000);
	json_key_i64(json, "duration_us", report->duration_ns / 1000);
	json_key(json, "total");
	write_group(json, &report->total, true);
	write_groups(json, "processes", &report->processes, TRACE_REPORT_HISTOGRAMS);
	write_groups(json, "cgroups", &report->cgroups, TRACE_REPORT_HISTOGRAMS);
	write_groups(json, "threads", &report->threads, 0);
	write_preemptors(json, report);
	write_slow(json, report);
	write_throttles(json, report);
	write_ledger(json, &report->ledger);
	json_close_object(json);
}
