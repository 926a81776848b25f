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

/* 1 s on a CPU, 2 s of locks, 4 s of a database. */
static struct profile *wall_profile(void)
{
	struct profile *profile = NULL;
	assert_int_equal(profile_new(&profile, PROFILE_WALL), 0);
	maker_sample(profile, "web", 1, "main;serve", 1000000000);
	maker_waiting(profile, "web", 1, "main;serve", maker_wait(profile, WAIT_LOCK, "", true),
		      2000000000);
	maker_waiting(profile, "web", 1, "main;serve;ask_db",
		      maker_wait(profile, WAIT_NETWORK, "tcp 10.0.0.7:5432", false), 4000000000);
	return profile;
}

static void waits_are_tags(void **state)
{
	static const struct {
		const char *option;
		const char *total;
	} rows[] = {
		{"-tagfocus=reason=lock", "for 2s, 28.57% of 7s"},
		{"-tagfocus=reason=running", "for 1s, 14.29% of 7s"},
		{"-tagfocus=waits_on=tcp.*:5432", "for 4s, 57.14% of 7s"},
		{"-tagignore=idle=true", "for 5s, 71.43% of 7s"},
	};
	AUTO(profile) profile = wall_profile();
	save(*state, profile);
	AUTO_MEM char *tags = pprof(*state, "-tags", "-nodecount=100");
	expect_part(tags, "reason: Total 7.0s");
	expect_part(tags, "4.0s (57.14%): network");
	expect_part(tags, "2.0s (28.57%): lock");
	expect_part(tags, "1.0s (14.29%): running");
	expect_part(tags, "waits_on: Total 4.0s");
	expect_part(tags, "idle: Total 2.0s");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO_MEM char *top = pprof(*state, "-top", rows[i].option);
		expect_part(top, "Type: wall");
		expect_part(top, rows[i].total);
	}
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
	expect_part(raw, "0x0/0x100000/0x0 /bin/x  [FN][IN]");
	AUTO_MEM char *traces = pprof(*state, "-traces", "-nodecount=100");
	expect_part(traces, "inner (inline)");
	expect_part(traces, "[x+0x12af]");
}

/* The lines of work.c: where `leaf`, inlined into `twice`, inlined into `work`, runs. */
enum { LEAF_LINE = 3, TWICE_LINE = 7, WORK_LINE = 12, WORK_LATER_LINE = 13, MAIN_LINE = 18 };

static const char work_c[] = "static int leaf(int x)\n"
			     "{\n"
			     "	return x * 3;\n" /* 3 */
			     "}\n"
			     "static int twice(int x)\n"
			     "{\n"
			     "	return leaf(x) + leaf(x);\n" /* 7 */
			     "}\n"
			     "int work(int n)\n"
			     "{\n"
			     "	int sum = 0;\n"
			     "	sum += twice(n);\n" /* 12 */
			     "	sum += n;\n"        /* 13 */
			     "	return sum;\n"
			     "}\n"
			     "int main(void)\n"
			     "{\n"
			     "	return work(1);\n" /* 18 */
			     "}\n";

struct source_line {
	const char *function;
	uint32_t start_line;
	uint32_t line;
};

/* A location of that many lines, innermost first, in functions of one source file. */
static uint32_t source_location(struct profile *profile, const char *filename, uint64_t vaddr,
				const struct source_line *source, uint32_t count)
{
	struct profile_mapping mapping = {.limit_vaddr = 0x100000,
					  .filename = maker_string(profile, "/bin/x")};
	struct profile_location location = {.vaddr = vaddr};
	struct profile_line lines[4];
	uint32_t id = 0;
	assert_int_equal(profile_add_mapping(profile, &mapping, &location.mapping), 0);
	for (uint32_t i = 0; i < count; i++) {
		struct profile_function function = {
			.name = maker_string(profile, source[i].function),
			.system_name = maker_string(profile, source[i].function),
			.filename = maker_string(profile, filename),
			.start_line = source[i].start_line,
		};
		lines[i] = (struct profile_line){.line = source[i].line};
		assert_int_equal(profile_add_function(profile, &function, &lines[i].function), 0);
	}
	assert_int_equal(profile_add_location(profile, &location, lines, count, &id), 0);
	return id;
}

static void source_sample(struct profile *profile, uint32_t main_id, uint32_t leaf_id, int count)
{
	uint32_t stack = 0;
	assert_int_equal(profile_add_stack(profile, 0, main_id, &stack), 0);
	assert_int_equal(profile_add_stack(profile, stack, leaf_id, &stack), 0);
	for (int i = 0; i < count; i++) {
		struct profile_sample sample = {
			.time_unix_ns = 1700000000000000000,
			.weight = 10000000,
			.count = 1,
			.stack = stack,
			.thread = maker_thread(profile, 1, 1, "x", "x"),
		};
		assert_int_equal(profile_add_sample(profile, &sample), 0);
	}
}

/* 600 ms in leaf at line 3, inlined twice over; 400 ms in work itself at line 13. */
static struct profile *source_profile(const char *filename)
{
	static const struct source_line inlined[] = {
		{"leaf", 1, LEAF_LINE}, {"twice", 5, TWICE_LINE}, {"work", 9, WORK_LINE}};
	static const struct source_line later = {"work", 9, WORK_LATER_LINE};
	static const struct source_line caller = {"main", 0, MAIN_LINE};
	struct profile *profile = NULL;
	assert_int_equal(profile_new(&profile, PROFILE_CPU), 0);
	profile->start_unix_ns = 1700000000000000000;
	profile->duration_ns = 1000000000;
	profile->period_ns = 10000000;
	uint32_t main_id = source_location(profile, filename, 0x100, &caller, 1);
	source_sample(profile, main_id,
		      source_location(profile, filename, 0x200, inlined, ARRAY_LEN(inlined)), 60);
	source_sample(profile, main_id, source_location(profile, filename, 0x210, &later, 1), 40);
	return profile;
}

static struct profile *save_source_profile(const struct files *files)
{
	char filename[128];
	struct buf source;
	snprintf(filename, sizeof(filename), "%s/work.c", files->directory);
	buf_init(&source, sizeof(work_c));
	buf_append(&source, work_c, strlen(work_c));
	write_file(filename, &source);
	buf_fini(&source);
	struct profile *profile = source_profile(filename);
	save(files, profile);
	return profile;
}

/* Columns: the line's own time, with callees, the line's number, its text. */
static void list_shows_source_lines(void **state)
{
	AUTO(profile) profile = save_source_profile(*state);
	AUTO_MEM char *text = pprof(*state, "-list=work|twice|leaf|main", "-unit=ms");
	expect_part(text, "= leaf in ");
	expect_part(text, "600ms      600ms (flat, cum) 60.00% of Total");
	expect_part(text, "600ms      600ms      3:\treturn x * 3;");
	expect_part(text, ".      600ms      7:\treturn leaf(x) + leaf(x);");
	expect_part(text, "400ms     1000ms (flat, cum)   100% of Total");
	expect_part(text, ".      600ms     12:\tsum += twice(n);");
	expect_part(text, "400ms      400ms     13:\tsum += n;");
	expect_part(text, ".     1000ms     18:\treturn work(1);");
}

static void peek_shows_inlined_callers(void **state)
{
	AUTO(profile) profile = save_source_profile(*state);
	AUTO_MEM char *leaf = pprof(*state, "-peek=^leaf$", "-unit=ms");
	expect_part(leaf, "600ms   100% |   twice (inline)\n     600ms 60.00%");
	expect_part(leaf, "| leaf\n");
	AUTO_MEM char *work = pprof(*state, "-peek=^work$", "-unit=ms");
	expect_part(work, "1000ms   100% |   main\n");
	expect_part(work, "600ms 60.00% |   twice (inline)\n");
	AUTO_MEM char *lines = pprof(*state, "-top", "-lines");
	expect_part(lines, "work.c:13");
	expect_part(lines, "work.c:3 (inline)");
}

/* What the mapping promises: F functions, FL files, LN lines, IN inlined calls. */
static void flags_are_promises_for_all(void **state)
{
	AUTO(profile) whole = save_source_profile(*state);
	AUTO_MEM char *all = pprof(*state, "-raw", "-nodecount=100");
	expect_part(all, "/bin/x  [FN][FL][LN][IN]");

	static const struct source_line bare = {"asm", 0, 0};
	uint32_t bare_id = source_location(whole, "", 0x300, &bare, 1);
	source_sample(whole, bare_id, bare_id, 1);
	save(*state, whole);
	AUTO_MEM char *most = pprof(*state, "-raw", "-nodecount=100");
	expect_part(most, "/bin/x  [FN][IN]");

	AUTO(profile) unnamed = NULL;
	assert_int_equal(profile_new(&unnamed, PROFILE_CPU), 0);
	maker_sample(unnamed, "x", 1, "?100;?200", 10000000);
	save(*state, unnamed);
	AUTO_MEM char *none = pprof(*state, "-raw", "-nodecount=100");
	expect_part(none, "/bin/x  \n");
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

/* Files, lines and inlined calls, in their order, as pprof writes them. */
static void lines_survive_the_way_there_and_back(void **state)
{
	const struct files *files = *state;
	AUTO(profile) profile = save_source_profile(files);
	char options[256];
	snprintf(options, sizeof(options), "-output=%s", files->theirs);
	AUTO_MEM char *said = pprof(files, "-proto", options);
	AUTO(profile) back = load(files->theirs);
	const struct profile_location *location = NULL;
	for (size_t i = 1; i < back->location_count; i++)
		if (back->locations[i].line_count == 3)
			location = &back->locations[i];
	assert_non_null(location);
	static const struct source_line wanted[] = {
		{"leaf", 1, LEAF_LINE}, {"twice", 5, TWICE_LINE}, {"work", 9, WORK_LINE}};
	for (uint32_t i = 0; i < ARRAY_LEN(wanted); i++) {
		const struct profile_line *line = &back->lines[location->first_line + i];
		const struct profile_function *function = &back->functions[line->function];
		assert_string_equal(profile_string(back, function->name), wanted[i].function);
		assert_int_equal(function->start_line, wanted[i].start_line);
		assert_int_equal(line->line, wanted[i].line);
		assert_non_null(strstr(profile_string(back, function->filename), "/work.c"));
	}
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
		cmocka_unit_test(waits_are_tags),
		cmocka_unit_test(raw_and_traces_are_readable),
		cmocka_unit_test(list_shows_source_lines),
		cmocka_unit_test(peek_shows_inlined_callers),
		cmocka_unit_test(flags_are_promises_for_all),
		cmocka_unit_test(lines_survive_the_way_there_and_back),
		cmocka_unit_test(what_it_writes_we_read),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
