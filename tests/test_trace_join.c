#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/array.h"
#include "profile/folded.h"
#include "profiler/trace_join.h"

/* Threads 1, 2, 3 are a, b, c with tids 11, 12, 13; each has a stack "main;wait_X" and one
 * "main;wake_X". */
struct scene {
	struct profile *tables;
	uint32_t threads[4], waits[4], wakes[4];
	uint32_t pipe, preempted;
};

static uint32_t stack_of(struct profile *profile, const char *leaf)
{
	uint32_t location, stack;
	assert_int_equal(profile_add_named_location(profile, "main", &location), 0);
	assert_int_equal(profile_add_stack(profile, 0, location, &stack), 0);
	assert_int_equal(profile_add_named_location(profile, leaf, &location), 0);
	assert_int_equal(profile_add_stack(profile, stack, location, &stack), 0);
	return stack;
}

static void add_thread(struct scene *scene, int number, const char *name)
{
	struct profile *tables = scene->tables;
	struct profile_label label = {0};
	struct profile_thread thread = {.pid = 10, .tid = 10 + (uint32_t)number};
	assert_int_equal(profile_add_string(tables, "comm", &label.key), 0);
	assert_int_equal(profile_add_string(tables, name, &label.value), 0);
	assert_int_equal(profile_add_label_set(tables, &label, 1, &thread.label_set), 0);
	thread.name = label.value;
	assert_int_equal(profile_add_thread(tables, &thread, &scene->threads[number]), 0);
	char leaf[16];
	snprintf(leaf, sizeof(leaf), "wait_%.2s", name);
	scene->waits[number] = stack_of(tables, leaf);
	snprintf(leaf, sizeof(leaf), "wake_%.2s", name);
	scene->wakes[number] = stack_of(tables, leaf);
}

static void scene_init(struct scene *scene)
{
	*scene = (struct scene){0};
	assert_int_equal(profile_new(&scene->tables, PROFILE_OFFCPU), 0);
	add_thread(scene, 1, "a");
	add_thread(scene, 2, "b");
	add_thread(scene, 3, "c");
	struct profile_wait wait = {.reason = WAIT_PIPE};
	assert_int_equal(profile_add_wait(scene->tables, &wait, &scene->pipe), 0);
	wait.reason = WAIT_PREEMPTED;
	assert_int_equal(profile_add_wait(scene->tables, &wait, &scene->preempted), 0);
}

/* who waits from out to in and is woken by waker (0: an interrupt). */
static struct named_switch sleeping(const struct scene *scene, int who, uint64_t out,
				    uint64_t waking, uint64_t in, int waker)
{
	return (struct named_switch){
		.thread = scene->threads[who],
		.stack = scene->waits[who],
		.wait = scene->pipe,
		.waker_thread = waker ? scene->threads[waker] : 0,
		.waker_stack = waker ? scene->wakes[waker] : 0,
		.out_mono_ns = out,
		.waking_mono_ns = waking,
		.in_mono_ns = in,
		.weight_ns = (int64_t)(in - out),
	};
}

static void join_as_text(struct trace_views *views, const struct scene *scene,
			 const struct named_switch *switches, size_t count,
			 const struct trace_kept *kept, size_t kept_count)
{
	struct err err = {0};
	struct trace_waits waits = {scene->tables, switches, count, kept, kept_count};
	if (trace_join(views, &waits, &err))
		fail_msg("%s", err.text);
}

static void assert_folded(const struct profile *profile, const char *expected)
{
	struct err err = {0};
	AUTO_FINI(buf_fini) struct buf out;
	buf_init(&out, 1 << 16);
	assert_int_equal(folded_encode(&out, profile, &err), 0);
	buf_append_u8(&out, 0);
	assert_string_equal(out.data, expected);
}

static void test_chain(void **state)
{
	(void)state;
	struct scene scene;
	struct trace_views views;
	scene_init(&scene);
	const struct named_switch switches[] = {
		sleeping(&scene, 3, 20, 500, 500, 0), /* c sleeps until a timer ends it */
		sleeping(&scene, 2, 10, 600, 600, 3), /* c wakes b */
		sleeping(&scene, 1, 0, 700, 800, 2),  /* b wakes a, which gets no CPU for 100 */
	};
	join_as_text(&views, &scene, switches, ARRAY_LEN(switches), NULL, 0);
	assert_folded(views.offwake,
		      "a;main;wait_a;[pipe];[woken by];wake_b;main;[b];[which waited in];main;"
		      "wait_b;[pipe];[woken by];wake_c;main;[c];[which waited in];main;wait_c;"
		      "[pipe];[woken by];[interrupt] 700\n"
		      "a;main;wait_a;[run_queue] 100\n"
		      "b;main;wait_b;[pipe];[woken by];wake_c;main;[c];[which waited in];main;"
		      "wait_c;[pipe];[woken by];[interrupt] 590\n"
		      "c;main;wait_c;[pipe];[woken by];[interrupt] 480\n");
	assert_folded(views.waits, "a;main;wait_a;[pipe] 700\na;main;wait_a;[run_queue] 100\n"
				   "b;main;wait_b;[pipe] 590\nc;main;wait_c;[pipe] 480\n");
	assert_folded(views.wakers, "[interrupt];[wakes c] 480\nb;main;wake_b;[wakes a] 700\n"
				    "c;main;wake_c;[wakes b] 590\n");
	trace_views_fini(&views);
	profile_free(scene.tables);
}

/* A wait that was over before ours began has nothing to do with it; nor has one that began after the
 * waking. Of those between the longest counts. */
static void test_causes(void **state)
{
	(void)state;
	struct scene scene;
	struct trace_views views;
	scene_init(&scene);
	const struct {
		struct named_switch cause;
		bool is_one;
	} rows[] = {
		{sleeping(&scene, 2, 0, 90, 100, 0), false},
		{sleeping(&scene, 2, 0, 90, 101, 0), true},
		{sleeping(&scene, 2, 150, 190, 200, 0), true},
		{sleeping(&scene, 2, 150, 190, 201, 0), false},
		{sleeping(&scene, 2, 210, 220, 230, 0), false},
		{sleeping(&scene, 3, 150, 160, 170, 0), false},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct named_switch switches[] = {sleeping(&scene, 1, 100, 200, 200, 2),
							rows[i].cause};
		join_as_text(&views, &scene, switches, ARRAY_LEN(switches), NULL, 0);
		AUTO_FINI(buf_fini) struct buf out;
		buf_init(&out, 1 << 16);
		assert_int_equal(folded_encode(&out, views.offwake, NULL), 0);
		buf_append_u8(&out, 0);
		if ((strstr(out.data, "[which waited in]") != NULL) != rows[i].is_one)
			fail_msg("row %zu: %s", i, out.data);
		trace_views_fini(&views);
	}
	profile_free(scene.tables);
}

/* Two that wake each other for ever: the chain ends. */
static void test_long_chains_end(void **state)
{
	(void)state;
	struct scene scene;
	struct trace_views views;
	struct named_switch switches[40];
	scene_init(&scene);
	for (size_t i = 0; i < ARRAY_LEN(switches); i++) {
		int who = 1 + (int)(i % 2);
		switches[i] = sleeping(&scene, who, i, 100 + i, 100 + i, 3 - who);
	}
	join_as_text(&views, &scene, switches, ARRAY_LEN(switches), NULL, 0);
	AUTO_FINI(buf_fini) struct buf out;
	buf_init(&out, 1 << 20);
	assert_int_equal(folded_encode(&out, views.offwake, NULL), 0);
	buf_append_u8(&out, 0);
	size_t most = 0;
	for (char *line = strtok(out.data, "\n"); line; line = strtok(NULL, "\n")) {
		size_t hops = 0;
		for (char *at = line; (at = strstr(at, "[woken by]")) != NULL; at++)
			hops++;
		most = hops > most ? hops : most;
	}
	assert_int_equal(most, TRACE_MAX_HOPS);
	trace_views_fini(&views);
	profile_free(scene.tables);
}

/* Sums are the kernel's, whatever was sampled, lost, or never sent. */
static void test_sums_are_kept(void **state)
{
	(void)state;
	struct scene scene;
	struct trace_views views;
	scene_init(&scene);
	const struct trace_kept kept[] = {
		{10, 11, "a", 3000, 30}, {10, 13, "c", 77, 7}, {10, 14, "nobody", 0, 0}};
	struct named_switch switches[] = {
		sleeping(&scene, 1, 0, 100, 100, 2),
		sleeping(&scene, 1, 200, 250, 250, 2),
		sleeping(&scene, 2, 0, 40, 40, 0),
	};
	switches[1].stack = scene.wakes[1];
	switches[2].wait = scene.preempted;
	join_as_text(&views, &scene, switches, ARRAY_LEN(switches), kept, ARRAY_LEN(kept));
	assert_folded(views.waits, "a;main;wait_a;[pipe] 2000\na;main;wake_a;[pipe] 1000\n"
				   "b;main;wait_b;[preempted] 40\nc;[no stack taken];[other] 77\n");
	assert_int_equal(profile_total_weight(views.offwake), 3117);
	trace_views_fini(&views);
	profile_free(scene.tables);
}

static void test_nothing(void **state)
{
	(void)state;
	struct scene scene;
	struct trace_views views;
	scene_init(&scene);
	join_as_text(&views, &scene, NULL, 0, NULL, 0);
	assert_int_equal(views.waits->sample_count + views.wakers->sample_count +
				 views.offwake->sample_count,
			 0);
	trace_views_fini(&views);
	profile_free(scene.tables);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_chain),           cmocka_unit_test(test_causes),
		cmocka_unit_test(test_long_chains_end), cmocka_unit_test(test_sums_are_kept),
		cmocka_unit_test(test_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
