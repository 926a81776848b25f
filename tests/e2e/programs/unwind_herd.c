/*
 * unwind_herd FOLDER COUNT AT_ONCE MILLISECONDS: runs FOLDER/s000000 and so on, COUNT programs,
 * each second one in mount and pid namespaces of its own. Prints the CPU time in ns that all of
 * them and it itself have used, by their clocks.
 */
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>

extern char **environ;

static int start(const char *folder, int number, char *milliseconds)
{
	char path[4096];
	snprintf(path, sizeof(path), "%s/s%06d", folder, number);
	char *plain[] = {path, milliseconds, NULL};
	char *apart[] = {"unshare", "--mount", "--pid", "--fork", path, milliseconds, NULL};
	char **command = number % 2 ? plain : apart;
	pid_t child;
	return posix_spawnp(&child, command[0], NULL, NULL, command, environ);
}

static int reap(void)
{
	int status;
	return wait(&status) < 0 || status;
}

static uint64_t used_ns(int who)
{
	struct rusage usage;
	getrusage(who, &usage);
	return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000000ULL +
	       (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1000ULL;
}

int main(int argc, char **argv)
{
	if (argc != 5)
		return 2;
	int count = (int)strtol(argv[2], NULL, 10);
	int at_once = (int)strtol(argv[3], NULL, 10);
	int failed = 0;
	for (int i = 0; i < count; i++) {
		failed |= start(argv[1], i, argv[4]);
		if (i >= at_once - 1)
			failed |= reap();
	}
	for (int i = 0; i < at_once - 1 && i < count; i++)
		failed |= reap();
	printf("%llu\n", (unsigned long long)(used_ns(RUSAGE_SELF) + used_ns(RUSAGE_CHILDREN)));
	return failed;
}
