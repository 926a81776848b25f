/* exact_chain ROUNDS: A waits for B, which waits for C, which works for 50 ms; names of functions and
 * threads say so. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline))

static int c_to_b[2], b_to_a[2], rounds;

NOINLINE static void c_works(void)
{
	struct timespec time = {.tv_nsec = 50000000};
	while (nanosleep(&time, &time))
		;
	__asm__ volatile("");
}

static void send_byte(int fd)
{
	char byte = 0;
	if (write(fd, &byte, 1) != 1)
		abort();
	__asm__ volatile("");
}

static void take_byte(int fd)
{
	char byte;
	if (read(fd, &byte, 1) != 1)
		abort();
	__asm__ volatile("");
}

NOINLINE static void c_answers(void)
{
	send_byte(c_to_b[1]);
	__asm__ volatile("");
}

NOINLINE static void b_waits_for_c(void)
{
	take_byte(c_to_b[0]);
	__asm__ volatile("");
}

NOINLINE static void b_answers(void)
{
	send_byte(b_to_a[1]);
	__asm__ volatile("");
}

NOINLINE static void a_waits_for_b(void)
{
	take_byte(b_to_a[0]);
	__asm__ volatile("");
}

static void *run_c(void *arg)
{
	pthread_setname_np(pthread_self(), "thread_c");
	for (int i = 0; i < rounds; i++) {
		c_works();
		c_answers();
	}
	return arg;
}

static void *run_b(void *arg)
{
	pthread_setname_np(pthread_self(), "thread_b");
	for (int i = 0; i < rounds; i++) {
		b_waits_for_c();
		b_answers();
	}
	return arg;
}

int main(int argc, char **argv)
{
	pthread_t b, c;
	rounds = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 20;
	if (pipe(c_to_b) || pipe(b_to_a))
		return 1;
	pthread_create(&b, NULL, run_b, NULL);
	pthread_create(&c, NULL, run_c, NULL);
	for (int i = 0; i < rounds; i++)
		a_waits_for_b();
	pthread_join(b, NULL);
	pthread_join(c, NULL);
	return 0;
}
