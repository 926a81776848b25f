#include "profiler/waiting.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/hash.h"
#include "profiler/waiting_program.h"

enum { DEFAULT_RATE_HZ = 20, COST_AVERAGE = 8 };
/* Passes take a 230th of the time: with what the thread does between them that is 0.5 % at most. */
enum { MAX_COST_SHARE = 230 };
static const int64_t MAX_PERIOD_NS = NS_PER_S;
static const int64_t FLUSH_WAIT_NS = 2 * NS_PER_S;
static const int64_t WATCH_PERIOD_NS = 250 * NS_PER_MS;
static const uint64_t STUCK_NS = 1 * NS_PER_S;
static const uint64_t AVOID_NS = 60 * NS_PER_S;
enum { NOBODY = ABI_RUNNERS };

struct runner {
	struct waiting *waiting;
	uint32_t number;
	bool is_alive;
};

struct waiting {
	struct waiting_options options;
	enum waiting_method method;
	struct waiting_program *program;
	struct wait_runner *entries; /* of runners, as BPF sees them; NULL: no passes */
	pthread_t watch_thread;
	bool watches;

	pthread_mutex_t lock; /* guards all below */
	pthread_cond_t changed;
	pthread_cond_t stopping; /* apart from that, which moves with every pass */
	struct runner runners[ABI_RUNNERS];
	uint32_t leader; /* who makes the passes; NOBODY: all are stuck */
	uint32_t
		references; /* runners, and who opened it: a runner that is stuck cannot be joined */
	bool stops;
	uint64_t flushes_wanted, flushes_done;
	uint64_t random;
	int64_t period_ns, average_cost_ns;
	uint64_t pass_ns, threads, stuck;
};

static const struct {
	const char *word, *name;
} methods[WAITING_METHODS] = {
	[WAITING_AUTO] = {"auto", "automatic"},
	[WAITING_OPEN] = {"open", "task iterator"},
	[WAITING_ITER] = {"iter", "task iterator, one call a thread"},
	[WAITING_SWITCH] = {"switch", "sampled switches"},
};

const char *waiting_method_name(enum waiting_method method)
{
	return methods[method].name;
}

const char *waiting_method_word(enum waiting_method method)
{
	return methods[method].word;
}

enum waiting_method waiting_method_parse(const char *word)
{
	enum waiting_method method = WAITING_AUTO;
	while (method < WAITING_METHODS && strcmp(methods[method].word, word) != 0)
		method++;
	return method;
}

enum waiting_method waiting_method(const struct waiting *waiting)
{
	return waiting->method;
}

static struct timespec to_timespec(int64_t mono_ns)
{
	return (struct timespec){.tv_sec = mono_ns / NS_PER_S, .tv_nsec = mono_ns % NS_PER_S};
}

static int64_t base_period_ns(const struct waiting *waiting)
{
	return NS_PER_S / waiting->options.rate_hz;
}

/* Long enough that passes cost no more than their share of a CPU. */
static void note_cost(struct waiting *waiting, int64_t cost_ns)
{
	waiting->pass_ns += (uint64_t)cost_ns;
	waiting->average_cost_ns += (cost_ns - waiting->average_cost_ns) / COST_AVERAGE;
	int64_t period_ns = waiting->average_cost_ns * MAX_COST_SHARE;
	if (period_ns > MAX_PERIOD_NS)
		period_ns = MAX_PERIOD_NS;
	if (period_ns < base_period_ns(waiting))
		period_ns = base_period_ns(waiting);
	waiting->period_ns = period_ns;
}

/* By chance a quarter more or less than the period: passes must not keep step with programs that
 * do something every so often. */
static int64_t next_gap_ns(struct waiting *waiting)
{
	waiting->random = hash_mix(waiting->random, 1);
	int64_t span_ns = waiting->period_ns / 2;
	return waiting->period_ns - span_ns / 2 +
	       (int64_t)(waiting->random % ((uint64_t)span_ns + 1));
}

/* The lock is held. */
static bool wants_pass(const struct waiting *waiting)
{
	return waiting->stops || waiting->flushes_wanted > waiting->flushes_done;
}

static void wait_for_turn(struct waiting *waiting, int64_t turn_mono_ns)
{
	struct timespec until = to_timespec(turn_mono_ns);
	int rc = 0;
	while (!wants_pass(waiting) && rc != ETIMEDOUT)
		rc = pthread_cond_timedwait(&waiting->changed, &waiting->lock, &until);
}

/* Passes, until it is not the leader any more or all is over. The lock is held. */
static void make_passes(struct waiting *waiting, uint32_t number)
{
	struct wait_runner *entry = &waiting->entries[number];
	int64_t turn_mono_ns = clock_mono_ns();
	bool is_over = false;
	while (waiting->leader == number && !is_over) {
		wait_for_turn(waiting, turn_mono_ns);
		is_over = waiting->stops;
		uint64_t flush = waiting->flushes_wanted;
		turn_mono_ns = clock_mono_ns() + next_gap_ns(waiting);
		entry->sends_all = wants_pass(waiting);
		pthread_mutex_unlock(&waiting->lock);
		int64_t began_ns = clock_thread_ns();
		(void)waiting_program_pass(waiting->program);
		int64_t cost_ns = clock_thread_ns() - began_ns;
		pthread_mutex_lock(&waiting->lock);
		if (waiting->leader != number)
			return;
		note_cost(waiting, cost_ns);
		waiting->threads = entry->visits;
		waiting->flushes_done = flush;
		pthread_cond_broadcast(&waiting->changed);
	}
}

/* The lock is held, and let go. */
static void release(struct waiting *waiting)
{
	bool is_last = --waiting->references == 0;
	pthread_mutex_unlock(&waiting->lock);
	if (!is_last)
		return;
	waiting_program_free(waiting->program);
	pthread_cond_destroy(&waiting->stopping);
	pthread_cond_destroy(&waiting->changed);
	pthread_mutex_destroy(&waiting->lock);
	free(waiting);
}

static void *run(void *ctx)
{
	struct runner *runner = ctx;
	struct waiting *waiting = runner->waiting;
	struct wait_runner *entry = &waiting->entries[runner->number];
	pthread_setname_np(pthread_self(), "hearth-wait");
	pthread_mutex_lock(&waiting->lock);
	*entry = (struct wait_runner){.tid = (uint32_t)gettid()};
	make_passes(waiting, runner->number);
	entry->tid = 0;
	runner->is_alive = false;
	pthread_cond_broadcast(&waiting->changed);
	release(waiting);
	return NULL;
}

/* A new leader, in the first place that is free. The lock is held. */
static int start_runner(struct waiting *waiting)
{
	uint32_t number = 0;
	while (number < ABI_RUNNERS && waiting->runners[number].is_alive)
		number++;
	waiting->leader = number;
	if (number == NOBODY)
		return -EAGAIN;
	struct runner *runner = &waiting->runners[number];
	pthread_attr_t attr;
	pthread_t thread;
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	*runner = (struct runner){.waiting = waiting, .number = number, .is_alive = true};
	waiting->references++;
	int rc = pthread_create(&thread, &attr, run, runner);
	pthread_attr_destroy(&attr);
	if (!rc)
		return 0;
	runner->is_alive = false;
	waiting->references--;
	waiting->leader = NOBODY;
	return -rc;
}

/* Is the leader reading somebody's memory, and has been for too long? Whose is left alone, the
 * leader left behind, and another one takes over. The lock is held. */
static void check_leader(struct waiting *waiting)
{
	uint64_t now_mono_ns = (uint64_t)clock_mono_ns();
	if (waiting->leader == NOBODY) {
		(void)start_runner(waiting); /* if one came back meanwhile */
		return;
	}
	struct wait_runner *entry = &waiting->entries[waiting->leader];
	uint32_t pid = __atomic_load_n(&entry->pid, __ATOMIC_ACQUIRE);
	uint64_t since_mono_ns = __atomic_load_n(&entry->since_mono_ns, __ATOMIC_ACQUIRE);
	if (!pid || now_mono_ns < since_mono_ns + STUCK_NS)
		return;
	waiting_program_avoid(waiting->program, pid, now_mono_ns + AVOID_NS);
	__atomic_store_n(&entry->is_given_up, 1, __ATOMIC_RELEASE);
	waiting->stuck++;
	(void)start_runner(waiting);
}

static void *watch(void *ctx)
{
	struct waiting *waiting = ctx;
	pthread_setname_np(pthread_self(), "hearth-watch");
	pthread_mutex_lock(&waiting->lock);
	while (!waiting->stops) {
		struct timespec until = to_timespec(clock_mono_ns() + WATCH_PERIOD_NS);
		while (!waiting->stops && pthread_cond_timedwait(&waiting->stopping, &waiting->lock,
								 &until) != ETIMEDOUT)
			;
		if (!waiting->stops) /* or there would be another pass, when all is over */
			check_leader(waiting);
	}
	pthread_mutex_unlock(&waiting->lock);
	return NULL;
}

static int open_program(struct waiting *waiting, struct err *err)
{
	const struct waiting_options *options = &waiting->options;
	bool is_free = options->method == WAITING_AUTO;
	int rc = -EOPNOTSUPP;
	waiting->method = is_free ? WAITING_OPEN : options->method;
	for (; waiting->method < WAITING_METHODS && rc == -EOPNOTSUPP; waiting->method++) {
		rc = waiting_program_open(&waiting->program, waiting->method, options, err);
		if (!rc || !is_free)
			break;
	}
	return rc;
}

static void init(struct waiting *waiting)
{
	pthread_condattr_t attr;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_mutex_init(&waiting->lock, NULL);
	pthread_cond_init(&waiting->changed, &attr);
	pthread_cond_init(&waiting->stopping, &attr);
	pthread_condattr_destroy(&attr);
	waiting->references = 1;
	waiting->leader = NOBODY;
}

int waiting_open(struct waiting **out, const struct waiting_options *options, struct err *err)
{
	AUTO(waiting) waiting = calloc(1, sizeof(*waiting));
	if (!waiting)
		return err_set(err, -ENOMEM, "sampling of waiting threads: %m");
	init(waiting);
	waiting->options = *options;
	if (!options->rate_hz)
		waiting->options.rate_hz = DEFAULT_RATE_HZ;
	waiting->period_ns = base_period_ns(waiting);
	waiting->random = (uint64_t)clock_mono_ns();
	int rc = open_program(waiting, err);
	if (rc)
		return err_wrap(err, rc, "sampling of waiting threads");
	waiting->entries = waiting_program_runners(waiting->program);
	*out = TAKE(waiting);
	return 0;
}

void waiting_free(struct waiting *waiting)
{
	if (!waiting)
		return;
	waiting_stop(waiting);
	pthread_mutex_lock(&waiting->lock);
	release(waiting);
}

int waiting_start(struct waiting *waiting, struct err *err)
{
	int rc = waiting_program_attach(waiting->program, err);
	if (rc || !waiting->entries)
		return rc;
	pthread_mutex_lock(&waiting->lock);
	rc = start_runner(waiting);
	pthread_mutex_unlock(&waiting->lock);
	if (!rc)
		rc = -pthread_create(&waiting->watch_thread, NULL, watch, waiting);
	if (rc)
		return err_set(err, rc, "start a thread: %m");
	waiting->watches = true;
	return 0;
}

/* Until the leader is gone. The lock is held. */
static void wait_for_leader(struct waiting *waiting)
{
	struct timespec until = to_timespec(clock_mono_ns() + FLUSH_WAIT_NS);
	int rc = 0;
	while (waiting->leader != NOBODY && waiting->runners[waiting->leader].is_alive && !rc)
		rc = pthread_cond_timedwait(&waiting->changed, &waiting->lock, &until);
}

void waiting_stop(struct waiting *waiting)
{
	pthread_mutex_lock(&waiting->lock);
	waiting->stops = true;
	pthread_cond_broadcast(&waiting->changed);
	pthread_cond_broadcast(&waiting->stopping);
	wait_for_leader(waiting);
	waiting->leader = NOBODY;
	pthread_mutex_unlock(&waiting->lock);
	if (waiting->watches)
		pthread_join(waiting->watch_thread, NULL);
	waiting->watches = false;
	if (waiting->program)
		waiting_program_detach(waiting->program);
}

void waiting_flush(struct waiting *waiting)
{
	if (!waiting->entries)
		return;
	struct timespec until = to_timespec(clock_mono_ns() + FLUSH_WAIT_NS);
	int rc = 0;
	pthread_mutex_lock(&waiting->lock);
	uint64_t wanted = ++waiting->flushes_wanted;
	pthread_cond_broadcast(&waiting->changed);
	while (waiting->flushes_done < wanted && !waiting->stops && !rc)
		rc = pthread_cond_timedwait(&waiting->changed, &waiting->lock, &until);
	pthread_mutex_unlock(&waiting->lock);
}

void waiting_stats(struct waiting *waiting, struct waiting_stats *stats)
{
	uint64_t counts[STAT_COUNT];
	sampler_counts(waiting->options.sampler, counts);
	*stats = (struct waiting_stats){
		.passes = counts[STAT_WAIT_PASSES],
		.visits = counts[STAT_WAIT_VISITS],
		.walks = counts[STAT_WAIT_WALKS],
		.raced = counts[STAT_WAIT_RACED],
		.busy = counts[STAT_WAIT_BUSY],
		.deferred = counts[STAT_WAIT_DEFERRED],
		.unseen_ns = counts[STAT_WAIT_UNSEEN_NS],
	};
	snprintf(stats->method, sizeof(stats->method), "%s", waiting_method_name(waiting->method));
	pthread_mutex_lock(&waiting->lock);
	stats->pass_ns = waiting->pass_ns;
	stats->period_ns = (uint64_t)waiting->period_ns;
	stats->threads = waiting->threads;
	stats->stuck = waiting->stuck;
	pthread_mutex_unlock(&waiting->lock);
}
