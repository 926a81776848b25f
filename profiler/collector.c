#include "profiler/collector.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>

#include "base/array.h"
#include "base/clock.h"
#include "profiler/intake.h"
#include "profiler/processes.h"
#include "profiler/sideband.h"

/* How long records may lie in the ring: the price of a round is paid this often. */
enum { ROUND_MS = 100 };
/* The side-band asks for a round at once, so that files are pinned while their process lives;
 * a storm of short processes gets one every so often. */
enum { MIN_ROUND_MS = 5 };
/* Reading all of /proc after events were lost takes at most this part of the time. */
enum { RESCAN_SHARE = 20 };
/* A second at most may be missing after a crash: a batch, the round that closes it, and the time
 * it takes to name and store it. */
static const uint64_t BATCH_NS = 750 * UINT64_C(1000000);
static const uint64_t GENERATION_NS = 60 * UINT64_C(1000000000);
enum { MAX_PENDING = 1 << 20 };

/* More processes than this change their mappings in one round only in a storm; those left out
 * are pushed at their next sample. */
enum { MAX_CHANGED = 256 };

/* A side-band event whose time has not come; its file is pinned already. */
struct pending_event {
	struct sideband_event event;
	struct mapped_file *file; /* a reference, of an MMAP */
};

struct collector {
	struct collector_options options;
	struct sideband *sideband;
	struct files *files;
	struct processes *processes;
	struct intake *intake;
	int epoll_fd, wake_fd;

	struct pending_event *events;
	size_t event_count, event_cap, event_next;
	uint32_t changed[MAX_CHANGED]; /* pids whose mappings the kernel's walker has anew */
	size_t changed_count;

	struct batch *batch;
	uint64_t generation_mono_ns, batch_mono_ns, house_mono_ns;
	uint64_t closed_mono_ns;               /* batch.drained_mono_ns of the last one */
	uint64_t wanted_mono_ns;               /* atomic: collector_hurry() */
	uint64_t kernel_dropped[DROP_REASONS]; /* as of the last batch */
	bool needs_rescan;
	uint64_t rescan_mono_ns; /* not before */
	bool cpus_failed;        /* the last follow_cpus() did */

	pthread_mutex_t lock; /* guards all below */
	struct ledger ledger;
	uint64_t unreported[DROP_REASONS]; /* drops no batch has told of */
	uint64_t lost_switches;            /* likewise */
	struct sampler_stats counts;
};

static void count_drop(void *ctx, enum drop_reason reason)
{
	struct collector *collector = ctx;
	pthread_mutex_lock(&collector->lock);
	collector->ledger.dropped[reason]++;
	collector->unreported[reason]++;
	pthread_mutex_unlock(&collector->lock);
}

static void count_taken(void *ctx)
{
	struct collector *collector = ctx;
	pthread_mutex_lock(&collector->lock);
	collector->ledger.taken++;
	pthread_mutex_unlock(&collector->lock);
}

void collector_lost(struct collector *collector, const struct batch *batch, enum drop_reason reason)
{
	pthread_mutex_lock(&collector->lock);
	collector->ledger.dropped[reason] += batch_samples(batch);
	collector->unreported[reason] += batch_samples(batch);
	collector->lost_switches += batch->switch_count + batch->lost_switches;
	/* What the batch was to tell is told by the next one. */
	for (int i = 0; i < DROP_REASONS; i++)
		collector->unreported[i] += batch->delta.dropped[i];
	pthread_mutex_unlock(&collector->lock);
}

void collector_stored(struct collector *collector, const struct batch *batch)
{
	pthread_mutex_lock(&collector->lock);
	collector->ledger.stored += batch_samples(batch);
	pthread_mutex_unlock(&collector->lock);
}

void collector_stats(struct collector *collector, struct sampler_stats *stats)
{
	pthread_mutex_lock(&collector->lock);
	*stats = collector->counts;
	stats->user = collector->ledger;
	pthread_mutex_unlock(&collector->lock);
	stats->user.pending = stats->user.taken - stats->user.stored - ledger_dropped(&stats->user);
}

static struct mapped_file *pin_file(struct collector *collector, const struct sideband_event *event,
				    uint64_t now_mono_ns)
{
	struct file_sight sight = {
		.pid = event->pid,
		.start_ip = event->start_ip,
		.end_ip = event->start_ip + event->size_bytes,
		.dev_major = event->dev_major,
		.dev_minor = event->dev_minor,
		.inode = event->inode,
		.inode_generation = event->inode_generation,
		.build_id = event->build_id_bytes ? event->build_id : NULL,
		.build_id_bytes = event->build_id_bytes,
		.path = event->name,
		.now_mono_ns = now_mono_ns,
	};
	return files_get(collector->files, &sight);
}

static int by_time(const void *a, const void *b)
{
	uint64_t left = ((const struct pending_event *)a)->event.time_mono_ns;
	uint64_t right = ((const struct pending_event *)b)->event.time_mono_ns;
	return (left > right) - (left < right);
}

static void note_lost(struct collector *collector, uint64_t records)
{
	collector->needs_rescan = true;
	pthread_mutex_lock(&collector->lock);
	collector->counts.sideband_lost += records;
	pthread_mutex_unlock(&collector->lock);
}

static void drain_sideband(struct collector *collector, uint64_t now_mono_ns)
{
	struct sideband_event *drained;
	size_t count = sideband_drain(collector->sideband, &drained);
	for (size_t i = 0; i < count; i++) {
		if (drained[i].kind == SIDEBAND_LOST)
			note_lost(collector, drained[i].lost);
		if (ARRAY_RESERVE(collector->events, collector->event_cap, collector->event_count,
				  MAX_PENDING)) {
			note_lost(collector, 1);
			continue;
		}
		struct pending_event *event = &collector->events[collector->event_count++];
		*event = (struct pending_event){.event = drained[i]};
		drained[i].name = NULL; /* ours now */
		if (event->event.kind == SIDEBAND_MMAP)
			event->file = pin_file(collector, &event->event, now_mono_ns);
	}
	if (count)
		qsort(collector->events, collector->event_count, sizeof(*collector->events),
		      by_time);
	pthread_mutex_lock(&collector->lock);
	collector->counts.sideband_records += count;
	pthread_mutex_unlock(&collector->lock);
}

static bool is_noted(const struct collector *collector, uint32_t pid)
{
	for (size_t i = collector->changed_count; i-- > 0;)
		if (collector->changed[i] == pid)
			return true;
	return false;
}

/* The process that an event changed, or ended, is pushed or forgotten when the round is over. */
static void note_changed(struct collector *collector, const struct sideband_event *event)
{
	bool is_end = event->kind == SIDEBAND_EXIT && event->tid == event->pid;
	size_t count = collector->changed_count;
	if (event->kind != SIDEBAND_MMAP && !is_end)
		return;
	struct process *process = processes_find(collector->processes, event->pid);
	/* A process that nobody sampled yet may live for 20 ms only: its image is pushed, too. */
	if (!process || (!process->umem_epoch && !process->is_new_image))
		return;
	if (!is_end && !process->unpushed_mono_ns)
		process->unpushed_mono_ns = event->time_mono_ns;
	if (is_noted(collector, event->pid))
		return;
	if (count < MAX_CHANGED)
		collector->changed[collector->changed_count++] = event->pid;
	else if (is_end)
		collector->options.forget(collector->options.ctx, event->pid);
}

/* A child begins with what its parent has, if that is no other image than the one that forked. The
 * entry must name the image: when the event is late, the child may have called execve(2). */
static void share_mappings(struct collector *collector, const struct sideband_event *event)
{
	if (event->kind != SIDEBAND_FORK || event->pid == event->parent_pid)
		return;
	const struct process *parent = processes_find(collector->processes, event->parent_pid);
	struct process *child = processes_find(collector->processes, event->pid);
	if (!parent || !child || !child->exec_id || !parent->umem_epoch ||
	    parent->umem_epoch != parent->map_epoch ||
	    !collector->options.share(collector->options.ctx, child, parent->pid))
		return;
	child->umem_epoch = child->map_epoch;
	child->umem_files = parent->umem_files;
	child->umem_mono_ns = parent->umem_mono_ns;
}

static void apply_until(struct collector *collector, uint64_t time_mono_ns)
{
	while (collector->event_next < collector->event_count) {
		struct pending_event *pending = &collector->events[collector->event_next];
		if (pending->event.time_mono_ns > time_mono_ns)
			break;
		processes_apply(collector->processes, &pending->event, pending->file);
		note_changed(collector, &pending->event);
		share_mappings(collector, &pending->event);
		free(pending->event.name);
		collector->event_next++;
	}
}

/* The events that wait move to the front. */
static void keep_waiting_events(struct collector *collector)
{
	collector->event_count -= collector->event_next;
	memmove(collector->events, collector->events + collector->event_next,
		collector->event_count * sizeof(*collector->events));
	collector->event_next = 0;
}

/* Pushes that the kernel's walker has no use for any more are evicted: one that still needs help
 * after this time gets its mappings once more. */
static const uint64_t PUSH_AGAIN_NS = 1 * UINT64_C(1000000000);

/* All mappings are pushed at once. Of a process that has thousands, and always others, that takes
 * ms each time: at most this part of a CPU. */
enum { PUSH_SHARE = 30 };

static void note_pushed(struct collector *collector, struct process *process)
{
	if (!process->unpushed_mono_ns)
		return;
	uint64_t now_mono_ns = (uint64_t)clock_mono_ns();
	pthread_mutex_lock(&collector->lock);
	delays_add(&collector->counts.mapping_pushes, now_mono_ns - process->unpushed_mono_ns);
	pthread_mutex_unlock(&collector->lock);
	process->unpushed_mono_ns = 0;
}

/* The kernel's walker gets the mappings of a process with its first sample, and again whenever
 * they changed: the next sample finds them there. False: it is too early for that. */
static bool push_process(struct collector *collector, struct process *process, uint64_t now_mono_ns)
{
	uint64_t files = collector->options.push_epoch(collector->options.ctx);
	if (process->umem_epoch == process->map_epoch && process->umem_files == files &&
	    now_mono_ns - process->umem_mono_ns < PUSH_AGAIN_NS)
		return true;
	/* An image that is new there is never made to wait. */
	if (!process->is_new_image &&
	    now_mono_ns < process->umem_mono_ns + PUSH_SHARE * process->umem_cost_ns)
		return false;
	process->umem_mono_ns = now_mono_ns;
	uint64_t before_ns = (uint64_t)clock_thread_ns();
	struct process_map *map = process_snapshot(process);
	bool is_pushed = map && !collector->options.push(collector->options.ctx, process, map);
	process_map_unref(map);
	process->umem_cost_ns = (uint64_t)clock_thread_ns() - before_ns;
	if (is_pushed) {
		process->umem_epoch = process->map_epoch;
		process->umem_files = files;
		process->is_new_image = false;
		note_pushed(collector, process);
	}
	return true;
}

/* Those for which it is too early stay for another round. */
static void push_changed(struct collector *collector, uint64_t now_mono_ns)
{
	size_t kept = 0;
	for (size_t i = 0; i < collector->changed_count; i++) {
		uint32_t pid = collector->changed[i];
		struct process *process = processes_find(collector->processes, pid);
		if (!process || process->exited_mono_ns)
			collector->options.forget(collector->options.ctx, pid);
		else if (!push_process(collector, process, now_mono_ns))
			collector->changed[kept++] = pid;
	}
	collector->changed_count = kept;
}

static int watch(struct collector *collector, int fd, uint32_t events)
{
	struct epoll_event interest = {.events = events, .data.fd = fd};
	return epoll_ctl(collector->epoll_fd, EPOLL_CTL_ADD, fd, &interest) ? -errno : 0;
}

static void catch_up(void *ctx, uint64_t time_mono_ns)
{
	apply_until(ctx, time_mono_ns);
}

static void push_wanted(void *ctx, struct process *process, uint64_t now_mono_ns)
{
	(void)push_process(ctx, process, now_mono_ns);
}

static void pass_tail(void *ctx, struct raw_stack *stack)
{
	const struct collector *collector = ctx;
	collector->options.tail(collector->options.ctx, stack);
}

static int open_intake(struct collector *collector, struct err *err)
{
	struct intake_options options = {
		.processes = collector->processes,
		.max_bytes = 4 * (size_t)sampler_ring_bytes(collector->options.sampler),
		.catch_up = catch_up,
		.push = push_wanted,
		.tail = pass_tail,
		.count_taken = count_taken,
		.count_drop = count_drop,
		.ctx = collector,
	};
	return intake_new(&collector->intake, &options, err);
}

static int open_parts(struct collector *collector, struct err *err)
{
	int rc = files_new(&collector->files, err);
	if (!rc)
		rc = processes_new(&collector->processes, collector->files, err);
	if (!rc)
		rc = open_intake(collector, err);
	if (!rc)
		rc = sideband_open(&collector->sideband, err);
	if (rc)
		return rc;
	collector->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	collector->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (collector->epoll_fd < 0 || collector->wake_fd < 0)
		return err_set(err, -errno, "collector: %m");
	rc = watch(collector, collector->wake_fd, EPOLLIN);
	if (!rc)
		rc = watch(collector, sideband_fd(collector->sideband), EPOLLIN);
	/* By level, one wake-up would make the rounds follow each other without a pause for as
	 * long as every round finds a new record. */
	if (!rc)
		rc = watch(collector, sampler_fd(collector->options.sampler), EPOLLIN | EPOLLET);
	return rc ? err_set(err, rc, "collector: epoll: %m") : 0;
}

static int start_batch(struct collector *collector, uint64_t now_mono_ns)
{
	collector->batch_mono_ns = now_mono_ns;
	int rc = batch_new(&collector->batch, now_mono_ns);
	if (!rc)
		intake_fill(collector->intake, collector->batch);
	return rc;
}

static void update_counts(struct collector *collector)
{
	pthread_mutex_lock(&collector->lock);
	collector->counts.processes = processes_count(collector->processes);
	collector->counts.threads = processes_thread_count(collector->processes);
	collector->counts.executables = files_count(collector->files);
	collector->counts.stacks_cached = intake_stacks(collector->intake);
	collector->counts.cpus_sampled = sampler_cpus(collector->options.sampler);
	pthread_mutex_unlock(&collector->lock);
}

int collector_open(struct collector **out, const struct collector_options *options, struct err *err)
{
	AUTO(collector) collector = calloc(1, sizeof(*collector));
	if (!collector)
		return err_set(err, -ENOMEM, "collector: %m");
	collector->options = *options;
	collector->epoll_fd = collector->wake_fd = -1;
	pthread_mutex_init(&collector->lock, NULL);
	int rc = open_parts(collector, err);
	if (rc)
		return rc;
	uint64_t now_mono_ns = (uint64_t)clock_mono_ns();
	collector->generation_mono_ns = now_mono_ns;
	processes_scan(collector->processes, now_mono_ns);
	rc = start_batch(collector, (uint64_t)clock_mono_ns());
	if (rc)
		return err_set(err, rc, "collector: %m");
	update_counts(collector);
	*out = TAKE(collector);
	return 0;
}

void collector_free(struct collector *collector)
{
	if (!collector)
		return;
	for (size_t i = collector->event_next; i < collector->event_count; i++) {
		free(collector->events[i].event.name);
		mapped_file_unref(collector->events[i].file);
	}
	free(collector->events);
	batch_free(collector->batch);
	sideband_free(collector->sideband);
	intake_free(collector->intake);
	processes_free(collector->processes);
	files_free(collector->files);
	auto_close_fd(&collector->epoll_fd);
	auto_close_fd(&collector->wake_fd);
	pthread_mutex_destroy(&collector->lock);
	free(collector);
}

/* Losses that go on must not make it read all of /proc without a pause. */
static void rescan(struct collector *collector, uint64_t now_mono_ns)
{
	if (!collector->needs_rescan || now_mono_ns < collector->rescan_mono_ns)
		return;
	collector->needs_rescan = false;
	processes_scan(collector->processes, now_mono_ns);
	uint64_t end_mono_ns = (uint64_t)clock_mono_ns();
	collector->rescan_mono_ns = end_mono_ns + RESCAN_SHARE * (end_mono_ns - now_mono_ns);
	pthread_mutex_lock(&collector->lock);
	collector->counts.rescans++;
	pthread_mutex_unlock(&collector->lock);
}

static void keep_record(void *ctx, const void *record, size_t size_bytes)
{
	const struct collector *collector = ctx;
	intake_keep(collector->intake, record, size_bytes);
}

static void round_once(struct collector *collector)
{
	uint64_t now_mono_ns = (uint64_t)clock_mono_ns();
	collector->batch->drained_mono_ns = now_mono_ns;
	sampler_drain(collector->options.sampler, keep_record, collector);
	drain_sideband(collector, now_mono_ns);
	intake_take(collector->intake);
	apply_until(collector, now_mono_ns);
	keep_waiting_events(collector);
	push_changed(collector, now_mono_ns);
	collector->options.tick(collector->options.ctx, now_mono_ns);
	rescan(collector, (uint64_t)clock_mono_ns());
}

/* What the kernel dropped since the last batch, and everything else that no batch told of. */
static void close_ledger(struct collector *collector, struct batch *batch)
{
	struct ledger *delta = &batch->delta;
	uint64_t counts[STAT_COUNT];
	sampler_counts(collector->options.sampler, counts);
	uint64_t dropped[DROP_REASONS] = {
		[DROP_NO_SCRATCH] = counts[STAT_NO_SCRATCH],
		[DROP_RING_FULL] = counts[STAT_RING_FULL],
	};
	pthread_mutex_lock(&collector->lock);
	for (int i = 0; i < DROP_REASONS; i++) {
		delta->dropped[i] =
			collector->unreported[i] + dropped[i] - collector->kernel_dropped[i];
		collector->unreported[i] = 0;
		collector->kernel_dropped[i] = dropped[i];
	}
	batch->lost_switches += collector->lost_switches;
	collector->lost_switches = 0;
	pthread_mutex_unlock(&collector->lock);
	delta->taken = delta->stored + ledger_dropped(delta);
}

static void close_batch(struct collector *collector, uint64_t now_mono_ns)
{
	struct batch *batch = TAKE(collector->batch);
	collector->closed_mono_ns = batch->drained_mono_ns;
	batch->end_mono_ns = now_mono_ns;
	batch->unix_minus_mono_ns = clock_unix_ns() - clock_mono_ns();
	batch->period_ns = NS_PER_S / collector->options.rate_hz;
	if (collector->options.wait_period_ns)
		batch->wait_period_ns = collector->options.wait_period_ns(collector->options.ctx);
	batch->delta.stored = batch_samples(batch);
	close_ledger(collector, batch);
	if (!collector->options.emit(collector->options.ctx, batch)) {
		collector_lost(collector, batch, DROP_QUEUE_FULL);
		batch_free(batch);
	}
}

static void follow_cpus(struct collector *collector)
{
	struct err err = {0};
	bool failed = sampler_follow_cpus(collector->options.sampler, &err);
	failed |= sideband_follow_cpus(collector->sideband, failed ? NULL : &err) != 0;
	/* It is tried again every second; saying so once is enough. */
	if (failed && !collector->cpus_failed && collector->options.warn)
		collector->options.warn(collector->options.ctx, err.text);
	collector->cpus_failed = failed;
}

/* At most once a round: the records that name stacks of the generation before the one that ends
 * were drained by the round that is over. */
static void next_generation(struct collector *collector, uint64_t now_mono_ns)
{
	bool is_old = now_mono_ns - collector->generation_mono_ns >= GENERATION_NS;
	if (!is_old && !intake_is_crowded(collector->intake))
		return;
	files_sweep(collector->files, now_mono_ns);
	intake_next_generation(collector->intake,
			       sampler_next_generation(collector->options.sampler));
	collector->generation_mono_ns = now_mono_ns;
}

/* What need not be done with every batch. */
static void keep_house(struct collector *collector, uint64_t now_mono_ns)
{
	if (now_mono_ns - collector->house_mono_ns < BATCH_NS)
		return;
	collector->house_mono_ns = now_mono_ns;
	follow_cpus(collector);
	processes_sweep(collector->processes, now_mono_ns);
	update_counts(collector);
}

/* Wait for the next round. False: woken to stop. */
static bool wait_for_round(struct collector *collector)
{
	struct epoll_event events[4];
	/* Events that came while the round was under way are at hand, so nothing wakes for them. */
	int timeout_ms = collector->event_count ? MIN_ROUND_MS : ROUND_MS;
	int count = epoll_wait(collector->epoll_fd, events, (int)ARRAY_LEN(events), timeout_ms);
	for (int i = 0; i < count; i++)
		if (events[i].data.fd == collector->wake_fd)
			return false;
	if (count > 0)
		nanosleep(&(struct timespec){.tv_nsec = MIN_ROUND_MS * NS_PER_MS}, NULL);
	return true;
}

static bool is_batch_due(const struct collector *collector, uint64_t now_mono_ns)
{
	uint64_t wanted_mono_ns = __atomic_load_n(&collector->wanted_mono_ns, __ATOMIC_RELAXED);
	bool is_wanted = wanted_mono_ns > collector->closed_mono_ns &&
			 wanted_mono_ns <= collector->batch->drained_mono_ns;
	return is_wanted || now_mono_ns - collector->batch_mono_ns >= BATCH_NS;
}

void collector_run(struct collector *collector)
{
	while (wait_for_round(collector)) {
		round_once(collector);
		uint64_t now_mono_ns = (uint64_t)clock_mono_ns();
		next_generation(collector, now_mono_ns);
		if (!is_batch_due(collector, now_mono_ns))
			continue;
		close_batch(collector, now_mono_ns);
		keep_house(collector, now_mono_ns);
		while (start_batch(collector, now_mono_ns))
			nanosleep(&(struct timespec){.tv_nsec = ROUND_MS * NS_PER_MS}, NULL);
	}
}

void collector_hurry(struct collector *collector)
{
	__atomic_store_n(&collector->wanted_mono_ns, (uint64_t)clock_mono_ns(), __ATOMIC_RELAXED);
}

void collector_wake(struct collector *collector)
{
	eventfd_write(collector->wake_fd, 1);
}

void collector_finish(struct collector *collector)
{
	round_once(collector);
	round_once(collector); /* orphans get their second look */
	close_batch(collector, (uint64_t)clock_mono_ns());
	update_counts(collector);
}
