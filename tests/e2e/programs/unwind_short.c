/*
 * unwind_short MILLISECONDS: lives for a moment. Deletes its own file, burns that much CPU time
 * below main < hold < burn_000000, and ends. Whoever copies the file may put another number in
 * the place of the zeros.
 */
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define FRAME __attribute__((noipa))

FRAME int burn_000000(int x)
{
	for (int i = 0; i < 200000; i++)
		__asm__ volatile("");
	return x + 1;
}

static double cpu_ms(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

FRAME int hold(double end_ms)
{
	int sum = 0;
	while (cpu_ms() < end_ms)
		sum ^= burn_000000(sum);
	return sum;
}

int main(int argc, char **argv)
{
	if (argc != 2 || unlink(argv[0]))
		return 2;
	volatile int sum = hold(strtod(argv[1], NULL));
	(void)sum;
	return 0;
}
