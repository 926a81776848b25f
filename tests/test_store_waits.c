/* Waits are intervals: what they weigh in any range, and in any second, is plain arithmetic. */
#include <errno.h>

#include "tests/store_fixture.h"

/* Waits of up to most_ns that end in the second from start on, not before the batch begins. */
static void random_waits(struct fixture *fixture, int64_t start_unix_ns, int64_t most_ns,
			 struct known_sample *waits, size_t count)
{
	random_samples(&fixture->random, PROFILE_OFFCPU, start_unix_ns, waits, count);
	for (size_t i = 0; i < count; i++) {
		uint64_t dice = next_random(&fixture->random);
		waits[i].weight = dice % 7 == 0 ? most_ns : (int64_t)(dice % (uint64_t)most_ns);
		/* Whole seconds at either end are where it is easy to be off by one. */
		if (dice % 5 == 1)
			waits[i].time_unix_ns = start_unix_ns;
		if (dice % 11 == 2)
			waits[i].weight -= waits[i].weight % NS_PER_S;
	}
}

static void append_waits(struct fixture *fixture, int64_t start_unix_ns, int64_t most_ns,
			 size_t count)
{
	struct known_sample *waits = fixture->known + fixture->known_count;
	random_waits(fixture, start_unix_ns, most_ns, waits, count);
	append_samples(fixture->store, PROFILE_OFFCPU, start_unix_ns, waits, count);
	fixture->known_count += count;
}

static int64_t total_of(struct fixture *fixture, enum profile_type type, int64_t from_unix_ns,
			int64_t until_unix_ns, uint64_t *count)
{
	struct profile *profile = NULL;
	struct store_query query = {
		.type = type, .from_unix_ns = from_unix_ns, .until_unix_ns = until_unix_ns};
	assert_int_equal(store_query_stacks(fixture->store, &query, &profile, NULL), 0);
	int64_t weight = profile_total_weight(profile);
	*count = profile_total_count(profile);
	profile_free(profile);
	return weight;
}

/* The same, which must be what arithmetic says. */
static int64_t check_total(struct fixture *fixture, int64_t from_unix_ns, int64_t until_unix_ns,
			   uint64_t *count)
{
	int64_t naive = 0;
	uint64_t naive_count = 0;
	for (size_t i = 0; i < fixture->known_count; i++) {
		const struct known_sample *sample = &fixture->known[i];
		struct part part = part_of(sample, from_unix_ns, until_unix_ns);
		if (sample->type != PROFILE_OFFCPU)
			continue;
		naive += part.weight;
		naive_count += part.count;
	}
	int64_t weight = total_of(fixture, PROFILE_OFFCPU, from_unix_ns, until_unix_ns, count);
	assert_int_equal(weight, naive);
	assert_int_equal(*count, naive_count);
	return weight;
}

/* Where a wait begins or ends, or a ns beside that. */
static int64_t random_edge(struct fixture *fixture)
{
	uint64_t dice = next_random(&fixture->random);
	const struct known_sample *sample = &fixture->known[dice % fixture->known_count];
	int64_t beside = (int64_t)(dice >> 32) % 3 - 1;
	return sample->time_unix_ns - (dice >> 40 & 1 ? sample->weight : 0) + beside;
}

/* Cut anywhere, to the ns, the parts make up the whole. */
static void check_cuts(struct fixture *fixture, int64_t from_unix_ns, int64_t until_unix_ns)
{
	uint64_t whole_count, count, parts_count = 0;
	int64_t whole =
		total_of(fixture, PROFILE_OFFCPU, from_unix_ns, until_unix_ns, &whole_count);
	int64_t parts = 0;
	for (int64_t cut = from_unix_ns; cut < until_unix_ns;) {
		uint64_t dice = next_random(&fixture->random);
		int64_t step = 1 + (int64_t)(dice % (uint64_t)((until_unix_ns - from_unix_ns) / 5));
		if (dice % 4 == 0)
			step += NS_PER_S - (cut + step) % NS_PER_S;
		int64_t next = cut + step;
		int64_t edge = random_edge(fixture);
		if (dice % 4 < 3 && edge > cut)
			next = edge;
		next = next < until_unix_ns ? next : until_unix_ns;
		parts += check_total(fixture, cut, next, &count);
		parts_count += count;
		cut = next;
	}
	assert_int_equal(parts, whole);
	assert_int_equal(parts_count, whole_count);
}

static void test_random_cuts(void **state)
{
	struct fixture *fixture = *state;
	static const int64_t most_ns[] = {NS_PER_S / 4, 10 * NS_PER_S, 150 * NS_PER_S};
	open_store(fixture, true, 20 * NS_PER_S);
	for (int second = 0; second < 130; second++)
		append_waits(fixture, START_NS + second * NS_PER_S, most_ns[second % 3], 5);
	for (int round = 0; round < 10; round++)
		check_cuts(fixture, START_NS + round * 13 * NS_PER_S - 77,
			   START_NS + 135 * NS_PER_S);
	check_cuts(fixture, START_NS - 200 * NS_PER_S, START_NS + 135 * NS_PER_S);
	check_query(fixture, PROFILE_WALL, START_NS + 40 * NS_PER_S - 1, START_NS + 71 * NS_PER_S);
	close_store(fixture);
	open_store(fixture, false, 0);
	check_cuts(fixture, START_NS - 60 * NS_PER_S, START_NS + 135 * NS_PER_S);
}

static const struct series_line *line_of(const struct series_set *set, const char *name)
{
	for (size_t i = 0; i < set->line_count; i++)
		if (!strcmp(strtab_get(&set->strings, set->lines[i].name), name))
			return &set->lines[i];
	return NULL;
}

/* Seconds of a timeline, by any label, are exact; those outside the range are nobody's. */
static void check_timeline(struct fixture *fixture, const char *label, int64_t from_s,
			   int64_t until_s, int64_t step_s)
{
	struct series_set *set;
	struct store_query query = {.type = PROFILE_WALL,
				    .from_unix_ns = START_NS + from_s * NS_PER_S,
				    .until_unix_ns = START_NS + until_s * NS_PER_S};
	int rc = store_query_series(fixture->store, &query, label, step_s * NS_PER_S, 100, &set,
				    NULL);
	assert_int_equal(rc, 0);
	int64_t have = 0;
	for (size_t i = 0; i < set->line_count; i++)
		have += set->lines[i].total_ns;
	int64_t want = 0;
	for (size_t i = 0; i < fixture->known_count; i++)
		want += part_of(&fixture->known[i], query.from_unix_ns, query.until_unix_ns).weight;
	assert_int_equal(have, want);
	for (size_t point = 0; point < set->point_count; point++) {
		int64_t from = set->start_unix_ns + (int64_t)point * set->step_ns;
		int64_t until = from + set->step_ns;
		from = from > query.from_unix_ns ? from : query.from_unix_ns;
		until = until < query.until_unix_ns ? until : query.until_unix_ns;
		int64_t sums[WAIT_REASONS] = {0};
		for (size_t i = 0; i < fixture->known_count; i++) {
			const struct known_sample *sample = &fixture->known[i];
			sums[label ? known_reason(sample->wait) : 0] +=
				part_of(sample, from, until).weight;
		}
		for (int reason = 0; reason < WAIT_REASONS; reason++) {
			const char *name = !label   ? ""
					   : reason ? wait_reason_name((enum wait_reason)reason)
						    : WAIT_REASON_RUNNING;
			const struct series_line *line = line_of(set, name);
			assert_int_equal(line ? line->weight_ns[point] : 0, sums[reason]);
			if (!label)
				break;
		}
	}
	series_set_free(set);
}

static void test_timelines(void **state)
{
	struct fixture *fixture = *state;
	open_store(fixture, true, 20 * NS_PER_S);
	for (int second = 0; second < 130; second++) {
		append_seconds(fixture, PROFILE_CPU, START_NS + second * NS_PER_S, 1, 3);
		append_waits(fixture, START_NS + second * NS_PER_S, 40 * NS_PER_S, 4);
	}
	for (int round = 0; round < 2; round++) {
		check_timeline(fixture, NULL, -50, 135, 1);
		check_timeline(fixture, "reason", -50, 135, 1);
		check_timeline(fixture, "reason", 13, 117, 7);
		check_timeline(fixture, "reason", 31, 32, 1);
		check_timeline(fixture, NULL, 31, 34, 10);
		close_store(fixture);
		open_store(fixture, false, 0);
	}
}

/* A minute asleep, in pieces of ten seconds as they come, is a flat line; three seconds in its
 * middle are three seconds. */
static void test_a_minute_asleep(void **state)
{
	struct fixture *fixture = *state;
	open_store(fixture, true, 0);
	int64_t first_ns = START_NS + 300 * NS_PER_MS;
	for (int piece = 1; piece <= 6; piece++) {
		struct known_sample sleep = {.time_unix_ns = first_ns + piece * 10 * NS_PER_S,
					     .type = PROFILE_OFFCPU,
					     .stack = 1,
					     .thread = 2,
					     .wait = 6,
					     .weight = 10 * NS_PER_S};
		append_samples(fixture->store, PROFILE_OFFCPU, START_NS + piece * 10 * NS_PER_S,
			       &sleep, 1);
	}
	uint64_t count;
	int64_t weight = total_of(fixture, PROFILE_OFFCPU, START_NS + 33 * NS_PER_S + 7,
				  START_NS + 36 * NS_PER_S + 7, &count);
	assert_int_equal(weight, 3 * NS_PER_S);
	assert_int_equal(count, 0); /* none ends here */
	weight = total_of(fixture, PROFILE_WALL, 0, INT64_MAX, &count);
	assert_int_equal(weight, 60 * NS_PER_S);
	assert_int_equal(count, 6);
	struct series_set *set;
	struct store_query query = {.type = PROFILE_OFFCPU,
				    .from_unix_ns = START_NS,
				    .until_unix_ns = START_NS + 61 * NS_PER_S};
	int rc = store_query_series(fixture->store, &query, "reason", NS_PER_S, 10, &set, NULL);
	assert_int_equal(rc, 0);
	assert_int_equal(set->line_count, 1);
	assert_string_equal(strtab_get(&set->strings, set->lines[0].name), "sleep");
	for (size_t i = 0; i < 61; i++)
		assert_int_equal(set->lines[0].weight_ns[i], i == 0    ? 700 * NS_PER_MS
							     : i == 60 ? 300 * NS_PER_MS
								       : NS_PER_S);
	series_set_free(set);
}

/* The clock's jitter makes the pieces of long waits overlap or leave gaps, of a few us mostly.
 * Still every second is exact, whether waits begin late, meet within a second, or pile up. */
static void test_pieces_that_hardly_meet(void **state)
{
	struct fixture *fixture = *state;
	static const int64_t jitters_us[] = {1, 5, 999, 1000, 1001, 300000};
	open_store(fixture, true, 0);
	for (int piece = 0; piece < 12; piece++) {
		int64_t start_unix_ns = START_NS + (10 + piece * 7) * NS_PER_S;
		struct known_sample *waits = fixture->known + fixture->known_count;
		size_t count = 0;
		for (uint32_t thread = 0; thread < 18; thread++) {
			int64_t most = 2 * jitters_us[thread % 6] + 1;
			int64_t early = (int64_t)(next_random(&fixture->random) % (uint64_t)most);
			int64_t late = (int64_t)(next_random(&fixture->random) % (uint64_t)most);
			int64_t end =
				start_unix_ns + (thread / 6) * 400 * NS_PER_MS + early * NS_PER_US;
			waits[count++] = (struct known_sample){
				.time_unix_ns = end,
				.type = PROFILE_OFFCPU,
				.stack = thread,
				.thread = thread,
				.wait = 1 + thread % 3,
				.weight = 7 * NS_PER_S + (late - most / 2) * NS_PER_US};
		}
		append_samples(fixture->store, PROFILE_OFFCPU, start_unix_ns, waits, count);
		fixture->known_count += count;
	}
	/* as written, and merged into one segment with seconds in which nothing is */
	for (int round = 0; round < 2; round++) {
		check_timeline(fixture, "reason", -5, 100, 1);
		check_timeline(fixture, "reason", 20, 60, 3);
		for (int second = 0; !round && second < 60; second++)
			append_waits(fixture, START_NS + (200 + second) * NS_PER_S, NS_PER_S, 1);
	}
}

/* A wait may begin partitions before the one that holds it: up to a day, then it is cut. */
static void test_long_waits(void **state)
{
	struct fixture *fixture = *state;
	static const int64_t day_ns = 24 * 3600 * NS_PER_S;
	static const struct {
		int64_t weight, want;
	} rows[] = {
		{5 * 3600 * NS_PER_S, 5 * 3600 * NS_PER_S},
		{day_ns, day_ns},
		{day_ns + 1, day_ns},
		{INT64_MAX, day_ns},
		{0, 0},
	};
	uint64_t count;
	open_store(fixture, true, 3600 * NS_PER_S);
	for (int hour = -26; hour < 0; hour++)
		append_seconds(fixture, PROFILE_CPU, START_NS + hour * 3600 * NS_PER_S, 1, 2);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct known_sample wait = {.time_unix_ns = START_NS + (int64_t)i * NS_PER_S,
					    .type = PROFILE_OFFCPU,
					    .stack = 1,
					    .thread = 2,
					    .wait = 1,
					    .weight = rows[i].weight};
		append_samples(fixture->store, PROFILE_OFFCPU, wait.time_unix_ns, &wait, 1);
		wait.weight = rows[i].want;
		fixture->known[fixture->known_count++] = wait;
	}
	for (int round = 0; round < 2; round++) {
		check_query(fixture, PROFILE_WALL, 0, INT64_MAX);
		for (int hour = -25; hour < 1; hour++)
			check_total(fixture, START_NS + hour * 3600 * NS_PER_S + 11,
				    START_NS + hour * 3600 * NS_PER_S + 12345678911, &count);
		check_timeline(fixture, "reason", -25 * 3600, 3600, 600);
		close_store(fixture);
		open_store(fixture, false, 0);
	}
}

/* Sixty seconds, each with as many waits as a busy machine has, and merged twice. */
static void test_large_segments(void **state)
{
	struct fixture *fixture = *state;
	open_store(fixture, true, 0);
	append_waits(fixture, START_NS, 10 * NS_PER_S, 50000); /* more than a segment holds */
	for (int second = 1; second < 61; second++)
		append_waits(fixture, START_NS + second * NS_PER_S, 10 * NS_PER_S, 900);
	check_query(fixture, PROFILE_OFFCPU, START_NS - 5, START_NS + 30 * NS_PER_S + 1);
	check_timeline(fixture, "reason", -10, 61, 1);
}

static void check_values(struct fixture *fixture, enum profile_type type, const char *selector_text,
			 const char *label, const char *want)
{
	AUTO(selector) selector = NULL;
	struct series_set *set;
	char have[1024] = "";
	assert_int_equal(selector_parse(&selector, selector_text, NULL), 0);
	struct store_query query = {.type = type,
				    .from_unix_ns = START_NS,
				    .until_unix_ns = START_NS + 60 * NS_PER_S,
				    .selector = selector};
	int rc = label ? store_query_label_values(fixture->store, &query, label, 100, &set, NULL)
		       : store_query_labels(fixture->store, &query, &set, NULL);
	assert_int_equal(rc, 0);
	for (size_t i = 0; i < set->line_count; i++)
		snprintf(have + strlen(have), sizeof(have) - strlen(have), "%s%s=%lld",
			 i ? " " : "", strtab_get(&set->strings, set->lines[i].name),
			 (long long)(set->lines[i].total_ns / NS_PER_S));
	assert_string_equal(have, want);
	series_set_free(set);
}

static void test_labels_of_waits(void **state)
{
	struct fixture *fixture = *state;
	static const struct {
		uint32_t thread, wait;
		int64_t weight_s;
	} samples[] = {{1, 0, 1}, {1, 1, 2}, {2, 2, 4}, {2, 3, 8}, {1, IDLE_WAIT, 16}};
	open_store(fixture, true, 0);
	for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
		struct known_sample sample = {.time_unix_ns = START_NS + 30 * NS_PER_S,
					      .stack = (uint32_t)i,
					      .thread = samples[i].thread,
					      .wait = samples[i].wait,
					      .weight = samples[i].weight_s * NS_PER_S};
		append_samples(fixture->store, sample.wait ? PROFILE_OFFCPU : PROFILE_CPU,
			       START_NS + 30 * NS_PER_S, &sample, 1);
	}
	static const struct {
		enum profile_type type;
		const char *selector, *label, *want;
	} rows[] = {
		{PROFILE_OFFCPU, "{}", "reason", "lock=22 network=8"},
		{PROFILE_WALL, "{}", "reason", "lock=22 network=8 running=1"},
		{PROFILE_CPU, "{}", "reason", ""},
		{PROFILE_OFFCPU, "{}", "idle", "true=16"},
		{PROFILE_OFFCPU, "{idle!=\"true\"}", "reason", "network=8 lock=6"},
		{PROFILE_WALL, "{idle!=\"true\"}", "reason", "network=8 lock=6 running=1"},
		{PROFILE_WALL, "{reason=\"lock\"}", "tid", "1001=18 1002=4"},
		{PROFILE_WALL, "{reason!=\"lock\"}", "tid", "1002=8 1001=1"},
		{PROFILE_WALL, "{reason=\"running\"}", "tid", "1001=1"},
		{PROFILE_CPU, "{reason=\"running\"}", "tid", ""},
		{PROFILE_CPU, "{reason=\"\"}", "tid", "1001=1"},
		{PROFILE_CPU, "{reason=\"lock\"}", "tid", ""},
		{PROFILE_CPU, "{idle!=\"true\"}", "tid", "1001=1"},
		{PROFILE_WALL, "{waits_on=~\"tcp.*:543[13]\"}", "tid", "1002=8 1001=2"},
		{PROFILE_WALL, "{tid=\"1002\",reason=\"lock\"}", "waits_on",
		 "tcp 10.0.0.1:80 -> 10.0.0.2:5432=4"},
		{PROFILE_WALL, "{tid=\"1002\"}", NULL,
		 "comm=12 pid=12 reason=12 service_name=12 thread=12 tid=12 waits_on=12"},
		{PROFILE_OFFCPU, "{idle=\"true\"}", NULL,
		 "comm=16 idle=16 pid=16 reason=16 service_name=16 thread=16 tid=16 waits_on=16"},
		{PROFILE_CPU, "{}", NULL, "comm=1 pid=1 service_name=1 thread=1 tid=1"},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		check_values(fixture, rows[i].type, rows[i].selector, rows[i].label, rows[i].want);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_random_cuts),
		TEST(test_timelines),
		TEST(test_a_minute_asleep),
		TEST(test_long_waits),
		TEST(test_large_segments),
		TEST(test_labels_of_waits),
		TEST(test_pieces_that_hardly_meet),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
