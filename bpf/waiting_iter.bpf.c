/*
 * waiting_iter: passes for kernels without iterators that programs open: reading the iterator's file
 * calls the program once for each thread, and in the end with none (v5.18, for sleepable ones).
 */
#include "bpf/waiting.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* kernel/bpf/task_iter.c, struct bpf_iter__task */
struct bpf_iter_meta {
	__u64 session_id;
	__u64 seq_num; /* of this call, in this pass */
} __attribute__((preserve_access_index));

struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
} __attribute__((preserve_access_index));

static __always_inline void take_if_changed(struct task_struct *task, __u32 number,
					    struct wait_runner *runner)
{
	if (!visit(task, runner, bpf_ktime_get_ns()))
		return;
	runner->changed++;
	if (!is_taken(runner))
		return;
	runner->walks++;
	take_stack(task, number, runner);
}

SEC("iter.s/task")
int on_pass(struct bpf_iter__task *ctx)
{
	/* Compilers would compare the member of ctx once more, and the verifier take it for
	 * something else. */
	struct task_struct *task = ctx->task;
	__u32 number = runner_number();
	struct wait_runner *runner = find_runner(number);
	if (!runner)
		return 0;
	if (!ctx->meta->seq_num)
		begin_pass(runner, bpf_ktime_get_ns());
	if (!task)
		end_pass(runner);
	else if (task->pid != (__s32)runner->tid && is_visited(task))
		take_if_changed(task, number, runner);
	return 0;
}
