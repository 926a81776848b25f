#include "cli/options.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

enum { MAX_OPTIONS = 32, HELP_COLUMN = 26, MIN_MEMORY_BYTES = 32 << 20 };

static void print_option(const struct option_spec *spec)
{
	char left[64];
	int len = spec->letter
			  ? snprintf(left, sizeof(left), "  -%c, --%s", spec->letter, spec->name)
			  : snprintf(left, sizeof(left), "      --%s", spec->name);
	if (spec->argument && len < (int)sizeof(left))
		snprintf(left + len, sizeof(left) - (size_t)len, " %s", spec->argument);
	printf("%-*s  %s\n", HELP_COLUMN, left, spec->help);
}

void command_help(const struct command *command)
{
	printf("Usage: hearth %s %s\n\n%s\n\n", command->name, command->usage, command->summary);
	for (size_t i = 0; i < command->option_count; i++)
		print_option(&command->options[i]);
	printf("%-*s  %s\n", HELP_COLUMN, "  -h, --help", "show this help");
	if (command->details)
		printf("\n%s", command->details);
}

int usage_error(const struct command *command, const char *fmt, ...)
{
	char text[512];
	va_list args;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	fprintf(stderr, "hearth %s: %s (see `hearth %s --help`)\n", command->name, text,
		command->name);
	return EXIT_USAGE;
}

/* The tables getopt wants. "+": operands end the options, so that CMD keeps its own. */
static void fill_getopt(const struct command *command, struct option *longs, char *letters)
{
	*letters++ = '+';
	*letters++ = ':';
	*letters++ = 'h';
	for (size_t i = 0; i < command->option_count; i++) {
		const struct option_spec *spec = &command->options[i];
		longs[i] = (struct option){spec->name,
					   spec->argument ? required_argument : no_argument, NULL,
					   256 + (int)i};
		if (!spec->letter)
			continue;
		*letters++ = spec->letter;
		if (spec->argument)
			*letters++ = ':';
	}
	longs[command->option_count] = (struct option){"help", no_argument, NULL, 'h'};
	*letters = 0;
}

static const struct option_spec *find_option(const struct command *command, int code)
{
	for (size_t i = 0; i < command->option_count; i++)
		if (code == 256 + (int)i || (code && code == command->options[i].letter))
			return &command->options[i];
	return NULL;
}

int options_parse(const struct command *command, void *options, int argc, char **argv,
		  int *first_argument)
{
	assert(command->option_count <= MAX_OPTIONS);
	struct option longs[MAX_OPTIONS + 2] = {0};
	char letters[2 * MAX_OPTIONS + 8];
	fill_getopt(command, longs, letters);
	opterr = 0;
	optind = 1;
	int code;
	while ((code = getopt_long(argc, argv, letters, longs, NULL)) != -1) {
		if (code == 'h') {
			command_help(command);
			return EXIT_DONE;
		}
		if (code == ':')
			return usage_error(command, "%s needs a value", argv[optind - 1]);
		const struct option_spec *spec = code == '?' ? NULL : find_option(command, code);
		if (!spec)
			return usage_error(command, "there is no option %s", argv[optind - 1]);
		struct err err = {0};
		if (spec->parse((char *)options + spec->offset, optarg, &err))
			return usage_error(command, "--%s: %s", spec->name, err.text);
	}
	*first_argument = optind;
	return -1;
}

int option_string(void *target, const char *value, struct err *err)
{
	if (!*value)
		return err_set(err, -EINVAL, "the value is empty");
	*(const char **)target = value;
	return 0;
}

int option_flag(void *target, const char *value, struct err *err)
{
	(void)value, (void)err;
	*(bool *)target = true;
	return 0;
}

int option_rate(void *target, const char *value, struct err *err)
{
	char *end;
	unsigned long rate_hz = strtoul(value, &end, 10);
	if (*end || !isdigit((unsigned char)*value) || rate_hz < 1 || rate_hz > 10000)
		return err_set(err, -EINVAL, "\"%s\" is not a rate; write 1 to 10000 (Hz)", value);
	*(uint32_t *)target = (uint32_t)rate_hz;
	return 0;
}

int option_duration(void *target, const char *value, struct err *err)
{
	int64_t duration_ns;
	int rc = clock_parse_duration(value, &duration_ns, err);
	if (rc)
		return rc;
	if (duration_ns <= 0)
		return err_set(err, -EINVAL, "the duration must be longer than 0");
	*(int64_t *)target = duration_ns;
	return 0;
}

int option_bytes(void *target, const char *value, struct err *err)
{
	static const char units[] = "KMGT";
	char *end;
	errno = 0;
	unsigned long long number = strtoull(value, &end, 10);
	bool is_number = isdigit((unsigned char)*value) && !errno;
	const char *unit = *end ? strchr(units, *end) : NULL;
	unsigned int shift = unit ? 10 * (unsigned int)(unit - units + 1) : 0;
	if (unit)
		end++;
	if (!is_number || *end || !number || number > UINT64_MAX >> shift)
		return err_set(err, -EINVAL, "\"%s\" is not a size; write bytes, 512M or 10G",
			       value);
	*(uint64_t *)target = (uint64_t)number << shift;
	return 0;
}

int option_memory(void *target, const char *value, struct err *err)
{
	uint64_t bytes;
	int rc = option_bytes(&bytes, value, err);
	if (rc)
		return rc;
	if (bytes < MIN_MEMORY_BYTES)
		return err_set(err, -EINVAL, "\"%s\" is too little; Hearth needs 32M at least",
			       value);
	*(uint64_t *)target = bytes;
	return 0;
}
