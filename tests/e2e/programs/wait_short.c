/*
 * wait_short PROCESSES MS SECONDS: so many processes, one after the other and spread over SECONDS,
 * each of which sleeps once, MS milliseconds, in sleep_short, and ends. Prints its pid, begins with
 * a line on standard input, or its end, and then prints "START END NS_SLEPT NS_LIVED": unix us, and
 * how long they slept and were there in all; and stays.
 */
#include <stdlib.h>
#include <sys/wait.h>

#include "waits.h"

static NOINLINE uint64_t sleep_short(uint64_t ns)
{
	uint64_t start_ns = mono_ns();
	sleep_ns(ns);
	return mono_ns() - start_ns;
}

static uint64_t run_one(uint64_t ns)
{
	int pair[2];
	uint64_t slept_ns = 0;
	if (pipe(pair))
		exit(1);
	pid_t pid = fork();
	if (!pid) {
		slept_ns = sleep_short(ns);
		_exit(write(pair[1], &slept_ns, sizeof(slept_ns)) != sizeof(slept_ns));
	}
	if (pid < 0 || waitpid(pid, NULL, 0) != pid ||
	    read(pair[0], &slept_ns, sizeof(slept_ns)) != sizeof(slept_ns))
		exit(1);
	close(pair[0]);
	close(pair[1]);
	return slept_ns;
}

int main(int argc, char **argv)
{
	if (argc < 4)
		return 2;
	int processes = (int)strtol(argv[1], NULL, 10);
	uint64_t sleep_time_ns = strtoul(argv[2], NULL, 10) * 1000000;
	uint64_t each_ns = (uint64_t)(strtod(argv[3], NULL) * 1e9) / processes;
	uint64_t random = seed_of(0), slept_ns = 0, lived_ns = 0;
	printf("%d\n", getpid());
	fflush(stdout);
	wait_to_begin();
	uint64_t start_us = clock_ns(CLOCK_REALTIME) / 1000;
	uint64_t next_ns = mono_ns();
	for (int i = 0; i < processes; i++) {
		uint64_t born_ns = mono_ns();
		slept_ns += run_one(sleep_time_ns);
		lived_ns += mono_ns() - born_ns;
		/* At random, or the visits might always come at the same part of a sleep. */
		next_ns += draw_around(&random, each_ns);
		uint64_t now_ns = mono_ns();
		if (now_ns < next_ns)
			sleep_ns(next_ns - now_ns);
	}
	printf("%lu %lu %lu %lu\n", start_us, clock_ns(CLOCK_REALTIME) / 1000, slept_ns, lived_ns);
	fflush(stdout);
	stay_until_told();
	return 0;
}
