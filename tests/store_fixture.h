/*
 * store_fixture: a store in a directory of its own, all that was appended to it, and queries
 * compared with naive sums over that.
 */
#pragma once
#include <fcntl.h>
#include <sys/mount.h>
#include <unistd.h>

#include "base/array.h"
#include "tests/store_samples.h"

/* 2026-01-02T03:00:00Z, a multiple of 3600 s. */
#define START_S  INT64_C(1767322800)
#define START_NS (START_S * NS_PER_S)

enum { MAX_KNOWN = 200000 };

struct fixture {
	char directory[64];
	struct store *store;
	struct known_sample *known;
	size_t known_count;
	uint64_t random;
};

static inline void open_store(struct fixture *fixture, bool writable, int64_t span_ns)
{
	struct err err = {0};
	struct store_options options = {.directory = fixture->directory,
					.writable = writable,
					.partition_span_ns = span_ns};
	if (store_open(&fixture->store, &options, &err))
		fail_msg("%s", err.text);
}

static inline void close_store(struct fixture *fixture)
{
	store_free(fixture->store);
	fixture->store = NULL;
}

static inline int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	fixture->known = calloc(MAX_KNOWN, sizeof(*fixture->known));
	fixture->random = 88172645463325252u;
	snprintf(fixture->directory, sizeof(fixture->directory), "%s",
		 "/tmp/hearth-test-store-XXXXXX");
	assert_non_null(mkdtemp(fixture->directory));
	*state = fixture;
	return 0;
}

static inline int tear_down(void **state)
{
	struct fixture *fixture = *state;
	store_free(fixture->store);
	umount2(fixture->directory, MNT_DETACH); /* of test_disk_full, should it have failed */
	remove_directory(fixture->directory);
	free(fixture->known);
	free(fixture);
	return 0;
}

/* One batch a second of random samples, remembered. */
static inline void append_seconds(struct fixture *fixture, enum profile_type type,
				  int64_t start_unix_ns, int seconds, size_t count)
{
	for (int i = 0; i < seconds; i++) {
		struct known_sample *samples = fixture->known + fixture->known_count;
		assert_true(fixture->known_count + count <= MAX_KNOWN);
		random_samples(&fixture->random, type, start_unix_ns + i * NS_PER_S, samples,
			       count);
		append_samples(fixture->store, type, start_unix_ns + i * NS_PER_S, samples, count);
		fixture->known_count += count;
	}
}

typedef bool (*meant_fn)(uint32_t thread);

static inline bool is_any(uint32_t thread)
{
	(void)thread;
	return true;
}

static inline bool is_api(uint32_t thread)
{
	const char *service = thread_service(thread);
	return service && !strcmp(service, "api");
}

static inline bool is_comm_2_or_3(uint32_t thread)
{
	return thread % 5 == 2 || thread % 5 == 3;
}

static inline bool is_tid_1007(uint32_t thread)
{
	return thread == 7;
}

static inline bool is_without_service(uint32_t thread)
{
	return !thread_service(thread);
}

static inline bool is_none(uint32_t thread)
{
	(void)thread;
	return false;
}

static const struct {
	const char *text;
	meant_fn is_meant;
} selectors[] = {
	{"{}", is_any},
	{"{service_name=\"api\"}", is_api},
	{"{comm=~\"comm[23]\"}", is_comm_2_or_3},
	{"{tid=\"1007\"}", is_tid_1007},
	{"{thread=\"worker-7\",pid=\"101\"}", is_tid_1007},
	{"{service_name=\"\"}", is_without_service},
	{"{comm=\"nobody\"}", is_none},
};

static inline bool is_asked(const struct known_sample *sample, const struct store_query *query,
			    meant_fn is_meant)
{
	return (query->type == PROFILE_WALL || query->type == sample->type) &&
	       sample->time_unix_ns >= query->from_unix_ns &&
	       sample->time_unix_ns < query->until_unix_ns && is_meant(sample->thread);
}

/* Naive sums by (stack, thread, wait). */
struct cube {
	int64_t weight[STACKS][THREADS][WAITS];
	uint64_t count[STACKS][THREADS][WAITS];
};

static inline void check_profile(struct fixture *fixture, const struct store_query *query,
				 meant_fn is_meant)
{
	struct profile *profile = NULL;
	struct err err = {0};
	struct cube *cube = calloc(1, sizeof(*cube));
	size_t distinct = 0;
	for (size_t i = 0; i < fixture->known_count; i++) {
		const struct known_sample *s = &fixture->known[i];
		if (!is_asked(s, query, is_meant))
			continue;
		distinct += !cube->count[s->stack][s->thread][s->wait]++;
		cube->weight[s->stack][s->thread][s->wait] += s->weight;
	}
	int rc = store_query_profile(fixture->store, query, &profile, &err);
	if (rc)
		fail_msg("%s", err.text);
	assert_int_equal(profile->type, query->type);
	assert_int_equal(profile->sample_count, distinct);
	for (size_t i = 0; i < profile->sample_count; i++) {
		const struct profile_sample *sample = &profile->samples[i];
		uint32_t stack = known_stack(profile, sample->stack);
		uint32_t thread = profile->threads[sample->thread].tid - 1000;
		assert_int_equal(sample->time_unix_ns, 0);
		uint32_t wait = known_wait(profile, sample->wait);
		assert_true(stack < STACKS && thread < THREADS);
		assert_int_equal(sample->weight, cube->weight[stack][thread][wait]);
		assert_int_equal(sample->count, cube->count[stack][thread][wait]);
		cube->count[stack][thread][wait] = 0; /* none twice */
	}
	free(cube);
	profile_free(profile);
}

/* Label sets are told apart by (comm, service); threads of equal ones are one. */
static inline uint32_t known_owner(uint32_t thread)
{
	for (uint32_t i = 0; i < thread; i++) {
		const char *a = thread_service(i);
		const char *b = thread_service(thread);
		if (i % 5 == thread % 5 && !strcmp(a ? a : "", b ? b : ""))
			return i;
	}
	return thread;
}

static inline uint32_t owner_of_labels(const struct profile *profile, uint32_t thread)
{
	char scratch[PROFILE_LABEL_SCRATCH_BYTES];
	const char *comm = profile_thread_label(profile, thread, "comm", scratch);
	const char *service = profile_thread_label(profile, thread, "service_name", scratch);
	assert_int_equal(profile->threads[thread].tid, 0);
	assert_int_equal(profile->threads[thread].pid, 0);
	for (uint32_t i = 0; i < THREADS; i++) {
		const char *known = thread_service(i);
		if (comm && (uint32_t)(comm[4] - '0') == i % 5 &&
		    !strcmp(service ? service : "", known ? known : ""))
			return i;
	}
	fail_msg("labels of nobody");
	return 0;
}

static inline void check_stacks(struct fixture *fixture, const struct store_query *query,
				meant_fn is_meant)
{
	struct profile *profile = NULL;
	static int64_t sums[STACKS][THREADS];
	size_t distinct = 0;
	memset(sums, 0xff, sizeof(sums)); /* -1: none */
	for (size_t i = 0; i < fixture->known_count; i++) {
		const struct known_sample *s = &fixture->known[i];
		if (!is_asked(s, query, is_meant))
			continue;
		int64_t *sum = &sums[s->stack][known_owner(s->thread)];
		distinct += *sum < 0;
		*sum = (*sum < 0 ? 0 : *sum) + s->weight;
	}
	assert_int_equal(store_query_stacks(fixture->store, query, &profile, NULL), 0);
	assert_int_equal(profile->sample_count, distinct);
	for (size_t i = 0; i < profile->sample_count; i++) {
		const struct profile_sample *sample = &profile->samples[i];
		uint32_t stack = known_stack(profile, sample->stack);
		uint32_t owner = owner_of_labels(profile, sample->thread);
		assert_int_equal(sample->weight, sums[stack][owner]);
		assert_int_equal(sample->wait, 0);
		sums[stack][owner] = -1;
	}
	profile_free(profile);
}

static inline void check_query(struct fixture *fixture, enum profile_type type,
			       int64_t from_unix_ns, int64_t until_unix_ns)
{
	for (size_t i = 0; i < ARRAY_LEN(selectors); i++) {
		AUTO(selector) selector = NULL;
		assert_int_equal(selector_parse(&selector, selectors[i].text, NULL), 0);
		struct store_query query = {.type = type,
					    .from_unix_ns = from_unix_ns,
					    .until_unix_ns = until_unix_ns,
					    .selector = selector};
		check_profile(fixture, &query, selectors[i].is_meant);
		check_stacks(fixture, &query, selectors[i].is_meant);
	}
}

static inline void check_all_types(struct fixture *fixture, int64_t from_unix_ns,
				   int64_t until_unix_ns)
{
	check_query(fixture, PROFILE_CPU, from_unix_ns, until_unix_ns);
	check_query(fixture, PROFILE_OFFCPU, from_unix_ns, until_unix_ns);
	check_query(fixture, PROFILE_WALL, from_unix_ns, until_unix_ns);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
