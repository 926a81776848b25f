/* exact_waits SPINNERS SECONDS: prints its pid and waits for a line. Then SPINNERS threads share CPU 0
 * for SECONDS; prints what the kernel says that they waited on run queues, in ns. With 0, the main thread
 * sleeps 1 ms and 20 ms in turn; prints how long that took, call by call, in ns. Waits for the end of its input. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static double end_s;
static unsigned long long delays_ns;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static double now_s(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Second number of /proc/PID/task/TID/schedstat: Documentation/scheduler/sched-stats.rst. */
static unsigned long long run_delay_ns(void)
{
	char path[64];
	unsigned long long running_ns, delay_ns = 0;
	snprintf(path, sizeof(path), "/proc/self/task/%ld/schedstat", syscall(SYS_gettid));
	FILE *file = fopen(path, "r");
	if (!file || fscanf(file, "%llu %llu", &running_ns, &delay_ns) != 2)
		abort();
	fclose(file);
	return delay_ns;
}

static void pin_to_cpu_0(void)
{
	cpu_set_t set;
	CPU_ZERO(&set);
	CPU_SET(0, &set);
	(void)sched_setaffinity(0, sizeof(set), &set);
}

static void *spin(void *arg)
{
	pin_to_cpu_0();
	while (now_s() < end_s)
		;
	pthread_mutex_lock(&lock);
	delays_ns += run_delay_ns();
	pthread_mutex_unlock(&lock);
	return arg;
}

static unsigned long long sleep_in_turn(void)
{
	double slept_s = 0;
	for (int i = 0; now_s() < end_s; i++) {
		struct timespec time = {.tv_nsec = i % 2 ? 1000000 : 20000000};
		double begin_s = now_s();
		nanosleep(&time, NULL);
		slept_s += now_s() - begin_s;
	}
	return (unsigned long long)(slept_s * 1e9);
}

int main(int argc, char **argv)
{
	pthread_t threads[64];
	int spinners = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 0;
	printf("%d\n", (int)getpid());
	fflush(stdout);
	if (getchar() == EOF)
		return 1;
	end_s = now_s() + (argc > 2 ? strtod(argv[2], NULL) : 2);
	for (int i = 0; i < spinners; i++)
		pthread_create(&threads[i], NULL, spin, NULL);
	unsigned long long slept_ns = spinners ? 0 : sleep_in_turn();
	for (int i = 0; i < spinners; i++)
		pthread_join(threads[i], NULL);
	printf("%llu\n", spinners ? delays_ns : slept_ns);
	fflush(stdout);
	while (getchar() != EOF)
		;
	return 0;
}
