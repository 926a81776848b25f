/*
 * naming: opens what knows the names of executables, as the command line wants it.
 */
#pragma once
#include "base/err.h"
#include "cli/options.h"
#include "profiler/symbols.h"

struct naming_config {
	const char *debug_dirs;      /* with colons between; NULL: none but the system's */
	const char *debuginfod_urls; /* with spaces between; NULL: those of the environment */
};

/* Entries for a table of options; config is a struct naming_config in the options structure. */
#define NAMING_OPTIONS(type, config)                                                             \
	{"debug-dirs",  0,                                                                       \
	 "DIR:...",     "more directories of debug files, laid out as /usr/lib/debug is",        \
	 option_string, offsetof(type, config) + offsetof(struct naming_config, debug_dirs)},    \
	{                                                                                        \
		"debuginfod-urls", 0, "URLS",                                                    \
			"servers of debug files, \"\" for none (default $DEBUGINFOD_URLS)",      \
			option_string,                                                           \
			offsetof(type, config) + offsetof(struct naming_config, debuginfod_urls) \
	}

enum { NAMING_MAX_DEBUG_DIRS = 16 };

struct naming {
	struct symbols *symbols;
	char *debug_dirs; /* what dirs[] points into */
	const char *dirs[NAMING_MAX_DEBUG_DIRS];
};

/* Open naming->symbols with these options and those of config; naming_fini() is owed in any
 * case. -EINVAL: too many directories, or one that is not absolute; symbols_new()'s errors. */
int naming_open(struct naming *naming, const struct naming_config *config,
		struct symbols_options *options, struct err *err);
void naming_fini(struct naming *naming);
