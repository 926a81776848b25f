#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/array.h"
#include "base/buf.h"
#include "profiler/intake.h"

/* Beyond the largest pid Linux can have (2^22): what /proc says does not interfere. */
enum { PID = 5000000, TID, WAKER_PID, WAKER_TID };
enum { HASH = 77, WAKER_HASH = 88, UNKNOWN = 99 };
static const uint64_t S = 1000000000;

struct fixture {
	struct files *files;
	struct processes *processes;
	struct intake *intake;
	struct batch *batch;
	uint64_t taken, dropped[DROP_REASONS];
	uint64_t caught_up_mono_ns;
	size_t pushes, tails;
	uint32_t pushed_pid;
	struct sideband_event exit; /* of a process, when its time comes */
};

static void catch_up(void *ctx, uint64_t time_mono_ns)
{
	struct fixture *fixture = ctx;
	fixture->caught_up_mono_ns = time_mono_ns;
	if (fixture->exit.time_mono_ns && time_mono_ns >= fixture->exit.time_mono_ns)
		processes_apply(fixture->processes, &fixture->exit, NULL);
}

static void push(void *ctx, struct process *process, uint64_t now_mono_ns)
{
	(void)now_mono_ns;
	struct fixture *fixture = ctx;
	fixture->pushes++;
	fixture->pushed_pid = process->pid;
}

static void tail(void *ctx, struct raw_stack *stack)
{
	struct fixture *fixture = ctx;
	assert_non_null(stack->tail);
	fixture->tails++;
}

static void count_taken(void *ctx)
{
	struct fixture *fixture = ctx;
	fixture->taken++;
}

static void count_drop(void *ctx, enum drop_reason reason)
{
	struct fixture *fixture = ctx;
	fixture->dropped[reason]++;
}

static void fill(struct fixture *fixture)
{
	batch_free(fixture->batch);
	assert_int_equal(batch_new(&fixture->batch, 0), 0);
	intake_fill(fixture->intake, fixture->batch);
}

static int setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	assert_int_equal(files_new(&fixture->files, NULL), 0);
	assert_int_equal(processes_new(&fixture->processes, fixture->files, NULL), 0);
	struct intake_options options = {
		.processes = fixture->processes,
		.max_bytes = 1 << 20,
		.catch_up = catch_up,
		.push = push,
		.tail = tail,
		.count_taken = count_taken,
		.count_drop = count_drop,
		.ctx = fixture,
	};
	assert_int_equal(intake_new(&fixture->intake, &options, NULL), 0);
	fill(fixture);
	*state = fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;
	batch_free(fixture->batch);
	intake_free(fixture->intake);
	processes_free(fixture->processes);
	files_free(fixture->files);
	free(fixture);
	return 0;
}

static void keep(struct fixture *fixture, const void *record, size_t size_bytes)
{
	/* In memory of just that size: whoever reads beyond it is found out. */
	AUTO_MEM void *copy = malloc(size_bytes + !size_bytes);
	assert_non_null(copy);
	if (size_bytes)
		memcpy(copy, record, size_bytes);
	intake_keep(fixture->intake, copy, size_bytes);
}

static void keep_rec(struct fixture *fixture, const struct rec_sample *rec)
{
	keep(fixture, rec, rec->size_bytes);
}

static uint64_t dropped(const struct fixture *fixture)
{
	uint64_t sum = 0;
	for (size_t i = 0; i < DROP_REASONS; i++)
		sum += fixture->dropped[i];
	return sum;
}

/* taken = stored + dropped, with nothing that still waits. */
static void expect_law(const struct fixture *fixture)
{
	assert_int_equal(fixture->taken, batch_samples(fixture->batch) + dropped(fixture));
}

struct made_stack {
	struct rec_stack rec;
	__u64 frames[3];
};

static struct made_stack stack_of(uint32_t pid, uint64_t hash, uint32_t flags)
{
	return (struct made_stack){
		.rec = {.sample = {.kind = REC_STACK,
				   .size_bytes = sizeof(struct made_stack),
				   .end_mono_ns = 10 * S,
				   .stack_hash = hash,
				   .pid = pid,
				   .tid = pid + 1,
				   .weight_ns = flags & STACK_ONLY ? 0 : 7},
			.start_boot_ns = 5 * S,
			.flags = flags,
			.kernel_frames = 2,
			.user_frames = 1,
			.walk_end = WALK_COMPLETE,
			.comm = "sleeper"},
		.frames = {0xffffffff81000001, 0xffffffff81000002, 0x400001},
	};
}

static void know(struct fixture *fixture, uint32_t pid, uint64_t hash)
{
	struct made_stack stack = stack_of(pid, hash, STACK_ONLY);
	keep_rec(fixture, &stack.rec.sample);
}

static struct rec_wait wait_of(uint64_t hash)
{
	return (struct rec_wait){
		.sample = {.kind = REC_WAIT,
			   .size_bytes = sizeof(struct rec_wait),
			   .end_mono_ns = 20 * S,
			   .stack_hash = hash,
			   .pid = PID,
			   .tid = TID},
		.weight_ns = 10 * S,
		.since_mono_ns = 3 * S,
		.object = 0x7f00,
		.state = 1,
		.syscall = 202,
	};
}

static struct rec_switch switch_of(uint64_t hash, uint64_t waker_hash)
{
	struct rec_switch traced = {
		.wait = wait_of(hash),
		.waking_mono_ns = 19 * S,
		.waker_hash = waker_hash,
		.waker_pid = WAKER_PID,
		.waker_tid = WAKER_TID,
		.session = 3,
	};
	traced.wait.sample.kind = REC_SWITCH;
	traced.wait.sample.size_bytes = sizeof(traced);
	return traced;
}

static void a_stack_alone_is_no_sample(void **state)
{
	struct fixture *fixture = *state;
	know(fixture, PID, HASH);
	intake_take(fixture->intake);
	assert_int_equal(fixture->taken, 0);
	assert_int_equal(dropped(fixture), 0);
	assert_int_equal(batch_samples(fixture->batch), 0);
	assert_int_equal(fixture->batch->stack_count, 0); /* nobody was there */
	assert_int_equal(intake_stacks(fixture->intake), 1);
	struct made_stack sample = stack_of(PID, HASH + 1, 0);
	keep_rec(fixture, &sample.rec.sample);
	intake_take(fixture->intake);
	assert_int_equal(fixture->batch->sample_count, 1);
	expect_law(fixture);
}

static void a_wait_is_a_sample_of_the_stack_it_names(void **state)
{
	struct fixture *fixture = *state;
	struct rec_wait wait = wait_of(HASH);
	know(fixture, PID, HASH);
	keep_rec(fixture, &wait.sample);
	wait.sample.end_mono_ns = 30 * S;
	wait.flags = WAIT_IS_EXIT;
	keep_rec(fixture, &wait.sample);
	intake_take(fixture->intake);
	const struct batch *batch = fixture->batch;
	assert_int_equal(batch->wait_count, 2);
	assert_int_equal(batch->sample_count, 0);
	assert_int_equal(batch->thread_count, 1);
	assert_int_equal(batch->stack_count, 1);
	assert_int_equal(batch->waits[0].rec.weight_ns, 10 * S); /* more than 32 bits */
	assert_int_equal(batch->waits[0].rec.since_mono_ns, 3 * S);
	assert_int_equal(batch->waits[0].rec.object, 0x7f00);
	assert_int_equal(batch->threads[batch->waits[1].thread].tid, TID);
	assert_string_equal(batch->threads[batch->waits[1].thread].process_comm, "sleeper");
	assert_int_equal(fixture->caught_up_mono_ns, 30 * S);
	assert_int_equal(fixture->taken, 2);
	expect_law(fixture);
}

/* It came at the exit, and the name it went by is still known. */
static void who_has_ended_has_a_name(void **state)
{
	struct fixture *fixture = *state;
	struct sideband_event fork = {.kind = SIDEBAND_FORK,
				      .time_mono_ns = 1 * S,
				      .pid = PID,
				      .tid = TID,
				      .parent_pid = PID,
				      .parent_tid = PID};
	struct sideband_event comm = {.kind = SIDEBAND_COMM,
				      .time_mono_ns = 2 * S,
				      .pid = PID,
				      .tid = TID,
				      .name = (char[]){"worker-7"}};
	processes_get(fixture->processes, PID, 5 * S, "sleeper");
	processes_apply(fixture->processes, &fork, NULL);
	processes_apply(fixture->processes, &comm, NULL);
	fixture->exit = (struct sideband_event){
		.kind = SIDEBAND_EXIT, .time_mono_ns = 20 * S, .pid = PID, .tid = TID};
	struct rec_wait wait = wait_of(HASH);
	wait.flags = WAIT_IS_EXIT;
	know(fixture, PID, HASH);
	keep_rec(fixture, &wait.sample);
	intake_take(fixture->intake);
	assert_int_equal(fixture->batch->wait_count, 1);
	assert_string_equal(fixture->batch->threads[0].comm, "worker-7");
	assert_int_equal(fixture->batch->threads[0].tid, TID);
}

static void an_orphan_waits_for_one_round(void **state)
{
	struct fixture *fixture = *state;
	struct rec_wait wait = wait_of(HASH), lost = wait_of(UNKNOWN);
	keep_rec(fixture, &wait.sample);
	keep_rec(fixture, &lost.sample);
	intake_take(fixture->intake);
	assert_int_equal(fixture->batch->wait_count, 0);
	assert_int_equal(dropped(fixture), 0); /* not yet */
	know(fixture, PID, HASH);
	intake_take(fixture->intake);
	assert_int_equal(fixture->batch->wait_count, 1);
	assert_int_equal(fixture->dropped[DROP_UNKNOWN_STACK], 1);
	expect_law(fixture);
	intake_take(fixture->intake);
	expect_law(fixture);
}

/* Of all kinds of records, by what is wrong with them. */
static void malformed_records(void **state)
{
	struct fixture *fixture = *state;
	struct rec_wait good = wait_of(HASH);
	struct rec_switch traced = switch_of(HASH, 0);
	struct made_stack stack = stack_of(PID, HASH, 0);
	struct rec_sample sample = good.sample;
	sample.kind = REC_SAMPLE;
	sample.size_bytes = sizeof(sample);
	const struct {
		const char *name;
		const void *record;
		size_t bytes; /* of the record in the ring */
		uint32_t kind, size_bytes;
		uint64_t end_mono_ns, since_mono_ns, weight_ns;
		bool is_sample;
	} rows[] = {
		{"nothing", &good, 0, REC_WAIT, 0, 20, 3, 1, true},
		{"a part of a head", &good, 39, REC_WAIT, 39, 20, 3, 1, true},
		{"shorter than it says", &good, 128, REC_WAIT, 136, 20, 3, 1, true},
		{"longer than it says", &good, 136, REC_WAIT, 128, 20, 3, 1, true},
		{"a wait and more", &traced, 168, REC_WAIT, 168, 20, 3, 1, true},
		{"not a multiple of 8", &good, 136, REC_WAIT, 132, 20, 3, 1, true},
		{"too small a size", &good, 136, REC_WAIT, 8, 20, 3, 1, true},
		{"a kind that is none", &good, 136, 77, 136, 20, 3, 1, true},
		{"kind 0", &good, 136, 0, 136, 20, 3, 1, true},
		{"began after its end", &good, 136, REC_WAIT, 136, 20, 21, 1, true},
		{"longer than the machine is up", &good, 136, REC_WAIT, 136, 20, 3, 21, true},
		{"weight of -1", &good, 136, REC_WAIT, 136, 20, 3, UINT64_MAX / S, true},
		{"a sample and more", &good, 136, REC_SAMPLE, 136, 20, 3, 1, true},
		{"a head that says stack", &sample, 40, REC_STACK, 40, 20, 3, 1, true},
		{"a stack without its frames", &stack, 88, REC_STACK, 88, 20, 3, 1, true},
		{"a stack and more frames", &stack, 104, REC_STACK, 104, 20, 3, 1, true},
		{"a switch without its end", &traced, 136, REC_SWITCH, 136, 20, 3, 1, false},
		{"a switch began after its end", &traced, 168, REC_SWITCH, 168, 20, 21, 1, false},
	};
	know(fixture, PID, HASH);
	intake_take(fixture->intake);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint64_t bad = fixture->dropped[DROP_BAD_RECORD];
		uint64_t lost = fixture->batch->lost_switches;
		union {
			struct rec_switch traced;
			struct made_stack stack;
			struct rec_wait wait;
			struct rec_sample sample;
		} made = {0};
		memcpy(&made, rows[i].record, rows[i].bytes);
		made.sample.kind = rows[i].kind;
		made.sample.size_bytes = rows[i].size_bytes;
		made.sample.end_mono_ns = rows[i].end_mono_ns * S;
		if (rows[i].record == &good || rows[i].record == &traced) {
			made.wait.since_mono_ns = rows[i].since_mono_ns * S;
			made.wait.weight_ns = rows[i].weight_ns * S;
		}
		keep(fixture, &made, rows[i].bytes);
		intake_take(fixture->intake);
		intake_take(fixture->intake);
		if (fixture->dropped[DROP_BAD_RECORD] - bad != rows[i].is_sample ||
		    fixture->batch->lost_switches - lost != !rows[i].is_sample ||
		    batch_samples(fixture->batch) || fixture->batch->switch_count)
			fail_msg("%s", rows[i].name);
		expect_law(fixture);
	}
}

static void a_lost_stack_alone_is_no_loss(void **state)
{
	struct fixture *fixture = *state;
	struct made_stack stack = stack_of(PID, HASH, STACK_ONLY);
	stack.rec.user_frames = 9; /* it has not so many */
	keep_rec(fixture, &stack.rec.sample);
	intake_take(fixture->intake);
	assert_int_equal(intake_stacks(fixture->intake), 0);
	assert_int_equal(fixture->taken + dropped(fixture), 0);
}

struct made_tail {
	struct made_stack stack;
	struct rec_tail tail;
};

static void rows_are_wanted(void **state)
{
	struct fixture *fixture = *state;
	struct made_tail want = {.stack =
					 stack_of(PID, HASH, STACK_ONLY | STACK_TAIL | STACK_WANT)};
	want.stack.rec.walk_end = WALK_NO_ROWS;
	want.stack.rec.sample.size_bytes = sizeof(want);
	keep_rec(fixture, &want.stack.rec.sample);
	intake_take(fixture->intake);
	assert_int_equal(fixture->pushes, 1);
	assert_int_equal(fixture->pushed_pid, PID);
	assert_int_equal(fixture->tails, 1);
	/* and that is all */
	assert_int_equal(fixture->taken + dropped(fixture), 0);
	assert_int_equal(intake_stacks(fixture->intake), 0);
	assert_int_equal(fixture->batch->stack_count, 0);
	want.tail.slice_bytes = 1024; /* it has none */
	keep_rec(fixture, &want.stack.rec.sample);
	intake_take(fixture->intake);
	assert_int_equal(fixture->tails, 1);
	assert_int_equal(fixture->taken + dropped(fixture), 0);
	/* The same of a sample is one. */
	want.stack.rec.flags = STACK_TAIL;
	want.tail.slice_bytes = 0;
	keep_rec(fixture, &want.stack.rec.sample);
	intake_take(fixture->intake);
	assert_int_equal(fixture->batch->sample_count, 1);
	assert_int_equal(fixture->tails, 2);
	expect_law(fixture);
}

/* A thread may wait on its stack for an hour: as long as it tells of it the stack is known. */
static void stacks_that_are_named_stay(void **state)
{
	struct fixture *fixture = *state;
	know(fixture, PID, HASH);
	know(fixture, PID, HASH + 1);
	intake_take(fixture->intake);
	for (uint32_t generation = 2; generation < 9; generation++) {
		struct rec_wait wait = wait_of(HASH);
		keep_rec(fixture, &wait.sample);
		intake_take(fixture->intake);
		intake_next_generation(fixture->intake, generation);
	}
	assert_int_equal(fixture->batch->wait_count, 7);
	assert_int_equal(intake_stacks(fixture->intake), 1);
	expect_law(fixture);
}

static void switches_belong_to_no_ledger(void **state)
{
	struct fixture *fixture = *state;
	struct rec_switch traced = switch_of(HASH, WAKER_HASH);
	know(fixture, PID, HASH);
	know(fixture, WAKER_PID, WAKER_HASH);
	keep_rec(fixture, &traced.wait.sample);
	intake_take(fixture->intake);
	const struct batch *batch = fixture->batch;
	assert_int_equal(batch->switch_count, 1);
	const struct raw_switch *raw = &batch->switches[0];
	assert_int_equal(batch->threads[raw->thread].tid, TID);
	assert_int_equal(batch->threads[raw->waker_thread].pid, WAKER_PID);
	assert_int_equal(batch->threads[raw->waker_thread].tid, WAKER_TID);
	assert_true(raw->stack < batch->stack_count && raw->waker_stack < batch->stack_count);
	assert_int_not_equal(raw->stack, raw->waker_stack);
	assert_int_equal(raw->rec.session, 3);
	assert_int_equal(fixture->taken + dropped(fixture) + batch_samples(batch), 0);
}

static void what_a_switch_does_not_know(void **state)
{
	struct fixture *fixture = *state;
	static const struct {
		uint64_t hash, waker_hash;
		uint32_t waker_tid;
		bool has_stack, has_waker_stack, has_waker, is_lost;
	} rows[] = {
		{UNKNOWN, WAKER_HASH, WAKER_TID, false, false, false, true},
		{UNKNOWN, 0, 0, false, false, false, true},
		{0, UNKNOWN, WAKER_TID, false, false, true, false},
		{HASH, UNKNOWN, WAKER_TID, true, false, true, false},
		{HASH, 0, WAKER_TID, true, false, true, false},
		{HASH, 0, 0, true, false, false, false}, /* woken by an interrupt */
		{0, 0, 0, false, false, false, false},
		{0, WAKER_HASH, WAKER_TID, false, true, true, false},
	};
	know(fixture, PID, HASH);
	know(fixture, WAKER_PID, WAKER_HASH);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct rec_switch traced = switch_of(rows[i].hash, rows[i].waker_hash);
		traced.waker_tid = rows[i].waker_tid;
		fill(fixture);
		keep_rec(fixture, &traced.wait.sample);
		intake_take(fixture->intake);
		intake_take(fixture->intake);
		const struct batch *batch = fixture->batch;
		assert_int_equal(batch->lost_switches, rows[i].is_lost);
		assert_int_equal(batch->switch_count, !rows[i].is_lost);
		if (rows[i].is_lost)
			continue;
		const struct raw_switch *raw = &batch->switches[0];
		assert_int_equal(batch->threads[raw->thread].tid, TID);
		assert_int_equal(raw->stack != BATCH_NONE, rows[i].has_stack);
		assert_int_equal(raw->waker_stack != BATCH_NONE, rows[i].has_waker_stack);
		assert_int_equal(raw->waker_thread != BATCH_NONE, rows[i].has_waker);
	}
	assert_int_equal(fixture->taken + dropped(fixture), 0);
}

static void a_wakers_stack_is_waited_for(void **state)
{
	struct fixture *fixture = *state;
	struct rec_switch traced = switch_of(HASH, WAKER_HASH);
	know(fixture, PID, HASH);
	keep_rec(fixture, &traced.wait.sample);
	intake_take(fixture->intake);
	assert_int_equal(fixture->batch->switch_count, 0);
	know(fixture, WAKER_PID, WAKER_HASH);
	intake_take(fixture->intake);
	assert_int_equal(fixture->batch->switch_count, 1);
	assert_int_not_equal(fixture->batch->switches[0].waker_stack, BATCH_NONE);
}

static void what_is_kept_is_limited(void **state)
{
	struct fixture *fixture = *state;
	enum { FIT = (1 << 20) / sizeof(struct rec_wait) };
	struct rec_wait wait = wait_of(HASH);
	know(fixture, PID, HASH);
	intake_take(fixture->intake);
	for (size_t i = 0; i < FIT + 5; i++)
		keep_rec(fixture, &wait.sample);
	intake_take(fixture->intake);
	assert_int_equal(fixture->batch->wait_count, FIT);
	assert_int_equal(fixture->dropped[DROP_NO_MEMORY], 5);
	expect_law(fixture);
	keep_rec(fixture, &wait.sample); /* and there is room again */
	intake_take(fixture->intake);
	assert_int_equal(fixture->batch->wait_count, FIT + 1);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_stack_alone_is_no_sample),
		TEST(a_wait_is_a_sample_of_the_stack_it_names),
		TEST(who_has_ended_has_a_name),
		TEST(an_orphan_waits_for_one_round),
		TEST(malformed_records),
		TEST(a_lost_stack_alone_is_no_loss),
		TEST(rows_are_wanted),
		TEST(stacks_that_are_named_stay),
		TEST(switches_belong_to_no_ledger),
		TEST(what_a_switch_does_not_know),
		TEST(a_wakers_stack_is_waited_for),
		TEST(what_is_kept_is_limited),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
