/*
 * recurse FRAMES: one thread on each CPU it may run on, each spinning in user mode below as many
 * frames of its own. Prints its pid; ends when standard input does.
 *
 * Real callers lie far from each other and have frames of all sizes: here they are 64 functions
 * over three pages of unwind rows, with frames of about 90 bytes on average.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static __attribute__((noipa)) int spin(void)
{
	for (volatile uint64_t i = 1; i; i++)
		;
	return 0;
}

static int descend(long frames);

#define STEP(name, number)                                                 \
	static __attribute__((noipa, aligned(2048))) int name(long frames) \
	{                                                                  \
		volatile uint64_t locals[2 + (number) % 16];               \
		locals[0] = (uint64_t)frames;                              \
		return descend(frames) + (int)locals[0];                   \
	}
#define STEPS(name, number)        \
	STEP(name##0, number + 0); \
	STEP(name##1, number + 1); \
	STEP(name##2, number + 2); \
	STEP(name##3, number + 3); \
	STEP(name##4, number + 4); \
	STEP(name##5, number + 5); \
	STEP(name##6, number + 6); \
	STEP(name##7, number + 7);
#define NAMES(name) name##0, name##1, name##2, name##3, name##4, name##5, name##6, name##7

STEPS(a, 0)
STEPS(b, 8)
STEPS(c, 16)
STEPS(d, 24)
STEPS(e, 32)
STEPS(f, 40)
STEPS(g, 48)
STEPS(h, 56)

static int (*const steps[64])(long frames) = {NAMES(a), NAMES(b), NAMES(c), NAMES(d),
					      NAMES(e), NAMES(f), NAMES(g), NAMES(h)};

/* Into a function that is not near the last. */
static inline __attribute__((always_inline)) int descend(long frames)
{
	return frames > 1 ? steps[frames * 37 % 64](frames - 1) : spin();
}

static void *run(void *arg)
{
	/* The frame of this function is one. */
	return (void *)(intptr_t)descend((long)(intptr_t)arg - 1);
}

static int start_on(int cpu, long frames)
{
	pthread_attr_t attributes;
	pthread_t thread;
	cpu_set_t one;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	pthread_attr_init(&attributes);
	pthread_attr_setaffinity_np(&attributes, sizeof(one), &one);
	int rc = pthread_create(&thread, &attributes, run, (void *)(intptr_t)frames);
	pthread_attr_destroy(&attributes);
	return rc;
}

int main(int argc, char **argv)
{
	long frames = argc == 2 ? strtol(argv[1], NULL, 10) : 0;
	cpu_set_t allowed;
	char byte;
	if (frames < 3 || sched_getaffinity(0, sizeof(allowed), &allowed)) {
		fprintf(stderr, "usage: recurse FRAMES (3 or more)\n");
		return 2;
	}
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &allowed) && start_on(cpu, frames))
			return 1;
	printf("%d\n", getpid());
	fflush(stdout);
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	return 0;
}
