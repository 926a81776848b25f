#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "privileges.h"
#include "profiler/sampler.h"
#include "profiler/sideband.h"

static const char online_path[] = "/sys/devices/system/cpu/cpu1/online";

static int set_online(char value)
{
	AUTO_FD fd = open(online_path, O_WRONLY | O_CLOEXEC);
	return fd >= 0 && write(fd, &value, 1) == 1 ? 0 : -errno;
}

static int back_online(void **state)
{
	(void)state;
	return set_online('1');
}

static void pin_to_cpu_1(void)
{
	cpu_set_t set;
	CPU_ZERO(&set);
	CPU_SET(1, &set);
	assert_int_equal(sched_setaffinity(0, sizeof(set), &set), 0);
}

static void count_cpu_1(void *ctx, const void *record, size_t size_bytes)
{
	const struct rec_sample *sample = record;
	assert_true(size_bytes >= sizeof(*sample));
	*(uint64_t *)ctx += sample->cpu == 1;
}

/* Samples of CPU 1 while something spins there. */
static uint64_t samples_of_cpu_1(struct sampler *sampler)
{
	pid_t spinner = fork();
	if (!spinner) {
		pin_to_cpu_1();
		for (volatile int i = 0;; i++)
			;
	}
	uint64_t samples = 0;
	int64_t deadline_mono_ns = clock_mono_ns() + 60 * NS_PER_S;
	while (samples < 50 && clock_mono_ns() < deadline_mono_ns) {
		usleep(20000);
		sampler_drain(sampler, count_cpu_1, &samples);
	}
	kill(spinner, SIGKILL);
	assert_int_equal(waitpid(spinner, NULL, 0), spinner);
	sampler_drain(sampler, count_cpu_1, &samples);
	return samples;
}

/* Does the side-band tell of a child that lives on CPU 1? */
static bool tells_of_cpu_1(struct sideband *sideband)
{
	struct sideband_event *events;
	sideband_drain(sideband, &events); /* of what others did meanwhile: there must be room */
	pid_t child = fork();
	if (!child) {
		pin_to_cpu_1();
		execl("/bin/true", "true", NULL);
		_exit(1);
	}
	assert_int_equal(waitpid(child, NULL, 0), child);
	size_t count = sideband_drain(sideband, &events);
	bool found = false;
	for (size_t i = 0; i < count; i++)
		found |= events[i].kind == SIDEBAND_COMM && events[i].is_exec &&
			 events[i].pid == (uint32_t)child;
	return found;
}

static bool tells_of_a_gap(struct sideband *sideband)
{
	struct sideband_event *events;
	size_t count = sideband_drain(sideband, &events);
	for (size_t i = 0; i < count; i++)
		if (events[i].kind == SIDEBAND_LOST && !events[i].lost)
			return true;
	return false;
}

static void follow(struct sampler *sampler, struct sideband *sideband)
{
	struct err err = {0};
	if (sampler_follow_cpus(sampler, &err) || sideband_follow_cpus(sideband, &err))
		fail_msg("%s", err.text);
}

static void check(bool looks_while_it_is_gone)
{
	AUTO(sampler) sampler = NULL;
	AUTO(sideband) sideband = NULL;
	struct sampler_options options = {.rate_hz = 499, .ring_bytes = 1 << 20};
	assert_int_equal(sampler_open(&sampler, &options, NULL), 0);
	assert_int_equal(sampler_start(sampler, NULL), 0);
	assert_int_equal(sideband_open(&sideband, NULL), 0);
	follow(sampler, sideband);
	assert_true(samples_of_cpu_1(sampler) >= 50);
	assert_true(tells_of_cpu_1(sideband));

	assert_int_equal(set_online('0'), 0);
	uint32_t cpus = sampler_cpus(sampler);
	if (looks_while_it_is_gone) {
		follow(sampler, sideband);
		assert_int_equal(sampler_cpus(sampler), cpus - 1);
		assert_true(tells_of_a_gap(sideband));
	}
	assert_int_equal(set_online('1'), 0);
	follow(sampler, sideband);
	if (!looks_while_it_is_gone) { /* its time has moved since the last look: once more */
		usleep(2000);
		follow(sampler, sideband);
	}
	assert_int_equal(sampler_cpus(sampler), cpus);
	assert_true(tells_of_a_gap(sideband));
	assert_true(samples_of_cpu_1(sampler) >= 50);
	assert_true(tells_of_cpu_1(sideband));
	follow(sampler, sideband);
	assert_false(tells_of_a_gap(sideband));
}

static void gone_for_a_while(void **state)
{
	(void)state;
	check(true);
}

/* Back before anybody looked. */
static void gone_for_a_moment(void **state)
{
	(void)state;
	check(false);
}

int main(void)
{
	privileges_need_perf();
	if (!getenv("HEARTH_TEST_HOTPLUG") || access(online_path, W_OK)) {
		fprintf(stderr, "skipped: takes CPU 1 offline, for HEARTH_TEST_HOTPLUG=1 only\n");
		return 77;
	}
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(gone_for_a_while, back_online),
		cmocka_unit_test_teardown(gone_for_a_moment, back_online),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
