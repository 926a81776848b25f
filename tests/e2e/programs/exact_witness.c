/*
 * exact_witness ROUNDS WAIT_MS SPINNERS: prints its pid, and waits for a line. Then each of some threads,
 * which are there from the beginning, waits ROUNDS times for WAIT_MS, in a system call of its own that
 * nothing else here waits in, and SPINNERS threads share a CPU for that long. Prints "NAME TID NS" for
 * each thread, NS being what its clock says that its calls took, and "end". Waits for the end of its
 * input. All other waits are in read(2).
 */
#define _GNU_SOURCE
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "waits.h"

enum { MAX_SPINNERS = 16, BYTES = 1 };

struct worker {
	const char *name; /* of its system call */
	void (*call)(int round);
	uint64_t took_ns;
	int tid;
};

static int rounds, wait_ms, epoll_fd, gate[2], done[2], bytes[2], socks[2];
static uint32_t word;
static uint64_t end_ns;

NOINLINE static void call_clock_nanosleep(int round)
{
	struct timespec wait = {.tv_sec = wait_ms / 1000, .tv_nsec = wait_ms % 1000 * 1000000L};
	(void)round;
	syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &wait, NULL);
	STAY();
}

NOINLINE static void call_epoll_pwait(int round)
{
	struct epoll_event event;
	(void)round;
	syscall(SYS_epoll_pwait, epoll_fd, &event, 1, wait_ms, NULL, 0);
	STAY();
}

/* Until the word is no longer the round's number. */
NOINLINE static void call_futex(int round)
{
	while (__atomic_load_n(&word, __ATOMIC_ACQUIRE) == (uint32_t)round)
		syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, round, NULL, NULL, 0);
	STAY();
}

NOINLINE static void call_readv(int round)
{
	char byte[BYTES];
	struct iovec into = {byte, sizeof(byte)};
	(void)round;
	if (syscall(SYS_readv, bytes[0], &into, 1) != sizeof(byte))
		abort();
	STAY();
}

NOINLINE static void call_recvfrom(int round)
{
	char byte[BYTES];
	(void)round;
	if (syscall(SYS_recvfrom, socks[0], byte, sizeof(byte), 0, NULL, NULL) != sizeof(byte))
		abort();
	STAY();
}

NOINLINE static void call_nanosleep(int round)
{
	struct timespec wait = {.tv_sec = wait_ms / 1000, .tv_nsec = wait_ms % 1000 * 1000000L};
	(void)round;
	syscall(SYS_nanosleep, &wait, NULL);
	STAY();
}

/* Ends the waits of a round of the three that others end. */
static void wake_others(int round)
{
	char byte[BYTES] = {0};
	__atomic_store_n(&word, (uint32_t)round + 1, __ATOMIC_RELEASE);
	syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
	if (write(bytes[1], byte, sizeof(byte)) != sizeof(byte) ||
	    send(socks[1], byte, sizeof(byte), 0) != sizeof(byte))
		abort();
}

static void pass_bytes(int fd, int count)
{
	char byte[BYTES] = {0};
	for (int i = 0; i < count; i++)
		if (write(fd, byte, sizeof(byte)) != sizeof(byte))
			abort();
}

static void take_bytes(int fd, int count)
{
	char byte[BYTES];
	for (int i = 0; i < count; i++)
		if (read(fd, byte, sizeof(byte)) != sizeof(byte))
			abort();
}

/* Stays, asleep: what becomes of a thread on its way out is seen by no tool as by another. */
static void leave(void)
{
	pass_bytes(done[1], 1);
	take_bytes(gate[0], 1);
}

static void *work(void *arg)
{
	struct worker *worker = arg;
	worker->tid = own_tid();
	take_bytes(gate[0], 1);
	for (int round = 0; round < rounds; round++) {
		uint64_t begin_ns = mono_ns();
		worker->call(round);
		worker->took_ns += mono_ns() - begin_ns;
		if (worker->call == call_nanosleep)
			wake_others(round);
	}
	leave();
	return NULL;
}

static void *spin(void *arg)
{
	struct worker *worker = arg;
	cpu_set_t set;
	CPU_ZERO(&set);
	CPU_SET(0, &set);
	(void)sched_setaffinity(0, sizeof(set), &set);
	worker->tid = own_tid();
	take_bytes(gate[0], 1);
	uint64_t begin_ns = mono_ns();
	while (mono_ns() < end_ns)
		;
	worker->took_ns = mono_ns() - begin_ns;
	leave();
	return NULL;
}

static void start(void *(*run)(void *), struct worker *worker)
{
	pthread_t thread;
	if (pthread_create(&thread, NULL, run, worker) || pthread_detach(thread))
		abort();
}

static void print(const struct worker *workers, int count)
{
	for (int i = 0; i < count; i++)
		printf("%s %d %llu\n", workers[i].name, workers[i].tid,
		       (unsigned long long)workers[i].took_ns);
}

int main(int argc, char **argv)
{
	static struct worker workers[] = {
		{"clock_nanosleep", call_clock_nanosleep, 0, 0},
		{"epoll_pwait", call_epoll_pwait, 0, 0},
		{"futex", call_futex, 0, 0},
		{"readv", call_readv, 0, 0},
		{"recvfrom", call_recvfrom, 0, 0},
		{"nanosleep", call_nanosleep, 0, 0},
	};
	static struct worker spinners[MAX_SPINNERS];
	const int count = sizeof(workers) / sizeof(workers[0]);
	int spinning = argc == 4 ? (int)strtol(argv[3], NULL, 10) : -1;
	if (spinning < 0 || spinning > MAX_SPINNERS)
		return 2;
	rounds = (int)strtol(argv[1], NULL, 10);
	wait_ms = (int)strtol(argv[2], NULL, 10);
	epoll_fd = epoll_create1(0);
	if (epoll_fd < 0 || pipe(gate) || pipe(done) || pipe(bytes) ||
	    socketpair(AF_UNIX, SOCK_STREAM, 0, socks))
		return 1;
	for (int i = 0; i < spinning; i++) {
		spinners[i].name = "spin";
		start(spin, &spinners[i]);
	}
	for (int i = 0; i < count; i++)
		start(work, &workers[i]);
	printf("%d\n", (int)getpid());
	fflush(stdout);
	if (getchar() == EOF)
		return 1;
	end_ns = mono_ns() + (uint64_t)rounds * (uint64_t)wait_ms * 1000000;
	pass_bytes(gate[1], count + spinning);
	take_bytes(done[0], count + spinning);
	print(workers, count);
	print(spinners, spinning);
	printf("end\n");
	fflush(stdout);
	stay_until_told();
	return 0;
}
