/*
 * unwind_dense: code with as much unwind information as there can be, a row for each byte. It runs
 * in function after function, each in 64 KiB of its own, for a while in each, so that some
 * rows are always needed that were not needed lately. Prints its pid; ends with its
 * standard input. COPY makes a different file of each build.
 */
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define FUNCTIONS 10
#define STAY_NS   20000000

__asm__(".altmacro\n"
	".macro dense n\n"
	"	.p2align 16\n"
	"	.globl dense_\\n\n"
	"	.type dense_\\n, @function\n"
	"dense_\\n:\n"
	"	.cfi_startproc\n"
	"	.rept 30000\n"
	"	push %rax\n"
	"	.cfi_adjust_cfa_offset 8\n"
	"	pop %rax\n"
	"	.cfi_adjust_cfa_offset -8\n"
	"	.endr\n"
	"	ret\n"
	"	.cfi_endproc\n"
	"	.size dense_\\n, . - dense_\\n\n"
	".endm\n"
	".set i, 0\n"
	".rept 10\n"
	"	dense %i\n"
	"	.set i, i + 1\n"
	".endr\n"
	".noaltmacro\n");

void dense_0(void), dense_1(void), dense_2(void), dense_3(void), dense_4(void), dense_5(void),
	dense_6(void), dense_7(void), dense_8(void), dense_9(void);

static void (*const functions[FUNCTIONS])(void) = {dense_0, dense_1, dense_2, dense_3, dense_4,
						   dense_5, dense_6, dense_7, dense_8, dense_9};

const volatile int copy = COPY;

static uint64_t cpu_ns(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

int main(void)
{
	printf("%d\n", getpid());
	fflush(stdout);
	struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
	for (unsigned int i = copy; !poll(&input, 1, 0); i++) {
		uint64_t end_ns = cpu_ns() + STAY_NS;
		while (cpu_ns() < end_ns)
			functions[i % FUNCTIONS]();
	}
	return 0;
}
