#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/array.h"
#include "cli/output.h"
#include "profile/pprof.h"
#include "tool.h"

static struct profile *small_profile(void)
{
	struct profile *profile;
	assert_int_equal(profile_new(&profile, PROFILE_CPU), 0);
	uint32_t location, stack;
	assert_int_equal(profile_add_named_location(profile, "burn", &location), 0);
	assert_int_equal(profile_add_stack(profile, 0, location, &stack), 0);
	struct profile_sample sample = {.weight = 42, .count = 1, .stack = stack};
	assert_int_equal(profile_add_sample(profile, &sample), 0);
	return profile;
}

static void names_without_a_format(void **state)
{
	(void)state;
	static const char *const rows[] = {"",       "profile",   "profile.pb",  "profile.gz",
					   "x.html", "x.folded~", "x.FOLDED",    ".pb.gz/",
					   "folded", "pb.gz",     "x.folded.gz", "/tmp/"};
	AUTO(profile) profile = small_profile();
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO_FINI(buf_fini) struct buf out;
		buf_init(&out, 1 << 20);
		struct err err = {0};
		if (output_check(rows[i], &err) != -EINVAL)
			fail_msg("\"%s\" has a format", rows[i]);
		assert_non_null(strstr(err.text, ".pb.gz"));
		assert_non_null(strstr(err.text, ".folded"));
		assert_int_equal(output_encode(&out, rows[i], profile, NULL), -EINVAL);
		assert_int_equal(out.len_bytes, 0);
	}
}

static void formats_by_suffix(void **state)
{
	(void)state;
	AUTO(profile) profile = small_profile();
	AUTO_FINI(buf_fini) struct buf folded, pprof;
	buf_init(&folded, 1 << 20);
	buf_init(&pprof, 1 << 20);
	assert_int_equal(output_encode(&folded, "a.pb.gz.folded", profile, NULL), 0);
	buf_append_u8(&folded, 0);
	assert_string_equal(folded.data, "[unknown];burn 42\n");
	assert_int_equal(output_encode(&pprof, "a.folded.pb.gz", profile, NULL), 0);
	AUTO(profile) decoded = NULL;
	assert_int_equal(pprof_decode(&decoded, pprof.data, pprof.len_bytes, NULL), 0);
	assert_int_equal(profile_total_weight(decoded), 42);
}

static size_t entries(const char *path)
{
	DIR *dir = opendir(path);
	size_t count = 0;
	while (readdir(dir))
		count++;
	closedir(dir);
	return count - 2; /* . and .. */
}

static void places_that_cannot_be_written(void **state)
{
	(void)state;
	char *dir = tool_dir_new();
	char long_name[400], directory[400], missing[400], file[400], below[420];
	snprintf(missing, sizeof(missing), "%s/no/x.folded", dir);
	snprintf(directory, sizeof(directory), "%s/directory.folded", dir);
	snprintf(file, sizeof(file), "%s/file", dir);
	snprintf(below, sizeof(below), "%s/x.folded", file);
	assert_int_equal(mkdir(directory, 0700), 0);
	tool_write_file(file, "old", 3);
	memset(long_name, 'x', sizeof(long_name) - 1);
	long_name[sizeof(long_name) - 1] = 0;
	const struct {
		const char *path;
		int rc;
	} rows[] = {
		{missing, -ENOENT},     {directory, -EISDIR},
		{below, -ENOTDIR},      {long_name, -ENAMETOOLONG},
		{"/dev/full", -ENOSPC}, {"/proc/x.folded", -ENOENT},
		{"", -ENOENT},
	};
	size_t before = entries(dir);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct err err = {0};
		int rc = output_write(rows[i].path, "new", 3, &err);
		if (rc != rows[i].rc || strncmp(err.text, "write ", 6) != 0)
			fail_msg("%s: %d, %s", rows[i].path, rc, err.text);
	}
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct err err = {0};
		int rc = output_check_place(rows[i].path, &err);
		/* Only writing tells that there is no room, or that nothing can be made there. */
		bool is_told_late = rows[i].rc == -ENOSPC || !strncmp(rows[i].path, "/proc", 5) ||
				    !rows[i].path[0] || rows[i].path == long_name;
		if (!is_told_late && (rc != rows[i].rc || strncmp(err.text, "write ", 6) != 0))
			fail_msg("%s: %d, %s", rows[i].path, rc, err.text);
	}
	assert_int_equal(output_check_place("x.folded", NULL), 0);
	assert_int_equal(output_check_place("/dev/null", NULL), 0);
	assert_int_equal(entries(dir), before); /* no temporary file stays */
	tool_dir_remove(dir);
}

static void all_or_nothing(void **state)
{
	(void)state;
	char *dir = tool_dir_new();
	char path[600], text[16] = "";
	snprintf(path, sizeof(path), "%s/x.folded", dir);
	mode_t mask = umask(027);
	assert_int_equal(output_write(path, "old", 3, NULL), 0);
	umask(mask);
	struct stat st;
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0640);
	AUTO_FD reader = open(path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(output_write(path, "newer", 5, NULL), 0);
	assert_int_equal(read(reader, text, sizeof(text) - 1),
			 3); /* still sees all of the old one */
	assert_string_equal(text, "old");
	AUTO_FD again = open(path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(read(again, text, sizeof(text) - 1), 5);
	assert_string_equal(text, "newer");
	assert_int_equal(output_write(path, "", 0, NULL), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 0);
	assert_int_equal(entries(dir), 1);
	tool_dir_remove(dir);
}

static void pipes_are_written_directly(void **state)
{
	(void)state;
	char *dir = tool_dir_new();
	char path[600], text[16] = "";
	snprintf(path, sizeof(path), "%s/fifo", dir);
	assert_int_equal(mkfifo(path, 0600), 0);
	AUTO_FD reader = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	assert_int_equal(output_write(path, "through", 7, NULL), 0);
	assert_int_equal(read(reader, text, sizeof(text) - 1), 7);
	assert_string_equal(text, "through");
	struct stat st;
	assert_int_equal(stat(path, &st), 0);
	assert_true(S_ISFIFO(st.st_mode));
	tool_dir_remove(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_without_a_format),
		cmocka_unit_test(formats_by_suffix),
		cmocka_unit_test(places_that_cannot_be_written),
		cmocka_unit_test(all_or_nothing),
		cmocka_unit_test(pipes_are_written_directly),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
