/*
 * wait_disk FILE SECONDS THREADS: threads that read 1 MiB pieces of FILE, which it makes and
 * removes, in read_disk with O_DIRECT, so that nothing but the device can answer.
 *
 * Prints its pid, or "no O_DIRECT", and begins with a line on standard input, or its end. After
 * SECONDS: "START END" (unix us), then for each thread "TID READS NS_WAITED NS_QUEUED", and stays:
 * not on a CPU, and for part of it on a run queue.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "waits.h"

#define MAX_THREADS 8
#define PIECE_BYTES (1 << 20)
#define PIECES      64

struct reader {
	pthread_t thread;
	int tid, fd;
	uint64_t random, start_mono_ns, reads, waited_ns, queued_ns;
};

static uint64_t end_mono_ns;

static NOINLINE void read_disk(int fd, void *buffer, uint64_t piece)
{
	if (pread(fd, buffer, PIECE_BYTES, piece * PIECE_BYTES) != PIECE_BYTES)
		exit(1);
	STAY();
}

/* Documentation/scheduler/sched-stats.rst: ns on a CPU, ns on a run queue. */
static uint64_t own_queued_ns(void)
{
	uint64_t queued_ns;
	FILE *file = fopen("/proc/thread-self/schedstat", "re");
	if (!file || fscanf(file, "%*u %lu", &queued_ns) != 1)
		exit(1);
	fclose(file);
	return queued_ns;
}

static NOINLINE void *run(void *arg)
{
	struct reader *reader = arg;
	void *buffer;
	if (posix_memalign(&buffer, 4096, PIECE_BYTES))
		exit(1);
	memset(buffer, 1, PIECE_BYTES);
	reader->tid = own_tid();
	while (mono_ns() < end_mono_ns) {
		read_disk(reader->fd, buffer, draw(&reader->random, PIECES));
		reader->reads++;
	}
	reader->queued_ns = own_queued_ns();
	reader->waited_ns = waited_since(reader->start_mono_ns);
	free(buffer);
	return NULL;
}

static int make_file(const char *path)
{
	static char piece[PIECE_BYTES];
	int fd = open(path, O_CREAT | O_EXCL | O_WRONLY, 0600);
	for (int i = 0; fd >= 0 && i < PIECES; i++) {
		memset(piece, i, sizeof(piece));
		if (write(fd, piece, sizeof(piece)) != sizeof(piece))
			return -1;
	}
	return fd < 0 || fsync(fd) || close(fd) ? -1 : 0;
}

int main(int argc, char **argv)
{
	static struct reader readers[MAX_THREADS];
	int threads = argc > 3 ? (int)strtol(argv[3], NULL, 10) : 0;
	if (threads < 1 || threads > MAX_THREADS || make_file(argv[1]))
		return 2;
	int fd = open(argv[1], O_RDONLY | O_DIRECT);
	unlink(argv[1]);
	void *buffer;
	if (fd < 0 || posix_memalign(&buffer, 4096, 4096) || pread(fd, buffer, 4096, 0) != 4096) {
		puts("no O_DIRECT");
		return 1;
	}
	free(buffer);
	printf("%d\n", getpid());
	fflush(stdout);
	wait_to_begin();
	uint64_t start_us = clock_ns(CLOCK_REALTIME) / 1000;
	end_mono_ns = mono_ns() + (uint64_t)(strtod(argv[2], NULL) * 1e9);
	for (int i = 0; i < threads; i++) {
		readers[i].fd = fd;
		readers[i].random = seed_of(i);
		readers[i].start_mono_ns = mono_ns();
		if (pthread_create(&readers[i].thread, NULL, run, &readers[i]))
			return 1;
	}
	for (int i = 0; i < threads; i++)
		pthread_join(readers[i].thread, NULL);
	printf("%lu %lu\n", start_us, clock_ns(CLOCK_REALTIME) / 1000);
	for (int i = 0; i < threads; i++)
		printf("%d %lu %lu %lu\n", readers[i].tid, readers[i].reads, readers[i].waited_ns,
		       readers[i].queued_ns);
	fflush(stdout);
	stay_until_told();
	return 0;
}
