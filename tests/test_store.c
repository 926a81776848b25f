#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sqlite3.h>

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

static void open_store(struct fixture *fixture, bool writable, int64_t span_ns)
{
	struct err err = {0};
	struct store_options options = {.directory = fixture->directory,
					.writable = writable,
					.partition_span_ns = span_ns};
	if (store_open(&fixture->store, &options, &err))
		fail_msg("%s", err.text);
}

static void close_store(struct fixture *fixture)
{
	store_free(fixture->store);
	fixture->store = NULL;
}

static int set_up(void **state)
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

static int tear_down(void **state)
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
static void append_seconds(struct fixture *fixture, enum profile_type type, int64_t start_unix_ns,
			   int seconds, size_t count)
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

static bool is_any(uint32_t thread)
{
	(void)thread;
	return true;
}

static bool is_api(uint32_t thread)
{
	const char *service = thread_service(thread);
	return service && !strcmp(service, "api");
}

static bool is_comm_2_or_3(uint32_t thread)
{
	return thread % 5 == 2 || thread % 5 == 3;
}

static bool is_tid_1007(uint32_t thread)
{
	return thread == 7;
}

static bool is_without_service(uint32_t thread)
{
	return !thread_service(thread);
}

static bool is_none(uint32_t thread)
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

static bool is_asked(const struct known_sample *sample, const struct store_query *query,
		     meant_fn is_meant)
{
	return (query->type == PROFILE_WALL || query->type == sample->type) &&
	       sample->time_unix_ns >= query->from_unix_ns &&
	       sample->time_unix_ns < query->until_unix_ns && is_meant(sample->thread);
}

/* Naive sums by (stack, thread, reason). */
enum { REASONS = 5 };
struct cube {
	int64_t weight[STACKS][THREADS][REASONS];
	uint64_t count[STACKS][THREADS][REASONS];
};

static void check_profile(struct fixture *fixture, const struct store_query *query,
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
		distinct += !cube->count[s->stack][s->thread][s->reason]++;
		cube->weight[s->stack][s->thread][s->reason] += s->weight;
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
		assert_true(stack < STACKS && thread < THREADS && sample->reason < REASONS);
		assert_int_equal(sample->weight, cube->weight[stack][thread][sample->reason]);
		assert_int_equal(sample->count, cube->count[stack][thread][sample->reason]);
		cube->count[stack][thread][sample->reason] = 0; /* none twice */
	}
	free(cube);
	profile_free(profile);
}

/* Label sets are told apart by (comm, service); threads of equal ones are one. */
static uint32_t known_owner(uint32_t thread)
{
	for (uint32_t i = 0; i < thread; i++) {
		const char *a = thread_service(i);
		const char *b = thread_service(thread);
		if (i % 5 == thread % 5 && !strcmp(a ? a : "", b ? b : ""))
			return i;
	}
	return thread;
}

static uint32_t owner_of_labels(const struct profile *profile, uint32_t thread)
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

static void check_stacks(struct fixture *fixture, const struct store_query *query,
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
		assert_int_equal(sample->reason, 0);
		sums[stack][owner] = -1;
	}
	profile_free(profile);
}

static void check_query(struct fixture *fixture, enum profile_type type, int64_t from_unix_ns,
			int64_t until_unix_ns)
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

static void check_all_types(struct fixture *fixture, int64_t from_unix_ns, int64_t until_unix_ns)
{
	check_query(fixture, PROFILE_CPU, from_unix_ns, until_unix_ns);
	check_query(fixture, PROFILE_OFFCPU, from_unix_ns, until_unix_ns);
	check_query(fixture, PROFILE_WALL, from_unix_ns, until_unix_ns);
}

static void test_round_trip(void **state)
{
	struct fixture *fixture = *state;
	open_store(fixture, true, 0);
	check_all_types(fixture, START_NS, START_NS + 10 * NS_PER_S); /* empty */
	append_seconds(fixture, PROFILE_CPU, START_NS, 5, 200);
	append_seconds(fixture, PROFILE_OFFCPU, START_NS, 5, 100);
	check_all_types(fixture, 0, INT64_MAX);
	check_all_types(fixture, INT64_MIN, INT64_MAX);
	check_all_types(fixture, START_NS + 1500 * NS_PER_MS, START_NS + 3250 * NS_PER_MS);
	check_all_types(fixture, START_NS + 2 * NS_PER_S, START_NS + 2 * NS_PER_S);
	check_all_types(fixture, 0, START_NS);
	check_all_types(fixture, START_NS + 5 * NS_PER_S, INT64_MAX);
	close_store(fixture);
	open_store(fixture, false, 0);
	check_all_types(fixture, START_NS + 1500 * NS_PER_MS, INT64_MAX);
}

/* 150 appends of each type: merged twice, and read right at every moment. */
static void test_merging(void **state)
{
	struct fixture *fixture = *state;
	open_store(fixture, true, 0);
	for (int i = 0; i < 5; i++) {
		append_seconds(fixture, PROFILE_CPU, START_NS + i * 30 * NS_PER_S, 30, 40);
		append_seconds(fixture, PROFILE_OFFCPU, START_NS + i * 30 * NS_PER_S, 30, 20);
		check_query(fixture, PROFILE_WALL, START_NS + 7 * NS_PER_S / 2,
			    START_NS + 77 * NS_PER_S);
	}
	close_store(fixture);
	open_store(fixture, true, 0); /* goes on with the segments that are there */
	append_seconds(fixture, PROFILE_CPU, START_NS + 150 * NS_PER_S, 70, 40);
	check_query(fixture, PROFILE_CPU, START_NS + 3 * NS_PER_S / 2, START_NS + 170 * NS_PER_S);
}

/* More samples at once than fit in a segment. */
static void test_large_batch(void **state)
{
	struct fixture *fixture = *state;
	open_store(fixture, true, 0);
	append_seconds(fixture, PROFILE_CPU, START_NS, 1, 70000);
	append_seconds(fixture, PROFILE_CPU, START_NS + NS_PER_S, 3, 30000);
	check_query(fixture, PROFILE_CPU, START_NS + NS_PER_S / 3, START_NS + 5 * NS_PER_S / 2);
	struct store_stats stats;
	assert_int_equal(store_stats(fixture->store, &stats, NULL), 0);
	assert_int_equal(stats.samples, 160000);
}

static void test_partitions(void **state)
{
	struct fixture *fixture = *state;
	struct store_stats stats;
	open_store(fixture, true, 10 * NS_PER_S);
	append_seconds(fixture, PROFILE_CPU, START_NS, 35, 30);
	append_seconds(fixture, PROFILE_OFFCPU, START_NS, 35, 10); /* back to the first: late */
	assert_int_equal(store_stats(fixture->store, &stats, NULL), 0);
	assert_int_equal(stats.partitions, 4);
	assert_int_equal(stats.samples, 35 * 40);
	assert_string_equal(stats.directory, fixture->directory);
	assert_int_equal(stats.oldest_unix_ns, START_NS);
	assert_int_equal(stats.newest_unix_ns, START_NS + 35 * NS_PER_S);
	check_all_types(fixture, START_NS + 5 * NS_PER_S, START_NS + 31 * NS_PER_S);
	close_store(fixture);
	open_store(fixture, true, 7 * NS_PER_S); /* another span from now on */
	append_seconds(fixture, PROFILE_CPU, START_NS + 35 * NS_PER_S, 10, 10);
	check_all_types(fixture, START_NS + 5 * NS_PER_S, START_NS + 43 * NS_PER_S);
}

static void test_clock_steps(void **state)
{
	struct fixture *fixture = *state;
	open_store(fixture, true, 10 * NS_PER_S);
	append_seconds(fixture, PROFILE_CPU, START_NS + 30 * NS_PER_S, 5, 20);
	append_seconds(fixture, PROFILE_CPU, START_NS + 31 * NS_PER_S, 3, 20); /* same times */
	append_seconds(fixture, PROFILE_CPU, START_NS - 86400 * NS_PER_S, 3, 20);
	append_seconds(fixture, PROFILE_CPU, START_NS + 86400 * NS_PER_S, 3, 20);
	append_seconds(fixture, PROFILE_CPU, START_NS + 33 * NS_PER_S, 9, 20);
	check_query(fixture, PROFILE_CPU, 0, INT64_MAX);
	check_query(fixture, PROFILE_CPU, START_NS + 31 * NS_PER_S, START_NS + 34 * NS_PER_S);
	close_store(fixture);
	open_store(fixture, false, 0);
	check_query(fixture, PROFILE_CPU, 0, INT64_MAX);
}

/* Sample times that are not in their batch are moved to its edges, never lost. */
static void test_stray_times(void **state)
{
	struct fixture *fixture = *state;
	struct known_sample samples[] = {
		{.time_unix_ns = 0, .stack = 1, .thread = 1, .weight = 1},
		{.time_unix_ns = 5, .stack = 2, .thread = 1, .weight = 2},
		{.time_unix_ns = INT64_MAX, .stack = 3, .thread = 1, .weight = 4},
		{.time_unix_ns = START_NS - 59 * NS_PER_S, .stack = 4, .thread = 1, .weight = 8},
	};
	open_store(fixture, true, 0);
	append_samples(fixture->store, PROFILE_CPU, START_NS, samples, ARRAY_LEN(samples));
	static const struct {
		int64_t from_s, until_s;
		int64_t weight;
	} rows[] = {
		{-61, -60, 0}, {-60, -59, 2}, {-59, -58, 8}, {0, 1, 1}, {1, 61, 0}, {61, 62, 4},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct profile *profile;
		struct store_query query = {.type = PROFILE_CPU,
					    .from_unix_ns = START_NS + rows[i].from_s * NS_PER_S,
					    .until_unix_ns = START_NS + rows[i].until_s * NS_PER_S};
		assert_int_equal(store_query_stacks(fixture->store, &query, &profile, NULL), 0);
		assert_int_equal(profile_total_weight(profile), rows[i].weight);
		profile_free(profile);
	}
}

static int64_t naive_sum(const struct fixture *fixture, const struct store_query *query,
			 meant_fn is_meant, const char *comm)
{
	int64_t sum = 0;
	for (size_t i = 0; i < fixture->known_count; i++) {
		char name[16];
		snprintf(name, sizeof(name), "comm%u", fixture->known[i].thread % 5);
		if (is_asked(&fixture->known[i], query, is_meant) && (!comm || !strcmp(comm, name)))
			sum += fixture->known[i].weight;
	}
	return sum;
}

static const struct series_line *line_named(const struct series_set *set, const char *name)
{
	for (size_t i = 0; i < set->line_count; i++)
		if (!strcmp(strtab_get(&set->strings, set->lines[i].name), name))
			return &set->lines[i];
	return NULL;
}

static void check_line(const struct fixture *fixture, const struct series_set *set,
		       const struct series_line *line, enum profile_type type, const char *comm)
{
	int64_t total_ns = 0;
	assert_non_null(line);
	for (size_t i = 0; i < set->point_count; i++) {
		struct store_query step = {
			.type = type,
			.from_unix_ns = set->start_unix_ns + (int64_t)i * set->step_ns,
			.until_unix_ns = set->start_unix_ns + (int64_t)(i + 1) * set->step_ns};
		assert_int_equal(line->weight_ns[i], naive_sum(fixture, &step, is_any, comm));
		total_ns += line->weight_ns[i];
	}
	assert_int_equal(line->total_ns, total_ns);
}

static void test_series(void **state)
{
	struct fixture *fixture = *state;
	struct series_set *set;
	open_store(fixture, true, 10 * NS_PER_S);
	append_seconds(fixture, PROFILE_CPU, START_NS, 12, 50);
	append_seconds(fixture, PROFILE_CPU, START_NS + 15 * NS_PER_S, 15, 50); /* gap of 3 s */
	append_seconds(fixture, PROFILE_OFFCPU, START_NS, 30, 20);
	struct store_query query = {.type = PROFILE_CPU,
				    .from_unix_ns = START_NS,
				    .until_unix_ns = START_NS + 30 * NS_PER_S};
	int rc = store_query_series(fixture->store, &query, NULL, 5 * NS_PER_S, 10, &set, NULL);
	assert_int_equal(rc, 0);
	assert_int_equal(set->start_unix_ns, START_NS);
	assert_int_equal(set->point_count, 6);
	assert_int_equal(set->line_count, 1);
	check_line(fixture, set, line_named(set, ""), PROFILE_CPU, NULL);
	/* 5 s each, but 12..15 s were not sampled; 52 taken and 2 lost a second */
	static const int64_t covered_s[] = {5, 5, 2, 5, 5, 5};
	for (size_t i = 0; i < 6; i++) {
		assert_int_equal(set->health[i].covered_ns, covered_s[i] * NS_PER_S);
		assert_int_equal(set->health[i].taken, covered_s[i] * 52);
		assert_int_equal(set->health[i].dropped, covered_s[i] * 2);
	}
	series_set_free(set);

	query.type = PROFILE_WALL;
	rc = store_query_series(fixture->store, &query, "comm", NS_PER_S, 10, &set, NULL);
	assert_int_equal(rc, 0);
	assert_int_equal(set->line_count, 5);
	for (int i = 0; i < 5; i++) {
		char comm[16];
		snprintf(comm, sizeof(comm), "comm%d", i);
		check_line(fixture, set, line_named(set, comm), PROFILE_WALL, comm);
	}
	for (size_t i = 0; i < 30; i++)
		assert_int_equal(set->health[i].covered_ns, NS_PER_S);
	series_set_free(set);

	/* the two heaviest, and the rest as one */
	rc = store_query_series(fixture->store, &query, "comm", 30 * NS_PER_S, 2, &set, NULL);
	assert_int_equal(rc, 0);
	assert_int_equal(set->line_count, 3);
	assert_string_equal(strtab_get(&set->strings, set->lines[2].name), "other");
	assert_true(set->lines[0].total_ns >= set->lines[1].total_ns);
	int64_t total_ns = 0;
	for (size_t i = 0; i < 3; i++)
		total_ns += set->lines[i].total_ns;
	assert_int_equal(total_ns, naive_sum(fixture, &query, is_any, NULL));
	series_set_free(set);
}

static void test_series_refused(void **state)
{
	struct fixture *fixture = *state;
	open_store(fixture, true, 0);
	static const struct {
		int64_t from_s, until_s, step_ns;
		int rc;
	} rows[] = {
		{10, 9, NS_PER_S, -EINVAL},        {0, 10, 0, -EINVAL},
		{0, 10, -NS_PER_S, -EINVAL},       {0, 10, NS_PER_S - 1, -EINVAL},
		{0, 20001, NS_PER_S, -EINVAL},     {0, 20000, NS_PER_S, 0},
		{0, 40001, 2 * NS_PER_S, -EINVAL},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct series_set *set = NULL;
		struct err err = {0};
		struct store_query query = {.type = PROFILE_CPU,
					    .from_unix_ns = rows[i].from_s * NS_PER_S,
					    .until_unix_ns = rows[i].until_s * NS_PER_S};
		int rc = store_query_series(fixture->store, &query, NULL, rows[i].step_ns, 10, &set,
					    &err);
		assert_int_equal(rc, rows[i].rc);
		assert_int_equal(!rc, set != NULL);
		assert_int_equal(!rc, !err.text[0]);
		series_set_free(set);
	}
}

static void test_labels(void **state)
{
	struct fixture *fixture = *state;
	struct series_set *set;
	open_store(fixture, true, 10 * NS_PER_S);
	append_seconds(fixture, PROFILE_CPU, START_NS, 15, 50);
	AUTO(selector) selector = NULL;
	assert_int_equal(selector_parse(&selector, "{service_name=\"api\"}", NULL), 0);
	struct store_query query = {.type = PROFILE_CPU,
				    .from_unix_ns = START_NS + 2 * NS_PER_S,
				    .until_unix_ns = START_NS + 13 * NS_PER_S};
	assert_int_equal(store_query_labels(fixture->store, &query, &set, NULL), 0);
	static const char *const names[] = {"comm", "pid", "service_name", "thread", "tid"};
	assert_int_equal(set->line_count, ARRAY_LEN(names));
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		assert_string_equal(strtab_get(&set->strings, set->lines[i].name), names[i]);
	series_set_free(set);

	query.selector = selector;
	int rc = store_query_label_values(fixture->store, &query, "comm", 3, &set, NULL);
	assert_int_equal(rc, 0);
	assert_int_equal(set->line_count, 3);
	for (size_t i = 0; i < 3; i++) {
		const char *comm = strtab_get(&set->strings, set->lines[i].name);
		assert_int_equal(set->lines[i].total_ns, naive_sum(fixture, &query, is_api, comm));
		assert_true(!i || set->lines[i - 1].total_ns >= set->lines[i].total_ns);
	}
	series_set_free(set);
	assert_int_equal(store_query_label_values(fixture->store, &query, "no_such", 3, &set, NULL),
			 0);
	assert_int_equal(set->line_count, 0);
	series_set_free(set);
}

static void test_refused_batches(void **state)
{
	struct fixture *fixture = *state;
	struct known_sample sample = {.time_unix_ns = START_NS, .stack = 1, .thread = 1};
	open_store(fixture, true, 0);
	for (int row = 0; row < 6; row++) {
		struct err err = {0};
		struct profile *batch = make_batch(PROFILE_CPU, START_NS, NS_PER_S, &sample, 1);
		switch (row) {
		case 0:
			batch->type = PROFILE_WALL;
			break;
		case 1:
			assert_int_equal(profile_add_string(batch, "bytes", &batch->unit), 0);
			break;
		case 2:
			batch->samples[0].weight = -1;
			break;
		case 3:
			batch->start_unix_ns = -1;
			break;
		case 4:
			batch->duration_ns = -1;
			break;
		default:
			batch->start_unix_ns = INT64_MAX - 5;
		}
		assert_int_equal(store_append(fixture->store, batch, NULL, &err), -EINVAL);
		assert_true(err.text[0] != 0);
		profile_free(batch);
	}
	check_query(fixture, PROFILE_WALL, 0, INT64_MAX);
}

/* A location that is named only later gets its name in what is stored already, for readers
 * that know it already. */
static void test_late_names(void **state)
{
	struct fixture *fixture = *state;
	open_store(fixture, true, 0);
	for (int round = 0; round < 3; round++) {
		struct profile *batch;
		struct profile_location location = {.vaddr = 0x1234};
		struct profile_line line = {0};
		struct profile_function function = {0};
		struct profile_mapping mapping = {0};
		struct profile_sample sample = {.weight = 5, .count = 1};
		uint32_t id;
		assert_int_equal(profile_new(&batch, PROFILE_CPU), 0);
		batch->start_unix_ns = START_NS + round * NS_PER_S;
		batch->duration_ns = NS_PER_S;
		assert_int_equal(profile_add_string(batch, "/bin/late", &mapping.filename), 0);
		assert_int_equal(profile_add_mapping(batch, &mapping, &location.mapping), 0);
		assert_int_equal(profile_add_string(batch, "late_name", &function.name), 0);
		assert_int_equal(profile_add_function(batch, &function, &line.function), 0);
		assert_int_equal(profile_add_location(batch, &location, &line, round > 0, &id), 0);
		assert_int_equal(profile_add_stack(batch, 0, id, &sample.stack), 0);
		assert_int_equal(profile_add_sample(batch, &sample), 0);
		assert_int_equal(store_append(fixture->store, batch, NULL, NULL), 0);
		profile_free(batch);

		struct profile *profile;
		struct store_query query = {.type = PROFILE_CPU, .until_unix_ns = INT64_MAX};
		if (round == 2) {
			close_store(fixture);
			open_store(fixture, false, 0);
		}
		assert_int_equal(store_query_stacks(fixture->store, &query, &profile, NULL), 0);
		assert_int_equal(profile->sample_count, 1);
		assert_int_equal(profile->samples[0].weight, 5 * (round + 1));
		assert_int_equal(profile->locations[1].line_count, round > 0);
		assert_int_equal(profile->locations[1].vaddr, 0x1234);
		profile_free(profile);
	}
}

static void test_foreign_directory(void **state)
{
	struct fixture *fixture = *state;
	char path[128];
	struct err err = {0};
	struct store *store = NULL;
	struct store_options options = {.directory = fixture->directory, .writable = true};
	snprintf(path, sizeof(path), "%s/letter.txt", fixture->directory);
	close(open(path, O_CREAT | O_WRONLY, 0644));
	assert_int_equal(store_open(&store, &options, &err), -EEXIST);
	assert_null(store);
	assert_non_null(strstr(err.text, fixture->directory));
	snprintf(path, sizeof(path), "%s/hearth.lock", fixture->directory);
	assert_int_equal(access(path, F_OK), -1); /* nothing was made there */
	options.writable = false;
	assert_int_equal(store_open(&store, &options, &err), -EEXIST);
	/* beside our own files, others are nobody's business */
	close(open(path, O_CREAT | O_WRONLY, 0644));
	options.writable = true;
	assert_int_equal(store_open(&store, &options, &err), 0);
	store_free(store);
}

static void test_unusable_directories(void **state)
{
	struct fixture *fixture = *state;
	char file[128];
	char below[256];
	snprintf(file, sizeof(file), "%s/file", fixture->directory);
	snprintf(below, sizeof(below), "%s/no/such", fixture->directory);
	close(open(file, O_CREAT | O_WRONLY, 0644));
	const struct {
		const char *directory;
		bool writable;
		int rc;
	} rows[] = {
		{file, true, -ENOTDIR},  {file, false, -ENOTDIR},          {below, true, -ENOENT},
		{below, false, -ENOENT}, {"/proc/self/fd", true, -EEXIST}, {"", false, -ENOENT},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct store *store = (void *)8;
		struct err err = {0};
		struct store_options options = {.directory = rows[i].directory,
						.writable = rows[i].writable};
		assert_int_equal(store_open(&store, &options, &err), rows[i].rc);
		assert_ptr_equal(store, (void *)8);
		assert_true(err.text[0] != 0);
	}
}

static void test_lock(void **state)
{
	struct fixture *fixture = *state;
	struct err err = {0};
	struct store *second = NULL;
	char pid[32];
	int ready[2];
	int done[2];
	assert_int_equal(pipe(ready), 0);
	assert_int_equal(pipe(done), 0);
	pid_t child = fork();
	if (!child) {
		char byte = 0;
		open_store(fixture, true, 0);
		if (write(ready[1], "r", 1) != 1 || read(done[0], &byte, 1) != 1)
			_exit(1);
		_exit(0); /* without a clean end: the lock goes all the same */
	}
	char byte;
	assert_int_equal(read(ready[0], &byte, 1), 1);
	struct store_options options = {.directory = fixture->directory, .writable = true};
	assert_int_equal(store_open(&second, &options, &err), -EBUSY);
	assert_null(second);
	snprintf(pid, sizeof(pid), "pid %d", child);
	assert_non_null(strstr(err.text, pid));
	assert_non_null(strstr(err.text, fixture->directory));
	options.writable = false; /* readers need no lock */
	assert_int_equal(store_open(&second, &options, &err), 0);
	assert_int_equal(store_append(second, NULL, NULL, &err), -EROFS);
	store_free(second);
	assert_int_equal(write(done[1], "d", 1), 1);
	assert_int_equal(waitpid(child, NULL, 0), child);
	open_store(fixture, true, 0);
	for (int i = 0; i < 2; i++) {
		close(ready[i]);
		close(done[i]);
	}
}

static void count_notice(void *ctx, const char *text)
{
	int *damaged = ctx;
	*damaged += strstr(text, "damaged") != NULL;
}

static void overwrite(const char *path, off_t off, const void *data, size_t len_bytes, off_t cut)
{
	int fd = open(path, O_WRONLY);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, data, len_bytes, off), len_bytes);
	if (cut)
		assert_int_equal(ftruncate(fd, cut), 0);
	close(fd);
}

static void test_damaged(void **state)
{
	struct fixture *fixture = *state;
	const int64_t span_ns = 10 * NS_PER_S;
	static const struct {
		const char *what;
		off_t off;
		const char *bytes;
		size_t len_bytes;
		off_t cut;
	} damages[] = {
		{"not a database", 0, "this is a letter", 16, 0},
		{"newer layout", 60, "\0\0\0\x7f", 4, 0},
		{"another program's", 68, "\0\0\0\x01", 4, 0},
		{"cut short", 0, "SQLite", 6, 5000},
		{"empty", 0, "", 0, 1},
	};
	for (size_t i = 0; i < ARRAY_LEN(damages); i++) {
		char path[128];
		int notices = 0;
		struct store_stats stats;
		fixture->known_count = 0;
		open_store(fixture, true, span_ns);
		append_seconds(fixture, PROFILE_CPU, START_NS, 10, 10);
		fixture->known_count = 0; /* those are lost */
		append_seconds(fixture, PROFILE_CPU, START_NS + span_ns, 10, 10);
		close_store(fixture);
		snprintf(path, sizeof(path), "%s/p-%011lld.hearth", fixture->directory,
			 (long long)START_S);
		overwrite(path, damages[i].off, damages[i].bytes, damages[i].len_bytes,
			  damages[i].cut);

		open_store(fixture, false, span_ns); /* left out, nothing is touched */
		check_query(fixture, PROFILE_CPU, 0, INT64_MAX);
		store_notices(fixture->store, count_notice, &notices);
		assert_int_equal(notices, 1);
		assert_int_equal(access(path, F_OK), 0);
		close_store(fixture);

		notices = 0;
		open_store(fixture, true, span_ns);
		store_notices(fixture->store, count_notice, &notices);
		assert_int_equal(notices, 1);
		assert_int_equal(access(path, F_OK), -1);
		assert_int_equal(store_stats(fixture->store, &stats, NULL), 0);
		assert_int_equal(stats.partitions, 1);
		assert_int_equal(stats.partitions_set_aside, 1);
		check_query(fixture, PROFILE_CPU, 0, INT64_MAX);
		close_store(fixture);
		strcat(path, ".damaged-1");
		assert_int_equal(access(path, F_OK), 0);
		char command[256];
		snprintf(command, sizeof(command), "rm -f '%s'/p-*", fixture->directory);
		assert_int_equal(system(command), 0);
	}
}

/* Damage inside: found when it is met. The store goes on with a new partition. */
static void test_damaged_inside(void **state)
{
	struct fixture *fixture = *state;
	char path[128];
	int notices = 0;
	open_store(fixture, true, 100 * NS_PER_S);
	append_seconds(fixture, PROFILE_CPU, START_NS, 70, 10); /* 60 of them merged */
	close_store(fixture);
	snprintf(path, sizeof(path), "%s/p-%011lld.hearth", fixture->directory, (long long)START_S);
	sqlite3 *db;
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "UPDATE stack SET location = 9999 WHERE id = 5", 0, 0, 0),
			 SQLITE_OK);
	sqlite3_close(db);
	open_store(fixture, true, 100 * NS_PER_S);
	fixture->known_count = 0;
	append_seconds(fixture, PROFILE_CPU, START_NS + 70 * NS_PER_S, 5, 10);
	check_query(fixture, PROFILE_CPU, 0, INT64_MAX);
	store_notices(fixture->store, count_notice, &notices);
	assert_int_equal(notices, 1);
}

static void test_damaged_segment(void **state)
{
	struct fixture *fixture = *state;
	char path[128];
	int notices = 0;
	open_store(fixture, true, 10 * NS_PER_S);
	append_seconds(fixture, PROFILE_CPU, START_NS, 10, 10);
	close_store(fixture);
	fixture->known_count = 0;
	snprintf(path, sizeof(path), "%s/p-%011lld.hearth", fixture->directory, (long long)START_S);
	sqlite3 *db;
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db,
				      "UPDATE segment_column SET data = x'0100' WHERE segment = 3 "
				      "AND \"column\" = 3",
				      0, 0, 0),
			 SQLITE_OK);
	sqlite3_close(db);
	open_store(fixture, true, 10 * NS_PER_S);
	append_seconds(fixture, PROFILE_CPU, START_NS + 10 * NS_PER_S, 5, 10);
	check_query(fixture, PROFILE_CPU, 0, INT64_MAX);
	store_notices(fixture->store, count_notice, &notices);
	assert_int_equal(notices, 1);
}

static uint64_t next_total(struct store *store)
{
	struct profile *profile;
	struct store_query query = {.type = PROFILE_CPU, .until_unix_ns = INT64_MAX};
	assert_int_equal(store_query_stacks(store, &query, &profile, NULL), 0);
	uint64_t count = profile_total_count(profile);
	profile_free(profile);
	return count;
}

/* A reader without any right to write, in all states a directory can be in. */
static void read_unprivileged(const struct fixture *fixture, uint64_t expected)
{
	pid_t child = fork();
	if (!child) {
		struct store *store;
		struct store_options options = {.directory = fixture->directory};
		if (setgid(65534) || setuid(65534) || store_open(&store, &options, NULL))
			_exit(1);
		bool is_same = next_total(store) == expected;
		_exit(is_same ? 0 : 2);
	}
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_unprivileged_reader(void **state)
{
	struct fixture *fixture = *state;
	if (geteuid())
		skip();
	assert_int_equal(chmod(fixture->directory, 0755), 0);
	open_store(fixture, true, 10 * NS_PER_S);
	append_seconds(fixture, PROFILE_CPU, START_NS, 15, 10);
	read_unprivileged(fixture, 150); /* beside the writer */
	close_store(fixture);
	read_unprivileged(fixture, 150); /* at rest */
	pid_t child = fork();
	if (!child) {
		open_store(fixture, true, 10 * NS_PER_S);
		append_seconds(fixture, PROFILE_CPU, START_NS + 15 * NS_PER_S, 1, 10);
		_exit(0);
	}
	assert_int_equal(waitpid(child, NULL, 0), child);
	read_unprivileged(fixture, 160); /* after a writer that was killed */
}

static void test_retention(void **state)
{
	struct fixture *fixture = *state;
	struct store_stats stats;
	struct err err = {0};
	struct store_options options = {.directory = fixture->directory,
					.writable = true,
					.partition_span_ns = 5 * NS_PER_S,
					.max_disk_bytes = 2 << 20};
	assert_int_equal(store_open(&fixture->store, &options, &err), 0);
	append_seconds(fixture, PROFILE_CPU, START_NS, 100, 100);
	assert_int_equal(store_stats(fixture->store, &stats, NULL), 0);
	/* what is being written comes on top, at most a quarter each and its WAL */
	assert_true(stats.size_bytes <= (2 << 20) + (2 << 20) * 2);
	assert_true(stats.partitions >= 2 && stats.partitions < 20);
	assert_true(stats.oldest_unix_ns > START_NS);
	assert_int_equal(stats.newest_unix_ns, START_NS + 100 * NS_PER_S);
	check_query(fixture, PROFILE_CPU, stats.oldest_unix_ns, INT64_MAX);
	assert_int_equal(stats.partitions_set_aside, 0);
}

/* A partition larger than its part of the disk ends early; nothing is lost at the seam. */
static void test_early_end(void **state)
{
	struct fixture *fixture = *state;
	struct store_stats stats;
	struct store_options options = {
		.directory = fixture->directory, .writable = true, .max_disk_bytes = 8 << 20};
	assert_int_equal(store_open(&fixture->store, &options, NULL), 0);
	append_seconds(fixture, PROFILE_CPU, START_NS, 60, 400);
	assert_int_equal(store_stats(fixture->store, &stats, NULL), 0);
	assert_true(stats.partitions > 1);
	assert_int_equal(stats.samples, 60 * 400);
	check_query(fixture, PROFILE_CPU, START_NS + NS_PER_S / 2, START_NS + 50 * NS_PER_S);
}

static void fill_disk(const char *path)
{
	static const char zeros[4096];
	int fd = open(path, O_CREAT | O_WRONLY | O_APPEND, 0644);
	assert_true(fd >= 0);
	while (write(fd, zeros, sizeof(zeros)) > 0)
		;
	while (write(fd, zeros, 1) > 0)
		;
	close(fd);
}

static void test_disk_full(void **state)
{
	struct fixture *fixture = *state;
	char filler[128];
	if (mount("tmpfs", fixture->directory, "tmpfs", 0, "size=6m"))
		skip();
	snprintf(filler, sizeof(filler), "%s/hearth.filler", fixture->directory);
	open_store(fixture, true, 20 * NS_PER_S);
	append_seconds(fixture, PROFILE_CPU, START_NS, 10, 50);
	fill_disk(filler);
	int failures = 0;
	for (int i = 0; i < 200; i++) {
		/* at some point neither WAL nor file have room */
		struct err err = {0};
		struct known_sample *samples = fixture->known + fixture->known_count;
		int64_t start_unix_ns = START_NS + (i % 30) * NS_PER_S; /* a new file, too */
		random_samples(&fixture->random, PROFILE_CPU, start_unix_ns, samples, 500);
		struct profile *batch =
			make_batch(PROFILE_CPU, start_unix_ns, NS_PER_S, samples, 500);
		int rc = store_append(fixture->store, batch, NULL, &err);
		profile_free(batch);
		if (!rc)
			fixture->known_count += 500;
		else if (rc != -ENOSPC)
			fail_msg("%d: %s", rc, err.text);
		failures += rc != 0;
	}
	assert_true(failures > 10);
	check_query(fixture, PROFILE_CPU, 0, INT64_MAX); /* nothing by halves */
	assert_int_equal(unlink(filler), 0);
	append_seconds(fixture, PROFILE_CPU, START_NS + 19 * NS_PER_S, 10, 20);
	check_query(fixture, PROFILE_CPU, 0, INT64_MAX);
	close_store(fixture);
	open_store(fixture, true, 20 * NS_PER_S);
	check_query(fixture, PROFILE_CPU, 0, INT64_MAX);
	close_store(fixture);
	assert_int_equal(umount(fixture->directory), 0);
}

/* At rest a partition is one file, which can be taken elsewhere alone. */
static void test_one_file(void **state)
{
	struct fixture *fixture = *state;
	char command[256];
	open_store(fixture, true, 10 * NS_PER_S);
	append_seconds(fixture, PROFILE_CPU, START_NS, 20, 30);
	check_query(fixture, PROFILE_CPU, 0, INT64_MAX);
	close_store(fixture);
	snprintf(command, sizeof(command), "test $(ls '%s' | grep -vc '^p-[0-9]*.hearth$') = 1",
		 fixture->directory);
	assert_int_equal(system(command), 0); /* hearth.lock */
	snprintf(command, sizeof(command), "cd '%s' && rm hearth.lock p-%011lld.hearth",
		 fixture->directory, (long long)START_S);
	assert_int_equal(system(command), 0);
	memmove(fixture->known, fixture->known + 300, 300 * sizeof(*fixture->known));
	fixture->known_count = 300;
	open_store(fixture, false, 0);
	check_query(fixture, PROFILE_CPU, 0, INT64_MAX);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_round_trip),
		TEST(test_merging),
		TEST(test_large_batch),
		TEST(test_partitions),
		TEST(test_clock_steps),
		TEST(test_stray_times),
		TEST(test_series),
		TEST(test_series_refused),
		TEST(test_labels),
		TEST(test_refused_batches),
		TEST(test_late_names),
		TEST(test_foreign_directory),
		TEST(test_unusable_directories),
		TEST(test_lock),
		TEST(test_damaged),
		TEST(test_damaged_inside),
		TEST(test_damaged_segment),
		TEST(test_unprivileged_reader),
		TEST(test_retention),
		TEST(test_early_end),
		TEST(test_disk_full),
		TEST(test_one_file),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
