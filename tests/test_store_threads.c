/*
 * Appends and queries of all kinds at once, in one process and beside another store that only
 * reads. Every answer is a whole number of batches, and never less than what was acknowledged
 * before it was asked for. Meant for ThreadSanitizer, too.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "tests/store_samples.h"

#define START_NS (INT64_C(1767322800) * NS_PER_S)

enum { APPENDS = 150, SAMPLES = 20, READERS = 3, WEIGHT = 1000 };

struct scene {
	struct store *writer;
	struct store *reader; /* another store, as in another process */
	atomic_int appended;
	atomic_int failures;
};

static void expect(struct scene *scene, bool is_true)
{
	if (!is_true)
		atomic_fetch_add(&scene->failures, 1);
}

static struct profile *make_uniform_batch(int number)
{
	struct known_sample samples[SAMPLES];
	for (uint32_t i = 0; i < SAMPLES; i++)
		samples[i] = (struct known_sample){.time_unix_ns = START_NS + number * NS_PER_S + i,
						   .stack = ((uint32_t)number * 3 + i) % STACKS,
						   .thread = ((uint32_t)number + i) % THREADS,
						   .weight = WEIGHT};
	return make_batch(PROFILE_CPU, START_NS + number * NS_PER_S, NS_PER_S, samples, SAMPLES);
}

static void *append_all(void *arg)
{
	struct scene *scene = arg;
	for (int i = 0; i < APPENDS; i++) {
		struct profile *batch = make_uniform_batch(i);
		expect(scene, store_append(scene->writer, batch, NULL, NULL) == 0);
		profile_free(batch);
		atomic_fetch_add(&scene->appended, 1);
	}
	return NULL;
}

static void ask_stacks(struct scene *scene, struct store *store, const struct store_query *query)
{
	int64_t least = atomic_load(&scene->appended);
	struct profile *profile = NULL;
	int rc = store_query_stacks(store, query, &profile, NULL);
	int64_t weight = rc ? -1 : profile_total_weight(profile);
	expect(scene, weight % (SAMPLES * WEIGHT) == 0);
	expect(scene, weight >= least * SAMPLES * WEIGHT);
	profile_free(profile);
}

static void ask_series(struct scene *scene, struct store *store, const struct store_query *query)
{
	int64_t least = atomic_load(&scene->appended);
	struct series_set *set = NULL;
	int rc = store_query_series(store, query, "comm", 10 * NS_PER_S, 3, &set, NULL);
	int64_t weight = 0;
	for (size_t i = 0; !rc && i < set->line_count; i++)
		weight += set->lines[i].total_ns;
	expect(scene, !rc && weight % (SAMPLES * WEIGHT) == 0);
	expect(scene, weight >= least * SAMPLES * WEIGHT);
	series_set_free(set);
}

static void ask_labels_and_stats(struct scene *scene, struct store *store,
				 const struct store_query *query)
{
	uint64_t least = (uint64_t)atomic_load(&scene->appended);
	struct series_set *set = NULL;
	struct store_stats stats = {0};
	expect(scene, store_query_labels(store, query, &set, NULL) == 0);
	series_set_free(set);
	expect(scene, store_stats(store, &stats, NULL) == 0);
	expect(scene, stats.samples >= least * SAMPLES);
}

struct asker {
	struct scene *scene;
	struct store *store;
};

static void *ask_all(void *arg)
{
	const struct asker *asker = arg;
	struct scene *scene = asker->scene;
	struct store_query query = {.type = PROFILE_CPU,
				    .from_unix_ns = START_NS,
				    .until_unix_ns = START_NS + APPENDS * NS_PER_S};
	do {
		ask_stacks(scene, asker->store, &query);
		ask_series(scene, asker->store, &query);
		ask_labels_and_stats(scene, asker->store, &query);
	} while (atomic_load(&scene->appended) < APPENDS);
	return NULL;
}

static struct store *open_store(const char *directory, bool writable)
{
	struct store *store = NULL;
	struct err err = {0};
	struct store_options options = {
		.directory = directory, .writable = writable, .partition_span_ns = 40 * NS_PER_S};
	if (store_open(&store, &options, &err))
		fail_msg("%s", err.text);
	return store;
}

static void test_at_once(void **state)
{
	(void)state;
	char directory[64] = "/tmp/hearth-test-threads-XXXXXX";
	assert_non_null(mkdtemp(directory));
	struct scene scene = {0};
	scene.writer = open_store(directory, true);
	scene.reader = open_store(directory, false);
	struct asker askers[READERS];
	pthread_t threads[READERS + 1];
	assert_int_equal(pthread_create(&threads[READERS], NULL, append_all, &scene), 0);
	for (int i = 0; i < READERS; i++) {
		askers[i] = (struct asker){&scene, i % 3 == 2 ? scene.reader : scene.writer};
		assert_int_equal(pthread_create(&threads[i], NULL, ask_all, &askers[i]), 0);
	}
	for (int i = 0; i <= READERS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(atomic_load(&scene.failures), 0);
	assert_int_equal(atomic_load(&scene.appended), APPENDS);
	store_free(scene.reader);
	store_free(scene.writer);
	remove_directory(directory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_at_once)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
