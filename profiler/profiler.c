#include "profiler/profiler.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "profiler/batch_queue.h"
#include "profiler/collector.h"
#include "profiler/cpu_list.h"
#include "profiler/namer.h"
#include "profiler/row_loader.h"
#include "profiler/sampler.h"

enum {
	DEFAULT_RATE_HZ = 99,
	DEFAULT_RING_BYTES = 8 << 20,
	DEFAULT_MEMORY_BYTES = 256 << 20,
	MAX_UMEM_BYTES = 1 << 30,
	QUEUE_SAMPLES = 1 << 20,
};

static const int64_t SWEEP_EVERY_NS = 10 * NS_PER_S;
static const int64_t DELIVERY_WAIT_NS = 5 * NS_PER_S;

struct profiler {
	struct profiler_options options;
	struct sampler *sampler;
	struct waiting *waiting; /* NULL: only what runs is sampled */
	struct err no_waiting;   /* why */
	struct collector *collector;
	struct umem *umem;
	struct unwinder *unwinder;
	struct row_loader *row_loader;
	struct quality *quality;
	const struct process *pushed; /* collector's thread: whose block umem is setting */
	struct namer *namer;
	int64_t swept_mono_ns; /* namer's thread */
	struct batch_queue *queue;
	pthread_t collector_thread, namer_thread;
	bool collector_runs, namer_runs;

	pthread_mutex_t lock; /* guards all below */
	pthread_cond_t has_delivered;
	uint64_t delivered_mono_ns; /* batch.drained_mono_ns of the last one that was delivered */
};

static bool enqueue(void *ctx, struct batch *batch)
{
	struct profiler *profiler = ctx;
	return batch_queue_push(profiler->queue, batch);
}

static void warn(void *ctx, const char *text)
{
	struct profiler *profiler = ctx;
	if (profiler->options.warn)
		profiler->options.warn(profiler->options.ctx, text);
}

/* umem knows pids; the kernel wants to know which process and image that was. A block that is
 * taken away for want of room is nobody's in particular. */
static int set_process(void *ctx, uint32_t pid, uint32_t block)
{
	struct profiler *profiler = ctx;
	struct umem_process_ref ref = {.block = block};
	if (block && profiler->pushed) {
		ref.exec_id = profiler->pushed->exec_id;
		ref.start_boot_ns = profiler->pushed->start_boot_ns;
	}
	return sampler_set_process(profiler->sampler, pid, &ref);
}

static int push(void *ctx, const struct process *process, const struct process_map *map)
{
	struct profiler *profiler = ctx;
	profiler->pushed = process;
	int rc = unwinder_push(profiler->unwinder, process->pid, map);
	profiler->pushed = NULL;
	return rc;
}

static bool share(void *ctx, const struct process *child, uint32_t parent_pid)
{
	struct profiler *profiler = ctx;
	profiler->pushed = child;
	umem_share_process(profiler->umem, child->pid, parent_pid);
	profiler->pushed = NULL;
	return umem_has_process(profiler->umem, child->pid);
}

static uint64_t push_epoch(void *ctx)
{
	const struct profiler *profiler = ctx;
	return unwinder_files_epoch(profiler->unwinder);
}

static void forget(void *ctx, uint32_t pid)
{
	const struct profiler *profiler = ctx;
	umem_remove_process(profiler->umem, pid);
}

static void tail(void *ctx, struct raw_stack *stack)
{
	const struct profiler *profiler = ctx;
	row_loader_add(profiler->row_loader, stack);
}

static void tick(void *ctx, uint64_t now_mono_ns)
{
	struct profiler *profiler = ctx;
	umem_tick(profiler->umem, now_mono_ns);
	sampler_set_umem_generation(profiler->sampler, umem_generation(profiler->umem));
}

static uint64_t wait_period_ns(void *ctx)
{
	const struct profiler *profiler = ctx;
	struct waiting_stats stats = {0};
	if (profiler->waiting)
		waiting_stats(profiler->waiting, &stats);
	return stats.period_ns;
}

static void *run_collector(void *ctx)
{
	struct profiler *profiler = ctx;
	pthread_setname_np(pthread_self(), "hearth-collect");
	collector_run(profiler->collector);
	return NULL;
}

/* Between batches, as it may wait for rows that are being read. */
static void keep_house(struct profiler *profiler, int64_t now_mono_ns)
{
	if (now_mono_ns - profiler->swept_mono_ns < SWEEP_EVERY_NS)
		return;
	profiler->swept_mono_ns = now_mono_ns;
	unwinder_sweep(profiler->unwinder);
}

static void hand_over_switches(struct profiler *profiler, struct batch *batch,
			       const struct named_batch *named)
{
	struct named_switches switches = {
		.tables = named->tables,
		.switches = named->switches,
		.count = named->switch_count,
		.lost = batch->lost_switches,
		.unix_minus_mono_ns = batch->unix_minus_mono_ns,
	};
	if (profiler->options.switches && (switches.count || switches.lost))
		profiler->options.switches(profiler->options.ctx, &switches);
	batch->switch_count = batch->lost_switches = 0; /* whatever comes, they have arrived */
}

/* An empty one tells that nothing happened, unless the other tells that something did. */
static int hand_over_samples(struct profiler *profiler, const struct batch *batch,
			     const struct named_batch *named, struct err *err)
{
	const struct profile *profiles[2];
	size_t count = 0;
	bool skips_cpu = profiler->options.skips_cpu;
	if (named->cpu->sample_count || (!skips_cpu && !named->offcpu->sample_count))
		profiles[count++] = named->cpu;
	if (named->offcpu->sample_count || (skips_cpu && !named->cpu->sample_count))
		profiles[count++] = named->offcpu;
	return profiler->options.deliver(profiler->options.ctx, profiles, count, &batch->delta,
					 err);
}

static void deliver(struct profiler *profiler, struct batch *batch)
{
	struct err err = {0};
	AUTO_FINI(named_batch_fini) struct named_batch named = {0};
	if (namer_name(profiler->namer, batch, &named, &err)) {
		collector_lost(profiler->collector, batch, DROP_NO_MEMORY);
		warn(profiler, err.text);
		return;
	}
	hand_over_switches(profiler, batch, &named);
	if (hand_over_samples(profiler, batch, &named, &err))
		collector_lost(profiler->collector, batch, DROP_STORE_FAILED);
	else
		collector_stored(profiler->collector, batch);
}

static void note_delivery(struct profiler *profiler, const struct batch *batch)
{
	pthread_mutex_lock(&profiler->lock);
	profiler->delivered_mono_ns = batch->drained_mono_ns;
	pthread_cond_broadcast(&profiler->has_delivered);
	pthread_mutex_unlock(&profiler->lock);
}

static void *run_namer(void *ctx)
{
	struct profiler *profiler = ctx;
	pthread_setname_np(pthread_self(), "hearth-name");
	for (;;) {
		AUTO(batch) batch = batch_queue_pop(profiler->queue);
		if (!batch)
			return NULL;
		deliver(profiler, batch);
		note_delivery(profiler, batch);
		keep_house(profiler, clock_mono_ns());
	}
}

/* The kernel masks each index into its memory, which takes a power of two: the largest one within
 * an eighth. */
static uint32_t umem_bytes(uint64_t max_memory_bytes)
{
	uint32_t size_bytes = MAX_UMEM_BYTES;
	while (size_bytes > max_memory_bytes / 8 &&
	       size_bytes > (uint32_t)sysconf(_SC_PAGESIZE) * 4)
		size_bytes /= 2;
	return size_bytes;
}

static int open_unwinder(struct profiler *profiler, struct err *err)
{
	const struct profiler_options *options = &profiler->options;
	struct umem_options memory = {.set_process = set_process, .ctx = profiler};
	memory.words = sampler_umem(profiler->sampler, &memory.word_count);
	int rc = umem_new(&profiler->umem, &memory, err);
	if (rc)
		return rc;
	struct unwinder_options unwinding = {
		.umem = profiler->umem,
		.cache_directory = options->cache_directory,
		.max_bytes = options->max_memory_bytes / 2,
	};
	rc = unwinder_new(&profiler->unwinder, &unwinding, err);
	return rc ? rc : row_loader_new(&profiler->row_loader, profiler->unwinder, err);
}

static int open_waiting(struct profiler *profiler, struct err *err)
{
	const struct profiler_options *options = &profiler->options;
	struct waiting_options waiting = {
		.sampler = profiler->sampler,
		.rate_hz = options->wait_rate_hz,
		.takes_kernel_threads = options->takes_kernel_threads,
		.method = options->wait_method,
	};
	struct err *why = &profiler->no_waiting;
	if (!options->takes_waits && !options->needs_waits) {
		(void)err_set(why, -ECANCELED, "switched off by --waiting off");
		return 0;
	}
	int rc = waiting_open(&profiler->waiting, &waiting, why);
	if (!rc)
		return 0;
	if (options->needs_waits)
		return err_set(err, rc, "%s", why->text);
	char text[sizeof(why->text) + 64];
	snprintf(text, sizeof(text), "%s; only what runs is sampled", why->text);
	warn(profiler, text);
	return 0;
}

static int open_parts(struct profiler *profiler, struct err *err)
{
	const struct profiler_options *options = &profiler->options;
	struct sampler_options sampling = {
		.rate_hz = options->rate_hz,
		.ring_bytes = options->ring_bytes,
		.pids = options->pids,
		.pid_count = options->pid_count,
		.umem_bytes = umem_bytes(options->max_memory_bytes),
	};
	int rc = sampler_open(&profiler->sampler, &sampling, err);
	if (rc)
		return rc;
	rc = open_waiting(profiler, err);
	if (!rc)
		rc = open_unwinder(profiler, err);
	if (rc)
		return rc;
	struct collector_options collecting = {
		.sampler = profiler->sampler,
		.rate_hz = options->rate_hz,
		.push = push,
		.push_epoch = push_epoch,
		.share = share,
		.forget = forget,
		.tail = tail,
		.tick = tick,
		.wait_period_ns = wait_period_ns,
		.emit = enqueue,
		.warn = warn,
		.ctx = profiler,
	};
	rc = collector_open(&profiler->collector, &collecting, err);
	if (!rc)
		rc = quality_new(&profiler->quality, err);
	struct namer_options naming = {
		.unwinder = profiler->unwinder,
		.quality = profiler->quality,
		.symbols = options->symbols,
		.warn = warn,
		.ctx = profiler,
	};
	if (!rc)
		rc = namer_new(&profiler->namer, &naming, err);
	if (!rc)
		rc = batch_queue_new(&profiler->queue, QUEUE_SAMPLES);
	return rc;
}

static int start(struct profiler *profiler, struct err *err)
{
	int rc = pthread_create(&profiler->namer_thread, NULL, run_namer, profiler);
	if (rc)
		return err_set(err, -rc, "start a thread: %m");
	profiler->namer_runs = true;
	rc = profiler->options.skips_cpu ? 0 : sampler_start(profiler->sampler, err);
	if (!rc && profiler->waiting)
		rc = waiting_start(profiler->waiting, err);
	if (rc)
		return rc;
	rc = pthread_create(&profiler->collector_thread, NULL, run_collector, profiler);
	if (rc)
		return err_set(err, -rc, "start a thread: %m");
	profiler->collector_runs = true;
	return 0;
}

static void init_lock(struct profiler *profiler)
{
	pthread_condattr_t attr;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_mutex_init(&profiler->lock, NULL);
	pthread_cond_init(&profiler->has_delivered, &attr);
	pthread_condattr_destroy(&attr);
}

int profiler_open(struct profiler **out, const struct profiler_options *options, struct err *err)
{
	AUTO(profiler) profiler = calloc(1, sizeof(*profiler));
	if (!profiler)
		return err_set(err, -ENOMEM, "profiler: %m");
	init_lock(profiler);
	profiler->options = *options;
	if (!options->rate_hz)
		profiler->options.rate_hz = DEFAULT_RATE_HZ;
	if (!options->ring_bytes)
		profiler->options.ring_bytes = DEFAULT_RING_BYTES;
	if (!options->max_memory_bytes)
		profiler->options.max_memory_bytes = DEFAULT_MEMORY_BYTES;
	int rc = open_parts(profiler, err);
	if (!rc)
		rc = start(profiler, err);
	if (rc)
		return rc;
	*out = TAKE(profiler);
	return 0;
}

void profiler_stop(struct profiler *profiler)
{
	bool collected = profiler->collector_runs;
	/* Its last pass sends what is pending, and the collector must be there to take it. */
	if (profiler->waiting)
		waiting_stop(profiler->waiting);
	if (collected) {
		collector_wake(profiler->collector);
		pthread_join(profiler->collector_thread, NULL);
		profiler->collector_runs = false;
	}
	/* Not before: until then the collector has the sampler follow the CPUs. */
	if (profiler->sampler)
		sampler_stop(profiler->sampler);
	if (collected)
		collector_finish(profiler->collector);
	if (profiler->namer_runs) {
		batch_queue_close(profiler->queue);
		pthread_join(profiler->namer_thread, NULL);
		profiler->namer_runs = false;
	}
}

void profiler_free(struct profiler *profiler)
{
	if (!profiler)
		return;
	profiler_stop(profiler);
	batch_queue_free(profiler->queue);
	row_loader_free(profiler->row_loader); /* before the collector, which counts tails */
	namer_free(profiler->namer);
	quality_free(profiler->quality);
	waiting_free(profiler->waiting);
	collector_free(profiler->collector);
	unwinder_free(profiler->unwinder);
	umem_free(profiler->umem);
	sampler_free(profiler->sampler);
	pthread_cond_destroy(&profiler->has_delivered);
	pthread_mutex_destroy(&profiler->lock);
	free(profiler);
}

void profiler_flush_waits(struct profiler *profiler)
{
	if (!profiler->waiting)
		return;
	waiting_flush(profiler->waiting);
	uint64_t wanted_mono_ns = (uint64_t)clock_mono_ns();
	collector_hurry(profiler->collector);
	int64_t until_mono_ns = (int64_t)wanted_mono_ns + DELIVERY_WAIT_NS;
	struct timespec until = {.tv_sec = until_mono_ns / NS_PER_S,
				 .tv_nsec = until_mono_ns % NS_PER_S};
	int rc = 0;
	pthread_mutex_lock(&profiler->lock);
	while (profiler->delivered_mono_ns < wanted_mono_ns && !rc)
		rc = pthread_cond_timedwait(&profiler->has_delivered, &profiler->lock, &until);
	pthread_mutex_unlock(&profiler->lock);
}

static uint64_t timeval_ns(struct timeval tv)
{
	return (uint64_t)(tv.tv_sec * NS_PER_S + tv.tv_usec * NS_PER_US);
}

static uint64_t resident_bytes(void)
{
	unsigned long size_pages, resident_pages;
	FILE *file = fopen("/proc/self/statm", "re");
	if (!file)
		return 0;
	int fields = fscanf(file, "%lu %lu", &size_pages, &resident_pages);
	fclose(file);
	return fields == 2 ? resident_pages * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

void profiler_wait_delivered(struct profiler *profiler, uint64_t until_mono_ns, int64_t patience_ns)
{
	int64_t end_mono_ns = clock_mono_ns() + patience_ns;
	struct timespec end = {.tv_sec = end_mono_ns / NS_PER_S, .tv_nsec = end_mono_ns % NS_PER_S};
	int rc = 0;
	pthread_mutex_lock(&profiler->lock);
	while (profiler->delivered_mono_ns < until_mono_ns && !rc && profiler->namer_runs)
		rc = pthread_cond_timedwait(&profiler->has_delivered, &profiler->lock, &end);
	pthread_mutex_unlock(&profiler->lock);
}

const struct sampler *profiler_sampler(const struct profiler *profiler)
{
	return profiler->sampler;
}

static void count_stacks(struct profiler *profiler, const uint64_t counts[static STAT_COUNT],
			 struct sampler_stats *stats)
{
	quality_totals(profiler->quality, stats->stack_ends);
	stats->tails = counts[STAT_TAILS];
	struct umem_stats umem;
	umem_stats(profiler->umem, &umem);
	stats->unwind_memory_bytes = umem.process_bytes + umem.file_bytes + umem.page_bytes;
	stats->unwind_kernel = (struct unwind_memory){
		.cap_bytes = umem.cap_bytes,
		.used_bytes = stats->unwind_memory_bytes,
		.loads = umem.loads,
		.evictions = umem.page_evictions + umem.file_evictions + umem.process_evictions,
		.misses = stats->tails,
	};
	unwinder_stats(profiler->unwinder, &stats->unwind_user);
}

void profiler_stats(struct profiler *profiler, struct sampler_stats *stats)
{
	collector_stats(profiler->collector, stats);
	uint64_t counts[STAT_COUNT];
	sampler_counts(profiler->sampler, counts);
	stats->kernel = (struct ledger){
		.taken = counts[STAT_TAKEN],
		.stored = counts[STAT_SENT],
		.dropped[DROP_NO_SCRATCH] = counts[STAT_NO_SCRATCH],
		.dropped[DROP_RING_FULL] = counts[STAT_RING_FULL],
	};
	stats->kernel.pending =
		counts[STAT_TAKEN] - counts[STAT_SENT] - ledger_dropped(&stats->kernel);
	stats->samples_with_cut_stack = counts[STAT_STACK_CUT];
	stats->late_ticks = counts[STAT_LATE];
	count_stacks(profiler, counts, stats);
	stats->bpf_run_ns = counts[STAT_RUN_NS];
	stats->bpf_runs = counts[STAT_RUNS];
	stats->rate_hz = profiler->options.skips_cpu ? 0 : profiler->options.rate_hz;
	if (profiler->waiting)
		waiting_stats(profiler->waiting, &stats->waiting);
	else
		snprintf(stats->waiting.why_off, sizeof(stats->waiting.why_off), "%s",
			 profiler->no_waiting.text);
	struct rusage usage;
	getrusage(RUSAGE_SELF, &usage);
	stats->cpu_user_ns = timeval_ns(usage.ru_utime);
	stats->cpu_system_ns = timeval_ns(usage.ru_stime);
	stats->memory_bytes = resident_bytes();
	struct cpu_list online;
	if (!cpu_list_online(&online, NULL))
		stats->cpus_online = cpu_list_count(&online);
}

void profiler_stack_quality(struct profiler *profiler, struct stack_quality *out)
{
	quality_read(profiler->quality, out);
}
