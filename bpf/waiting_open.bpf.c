/*
 * waiting_open: one pass over all threads in one run of a program, by an iterator that programs can
 * open (v6.7). Cheaper than waiting_iter, whose program is called anew for each thread.
 */
#include "bpf/waiting.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* kernel/bpf/task_iter.c, kernel/bpf/helpers.c. The structure is opaque. */
struct bpf_iter_task {
	__u64 opaque[3];
} __attribute__((aligned(8)));
#define ITER_ALL_THREADS 1 /* BPF_TASK_ITER_ALL_THREADS */

extern int bpf_iter_task_new(struct bpf_iter_task *it, struct task_struct *task,
			     unsigned int flags) __ksym __weak;
extern struct task_struct *bpf_iter_task_next(struct bpf_iter_task *it) __ksym __weak;
extern void bpf_iter_task_destroy(struct bpf_iter_task *it) __ksym __weak;
extern struct task_struct *bpf_task_from_pid(__s32 pid) __ksym __weak;
extern void bpf_task_release(struct task_struct *task) __ksym __weak;
extern void bpf_rcu_read_lock(void) __ksym __weak;
extern void bpf_rcu_read_unlock(void) __ksym __weak;

struct changed {
	__s32 tids[MAX_WALKS];
};

/* The threads that the pass of a runner found in another place. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, ABI_RUNNERS);
	__type(key, __u32);
	__type(value, struct changed);
} changed_threads SEC(".maps");

static __always_inline void note_changed(struct wait_runner *runner, struct changed *changed,
					 struct task_struct *task)
{
	runner->changed++;
	if (!is_taken(runner))
		return;
	changed->tids[runner->walks & (MAX_WALKS - 1)] = task->pid;
	runner->walks++;
}

/* As of when it began, for all: looking at the clock costs more than the rest of most visits, and what
 * ran since then counts in the next pass. */
static __always_inline void glance_at_all(struct wait_runner *runner, struct changed *changed)
{
	struct bpf_iter_task it;
	struct task_struct *task;
	__s32 self = runner->tid;
	bpf_rcu_read_lock();
	bpf_iter_task_new(&it, 0, ITER_ALL_THREADS);
	while ((task = bpf_iter_task_next(&it)))
		if (task->pid != self && is_visited(task) &&
		    visit(task, runner, runner->pass_mono_ns))
			note_changed(runner, changed, task);
	bpf_iter_task_destroy(&it);
	bpf_rcu_read_unlock();
}

struct walking {
	__u32 number; /* of the runner */
};

static long take_one(__u64 at, struct walking *walking)
{
	__u32 number = walking->number;
	struct wait_runner *runner = find_runner(number);
	struct changed *changed = bpf_map_lookup_elem(&changed_threads, &number);
	if (!runner || !changed || runner->is_given_up)
		return 1;
	struct task_struct *task = bpf_task_from_pid(changed->tids[at & (MAX_WALKS - 1)]);
	if (!task)
		return 0;
	take_stack(task, number, runner);
	bpf_task_release(task);
	return 0;
}

SEC("syscall")
int on_pass(void *ctx)
{
	(void)ctx;
	struct walking walking = {.number = runner_number()};
	struct wait_runner *runner = find_runner(walking.number);
	struct changed *changed = bpf_map_lookup_elem(&changed_threads, &walking.number);
	if (!runner || !changed)
		return 1;
	begin_pass(runner, bpf_ktime_get_ns());
	glance_at_all(runner, changed);
	bpf_loop(runner->walks, take_one, &walking, 0);
	end_pass(runner);
	return 0;
}
