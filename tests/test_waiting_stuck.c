#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "privileges.h"
#include "slow_file.h"
#include "wait_scene.h"

/* A thread whose stack cannot be read for as long as nobody serves the pages: the pass that tries to
 * is stuck, and the next one must not be. */

enum { STACK_BYTES = 64 << 10 };
/* Before the pages come by themselves. */
static const int64_t DEADLINE_NS = 25 * NS_PER_S;

static void *pause_for_ever(void *ready)
{
	__atomic_store_n((uint32_t *)ready, (uint32_t)syscall(SYS_gettid), __ATOMIC_RELEASE);
	for (;;)
		pause();
	return NULL;
}

/* While the thread sleeps its stack is replaced by pages of the file. */
static void sleep_on_slow_stack(const char *path)
{
	uint32_t tid = 0;
	char wchan[64] = "", wchan_path[64];
	pthread_attr_t attr;
	pthread_t thread;
	int fd = open(path, O_RDWR | O_CLOEXEC);
	void *stack =
		mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pthread_attr_init(&attr);
	if (fd < 0 || stack == MAP_FAILED || pthread_attr_setstack(&attr, stack, STACK_BYTES) ||
	    pthread_create(&thread, &attr, pause_for_ever, &tid))
		_exit(1);
	while (!__atomic_load_n(&tid, __ATOMIC_ACQUIRE))
		usleep(1000);
	snprintf(wchan_path, sizeof(wchan_path), "/proc/self/task/%u/syscall", tid);
	for (long syscall_number = -1; syscall_number != SYS_pause;) {
		FILE *file = fopen(wchan_path, "re");
		if (file && fgets(wchan, sizeof(wchan), file))
			syscall_number = strtol(wchan, NULL, 10);
		if (file)
			fclose(file);
		usleep(1000);
	}
	if (mmap(stack, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, fd, 0) !=
	    stack)
		_exit(1);
	for (;;)
		pause();
}

static pid_t fork_child(void)
{
	pid_t child = fork();
	assert_true(child >= 0);
	if (!child)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	return child;
}

static void nap(void)
{
	for (;;)
		usleep(100000);
}

static size_t count_waits(const struct scene *scene, pid_t pid)
{
	size_t count = 0;
	for (size_t i = 0; i < scene->wait_count; i++)
		count += scene->waits[i].sample.pid == (uint32_t)pid;
	return count;
}

static size_t count_threads(void)
{
	DIR *folder = opendir("/proc/self/task");
	size_t count = 0;
	assert_non_null(folder);
	while (readdir(folder))
		count++;
	closedir(folder);
	return count;
}

static struct waiting_stats stats_of(struct scene *scene)
{
	struct waiting_stats stats;
	waiting_stats(scene->waiting, &stats);
	return stats;
}

static void others_go_on(void **state)
{
	struct slow_file file;
	int rc = slow_file_open(&file);
	if (rc) {
		print_message("no FUSE here: %s\n", strerror(-rc));
		skip();
	}
	size_t threads = count_threads();
	struct scene scene;
	scene_open(&scene, *(enum waiting_method *)*state);
	pid_t napper = fork_child();
	if (!napper)
		nap();
	pid_t sleeper = fork_child();
	if (!sleeper)
		sleep_on_slow_stack(file.path);
	int64_t deadline_mono_ns = clock_mono_ns() + DEADLINE_NS;
	while (!stats_of(&scene).stuck) {
		assert_true(clock_mono_ns() < deadline_mono_ns);
		assert_int_equal(waitpid(sleeper, NULL, WNOHANG), 0);
		/* It may have been visited before its stack was replaced: look at it again. */
		sampler_next_generation(scene.sampler);
		waiting_flush(scene.waiting);
		scene_watch(&scene, 20 * NS_PER_MS);
	}
	/* One more pass than the new runner may just have begun. */
	size_t waits = count_waits(&scene, napper);
	uint64_t passes = stats_of(&scene).passes;
	while (count_waits(&scene, napper) < waits + 5 || stats_of(&scene).passes < passes + 5 ||
	       !stats_of(&scene).busy) {
		assert_true(clock_mono_ns() < deadline_mono_ns);
		scene_watch(&scene, 20 * NS_PER_MS);
	}
	struct waiting_stats stats = stats_of(&scene);
	print_message("%lu stuck, %lu passes, %lu busy\n", stats.stuck, stats.passes, stats.busy);
	assert_int_equal(stats.stuck, 1);
	/* Neither stopping nor freeing waits for it. */
	scene_close(&scene);
	slow_file_let(&file);
	while (count_threads() > threads) {
		assert_true(clock_mono_ns() < deadline_mono_ns);
		usleep(1000);
	}
	kill(napper, SIGKILL);
	kill(sleeper, SIGKILL);
	assert_int_equal(waitpid(napper, NULL, 0), napper);
	assert_int_equal(waitpid(sleeper, NULL, 0), sleeper);
	slow_file_close(&file);
}

int main(void)
{
	static enum waiting_method by_open = WAITING_OPEN, by_iter = WAITING_ITER;
	privileges_need_perf();
	if (!getenv("HEARTH_TEST_STUCK")) {
		fprintf(stderr,
			"skipped: while a pass is stuck other BPF programs cannot be freed, for "
			"HEARTH_TEST_STUCK=1 only\n");
		return 77;
	}
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_prestate(others_go_on, &by_open),
		cmocka_unit_test_prestate(others_go_on, &by_iter),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
