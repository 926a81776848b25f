/*
 * options: a command line against a table, with one sentence for what is wrong with it.
 *
 * By getopt_long(3). One thread.
 */
#pragma once
#include <stddef.h>

#include "base/err.h"

struct option_spec {
	const char *name;     /* long name, without dashes */
	char letter;          /* 0: none */
	const char *argument; /* shown in the help; NULL: takes none */
	const char *help;
	/* Stores the value (NULL when it takes none) in *target. -EINVAL with a sentence. */
	int (*parse)(void *target, const char *value, struct err *err);
	size_t offset; /* of the target in the options structure */
};

struct command {
	const char *name;
	const char *usage;   /* what follows the name */
	const char *summary; /* one line */
	const char *details; /* more lines for --help; may be NULL */
	const struct option_spec *options;
	size_t option_count;
	int (*run)(int argc, char **argv);
};

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

/* Parse argv (argv[0] is the command's name) into the structure at options. Returns -1 to go
 * on, with *first_argument the position of the first operand, or the exit code to end with:
 * --help was asked for and printed, or something was wrong and has been said. */
int options_parse(const struct command *command, void *options, int argc, char **argv,
		  int *first_argument);

/* Say what is wrong with the command line and how to learn more. Returns EXIT_USAGE. */
int usage_error(const struct command *command, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void command_help(const struct command *command);

/* For option_spec.parse. */
int option_string(void *target, const char *value, struct err *err);   /* const char * */
int option_flag(void *target, const char *value, struct err *err);     /* bool */
int option_rate(void *target, const char *value, struct err *err);     /* uint32_t, 1..10000 */
int option_duration(void *target, const char *value, struct err *err); /* int64_t, ns */
int option_bytes(void *target, const char *value, struct err *err);    /* uint64_t: 10G, 512M */
int option_memory(void *target, const char *value, struct err *err);   /* likewise, from 32M on */
