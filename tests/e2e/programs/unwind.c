/*
 * unwind MODE SECONDS: burns CPU below a call chain that is named in MODE's comment, in code that
 * keeps no frame pointers. SECONDS 0: the innermost function of the chain spins for ever, which
 * is a point for a debugger to stop at. Otherwise ends after that time.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define FRAME      __attribute__((noipa))
#define MORE_MAX   (40 << 10) /* beyond 16 bits, and with the rest within a slice (abi.h) */
#define LESS_MAX   (16 << 10)
#define TURN_LOOPS 20000000 /* some 10 ms */

static uint64_t loops = TURN_LOOPS;
static int has_alarm;
static char **arguments;

/* The leaf. The asm is opaque, so the loop stays. */
FRAME int burn(uint64_t count)
{
	for (uint64_t i = 0; i < count; i++)
		__asm__ volatile("");
	return 1;
}

/* main < outer < middle < burn */
FRAME int middle(int x)
{
	return burn(loops) + x;
}

FRAME int outer(int x)
{
	return middle(x) + 2;
}

static int run_calls(void)
{
	return outer(1);
}

/* main < recurse x N < burn */
FRAME int recurse(int depth)
{
	int below = depth > 1 ? recurse(depth - 1) : burn(loops);
	__asm__ volatile("" : "+r"(below)); /* else it becomes a loop */
	return below + depth;
}

static int run_recurse(void)
{
	return recurse((int)strtol(arguments[3], NULL, 10));
}

/* main < varying < fill < burn: a frame whose size only the run knows, and an aligned one */
FRAME int fill(char *bytes, size_t size)
{
	int64_t aligned __attribute__((aligned(64)));
	__asm__ volatile("" : : "r"(&aligned), "r"(bytes) : "memory");
	memset(bytes, 1, size);
	return burn(loops) + bytes[size - 1];
}

FRAME int varying(size_t size)
{
	char bytes[size];
	int sum = fill(bytes, size);
	return sum + bytes[0];
}

static int run_vla(void)
{
	int sum = 0;
	for (size_t size = 64; size <= 4096; size *= 8)
		sum += varying(size);
	return sum;
}

/* main < realign < realigned < burn: frames that begin at a place their caller's stack does not
 * tell, so that gcc keeps it in a register and then in memory */
FRAME int realigned(int a, int b, int c, int d, int e, int f, int g, size_t size)
{
	char bytes[size];
	int64_t aligned __attribute__((aligned(64))) = a + b + c + d + e + f;
	__asm__ volatile("" : : "r"(&aligned), "r"(bytes) : "memory");
	memset(bytes, 1, size);
	return burn(loops) + g + bytes[size - 1] + (int)aligned;
}

FRAME int realign(int a, int b, int c, int d, int e, int f, int g, size_t size)
{
	char bytes[size];
	int64_t aligned __attribute__((aligned(128))) = a + b + c + d + e + f;
	__asm__ volatile("" : : "r"(&aligned), "r"(bytes) : "memory");
	memset(bytes, 1, size);
	return realigned(a, b, c, d, e, f, g, size) + g + bytes[size - 1] + (int)aligned;
}

static int run_realign(void)
{
	return realign(1, 2, 3, 4, 5, 6, 7, 200) + 1;
}

/* main < large_outer < large < burn: large frames */
FRAME int large(int x)
{
	char bytes[LESS_MAX];
	__asm__ volatile("" : : "r"(bytes) : "memory");
	return burn(loops) + bytes[x];
}

FRAME int large_outer(int x)
{
	char bytes[MORE_MAX];
	bytes[0] = 0;
	__asm__ volatile("" : : "r"(bytes) : "memory");
	return large(x) + bytes[0];
}

static int run_large(void)
{
	return large_outer(1);
}

/* main < interrupted < (signal frame) < on_alarm < burn */
FRAME void on_alarm(int signo)
{
	burn(loops);
	__asm__ volatile("" : : "r"(signo) : "memory");
}

static void start_alarm(long interval_us)
{
	struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
	struct itimerval timer = {.it_interval.tv_usec = interval_us,
				  .it_value.tv_usec = interval_us};
	if (has_alarm)
		return;
	has_alarm = 1;
	sigaction(SIGPROF, &action, NULL);
	setitimer(ITIMER_PROF, &timer, NULL);
}

FRAME int interrupted(int x)
{
	for (uint64_t i = 0; i < TURN_LOOPS; i++)
		__asm__ volatile("");
	return x + 1;
}

static int run_signal(void)
{
	start_alarm(8000);
	return interrupted(1) + 1;
}

/* main < call_plugin < plugin_empty, through a stub of the PLT; in the alarm's case also
 * < (signal frame) < on_alarm < burn, wherever the stub or the dynamic linker was interrupted */
int plugin_empty(int x) __attribute__((weak));

FRAME int call_plugin(int x)
{
	for (int i = 0; i < 100000; i++) /* so that an alarm hardly ever comes outside of it */
		x = plugin_empty(x);
	return x + 1;
}

static int run_plt(void)
{
	return call_plugin(1) + 1;
}

static int run_plt_signal(void)
{
	loops = loops == TURN_LOOPS ? TURN_LOOPS / 5 : loops;
	start_alarm(4000);
	return call_plugin(1) + 1;
}

/* main < sort < (libc) < compare < burn */
FRAME int compare(const void *a, const void *b)
{
	burn(loops / 4);
	return *(const int *)a - *(const int *)b;
}

FRAME int sort(void)
{
	int values[] = {5, 3, 8, 1, 9, 2};
	qsort(values, sizeof(values) / sizeof(values[0]), sizeof(values[0]), compare);
	return values[0] + 1;
}

static int run_qsort(void)
{
	return sort() + 1;
}

/* (thread's start) < thread_main < outer < middle < burn */
FRAME void *thread_main(void *sum)
{
	for (int i = 0; i < 5; i++)
		*(int *)sum += outer(2) + 1;
	return NULL;
}

static int run_threads(void)
{
	pthread_t threads[2];
	int sums[2] = {0};
	for (int i = 0; i < 2; i++)
		if (pthread_create(&threads[i], NULL, thread_main, &sums[i]))
			abort();
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	return sums[0] + sums[1];
}

/* main < load < plugin_outer < plugin_burn, opened by path */
FRAME int load(void)
{
	void *library = dlopen(arguments[3], RTLD_NOW | RTLD_LOCAL);
	int (*function)(uint64_t) =
		library ? (int (*)(uint64_t))dlsym(library, "plugin_outer") : NULL;
	if (!function)
		abort();
	int sum = function(loops) + 1;
	dlclose(library);
	return sum;
}

static int run_dlopen(void)
{
	return load() + 1;
}

/* Half of the time in main < spots < left < burn, three tenths in main < spots < right < deep <
 * burn, the rest in main < spots < burn. Turns differ in length, so that no sampling clock keeps
 * step with them. */
static uint64_t spots_part;

FRAME int left(int x)
{
	return burn(spots_part * 5) + x;
}

FRAME int deep(int x)
{
	return burn(spots_part * 3) + x;
}

FRAME int right(int x)
{
	return deep(x) + 1;
}

FRAME int spots(int x)
{
	return left(x) + right(x) + burn(spots_part * 2);
}

static int run_spots(void)
{
	spots_part = loops / 20 + (uint64_t)rand() % (loops / 10);
	return spots(1) + 1;
}

/* main < spawn < burn in the child that borrows our memory; then it is PROGRAM calls 0.02 */
FRAME int spawn(void)
{
	pid_t child = vfork();
	if (!child) {
		burn(TURN_LOOPS);
		execl(arguments[3], arguments[3], "calls", "0.02", NULL);
		_exit(127);
	}
	int status = 1;
	if (waitpid(child, &status, 0) != child || status)
		abort();
	return 1;
}

static int run_vfork(void)
{
	return spawn() + 1;
}

/* main < forker < burn in a child of a child that ended */
FRAME int forker(void)
{
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	pid_t child = fork();
	if (!child) {
		pid_t grandchild = fork();
		if (!grandchild)
			burn(loops);
		_exit(grandchild < 0);
	}
	int status = child < 0, all = status;
	while (waitpid(-1, &status, 0) > 0)
		all |= status;
	if (all)
		abort();
	return 1;
}

static int run_fork(void)
{
	return forker() + 1;
}

static const struct mode {
	const char *name;
	int (*run)(void);
} modes[] = {
	{"calls", run_calls},     {"recurse", run_recurse},
	{"vla", run_vla},         {"large", run_large},
	{"signal", run_signal},   {"plt", run_plt},
	{"qsort", run_qsort},     {"plt-signal", run_plt_signal},
	{"dlopen", run_dlopen},   {"threads", run_threads},
	{"vfork", run_vfork},     {"spots", run_spots},
	{"realign", run_realign}, {"fork", run_fork},
};

static double now(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	arguments = argv;
	double end = argc > 2 ? now() + strtod(argv[2], NULL) : 0;
	if (argc > 2 && !strcmp(argv[2], "0"))
		loops = UINT64_MAX;
	for (size_t i = 0; argc > 2 && i < sizeof(modes) / sizeof(modes[0]); i++) {
		if (strcmp(argv[1], modes[i].name))
			continue;
		volatile int sum = 0;
		do
			sum += modes[i].run();
		while (now() < end);
		return 0;
	}
	fprintf(stderr, "usage: unwind MODE SECONDS [ARG]\n");
	return 2;
}
