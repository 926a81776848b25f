/*
 * wait_cpu THREADS [CPU]: threads that never wait by themselves, all on one CPU, or wherever they
 * like. They wait for each other below spin. Prints its pid, and ends when its standard input does.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#include "waits.h"

static NOINLINE void spin(void)
{
	for (;;)
		for (int i = 0; i < 20000; i++)
			STAY();
}

static NOINLINE void *run(void *arg)
{
	(void)arg;
	spin();
	STAY();
	return NULL;
}

int main(int argc, char **argv)
{
	int threads = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 0;
	if (argc > 2) {
		cpu_set_t set;
		CPU_ZERO(&set);
		CPU_SET(strtol(argv[2], NULL, 10), &set);
		if (sched_setaffinity(0, sizeof(set), &set))
			return 1;
	}
	for (int i = 0; i < threads; i++) {
		pthread_t thread;
		if (pthread_create(&thread, NULL, run, NULL))
			return 1;
	}
	printf("%d\n", getpid());
	fflush(stdout);
	stay_until_told();
	return 0;
}
