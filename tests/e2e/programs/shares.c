/*
 * shares THREADS SECONDS: a program with a known answer. Each thread spends 70, 20 and 10 % of
 * its CPU time in burn_heavy, burn_middle and burn_light, by its own CPU clock. Prints its pid
 * at once; after SECONDS one line with the CPU time in ns that each function really had and
 * that the process had, and then lives, asleep, until its standard input ends.
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define MAX_THREADS 64
#define SLICE_NS    137000 /* a hundredth of a round; rounds keep no step with any sampler */

struct burner {
	pthread_t thread;
	double seconds;
	uint64_t spent_ns[3];
	uint64_t rounds;
};

static uint64_t now_ns(clockid_t clock)
{
	struct timespec ts;
	clock_gettime(clock, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

/* Until this thread has used the CPU for that long. Inlined into each of the three. */
static inline __attribute__((always_inline)) void burn(uint64_t slice_ns)
{
	uint64_t end_ns = now_ns(CLOCK_THREAD_CPUTIME_ID) + slice_ns;
	do {
		for (int i = 0; i < 5000; i++)
			__asm__ volatile("" ::: "memory");
	} while (now_ns(CLOCK_THREAD_CPUTIME_ID) < end_ns);
}

__attribute__((noinline, noclone)) void burn_heavy(void)
{
	burn(70 * SLICE_NS / 10);
}

__attribute__((noinline, noclone)) void burn_middle(void)
{
	burn(20 * SLICE_NS / 10);
}

__attribute__((noinline, noclone)) void burn_light(void)
{
	burn(10 * SLICE_NS / 10);
}

static void (*const parts[3])(void) = {burn_heavy, burn_middle, burn_light};

static void *run(void *arg)
{
	struct burner *burner = arg;
	uint64_t end_ns = now_ns(CLOCK_MONOTONIC) + burner->seconds * 1e9;
	while (now_ns(CLOCK_MONOTONIC) < end_ns) {
		for (int i = 0; i < 3; i++) {
			uint64_t start_ns = now_ns(CLOCK_THREAD_CPUTIME_ID);
			parts[i]();
			burner->spent_ns[i] += now_ns(CLOCK_THREAD_CPUTIME_ID) - start_ns;
		}
		burner->rounds++;
	}
	return NULL;
}

int main(int argc, char **argv)
{
	static struct burner burners[MAX_THREADS];
	int threads = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 1;
	if (threads < 1 || threads > MAX_THREADS)
		return 2;
	printf("%d\n", getpid());
	fflush(stdout);
	for (int i = 0; i < threads; i++) {
		burners[i].seconds = argc > 2 ? strtod(argv[2], NULL) : 10;
		if (pthread_create(&burners[i].thread, NULL, run, &burners[i]))
			return 1;
	}
	uint64_t spent_ns[3] = {0};
	for (int i = 0; i < threads; i++) {
		pthread_join(burners[i].thread, NULL);
		for (int part = 0; part < 3; part++)
			spent_ns[part] += burners[i].spent_ns[part];
	}
	printf("%lu %lu %lu %lu\n", spent_ns[0], spent_ns[1], spent_ns[2],
	       now_ns(CLOCK_PROCESS_CPUTIME_ID));
	fflush(stdout);
	while (getchar() != EOF)
		;
	return 0;
}
