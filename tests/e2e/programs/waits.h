/*
 * waits: what the programs with known waits share: clocks, and chance with a fixed seed, so that
 * nothing keeps step with the visits of a sampler.
 */
#pragma once
#include <stdint.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Each function stays one of its own, also beside one that does the same. */
#define NOINLINE __attribute__((noinline, noclone, no_icf))
/* After a call: it is no tail call, and its caller stays on the stack. */
#define STAY() __asm__ volatile("" ::: "memory")

static inline uint64_t clock_ns(clockid_t clock)
{
	struct timespec ts;
	clock_gettime(clock, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

static inline uint64_t mono_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

static inline int own_tid(void)
{
	return (int)syscall(SYS_gettid);
}

static inline void sleep_ns(uint64_t ns)
{
	struct timespec ts = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
	nanosleep(&ts, NULL);
}

/* xorshift64*: https://doi.org/10.1145/2845077 . *random is never 0. */
static inline uint64_t draw(uint64_t *random, uint64_t below)
{
	*random ^= *random >> 12;
	*random ^= *random << 25;
	*random ^= *random >> 27;
	return (*random * 0x2545f4914f6cdd1dULL >> 32) % below;
}

/* Of that mean, between a half and three halves of it. */
static inline uint64_t draw_around(uint64_t *random, uint64_t mean)
{
	return mean / 2 + draw(random, mean);
}

/* A seed of its own for each thread. */
static inline uint64_t seed_of(int number)
{
	return 0x9e3779b97f4a7c15ULL * (uint64_t)(number + 1);
}

/* What the current thread was not on a CPU since then, when it was made. */
static inline uint64_t waited_since(uint64_t start_mono_ns)
{
	return mono_ns() - start_mono_ns - clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

/* A line on standard input, or its end: whoever watches is ready. */
static inline void wait_to_begin(void)
{
	char byte;
	while (read(STDIN_FILENO, &byte, 1) > 0 && byte != '\n')
		;
}

/* Until standard input ends, as a workload of tests/e2e/harness.py does. */
static inline void stay_until_told(void)
{
	char byte;
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
}
