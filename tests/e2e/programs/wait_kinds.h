/*
 * wait_kinds: the ways to wait, for wait_kinds.c. Each blocks its thread for ever; what returns
 * has failed, with errno.
 */
#pragma once
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/io_uring.h>
#include <linux/userfaultfd.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "waits.h"

#define MAX_KINDS 64
#define FOR_EVER  1000000 /* seconds */

struct kind {
	const char *name; /* 15 characters at most: the thread's, too */
	void (*wait)(char *note, size_t note_bytes);
	bool is_special; /* not every machine has it */
};

#define KIND(name) static NOINLINE void wait_in_##name(char *note, size_t note_bytes)
#define UNNOTED()                 \
	do {                      \
		(void)note;       \
		(void)note_bytes; \
	} while (0)

static void run_helper(void *(*start)(void *), void *arg)
{
	pthread_t thread;
	if (!pthread_create(&thread, NULL, start, arg))
		pthread_setname_np(thread, "helper");
}

/* --- locks --- */

static void *hold_mutex(void *arg)
{
	pthread_mutex_lock(arg);
	pause();
	return NULL;
}

KIND(mutex)
{
	static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
	run_helper(hold_mutex, &mutex);
	while (!pthread_mutex_trylock(&mutex)) { /* not held yet */
		pthread_mutex_unlock(&mutex);
		sleep_ns(10000000);
	}
	snprintf(note, note_bytes, "%p", (void *)&mutex);
	pthread_mutex_lock(&mutex);
	STAY();
}

KIND(condition)
{
	UNNOTED();
	static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
	static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
	pthread_mutex_lock(&mutex);
	for (;;)
		pthread_cond_wait(&condition, &mutex);
}

KIND(semaphore)
{
	static sem_t semaphore;
	sem_init(&semaphore, 0, 0);
	snprintf(note, note_bytes, "%p", (void *)&semaphore);
	sem_wait(&semaphore);
	STAY();
}

KIND(futex)
{
	static int word;
	snprintf(note, note_bytes, "%p", (void *)&word);
	syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
	STAY();
}

static void *sleep_for_ever(void *arg)
{
	pause();
	return arg;
}

KIND(join)
{
	UNNOTED();
	pthread_t thread;
	pthread_create(&thread, NULL, sleep_for_ever, NULL);
	pthread_setname_np(thread, "helper");
	pthread_join(thread, NULL);
	STAY();
}

/* --- sleeping --- */

KIND(nanosleep)
{
	UNNOTED();
	struct timespec ts = {.tv_sec = FOR_EVER};
	syscall(SYS_nanosleep, &ts, NULL);
	STAY();
}

KIND(clock_nanosleep)
{
	UNNOTED();
	struct timespec ts = {.tv_sec = FOR_EVER};
	clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, NULL);
	STAY();
}

KIND(timerfd)
{
	UNNOTED();
	struct itimerspec when = {.it_value.tv_sec = FOR_EVER};
	uint64_t count;
	int fd = timerfd_create(CLOCK_MONOTONIC, 0);
	if (!timerfd_settime(fd, 0, &when, NULL) && read(fd, &count, sizeof(count)) < 0)
		STAY();
}

/* --- poll --- */

KIND(poll)
{
	UNNOTED();
	int pair[2];
	if (pipe(pair))
		return;
	struct pollfd fd = {.fd = pair[0], .events = POLLIN};
	poll(&fd, 1, -1);
	STAY();
}

KIND(select)
{
	UNNOTED();
	int pair[2];
	if (pipe(pair))
		return;
	fd_set set;
	FD_ZERO(&set);
	FD_SET(pair[0], &set);
	select(pair[0] + 1, &set, NULL, NULL, NULL);
	STAY();
}

KIND(epoll)
{
	UNNOTED();
	struct epoll_event event = {.events = EPOLLIN};
	int pair[2], fd = epoll_create1(0);
	if (fd < 0 || pipe(pair) || epoll_ctl(fd, EPOLL_CTL_ADD, pair[0], &event))
		return;
	epoll_wait(fd, &event, 1, -1);
	STAY();
}

/* --- pipes and the like --- */

KIND(pipe_read)
{
	UNNOTED();
	int pair[2];
	char byte;
	if (!pipe(pair) && read(pair[0], &byte, 1) < 0)
		STAY();
}

KIND(pipe_write)
{
	UNNOTED();
	static char bytes[4096];
	int pair[2];
	if (pipe(pair))
		return;
	while (write(pair[1], bytes, sizeof(bytes)) > 0)
		STAY();
}

KIND(eventfd)
{
	UNNOTED();
	uint64_t count;
	if (read(eventfd(0, 0), &count, sizeof(count)) < 0)
		STAY();
}

KIND(unix_read)
{
	UNNOTED();
	int pair[2];
	char byte;
	if (!socketpair(AF_UNIX, SOCK_STREAM, 0, pair) && read(pair[0], &byte, 1) < 0)
		STAY();
}

KIND(unix_recv)
{
	UNNOTED();
	int pair[2];
	char byte;
	if (!socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) && recv(pair[0], &byte, 1, 0) < 0)
		STAY();
}

KIND(terminal)
{
	UNNOTED();
	char byte;
	int fd = posix_openpt(O_RDWR | O_NOCTTY);
	if (fd < 0 || grantpt(fd) || unlockpt(fd))
		return;
	int terminal = open(ptsname(fd), O_RDWR | O_NOCTTY);
	if (read(terminal, &byte, 1) < 0)
		STAY();
}

/* --- network --- */

/* A bound socket; its port. */
static int bound(int family, int type, uint16_t *port)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	struct sockaddr *name = family == AF_INET ? (void *)&v4 : (void *)&v6;
	socklen_t size = family == AF_INET ? sizeof(v4) : sizeof(v6);
	int fd = socket(family, type, 0);
	if (fd < 0 || bind(fd, name, size) || getsockname(fd, name, &size))
		return -1;
	*port = ntohs(family == AF_INET ? v4.sin_port : v6.sin6_port);
	return fd;
}

/* A TCP connection within this process: fds[0] is the client's end. */
static bool connected(int family, int fds[2], uint16_t ports[2])
{
	struct sockaddr_storage name;
	socklen_t size = sizeof(name);
	int listener = bound(family, SOCK_STREAM, &ports[1]);
	fds[0] = bound(family, SOCK_STREAM, &ports[0]);
	if (listener < 0 || fds[0] < 0 || listen(listener, 1) ||
	    getsockname(listener, (void *)&name, &size) || connect(fds[0], (void *)&name, size))
		return false;
	fds[1] = accept(listener, NULL, NULL);
	return fds[1] >= 0;
}

KIND(accept)
{
	uint16_t port;
	int fd = bound(AF_INET, SOCK_STREAM, &port);
	if (fd < 0 || listen(fd, 1))
		return;
	snprintf(note, note_bytes, "tcp listen 127.0.0.1:%d", port);
	accept(fd, NULL, NULL);
	STAY();
}

KIND(tcp_read)
{
	int fds[2];
	uint16_t ports[2];
	char byte;
	if (!connected(AF_INET, fds, ports))
		return;
	snprintf(note, note_bytes, "tcp 127.0.0.1:%d -> 127.0.0.1:%d", ports[0], ports[1]);
	if (read(fds[0], &byte, 1) < 0)
		STAY();
}

KIND(tcp6_recv)
{
	int fds[2];
	uint16_t ports[2];
	char byte;
	if (!connected(AF_INET6, fds, ports))
		return;
	snprintf(note, note_bytes, "tcp [::1]:%d -> [::1]:%d", ports[0], ports[1]);
	recv(fds[0], &byte, 1, 0);
	STAY();
}

KIND(tcp_send)
{
	static char bytes[1 << 16];
	int fds[2];
	uint16_t ports[2];
	if (!connected(AF_INET, fds, ports))
		return;
	snprintf(note, note_bytes, "tcp 127.0.0.1:%d -> 127.0.0.1:%d", ports[0], ports[1]);
	while (send(fds[0], bytes, sizeof(bytes), 0) > 0)
		STAY();
}

KIND(udp_recv)
{
	uint16_t port;
	char byte;
	int fd = bound(AF_INET, SOCK_DGRAM, &port);
	snprintf(note, note_bytes, "udp 127.0.0.1:%d", port);
	recvfrom(fd, &byte, 1, 0, NULL, NULL);
	STAY();
}

/* The backlog of the listener is full, so that it never answers. */
KIND(connect)
{
	struct sockaddr_in name;
	socklen_t size = sizeof(name);
	uint16_t port;
	int listener = bound(AF_INET, SOCK_STREAM, &port);
	if (listener < 0 || listen(listener, 0) || getsockname(listener, (void *)&name, &size))
		return;
	snprintf(note, note_bytes, "-> 127.0.0.1:%d", port);
	for (;;)
		if (connect(socket(AF_INET, SOCK_STREAM, 0), (void *)&name, size) &&
		    errno != ETIMEDOUT)
			return;
}

/* --- others --- */

static pid_t start_child(void)
{
	pid_t pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		pause();
		_exit(0);
	}
	return pid;
}

KIND(waitpid)
{
	UNNOTED();
	waitpid(start_child(), NULL, 0);
	STAY();
}

KIND(vfork)
{
	UNNOTED();
	pid_t pid = vfork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		syscall(SYS_pause);
		_exit(0);
	}
}

/* No entry is ever completed, as none was submitted. */
KIND(io_uring)
{
	UNNOTED();
	struct io_uring_params params = {0};
	int fd = (int)syscall(SYS_io_uring_setup, 8, &params);
	if (fd >= 0)
		syscall(SYS_io_uring_enter, fd, 0, 1, IORING_ENTER_GETEVENTS, NULL, 0);
	STAY();
}

static NOINLINE int touch(volatile const char *page)
{
	return *page;
}

/* A page that user space is to fill in, and does not.
 * Documentation/admin-guide/mm/userfaultfd.rst */
KIND(page_fault)
{
	UNNOTED();
	struct uffdio_api api = {.api = UFFD_API};
	char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct uffdio_register range = {.range = {.start = (uintptr_t)page, .len = 4096},
					.mode = UFFDIO_REGISTER_MODE_MISSING};
	int fd = (int)syscall(SYS_userfaultfd, 0);
	if (fd < 0 || ioctl(fd, UFFDIO_API, &api) || ioctl(fd, UFFDIO_REGISTER, &range))
		return;
	touch(page);
	STAY();
}

#define NORMAL(name)                         \
	{                                    \
#name, wait_in_##name, false \
	}
#define SPECIAL(name)                       \
	{                                   \
#name, wait_in_##name, true \
	}

static const struct kind kinds[] = {
	NORMAL(mutex),      NORMAL(condition), NORMAL(semaphore),       NORMAL(futex),
	NORMAL(join),       NORMAL(nanosleep), NORMAL(clock_nanosleep), NORMAL(timerfd),
	NORMAL(poll),       NORMAL(select),    NORMAL(epoll),           NORMAL(pipe_read),
	NORMAL(pipe_write), NORMAL(eventfd),   NORMAL(unix_read),       NORMAL(unix_recv),
	NORMAL(terminal),   NORMAL(accept),    NORMAL(tcp_read),        NORMAL(tcp6_recv),
	NORMAL(tcp_send),   NORMAL(udp_recv),  NORMAL(connect),         NORMAL(waitpid),
	NORMAL(vfork),      SPECIAL(io_uring), SPECIAL(page_fault),     {0},
};
