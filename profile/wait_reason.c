#include "profile/wait_reason.h"

#include <errno.h>
#include <string.h>

#include "base/array.h"

static const struct {
	const char *name;
	const char *text;
} reasons[] = {
	[WAIT_NONE] = {"", ""},
	[WAIT_RUN_QUEUE] = {"run_queue", "runnable, waiting for a CPU"},
	[WAIT_PREEMPTED] = {"preempted", "its CPU was given to another thread"},
	[WAIT_THROTTLED] = {"throttled", "the CPU quota of its cgroup is used up"},
	[WAIT_LOCK] = {"lock", "a futex: lock, condition variable, semaphore"},
	[WAIT_DISK] = {"disk", "a block device or file system"},
	[WAIT_NETWORK] = {"network", "a socket"},
	[WAIT_POLL] = {"poll", "poll, epoll or select: any of several files"},
	[WAIT_PIPE] = {"pipe", "a pipe, Unix socket or terminal"},
	[WAIT_SLEEP] = {"sleep", "a time to come"},
	[WAIT_PAGE_FAULT] = {"page_fault", "memory that was not there"},
	[WAIT_CHILD] = {"child", "a child process"},
	[WAIT_STOPPED] = {"stopped", "stopped by a signal, debugger or freezer"},
	[WAIT_IO_URING] = {"io_uring", "completions of io_uring"},
	[WAIT_OTHER] = {"other", "something else in the kernel"},
};
_Static_assert(ARRAY_LEN(reasons) == WAIT_REASONS, "a reason without words");

const char *wait_reason_name(enum wait_reason reason)
{
	return (unsigned int)reason < WAIT_REASONS ? reasons[reason].name : NULL;
}

const char *wait_reason_text(enum wait_reason reason)
{
	return (unsigned int)reason < WAIT_REASONS ? reasons[reason].text : NULL;
}

int wait_reason_parse(const char *text, enum wait_reason *reason, struct err *err)
{
	for (size_t i = WAIT_NONE + 1; i < WAIT_REASONS; i++) {
		if (!strcmp(text, reasons[i].name)) {
			*reason = (enum wait_reason)i;
			return 0;
		}
	}
	return err_set(err, -EINVAL,
		       "no wait reason \"%.64s\": use run_queue, preempted, throttled, lock, disk, "
		       "network, poll, pipe, sleep, page_fault, child, stopped, io_uring or other",
		       text);
}
