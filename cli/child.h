/*
 * child: a command that is started, held until sampling has begun, and waited for.
 */
#pragma once
#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"

struct child {
	pid_t pid;
	int go_fd;     /* a byte lets the child go on to execve(2), closing it makes it exit */
	int failed_fd; /* carries errno when execve(2) failed */
	bool runs;     /* was let go, and execve(2) succeeded */
	bool ended;
	int status; /* of waitpid(2) */
};

/* Fork; the child waits. argv ends with NULL. */
int child_start(struct child *child, char *const *argv, struct err *err);
/* Let it run. -errno of its execve(2) with a sentence. */
int child_go(struct child *child, const char *name, struct err *err);
/* Has it ended? With wait, not before it has. */
bool child_poll(struct child *child, bool wait);
/* As a shell tells it: the exit code, or 128 + signal. */
int child_exit_code(const struct child *child);
/* End a child that was never let go, wait for one that was, and forget the descriptors. Once more
 * does nothing. */
void child_fini(struct child *child);
