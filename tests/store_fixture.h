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

/* Does a selector mean the sample, in a query of that type? */
typedef bool (*meant_fn)(const struct known_sample *sample, enum profile_type type);

static inline bool is_any(const struct known_sample *sample, enum profile_type type)
{
	(void)sample;
	(void)type;
	return true;
}

static inline bool is_api(const struct known_sample *sample, enum profile_type type)
{
	(void)type;
	const char *service = thread_service(sample->thread);
	return service && !strcmp(service, "api");
}

static inline bool is_comm_2_or_3(const struct known_sample *sample, enum profile_type type)
{
	(void)type;
	return sample->thread % 5 == 2 || sample->thread % 5 == 3;
}

static inline bool is_tid_1007(const struct known_sample *sample, enum profile_type type)
{
	(void)type;
	return sample->thread == 7;
}

static inline bool is_without_service(const struct known_sample *sample, enum profile_type type)
{
	(void)type;
	return !thread_service(sample->thread);
}

static inline bool is_none(const struct known_sample *sample, enum profile_type type)
{
	(void)sample;
	(void)type;
	return false;
}

static inline bool is_lock(const struct known_sample *sample, enum profile_type type)
{
	(void)type;
	return known_reason(sample->wait) == WAIT_LOCK;
}

static inline bool is_busy(const struct known_sample *sample, enum profile_type type)
{
	(void)type;
	return sample->wait != IDLE_WAIT;
}

static inline bool is_port_5433_of_api(const struct known_sample *sample, enum profile_type type)
{
	return sample->wait == 3 && is_api(sample, type);
}

static inline bool is_running(const struct known_sample *sample, enum profile_type type)
{
	return !sample->wait && type == PROFILE_WALL;
}

static inline bool has_no_reason(const struct known_sample *sample, enum profile_type type)
{
	return !sample->wait && type == PROFILE_CPU;
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
	{"{reason=\"lock\"}", is_lock},
	{"{idle!=\"true\"}", is_busy},
	{"{waits_on=~\"tcp.*:5433\",service_name=\"api\"}", is_port_5433_of_api},
	{"{reason=\"running\"}", is_running},
	{"{reason=\"\"}", has_no_reason},
	{"{reason=\"lock\",idle=\"true\",reason!=\"lock\"}", is_none},
};

/* What of a sample is in a range: a wait as far as it is inside, counted where it ends. */
struct part {
	bool is_inside;
	int64_t weight;
	uint64_t count;
};

static inline struct part part_of(const struct known_sample *sample, int64_t from_unix_ns,
				  int64_t until_unix_ns)
{
	int64_t end = sample->time_unix_ns;
	int64_t start = end;
	if (sample->wait) /* from one whole us to another; times have no ns here */
		start = (end - sample->weight) / NS_PER_US * NS_PER_US;
	struct part part = {0};
	if (start == end) {
		part.is_inside = end >= from_unix_ns && end < until_unix_ns;
		part.weight = part.is_inside && !sample->wait ? sample->weight : 0;
		part.count = part.is_inside;
		return part;
	}
	part.count = end > from_unix_ns && end <= until_unix_ns;
	if (start < from_unix_ns)
		start = from_unix_ns;
	if (end > until_unix_ns)
		end = until_unix_ns;
	part.is_inside = start < end;
	part.weight = part.is_inside ? end - start : 0;
	return part;
}

static inline bool is_asked(const struct known_sample *sample, const struct store_query *query,
			    meant_fn is_meant, struct part *part)
{
	*part = part_of(sample, query->from_unix_ns, query->until_unix_ns);
	return (query->type == PROFILE_WALL || query->type == sample->type) && part->is_inside &&
	       is_meant(sample, query->type);
}

/* Naive sums by (stack, thread, wait). */
struct cube {
	struct part parts[STACKS][THREADS][WAITS];
};

/* Adds the part; true when the cell is new. */
static inline bool add_part(struct part *cell, const struct part *part)
{
	bool is_new = !cell->is_inside;
	cell->is_inside = true;
	cell->weight += part->weight;
	cell->count += part->count;
	return is_new;
}

static inline void check_cell(struct part *cell, const struct profile_sample *sample)
{
	assert_true(cell->is_inside);
	assert_int_equal(sample->time_unix_ns, 0);
	assert_int_equal(sample->weight, cell->weight);
	assert_int_equal(sample->count, cell->count);
	cell->is_inside = false; /* none twice */
}

static inline void check_profile(struct fixture *fixture, const struct store_query *query,
				 meant_fn is_meant)
{
	struct profile *profile = NULL;
	struct err err = {0};
	struct cube *cube = calloc(1, sizeof(*cube));
	size_t distinct = 0;
	for (size_t i = 0; i < fixture->known_count; i++) {
		const struct known_sample *s = &fixture->known[i];
		struct part part;
		if (is_asked(s, query, is_meant, &part))
			distinct += add_part(&cube->parts[s->stack][s->thread][s->wait], &part);
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
		assert_true(stack < STACKS && thread < THREADS);
		check_cell(&cube->parts[stack][thread][known_wait(profile, sample->wait)], sample);
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
	struct cube *cube = calloc(1, sizeof(*cube));
	size_t distinct = 0;
	for (size_t i = 0; i < fixture->known_count; i++) {
		const struct known_sample *s = &fixture->known[i];
		struct part part;
		if (is_asked(s, query, is_meant, &part))
			distinct += add_part(
				&cube->parts[s->stack][known_owner(s->thread)][s->wait], &part);
	}
	assert_int_equal(store_query_stacks(fixture->store, query, &profile, NULL), 0);
	assert_int_equal(profile->sample_count, distinct);
	for (size_t i = 0; i < profile->sample_count; i++) {
		const struct profile_sample *sample = &profile->samples[i];
		uint32_t stack = known_stack(profile, sample->stack);
		uint32_t owner = owner_of_labels(profile, sample->thread);
		check_cell(&cube->parts[stack][owner][known_wait(profile, sample->wait)], sample);
	}
	free(cube);
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
