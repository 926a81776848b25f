#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/array.h"
#include "base/clock.h"
#include "privileges.h"
#include "profiler/kernel_code.h"
#include "profiler/tracing.h"

enum { SLEEPS = 20, SLEEP_MS = 10, MAX_RECORDS = 200000, MAX_STACKS = 65536 };

/* What came out of the ring. */
struct drained {
	struct rec_switch *waits;
	size_t wait_count, wait_cap;
	uint64_t *stacks; /* hashes that went out whole */
	size_t stack_count, stack_cap;
};

static void take(void *ctx, const void *record, size_t size_bytes)
{
	struct drained *drained = ctx;
	const struct rec_stack *stack = record;
	assert_true(size_bytes >= sizeof(stack->sample));
	assert_int_equal(stack->sample.size_bytes, size_bytes);
	if (stack->sample.kind == REC_SWITCH) {
		assert_int_equal(size_bytes, sizeof(struct rec_switch));
		assert_int_equal(ARRAY_RESERVE(drained->waits, drained->wait_cap,
					       drained->wait_count, MAX_RECORDS),
				 0);
		memcpy(&drained->waits[drained->wait_count++], record, size_bytes);
	} else if (stack->sample.kind == REC_STACK) {
		assert_int_equal(ARRAY_RESERVE(drained->stacks, drained->stack_cap,
					       drained->stack_count, MAX_STACKS),
				 0);
		drained->stacks[drained->stack_count++] = stack->sample.stack_hash;
	}
}

static void drained_fini(struct drained *drained)
{
	free(drained->waits);
	free(drained->stacks);
}

static bool has_stack(const struct drained *drained, uint64_t hash)
{
	for (size_t i = 0; i < drained->stack_count; i++)
		if (drained->stacks[i] == hash)
			return true;
	return false;
}

/* The child does its work when it is told to, and says when it is done; then it waits to be killed. */
struct child {
	pid_t pid;
	int go_fd, done_fd;
};

static void nap(void)
{
	struct timespec time = {.tv_nsec = SLEEP_MS * NS_PER_MS};
	while (nanosleep(&time, &time))
		;
}

static void sleep_often(void)
{
	for (int i = 0; i < SLEEPS; i++)
		nap();
}

/* Until it has left the CPU in that system call, or is gone: the kernel tells the number only then, and
 * "running" before (proc(5), /proc/PID/syscall). */
static void wait_until_asleep(pid_t pid, int syscall)
{
	char path[64], text[64];
	int number;
	snprintf(path, sizeof(path), "/proc/%d/syscall", (int)pid);
	for (;;) {
		FILE *file = fopen(path, "re");
		if (!file)
			return;
		const char *line = fgets(text, sizeof(text), file);
		fclose(file);
		if (line && sscanf(line, "%d", &number) == 1 && number == syscall)
			return;
		usleep(100);
	}
}

/* Its own child wakes it, each time 10 ms after it went to sleep. */
static void be_woken(void)
{
	int pipe_fds[2];
	char byte = 0;
	pid_t reader = getpid();
	if (pipe(pipe_fds))
		_exit(1);
	pid_t waker = fork();
	for (int i = 0; i < SLEEPS && !waker; i++) {
		wait_until_asleep(reader, SYS_read);
		nap();
		if (write(pipe_fds[1], &byte, 1) != 1)
			_exit(1);
	}
	if (!waker)
		_exit(0);
	for (int i = 0; i < SLEEPS; i++)
		if (read(pipe_fds[0], &byte, 1) != 1)
			_exit(1);
	while (waitpid(waker, NULL, 0) < 0 && errno == EINTR)
		;
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}

static void yield_often(void)
{
	/* Each may take as long as all the others there run in turn. */
	int64_t end_mono_ns = clock_mono_ns() + 2 * NS_PER_S;
	for (int i = 0; i < 2000 && clock_mono_ns() < end_mono_ns; i++)
		sched_yield();
}

static struct child start_child(void (*work)(void))
{
	int go[2], done[2];
	char byte = 0;
	assert_int_equal(pipe2(go, O_CLOEXEC), 0);
	assert_int_equal(pipe2(done, O_CLOEXEC), 0);
	struct child child = {.pid = fork(), .go_fd = go[1], .done_fd = done[0]};
	assert_true(child.pid >= 0);
	if (child.pid) {
		close(go[0]);
		close(done[1]);
		return child;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (read(go[0], &byte, 1) != 1)
		_exit(1);
	work();
	if (write(done[1], &byte, 1) != 1)
		_exit(1);
	for (;;)
		pause();
}

static void run_child(const struct child *child)
{
	char byte = 0;
	assert_int_equal(write(child->go_fd, &byte, 1), 1);
	assert_int_equal(read(child->done_fd, &byte, 1), 1);
}

static void end_child(struct child *child)
{
	kill(child->pid, SIGKILL);
	assert_int_equal(waitpid(child->pid, NULL, 0), child->pid);
	close(child->go_fd);
	close(child->done_fd);
}

/* Of the main thread, voluntary and not. It is asleep before and after. */
static uint64_t switches_of(pid_t pid)
{
	char path[64], line[256];
	uint64_t switches = 0;
	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	FILE *file = fopen(path, "re");
	assert_non_null(file);
	while (fgets(line, sizeof(line), file)) {
		const char *count = strstr(line, "voluntary_ctxt_switches:");
		if (count)
			switches += strtoull(strchr(count, ':') + 1, NULL, 10);
	}
	fclose(file);
	return switches;
}

struct sums {
	uint32_t tid;
	struct trace_thread thread; /* of that tid; all zero: not met */
	uint64_t open;
};

static void take_thread(void *ctx, const struct trace_thread *thread)
{
	struct sums *sums = ctx;
	if (thread->tid == sums->tid)
		sums->thread = *thread;
	sums->open += thread->out_mono_ns && thread->off != TRACE_OFF_NEW;
}

struct traced {
	uint64_t counts[TRACE_STAT_COUNT];
	struct sums sums;
	struct drained drained;
	uint64_t switches; /* of the child meanwhile, as the kernel counts */
	uint64_t elapsed_ns;
};

static void drain(struct sampler *sampler, struct drained *drained)
{
	sampler_drain(sampler, take, drained);
}

/* Trace the child at its work. */
static void trace(struct traced *traced, void (*work)(void), struct tracing_options *options,
		  bool is_for_child)
{
	AUTO(sampler) sampler = NULL;
	AUTO(tracing) tracing = NULL;
	struct err err = {0};
	struct sampler_options sampling = {.rate_hz = 1, .ring_bytes = 8 << 20};
	*traced = (struct traced){0};
	assert_int_equal(sampler_open(&sampler, &sampling, &err), 0);
	struct child child = start_child(work);
	wait_until_asleep(child.pid, SYS_read);
	traced->sums.tid = (uint32_t)child.pid;
	options->sampler = sampler;
	options->session = 7;
	if (is_for_child)
		options->pid = child.pid;
	if (!options->max_ns)
		options->max_ns = UINT64_MAX;
	if (!options->delay_ns)
		options->delay_ns = UINT64_MAX;
	if (!options->states)
		options->states = TRACING_ANY_STATE;
	if (tracing_open(&tracing, options, &err))
		fail_msg("%s", err.text);
	traced->switches = switches_of(child.pid);
	traced->elapsed_ns = (uint64_t)clock_mono_ns();
	run_child(&child);
	wait_until_asleep(child.pid, SYS_pause);
	traced->elapsed_ns = (uint64_t)clock_mono_ns() - traced->elapsed_ns;
	traced->switches = switches_of(child.pid) - traced->switches;
	tracing_stop(tracing);
	drain(sampler, &traced->drained);
	tracing_counts(tracing, traced->counts);
	tracing_visit_threads(tracing, take_thread, &traced->sums);
	end_child(&child);
}

static void assert_balanced(const struct traced *traced)
{
	uint64_t sum = traced->sums.open;
	for (int i = TRACE_OTHERS; i <= TRACE_RING_FULL; i++)
		sum += traced->counts[i];
	assert_int_equal(traced->counts[TRACE_SEEN], sum);
	assert_int_equal(traced->counts[TRACE_SENT], traced->drained.wait_count);
	assert_int_equal(traced->counts[TRACE_NO_SCRATCH], 0);
	assert_int_equal(traced->counts[TRACE_NO_THREAD], 0);
}

/* As many as the kernel counted, less the one that is under way. */
static void assert_all_counted(const struct traced *traced)
{
	const struct trace_thread *thread = &traced->sums.thread;
	assert_int_equal(thread->waits + traced->counts[TRACE_MISSED] + 1, traced->switches);
}

/* The wait that was under way when it began is not told; the one at the end is under way. */
static void test_every_wait(void **state)
{
	(void)state;
	struct traced traced;
	trace(&traced, sleep_often, &(struct tracing_options){0}, true);
	assert_balanced(&traced);
	const struct trace_thread *thread = &traced.sums.thread;
	uint64_t sum_ns = 0, naps = 0, napped_ns = 0;
	for (size_t i = 0; i < traced.drained.wait_count; i++) {
		const struct rec_switch *rec = &traced.drained.waits[i];
		uint64_t off_ns = rec->wait.sample.end_mono_ns - rec->wait.since_mono_ns;
		assert_int_equal(rec->session, 7);
		assert_int_equal(rec->wait.sample.pid, traced.sums.tid);
		assert_int_equal(rec->wait.sample.tid, traced.sums.tid);
		assert_int_equal(rec->wait.weight_ns, off_ns);
		assert_true(has_stack(&traced.drained, rec->wait.sample.stack_hash));
		sum_ns += off_ns;
		bool is_nap = rec->wait.syscall == SYS_clock_nanosleep ||
			      rec->wait.syscall == SYS_nanosleep;
		if (!is_nap || rec->wait.flags & WAIT_IS_PREEMPTED ||
		    !(rec->wait.state & 1 /* TASK_INTERRUPTIBLE */))
			continue;
		naps++;
		napped_ns += off_ns;
		/* A timer ended it. */
		assert_true(rec->waking_mono_ns >= rec->wait.since_mono_ns);
		assert_true(rec->waking_mono_ns <= rec->wait.sample.end_mono_ns);
		assert_int_equal(rec->waker_tid, 0);
	}
	/* The kernel arms the timer before the thread leaves the CPU, and what comes between takes from
	 * the nap: all of it, at worst. That no wait is missing is what assert_all_counted() says. */
	assert_in_range(naps + traced.counts[TRACE_MISSED], SLEEPS * 3 / 4, SLEEPS);
	assert_true(napped_ns > UINT64_C(9) * naps * SLEEP_MS * NS_PER_MS / 10);
	assert_true(napped_ns < traced.elapsed_ns);
	assert_int_equal(thread->kept_ns, sum_ns);
	assert_int_equal(thread->waits, traced.drained.wait_count);
	assert_int_equal(thread->sleep_ns + thread->queued_ns + thread->preempted_ns +
				 thread->throttled_ns,
			 sum_ns);
	assert_all_counted(&traced);
	drained_fini(&traced.drained);
}

static uint64_t slots_sum(const struct trace_thread *thread, enum trace_times times)
{
	uint64_t sum = 0;
	for (int i = 0; i < TRACE_SLOTS; i++)
		sum += thread->slots[times][i];
	return sum;
}

/* Whether there are stacks or not, sums are those of all waits. */
static void test_sampled_waits_are_all_counted(void **state)
{
	(void)state;
	struct traced traced;
	struct tracing_options options = {.period_ns = NS_PER_S};
	trace(&traced, yield_often, &options, true);
	assert_balanced(&traced);
	const struct trace_thread *thread = &traced.sums.thread;
	assert_all_counted(&traced);
	assert_int_equal(thread->waits, traced.counts[TRACE_SENT] + traced.counts[TRACE_UNSAMPLED] +
						traced.counts[TRACE_RING_FULL]);
	assert_int_equal(slots_sum(thread, TRACE_OFF), thread->waits);
	/* Waits for a cgroup's quota are none for a CPU. */
	if (!thread->throttled_ns)
		assert_int_equal(slots_sum(thread, TRACE_QUEUED), thread->waits);
	/* It is on the CPU before each wait but the first one. */
	assert_in_range(slots_sum(thread, TRACE_RUNNING), thread->waits, thread->waits + 1);
	drained_fini(&traced.drained);
}

static void test_waker(void **state)
{
	(void)state;
	struct traced traced;
	struct tracing_options options = {.min_ns = SLEEP_MS * NS_PER_MS / 2,
					  .states = TRACING_SLEEPING};
	trace(&traced, be_woken, &options, true);
	assert_balanced(&traced);
	uint64_t woken = 0;
	for (size_t i = 0; i < traced.drained.wait_count; i++) {
		const struct rec_switch *rec = &traced.drained.waits[i];
		assert_true(rec->wait.sample.end_mono_ns - rec->wait.since_mono_ns >=
			    options.min_ns);
		if (rec->wait.syscall != SYS_read || !rec->waker_tid)
			continue;
		assert_int_not_equal(rec->waker_pid, traced.sums.tid);
		assert_int_equal(rec->waker_pid, rec->waker_tid);
		assert_true(has_stack(&traced.drained, rec->waker_hash));
		woken++;
	}
	/* It may be seen asleep while it is being woken, and then find the next byte there already. */
	assert_true(woken >= SLEEPS / 2);
	drained_fini(&traced.drained);
}

static void test_filters(void **state)
{
	(void)state;
	const struct {
		const char *name;
		struct tracing_options options;
		enum trace_stat filtered; /* by this, all that is not sent */
	} rows[] = {
		{"shorter", {.min_ns = 60 * NS_PER_S}, TRACE_SHORT},
		{"longer", {.max_ns = 1}, TRACE_LONG},
		{"another thread", {.tid = 1}, TRACE_OTHERS},
		{"another state", {.states = TRACING_UNINTERRUPTIBLE}, TRACE_STATES},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct traced traced;
		struct tracing_options options = rows[i].options;
		trace(&traced, sleep_often, &options, true);
		assert_balanced(&traced);
		if (rows[i].filtered != TRACE_STATES && traced.drained.wait_count)
			fail_msg("%s: %zu waits", rows[i].name, traced.drained.wait_count);
		uint64_t told = traced.counts[rows[i].filtered] + traced.drained.wait_count;
		if (told + traced.counts[TRACE_MISSED] + 1 < traced.switches)
			fail_msg("%s: %llu of %llu", rows[i].name, (unsigned long long)told,
				 (unsigned long long)traced.switches);
		drained_fini(&traced.drained);
	}
}

static void test_self_is_left_out(void **state)
{
	(void)state;
	struct traced traced;
	struct tracing_options options = {.not_pid = getpid()};
	trace(&traced, sleep_often, &options, false);
	assert_balanced(&traced);
	size_t of_child = 0;
	for (size_t i = 0; i < traced.drained.wait_count; i++) {
		uint32_t pid = traced.drained.waits[i].wait.sample.pid;
		assert_int_not_equal(pid, getpid());
		of_child += pid == traced.sums.tid;
	}
	assert_true(of_child + traced.counts[TRACE_MISSED] + traced.counts[TRACE_RING_FULL] + 1 >=
		    traced.switches);
	drained_fini(&traced.drained);
}

static const char v2_root[] = "/sys/fs/cgroup/unified";

static void test_cgroup(void **state)
{
	(void)state;
	char path[128];
	snprintf(path, sizeof(path), "%s/hearth-test-%d", v2_root, (int)getpid());
	if (mkdir(path, 0755))
		skip(); /* no such hierarchy, or not ours to write in */
	struct traced traced;
	struct tracing_options options = {.cgroup = path};
	trace(&traced, sleep_often, &options, false);
	assert_balanced(&traced);
	assert_int_equal(traced.drained.wait_count, 0); /* nobody is in there */
	assert_true(traced.counts[TRACE_OTHERS] >= traced.switches);
	drained_fini(&traced.drained);
	options = (struct tracing_options){.cgroup = v2_root};
	trace(&traced, sleep_often, &options, true);
	assert_balanced(&traced);
	/* Below it, too. */
	assert_true(traced.drained.wait_count + traced.counts[TRACE_MISSED] + 1 >= traced.switches);
	drained_fini(&traced.drained);
	rmdir(path);
}

static void test_refuses(void **state)
{
	(void)state;
	enum { NOBODY = 1 << 23 }; /* beyond PID_MAX_LIMIT */
	const struct {
		const char *cgroup;
		pid_t pid, tid;
		int code;
		const char *text;
	} rows[] = {
		{"/nonexistent", 0, 0, -ENOENT, "/nonexistent"},
		{"/proc", 0, 0, -EINVAL, "/proc is no cgroup"},
		{"/proc/self/status", 0, 0, -ENOTDIR, "/proc/self/status"},
		{NULL, NOBODY, 0, -ESRCH, "no process 8388608"},
		{NULL, 0, NOBODY, -ESRCH, "no thread 8388608"},
		{NULL, getpid(), NOBODY, -ESRCH, "no thread 8388608"},
	};
	AUTO(sampler) sampler = NULL;
	struct err err = {0};
	struct sampler_options sampling = {.rate_hz = 1, .ring_bytes = 1 << 20};
	assert_int_equal(sampler_open(&sampler, &sampling, &err), 0);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct tracing *tracing = (void *)-1;
		struct tracing_options options = {
			.sampler = sampler,
			.cgroup = rows[i].cgroup,
			.pid = rows[i].pid,
			.tid = rows[i].tid,
		};
		assert_int_equal(tracing_open(&tracing, &options, &err), rows[i].code);
		assert_ptr_equal(tracing, (void *)-1);
		assert_non_null(strstr(err.text, rows[i].text));
	}
}

#define UNKNOWN                 \
	{                       \
		{0, 0}, {0, 0}, \
		{               \
			0, 0    \
		}               \
	}

static void test_kernel_code(void **state)
{
	(void)state;
	const struct {
		const char *name, *text;
		struct kernel_code code;
	} rows[] = {
		{"nothing", "", UNKNOWN},
		{"hidden",
		 "0000000000000000 T __sched_text_start\n0000000000000000 T __sched_text_end\n",
		 UNKNOWN},
		{"whole",
		 "ffffffff81000d40 T asm_common_interrupt\nffffffff81000f70 T __irqentry_text_end\n"
		 "ffffffff813aa620 T try_to_wake_up\nffffffff813aab00 T wake_up_process\n"
		 "ffffffff821fa620 T __sched_text_start\nffffffff82203137 T __sched_text_end\n",
		 {{0xffffffff821fa620, 0xffffffff82203137},
		  {0xffffffff813aa620, 0xffffffff813aab00},
		  {0xffffffff81000d40, 0xffffffff81000f70}}},
		{"one end", "ffffffff821fa620 T __sched_text_start\n", UNKNOWN},
		{"turned round", "ffffffff82 T __sched_text_start\nffffffff81 T __sched_text_end\n",
		 UNKNOWN},
		{"of a module",
		 "ffffffff81000d40 T asm_common_interrupt\t[evil]\n"
		 "ffffffff81000f70 T __irqentry_text_end\n",
		 UNKNOWN},
		{"garbage", "zz\n\n T \nffff\nffff T\n", UNKNOWN},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char path[] = "/tmp/hearth-kallsyms-XXXXXX";
		AUTO_FD fd = mkstemp(path);
		assert_true(fd >= 0);
		assert_int_equal(write(fd, rows[i].text, strlen(rows[i].text)),
				 strlen(rows[i].text));
		struct kernel_code code;
		memset(&code, 0xff, sizeof(code));
		assert_int_equal(kernel_code_read(&code, path, NULL), 0);
		unlink(path);
		if (memcmp(&code, &rows[i].code, sizeof(code)))
			fail_msg("%s", rows[i].name);
	}
	struct kernel_code code = {.wake.start_ip = 1};
	assert_int_equal(kernel_code_read(&code, "/nonexistent", NULL), -ENOENT);
	assert_int_equal(code.wake.start_ip, 1);
}

int main(void)
{
	privileges_need_perf();
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_wait),
		cmocka_unit_test(test_sampled_waits_are_all_counted),
		cmocka_unit_test(test_waker),
		cmocka_unit_test(test_filters),
		cmocka_unit_test(test_self_is_left_out),
		cmocka_unit_test(test_cgroup),
		cmocka_unit_test(test_refuses),
		cmocka_unit_test(test_kernel_code),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
