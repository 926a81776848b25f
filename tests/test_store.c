#include <errno.h>

#include "tests/store_fixture.h"

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
	int64_t oldest = INT64_MAX;
	for (size_t i = 0; i < fixture->known_count; i++) {
		const struct known_sample *sample = &fixture->known[i];
		int64_t start = sample->time_unix_ns - (sample->wait ? sample->weight : 0);
		oldest = start < oldest ? start : oldest;
	}
	assert_int_equal(stats.oldest_unix_ns, oldest / NS_PER_US * NS_PER_US);
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
		const struct known_sample *sample = &fixture->known[i];
		char name[16];
		struct part part;
		snprintf(name, sizeof(name), "comm%u", sample->thread % 5);
		if (is_asked(sample, query, is_meant, &part) && (!comm || !strcmp(comm, name)))
			sum += part.weight;
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
	for (int row = 0; row < 11; row++) {
		struct err err = {0};
		struct ledger delta = {0};
		size_t count = 1;
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
		case 5:
			batch->start_unix_ns = INT64_MAX - 5;
			break;
		case 6:
			delta.taken = UINT64_MAX;
			break;
		case 7:
			delta.dropped[DROP_NO_MEMORY] = UINT64_MAX - 7;
			break;
		case 8: /* waiting, and of type cpu */
			batch->samples[0].wait = add_known_wait(batch, 1);
			break;
		case 9: /* running, and of type offcpu */
			batch->type = PROFILE_OFFCPU;
			break;
		default:
			count = 0;
		}
		assert_int_equal(store_append(fixture->store, (const struct profile *[]){batch},
					      count, &delta, &err),
				 -EINVAL);
		assert_true(err.text[0] != 0);
		profile_free(batch);
	}
	check_query(fixture, PROFILE_WALL, 0, INT64_MAX);
}

/* What was running and what was waiting in the same second is one append: all of it or
 * nothing, and one row of the ledger. */
static void test_joint_batches(void **state)
{
	struct fixture *fixture = *state;
	struct known_sample *cpu = fixture->known;
	struct known_sample *offcpu = fixture->known + 70;
	struct ledger delta = {.taken = 103};
	struct err err = {0};
	delta.dropped[DROP_RING_FULL] = 3;
	open_store(fixture, true, 0);
	random_samples(&fixture->random, PROFILE_CPU, START_NS, cpu, 70);
	random_samples(&fixture->random, PROFILE_OFFCPU, START_NS, offcpu, 30);
	struct profile *both[] = {
		make_batch(PROFILE_CPU, START_NS, NS_PER_S, cpu, 70),
		make_batch(PROFILE_OFFCPU, START_NS + 5, NS_PER_S, offcpu, 30),
	};
	const struct profile *const *profiles = (const struct profile *const *)both;
	both[1]->samples[29].weight = -1;
	assert_int_equal(store_append(fixture->store, profiles, 2, &delta, &err), -EINVAL);
	check_all_types(fixture, 0, INT64_MAX);
	both[1]->samples[29].weight = offcpu[29].weight;
	assert_int_equal(store_append(fixture->store, profiles, 2, &delta, &err), 0);
	fixture->known_count = 100;
	check_all_types(fixture, 0, INT64_MAX);
	static const enum profile_type types[] = {PROFILE_CPU, PROFILE_OFFCPU, PROFILE_WALL};
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		struct series_set *set;
		struct store_query query = {.type = types[i],
					    .from_unix_ns = START_NS,
					    .until_unix_ns = START_NS + 2 * NS_PER_S};
		int rc = store_query_series(fixture->store, &query, NULL, NS_PER_S, 10, &set, NULL);
		assert_int_equal(rc, 0);
		assert_int_equal(set->health[0].taken, 103);
		assert_int_equal(set->health[0].dropped, 3);
		assert_int_equal(set->health[0].covered_ns, NS_PER_S);
		assert_int_equal(set->health[1].taken, 0);
		series_set_free(set);
	}
	profile_free(both[0]);
	profile_free(both[1]);
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
		assert_int_equal(store_append(fixture->store, (const struct profile *[]){batch}, 1,
					      NULL, NULL),
				 0);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_round_trip),      TEST(test_merging),        TEST(test_large_batch),
		TEST(test_partitions),      TEST(test_clock_steps),    TEST(test_stray_times),
		TEST(test_series),          TEST(test_series_refused), TEST(test_labels),
		TEST(test_refused_batches), TEST(test_joint_batches),  TEST(test_late_names),
		TEST(test_retention),       TEST(test_early_end),      TEST(test_one_file),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
