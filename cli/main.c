#include <stdio.h>
#include <string.h>

#include "base/array.h"
#include "cli/commands.h"

static const struct command *const commands[] = {
	&command_serve, &command_record, &command_query, &command_symbolize, &command_doctor,
};

static void print_help(void)
{
	printf("Hearth " HEARTH_VERSION ": where did the time go, and what changed.\n\n"
	       "Usage: hearth COMMAND [OPTIONS]\n\n");
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		printf("  %-9s %s\n", commands[i]->name, commands[i]->summary);
	printf("\n`hearth COMMAND --help` tells more; `hearth --version` the version.\n"
	       "Start with `hearth doctor`, then `hearth serve` and a browser at "
	       "http://127.0.0.1:4040.\n");
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "--help";
	if (!strcmp(name, "--help") || !strcmp(name, "-h") || !strcmp(name, "help")) {
		print_help();
		return EXIT_DONE;
	}
	if (!strcmp(name, "--version") || !strcmp(name, "-V")) {
		puts("hearth " HEARTH_VERSION);
		return EXIT_DONE;
	}
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		if (!strcmp(name, commands[i]->name))
			return commands[i]->run(argc - 1, argv + 1);
	fprintf(stderr, "hearth: there is no command \"%s\" (see `hearth --help`)\n", name);
	return EXIT_USAGE;
}
