/*
 * The store on bad days: other people's directories, a second writer, damaged files, no
 * rights, no room.
 */
#include <errno.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <sqlite3.h>

#include "tests/store_fixture.h"

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
	assert_int_equal(store_append(second, NULL, 0, NULL, &err), -EROFS);
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
		char command[256];
		snprintf(command, sizeof(command), "test -e '%s.damaged-1'", path);
		assert_int_equal(system(command), 0);
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
		int rc = store_append(fixture->store, (const struct profile *[]){batch}, 1, NULL,
				      &err);
		profile_free(batch);
		if (!rc)
			fixture->known_count += 500;
		else if (rc != -ENOSPC)
			fail_msg("%d: %s", rc, err.text);
		failures += rc != 0;
	}
	assert_true(failures > 10);
	check_query(fixture, PROFILE_CPU, 0, INT64_MAX); /* nothing by halves */
	struct store_stats stats;
	assert_int_equal(store_stats(fixture->store, &stats, NULL), 0);
	assert_int_equal(stats.partitions_set_aside, 0);
	assert_int_equal(unlink(filler), 0);
	append_seconds(fixture, PROFILE_CPU, START_NS + 19 * NS_PER_S, 10, 20);
	check_query(fixture, PROFILE_CPU, 0, INT64_MAX);
	close_store(fixture);
	open_store(fixture, true, 20 * NS_PER_S);
	check_query(fixture, PROFILE_CPU, 0, INT64_MAX);
	close_store(fixture);
	assert_int_equal(umount(fixture->directory), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_foreign_directory),
		TEST(test_unusable_directories),
		TEST(test_lock),
		TEST(test_damaged),
		TEST(test_damaged_inside),
		TEST(test_damaged_segment),
		TEST(test_unprivileged_reader),
		TEST(test_disk_full),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
