/*
 * stacks THREADS: keeps THREADS CPUs busy in stacks that are hardly ever the same twice, which is
 * the hardest load for a profiler that interns stacks. Prints its pid; ends with its stdin.
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void step_a(uint64_t path, int depth);
static void step_b(uint64_t path, int depth);

static void spin(void)
{
	for (int i = 0; i < 2000; i++)
		__asm__ volatile("" ::: "memory");
}

static void next(uint64_t path, int depth)
{
	spin();
	if (depth > 0)
		(path & 1 ? step_a : step_b)(path >> 1, depth - 1);
	__asm__ volatile(""); /* no tail call */
}

__attribute__((noinline)) static void step_a(uint64_t path, int depth)
{
	next(path, depth);
	__asm__ volatile("");
}

__attribute__((noinline)) static void step_b(uint64_t path, int depth)
{
	next(path, depth);
	__asm__ volatile("");
}

static void *run(void *arg)
{
	uint64_t state = 0x9e3779b97f4a7c15ULL + (uintptr_t)arg;
	for (;;) {
		/* xorshift64: Marsaglia, Xorshift RNGs, 2003 */
		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		next(state, 40);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	long threads = argc > 1 ? strtol(argv[1], NULL, 10) : 1;
	printf("%d\n", getpid());
	fflush(stdout);
	for (long i = 0; i < threads; i++) {
		pthread_t thread;
		if (pthread_create(&thread, NULL, run, (void *)i))
			return 1;
	}
	while (getchar() != EOF)
		;
	return 0;
}
