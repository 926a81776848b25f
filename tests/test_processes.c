#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/array.h"
#include "base/clock.h"
#include "profiler/processes.h"

/* Beyond the largest pid Linux can have (2^22): what /proc says does not interfere. */
enum { A = 5000000, B, C, D };
static const uint64_t S = 1000000000;

struct fixture {
	struct files *files;
	struct processes *processes;
	struct mapped_file *made[4]; /* stand-ins for files */
};

static struct mapped_file *make_file(const char *name)
{
	struct mapped_file *file = calloc(1, sizeof(*file));
	file->refs = 1;
	file->kind = MAPPED_UNREADABLE;
	file->name = strdup(name);
	return file;
}

static int setup(void **state)
{
	static const char *const names[] = {"/zero", "/one", "/two", "/three"};
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	assert_int_equal(files_new(&fixture->files, NULL), 0);
	assert_int_equal(processes_new(&fixture->processes, fixture->files, NULL), 0);
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		fixture->made[i] = make_file(names[i]);
	*state = fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;
	processes_free(fixture->processes);
	files_free(fixture->files);
	for (size_t i = 0; i < ARRAY_LEN(fixture->made); i++) {
		assert_int_equal(fixture->made[i]->refs, 1); /* none leaked, none freed twice */
		mapped_file_unref(fixture->made[i]);
	}
	free(fixture);
	return 0;
}

static void apply(struct fixture *fixture, struct sideband_event event, int file)
{
	processes_apply(fixture->processes, &event,
			file < 0 ? NULL : mapped_file_ref(fixture->made[file]));
}

static void map_range(struct fixture *fixture, uint32_t pid, uint64_t start_ip, uint64_t end_ip,
		      uint64_t file_off, int file)
{
	apply(fixture,
	      (struct sideband_event){.kind = SIDEBAND_MMAP,
				      .pid = pid,
				      .tid = pid,
				      .start_ip = start_ip,
				      .size_bytes = end_ip - start_ip,
				      .file_off = file_off},
	      file);
}

static void fork_as(struct fixture *fixture, uint32_t parent, uint32_t pid, uint32_t tid)
{
	apply(fixture,
	      (struct sideband_event){.kind = SIDEBAND_FORK,
				      .pid = pid,
				      .tid = tid,
				      .parent_pid = parent,
				      .parent_tid = parent},
	      -1);
}

static void rename_as(struct fixture *fixture, uint32_t pid, uint32_t tid, bool is_exec,
		      const char *name)
{
	apply(fixture,
	      (struct sideband_event){.kind = SIDEBAND_COMM,
				      .pid = pid,
				      .tid = tid,
				      .is_exec = is_exec,
				      .name = (char *)(uintptr_t)name},
	      -1);
}

static void exit_at(struct fixture *fixture, uint32_t pid, uint32_t tid, uint64_t time_mono_ns)
{
	apply(fixture,
	      (struct sideband_event){
		      .kind = SIDEBAND_EXIT, .pid = pid, .tid = tid, .time_mono_ns = time_mono_ns},
	      -1);
}

static struct process *get(struct fixture *fixture, uint32_t pid)
{
	return processes_get(fixture->processes, pid, 0, "made up");
}

static const char *thread_name(struct fixture *fixture, uint32_t pid, uint32_t tid)
{
	return processes_thread(fixture->processes, get(fixture, pid), tid)->comm;
}

struct expected_mapping {
	uint64_t start_ip, end_ip, file_off;
	int file;
};

static void expect(const struct fixture *fixture, const struct process *process,
		   const struct expected_mapping *expected, size_t count)
{
	assert_int_equal(process->mapping_count, count);
	for (size_t i = 0; i < count; i++) {
		const struct mapping *mapping = &process->mappings[i];
		assert_int_equal(mapping->start_ip, expected[i].start_ip);
		assert_int_equal(mapping->end_ip, expected[i].end_ip);
		assert_int_equal(mapping->file_off, expected[i].file_off);
		assert_ptr_equal(mapping->file, fixture->made[expected[i].file]);
	}
}

#define EXPECT(fixture, process, ...)                                      \
	do {                                                               \
		const struct expected_mapping expected_[] = {__VA_ARGS__}; \
		expect(fixture, process, expected_, ARRAY_LEN(expected_)); \
	} while (0)

/* Mappings that are none: nothing is entered, the reference is given back. */
static void mappings_that_are_none(void **state)
{
	struct fixture *fixture = *state;
	map_range(fixture, A, 0x1000, 0x1000, 0, 0);
	map_range(fixture, A, UINT64_MAX - 0xfff, 0x1000, 0, 0); /* wraps around */
	apply(fixture, (struct sideband_event){.kind = SIDEBAND_MMAP, .pid = A, .size_bytes = 1},
	      -1);
	apply(fixture, (struct sideband_event){.kind = SIDEBAND_LOST, .lost = 3}, -1);
	assert_int_equal(get(fixture, A)->mapping_count, 0);
	assert_null(process_find(get(fixture, A), 0));
	assert_null(process_find(get(fixture, A), UINT64_MAX));
}

static void new_mappings_replace_what_they_lie_on(void **state)
{
	struct fixture *fixture = *state;
	map_range(fixture, A, 0x10000, 0x20000, 0x3000, 0);
	const struct process *process = get(fixture, A);
	EXPECT(fixture, process, {0x10000, 0x20000, 0x3000, 0});
	uint64_t epoch = process->map_epoch;
	map_range(fixture, A, 0x10000, 0x20000, 0x3000, 0); /* told twice */
	assert_int_equal(process->map_epoch, epoch);
	map_range(fixture, A, 0x14000, 0x15000, 0, 1); /* in the middle */
	assert_true(process->map_epoch != epoch);
	EXPECT(fixture, process, {0x10000, 0x14000, 0x3000, 0}, {0x14000, 0x15000, 0, 1},
	       {0x15000, 0x20000, 0x8000, 0});
	map_range(fixture, A, 0x13000, 0x14800, 0, 2); /* over two ends */
	EXPECT(fixture, process, {0x10000, 0x13000, 0x3000, 0}, {0x13000, 0x14800, 0, 2},
	       {0x14800, 0x15000, 0x800, 1}, {0x15000, 0x20000, 0x8000, 0});
	map_range(fixture, A, 0x12000, 0x1f000, 0, 3); /* over several */
	EXPECT(fixture, process, {0x10000, 0x12000, 0x3000, 0}, {0x12000, 0x1f000, 0, 3},
	       {0x1f000, 0x20000, 0x12000, 0});
	map_range(fixture, A, 0, UINT64_MAX, 0, 1);
	EXPECT(fixture, process, {0, UINT64_MAX, 0, 1});
}

static void finding(void **state)
{
	struct fixture *fixture = *state;
	map_range(fixture, A, 0x1000, 0x2000, 0, 0);
	map_range(fixture, A, 0x2000, 0x3000, 0, 1);
	map_range(fixture, A, 0x5000, 0x6000, 0, 2);
	static const struct {
		uint64_t ip;
		int file;
	} rows[] = {{0, -1},      {0xfff, -1},      {0x3000, -1}, {0x4fff, -1},
		    {0x6000, -1}, {UINT64_MAX, -1}, {0x1000, 0},  {0x1fff, 0},
		    {0x2000, 1},  {0x2fff, 1},      {0x5000, 2},  {0x5fff, 2}};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct mapping *mapping = process_find(get(fixture, A), rows[i].ip);
		if (rows[i].file < 0)
			assert_null(mapping);
		else
			assert_ptr_equal(mapping->file, fixture->made[rows[i].file]);
	}
}

enum { MODEL_PAGES = 64, MODEL_STEPS = 40, MODEL_ROUNDS = 200 };

/* What each page maps, kept by the simplest means there is. */
struct model {
	int file[MODEL_PAGES]; /* -1: nothing */
	uint64_t off[MODEL_PAGES];
};

static void compare_with_model(const struct fixture *fixture, const struct process *process,
			       const struct model *model)
{
	for (size_t i = 0; i < process->mapping_count; i++) {
		assert_true(process->mappings[i].start_ip < process->mappings[i].end_ip);
		assert_true(!i || process->mappings[i - 1].end_ip <= process->mappings[i].start_ip);
	}
	for (uint64_t page = 0; page < MODEL_PAGES; page++) {
		uint64_t ip = page * 0x1000 + 0x123;
		const struct mapping *mapping = process_find(process, ip);
		if (model->file[page] < 0) {
			assert_null(mapping);
			continue;
		}
		assert_non_null(mapping);
		assert_ptr_equal(mapping->file, fixture->made[model->file[page]]);
		assert_int_equal(ip - mapping->start_ip + mapping->file_off,
				 model->off[page] + 0x123);
	}
}

static void any_sequence_agrees_with_a_page_table(void **state)
{
	struct fixture *fixture = *state;
	const char *given = getenv("HEARTH_TEST_SEED");
	unsigned int seed =
		given ? (unsigned int)strtoul(given, NULL, 10) : (unsigned int)time(NULL);
	printf("seed %u (HEARTH_TEST_SEED)\n", seed);
	for (int round = 0; round < MODEL_ROUNDS; round++) {
		struct model model;
		memset(&model, 0xff, sizeof(model));
		rename_as(fixture, A, A, true, "model"); /* no mappings */
		for (int step = 0; step < MODEL_STEPS; step++) {
			uint64_t first = (uint64_t)rand_r(&seed) % MODEL_PAGES;
			uint64_t pages = 1 + (uint64_t)rand_r(&seed) % (MODEL_PAGES - first);
			uint64_t off = 0x1000 * ((uint64_t)rand_r(&seed) % 100);
			int file = rand_r(&seed) % 4;
			if (rand_r(&seed) % 2 && pages > 4)
				pages = 1 + pages % 4;
			map_range(fixture, A, first * 0x1000, (first + pages) * 0x1000, off, file);
			for (uint64_t page = first; page < first + pages; page++) {
				model.file[page] = file;
				model.off[page] = off + (page - first) * 0x1000;
			}
			compare_with_model(fixture, get(fixture, A), &model);
		}
	}
}

static void a_child_has_what_its_parent_has(void **state)
{
	struct fixture *fixture = *state;
	rename_as(fixture, A, A, true, "parent");
	map_range(fixture, A, 0x1000, 0x2000, 0, 0);
	map_range(fixture, A, 0x3000, 0x4000, 0x500, 1);
	fork_as(fixture, A, B, B);
	assert_string_equal(get(fixture, B)->comm, "parent");
	assert_string_equal(thread_name(fixture, B, B), "parent");
	EXPECT(fixture, get(fixture, B), {0x1000, 0x2000, 0, 0}, {0x3000, 0x4000, 0x500, 1});
	assert_true(get(fixture, A)->map_epoch != get(fixture, B)->map_epoch);
	map_range(fixture, B, 0x1000, 0x2000, 0, 2); /* its own from now on */
	EXPECT(fixture, get(fixture, A), {0x1000, 0x2000, 0, 0}, {0x3000, 0x4000, 0x500, 1});
	rename_as(fixture, B, B, true, "exec");
	assert_int_equal(get(fixture, B)->mapping_count, 0);
	assert_string_equal(get(fixture, B)->comm, "exec");
	assert_int_equal(get(fixture, A)->mapping_count, 2);
}

/* task_struct.self_exec_id: a child has its parent's, and execve(2) counts it on; what is not known
 * stays so. */
static void images_are_told_apart(void **state)
{
	struct fixture *fixture = *state;
	rename_as(fixture, A, A, true, "parent");
	assert_int_equal(get(fixture, A)->exec_id, 0);
	assert_true(get(fixture, A)->is_new_image);
	fork_as(fixture, A, B, B);
	assert_int_equal(get(fixture, B)->exec_id, 0);
	assert_false(get(fixture, B)->is_new_image);
	get(fixture, A)->exec_id = 7; /* a sample told it */
	fork_as(fixture, A, B, B);
	assert_int_equal(get(fixture, B)->exec_id, 7);
	rename_as(fixture, B, B, false, "renamed");
	assert_int_equal(get(fixture, B)->exec_id, 7);
	assert_false(get(fixture, B)->is_new_image);
	rename_as(fixture, B, B, true, "child");
	assert_int_equal(get(fixture, B)->exec_id, 8);
	assert_true(get(fixture, B)->is_new_image);
	assert_int_equal(get(fixture, A)->exec_id, 7);
}

static void threads_have_names_of_their_own(void **state)
{
	struct fixture *fixture = *state;
	rename_as(fixture, A, A, true, "main");
	fork_as(fixture, A, A, B);
	assert_string_equal(thread_name(fixture, A, B), "main");
	rename_as(fixture, A, B, false, "worker");
	assert_string_equal(thread_name(fixture, A, B), "worker");
	assert_string_equal(get(fixture, A)->comm, "main");
	rename_as(fixture, A, A, false, "renamed by itself");
	assert_string_equal(get(fixture, A)->comm, "renamed by itse");      /* 15, as the kernel */
	assert_string_equal(thread_name(fixture, A, C), "renamed by itse"); /* never told of */
	/* The tid now belongs to another process. */
	rename_as(fixture, D, D, true, "other");
	assert_string_equal(thread_name(fixture, D, B), "other");
	assert_int_equal(processes_count(fixture->processes), 2);
	assert_int_equal(processes_thread_count(fixture->processes), 4);
}

static void what_exited_stays_for_samples_under_way(void **state)
{
	struct fixture *fixture = *state;
	rename_as(fixture, A, A, true, "short");
	map_range(fixture, A, 0x1000, 0x2000, 0, 0);
	fork_as(fixture, A, A, B);
	exit_at(fixture, A, B, 10 * S);
	exit_at(fixture, A, A, 11 * S);
	processes_sweep(fixture->processes, 9 * S); /* a clock behind */
	processes_sweep(fixture->processes, 15 * S - 1);
	assert_int_equal(processes_thread_count(fixture->processes), 2);
	assert_non_null(process_find(get(fixture, A), 0x1000));
	processes_sweep(fixture->processes, 15 * S);
	assert_int_equal(processes_thread_count(fixture->processes), 1);
	processes_sweep(fixture->processes, 16 * S);
	assert_int_equal(processes_thread_count(fixture->processes), 0);
	assert_int_equal(processes_count(fixture->processes), 0);
}

/* execve(2) by another thread than the leader: the leader exits, the process goes on under the
 * leader's tid, and the caller's own tid is never told of again. */
static void exec_by_a_thread(void **state)
{
	struct fixture *fixture = *state;
	rename_as(fixture, A, A, true, "before");
	fork_as(fixture, A, A, B);
	exit_at(fixture, A, A, 10 * S);
	rename_as(fixture, A, A, true, "after");
	map_range(fixture, A, 0x1000, 0x2000, 0, 0);
	processes_sweep(fixture->processes, 100 * S);
	assert_int_equal(processes_count(fixture->processes), 1);
	assert_string_equal(get(fixture, A)->comm, "after");
	assert_non_null(process_find(get(fixture, A), 0x1000));
	exit_at(fixture, A, A, 200 * S);
	processes_sweep(fixture->processes, 300 * S);
	processes_sweep(fixture->processes, 301 * S);
	assert_int_equal(processes_count(fixture->processes), 0);
	assert_int_equal(processes_thread_count(fixture->processes), 0);
}

static void a_pid_used_again(void **state)
{
	struct fixture *fixture = *state;
	rename_as(fixture, A, A, true, "first");
	map_range(fixture, A, 0x1000, 0x2000, 0, 0);
	struct process *process = processes_get(fixture->processes, A, 70 * S, "first");
	assert_int_equal(process->mapping_count, 1);
	assert_int_equal(process->start_boot_ns, 70 * S);
	assert_int_equal(process->start_boot_ticks, 7000);
	uint64_t epoch = process->map_epoch;
	/* The same, however often. */
	assert_ptr_equal(processes_get(fixture->processes, A, 70 * S, "x"), process);
	assert_ptr_equal(processes_get(fixture->processes, A, 0, "x"), process);
	/* Another one, of which no event told. */
	process = processes_get(fixture->processes, A, 90 * S, "second");
	assert_string_equal(process->comm, "second");
	assert_int_equal(process->mapping_count, 0);
	assert_int_equal(process->start_boot_ns, 90 * S);
	assert_true(process->map_epoch != epoch);
	assert_ptr_equal(processes_get(fixture->processes, A, 90 * S, "x"), process);
	/* And by a fork, as it should be. */
	rename_as(fixture, B, B, true, "parent");
	fork_as(fixture, B, A, A);
	assert_string_equal(get(fixture, A)->comm, "parent");
	assert_int_equal(get(fixture, A)->start_boot_ns, 0);
	assert_int_equal(processes_count(fixture->processes), 2);
}

static void a_process_nobody_told_of(void **state)
{
	struct fixture *fixture = *state;
	struct process *process = processes_get(fixture->processes, A, 5 * S, "ghost");
	assert_string_equal(process->comm, "ghost");
	assert_string_equal(process_cgroup(process), "");
	assert_string_equal(processes_thread(fixture->processes, process, B)->comm, "ghost");
	fork_as(fixture, C, D, D); /* nor of the parent */
	assert_string_equal(get(fixture, D)->comm, "made up");
}

static void cgroups_are_looked_up_when_they_change(void **state)
{
	struct fixture *fixture = *state;
	struct process *process = get(fixture, A);
	process_note_cgroup(process, 7);
	assert_string_equal(process_cgroup(process), "");
	free(process->cgroup);
	process->cgroup = strdup("/known");
	assert_true(process->cgroup_is_read);
	process_note_cgroup(process, 7);
	assert_true(process->cgroup_is_read);
	process_note_cgroup(process, 8);
	assert_false(process->cgroup_is_read);
	assert_string_equal(process_cgroup(process), "/known"); /* gone: the last that was known */
	/* A child is where its parent is. */
	rename_as(fixture, A, A, false, "parent");
	fork_as(fixture, A, B, B);
	assert_string_equal(process_cgroup(get(fixture, B)), "/known");
}

_Noreturn static void *wait_for_ever(void *ctx)
{
	prctl(PR_SET_NAME, "second thread");
	assert_int_equal(write(*(int *)ctx, "x", 1), 1);
	for (;;)
		pause();
}

static pid_t start_child(void)
{
	int ready[2];
	assert_int_equal(pipe(ready), 0);
	pid_t pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		prctl(PR_SET_NAME, "a real) child");
		pthread_t thread;
		pthread_create(&thread, NULL, wait_for_ever, &ready[1]);
		for (;;)
			pause();
	}
	char byte;
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	close(ready[1]);
	return pid;
}

static uint32_t other_tid;
static void note_tid(void *ctx, uint32_t tid)
{
	if (tid != *(uint32_t *)ctx)
		other_tid = tid;
}

/* A child has the same program at the same place. */
/* Mapped here, at places that only events told of, and gone before anybody looked. */
static void mappings_that_went_are_forgotten(void **state)
{
	struct fixture *fixture = *state;
	const uint32_t pid = (uint32_t)getpid();
	struct process *process = get(fixture, pid);
	const size_t there = process->mapping_count;
	assert_true(there > 2);
	for (uint64_t i = 0; i < 1000; i++)
		map_range(fixture, pid, 0x1000 * (2 * i + 1), 0x1000 * (2 * i + 2), 0, 0);
	uint64_t now_mono_ns = (uint64_t)clock_mono_ns();
	processes_sweep(fixture->processes, now_mono_ns);
	assert_int_equal(process->mapping_count, there + 1000); /* not many */
	for (uint64_t i = 1000; i < 4000; i++)
		map_range(fixture, pid, 0x1000 * (2 * i + 1), 0x1000 * (2 * i + 2), 0, 0);
	uint64_t epoch = process->map_epoch;
	processes_sweep(fixture->processes, now_mono_ns);
	assert_int_equal(process->mapping_count, there);
	assert_true(process->map_epoch > epoch);
	uintptr_t code_ip = (uintptr_t)mappings_that_went_are_forgotten;
	assert_non_null(process_find(process, code_ip));
	for (uint64_t i = 0; i < 4000; i++)
		map_range(fixture, pid, 0x1000 * (2 * i + 1), 0x1000 * (2 * i + 2), 0, 0);
	processes_sweep(fixture->processes, now_mono_ns); /* read a moment ago */
	assert_int_equal(process->mapping_count, there + 4000);
	processes_sweep(fixture->processes, now_mono_ns + 1000 * S);
	assert_int_equal(process->mapping_count, there);
}

/* It ended: samples that are under way need what is known. */
static void what_cannot_be_read_stays(void **state)
{
	struct fixture *fixture = *state;
	const uint32_t pid = 1 << 30; /* beyond any limit of the kernel */
	struct process *process = get(fixture, pid);
	for (uint64_t i = 0; i < 4000; i++)
		map_range(fixture, pid, 0x1000 * (2 * i + 1), 0x1000 * (2 * i + 2), 0, 0);
	processes_sweep(fixture->processes, (uint64_t)clock_mono_ns());
	assert_int_equal(process->mapping_count, 4000);
}

static void real_processes_are_adopted(void **state)
{
	struct fixture *fixture = *state;
	uint32_t pid = (uint32_t)start_child();
	uint64_t here_ip = (uintptr_t)start_child;
	struct process *process = get(fixture, pid); /* adopted one by one ... */
	assert_string_equal(process->comm, "a real) child");
	const struct mapping *mapping = process_find(process, here_ip);
	assert_non_null(mapping);
	assert_non_null(strstr(mapping->file->name, "/test_processes"));
	assert_int_equal(mapping->file->kind, MAPPED_EXECUTABLE);
	assert_int_equal(proc_visit_tids(pid, note_tid, &pid), 0);
	assert_string_equal(thread_name(fixture, pid, other_tid), "second thread");
	struct proc_stat stat;
	assert_int_equal(proc_read_stat(&stat, pid), 0);
	assert_int_equal(process->start_boot_ticks, stat.start_boot_ticks);

	processes_scan(fixture->processes, 100 * S); /* ... and all together */
	assert_ptr_equal(get(fixture, pid), process);
	assert_true(processes_count(fixture->processes) >= 2);
	assert_non_null(process_find(get(fixture, (uint32_t)getpid()), here_ip));
	/* An exact start time that fits /proc's is the same process; another one is not. */
	uint64_t start_boot_ns = stat.start_boot_ticks * 10000000 + 1234567;
	assert_ptr_equal(processes_get(fixture->processes, pid, start_boot_ns, ""), process);
	process = processes_get(fixture->processes, pid, start_boot_ns + S, "stranger");
	assert_string_equal(process->comm, "stranger");
	assert_int_equal(process->mapping_count, 0);

	kill((pid_t)pid, SIGKILL);
	assert_int_equal(waitpid((pid_t)pid, NULL, 0), pid);
	processes_scan(fixture->processes, 200 * S); /* its exit was lost */
	assert_int_equal(get(fixture, pid)->exited_mono_ns, 200 * S);
	assert_int_equal(get(fixture, (uint32_t)getpid())->exited_mono_ns, 0);
	uint64_t before = processes_count(fixture->processes);
	processes_sweep(fixture->processes, 205 * S);
	assert_true(processes_count(fixture->processes) < before);
}

#define WITH_PROCESSES(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_PROCESSES(mappings_that_are_none),
		WITH_PROCESSES(new_mappings_replace_what_they_lie_on),
		WITH_PROCESSES(finding),
		WITH_PROCESSES(any_sequence_agrees_with_a_page_table),
		WITH_PROCESSES(a_child_has_what_its_parent_has),
		WITH_PROCESSES(threads_have_names_of_their_own),
		WITH_PROCESSES(what_exited_stays_for_samples_under_way),
		WITH_PROCESSES(exec_by_a_thread),
		WITH_PROCESSES(images_are_told_apart),
		WITH_PROCESSES(a_pid_used_again),
		WITH_PROCESSES(a_process_nobody_told_of),
		WITH_PROCESSES(cgroups_are_looked_up_when_they_change),
		WITH_PROCESSES(mappings_that_went_are_forgotten),
		WITH_PROCESSES(what_cannot_be_read_stays),
		WITH_PROCESSES(real_processes_are_adopted),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
