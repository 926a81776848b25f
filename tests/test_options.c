#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/array.h"
#include "cli/options.h"

struct settings {
	const char *name;
	bool flag;
	uint32_t rate_hz;
	int64_t duration_ns;
	uint64_t size_bytes;
	uint64_t memory_bytes;
};

static const struct option_spec specs[] = {
	{"name", 'n', "NAME", "a name", option_string, offsetof(struct settings, name)},
	{"flag", 0, NULL, "a flag", option_flag, offsetof(struct settings, flag)},
	{"rate", 'F', "HZ", "a rate", option_rate, offsetof(struct settings, rate_hz)},
	{"duration", 'd', "T", "a time", option_duration, offsetof(struct settings, duration_ns)},
	{"size", 0, "BYTES", "a size", option_bytes, offsetof(struct settings, size_bytes)},
	{"memory", 0, "BYTES", "memory", option_memory, offsetof(struct settings, memory_bytes)},
};

static const struct command command = {
	.name = "test",
	.usage = "[OPTIONS]",
	.summary = "be tested",
	.options = specs,
	.option_count = ARRAY_LEN(specs),
};

enum { MAX_ARGS = 9 };

struct outcome {
	int code, first;
	char said[1024]; /* on stderr, or stdout with --help */
};

/* What is printed to fd meanwhile lands in said. */
static struct outcome parse(struct settings *settings, const char *const *args, int fd)
{
	char *argv[MAX_ARGS + 2] = {(char[]){"test"}};
	int argc = 1;
	for (; args[argc - 1]; argc++)
		argv[argc] = (char *)(uintptr_t)args[argc - 1];
	FILE *capture = tmpfile();
	fflush(NULL);
	int saved_fd = dup(fd);
	dup2(fileno(capture), fd);
	struct outcome outcome = {.first = -1};
	outcome.code = options_parse(&command, settings, argc, argv, &outcome.first);
	fflush(NULL);
	dup2(saved_fd, fd);
	close(saved_fd);
	rewind(capture);
	size_t len = fread(outcome.said, 1, sizeof(outcome.said) - 1, capture);
	outcome.said[len] = 0;
	fclose(capture);
	return outcome;
}

static void usage_errors(void **state)
{
	(void)state;
	static const struct {
		const char *args[MAX_ARGS];
		const char *said;
	} rows[] = {
		{{"--nonsense"}, "there is no option --nonsense"},
		{{"-x"}, "there is no option -x"},
		{{"--flag=1"}, "--flag"},
		{{"--name"}, "--name needs a value"},
		{{"-n"}, "-n needs a value"},
		{{"--name", ""}, "--name: the value is empty"},
		{{"--name="}, "--name: the value is empty"},
		{{"--rate", "0"}, "--rate: \"0\" is not a rate"},
		{{"-F", "10001"}, "--rate: \"10001\" is not a rate"},
		{{"-F", "-5"}, "\"-5\" is not a rate"},
		{{"-F", "-18446744073709551517"}, "is not a rate"}, /* 99 modulo 2^64 */
		{{"-F", " 99"}, "\" 99\" is not a rate"},
		{{"-F", "+99"}, "\"+99\" is not a rate"},
		{{"-F", "9 9"}, "\"9 9\" is not a rate"},
		{{"-F", "fast"}, "\"fast\" is not a rate"},
		{{"-F", "18446744073709551715"}, "is not a rate"}, /* 99 in 64 bits */
		{{"-F", ""}, "\"\" is not a rate"},
		{{"-d", "0"}, "--duration: the duration must be longer than 0"},
		{{"-d", "soon"}, "--duration: "},
		{{"-d", "-1"}, "--duration: "},
		{{"--size", "0"}, "--size: \"0\" is not a size"},
		{{"--size", "-1"}, "\"-1\" is not a size"},
		{{"--size", " 1"}, "\" 1\" is not a size"},
		{{"--size", " -1"}, "\" -1\" is not a size"},
		{{"--size", "1KB"}, "\"1KB\" is not a size"},
		{{"--size", "K"}, "\"K\" is not a size"},
		{{"--size", "16777216T"}, "\"16777216T\" is not a size"},
		{{"--size", "18446744073709551616"}, "is not a size"},
		{{"--memory", "much"}, "--memory: \"much\" is not a size"},
		{{"--memory", "0"}, "\"0\" is not a size"},
		{{"--memory", "-16M"}, "\"-16M\" is not a size"},
		{{"--memory", "16"}, "\"16\" is too little; Hearth needs 32M at least"},
		{{"--memory", "33554431"}, "\"33554431\" is too little"},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct settings settings = {0};
		struct outcome outcome = parse(&settings, rows[i].args, STDERR_FILENO);
		if (outcome.code != EXIT_USAGE || !strstr(outcome.said, rows[i].said))
			fail_msg("%s: %d, %s", rows[i].said, outcome.code, outcome.said);
		assert_int_equal(outcome.first, -1);
		assert_int_equal(strncmp(outcome.said, "hearth test: ", 13), 0);
		assert_non_null(strstr(outcome.said, "hearth test --help"));
		assert_ptr_equal(strchr(outcome.said, '\n') + 1, strchr(outcome.said, 0));
	}
}

static void values(void **state)
{
	(void)state;
	static const char *const args[] = {"--name", "a",         "-F99",         "--flag", "-d",
					   "1h30m",  "--size=2K", "--memory=32M", NULL};
	struct settings settings = {0};
	struct outcome outcome = parse(&settings, args, STDERR_FILENO);
	assert_int_equal(outcome.code, -1);
	assert_int_equal(outcome.first, 9);
	assert_string_equal(outcome.said, "");
	assert_string_equal(settings.name, "a");
	assert_true(settings.flag);
	assert_int_equal(settings.rate_hz, 99);
	assert_int_equal(settings.duration_ns, 5400 * INT64_C(1000000000));
	assert_int_equal(settings.size_bytes, 2048);
	assert_int_equal(settings.memory_bytes, 33554432);
}

/* From the first operand on, everything is the operand's own. */
static void operands_keep_their_options(void **state)
{
	(void)state;
	static const struct {
		const char *args[MAX_ARGS];
		int first;
	} rows[] = {
		{{NULL}, 1},
		{{"cmd", "--flag"}, 1},
		{{"--", "--flag"}, 2},
		{{"-n", "x", "cmd", "-n"}, 3},
		{{"-n", "x", "--", "cmd", "-n"}, 4},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct settings settings = {0};
		struct outcome outcome = parse(&settings, rows[i].args, STDERR_FILENO);
		assert_int_equal(outcome.code, -1);
		assert_int_equal(outcome.first, rows[i].first);
		assert_false(settings.flag);
	}
}

static void sizes(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		uint64_t bytes;
	} rows[] = {{"1", 1},
		    {"1K", UINT64_C(1) << 10},
		    {"512M", UINT64_C(512) << 20},
		    {"10G", UINT64_C(10) << 30},
		    {"16777215T", UINT64_C(16777215) << 40},
		    {"18446744073709551615", UINT64_MAX}};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint64_t bytes = 0;
		assert_int_equal(option_bytes(&bytes, rows[i].text, NULL), 0);
		assert_true(bytes == rows[i].bytes);
	}
}

static void help_is_no_error(void **state)
{
	(void)state;
	static const char *const rows[][2] = {{"--help", NULL}, {"-h", NULL}};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct settings settings = {0};
		struct outcome outcome = parse(&settings, rows[i], STDOUT_FILENO);
		assert_int_equal(outcome.code, EXIT_DONE);
		assert_non_null(strstr(outcome.said, "Usage: hearth test [OPTIONS]"));
		for (size_t s = 0; s < ARRAY_LEN(specs); s++)
			assert_non_null(strstr(outcome.said, specs[s].help));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(usage_errors),
		cmocka_unit_test(values),
		cmocka_unit_test(operands_keep_their_options),
		cmocka_unit_test(sizes),
		cmocka_unit_test(help_is_no_error),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
