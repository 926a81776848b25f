/*
 * A writer is killed at random moments, over and over: whatever it was told is stored is
 * there, whole, and the next start says that it was killed.
 */
#include <errno.h>
#include <glob.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sqlite3.h>

#include "tests/store_samples.h"

#define START_NS (INT64_C(1767322800) * NS_PER_S)

enum {
	ROUNDS = 20,
	SAMPLES = 30,     /* an append */
	SPAN_S = 40,      /* partitions end while it runs */
	DEADLINE_S = 240, /* for the child to append at all: only a hang takes so long */
};

/* Appends that returned 0, counted by the writer where its death does not matter. */
struct shared {
	volatile uint64_t acknowledged;
};

static char *directory_of(char path[static 64])
{
	snprintf(path, 64, "/tmp/hearth-test-crash-XXXXXX");
	return mkdtemp(path);
}

static struct store *open_store(const char *directory, bool writable)
{
	struct store *store = NULL;
	struct err err = {0};
	struct store_options options = {.directory = directory,
					.writable = writable,
					.partition_span_ns = SPAN_S * NS_PER_S};
	if (store_open(&store, &options, &err))
		fail_msg("%s", err.text);
	return store;
}

/* Append n is second n, with samples that n decides. */
static void append_number(struct store *store, uint64_t number)
{
	struct known_sample samples[SAMPLES];
	uint64_t random = number * 2654435761u + 1;
	int64_t start_unix_ns = START_NS + (int64_t)number * NS_PER_S;
	random_samples(&random, PROFILE_CPU, start_unix_ns, samples, SAMPLES);
	append_samples(store, PROFILE_CPU, start_unix_ns, samples, SAMPLES);
}

static void write_until_killed(const char *directory, struct shared *shared)
{
	struct store *store = open_store(directory, true);
	for (;;) {
		append_number(store, shared->acknowledged);
		shared->acknowledged++;
	}
}

static uint64_t count_in(struct store *store, int64_t from_unix_ns, int64_t until_unix_ns)
{
	struct profile *profile;
	struct err err = {0};
	struct store_query query = {
		.type = PROFILE_CPU, .from_unix_ns = from_unix_ns, .until_unix_ns = until_unix_ns};
	if (store_query_stacks(store, &query, &profile, &err))
		fail_msg("%s", err.text);
	uint64_t count = profile_total_count(profile);
	for (size_t i = 0; i < profile->sample_count; i++)
		known_stack(profile, profile->samples[i].stack);
	profile_free(profile);
	return count;
}

static void count_unclean(void *ctx, const char *text)
{
	int *counts = ctx;
	counts[!strstr(text, "ended without a clean stop at 20")]++;
}

static void check_integrity(const char *directory)
{
	char pattern[128];
	glob_t found;
	snprintf(pattern, sizeof(pattern), "%s/p-*.hearth", directory);
	assert_int_equal(glob(pattern, 0, NULL, &found), 0);
	for (size_t i = 0; i < found.gl_pathc; i++) {
		sqlite3 *db;
		sqlite3_stmt *stmt;
		assert_int_equal(sqlite3_open(found.gl_pathv[i], &db), SQLITE_OK);
		int rc = sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &stmt, NULL);
		assert_int_equal(rc, SQLITE_OK);
		assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
		assert_string_equal((const char *)sqlite3_column_text(stmt, 0), "ok");
		sqlite3_finalize(stmt);
		sqlite3_close(db);
	}
	globfree(&found);
}

static void wait_for_append(const struct shared *shared, uint64_t more_than)
{
	int64_t deadline_mono_ns = clock_mono_ns() + DEADLINE_S * NS_PER_S;
	while (shared->acknowledged <= more_than) {
		assert_true(clock_mono_ns() < deadline_mono_ns);
		usleep(500);
	}
}

static void kill_and_check(const char *directory, struct shared *shared, uint64_t *random)
{
	int notices[2] = {0};
	uint64_t before = shared->acknowledged;
	pid_t child = fork();
	assert_true(child >= 0);
	if (!child) {
		prctl(PR_SET_PDEATHSIG, SIGKILL); /* should the test fail */
		write_until_killed(directory, shared);
	}
	wait_for_append(shared, before);
	usleep((useconds_t)(next_random(random) % 100000));
	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(waitpid(child, NULL, 0), child);

	struct store *store = open_store(directory, true);
	store_notices(store, count_unclean, notices);
	assert_int_equal(notices[0], 1);
	assert_int_equal(notices[1], 0);
	uint64_t stored = count_in(store, 0, INT64_MAX);
	/* All that was acknowledged, and at most the one that was under way, whole. */
	uint64_t extra = stored - shared->acknowledged * SAMPLES;
	assert_true(extra == 0 || extra == SAMPLES);
	if (extra)
		shared->acknowledged++;
	for (uint64_t i = before; i < shared->acknowledged; i++) {
		int64_t start_unix_ns = START_NS + (int64_t)i * NS_PER_S;
		assert_int_equal(count_in(store, start_unix_ns, start_unix_ns + NS_PER_S), SAMPLES);
	}
	store_free(store);
	check_integrity(directory);
}

static void test_killed(void **state)
{
	(void)state;
	char directory[64];
	uint64_t random = (uint64_t)clock_mono_ns() | 1;
	print_message("seed %llu\n", (unsigned long long)random);
	assert_non_null(directory_of(directory));
	struct shared *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
				     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(shared, MAP_FAILED);
	for (int round = 0; round < ROUNDS; round++)
		kill_and_check(directory, shared, &random);
	print_message("%llu appends\n", (unsigned long long)shared->acknowledged);

	/* After a clean stop there is nothing to say. */
	int notices[2] = {0};
	struct store *store = open_store(directory, true);
	append_number(store, shared->acknowledged);
	store_free(store);
	store = open_store(directory, true);
	store_notices(store, count_unclean, notices);
	assert_int_equal(notices[0] + notices[1], 0);
	store_free(store);
	munmap(shared, sizeof(*shared));
	remove_directory(directory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_killed)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
