/* Do others read what we write, and we what they write? Asks `go tool pprof`; skipped without
 * it. */
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/array.h"
#include "profile/calltree.h"
#include "profile/pprof.h"
#include "tests/profile_maker.h"

enum { SKIPPED = 77, MAX_OUTPUT_BYTES = 1 << 24 };

struct files {
	char directory[64];
	char ours[128];
	char theirs[128];
};

static void write_file(const char *path, const struct buf *bytes)
{
	FILE *file = fopen(path, "wb");
	assert_non_null(file);
	assert_int_equal(fwrite(bytes->data, 1, bytes->len_bytes, file), bytes->len_bytes);
	assert_int_equal(fclose(file), 0);
}

static void read_all(FILE *file, struct buf *out)
{
	char chunk[4096];
	for (size_t got = 1; got > 0;) {
		got = fread(chunk, 1, sizeof(chunk), file);
		buf_append(out, chunk, got);
	}
}

static void exec_in(const char *directory, const char *const *argv, int output_fd)
{
	setenv("HOME", directory, 1);
	setenv("PPROF_TMPDIR", directory, 1);
	dup2(output_fd, STDOUT_FILENO);
	dup2(output_fd, STDERR_FILENO);
	execvp(argv[0], (char *const *)(uintptr_t)argv);
	_exit(127);
}

/* Runs a command and gives what it prints on both outputs; returns its exit status. */
static int run(const char *directory, const char *const *argv, char **text)
{
	int ends[2];
	struct buf out;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	pid_t child = fork();
	assert_true(child >= 0);
	if (!child)
		exec_in(directory, argv, ends[1]);
	close(ends[1]);
	FILE *file = fdopen(ends[0], "r");
	assert_non_null(file);
	buf_init(&out, MAX_OUTPUT_BYTES);
	read_all(file, &out);
	assert_int_equal(fclose(file), 0);
	int status = 0;
	assert_int_equal(waitpid(child, &status, 0), child);
	*text = buf_take_str(&out);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static char *pprof(const struct files *files, const char *option, const char *second_option)
{
	const char *argv[] = {"go",   "tool",        "pprof",     "-symbolize=none",
			      option, second_option, files->ours, NULL};
	char *text = NULL;
	int status = run(files->directory, argv, &text);
	if (status)
		fail_msg("go tool pprof %s: status %d: %s", option, status, text);
	return text;
}

static int setup(void **state)
{
	static struct files files = {.directory = "/tmp/hearth-pprof-XXXXXX"};
	if (!mkdtemp(files.directory))
		return -1;
	snprintf(files.ours, sizeof(files.ours), "%s/ours.pb.gz", files.directory);
	snprintf(files.theirs, sizeof(files.theirs), "%s/theirs.pb.gz", files.directory);
	*state = &files;
	return 0;
}

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *walk)
{
	(void)info, (void)type, (void)walk;
	return remove(path);
}

static int teardown(void **state)
{
	return nftw(((struct files *)*state)->directory, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void save(const struct files *files, const struct profile *profile)
{
	struct buf out;
	struct err err = {0};
	buf_init(&out, MAX_OUTPUT_BYTES);
	assert_int_equal(pprof_encode(&out, profile, &err), 0);
	write_file(files->ours, &out);
	buf_fini(&out);
}

/* 700 ms, 200 ms and 100 ms in three functions, 10 ms each sample. */
static struct profile *known_profile(void)
{
	struct profile *profile = NULL;
	assert_int_equal(profile_new(&profile, PROFILE_CPU), 0);
	profile->start_unix_ns = 1700000000000000000;
	profile->duration_ns = 1000000000;
	profile->period_ns = 10000000;
	for (int i = 0; i < 100; i++)
		maker_sample(profile, "burn", 1 + (uint32_t)i % 4,
			     i < 70   ? "main;burn_a"
			     : i < 90 ? "main;burn_b>inner"
				      : "main;?12af;k:do_syscall",
			     10000000);
	return profile;
}

static void expect_part(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("\"%s\" is not in:\n%s", part, text);
}

static void top_shows_the_shares(void **state)
{
	AUTO(profile) profile = known_profile();
	save(*state, profile);
	AUTO_MEM char *text = pprof(*state, "-top", "-nodecount=100");
	expect_part(text, "File: x");
	expect_part(text, "Type: cpu");
	expect_part(text, "Duration: 1s, Total samples = 1000ms");
	expect_part(text, "700ms 70.00% 70.00%      700ms 70.00%  burn_a");
	expect_part(text, "200ms 20.00% 90.00%      200ms 20.00%  inner (inline)");
	expect_part(text, "100ms 10.00%   100%      100ms 10.00%  do_syscall");
	expect_part(text, "1000ms   100%  main");
	expect_part(text, "100ms 10.00%  [x+0x12af]");
}

static void counts_are_a_sample_type(void **state)
{
	AUTO(profile) profile = known_profile();
	save(*state, profile);
	AUTO_MEM char *text = pprof(*state, "-top", "-sample_index=samples");
	expect_part(text, "Type: samples");
	expect_part(text, "70 70.00% 70.00%         70 70.00%  burn_a");
}

static void labels_are_tags(void **state)
{
	AUTO(profile) profile = known_profile();
	save(*state, profile);
	AUTO_MEM char *text = pprof(*state, "-tags", "-nodecount=100");
	expect_part(text, "comm: Total 1.0s");
	expect_part(text, "1.0s (  100%): burn");
	expect_part(text, "thread: Total 1.0s");
	expect_part(text, "pid: Total 1.0s");
	expect_part(text, "tid: Total 1.0s");
}

static void raw_and_traces_are_readable(void **state)
{
	AUTO(profile) profile = known_profile();
	save(*state, profile);
	AUTO_MEM char *raw = pprof(*state, "-raw", "-nodecount=100");
	expect_part(raw, "PeriodType: cpu nanoseconds");
	expect_part(raw, "Period: 10000000");
	expect_part(raw, "samples/count cpu/nanoseconds[dflt]");
	expect_part(raw, "0x0/0x100000/0x0 /bin/x  [FN][LN][IN]");
	AUTO_MEM char *traces = pprof(*state, "-traces", "-nodecount=100");
	expect_part(traces, "inner (inline)");
	expect_part(traces, "[x+0x12af]");
}

static struct profile *load(const char *path)
{
	struct buf bytes;
	struct err err = {0};
	struct profile *profile = NULL;
	buf_init(&bytes, MAX_OUTPUT_BYTES);
	FILE *file = fopen(path, "rb");
	assert_non_null(file);
	read_all(file, &bytes);
	assert_int_equal(fclose(file), 0);
	if (pprof_decode(&profile, bytes.data, bytes.len_bytes, &err))
		fail_msg("%s", err.text);
	buf_fini(&bytes);
	return profile;
}

static void what_it_writes_we_read(void **state)
{
	const struct files *files = *state;
	for (unsigned round = 0; round < 3; round++) {
		unsigned seed = maker_seed(round);
		AUTO(profile) random = maker_random(&seed, 200);
		AUTO(profile) profile = NULL;
		assert_int_equal(profile_new(&profile, PROFILE_CPU), 0);
		assert_int_equal(profile_merge(profile, random, NULL), 0);
		save(files, profile);
		char options[256];
		snprintf(options, sizeof(options), "-output=%s", files->theirs);
		AUTO_MEM char *said = pprof(files, "-proto", options);
		AUTO(profile) back = load(files->theirs);
		AUTO_MEM char *want = maker_dump(profile);
		AUTO_MEM char *got = maker_dump(back);
		assert_string_equal(got, want);
	}
}

int main(void)
{
	AUTO_MEM char *version = NULL;
	if (run("/tmp", (const char *const[]){"go", "version", NULL}, &version)) {
		fprintf(stderr, "skipped: there is no go tool pprof here\n");
		return SKIPPED;
	}
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(top_shows_the_shares),
		cmocka_unit_test(counts_are_a_sample_type),
		cmocka_unit_test(labels_are_tags),
		cmocka_unit_test(raw_and_traces_are_readable),
		cmocka_unit_test(what_it_writes_we_read),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
