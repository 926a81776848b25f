#include <arpa/inet.h>
#include <errno.h>
#include <linux/futex.h>
#include <math.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "privileges.h"
#include "wait_scene.h"

enum { MAX_TOLD = 16, CYCLES = 24, SPINNERS = 4, SLEEPERS = 2000 };
static const int64_t DEADLINE_NS = 120 * NS_PER_S;
/* The scheduler tells CPU time as of its last tick (100 Hz at least), and clocks differ. */
static const int64_t SLACK_NS = 20 * NS_PER_MS;

/* What a thread of a child tells about itself. */
struct told {
	uint32_t tid;
	int64_t began_mono_ns, ended_mono_ns, cpu_ns;
	int64_t a_ns, b_ns; /* in wait_a(), in wait_b() */
	int syscall;
	uint64_t object;
	uint32_t mode_type;
	uint16_t family, protocol, local_port, remote_port;
};

/* Shared by the processes of one test. */
struct board {
	uint32_t ready; /* of told[] */
	struct told told[MAX_TOLD];
	uint32_t tids[SLEEPERS];
	uint64_t words[SLEEPERS]; /* the futexes of these */
};

static struct board *board_new(void)
{
	void *board = mmap(NULL, sizeof(struct board), PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(board, MAP_FAILED);
	return board;
}

static void board_free(struct board *board)
{
	munmap(board, sizeof(*board));
}

static void await_ready(struct board *board, uint32_t count)
{
	int64_t deadline_mono_ns = clock_mono_ns() + DEADLINE_NS;
	while (__atomic_load_n(&board->ready, __ATOMIC_ACQUIRE) < count) {
		assert_true(clock_mono_ns() < deadline_mono_ns);
		usleep(1000);
	}
}

static pid_t fork_child(void)
{
	pid_t child = fork();
	assert_true(child >= 0);
	if (!child)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	return child;
}

static void kill_child(pid_t child)
{
	kill(child, SIGKILL);
	assert_int_equal(waitpid(child, NULL, 0), child);
}

static int64_t cpu_ns(clockid_t clock)
{
	struct timespec ts;
	clock_gettime(clock, &ts);
	return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

static uint32_t self_tid(void)
{
	return (uint32_t)syscall(SYS_gettid);
}

/* --- what came --- */

static bool is_any(const struct rec_wait *wait, const struct told *told)
{
	return wait->sample.tid == told->tid;
}

static bool is_a(const struct rec_wait *wait, const struct told *told)
{
	return is_any(wait, told) && wait->syscall == SYS_clock_nanosleep;
}

static bool is_b(const struct rec_wait *wait, const struct told *told)
{
	return is_any(wait, told) && wait->syscall == SYS_poll;
}

static bool is_queued(const struct rec_wait *wait, const struct told *told)
{
	return is_any(wait, told) && (wait->flags & WAIT_IS_QUEUED);
}

static int64_t sum(const struct scene *scene, const struct told *told,
		   bool (*is_one)(const struct rec_wait *wait, const struct told *told))
{
	int64_t weight_ns = 0;
	for (size_t i = 0; i < scene->wait_count; i++)
		if (is_one(&scene->waits[i], told))
			weight_ns += (int64_t)scene->waits[i].weight_ns;
	return weight_ns;
}

/* When its last record ends. */
static int64_t last_end(const struct scene *scene, const struct told *told)
{
	uint64_t end_mono_ns = 0;
	for (size_t i = 0; i < scene->wait_count; i++)
		if (is_any(&scene->waits[i], told))
			end_mono_ns = scene->waits[i].sample.end_mono_ns;
	return (int64_t)end_mono_ns;
}

/* No less than it says it waited, and no more than was possible between two moments around it. */
static void expect_sum(const struct scene *scene, const struct told *told, int64_t before_mono_ns,
		       int64_t after_mono_ns)
{
	int64_t weight_ns = sum(scene, told, is_any);
	int64_t least_ns = told->ended_mono_ns - told->began_mono_ns - told->cpu_ns;
	int64_t most_ns = after_mono_ns - before_mono_ns - told->cpu_ns;
	print_message("waited %.4f s: %.4f to %.4f\n", (double)weight_ns / 1e9,
		      (double)least_ns / 1e9, (double)most_ns / 1e9);
	assert_true(weight_ns >= least_ns - least_ns / 100 - SLACK_NS);
	assert_true(weight_ns <= most_ns + most_ns / 100 + SLACK_NS);
}

/* A thread's intervals follow each other, and after its end there is none. */
static void expect_order(const struct scene *scene, const struct told *told)
{
	uint64_t end_mono_ns = 0;
	bool has_ended = false;
	for (size_t i = 0; i < scene->wait_count; i++) {
		const struct rec_wait *wait = &scene->waits[i];
		if (!is_any(wait, told))
			continue;
		assert_false(has_ended);
		assert_true(wait->weight_ns > 0);
		assert_true(wait->sample.end_mono_ns >= end_mono_ns);
		assert_true(wait->since_mono_ns <= wait->sample.end_mono_ns);
		end_mono_ns = wait->sample.end_mono_ns;
		has_ended = wait->flags & WAIT_IS_EXIT;
	}
}

/* Every stack that is named went out, and those that wait in system calls reach the thread's
 * start. */
static void expect_stacks(const struct scene *scene, const struct told *told)
{
	for (size_t i = 0; i < scene->wait_count; i++) {
		const struct rec_wait *wait = &scene->waits[i];
		if (!is_any(wait, told))
			continue;
		const struct scene_stack *stack = scene_find(scene, wait->sample.stack_hash);
		assert_non_null(stack);
		/* It may be in the vDSO, whose rows are not there. One that was pushed aside may be so
		 * anywhere: in its very first instructions, or with a system call that has ended. */
		if (wait->syscall < 0 || (wait->flags & WAIT_IS_QUEUED))
			continue;
		assert_int_equal(stack->walk_end, WALK_COMPLETE);
		assert_true(stack->kernel_frames >= 3);
		assert_true(stack->user_frames >= 3);
	}
}

/* --- shares --- */

__attribute__((noinline)) static int64_t wait_a(void)
{
	int64_t began = clock_mono_ns();
	struct timespec ts = {.tv_nsec = 200 * NS_PER_MS};
	syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &ts, NULL);
	return clock_mono_ns() - began;
}

__attribute__((noinline)) static int64_t wait_b(void)
{
	int64_t began = clock_mono_ns();
	syscall(SYS_poll, NULL, 0, 50);
	return clock_mono_ns() - began;
}

static void cycle(struct told *told)
{
	told->began_mono_ns = clock_mono_ns();
	told->tid = self_tid();
	for (int i = 0; i < CYCLES; i++) {
		told->a_ns += wait_a();
		told->b_ns += wait_b();
	}
	told->cpu_ns = cpu_ns(CLOCK_PROCESS_CPUTIME_ID);
	told->ended_mono_ns = clock_mono_ns();
	_exit(0);
}

/* Until it has ended. The longest time without a pass, or a little more. */
static int64_t watch_child(struct scene *scene, pid_t child)
{
	int64_t last_mono_ns = clock_mono_ns(), looked_mono_ns = last_mono_ns, longest_ns = 0;
	uint64_t passes = 0;
	while (!waitpid(child, NULL, WNOHANG)) {
		scene_watch(scene, 20 * NS_PER_MS);
		struct waiting_stats stats;
		waiting_stats(scene->waiting, &stats);
		int64_t now_mono_ns = clock_mono_ns();
		if (now_mono_ns - last_mono_ns > longest_ns)
			longest_ns = now_mono_ns - last_mono_ns;
		if (stats.passes != passes)
			last_mono_ns = looked_mono_ns;
		passes = stats.passes;
		looked_mono_ns = now_mono_ns;
	}
	return longest_ns;
}

/* 5 sigma, as if each sighting fell on its own. They stand for the time since the one before, so that
 * few of them may stand for much: none for more than the longest time between two. */
static double bound(double share, int64_t total_ns, int64_t longest_ns)
{
	return 5 * sqrt(share * (1 - share) * (double)longest_ns / (double)total_ns);
}

static void two_places(void **state)
{
	struct scene scene;
	struct board *board = board_new();
	struct told *told = &board->told[0];
	enum waiting_method method = *(enum waiting_method *)*state;
	scene_open(&scene, method);
	int64_t before_mono_ns = clock_mono_ns();
	pid_t child = fork_child();
	if (!child)
		cycle(told);
	int64_t longest_ns = watch_child(&scene, child);
	int64_t after_mono_ns = clock_mono_ns();
	scene_drain(&scene);
	int64_t total_ns = told->a_ns + told->b_ns;
	double expected = (double)told->b_ns / (double)total_ns;
	if (method == WAITING_SWITCH)
		longest_ns = total_ns / (2 * CYCLES); /* each wait is a sighting */
	double a_ns = (double)sum(&scene, told, is_a), b_ns = (double)sum(&scene, told, is_b);
	double share = b_ns / (a_ns + b_ns);
	double error = bound(expected, total_ns, longest_ns);
	print_message("wait_b %.3f, expected %.3f +- %.3f\n", share, expected, error);
	assert_true(fabs(share - expected) < error);
	expect_sum(&scene, told, before_mono_ns, after_mono_ns);
	expect_order(&scene, told);
	expect_stacks(&scene, told);
	scene_expect_ledger(&scene);
	scene_close(&scene);
	board_free(board);
}

/* --- the run queue --- */

/* Not in the vDSO, whose rows are not there: a thread that is pushed aside but a few times, and there
 * each time, is not seen at all. */
static void spin(struct told *told)
{
	told->began_mono_ns = clock_mono_ns();
	told->tid = self_tid();
	while (clock_mono_ns() < told->began_mono_ns + 3 * NS_PER_S)
		for (volatile int i = 0; i < 1000000; i++)
			;
	told->cpu_ns = cpu_ns(CLOCK_PROCESS_CPUTIME_ID);
	told->ended_mono_ns = clock_mono_ns();
	_exit(0);
}

static void pin_to_one_cpu(void)
{
	cpu_set_t all, one;
	assert_int_equal(sched_getaffinity(0, sizeof(all), &all), 0);
	CPU_ZERO(&one);
	for (int cpu = 0; cpu < CPU_SETSIZE && !CPU_COUNT(&one); cpu++)
		if (CPU_ISSET(cpu, &all))
			CPU_SET(cpu, &one);
	assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
}

/* Nobody but the scheduler keeps it from running, or the kernel while it serves a fault. */
static bool is_spinning(const struct rec_wait *wait)
{
	return wait->syscall >= 0 || (wait->flags & WAIT_IS_QUEUED) ||
	       (wait->state & 2 /* TASK_UNINTERRUPTIBLE */);
}

static void run_queue(void **state)
{
	struct scene scene;
	struct board *board = board_new();
	pid_t children[SPINNERS];
	scene_open(&scene, *(enum waiting_method *)*state);
	int64_t before_mono_ns = clock_mono_ns();
	for (int i = 0; i < SPINNERS; i++) {
		children[i] = fork_child();
		if (!children[i]) {
			pin_to_one_cpu();
			spin(&board->told[i]);
		}
	}
	for (int i = 0; i < SPINNERS; i++)
		while (!waitpid(children[i], NULL, WNOHANG))
			scene_watch(&scene, 20 * NS_PER_MS);
	int64_t after_mono_ns = clock_mono_ns();
	scene_drain(&scene);
	for (int i = 0; i < SPINNERS; i++) {
		const struct told *told = &board->told[i];
		expect_sum(&scene, told, before_mono_ns, after_mono_ns);
		expect_order(&scene, told);
		int64_t all_ns = sum(&scene, told, is_any);
		/* Before it spins it may wait for something else. */
		assert_true(sum(&scene, told, is_queued) > all_ns / 2);
		for (size_t j = 0; j < scene.wait_count; j++)
			assert_true(!is_any(&scene.waits[j], told) || is_spinning(&scene.waits[j]));
	}
	scene_close(&scene);
	board_free(board);
}

/* --- reasons --- */

static uint16_t port_of(int fd, bool is_remote)
{
	struct sockaddr_in address;
	socklen_t size = sizeof(address);
	int rc = is_remote ? getpeername(fd, (struct sockaddr *)&address, &size)
			   : getsockname(fd, (struct sockaddr *)&address, &size);
	return rc ? 0 : ntohs(address.sin_port);
}

static struct told *tell(struct board *board, int syscall)
{
	struct told *told = &board->told[__atomic_fetch_add(&board->ready, 1, __ATOMIC_RELEASE)];
	told->tid = self_tid();
	told->syscall = syscall;
	told->began_mono_ns = clock_mono_ns();
	return told;
}

static void *wait_for_futex(void *board)
{
	uint32_t word = 1;
	tell(board, SYS_futex)->object = (uint64_t)(uintptr_t)&word;
	for (;;)
		syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 1, NULL, NULL, 0);
	return NULL;
}

static void *wait_for_futexes(void *board)
{
	uint32_t word = 1;
	struct {
		uint64_t val, uaddr;
		uint32_t flags, reserved;
	} waiters[] = {{1, (uint64_t)(uintptr_t)&word, 2 /* FUTEX2_SIZE_U32 */, 0}};
	enum { NR_FUTEX_WAITV = 449 };
	tell(board, NR_FUTEX_WAITV)->object = waiters[0].uaddr;
	for (;;)
		syscall(NR_FUTEX_WAITV, waiters, 1, 0, NULL, 0);
	return NULL;
}

static void *wait_for_pipe(void *board)
{
	int fds[2];
	char byte;
	if (!pipe(fds)) {
		tell(board, SYS_read)->mode_type = S_IFIFO;
		for (;;)
			syscall(SYS_read, fds[0], &byte, 1);
	}
	return NULL;
}

static void tell_socket(struct told *told, int fd, uint16_t family, uint16_t protocol)
{
	told->mode_type = S_IFSOCK;
	told->family = family;
	told->protocol = protocol;
	if (family != AF_INET)
		return;
	told->local_port = port_of(fd, false);
	told->remote_port = port_of(fd, true);
}

static int listen_on_loopback(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	return fd >= 0 && !bind(fd, (struct sockaddr *)&address, sizeof(address)) && !listen(fd, 1)
		       ? fd
		       : -1;
}

static void *wait_for_client(void *board)
{
	int fd = listen_on_loopback();
	tell_socket(tell(board, SYS_accept), fd, AF_INET, IPPROTO_TCP);
	for (;;)
		syscall(SYS_accept, fd, NULL, NULL);
	return NULL;
}

static void *wait_for_server(void *board)
{
	int server = listen_on_loopback(), fd = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in address;
	socklen_t size = sizeof(address);
	char byte;
	if (!getsockname(server, (struct sockaddr *)&address, &size) &&
	    !connect(fd, (struct sockaddr *)&address, size)) {
		tell_socket(tell(board, SYS_recvfrom), fd, AF_INET, IPPROTO_TCP);
		for (;;)
			syscall(SYS_recvfrom, fd, &byte, 1, 0, NULL, NULL);
	}
	return NULL;
}

static void *wait_for_neighbour(void *board)
{
	int fds[2];
	char byte;
	if (!socketpair(AF_UNIX, SOCK_STREAM, 0, fds)) {
		tell_socket(tell(board, SYS_recvfrom), fds[0], AF_UNIX, 0);
		for (;;)
			syscall(SYS_recvfrom, fds[0], &byte, 1, 0, NULL, NULL);
	}
	return NULL;
}

static void *wait_for_events(void *board)
{
	struct epoll_event event;
	int fd = epoll_create1(0);
	tell(board, SYS_epoll_wait);
	for (;;)
		syscall(SYS_epoll_wait, fd, &event, 1, -1);
	return NULL;
}

typedef void *(*wait_fn)(void *board);
static const wait_fn waits[] = {
	wait_for_futex,  wait_for_futexes, wait_for_pipe,      wait_for_client,
	wait_for_server, wait_for_events,  wait_for_neighbour,
};

static void wait_in_all_ways(struct board *board)
{
	for (size_t i = 0; i < ARRAY_LEN(waits); i++) {
		pthread_t thread;
		pthread_create(&thread, NULL, waits[i], board);
	}
	for (;;)
		pause();
}

static bool is_reason(const struct rec_wait *wait, const struct told *told)
{
	const struct rec_socket *socket = &wait->socket;
	bool has_ports =
		socket->local_port == told->local_port && socket->remote_port == told->remote_port;
	bool has_mode = !told->mode_type || (wait->file_mode & S_IFMT) == told->mode_type;
	return is_any(wait, told) && wait->syscall == told->syscall &&
	       wait->object == told->object && has_mode && has_ports &&
	       socket->family == told->family && socket->protocol == told->protocol &&
	       !(wait->flags & WAIT_IS_QUEUED) && (wait->state & 1 /* TASK_INTERRUPTIBLE */);
}

/* Until these have sent all that they waited before that time; one flush may come too late. */
static void flush_until(struct scene *scene, const struct board *board, uint32_t count,
			int64_t mono_ns)
{
	int64_t deadline_mono_ns = clock_mono_ns() + DEADLINE_NS;
	uint32_t done = 0;
	while (done < count) {
		assert_true(clock_mono_ns() < deadline_mono_ns);
		waiting_flush(scene->waiting);
		scene_drain(scene);
		for (done = 0; done < count; done++)
			if (last_end(scene, &board->told[done]) < mono_ns)
				break;
	}
}

/* Threads that do not move for all the time. */
static void reasons(void **state)
{
	enum waiting_method method = *(enum waiting_method *)*state;
	struct scene scene;
	struct board *board = board_new();
	scene_open(&scene, method);
	int64_t before_mono_ns = clock_mono_ns();
	pid_t child = fork_child();
	if (!child)
		wait_in_all_ways(board);
	await_ready(board, ARRAY_LEN(waits));
	scene_watch(&scene, 2 * NS_PER_S);
	int64_t flush_mono_ns = clock_mono_ns();
	if (method == WAITING_SWITCH)
		kill_child(child); /* they must run once more */
	else
		flush_until(&scene, board, ARRAY_LEN(waits), flush_mono_ns);
	int64_t after_mono_ns = clock_mono_ns();
	scene_drain(&scene);
	for (size_t i = 0; i < ARRAY_LEN(waits); i++) {
		struct told *told = &board->told[i];
		int64_t weight_ns = sum(&scene, told, is_reason);
		print_message("%zu: syscall %d %.4f s\n", i, told->syscall,
			      (double)weight_ns / 1e9);
		/* It told so before it was, and a thread is visited every second at least. */
		told->ended_mono_ns = flush_mono_ns;
		expect_sum(&scene, told, before_mono_ns, after_mono_ns);
		assert_true(weight_ns > sum(&scene, told, is_any) / 2);
		expect_order(&scene, told);
		expect_stacks(&scene, told);
	}
	if (method != WAITING_SWITCH)
		kill_child(child);
	scene_close(&scene);
	board_free(board);
}

/* --- generations --- */

static size_t count_stacks(const struct scene *scene, uint64_t hash)
{
	size_t count = 0;
	for (size_t i = 0; i < scene->stack_count; i++)
		count += scene->stacks[i].hash == hash;
	return count;
}

/* The stack of a thread that never moves goes out again. */
static void next_generation(void **state)
{
	struct scene scene;
	struct board *board = board_new();
	scene_open(&scene, *(enum waiting_method *)*state);
	pid_t child = fork_child();
	if (!child)
		wait_for_futex(board);
	await_ready(board, 1);
	int64_t deadline_mono_ns = clock_mono_ns() + DEADLINE_NS;
	const struct told *told = &board->told[0];
	while (!sum(&scene, told, is_reason)) {
		assert_true(clock_mono_ns() < deadline_mono_ns);
		waiting_flush(scene.waiting);
		scene_watch(&scene, 10 * NS_PER_MS);
	}
	uint64_t hash = 0;
	for (size_t i = 0; i < scene.wait_count; i++)
		if (is_reason(&scene.waits[i], told))
			hash = scene.waits[i].sample.stack_hash;
	assert_int_equal(count_stacks(&scene, hash), 1);
	waiting_flush(scene.waiting);
	scene_drain(&scene);
	assert_int_equal(count_stacks(&scene, hash), 1);
	for (size_t expected = 2; expected < 4; expected++) {
		sampler_next_generation(scene.sampler);
		while (count_stacks(&scene, hash) < expected) {
			assert_true(clock_mono_ns() < deadline_mono_ns);
			waiting_flush(scene.waiting);
			scene_drain(&scene);
		}
		waiting_flush(scene.waiting);
		scene_drain(&scene);
		assert_int_equal(count_stacks(&scene, hash), expected);
	}
	kill_child(child);
	scene_close(&scene);
	board_free(board);
}

/* --- many --- */

struct sleeper {
	struct board *board;
	int number;
};

static void *sleep_for_ever(void *ctx)
{
	const struct sleeper *sleeper = ctx;
	uint32_t word = 1;
	sleeper->board->words[sleeper->number] = (uint64_t)(uintptr_t)&word;
	__atomic_store_n(&sleeper->board->tids[sleeper->number], self_tid(), __ATOMIC_RELEASE);
	for (;;)
		syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 1, NULL, NULL, 0);
	return NULL;
}

static void start_sleepers(struct board *board)
{
	static struct sleeper all[SLEEPERS];
	pthread_attr_t attr;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 256 << 10);
	for (int i = 0; i < SLEEPERS; i++) {
		pthread_t thread;
		all[i] = (struct sleeper){.board = board, .number = i};
		if (!pthread_create(&thread, &attr, sleep_for_ever, &all[i]))
			__atomic_fetch_add(&board->ready, 1, __ATOMIC_RELEASE);
	}
	for (;;)
		pause();
}

static const uint32_t max_tid = 1 << 22; /* PID_MAX_LIMIT of the kernel */

/* Are all in their futexes, and have told so of that time or later? Then they share one stack. */
static bool are_asleep(const struct scene *scene, const struct board *board, int64_t mono_ns)
{
	AUTO_MEM const struct rec_wait **last = calloc(max_tid, sizeof(*last));
	assert_non_null(last);
	for (size_t i = 0; i < scene->wait_count; i++)
		last[scene->waits[i].sample.tid] = &scene->waits[i];
	uint64_t hash = 0;
	for (int i = 0; i < SLEEPERS; i++) {
		const struct rec_wait *wait =
			last[__atomic_load_n(&board->tids[i], __ATOMIC_ACQUIRE)];
		if (!wait || wait->syscall != SYS_futex || wait->object != board->words[i] ||
		    (wait->flags & WAIT_IS_QUEUED) ||
		    wait->sample.end_mono_ns < (uint64_t)mono_ns ||
		    (hash && wait->sample.stack_hash != hash))
			return false;
		hash = wait->sample.stack_hash;
	}
	return true;
}

/* Not all are taken in one pass. How many flushes it took. */
static size_t await_asleep(struct scene *scene, const struct board *board, int64_t mono_ns)
{
	int64_t deadline_mono_ns = clock_mono_ns() + DEADLINE_NS;
	size_t flushes = 0;
	do {
		assert_true(clock_mono_ns() < deadline_mono_ns);
		if (flushes)
			scene_watch(scene, NS_PER_S);
		waiting_flush(scene->waiting);
		flushes++;
		scene_drain(scene);
	} while (!are_asleep(scene, board, mono_ns));
	return flushes;
}

static void sleepers(void **state)
{
	struct scene scene;
	struct board *board = board_new();
	scene_open(&scene, *(enum waiting_method *)*state);
	pid_t child = fork_child();
	if (!child)
		start_sleepers(board);
	await_ready(board, SLEEPERS);
	int64_t ready_mono_ns = clock_mono_ns();
	scene_watch(&scene, NS_PER_S);
	size_t flushes = await_asleep(&scene, board, ready_mono_ns);
	int64_t flush_mono_ns = clock_mono_ns();
	flushes += await_asleep(&scene, board, flush_mono_ns);
	int64_t after_mono_ns = clock_mono_ns(), total_ns = 0;
	size_t records = 0;
	for (size_t i = 0; i < scene.wait_count; i++)
		if (scene.waits[i].sample.pid == (uint32_t)child) {
			total_ns += (int64_t)scene.waits[i].weight_ns;
			records++;
		}
	print_message("%zu records, %zu stacks, %.1f thread seconds\n", records, scene.stack_count,
		      (double)total_ns / 1e9);
	assert_true(total_ns >= (flush_mono_ns - ready_mono_ns) * SLEEPERS);
	/* One for each flush, one every 10 s, and a few for how it came to sleep. */
	size_t tens = (size_t)((after_mono_ns - ready_mono_ns) / (10 * NS_PER_S));
	assert_true(records <= SLEEPERS * (flushes + tens + 8));
	for (size_t i = 0; i < scene.stack_count; i++)
		assert_int_equal(count_stacks(&scene, scene.stacks[i].hash), 1);
	scene_expect_ledger(&scene);
	kill_child(child);
	scene_close(&scene);
	board_free(board);
}

/* --- words --- */

static void method_words(void **state)
{
	(void)state;
	static const struct {
		const char *word;
		enum waiting_method method;
	} rows[] = {
		{"auto", WAITING_AUTO},     {"open", WAITING_OPEN},
		{"iter", WAITING_ITER},     {"switch", WAITING_SWITCH},
		{"", WAITING_METHODS},      {"Open", WAITING_METHODS},
		{"open ", WAITING_METHODS}, {"iterator", WAITING_METHODS},
		{"0", WAITING_METHODS},     {"sched", WAITING_METHODS},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(waiting_method_parse(rows[i].word), rows[i].method);
}

#define BY(test, method)                                                                      \
	{                                                                                     \
		.name = #test "_" #method, .test_func = (test), .initial_state = &by_##method \
	}

int main(void)
{
	static enum waiting_method by_open = WAITING_OPEN, by_iter = WAITING_ITER,
				   by_switch = WAITING_SWITCH;
	privileges_need_perf();
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(method_words),
		BY(two_places, open),
		BY(two_places, iter),
		BY(two_places, switch),
		BY(run_queue, open),
		BY(run_queue, iter),
		BY(run_queue, switch),
		BY(reasons, open),
		BY(reasons, iter),
		BY(reasons, switch),
		BY(next_generation, open),
		BY(next_generation, iter),
		BY(sleepers, open),
		BY(sleepers, iter),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
