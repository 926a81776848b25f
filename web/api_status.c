#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/clock.h"
#include "profile/api_json.h"
#include "profile/stack_quality.h"
#include "web/handlers.h"

enum { HOST_BYTES = 256 };

bool web_sampler_stats(const struct web_context *context, struct sampler_stats *stats)
{
	*stats = (struct sampler_stats){0};
	return context->sampler_stats && context->sampler_stats(context->sampler_ctx, stats);
}

static void write_ledgers(struct json *json, const struct sampler_stats *stats)
{
	json_key(json, "ledger");
	json_open_object(json);
	json_key(json, "kernel");
	api_json_ledger(json, &stats->kernel);
	json_key(json, "user");
	api_json_ledger(json, &stats->user);
	json_close_object(json);
}

/* All ends, or those that there were. */
static void write_ends(struct json *json, const uint64_t ends[static STACK_ENDS], bool all)
{
	json_open_object(json);
	for (unsigned int end = 0; end < STACK_ENDS; end++)
		if (all || ends[end])
			json_key_u64(json, stack_end_name(end), ends[end]);
	json_close_object(json);
}

static void write_quality_row(struct json *json, const struct stack_quality_row *row,
			      const char *name_key)
{
	json_open_object(json);
	if (row->pid)
		json_key_u64(json, "pid", row->pid);
	json_key_str(json, name_key, row->name);
	json_key(json, "ends");
	write_ends(json, row->ends, false);
	json_close_object(json);
}

static void write_quality_table(struct json *json, const char *key,
				const struct stack_quality_table *table, const char *name_key)
{
	json_key(json, key);
	json_open_object(json);
	json_key(json, "rows");
	json_open_array(json);
	for (size_t i = 0; i < table->row_count; i++)
		write_quality_row(json, &table->rows[i], name_key);
	json_close_array(json);
	json_key(json, "other");
	write_ends(json, table->other.ends, false);
	json_close_object(json);
}

/* Totals and tables of one moment, so that they add up. */
static void write_quality(struct json *json, const struct stack_quality *quality)
{
	json_key(json, "stack_ends");
	write_ends(json, quality->ends, true);
	json_key(json, "stack_quality");
	json_open_object(json);
	write_quality_table(json, "processes", &quality->processes, "comm");
	write_quality_table(json, "libraries", &quality->libraries, "library");
	json_close_object(json);
}

static void write_memory(struct json *json, const char *key, const struct unwind_memory *memory)
{
	json_key(json, key);
	json_open_object(json);
	json_key_u64(json, "cap_bytes", memory->cap_bytes);
	json_key_u64(json, "used_bytes", memory->used_bytes);
	json_key_u64(json, "loads", memory->loads);
	json_key_u64(json, "evictions", memory->evictions);
	json_key_u64(json, "misses", memory->misses);
	json_close_object(json);
}

static void write_delays(struct json *json, const char *key, const struct delays *delays)
{
	json_key(json, key);
	json_open_object(json);
	json_key_u64(json, "count", delays->count);
	json_key_u64(json, "sum_us", delays->sum_ns / NS_PER_US);
	json_key_u64(json, "max_us", delays->max_ns / NS_PER_US);
	json_key(json, "within_ms");
	json_open_object(json);
	for (unsigned int i = 0; i < DELAY_LIMITS; i++) {
		char limit_ms[16];
		snprintf(limit_ms, sizeof(limit_ms), "%" PRIu32, delays_limit_ms(i));
		json_key_u64(json, limit_ms, delays->within[i]);
	}
	json_close_object(json);
	json_close_object(json);
}

static void write_waiting(struct json *json, const struct waiting_stats *waiting)
{
	json_key(json, "waiting");
	json_open_object(json);
	json_key_str(json, "method", waiting->method);
	json_key_str(json, "why_off", waiting->why_off);
	json_key_u64(json, "period_us", waiting->period_ns / NS_PER_US);
	json_key_u64(json, "threads", waiting->threads);
	json_key_u64(json, "passes", waiting->passes);
	json_key_u64(json, "visits", waiting->visits);
	json_key_u64(json, "walks", waiting->walks);
	json_key_u64(json, "raced", waiting->raced);
	json_key_u64(json, "busy", waiting->busy);
	json_key_u64(json, "deferred", waiting->deferred);
	json_key_u64(json, "stuck", waiting->stuck);
	json_key_u64(json, "unseen_us", waiting->unseen_ns / NS_PER_US);
	json_key_u64(json, "cpu_us", waiting->pass_ns / NS_PER_US);
	json_close_object(json);
}

static void write_sampler(struct json *json, const struct sampler_stats *stats)
{
	json_key_u64(json, "rate_hz", stats->rate_hz);
	json_key_u64(json, "cpus_sampled", stats->cpus_sampled);
	json_key_u64(json, "cpus_online", stats->cpus_online);
	write_ledgers(json, stats);
	json_key(json, "sideband");
	json_open_object(json);
	json_key_u64(json, "records", stats->sideband_records);
	json_key_u64(json, "lost", stats->sideband_lost);
	json_key_u64(json, "rescans", stats->rescans);
	json_close_object(json);
	json_key(json, "stacks");
	json_open_object(json);
	json_key_u64(json, "cut", stats->samples_with_cut_stack);
	json_key_u64(json, "cached", stats->stacks_cached);
	json_key_u64(json, "finished_in_user_space", stats->tails);
	json_key_u64(json, "unwind_memory_bytes", stats->unwind_memory_bytes);
	json_close_object(json);
	json_key(json, "unwind");
	json_open_object(json);
	write_memory(json, "kernel", &stats->unwind_kernel);
	write_memory(json, "user", &stats->unwind_user);
	write_delays(json, "mapping_pushes", &stats->mapping_pushes);
	json_close_object(json);
	write_waiting(json, &stats->waiting);
	json_key_u64(json, "late_ticks", stats->late_ticks);
	json_key_u64(json, "processes", stats->processes);
	json_key_u64(json, "threads", stats->threads);
	json_key_u64(json, "executables", stats->executables);
	json_key(json, "cost");
	json_open_object(json);
	json_key_u64(json, "bpf_run_us", stats->bpf_run_ns / NS_PER_US);
	json_key_u64(json, "bpf_runs", stats->bpf_runs);
	json_key_u64(json, "cpu_user_us", stats->cpu_user_ns / NS_PER_US);
	json_key_u64(json, "cpu_system_us", stats->cpu_system_ns / NS_PER_US);
	json_key_u64(json, "memory_bytes", stats->memory_bytes);
	json_close_object(json);
}

static void write_unnamed(struct json *json, const struct symbols_unnamed *unnamed)
{
	json_open_object(json);
	json_key_str(json, "file", unnamed->file);
	json_key_str(json, "build_id", unnamed->build_id);
	json_key_u64(json, "samples", unnamed->samples);
	json_key_str(json, "reason", unnamed->reason);
	json_key_str(json, "remedy", unnamed->remedy);
	json_close_object(json);
}

static void write_symbols(struct json *json, const struct symbols_status *symbols)
{
	json_key(json, "symbols");
	json_open_object(json);
	json_key_u64(json, "executables", symbols->executables);
	json_key_u64(json, "with_lines", symbols->with_lines);
	json_key_u64(json, "waiting", symbols->waiting);
	json_key_str(json, "compiling", symbols->running);
	json_key_u64(json, "compiled", symbols->compiled);
	json_key_u64(json, "from_cache", symbols->from_cache);
	json_key_u64(json, "failed", symbols->failed);
	json_key_u64(json, "unnamed_samples", symbols->unnamed_samples);
	json_key(json, "unnamed");
	json_open_array(json);
	for (uint32_t i = 0; i < symbols->unnamed_count; i++)
		write_unnamed(json, &symbols->unnamed[i]);
	json_close_array(json);
	json_close_object(json);
}

static void write_store(struct json *json, const struct store_stats *stats)
{
	json_key(json, "store");
	json_open_object(json);
	json_key_str(json, "directory", stats->directory);
	json_key_u64(json, "bytes", stats->size_bytes);
	json_key_u64(json, "partitions", stats->partitions);
	json_key_u64(json, "partitions_set_aside", stats->partitions_set_aside);
	json_key_i64(json, "oldest_us", stats->oldest_unix_ns / NS_PER_US);
	json_key_i64(json, "newest_us", stats->newest_unix_ns / NS_PER_US);
	json_key_u64(json, "samples", stats->samples);
	json_close_object(json);
}

static void write_notice(void *ctx, const char *text)
{
	json_str(ctx, text);
}

/* What is too large for a stack. */
struct tables {
	struct stack_quality quality;
	struct symbols_status symbols;
};

static void read_tables(const struct web_context *context, bool is_sampling, struct tables *tables)
{
	if (is_sampling && context->stack_quality)
		context->stack_quality(context->sampler_ctx, &tables->quality);
	if (is_sampling && context->symbols_status)
		context->symbols_status(context->sampler_ctx, &tables->symbols);
}

int api_status(const struct web_context *context, const struct request *request,
	       struct response *response, struct err *err)
{
	struct store_stats store;
	int rc = store_stats(context->store, &store, err);
	if (rc)
		return rc;
	AUTO_MEM struct tables *tables = calloc(1, sizeof(*tables));
	if (!tables)
		return err_set(err, -ENOMEM, "status: %m");
	struct sampler_stats sampler;
	bool is_sampling = web_sampler_stats(context, &sampler);
	read_tables(context, is_sampling, tables);
	char host[HOST_BYTES] = "";
	gethostname(host, sizeof(host) - 1);

	struct json json = response_json(response);
	json_open_object(&json);
	json_key_str(&json, "version", context->version);
	json_key_str(&json, "host", host);
	json_key_i64(&json, "start_us", context->start_unix_ns / NS_PER_US);
	json_key_i64(&json, "now_us", request->now_unix_ns / NS_PER_US);
	json_key_bool(&json, "sampling", is_sampling);
	write_sampler(&json, &sampler);
	write_quality(&json, &tables->quality);
	write_symbols(&json, &tables->symbols);
	write_store(&json, &store);
	json_key(&json, "notices");
	json_open_array(&json);
	store_notices(context->store, write_notice, &json);
	json_close_array(&json);
	json_close_object(&json);
	return 0;
}
