/*
 * names: a program whose functions, source lines and inlined calls are known. Most of its time
 * is in inner, which is inlined into outer; the rest is in the vDSO, in the kernel and in libc's
 * qsort. Prints its pid at once and runs until its standard input ends.
 * The tests find lines by the comments at their ends.
 */
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#define OF_ITS_OWN __attribute__((noipa))

static inline __attribute__((always_inline)) uint64_t inner(uint64_t x)
{
	for (int i = 0; i < 200000; i++) /* inner loop */
		x = x * 31 + (x >> 7);   /* inner body */
	return x;
}

OF_ITS_OWN uint64_t outer(uint64_t x)
{
	return inner(x) ^ 1; /* outer calls */
}

OF_ITS_OWN uint64_t ask_time(void)
{
	struct timespec ts = {0};
	for (int i = 0; i < 1000; i++)
		clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_nsec;
}

OF_ITS_OWN uint64_t enter_kernel(void)
{
	static uint64_t bytes[2048];
	return getrandom(bytes, sizeof(bytes), 0) + bytes[0];
}

OF_ITS_OWN int compare(const void *a, const void *b)
{
	const uint64_t *left = a, *right = b;
	return (*left > *right) - (*left < *right);
}

OF_ITS_OWN uint64_t sort(uint64_t x)
{
	static uint64_t values[256];
	for (int i = 0; i < 256; i++)
		values[i] = x = x * 6364136223846793005 + 1442695040888963407;
	qsort(values, 256, sizeof(values[0]), compare);
	return values[0];
}

int main(void)
{
	uint64_t x = 1;
	struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
	printf("%d\n", getpid());
	fflush(stdout);
	while (poll(&input, 1, 0) == 0)
		x = outer(x) + ask_time() + enter_kernel() + sort(x);
	return x == 0; /* so that x is needed */
}
