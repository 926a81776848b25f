/*
 * load THREADS SECONDS: half of the threads work in one stack that comes again and again, half
 * in stacks that are hardly ever the same twice, 40 frames deep. Prints the pieces of work done
 * for each second of its own CPU time.
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define MAX_THREADS 256

struct worker {
	pthread_t thread;
	uint64_t state; /* of the random numbers */
	uint64_t end_mono_ns;
	uint64_t pieces;
	int is_restless;
};

static uint64_t now_ns(clockid_t clock)
{
	struct timespec ts;
	clock_gettime(clock, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

/* Touches 64 KiB, so that a profiler's footprint in the caches shows. */
static __attribute__((noinline)) uint64_t piece(uint64_t seed)
{
	static uint64_t table[8192];
	for (int i = 0; i < 4000; i++)
		seed = (seed ^ table[seed % 8192]) * 0x9e3779b97f4a7c15ULL + 1;
	return seed;
}

static uint64_t step_b(uint64_t path, int depth);

static __attribute__((noinline)) uint64_t step_a(uint64_t path, int depth)
{
	uint64_t sum = depth ? (path & 1 ? step_a : step_b)(path >> 1, depth - 1) : piece(path);
	__asm__ volatile("" : "+r"(sum)); /* no tail call */
	return sum;
}

static __attribute__((noinline)) uint64_t step_b(uint64_t path, int depth)
{
	uint64_t sum = depth ? (path & 1 ? step_a : step_b)(path >> 1, depth - 1) : piece(path);
	__asm__ volatile("" : "+r"(sum));
	return sum + 1;
}

static void *work(void *arg)
{
	struct worker *worker = arg;
	while (now_ns(CLOCK_MONOTONIC) < worker->end_mono_ns) {
		/* xorshift64: Marsaglia, Xorshift RNGs, 2003 */
		worker->state ^= worker->state << 13;
		worker->state ^= worker->state >> 7;
		worker->state ^= worker->state << 17;
		uint64_t sum = step_a(worker->is_restless ? worker->state : 0, 40);
		__asm__ volatile("" ::"r"(sum));
		worker->pieces++;
	}
	return NULL;
}

int main(int argc, char **argv)
{
	static struct worker workers[MAX_THREADS];
	long threads = argc > 1 ? strtol(argv[1], NULL, 10) : 2;
	double seconds = argc > 2 ? strtod(argv[2], NULL) : 10;
	if (threads < 1 || threads > MAX_THREADS)
		return 2;
	for (long i = 0; i < threads; i++) {
		workers[i].state = 88172645463325252ULL + i;
		workers[i].is_restless = i % 2;
		workers[i].end_mono_ns = now_ns(CLOCK_MONOTONIC) + seconds * 1e9;
		if (pthread_create(&workers[i].thread, NULL, work, &workers[i]))
			return 1;
	}
	uint64_t pieces = 0;
	for (long i = 0; i < threads; i++) {
		pthread_join(workers[i].thread, NULL);
		pieces += workers[i].pieces;
	}
	printf("%.3f\n", pieces / (now_ns(CLOCK_PROCESS_CPUTIME_ID) / 1e9));
	return 0;
}
