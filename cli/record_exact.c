#include "cli/record_exact.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/clock.h"
#include "base/log.h"
#include "cli/output.h"

enum { MAX_REPORT_BYTES = 64 << 20 };

/* A word of a table, or the sentence that lists them. */
struct word {
	const char *text;
	uint32_t value;
};

static int parse_word(const struct word *words, size_t count, const char *text, uint32_t *value,
		      struct err *err)
{
	char list[128] = "";
	for (size_t i = 0; i < count; i++) {
		if (!strcmp(words[i].text, text)) {
			*value = words[i].value;
			return 0;
		}
		size_t len = strlen(list);
		snprintf(list + len, sizeof(list) - len, "%s%s", len ? ", " : "", words[i].text);
	}
	return err_set(err, -EINVAL, "\"%s\" is none of %s", text, list);
}

int option_view(void *target, const char *value, struct err *err)
{
	static const struct word words[] = {
		{"waits", EXACT_WAITS}, {"wakers", EXACT_WAKERS}, {"offwake", EXACT_OFFWAKE}};
	uint32_t view = 0;
	int rc = parse_word(words, ARRAY_LEN(words), value, &view, err);
	if (!rc)
		*(enum exact_view *)target = (enum exact_view)view;
	return rc;
}

int option_stacks(void *target, const char *value, struct err *err)
{
	static const struct word words[] = {{"all", true}, {"sampled", false}};
	uint32_t is_all = 0;
	int rc = parse_word(words, ARRAY_LEN(words), value, &is_all, err);
	if (!rc)
		*(bool *)target = is_all;
	return rc;
}

int option_state(void *target, const char *value, struct err *err)
{
	static const struct word words[] = {
		{"sleeping", TRACING_SLEEPING | TRACING_UNINTERRUPTIBLE},
		{"uninterruptible", TRACING_UNINTERRUPTIBLE},
		{"runnable", TRACING_RUNNABLE},
		{"all", TRACING_ANY_STATE},
	};
	return parse_word(words, ARRAY_LEN(words), value, target, err);
}

static int parse_number(const char *text, uint64_t max, uint64_t *number, struct err *err)
{
	char *end;
	errno = 0;
	unsigned long long value = strtoull(text, &end, 10);
	if (end == text || *end || errno || text[0] < '0' || text[0] > '9' || value > max)
		return err_set(err, -EINVAL, "\"%s\" is no number from 0 to %llu", text,
			       (unsigned long long)max);
	*number = value;
	return 0;
}

int option_tid(void *target, const char *value, struct err *err)
{
	uint64_t tid = 0;
	int rc = parse_number(value, INT32_MAX, &tid, err);
	if (!rc && !tid)
		rc = err_set(err, -EINVAL, "there is no thread 0");
	if (!rc)
		*(uint32_t *)target = (uint32_t)tid;
	return rc;
}

int option_us(void *target, const char *value, struct err *err)
{
	uint64_t us = 0;
	int rc = parse_number(value, EXACT_MAX_S * NS_PER_S / NS_PER_US, &us, err);
	if (!rc)
		*(uint64_t *)target = us * NS_PER_US;
	return rc;
}

static bool is_any_given(const struct exact_config *config)
{
	const struct exact_config none = {0};
	return memcmp(config, &none, sizeof(none)) != 0;
}

int exact_check(const struct exact_config *config, bool has_command, int64_t *duration_ns,
		struct err *err)
{
	if (!config->is_asked_for)
		return is_any_given(config)
			       ? err_set(err, -EINVAL,
					 "--view, --stacks, --state, --tid, --cgroup, --min-us, "
					 "--max-us, --slow-us, --self, --report and --json go with "
					 "--exact")
			       : 0;
	if (config->max_ns && config->max_ns < config->min_ns)
		return err_set(err, -EINVAL, "--max-us is less than --min-us");
	if (*duration_ns > EXACT_MAX_S * NS_PER_S)
		return err_set(err, -EINVAL, "--exact goes on for %d s at most", EXACT_MAX_S);
	if (!*duration_ns)
		*duration_ns = (has_command ? EXACT_MAX_S : EXACT_DEFAULT_S) * NS_PER_S;
	return 0;
}

void exact_apply(struct profiler_options *options)
{
	options->rate_hz = 1;
	options->skips_cpu = true;
	options->takes_waits = options->needs_waits = false;
}

int exact_start(struct exact_record *exact, const struct exact_config *config,
		struct profiler *profiler, struct err *err)
{
	if (!config->is_asked_for)
		return 0;
	struct trace_options options = {
		.tid = (pid_t)config->tid,
		.cgroup = config->cgroup,
		.states = config->states,
		.min_ns = config->min_ns,
		.max_ns = config->max_ns,
		.slow_ns = config->slow_ns,
		.takes_all_stacks = config->takes_all_stacks,
		.takes_self = config->takes_self,
		.session = 1,
	};
	struct trace *trace;
	int rc = trace_open(&trace, profiler, &options, err);
	if (!rc)
		__atomic_store_n(&exact->trace, trace, __ATOMIC_RELEASE);
	return rc;
}

static struct trace *trace_of(struct exact_record *exact)
{
	return __atomic_load_n(&exact->trace, __ATOMIC_ACQUIRE);
}

void exact_take(struct exact_record *exact, const struct named_switches *switches)
{
	struct trace *trace = trace_of(exact);
	if (trace)
		trace_take(trace, switches);
}

void exact_rename(struct exact_record *exact, const char *build_id,
		  const struct profile_renamer *renamer)
{
	struct trace *trace = trace_of(exact);
	if (trace)
		trace_rename(trace, build_id, renamer);
}

int exact_stop(struct exact_record *exact, struct err *err)
{
	struct trace *trace = trace_of(exact);
	return trace ? trace_stop(trace, err) : 0;
}

static int write_report(const struct trace_report *report, const struct exact_config *config,
			bool has_output, struct err *err)
{
	const char *path = config->report;
	if (!path && has_output)
		return 0;
	AUTO_FINI(buf_fini) struct buf out;
	buf_init(&out, MAX_REPORT_BYTES);
	struct json json = json_to(&out);
	if (config->is_json)
		trace_report_json(&json, report);
	else
		trace_report_text(&out, report);
	if (config->is_json)
		buf_append_u8(&out, '\n');
	int rc = buf_error(&out);
	if (rc)
		return err_set(err, rc, "the report: %m");
	if (path && strcmp(path, "-") != 0)
		return output_write(path, out.data, out.len_bytes, err);
	if (fwrite(out.data, 1, out.len_bytes, stdout) != out.len_bytes || fflush(stdout))
		return err_set(err, -errno, "standard output: %m");
	return 0;
}

static void warn_of_losses(const struct trace_ledger *ledger)
{
	uint64_t dropped = ledger->dropped_no_room + ledger->dropped_missed +
			   ledger->dropped_no_scratch + ledger->dropped_ring_full;
	uint64_t stackless = ledger->lost_stacks + ledger->lost_later;
	if (dropped)
		log_line(LOG_WARN, "%llu of %llu switches were lost; see --report",
			 (unsigned long long)dropped, (unsigned long long)ledger->seen);
	if (stackless)
		log_line(LOG_WARN, "%llu stacks of waits were lost; see --report",
			 (unsigned long long)stackless);
}

int exact_finish(struct exact_record *exact, const struct exact_config *config, bool has_output,
		 struct profile **profile, struct err *err)
{
	struct trace *trace = trace_of(exact);
	if (!trace)
		return 0;
	AUTO_FINI(trace_result_fini) struct trace_result result = {0};
	int rc = trace_finish(trace, &result, err);
	if (!rc)
		rc = write_report(result.report, config, has_output, err);
	if (rc)
		return rc;
	warn_of_losses(&result.report->ledger);
	struct profile **const views[] = {
		[EXACT_WAITS] = &result.views.waits,
		[EXACT_WAKERS] = &result.views.wakers,
		[EXACT_OFFWAKE] = &result.views.offwake,
	};
	profile_free(*profile);
	*profile = TAKE(*views[config->view]);
	exact->waits = profile_total_count(*profile);
	return 0;
}

void exact_fini(struct exact_record *exact)
{
	trace_free(exact->trace);
	exact->trace = NULL;
}
