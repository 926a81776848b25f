/*
 * wait_reason: why a thread was not on a CPU. Every waiting sample has one.
 *
 * What decides is in profiler/wait_classify.h; here are only the words.
 */
#pragma once
#include <stdint.h>

#include "base/err.h"

/* Stored: append only, never renumber. */
enum wait_reason {
	WAIT_NONE,      /* not a waiting sample */
	WAIT_RUN_QUEUE, /* runnable: woken, but no CPU was free for it */
	WAIT_PREEMPTED, /* runnable: its CPU was given to another */
	WAIT_THROTTLED, /* runnable, but its cgroup's CPU quota is used up */
	WAIT_LOCK,      /* futex: mutex, condition variable, semaphore, join */
	WAIT_DISK,      /* block device or file system */
	WAIT_NETWORK,
	WAIT_POLL, /* poll, epoll, select: for any of several files */
	WAIT_PIPE, /* pipe, FIFO, Unix socket, terminal, eventfd */
	WAIT_SLEEP,
	WAIT_PAGE_FAULT,
	WAIT_CHILD,   /* wait(2), vfork(2) */
	WAIT_STOPPED, /* by a signal, a debugger, a freezer */
	WAIT_IO_URING,
	WAIT_OTHER,
	WAIT_REASONS,
};

/* "run_queue", ...: value of the label `reason`. "" for WAIT_NONE, NULL for another value. */
const char *wait_reason_name(enum wait_reason reason);
/* The reason of that name. -EINVAL with a sentence that lists the names. */
int wait_reason_parse(const char *text, enum wait_reason *reason, struct err *err);
/* What the label `reason` says of a sample on a CPU where waiting ones are beside it. */
#define WAIT_REASON_RUNNING "running"
/* A few words for a human: "runnable, waiting for a CPU". NULL for another value. */
const char *wait_reason_text(enum wait_reason reason);
