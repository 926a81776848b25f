#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/array.h"
#include "profiler/batch_queue.h"

static struct batch *batch_of(uint64_t number, size_t samples)
{
	struct batch *batch;
	assert_int_equal(batch_new(&batch, number), 0);
	for (size_t i = 0; i < samples; i++)
		assert_int_equal(batch_add_sample(batch, &(struct raw_sample){0}), 0);
	return batch;
}

static struct batch_queue *queue_of(size_t max_samples)
{
	struct batch_queue *queue;
	assert_int_equal(batch_queue_new(&queue, max_samples), 0);
	return queue;
}

static void what_does_not_fit_stays_with_the_caller(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		size_t there, next;
		bool fits;
	} rows[] = {
		{"one too many", 6, 5, false},         {"far too many", 1, 100, false},
		{"behind an empty one", 0, 11, false}, {"exactly", 6, 4, true},
		{"an empty one", 10, 0, true},         {"two of nothing", 0, 0, true},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO(batch_queue) queue = queue_of(10);
		assert_true(batch_queue_push(queue, batch_of(1, rows[i].there)));
		struct batch *next = batch_of(2, rows[i].next);
		bool fits = batch_queue_push(queue, next);
		if (fits != rows[i].fits)
			fail_msg("%s", rows[i].name);
		if (!fits)
			batch_free(next);
	}
}

static void an_empty_queue_takes_any_batch(void **state)
{
	(void)state;
	AUTO(batch_queue) queue = queue_of(1);
	assert_true(batch_queue_push(queue, batch_of(1, 50)));
	batch_free(batch_queue_pop(queue));
	assert_true(batch_queue_push(queue, batch_of(2, 50)));
}

static void batches_are_limited_too(void **state)
{
	(void)state;
	AUTO(batch_queue) queue = queue_of(SIZE_MAX);
	uint64_t pushed = 0;
	for (;;) {
		struct batch *batch = batch_of(pushed, 0);
		if (!batch_queue_push(queue, batch)) {
			batch_free(batch);
			break;
		}
		pushed++;
	}
	assert_int_equal(pushed, 128);
}

static void in_order_around_the_circle(void **state)
{
	(void)state;
	AUTO(batch_queue) queue = queue_of(100);
	for (uint64_t i = 0; i < 1000; i++) {
		assert_true(batch_queue_push(queue, batch_of(i, 1)));
		if (i < 50)
			continue;
		AUTO(batch) batch = batch_queue_pop(queue);
		assert_int_equal(batch->start_mono_ns, i - 50);
	}
}

static void closed_means_no_more(void **state)
{
	(void)state;
	AUTO(batch_queue) queue = queue_of(10);
	assert_true(batch_queue_push(queue, batch_of(1, 1)));
	batch_queue_close(queue);
	AUTO(batch) late = batch_of(2, 1);
	assert_false(batch_queue_push(queue, late));
	batch_free(batch_queue_pop(queue)); /* what was in it still comes out */
	assert_null(batch_queue_pop(queue));
	assert_null(batch_queue_pop(queue));
}

enum { BATCHES = 5000 };

struct totals {
	struct batch_queue *queue;
	uint64_t batches, samples, dropped;
	uint64_t last;
};

static void *consume(void *ctx)
{
	struct totals *totals = ctx;
	for (;;) {
		AUTO(batch) batch = batch_queue_pop(totals->queue);
		if (!batch)
			return NULL;
		assert(batch->start_mono_ns > totals->last);
		totals->last = batch->start_mono_ns;
		totals->batches++;
		totals->samples += batch->sample_count;
	}
}

static void *produce(void *ctx)
{
	struct totals *totals = ctx;
	for (uint64_t i = 1; i <= BATCHES; i++) {
		struct batch *batch = batch_of(i, i % 7);
		size_t samples = batch->sample_count;
		if (batch_queue_push(totals->queue, batch))
			continue;
		totals->dropped += samples;
		batch_free(batch);
		usleep(100);
	}
	batch_queue_close(totals->queue);
	return NULL;
}

/* Whatever goes in comes out, or the producer knows that it did not go in. */
static void two_threads(void **state)
{
	(void)state;
	AUTO(batch_queue) queue = queue_of(20);
	struct totals in = {.queue = queue}, out = {.queue = queue};
	pthread_t producer, consumer;
	assert_int_equal(pthread_create(&consumer, NULL, consume, &out), 0);
	assert_int_equal(pthread_create(&producer, NULL, produce, &in), 0);
	pthread_join(producer, NULL);
	pthread_join(consumer, NULL);
	uint64_t all = 0;
	for (uint64_t i = 1; i <= BATCHES; i++)
		all += i % 7;
	assert_int_equal(out.samples + in.dropped, all);
	assert_true(out.batches > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_does_not_fit_stays_with_the_caller),
		cmocka_unit_test(an_empty_queue_takes_any_batch),
		cmocka_unit_test(batches_are_limited_too),
		cmocka_unit_test(in_order_around_the_circle),
		cmocka_unit_test(closed_means_no_more),
		cmocka_unit_test(two_threads),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
