/*
 * wait_classify: why a thread was not on a CPU, and whether it was only parked.
 *
 * Rules, the first that holds decides:
 *  1. Stopped or traced by its state: stopped.
 *  2. Runnable (state 0, or on a run queue). By the innermost kernel function: throttled by the CPU
 *     quota of its cgroup; preempted, where a thread leaves the CPU on the way to user space or in
 *     the middle of its work, or when the scheduler says so; else it was woken and waits for a CPU:
 *     run queue. Before v6.18 a throttled thread looks like any other that is preempted.
 *  3. A kernel function of its stack, by the table in wait_classify.c: the first row that matches
 *     any frame. A page fault comes before the disk that it reads from, a Unix socket before the
 *     network that sockets are, the file system of a network before the file system.
 *  4. Where names are hidden (kernel.kptr_restrict) or say nothing: in no system call, so in a page
 *     fault; else the table of system calls; else disk when the kernel counts it as waiting for I/O;
 *     else the kind of file that the call works on.
 *
 * Idle, which is parked as workers without work are: it has lasted for a second without a break, and
 *  - in poll, epoll, select, accept, wait for a child, a sleep, a wait for a signal, or in a wait
 *    for completions of io_uring or AIO; or
 *  - on a futex, where a user function says that it is a condition variable, a semaphore, a join or
 *    a parked thread. Of those, what goes by the C library uses FUTEX_WAIT_BITSET, and a thread
 *    that gets its mutex back at the end of a wait does not. Without such a name: with the operation
 *    and the flag that only glibc uses for these (FUTEX_WAIT_BITSET with FUTEX_CLOCK_REALTIME). A
 *    user function that takes a mutex or a lock is never idle; or
 *  - a kernel thread that sleeps interruptibly, or in TASK_IDLE, for no reason of the table.
 * Reading from a pipe or a socket is not: who asked and gets no answer waits for it.
 *
 * Pure: looks at nothing but its arguments.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "bpf/abi.h"
#include "profile/wait_reason.h"

/* Function names of a stack, leaf first; those that are hidden may be there as any text. */
struct wait_frames {
	const char *const *kernel;
	size_t kernel_count;
	const char *const *user; /* the innermost WAIT_USER_FRAMES are enough */
	size_t user_count;
	bool is_kernel_thread;
};

enum { WAIT_USER_FRAMES = 12 };

/* What the stack alone says: the same for all waits there. Plain values. */
struct wait_site {
	enum wait_reason sleeping; /* WAIT_NONE: nothing */
	enum wait_reason runnable; /* likewise */
	bool parks;                /* workers without work wait there */
	bool locks;                /* user code takes a lock, and does not park */
	bool parks_by_any_futex;   /* also with FUTEX_WAIT */
	bool is_kernel_thread;
};

void wait_site_read(struct wait_site *site, const struct wait_frames *frames);

struct wait_verdict {
	enum wait_reason reason;
	bool is_idle;
};

struct wait_verdict wait_classify(const struct rec_wait *rec, const struct wait_site *site);

/* What it waits on: "futex 0x7f12...", "tcp 10.0.0.1:40112 -> 10.0.0.7:5432", "tcp listen [::]:80",
 * "udp 0.0.0.0:53"; "" when there is nothing to tell. RFC 5952 for addresses, as by inet_ntop(3).
 * is_short: of a connection the higher port, which is the one that the system has chosen, is "*", so
 * that connections of one client to one service look the same. */
enum { WAIT_LABEL_BYTES = 160 };
void wait_label(char text[static WAIT_LABEL_BYTES], const struct rec_wait *rec,
		enum wait_reason reason, bool is_short);
