#include <inttypes.h>
#include <stdlib.h>

#include "base/array.h"
#include "base/auto.h"
#include "base/clock.h"
#include "web/handlers.h"

/* A sampler number that is a metric as it stands. */
struct plain_metric {
	const char *name;
	const char *type;
	const char *help;
	size_t offset; /* of a uint64_t in struct sampler_stats */
	bool is_ns;    /* shown in seconds */
};

#define FIELD(field) offsetof(struct sampler_stats, field)

static const struct plain_metric plain_metrics[] = {
	{"hearth_samples_cut_total", "counter", "Samples whose stack was deeper than the limit.",
	 FIELD(samples_with_cut_stack), false},
	{"hearth_late_ticks_total", "counter", "Timer periods added to the next tick.",
	 FIELD(late_ticks), false},
	{"hearth_sideband_records_total", "counter", "Process and mapping events from the kernel.",
	 FIELD(sideband_records), false},
	{"hearth_sideband_lost_total", "counter", "Such events that the kernel dropped.",
	 FIELD(sideband_lost), false},
	{"hearth_rescans_total", "counter", "Scans of /proc made to heal lost events.",
	 FIELD(rescans), false},
	{"hearth_processes", "gauge", "Processes known.", FIELD(processes), false},
	{"hearth_threads", "gauge", "Threads known.", FIELD(threads), false},
	{"hearth_user_stacks_finished_total", "counter",
	 "User stacks that were walked to the end in user space.", FIELD(tails), false},
	{"hearth_unwind_memory_bytes", "gauge", "Memory in use by the kernel side of unwinding.",
	 FIELD(unwind_memory_bytes), false},
	{"hearth_executables", "gauge", "Executable files known.", FIELD(executables), false},
	{"hearth_stacks_cached", "gauge", "Stacks held for naming.", FIELD(stacks_cached), false},
	{"hearth_bpf_run_seconds_total", "counter", "Time inside the BPF programs.",
	 FIELD(bpf_run_ns), true},
	{"hearth_bpf_runs_total", "counter", "Runs of the BPF programs.", FIELD(bpf_runs), false},
	{"hearth_waiting_period_seconds", "gauge",
	 "Time between two visits to all waiting threads; 0: waiting is not sampled.",
	 FIELD(waiting.period_ns), true},
	{"hearth_waiting_threads", "gauge", "Waiting threads that the last pass visited.",
	 FIELD(waiting.threads), false},
	{"hearth_waiting_passes_total", "counter", "Passes over all threads.",
	 FIELD(waiting.passes), false},
	{"hearth_waiting_visits_total", "counter", "Visits to waiting threads.",
	 FIELD(waiting.visits), false},
	{"hearth_waiting_walks_total", "counter", "Of these, stacks taken anew.",
	 FIELD(waiting.walks), false},
	{"hearth_waiting_raced_total", "counter",
	 "Stacks thrown away, as the thread ran meanwhile.", FIELD(waiting.raced), false},
	{"hearth_waiting_busy_total", "counter", "Visits put off, as the address space was locked.",
	 FIELD(waiting.busy), false},
	{"hearth_waiting_deferred_total", "counter",
	 "Visits put off, as the pass had done enough or rows were missing.",
	 FIELD(waiting.deferred), false},
	{"hearth_waiting_stuck_total", "counter",
	 "Passes given up, as the memory of a process could not be read for a second.",
	 FIELD(waiting.stuck), false},
	{"hearth_waiting_unseen_seconds_total", "counter",
	 "Waited by threads that ended before any visit.", FIELD(waiting.unseen_ns), true},
	{"hearth_waiting_pass_seconds_total", "counter", "CPU time spent in passes.",
	 FIELD(waiting.pass_ns), true},
	{"hearth_memory_bytes", "gauge", "Resident memory of Hearth.", FIELD(memory_bytes), false},
};

static void family(struct buf *out, const char *name, const char *type, const char *help)
{
	buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void gauge(struct buf *out, const char *name, const char *help, uint64_t value)
{
	family(out, name, "gauge", help);
	buf_printf(out, "%s %" PRIu64 "\n", name, value);
}

/* Nanoseconds as seconds, exactly: a double would round instants. */
static void append_seconds(struct buf *out, uint64_t ns)
{
	buf_printf(out, "%" PRIu64 ".%09" PRIu64 "\n", ns / NS_PER_S, ns % NS_PER_S);
}

static void instant(struct buf *out, const char *name, const char *help, int64_t unix_ns)
{
	family(out, name, "gauge", help);
	buf_printf(out, "%s ", name);
	append_seconds(out, unix_ns > 0 ? (uint64_t)unix_ns : 0);
}

static void append_label_value(struct buf *out, const char *text)
{
	for (; *text; text++) {
		if (*text == '\\' || *text == '"')
			buf_append_u8(out, '\\');
		if (*text == '\n')
			buf_append_str(out, "\\n");
		else
			buf_append_u8(out, (uint8_t)*text);
	}
}

static void write_build(struct buf *out, const struct web_context *context)
{
	family(out, "hearth_build_info", "gauge", "Always 1; the version is the label.");
	buf_append_str(out, "hearth_build_info{version=\"");
	append_label_value(out, context->version);
	buf_append_str(out, "\"} 1\n");
	instant(out, "hearth_start_time_seconds", "When the server started, unix time.",
		context->start_unix_ns);
}

static void staged(struct buf *out, const char *name, uint64_t kernel, uint64_t user)
{
	buf_printf(out, "%s{stage=\"kernel\"} %" PRIu64 "\n", name, kernel);
	buf_printf(out, "%s{stage=\"user\"} %" PRIu64 "\n", name, user);
}

static void write_drops(struct buf *out, const char *stage, const struct ledger *ledger)
{
	for (int reason = 0; reason < DROP_REASONS; reason++)
		buf_printf(out,
			   "hearth_samples_dropped_total{stage=\"%s\",reason=\"%s\"} %" PRIu64 "\n",
			   stage, drop_reason_name((enum drop_reason)reason),
			   ledger->dropped[reason]);
}

static void write_ledgers(struct buf *out, const struct ledger *kernel, const struct ledger *user)
{
	family(out, "hearth_samples_taken_total", "counter",
	       "Samples taken: stored + dropped + pending, exactly, in each stage.");
	staged(out, "hearth_samples_taken_total", kernel->taken, user->taken);
	family(out, "hearth_samples_stored_total", "counter",
	       "Samples passed on: by the kernel to user space, by user space to the store.");
	staged(out, "hearth_samples_stored_total", kernel->stored, user->stored);
	family(out, "hearth_samples_pending", "gauge", "Samples under way.");
	staged(out, "hearth_samples_pending", kernel->pending, user->pending);
	family(out, "hearth_samples_dropped_total", "counter", "Samples lost, by reason.");
	write_drops(out, "kernel", kernel);
	write_drops(out, "user", user);
}

static void write_stack_ends(struct buf *out, const struct sampler_stats *stats)
{
	static const char name[] = "hearth_user_stacks_total";
	family(out, name, "counter", "User stacks walked, by how the walk ended.");
	for (unsigned int end = 0; end < STACK_ENDS; end++)
		buf_printf(out, "%s{end=\"%s\"} %" PRIu64 "\n", name, stack_end_name(end),
			   stats->stack_ends[end]);
}

static void sided(struct buf *out, const char *name, const char *type, const char *help,
		  uint64_t kernel, uint64_t user)
{
	family(out, name, type, help);
	buf_printf(out, "%s{side=\"kernel\"} %" PRIu64 "\n", name, kernel);
	buf_printf(out, "%s{side=\"user\"} %" PRIu64 "\n", name, user);
}

static void write_unwind_memory(struct buf *out, const struct unwind_memory *kernel,
				const struct unwind_memory *user)
{
	sided(out, "hearth_unwind_limit_bytes", "gauge", "Most that rows may take.",
	      kernel->cap_bytes, user->cap_bytes);
	sided(out, "hearth_unwind_used_bytes", "gauge", "What rows of unwind information take.",
	      kernel->used_bytes, user->used_bytes);
	sided(out, "hearth_unwind_loads_total", "counter",
	      "Pages laid in the kernel, files read in user space.", kernel->loads, user->loads);
	sided(out, "hearth_unwind_evictions_total", "counter",
	      "Pages, files and mappings that went to make room.", kernel->evictions,
	      user->evictions);
	sided(out, "hearth_unwind_misses_total", "counter",
	      "Stacks the kernel left to user space, files that had been evicted.", kernel->misses,
	      user->misses);
}

static void histogram(struct buf *out, const char *name, const char *help,
		      const struct delays *delays)
{
	family(out, name, "histogram", help);
	for (unsigned int i = 0; i < DELAY_LIMITS; i++) {
		uint32_t limit_ms = delays_limit_ms(i);
		buf_printf(out, "%s_bucket{le=\"%" PRIu32 ".%03" PRIu32 "\"} %" PRIu64 "\n", name,
			   limit_ms / 1000, limit_ms % 1000, delays->within[i]);
	}
	buf_printf(out, "%s_bucket{le=\"+Inf\"} %" PRIu64 "\n%s_sum ", name, delays->count, name);
	append_seconds(out, delays->sum_ns);
	buf_printf(out, "%s_count %" PRIu64 "\n", name, delays->count);
}

static void write_plain(struct buf *out, const struct sampler_stats *stats)
{
	for (size_t i = 0; i < ARRAY_LEN(plain_metrics); i++) {
		const struct plain_metric *metric = &plain_metrics[i];
		const void *field = (const char *)stats + metric->offset;
		uint64_t value = *(const uint64_t *)field;
		family(out, metric->name, metric->type, metric->help);
		buf_printf(out, "%s ", metric->name);
		if (metric->is_ns)
			append_seconds(out, value);
		else
			buf_printf(out, "%" PRIu64 "\n", value);
	}
}

static void write_cpu(struct buf *out, const struct sampler_stats *stats)
{
	family(out, "hearth_cpu_seconds_total", "counter", "CPU time of Hearth itself.");
	buf_append_str(out, "hearth_cpu_seconds_total{mode=\"user\"} ");
	append_seconds(out, stats->cpu_user_ns);
	buf_append_str(out, "hearth_cpu_seconds_total{mode=\"system\"} ");
	append_seconds(out, stats->cpu_system_ns);
}

static void counter(struct buf *out, const char *name, const char *help, uint64_t value)
{
	family(out, name, "counter", help);
	buf_printf(out, "%s %" PRIu64 "\n", name, value);
}

/* Totals only: a series for each executable would have no bound. */
static void write_symbols(struct buf *out, const struct web_context *context)
{
	if (!context->symbols_status)
		return;
	AUTO_MEM struct symbols_status *status = calloc(1, sizeof(*status));
	if (!status)
		return;
	context->symbols_status(context->sampler_ctx, status);
	gauge(out, "hearth_symbols_executables", "Executables to be named.", status->executables);
	gauge(out, "hearth_symbols_executables_with_lines",
	      "Of these, executables named with source lines and inlined calls.",
	      status->with_lines);
	gauge(out, "hearth_symbols_waiting", "Executables that wait to be compiled.",
	      status->waiting);
	gauge(out, "hearth_symbols_compiling", "1 while one is being compiled.",
	      status->running[0] != '\0');
	counter(out, "hearth_symbols_compiled_total", "Executables compiled.", status->compiled);
	counter(out, "hearth_symbols_from_cache_total", "Executables that the cache had.",
		status->from_cache);
	counter(out, "hearth_symbols_failed_total", "Executables that could not be compiled.",
		status->failed);
	counter(out, "hearth_symbols_unnamed_samples_total", "Samples with a frame without a name.",
		status->unnamed_samples);
}

static void write_sampler(struct buf *out, const struct web_context *context)
{
	struct sampler_stats stats;
	bool is_sampling = web_sampler_stats(context, &stats);
	gauge(out, "hearth_sampling", "1 while samples are being taken.", is_sampling);
	if (!is_sampling)
		return;
	gauge(out, "hearth_rate_hertz", "Samples a second on each busy CPU.", stats.rate_hz);
	gauge(out, "hearth_cpus_sampled", "CPUs being sampled.", stats.cpus_sampled);
	gauge(out, "hearth_cpus_online", "CPUs online.", stats.cpus_online);
	write_ledgers(out, &stats.kernel, &stats.user);
	write_stack_ends(out, &stats);
	write_unwind_memory(out, &stats.unwind_kernel, &stats.unwind_user);
	histogram(out, "hearth_mapping_push_seconds",
		  "From a new mapping of code until the kernel's stack walker has it.",
		  &stats.mapping_pushes);
	write_symbols(out, context);
	write_plain(out, &stats);
	write_cpu(out, &stats);
}

static void write_store(struct buf *out, const struct store_stats *stats)
{
	gauge(out, "hearth_store_bytes", "Bytes on disk.", stats->size_bytes);
	gauge(out, "hearth_store_partitions", "Partition files.", stats->partitions);
	gauge(out, "hearth_store_partitions_set_aside", "Damaged partition files set aside.",
	      stats->partitions_set_aside);
	gauge(out, "hearth_store_samples", "Samples held.", stats->samples);
	instant(out, "hearth_store_oldest_sample_time_seconds",
		"Oldest sample, unix time; 0: none.", stats->oldest_unix_ns);
	instant(out, "hearth_store_newest_sample_time_seconds",
		"Newest sample, unix time; 0: none.", stats->newest_unix_ns);
}

int metrics(const struct web_context *context, const struct request *request,
	    struct response *response, struct err *err)
{
	(void)request;
	struct store_stats stats;
	int rc = store_stats(context->store, &stats, err);
	if (rc)
		return rc;
	response->content_type = "text/plain; version=0.0.4; charset=utf-8";
	write_build(&response->body, context);
	write_sampler(&response->body, context);
	write_store(&response->body, &stats);
	return 0;
}
