#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/array.h"
#include "cli/config.h"
#include "tool.h"

static int read_text(struct serve_config *merged, struct serve_config command_line,
		     const char *text, struct err *err)
{
	char *dir = tool_dir_new();
	char path[600];
	snprintf(path, sizeof(path), "%s/hearth.conf", dir);
	tool_write_file(path, text, strlen(text));
	command_line.config = path;
	int rc = serve_config_read(merged, &command_line, err);
	tool_dir_remove(dir);
	return rc;
}

static void files_that_are_wrong(void **state)
{
	(void)state;
	static const struct {
		const char *text, *said;
	} rows[] = {
		{"listn = x\n", "hearth.conf:1: there is no setting \"listn\""},
		{"rate = 99\n\nrates = 1\n", "hearth.conf:3: there is no setting \"rates\""},
		{"# comment\nrate = fast\n", "hearth.conf:2: \"fast\" is not a rate"},
		{"rate = 0\n", "hearth.conf:1: \"0\" is not a rate"},
		{"rate = 10001\n", "hearth.conf:1: "},
		{"rate =\n", "hearth.conf:1: "},
		{"max-disk = much\n", "hearth.conf:1: \"much\" is not a size"},
		{"max-memory = much\n", "hearth.conf:1: \"much\" is not a size"},
		{"max-memory = 31M\n", "hearth.conf:1: \"31M\" is too little"},
		{"ring-bytes = -1\n", "hearth.conf:1: \"-1\" is not a size"},
		{"insecure = maybe\n", "hearth.conf:1: \"maybe\" is neither true nor false"},
		{"kernel-threads = 1\n", "hearth.conf:1: \"1\" is neither true nor false"},
		{"waiting = on\n", "hearth.conf:1: \"on\" is no way to sample threads that wait"},
		{"waiting =\n", "hearth.conf:1: \"\" is no way"},
		{"wait-rate = 0\n", "hearth.conf:1: \"0\" is not a rate"},
		{"\n\nlisten\n", "hearth.conf:3: this is not `name = value`"},
		{"listen\nrates = 1\n", "hearth.conf:1: this is not `name = value`"},
		{"rates = 1\nlisten\n", "hearth.conf:1: there is no setting \"rates\""},
		{"rates = 1\nlatency = 2\n", "hearth.conf:1: there is no setting \"rates\""},
		{"rates = 1\nrate = 99\n", "hearth.conf:1: there is no setting \"rates\""},
		{"[serve]\nrate = 99\n", "hearth.conf:2: [serve]: there are no sections"},
		{"rate = 99\nrate = 98\n", "hearth.conf:2: \"rate\" is set twice"},
		{"listen = a\n  rate = 98\n", "hearth.conf:2: \"listen\" is set twice"},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO_FINI(serve_config_fini) struct serve_config merged = {0};
		struct err err = {0};
		int rc = read_text(&merged, (struct serve_config){0}, rows[i].text, &err);
		if (rc != -EINVAL || !strstr(err.text, rows[i].said))
			fail_msg("%d, %s", rc, err.text);
	}
}

static void files_that_cannot_be_read(void **state)
{
	(void)state;
	static const struct {
		const char *path;
		int rc;
	} rows[] = {{"/nonexistent/hearth.conf", -ENOENT}, {"/tmp", -EISDIR}};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO_FINI(serve_config_fini) struct serve_config merged = {0};
		struct err err = {0};
		struct serve_config command_line = {.config = rows[i].path};
		assert_int_equal(serve_config_read(&merged, &command_line, &err), rows[i].rc);
		assert_non_null(strstr(err.text, rows[i].path));
	}
}

static void defaults(void **state)
{
	(void)state;
	AUTO_FINI(serve_config_fini) struct serve_config merged = {0};
	assert_int_equal(serve_config_read(&merged, &(struct serve_config){0}, NULL), 0);
	assert_string_equal(merged.listen, "127.0.0.1:4040");
	assert_string_equal(merged.data, "/var/lib/hearth");
	assert_int_equal(merged.rate_hz, 0);
	assert_null(merged.waits.method);
	assert_false(merged.insecure);
}

static const char whole[] = "# Hearth\n"
			    "listen = 127.0.0.1:5050\n"
			    "data=/srv/hearth  \n"
			    "\n"
			    "rate = 499\n"
			    "max-disk = 2G\n"
			    "max-memory = 320M\n"
			    "ring-bytes = 16M\n"
			    "waiting = iter\n"
			    "wait-rate = 40\n"
			    "kernel-threads = yes\n"
			    "insecure = yes\n";

static void a_file(void **state)
{
	(void)state;
	AUTO_FINI(serve_config_fini) struct serve_config merged = {0};
	struct err err = {0};
	if (read_text(&merged, (struct serve_config){0}, whole, &err))
		fail_msg("%s", err.text);
	assert_string_equal(merged.listen, "127.0.0.1:5050");
	assert_string_equal(merged.data, "/srv/hearth");
	assert_int_equal(merged.rate_hz, 499);
	assert_int_equal(merged.max_disk_bytes, UINT64_C(2) << 30);
	assert_string_equal(merged.waits.method, "iter");
	assert_int_equal(merged.waits.rate_hz, 40);
	assert_true(merged.waits.takes_kernel_threads);
	assert_int_equal(merged.max_memory_bytes, 320 << 20);
	assert_int_equal(merged.ring_bytes, 16 << 20);
	assert_true(merged.insecure);
}

static void the_command_line_comes_first(void **state)
{
	(void)state;
	AUTO_FINI(serve_config_fini) struct serve_config merged = {0};
	struct serve_config command_line = {.listen = "127.0.0.1:1", .rate_hz = 7};
	struct err err = {0};
	if (read_text(&merged, command_line, whole, &err))
		fail_msg("%s", err.text);
	assert_string_equal(merged.listen, "127.0.0.1:1");
	assert_int_equal(merged.rate_hz, 7);
	assert_string_equal(merged.data, "/srv/hearth");
	/* What it covers is still checked. */
	AUTO_FINI(serve_config_fini) struct serve_config refused = {0};
	assert_int_equal(read_text(&refused, command_line, "rate = fast\n", NULL), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(files_that_are_wrong),
		cmocka_unit_test(files_that_cannot_be_read),
		cmocka_unit_test(defaults),
		cmocka_unit_test(a_file),
		cmocka_unit_test(the_command_line_comes_first),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
