#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/array.h"
#include "base/clock.h"
#include "base/log.h"
#include "cli/commands.h"
#include "cli/config.h"
#include "cli/limits.h"
#include "cli/signals.h"
#include "cli/tracer.h"
#include "profiler/profiler.h"
#include "storage/store.h"
#include "web/server.h"

static const struct option_spec serve_options[] = {
	{"listen", 'l', "HOST:PORT", "where to serve the page and the API (default 127.0.0.1:4040)",
	 option_string, offsetof(struct serve_config, listen)},
	{"data", 'D', "DIR", "where the history is kept (default /var/lib/hearth)", option_string,
	 offsetof(struct serve_config, data)},
	{"rate", 'F', "HZ", "samples per second and CPU (default 99)", option_rate,
	 offsetof(struct serve_config, rate_hz)},
	{"max-disk", 0, "BYTES", "let the oldest history go beyond this (default 10G)",
	 option_bytes, offsetof(struct serve_config, max_disk_bytes)},
	{"max-memory", 0, "BYTES", "memory, mostly for unwind information (default 256M)",
	 option_memory, offsetof(struct serve_config, max_memory_bytes)},
	{"ring-bytes", 0, "BYTES", "memory between kernel and user space (default 8M)",
	 option_bytes, offsetof(struct serve_config, ring_bytes)},
	NAMING_OPTIONS(struct serve_config, naming),
	WAITS_OPTIONS(struct serve_config, waits),
	{"insecure", 0, NULL, "allow --listen beyond this machine, without TLS", option_flag,
	 offsetof(struct serve_config, insecure)},
	{"config", 'c', "FILE", "read these options from FILE, one `name = value` a line",
	 option_string, offsetof(struct serve_config, config)},
};

struct serving {
	struct store *store;
	struct naming naming;
	struct profiler *profiler;
	struct tracer *tracer;
	char cache[PATH_MAX], uploads[PATH_MAX];
	int64_t complained_mono_ns; /* namer's thread: when a failed append was last logged */
};

/* A full disk fails every second; one line a minute is enough. */
static int append(void *ctx, const struct profile *const *profiles, size_t profile_count,
		  const struct ledger *delta, struct err *err)
{
	struct serving *serving = ctx;
	int rc = store_append(serving->store, profiles, profile_count, delta, err);
	int64_t now_mono_ns = clock_mono_ns();
	if (rc && (!serving->complained_mono_ns ||
		   now_mono_ns - serving->complained_mono_ns > 60 * NS_PER_S)) {
		serving->complained_mono_ns = now_mono_ns;
		log_line(LOG_ERROR, "samples are being lost: %s", err->text);
	}
	return rc;
}

static void warn(void *ctx, const char *text)
{
	(void)ctx;
	log_line(LOG_WARN, "%s", text);
}

static bool read_stats(void *ctx, struct sampler_stats *stats)
{
	const struct serving *serving = ctx;
	profiler_stats(serving->profiler, stats);
	return true;
}

static void read_quality(void *ctx, struct stack_quality *quality)
{
	const struct serving *serving = ctx;
	profiler_stack_quality(serving->profiler, quality);
}

static void read_symbols(void *ctx, struct symbols_status *status)
{
	const struct serving *serving = ctx;
	symbols_read_status(serving->naming.symbols, status);
}

static int upload_symbols(void *ctx, const char *build_id, int fd, struct err *err)
{
	const struct serving *serving = ctx;
	return symbols_upload(serving->naming.symbols, build_id, fd, err);
}

/* Names that came late, for what is stored by now. */
static void rename_stored(void *ctx, const char *build_id, const struct profile_renamer *renamer)
{
	struct serving *serving = ctx;
	size_t renamed;
	struct err err = {0};
	tracer_rename(serving->tracer, build_id, renamer);
	if (store_rename(serving->store, build_id, renamer, &renamed, &err))
		log_line(LOG_WARN, "stored samples keep their old names: %s", err.text);
}

static void log_notice(void *ctx, const char *text)
{
	(void)ctx;
	log_line(LOG_WARN, "%s", text);
}

static void take_switches(void *ctx, const struct named_switches *switches)
{
	const struct serving *serving = ctx;
	tracer_take(serving->tracer, switches);
}

static int open_tracer(struct serving *serving, const struct serve_config *config, struct err *err)
{
	(void)config;
	return tracer_new(&serving->tracer, err);
}

static int open_store(struct serving *serving, const struct serve_config *config, struct err *err)
{
	struct store_options storing = {
		.directory = config->data,
		.writable = true,
		.max_disk_bytes = config->max_disk_bytes,
	};
	int rc = store_open(&serving->store, &storing, err);
	if (!rc)
		store_notices(serving->store, log_notice, NULL);
	return rc;
}

static void flush_waits(void *ctx)
{
	const struct serving *serving = ctx;
	profiler_flush_waits(serving->profiler);
}

static int path_in(char path[static PATH_MAX], const char *directory, const char *name,
		   struct err *err)
{
	return snprintf(path, PATH_MAX, "%s/%s", directory, name) >= PATH_MAX
		       ? err_set(err, -ENAMETOOLONG, "%s: %m", directory)
		       : 0;
}

static int open_naming(struct serving *serving, const struct serve_config *config, struct err *err)
{
	int rc = path_in(serving->cache, config->data, "cache", err);
	if (!rc)
		rc = path_in(serving->uploads, config->data, "symbols", err);
	struct symbols_options options = {
		.cache_directory = serving->cache,
		.upload_directory = serving->uploads,
		.renamed = rename_stored,
		.warn = warn,
		.ctx = serving,
	};
	return rc ? rc : naming_open(&serving->naming, &config->naming, &options, err);
}

static int open_profiler(struct serving *serving, const struct serve_config *config,
			 struct err *err)
{
	struct profiler_options profiling = {
		.cache_directory = serving->cache,
		.symbols = serving->naming.symbols,
		.rate_hz = config->rate_hz,
		.max_memory_bytes = config->max_memory_bytes,
		.ring_bytes =
			config->ring_bytes > UINT32_MAX ? UINT32_MAX : (uint32_t)config->ring_bytes,
		.deliver = append,
		.switches = take_switches,
		.warn = warn,
		.ctx = serving,
	};
	waits_apply(&config->waits, &profiling);
	int rc = profiler_open(&serving->profiler, &profiling, err);
	if (!rc)
		tracer_attach(serving->tracer, serving->profiler);
	return rc;
}

static int start(struct serving *serving, struct server **server, const struct serve_config *config,
		 struct err *err)
{
	static int (*const steps[])(struct serving *, const struct serve_config *, struct err *) = {
		open_store, open_tracer, open_naming, open_profiler};
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		int rc = steps[i](serving, config, err);
		if (rc)
			return rc;
	}
	struct server_options serving_http = {
		.listen = config->listen,
		.version = HEARTH_VERSION,
		.store = serving->store,
		.sampler_stats = read_stats,
		.stack_quality = read_quality,
		.symbols_status = read_symbols,
		.upload_symbols = upload_symbols,
		.flush_waits = flush_waits,
		.tracer = tracer_ops(serving->tracer),
		.ctx = serving,
		.insecure = config->insecure,
	};
	return server_open(server, &serving_http, err);
}

static void wait_for_end(void)
{
	int signal_number;
	do {
		signal_number = signals_wait(-1);
	} while (signal_number != SIGINT && signal_number != SIGTERM);
}

static int serve(const struct serve_config *config)
{
	struct err err = {0};
	struct serving serving = {0};
	struct server *server = NULL;
	signals_block();
	limits_raise_files();
	int rc = start(&serving, &server, config, &err);
	if (rc) {
		log_line(LOG_ERROR, "%s", err.text);
	} else {
		log_line(LOG_INFO, "listening on %s, data in %s", server_url(server), config->data);
		wait_for_end();
	}
	/* The server asks the profiler, and the profiler appends to the store: from the top. */
	if (serving.naming.symbols)
		symbols_end_uploads(serving.naming.symbols);
	server_free(server);
	if (serving.tracer)
		tracer_stop(serving.tracer);
	profiler_free(serving.profiler);
	naming_fini(&serving.naming); /* renames what is stored */
	tracer_free(serving.tracer);
	store_free(serving.store);
	return rc ? EXIT_FAILED : EXIT_DONE;
}

static int run_serve(int argc, char **argv)
{
	struct serve_config config = {0};
	int first;
	int code = options_parse(&command_serve, &config, argc, argv, &first);
	if (code >= 0)
		return code;
	if (first < argc)
		return usage_error(&command_serve, "\"%s\" is one argument too many", argv[first]);
	struct err err = {0};
	AUTO_FINI(serve_config_fini) struct serve_config merged = {0};
	if (serve_config_read(&merged, &config, &err)) {
		log_line(LOG_ERROR, "%s", err.text);
		return EXIT_FAILED;
	}
	return serve(&merged);
}

const struct command command_serve = {
	.name = "serve",
	.usage = "[OPTIONS]",
	.summary = "sample this machine, keep the history, serve the page and the API",
	.details =
		"Ends on SIGINT or SIGTERM, with everything stored and nothing left in the kernel.\n"
		"Needs root, or CAP_BPF, CAP_PERFMON, CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH and\n"
		"CAP_SYSLOG; `hearth doctor` tells what is missing.\n",
	.options = serve_options,
	.option_count = ARRAY_LEN(serve_options),
	.run = run_serve,
};
