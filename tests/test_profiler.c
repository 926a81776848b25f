#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/array.h"
#include "base/clock.h"
#include "privileges.h"
#include "profile/frames.h"
#include "profiler/profiler.h"

/* What was delivered; written by the namer's thread, read after profiler_stop() or with the lock. */
struct sums {
	pthread_mutex_t lock;
	pid_t pid; /* of whose samples below are */
	int64_t weight_ns, spin_weight_ns;
	uint64_t samples;
	struct ledger deltas;
	uint64_t batches;
	int refuse; /* what deliver returns */
	char warned[256];
};

enum { SPIN_DEPTH = 40 };

/* Sanitizers would spend the time in functions of their own, without frame pointers. */
__attribute__((noinline, optimize("O0"), no_sanitize("thread,address,undefined"))) static void
spin_here(volatile uint64_t *turns)
{
	for (int i = 0; i < 10000; i++)
		(*turns)++;
}

/* New stacks all the time. */
__attribute__((noinline, optimize("O0"))) static void dive(uint64_t path, int depth,
							   volatile uint64_t *turns)
{
	if (!depth) {
		spin_here(turns);
	} else if (path & 1) {
		dive(path >> 1, depth - 1, turns);
		(*turns)++; /* another return address */
	} else {
		dive(path >> 1, depth - 1, turns);
	}
}

static bool has_frame(const struct profile *profile, uint32_t stack, const char *name)
{
	for (; stack; stack = profile->stacks[stack].parent) {
		const struct profile_location *location =
			&profile->locations[profile->stacks[stack].location];
		if (!location->line_count)
			continue;
		uint32_t function = profile->lines[location->first_line].function;
		if (!strcmp(profile_string(profile, profile->functions[function].name), name))
			return true;
	}
	return false;
}

static int deliver(void *ctx, const struct profile *const *profiles, size_t profile_count,
		   const struct ledger *delta, struct err *err)
{
	struct sums *sums = ctx;
	const struct profile *profile = profiles[0];
	assert_int_equal(profile_count, 1);
	assert_int_equal(profile->type, PROFILE_CPU);
	assert_true(ledger_balances(delta));
	assert_int_equal(delta->stored, profile->sample_count);
	pthread_mutex_lock(&sums->lock);
	sums->batches++;
	sums->deltas.taken += delta->taken;
	sums->deltas.stored += delta->stored;
	for (int i = 0; i < DROP_REASONS; i++)
		sums->deltas.dropped[i] += delta->dropped[i];
	for (size_t i = 0; i < profile->sample_count; i++) {
		const struct profile_sample *sample = &profile->samples[i];
		const struct profile_thread *thread = &profile->threads[sample->thread];
		if (sums->pid && thread->pid != (uint32_t)sums->pid)
			continue;
		sums->samples++;
		sums->weight_ns += sample->weight;
		if (has_frame(profile, sample->stack, "spin_here"))
			sums->spin_weight_ns += sample->weight;
	}
	int rc = sums->refuse;
	pthread_mutex_unlock(&sums->lock);
	return rc ? err_set(err, rc, "refused") : 0;
}

static void warn(void *ctx, const char *text)
{
	struct sums *sums = ctx;
	pthread_mutex_lock(&sums->lock);
	snprintf(sums->warned, sizeof(sums->warned), "%s", text);
	pthread_mutex_unlock(&sums->lock);
}

static struct profiler *open_profiler(struct sums *sums, uint32_t rate_hz, uint32_t ring_bytes,
				      const pid_t *pids, size_t pid_count)
{
	struct profiler_options options = {
		.rate_hz = rate_hz,
		.ring_bytes = ring_bytes,
		.pids = pids,
		.pid_count = pid_count,
		.deliver = deliver,
		.warn = warn,
		.ctx = sums,
	};
	pthread_mutex_init(&sums->lock, NULL);
	struct profiler *profiler;
	struct err err = {0};
	if (profiler_open(&profiler, &options, &err))
		fail_msg("%s", err.text);
	return profiler;
}

/* Nothing is lost silently, in the kernel, here, and in what the batches told. */
static void check_law(struct profiler *profiler, const struct sums *sums)
{
	struct sampler_stats stats;
	profiler_stats(profiler, &stats);
	assert_int_equal(stats.kernel.pending, 0);
	assert_int_equal(stats.user.pending, 0);
	assert_true(ledger_balances(&stats.kernel));
	assert_true(ledger_balances(&stats.user));
	assert_int_equal(stats.user.taken, stats.kernel.stored);
	assert_true(sums->deltas.taken == stats.kernel.taken || sums->refuse);
}

static pid_t start_spinner(void (*work)(void))
{
	pid_t pid = fork();
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	work();
	_exit(0);
}

static void spin_for_ever(void)
{
	for (volatile uint64_t turns = 0;;)
		spin_here(&turns);
}

static void dive_for_ever(void)
{
	volatile uint64_t turns = 0;
	for (uint64_t path = (uint64_t)getpid();; path = path * 6364136223846793005U + 1)
		dive(path, SPIN_DEPTH, &turns);
}

/* How often it was taken off a CPU. */
static uint64_t end(pid_t pid)
{
	struct rusage usage;
	kill(pid, SIGKILL);
	assert_int_equal(wait4(pid, NULL, 0, &usage), pid);
	return (uint64_t)(usage.ru_nvcsw + usage.ru_nivcsw);
}

static int64_t cpu_ns(pid_t pid)
{
	clockid_t clock;
	struct timespec time;
	assert_int_equal(clock_getcpuclockid(pid, &clock), 0);
	assert_int_equal(clock_gettime(clock, &time), 0);
	return time.tv_sec * NS_PER_S + time.tv_nsec;
}

/* Stopped when this returns. */
static void halt(pid_t pid)
{
	int status;
	assert_int_equal(kill(pid, SIGSTOP), 0);
	assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
	assert_true(WIFSTOPPED(status));
}

static void wait_for(struct sums *sums, const uint64_t *number, uint64_t least)
{
	/* Only a hang takes so long: the executables of the whole machine are read before. */
	int64_t deadline_mono_ns = clock_mono_ns() + 600 * NS_PER_S;
	for (uint64_t now = 0; now < least;) {
		assert_true(clock_mono_ns() < deadline_mono_ns);
		usleep(50000);
		pthread_mutex_lock(&sums->lock);
		now = *number;
		pthread_mutex_unlock(&sums->lock);
	}
}

/* A CPU that others want too may take a while for that; whatever it was then is measured. */
static void let_run(pid_t pid, int64_t cpu_time_ns)
{
	int64_t deadline_mono_ns = clock_mono_ns() + 60 * NS_PER_S;
	int64_t until_ns = cpu_ns(pid) + cpu_time_ns;
	kill(pid, SIGCONT);
	while (cpu_ns(pid) < until_ns && clock_mono_ns() < deadline_mono_ns)
		usleep(50000);
}

/* How far the weight may be from the CPU time. Each time that a thread is on a CPU is rounded to a
 * number of ticks, with an error between -1 and 1, its variance 1/6; five sigma of their sum. And a
 * part of it for what is taken off or put on a CPU in step with the ticks: this test's threads. */
static double tolerance_ns(int64_t passed_ns, uint64_t times_on_cpu, int64_t period_ns)
{
	return 0.05 * (double)passed_ns + 5 * (double)period_ns * sqrt((double)times_on_cpu / 6);
}

static void names_and_weights(void **state)
{
	(void)state;
	enum { RATE_HZ = 999 };
	const int64_t period_ns = NS_PER_S / RATE_HZ;
	struct sums sums = {.pid = start_spinner(spin_for_ever)};
	halt(sums.pid);
	int64_t before_ns = cpu_ns(sums.pid);
	AUTO(profiler) profiler = open_profiler(&sums, RATE_HZ, 0, NULL, 0);
	let_run(sums.pid, 3 * NS_PER_S / 2);
	wait_for(&sums, &sums.batches, 2);
	halt(sums.pid);
	int64_t passed_ns = cpu_ns(sums.pid) - before_ns;
	profiler_stop(profiler);
	uint64_t times_on_cpu = 1 + end(sums.pid);
	check_law(profiler, &sums);
	double share = (double)sums.weight_ns / (double)passed_ns;
	double spin_share = (double)sums.spin_weight_ns / (double)sums.weight_ns;
	struct sampler_stats stats;
	profiler_stats(profiler, &stats);
	/* On a machine with no time for us samples are dropped: at most as much is missing, if all of
	 * them were the spinner's. And at most as much is too much as late ticks stand for: time that
	 * the host took from this machine is no CPU time. */
	uint64_t dropped = ledger_dropped(&sums.deltas);
	double missing_ns = (double)dropped * (double)period_ns;
	double late_ns = (double)stats.late_ticks * (double)period_ns;
	double off_ns = (double)(sums.weight_ns - passed_ns);
	double tolerated_ns = tolerance_ns(passed_ns, times_on_cpu, period_ns);
	printf("%llu samples, %.3f of the CPU time of %.3f s in %llu pieces, %.3f of it in "
	       "spin_here; %llu late, %llu dropped\n",
	       (unsigned long long)sums.samples, share, (double)passed_ns / 1e9,
	       (unsigned long long)times_on_cpu, spin_share, (unsigned long long)stats.late_ticks,
	       (unsigned long long)dropped);
	assert_true(off_ns < tolerated_ns + late_ns && -off_ns < tolerated_ns + missing_ns);
	assert_true(spin_share > 0.97);
	assert_int_equal(stats.cpus_sampled, stats.cpus_online);
	assert_int_equal(stats.rate_hz, RATE_HZ);
	assert_true(stats.bpf_runs > 0 && stats.bpf_run_ns > 0);
	assert_true(stats.processes > 2 && stats.executables > 1);
}

static void a_tiny_ring_loses_and_says_so(void **state)
{
	(void)state;
	pid_t spinners[8];
	for (size_t i = 0; i < ARRAY_LEN(spinners); i++)
		spinners[i] = start_spinner(dive_for_ever);
	struct sums sums = {0};
	AUTO(profiler) profiler = open_profiler(&sums, 9999, 1, NULL, 0);
	sleep(2);
	profiler_stop(profiler);
	for (size_t i = 0; i < ARRAY_LEN(spinners); i++)
		end(spinners[i]);
	check_law(profiler, &sums);
	printf("%llu taken, %llu stored, %llu ring_full, %llu unknown_stack\n",
	       (unsigned long long)sums.deltas.taken, (unsigned long long)sums.deltas.stored,
	       (unsigned long long)sums.deltas.dropped[DROP_RING_FULL],
	       (unsigned long long)sums.deltas.dropped[DROP_UNKNOWN_STACK]);
	assert_true(sums.deltas.dropped[DROP_RING_FULL] > 0);
	assert_true(sums.deltas.stored > 0);
}

static void a_store_that_refuses_is_in_the_ledger(void **state)
{
	(void)state;
	struct sums sums = {.refuse = -ENOSPC, .pid = start_spinner(spin_for_ever)};
	AUTO(profiler) profiler = open_profiler(&sums, 499, 0, NULL, 0);
	wait_for(&sums, &sums.batches, 3);
	profiler_stop(profiler);
	end(sums.pid);
	check_law(profiler, &sums);
	struct sampler_stats stats;
	profiler_stats(profiler, &stats);
	assert_int_equal(stats.user.stored, 0);
	assert_true(stats.user.taken > 0);
	assert_int_equal(stats.user.dropped[DROP_STORE_FAILED], stats.user.taken);
	/* What a batch told in vain, the next one told again. */
	assert_true(sums.deltas.dropped[DROP_STORE_FAILED] > 0);
}

static int pipe_to_parent[2];

static void tell_parent(pid_t pid)
{
	assert_int_equal(write(pipe_to_parent[1], &pid, sizeof(pid)), sizeof(pid));
}

static pid_t hear_child(void)
{
	pid_t pid = 0;
	assert_int_equal(read(pipe_to_parent[0], &pid, sizeof(pid)), sizeof(pid));
	return pid;
}

static void watch(struct sums *sums, pid_t pid)
{
	pthread_mutex_lock(&sums->lock);
	sums->samples = 0;
	sums->pid = pid;
	pthread_mutex_unlock(&sums->lock);
}

/* A child that has a child already, and makes another one on SIGUSR1. */
static void breed(void)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	tell_parent(start_spinner(spin_for_ever));
	sigwaitinfo(&set, NULL);
	tell_parent(start_spinner(spin_for_ever));
	pause();
}

static void only_a_family(void **state)
{
	(void)state;
	assert_int_equal(pipe(pipe_to_parent), 0);
	pid_t parent = start_spinner(breed), stranger = start_spinner(spin_for_ever);
	struct sums sums = {.pid = hear_child()};
	AUTO(profiler) profiler = open_profiler(&sums, 499, 0, &parent, 1);
	pid_t elder = sums.pid;
	wait_for(&sums, &sums.samples, 20); /* it was there before */
	kill(parent, SIGUSR1);
	pid_t younger = hear_child();
	watch(&sums, younger);
	wait_for(&sums, &sums.samples, 20);
	watch(&sums, stranger);
	sleep(1);
	profiler_stop(profiler);
	check_law(profiler, &sums);
	end(parent);
	kill(elder, SIGKILL);
	kill(younger, SIGKILL);
	end(stranger);
	close(pipe_to_parent[0]);
	close(pipe_to_parent[1]);
	assert_int_equal(sums.samples, 0);
}

static void wrong_pids(void **state)
{
	(void)state;
	pid_t gone = start_spinner(spin_for_ever);
	end(gone);
	const pid_t rows[] = {gone, 0, -1};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct profiler_options options = {
			.pids = &rows[i], .pid_count = 1, .deliver = deliver};
		struct profiler *profiler = NULL;
		struct err err = {0};
		assert_int_equal(profiler_open(&profiler, &options, &err), -ESRCH);
		assert_null(profiler);
		assert_non_null(strstr(err.text, "there is no process"));
	}
}

static size_t open_descriptors(void)
{
	size_t count = 0;
	for (int fd = 0; fd < 1024; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

static void nothing_stays_open(void **state)
{
	(void)state;
	size_t before = open_descriptors();
	for (int i = 0; i < 3; i++) {
		struct sums sums = {0};
		struct profiler *profiler = open_profiler(&sums, 99, 0, NULL, 0);
		profiler_free(profiler);
	}
	assert_int_equal(open_descriptors(), before);
}

/* What was delivered of one process that does nothing but wait. */
struct waits {
	pthread_mutex_t lock;
	pid_t pid;
	int64_t weight_ns, pause_weight_ns; /* in all, and where it is known to wait */
	uint64_t cpu_samples, pauses, sleeps, unbalanced;
	struct ledger deltas;
};

static void add_waits(struct waits *waits, const struct profile *profile)
{
	for (size_t i = 0; i < profile->sample_count; i++) {
		const struct profile_sample *sample = &profile->samples[i];
		/* ThreadSanitizer has a thread of its own in each process. */
		if (profile->threads[sample->thread].tid != (uint32_t)waits->pid)
			continue;
		waits->weight_ns += sample->weight;
		/* Before it was there it may have waited for a CPU, and rows may have been missing. */
		if (!has_frame(profile, sample->stack, "pause_here"))
			continue;
		waits->pause_weight_ns += sample->weight;
		waits->pauses++;
		waits->sleeps += profile->waits[sample->wait].reason == WAIT_SLEEP;
	}
}

static int deliver_waits(void *ctx, const struct profile *const *profiles, size_t profile_count,
			 const struct ledger *delta, struct err *err)
{
	(void)err;
	struct waits *waits = ctx;
	uint64_t samples = 0;
	pthread_mutex_lock(&waits->lock);
	for (size_t i = 0; i < profile_count; i++) {
		samples += profiles[i]->sample_count;
		if (profiles[i]->type == PROFILE_OFFCPU)
			add_waits(waits, profiles[i]);
		else
			waits->cpu_samples += profiles[i]->sample_count;
	}
	waits->unbalanced += !ledger_balances(delta) || delta->stored != samples;
	waits->deltas.taken += delta->taken;
	pthread_mutex_unlock(&waits->lock);
	return 0;
}

__attribute__((noinline, optimize("O0"))) static void pause_here(void)
{
	pause();
}

static void pause_for_ever(void)
{
	for (;;)
		pause_here();
}

/* Until it waits in pause(2). Before, it may have waited for a CPU in pause_here(). proc(5),
 * /proc/PID/syscall. */
static void wait_for_pause(pid_t pid)
{
	char path[64], text[128];
	snprintf(path, sizeof(path), "/proc/%d/syscall", (int)pid);
	int64_t deadline_mono_ns = clock_mono_ns() + 60 * NS_PER_S;
	for (long number = -1; number != SYS_pause;) {
		assert_true(clock_mono_ns() < deadline_mono_ns);
		usleep(1000);
		AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC);
		ssize_t len_bytes = read(fd, text, sizeof(text) - 1);
		text[len_bytes > 0 ? len_bytes : 0] = 0;
		number = strtol(text, NULL, 10);
	}
}

static int64_t pause_weight(struct waits *waits)
{
	pthread_mutex_lock(&waits->lock);
	int64_t weight_ns = waits->pause_weight_ns;
	pthread_mutex_unlock(&waits->lock);
	return weight_ns;
}

static void what_waits_is_sampled_too(void **state)
{
	(void)state;
	struct waits waits = {.lock = PTHREAD_MUTEX_INITIALIZER,
			      .pid = start_spinner(pause_for_ever)};
	wait_for_pause(waits.pid);
	struct profiler_options options = {
		.deliver = deliver_waits, .needs_waits = true, .ctx = &waits};
	AUTO(profiler) profiler = NULL;
	struct err err = {0};
	int64_t open_mono_ns = clock_mono_ns();
	int rc = profiler_open(&profiler, &options, &err);
	if (rc == -EOPNOTSUPP) {
		end(waits.pid);
		skip(); /* this kernel cannot */
	}
	if (rc)
		fail_msg("%s", err.text);
	/* A flush brings what a wait that goes on would be told of 10 s later only; the first may
	 * find that rows are missing. */
	int64_t deadline_mono_ns = clock_mono_ns() + 240 * NS_PER_S, first_ns, more_ns;
	do {
		profiler_flush_waits(profiler);
		first_ns = pause_weight(&waits);
	} while (!first_ns && clock_mono_ns() < deadline_mono_ns);
	assert_true(first_ns > 0);
	int64_t from_mono_ns = clock_mono_ns();
	sleep(1);
	int64_t passed_ns = clock_mono_ns() - from_mono_ns;
	do {
		profiler_flush_waits(profiler);
		more_ns = pause_weight(&waits) - first_ns;
	} while (more_ns < passed_ns && clock_mono_ns() < deadline_mono_ns);
	assert_true(more_ns >= passed_ns);
	profiler_stop(profiler);
	/* The scheduler's clock is another one. */
	assert_true(waits.weight_ns < clock_mono_ns() - open_mono_ns + 10 * NS_PER_MS);
	end(waits.pid);
	struct sampler_stats stats;
	profiler_stats(profiler, &stats);
	assert_int_equal(waits.sleeps, waits.pauses);
	assert_true(waits.cpu_samples > 0);
	assert_int_equal(waits.unbalanced, 0);
	assert_true(stats.waiting.method[0] && stats.waiting.passes > 0);
	assert_int_equal(stats.kernel.pending + stats.user.pending, 0);
	assert_int_equal(stats.user.taken, stats.kernel.stored);
	assert_int_equal(waits.deltas.taken, stats.kernel.taken);
}

int main(void)
{
	privileges_need_perf();
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wrong_pids),
		cmocka_unit_test(nothing_stays_open),
		cmocka_unit_test(names_and_weights),
		cmocka_unit_test(a_tiny_ring_loses_and_says_so),
		cmocka_unit_test(a_store_that_refuses_is_in_the_ledger),
		cmocka_unit_test(only_a_family),
		cmocka_unit_test(what_waits_is_sampled_too),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
