#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/clock.h"
#include "base/log.h"
#include "cli/child.h"
#include "cli/commands.h"
#include "cli/limits.h"
#include "cli/naming.h"
#include "cli/output.h"
#include "cli/record_exact.h"
#include "cli/signals.h"
#include "cli/waits.h"
#include "profiler/profiler.h"

enum { MAX_PIDS = 1024, MAX_OUTPUT_BYTES = 1 << 30, MAX_NAMES_S = 20 };

struct record_config {
	const char *output;
	int64_t duration_ns;
	uint32_t rate_hz;
	uint64_t max_memory_bytes;
	struct naming_config naming;
	struct waits_config waits;
	struct exact_config exact;
	enum profile_type type;
	pid_t pids[MAX_PIDS];
	size_t pid_count;
};

struct recording {
	pthread_mutex_t lock;    /* guards profile, which both threads below write */
	struct profile *profile; /* all batches merged */
	struct err failure;      /* of a merge, after which profile is not fit to be used; same */
	uint64_t shown_samples;
	struct exact_record exact;
	char cache[PATH_MAX];
};

static int option_pids(void *target, const char *value, struct err *err)
{
	struct record_config *config = target;
	for (const char *pos = value;;) {
		char *end;
		long pid = strtol(pos, &end, 10);
		if (end == pos || pid <= 0 || pid > INT32_MAX || (*end && *end != ','))
			return err_set(err, -EINVAL, "\"%s\" is not a list of process ids", value);
		if (config->pid_count == MAX_PIDS)
			return err_set(err, -ENOSPC, "more than %d processes", MAX_PIDS);
		config->pids[config->pid_count++] = (pid_t)pid;
		if (!*end)
			return 0;
		pos = end + 1;
	}
}

static int option_type(void *target, const char *value, struct err *err)
{
	return profile_type_parse(value, target, err);
}

static const struct option_spec record_options[] = {
	{"output", 'o', "FILE", "where to write; .pb.gz (pprof) or .folded (default profile.pb.gz)",
	 option_string, offsetof(struct record_config, output)},
	{"duration", 'd', "SECONDS", "how long (default: until CMD or you end it)", option_duration,
	 offsetof(struct record_config, duration_ns)},
	{"rate", 'F', "HZ", "samples per second and CPU (default 99)", option_rate,
	 offsetof(struct record_config, rate_hz)},
	{"max-memory", 0, "BYTES", "memory, mostly for unwind information (default 256M)",
	 option_memory, offsetof(struct record_config, max_memory_bytes)},
	{"type", 't', "TYPE", "cpu (what runs, the default), offcpu (what waits) or wall (both)",
	 option_type, offsetof(struct record_config, type)},
	NAMING_OPTIONS(struct record_config, naming),
	WAITS_OPTIONS(struct record_config, waits),
	EXACT_OPTIONS(struct record_config, exact),
	{"pid", 'p', "PID,...", "only these processes and what they start", option_pids, 0},
};

/* Names that came late, for what was merged by now. */
static void rename_merged(void *ctx, const char *build_id, const struct profile_renamer *renamer)
{
	struct recording *recording = ctx;
	size_t renamed = 0;
	exact_rename(&recording->exact, build_id, renamer);
	pthread_mutex_lock(&recording->lock);
	if (!recording->failure.code) {
		int rc = profile_rename(recording->profile, build_id, renamer, &renamed);
		if (rc)
			err_set(&recording->failure, rc, "rename: %m");
	}
	pthread_mutex_unlock(&recording->lock);
}

static int merge(void *ctx, const struct profile *const *profiles, size_t profile_count,
		 const struct ledger *delta, struct err *err)
{
	(void)delta;
	struct recording *recording = ctx;
	uint64_t samples = 0;
	pthread_mutex_lock(&recording->lock);
	int rc = recording->failure.code;
	for (size_t i = 0; i < profile_count && !rc; i++) {
		rc = profile_merge(recording->profile, profiles[i], err);
		if (rc)
			recording->failure = *err;
		samples += profile_total_count(profiles[i]);
	}
	pthread_mutex_unlock(&recording->lock);
	if (!rc)
		__atomic_add_fetch(&recording->shown_samples, samples, __ATOMIC_RELAXED);
	return rc;
}

static void take_switches(void *ctx, const struct named_switches *switches)
{
	struct recording *recording = ctx;
	exact_take(&recording->exact, switches);
}

static void warn(void *ctx, const char *text)
{
	(void)ctx;
	log_line(LOG_WARN, "%s", text);
}

static void show_progress(struct recording *recording, int64_t since_mono_ns)
{
	if (!isatty(STDERR_FILENO))
		return;
	fprintf(stderr, "\rrecording, %lld s, %llu samples; Ctrl-C ends it ",
		(long long)((clock_mono_ns() - since_mono_ns) / NS_PER_S),
		(unsigned long long)__atomic_load_n(&recording->shown_samples, __ATOMIC_RELAXED));
}

/* The terminal tells CMD of Ctrl-C itself; kill(1) tells only us. */
static void pass_on(struct child *child, int signal_number)
{
	if (child && (signal_number == SIGTERM || signal_number == SIGHUP))
		kill(child->pid, signal_number);
}

/* CMD may go on after the recording; whoever ends us then, means it. */
static void wait_for_child(struct child *child)
{
	while (!child_poll(child, false)) {
		int signal_number = signals_wait(-1);
		if (signal_number == SIGINT)
			signal_number = SIGTERM;
		pass_on(child, signal_number);
	}
}

/* Until the time is over, the child has ended, or a signal says so. */
static void wait_for_end(const struct record_config *config, struct recording *recording,
			 struct child *child)
{
	int64_t start_mono_ns = clock_mono_ns();
	int64_t end_mono_ns = config->duration_ns ? start_mono_ns + config->duration_ns : INT64_MAX;
	int64_t left_ns;
	while ((left_ns = end_mono_ns - clock_mono_ns()) > 0) {
		show_progress(recording, start_mono_ns);
		int signal_number = signals_wait(left_ns < NS_PER_S ? left_ns : NS_PER_S);
		if (signal_number == SIGINT || signal_number == SIGTERM) {
			pass_on(child, signal_number);
			break;
		}
		if (child && child_poll(child, false))
			break;
	}
	if (isatty(STDERR_FILENO))
		fputc('\n', stderr);
}

static void report_losses(const struct sampler_stats *stats)
{
	uint64_t dropped = ledger_dropped(&stats->kernel) + ledger_dropped(&stats->user);
	if (!dropped)
		return;
	char reasons[512] = "";
	for (int i = 0; i < DROP_REASONS; i++) {
		uint64_t count = stats->kernel.dropped[i] + stats->user.dropped[i];
		size_t len = strlen(reasons);
		if (count)
			snprintf(reasons + len, sizeof(reasons) - len, "%s%s %llu", len ? ", " : "",
				 drop_reason_name((enum drop_reason)i), (unsigned long long)count);
	}
	log_line(LOG_WARN, "%llu of %llu samples were lost: %s", (unsigned long long)dropped,
		 (unsigned long long)stats->kernel.taken, reasons);
}

static int open_naming(struct naming *naming, const struct record_config *config,
		       struct recording *recording, struct err *err)
{
	naming_user_cache(recording->cache);
	struct symbols_options options = {
		.cache_directory = recording->cache[0] ? recording->cache : NULL,
		.renamed = rename_merged,
		.warn = warn,
		.ctx = recording,
	};
	struct err cache_err = {0};
	int rc = naming_open(naming, &config->naming, &options, &cache_err);
	if (!rc || !recording->cache[0])
		return rc ? err_set(err, rc, "%s", cache_err.text) : 0;
	/* A home that cannot be written to: then without a cache. */
	naming_fini(naming);
	recording->cache[0] = 0;
	options.cache_directory = NULL;
	return naming_open(naming, &config->naming, &options, err);
}

/* Names are worth some seconds of waiting; a signal says they are not. */
static void wait_for_names(struct symbols *symbols)
{
	struct symbols_status status;
	int64_t end_mono_ns = clock_mono_ns() + MAX_NAMES_S * NS_PER_S;
	bool is_shown = false;
	while (!symbols_wait(symbols, NS_PER_S / 2) && clock_mono_ns() < end_mono_ns) {
		symbols_read_status(symbols, &status);
		if (isatty(STDERR_FILENO))
			fprintf(stderr, "\rreading debug information of %.40s; Ctrl-C leaves it ",
				status.running);
		is_shown = true;
		int signal_number = signals_wait(0);
		if (signal_number == SIGINT || signal_number == SIGTERM)
			break;
	}
	if (is_shown && isatty(STDERR_FILENO))
		fputc('\n', stderr);
}

static int take(const struct record_config *config, struct recording *recording,
		struct child *child, const char *command, struct symbols *symbols, struct err *err)
{
	struct profiler_options options = {
		.rate_hz = config->rate_hz,
		.max_memory_bytes = config->max_memory_bytes,
		.pids = config->pid_count ? config->pids : NULL,
		.pid_count = config->pid_count,
		.symbols = symbols,
		.deliver = merge,
		.switches = take_switches,
		.warn = warn,
		.ctx = recording,
	};
	waits_apply(&config->waits, &options);
	options.skips_cpu = config->type == PROFILE_OFFCPU;
	options.takes_waits = options.needs_waits = config->type != PROFILE_CPU;
	if (config->exact.is_asked_for)
		exact_apply(&options);
	AUTO(profiler) profiler = NULL;
	int rc = profiler_open(&profiler, &options, err);
	if (!rc)
		rc = exact_start(&recording->exact, &config->exact, profiler, err);
	if (!rc && child)
		rc = child_go(child, command, err);
	if (rc)
		return rc;
	wait_for_end(config, recording, child);
	rc = exact_stop(&recording->exact, err);
	profiler_stop(profiler);
	if (rc)
		return rc;
	wait_for_names(symbols);
	struct sampler_stats stats;
	profiler_stats(profiler, &stats);
	report_losses(&stats);
	return recording->failure.code
		       ? err_set(err, recording->failure.code, "%s", recording->failure.text)
		       : 0;
}

static int write_out(const struct record_config *config, const struct recording *recording,
		     struct err *err)
{
	AUTO_FINI(buf_fini) struct buf out;
	buf_init(&out, MAX_OUTPUT_BYTES);
	int rc = output_encode(&out, config->output, recording->profile, err);
	if (!rc)
		rc = output_write(config->output, out.data, out.len_bytes, err);
	if (!rc && isatty(STDERR_FILENO))
		log_line(LOG_INFO, "%llu samples in %s",
			 (unsigned long long)(recording->exact.waits ? recording->exact.waits
								     : recording->shown_samples),
			 config->output);
	return rc;
}

static int record(struct record_config *config, char **command)
{
	struct err err = {0};
	AUTO_FINI(child_fini) struct child child = {.go_fd = -1, .failed_fd = -1};
	struct child *started = command ? &child : NULL;
	AUTO(profile) profile = NULL;
	signals_block();
	int rc = profile_new(&profile, config->type);
	if (rc)
		err_set(&err, rc, "profile: %m");
	if (!rc && command)
		rc = child_start(&child, command, &err);
	if (!rc && command)
		config->pids[config->pid_count++] = child.pid;
	limits_raise_files(); /* ours: CMD has been forked with those it was given */
	struct recording recording = {.lock = PTHREAD_MUTEX_INITIALIZER, .profile = profile};
	struct naming naming = {0};
	if (!rc)
		rc = open_naming(&naming, config, &recording, &err);
	if (!rc)
		rc = take(config, &recording, started, command ? command[0] : "", naming.symbols,
			  &err);
	naming_fini(&naming); /* renames what was merged */
	if (!rc)
		rc = exact_finish(&recording.exact, &config->exact, config->output != NULL,
				  &recording.profile, &err);
	profile = recording.profile;
	exact_fini(&recording.exact);
	if (!rc && config->output)
		rc = write_out(config, &recording, &err);
	if (rc)
		log_line(LOG_ERROR, "%s", err.text);
	if (child.runs)
		wait_for_child(&child);
	if (child.ended && child_exit_code(&child))
		return child_exit_code(&child); /* its own failure says more than ours */
	return rc ? EXIT_FAILED : EXIT_DONE;
}

/* Before the recording, not after it. */
static int check_places(const struct record_config *config, struct err *err)
{
	const char *report = config->exact.report;
	int rc = config->output ? output_check_place(config->output, err) : 0;
	if (!rc && report && strcmp(report, "-") != 0)
		rc = output_check_place(report, err);
	return rc;
}

static int run_record(int argc, char **argv)
{
	struct record_config config = {.type = PROFILE_CPU};
	struct err err = {0};
	int first;
	int code = options_parse(&command_record, &config, argc, argv, &first);
	if (code >= 0)
		return code;
	if (!config.output && !config.exact.is_asked_for)
		config.output = "profile.pb.gz";
	if (config.output && output_check(config.output, &err))
		return usage_error(&command_record, "%s", err.text);
	if (config.type != PROFILE_CPU && config.waits.method &&
	    !strcmp(config.waits.method, "off"))
		return usage_error(&command_record,
				   "--type %s is of what waits: not with --waiting off",
				   profile_type_name(config.type));
	if (exact_check(&config.exact, first < argc, &config.duration_ns, &err))
		return usage_error(&command_record, "%s", err.text);
	if (config.pid_count && first < argc)
		return usage_error(&command_record, "give either --pid or a command");
	if (check_places(&config, &err)) {
		log_line(LOG_ERROR, "%s", err.text);
		return EXIT_FAILED;
	}
	return record(&config, first < argc ? argv + first : NULL);
}

const struct command command_record = {
	.name = "record",
	.usage = "[OPTIONS] [-- CMD ARG...]",
	.summary = "take one profile, of the machine, of processes or of a command, into a file",
	.details = "With CMD, records it and all it starts, and exits with its exit status.\n",
	.options = record_options,
	.option_count = ARRAY_LEN(record_options),
	.run = run_record,
};
