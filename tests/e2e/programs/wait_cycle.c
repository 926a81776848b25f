/*
 * wait_cycle THREADS SECONDS [hop]: each thread sleeps 200 ms in wait_a and 50 ms in wait_b in
 * turn, in random order and of random lengths around these means. With "hop" it moves to another
 * CPU between them. The main thread is blocked in wait_always all the time.
 *
 * Prints its pid at once, and begins with a line on standard input, or its end. After SECONDS: the
 * line "START END" (unix us), then a line "TID NS_IN_A NS_IN_B NS_LIVED NS_WAITED NS_LONGEST" for
 * each thread, and then stays until its standard input ends.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>

#include "waits.h"

#define MAX_THREADS 64
#define MEAN_A_NS   200000000
#define MEAN_B_NS   50000000

struct cycler {
	pthread_t thread;
	int tid;
	bool hops;
	uint64_t random, start_mono_ns, end_mono_ns;
	uint64_t spent_ns[2], lived_ns, waited_ns, longest_ns;
};

static NOINLINE void wait_a(uint64_t ns)
{
	sleep_ns(ns);
	STAY();
}

static NOINLINE void wait_b(uint64_t ns)
{
	sleep_ns(ns);
	STAY();
}

static void hop(uint64_t *random)
{
	cpu_set_t set;
	CPU_ZERO(&set);
	CPU_SET(draw(random, sysconf(_SC_NPROCESSORS_ONLN)), &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static void wait_one(struct cycler *cycler, int which)
{
	uint64_t ns = draw_around(&cycler->random, which ? MEAN_B_NS : MEAN_A_NS);
	uint64_t start_ns = mono_ns();
	if (start_ns + ns > cycler->end_mono_ns)
		ns = start_ns < cycler->end_mono_ns ? cycler->end_mono_ns - start_ns : 0;
	if (!ns)
		return;
	if (which)
		wait_b(ns);
	else
		wait_a(ns);
	uint64_t spent_ns = mono_ns() - start_ns;
	cycler->spent_ns[which] += spent_ns;
	if (spent_ns > cycler->longest_ns)
		cycler->longest_ns = spent_ns;
	if (cycler->hops)
		hop(&cycler->random);
}

static NOINLINE void *cycle(void *arg)
{
	struct cycler *cycler = arg;
	cycler->tid = own_tid();
	while (mono_ns() < cycler->end_mono_ns) {
		int first = (int)draw(&cycler->random, 2);
		wait_one(cycler, first);
		wait_one(cycler, !first);
	}
	cycler->waited_ns = waited_since(cycler->start_mono_ns);
	cycler->lived_ns = mono_ns() - cycler->start_mono_ns;
	return NULL;
}

static NOINLINE void wait_always(struct cycler *cyclers, int threads)
{
	for (int i = 0; i < threads; i++)
		pthread_join(cyclers[i].thread, NULL);
	STAY();
}

int main(int argc, char **argv)
{
	static struct cycler cyclers[MAX_THREADS];
	int threads = argc > 2 ? (int)strtol(argv[1], NULL, 10) : 0;
	if (threads < 1 || threads > MAX_THREADS)
		return 2;
	printf("%d\n", getpid());
	fflush(stdout);
	wait_to_begin();
	uint64_t start_us = clock_ns(CLOCK_REALTIME) / 1000;
	uint64_t end_mono_ns = mono_ns() + (uint64_t)(strtod(argv[2], NULL) * 1e9);
	for (int i = 0; i < threads; i++) {
		cyclers[i] = (struct cycler){
			.hops = argc > 3,
			.random = seed_of(i),
			.start_mono_ns = mono_ns(),
			.end_mono_ns = end_mono_ns,
		};
		if (pthread_create(&cyclers[i].thread, NULL, cycle, &cyclers[i]))
			return 1;
	}
	wait_always(cyclers, threads);
	printf("%lu %lu\n", start_us, clock_ns(CLOCK_REALTIME) / 1000);
	for (int i = 0; i < threads; i++)
		printf("%d %lu %lu %lu %lu %lu\n", cyclers[i].tid, cyclers[i].spent_ns[0],
		       cyclers[i].spent_ns[1], cyclers[i].lived_ns, cyclers[i].waited_ns,
		       cyclers[i].longest_ns);
	fflush(stdout);
	stay_until_told();
	return 0;
}
