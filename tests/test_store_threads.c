/*
 * Appends and queries of all kinds at once, in one process and beside another store that only
 * reads. Every answer is a whole number of batches, and never less than what was acknowledged
 * before it was asked for. Meant for ThreadSanitizer, too.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "tests/store_samples.h"

#define START_NS (INT64_C(1767322800) * NS_PER_S)

enum { SAMPLES = 20, READERS = 3, WEIGHT = 1000, MAX_TOLD = 10 };

struct scene {
	struct store *writer;
	struct store *reader; /* another store, as in another process */
	int appends;
	int step; /* batches come in this order: 0, step, 2 * step, ... modulo appends */
	atomic_int appended;
	atomic_int failures;
};

/* The first failures say what they are about; later ones follow from them. */
__attribute__((format(printf, 3, 4))) static void expect(struct scene *scene, bool is_true,
							 const char *fmt, ...)
{
	if (is_true || atomic_fetch_add(&scene->failures, 1) >= MAX_TOLD)
		return;
	char text[512];
	va_list args;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	print_error("after %d appends: %s\n", atomic_load(&scene->appended), text);
}

static const char *name_of(const struct scene *scene, const struct store *store)
{
	return store == scene->writer ? "writer" : "reader";
}

/* Is the sum a whole number of batches, and of those that were acknowledged all? */
static void expect_sum(struct scene *scene, const struct store *store, const char *what,
		       int64_t sum, int64_t batch, int64_t least)
{
	expect(scene, sum % batch == 0 && sum >= least * batch,
	       "%s of the %s: %" PRId64 " of batches of %" PRId64 ", at least %" PRId64
	       " of which were stored",
	       what, name_of(scene, store), sum, batch, least);
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
	for (int i = 0; i < scene->appends; i++) {
		struct err err = {0};
		struct profile *batch = make_uniform_batch(i * scene->step % scene->appends);
		int rc = store_append(scene->writer, (const struct profile *[]){batch}, 1, NULL,
				      &err);
		expect(scene, rc == 0, "append: %d %s", rc, err.text);
		profile_free(batch);
		atomic_fetch_add(&scene->appended, 1);
	}
	return NULL;
}

static void ask_stacks(struct scene *scene, struct store *store, const struct store_query *query)
{
	int64_t least = atomic_load(&scene->appended);
	struct profile *profile = NULL;
	struct err err = {0};
	int rc = store_query_stacks(store, query, &profile, &err);
	expect(scene, rc == 0, "stacks of the %s: %d %s", name_of(scene, store), rc, err.text);
	if (rc)
		return;
	expect_sum(scene, store, "stacks", profile_total_weight(profile), SAMPLES * WEIGHT, least);
	profile_free(profile);
}

static void ask_series(struct scene *scene, struct store *store, const struct store_query *query)
{
	int64_t least = atomic_load(&scene->appended);
	struct series_set *set = NULL;
	struct err err = {0};
	int rc = store_query_series(store, query, "comm", 10 * NS_PER_S, 3, &set, &err);
	expect(scene, rc == 0, "series of the %s: %d %s", name_of(scene, store), rc, err.text);
	if (rc)
		return;
	int64_t weight = 0;
	for (size_t i = 0; i < set->line_count; i++)
		weight += set->lines[i].total_ns;
	expect_sum(scene, store, "series", weight, SAMPLES * WEIGHT, least);
	series_set_free(set);
}

static void ask_labels_and_stats(struct scene *scene, struct store *store,
				 const struct store_query *query)
{
	int64_t least = atomic_load(&scene->appended);
	struct series_set *set = NULL;
	struct store_stats stats = {0};
	struct err err = {0};
	int rc = store_query_labels(store, query, &set, &err);
	expect(scene, rc == 0, "labels of the %s: %d %s", name_of(scene, store), rc, err.text);
	series_set_free(set);
	rc = store_stats(store, &stats, &err);
	expect(scene, rc == 0, "stats of the %s: %d %s", name_of(scene, store), rc, err.text);
	if (!rc)
		expect_sum(scene, store, "stats", (int64_t)stats.samples, SAMPLES, least);
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
				    .until_unix_ns = START_NS + scene->appends * NS_PER_S};
	do {
		ask_stacks(scene, asker->store, &query);
		ask_series(scene, asker->store, &query);
		ask_labels_and_stats(scene, asker->store, &query);
	} while (atomic_load(&scene->appended) < scene->appends);
	return NULL;
}

static struct store *open_store(const char *directory, bool writable, int64_t span_s)
{
	struct store *store = NULL;
	struct err err = {0};
	struct store_options options = {.directory = directory,
					.writable = writable,
					.partition_span_ns = span_s * NS_PER_S};
	if (store_open(&store, &options, &err))
		fail_msg("%s", err.text);
	return store;
}

/* Nothing is damaged here. */
static void fail_on_notice(void *ctx, const char *text)
{
	struct scene *scene = ctx;
	atomic_fetch_add(&scene->failures, 1);
	print_error("notice: %s\n", text);
}

static void ask_while_appending(int appends, int step, int64_t span_s)
{
	char directory[64] = "/tmp/hearth-test-threads-XXXXXX";
	assert_non_null(mkdtemp(directory));
	struct scene scene = {.appends = appends, .step = step};
	scene.writer = open_store(directory, true, span_s);
	scene.reader = open_store(directory, false, span_s);
	struct asker askers[READERS];
	pthread_t threads[READERS + 1];
	assert_int_equal(pthread_create(&threads[READERS], NULL, append_all, &scene), 0);
	for (int i = 0; i < READERS; i++) {
		askers[i] = (struct asker){&scene, i % 3 == 2 ? scene.reader : scene.writer};
		assert_int_equal(pthread_create(&threads[i], NULL, ask_all, &askers[i]), 0);
	}
	for (int i = 0; i <= READERS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	store_notices(scene.writer, fail_on_notice, &scene);
	store_notices(scene.reader, fail_on_notice, &scene);
	assert_int_equal(atomic_load(&scene.failures), 0);
	assert_int_equal(atomic_load(&scene.appended), appends);
	store_free(scene.reader);
	store_free(scene.writer);
	remove_directory(directory);
}

static void test_in_order(void **state)
{
	(void)state;
	ask_while_appending(150, 1, 40);
}

/* Each append makes a partition or opens one that was at rest, and puts another to rest. */
static void test_across_partitions(void **state)
{
	(void)state;
	ask_while_appending(50, 17, 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_in_order),
		cmocka_unit_test(test_across_partitions),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
