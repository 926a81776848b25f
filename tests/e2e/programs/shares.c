/*
 * shares THREADS SECONDS: a program with a known answer. Each thread spends 70, 20 and 10 % of
 * its CPU time in burn_heavy, burn_middle and burn_light, by its own CPU clock. Prints its pid
 * at once; when each thread has had SECONDS of CPU time, one line with the CPU time in ns that each function really had and
 * that the process had, and then lives, asleep, until its standard input ends.
 *
 * It goes in rounds. How long one lasts, and in which order the three come, is drawn at random
 * (with a fixed seed), so that there is no period for a sampling clock to keep step with: what
 * samplers measure differs from the truth by the error of sampling alone. That error is small,
 * as a round is long beside the time between two samples.
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define MAX_THREADS  64
#define MIN_ROUND_NS 40000000
#define MAX_ROUND_NS 160000000

struct burner {
	pthread_t thread;
	double seconds;
	uint64_t random;
	uint64_t spent_ns[3];
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

__attribute__((noinline, noclone)) void burn_heavy(uint64_t slice_ns)
{
	burn(slice_ns);
}

__attribute__((noinline, noclone)) void burn_middle(uint64_t slice_ns)
{
	burn(slice_ns);
}

__attribute__((noinline, noclone)) void burn_light(uint64_t slice_ns)
{
	burn(slice_ns);
}

/* xorshift64*: https://doi.org/10.1145/2845077 */
static uint64_t draw(uint64_t *random, uint64_t below)
{
	*random ^= *random >> 12;
	*random ^= *random << 25;
	*random ^= *random >> 27;
	return (*random * 0x2545f4914f6cdd1dULL >> 32) % below;
}

static const struct {
	void (*burn)(uint64_t slice_ns);
	uint64_t percent;
} parts[3] = {{burn_heavy, 70}, {burn_middle, 20}, {burn_light, 10}};

static const int orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};

static void run_round(struct burner *burner)
{
	uint64_t round_ns = MIN_ROUND_NS + draw(&burner->random, MAX_ROUND_NS - MIN_ROUND_NS);
	const int *order = orders[draw(&burner->random, 6)];
	for (int i = 0; i < 3; i++) {
		int part = order[i];
		uint64_t start_ns = now_ns(CLOCK_THREAD_CPUTIME_ID);
		parts[part].burn(round_ns * parts[part].percent / 100);
		burner->spent_ns[part] += now_ns(CLOCK_THREAD_CPUTIME_ID) - start_ns;
	}
}

static void *run(void *arg)
{
	struct burner *burner = arg;
	uint64_t end_ns = burner->seconds * 1e9;
	while (now_ns(CLOCK_THREAD_CPUTIME_ID) < end_ns)
		run_round(burner);
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
		burners[i].random = 0x9e3779b97f4a7c15ULL * (i + 1); /* never 0 */
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
