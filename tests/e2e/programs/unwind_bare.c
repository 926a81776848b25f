/*
 * unwind_bare SECONDS: burns CPU in leaves that bring no unwind information (unwind_bare.S), below
 * main < by_NAME < NAME.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { LOOPS = 2000000 };

#define CALLER(leaf)                                                                   \
	void leaf(uint64_t count);                                                     \
	__attribute__((noipa)) static int by_##leaf(void (*function)(uint64_t), int x) \
	{                                                                              \
		function(LOOPS);                                                       \
		return x + 1;                                                          \
	}

CALLER(bare)
CALLER(bare_rbp)
CALLER(bare_rbx)
CALLER(bare_frame)
CALLER(bare_locals)

static double now(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	double end = now() + (argc > 1 ? strtod(argv[1], NULL) : 1);
	volatile int sum = 0;
	while (now() < end)
		sum += by_bare(bare, 1) + by_bare_rbp(bare_rbp, 2) + by_bare_rbx(bare_rbx, 3) +
		       by_bare_frame(bare_frame, 4) + by_bare_locals(bare_locals, 5);
	return 0;
}
