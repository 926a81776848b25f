/*
 * wait_kinds [KIND...]: one thread for each way to wait, named after it, that is blocked below
 * outer < middle < wait_in_KIND from then on. Without arguments all kinds that need nothing
 * special of the machine. Threads that keep others waiting are called "helper".
 *
 * Prints its pid, then "KIND TID NOTE" for each, when all wait; the note is an address or a port.
 * Kinds that cannot be had say "KIND 0 REASON". Ends when its standard input does.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "wait_kinds.h"
#include "waits.h"

struct waiter {
	const struct kind *kind;
	pthread_t thread;
	_Atomic int tid; /* 0: it has not begun */
	_Atomic bool has_failed;
	char note[80];
};

static NOINLINE void middle(struct waiter *waiter)
{
	waiter->kind->wait(waiter->note, sizeof(waiter->note));
	STAY();
}

static NOINLINE void outer(struct waiter *waiter)
{
	middle(waiter);
	STAY();
}

static NOINLINE void *run(void *arg)
{
	struct waiter *waiter = arg;
	prctl(PR_SET_NAME, waiter->kind->name);
	waiter->tid = own_tid();
	outer(waiter);
	if (!waiter->note[0])
		snprintf(waiter->note, sizeof(waiter->note), "%s", strerror(errno));
	waiter->has_failed = true; /* it did not wait */
	pause();
	return NULL;
}

static const struct kind *find(const char *name)
{
	for (const struct kind *kind = kinds; kind->name; kind++)
		if (!strcmp(kind->name, name))
			return kind;
	return NULL;
}

/* How often a thread began to run: Documentation/scheduler/sched-stats.rst. */
static uint64_t turns_of(int tid)
{
	uint64_t turns = 0;
	char path[64];
	snprintf(path, sizeof(path), "/proc/self/task/%d/schedstat", tid);
	FILE *file = fopen(path, "re");
	if (!file || fscanf(file, "%*u %*u %lu", &turns) != 1)
		exit(1);
	fclose(file);
	return turns;
}

/* 0: some have not begun. */
static uint64_t turns_of_all(const struct waiter *waiters, int count)
{
	uint64_t turns = 0;
	for (int i = 0; i < count; i++) {
		if (!waiters[i].tid)
			return 0;
		turns += turns_of(waiters[i].tid);
	}
	return turns;
}

/* All threads have been off the CPU, for the same reason, for that long. */
static void settle(const struct waiter *waiters, int count)
{
	uint64_t before, turns = 0;
	do {
		before = turns;
		sleep_ns(300000000);
		turns = turns_of_all(waiters, count);
	} while (!turns || turns != before);
}

int main(int argc, char **argv)
{
	static struct waiter waiters[MAX_KINDS];
	int count = 0;
	for (int i = 1; i < argc && count < MAX_KINDS; i++, count++) {
		waiters[count].kind = find(argv[i]);
		if (!waiters[count].kind)
			return 2;
	}
	for (const struct kind *kind = kinds; argc == 1 && kind->name; kind++)
		if (!kind->is_special)
			waiters[count++].kind = kind;
	for (int i = 0; i < count; i++)
		if (pthread_create(&waiters[i].thread, NULL, run, &waiters[i]))
			return 1;
	settle(waiters, count);
	printf("%d\n", getpid());
	for (int i = 0; i < count; i++)
		printf("%s %d %s\n", waiters[i].kind->name,
		       waiters[i].has_failed ? 0 : waiters[i].tid, waiters[i].note);
	puts("all");
	fflush(stdout);
	stay_until_told();
	return 0;
}
