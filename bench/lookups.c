/*
 * lookups: how many addresses a second the names of one file give, without the text around it.
 *
 *	lookups FILE.gsym START BYTES [COUNT [ROUNDS]]
 *
 * COUNT random addresses in BYTES of code from START are looked up ROUNDS times, all of their
 * frames read; prints the best round's lookups a second of CPU time of this one thread, and the
 * frames of an address.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "symbolizer/gsym.h"

enum { MAX_FRAMES = 64, MAX_COUNT = 1 << 24 };

static uint64_t cpu_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* https://doi.org/10.18637/jss.v008.i14, the triple 13, 7, 17 */
static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

struct round {
	uint64_t found, frames, lines;
};

static struct round look_up(const struct gsym *gsym, const uint64_t *vaddrs, size_t count)
{
	struct round round = {0};
	for (size_t i = 0; i < count; i++) {
		struct gsym_frame frames[MAX_FRAMES];
		struct gsym_answer answer;
		if (!gsym_lookup(gsym, vaddrs[i], frames, MAX_FRAMES, &answer))
			continue;
		round.found++;
		round.frames += answer.frame_count;
		for (uint32_t j = 0; j < answer.frame_count; j++)
			round.lines += frames[j].line + (frames[j].name[0] != 0);
	}
	return round;
}

static int run(const struct gsym *gsym, uint64_t *vaddrs, size_t count, unsigned int rounds)
{
	struct round round = look_up(gsym, vaddrs, count); /* warms it up */
	uint64_t best_ns = UINT64_MAX;
	for (unsigned int i = 0; i < rounds; i++) {
		uint64_t began_ns = cpu_ns();
		struct round again = look_up(gsym, vaddrs, count);
		uint64_t took_ns = cpu_ns() - began_ns;
		best_ns = took_ns < best_ns ? took_ns : best_ns;
		if (again.lines != round.lines)
			return EXIT_FAILURE; /* and so it is not optimised away */
	}
	if (!round.found)
		return EXIT_FAILURE;
	printf("%.0f lookups/s, %.2f frames each, %.1f %% found\n",
	       (double)count * 1e9 / (double)best_ns, (double)round.frames / (double)round.found,
	       100.0 * (double)round.found / (double)count);
	return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	if (argc < 4) {
		fprintf(stderr, "usage: lookups FILE.gsym START BYTES [COUNT [ROUNDS]]\n");
		return 2;
	}
	uint64_t start_vaddr = strtoull(argv[2], NULL, 0), size_bytes = strtoull(argv[3], NULL, 0);
	size_t count = argc > 4 ? strtoull(argv[4], NULL, 0) : 100000;
	unsigned int rounds = argc > 5 ? (unsigned int)strtoul(argv[5], NULL, 0) : 20;
	AUTO_FD fd = open(argv[1], O_RDONLY | O_CLOEXEC);
	AUTO(gsym) gsym = NULL;
	struct err err = {0};
	if (fd < 0 || gsym_open(&gsym, fd, &err)) {
		fprintf(stderr, "lookups: %s: %s\n", argv[1], fd < 0 ? "cannot open" : err.text);
		return EXIT_FAILURE;
	}
	AUTO_MEM uint64_t *vaddrs =
		count <= MAX_COUNT ? malloc((count + 1) * sizeof(*vaddrs)) : NULL;
	if (!vaddrs || !size_bytes)
		return EXIT_FAILURE;
	uint64_t state = 88172645463325252;
	for (size_t i = 0; i < count; i++)
		vaddrs[i] = start_vaddr + next_random(&state) % size_bytes;
	return run(gsym, vaddrs, count, rounds);
}
