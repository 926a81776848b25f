/*
 * wait_herd THREADS: that many threads that sleep in sleep_long until standard input ends, all on
 * small stacks. Prints its pid when all are there.
 */
#include <pthread.h>
#include <stdlib.h>

#include "waits.h"

static pthread_barrier_t gate;

static NOINLINE void sleep_long(void)
{
	for (;;) {
		sleep_ns(1000000000000);
		STAY();
	}
}

static NOINLINE void *run(void *arg)
{
	(void)arg;
	pthread_barrier_wait(&gate);
	sleep_long();
	return NULL;
}

int main(int argc, char **argv)
{
	int threads = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 0;
	if (threads < 1 || pthread_barrier_init(&gate, NULL, threads + 1))
		return 2;
	pthread_attr_t attr;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 64 << 10);
	for (int i = 0; i < threads; i++) {
		pthread_t thread;
		if (pthread_create(&thread, &attr, run, NULL))
			return 1;
	}
	pthread_barrier_wait(&gate);
	printf("%d\n", getpid());
	fflush(stdout);
	stay_until_told();
	return 0;
}
