/*
 * naming: opens what knows the names of executables, as the command line wants it.
 */
#pragma once
#include <limits.h>
#include <stddef.h>

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

/* The directories of --debug-dirs. */
struct naming_dirs {
	char *text; /* what dirs[] points into */
	const char *dirs[NAMING_MAX_DEBUG_DIRS];
	size_t count;
};

/* naming_dirs_fini() is owed in any case. -EINVAL: too many, or one that is not absolute. */
int naming_dirs_init(struct naming_dirs *dirs, const struct naming_config *config, struct err *err);
void naming_dirs_fini(struct naming_dirs *dirs);

/* $XDG_CACHE_HOME/hearth, so that the next command has its names at once; "" without a home. Its
 * parent is made. */
void naming_user_cache(char path[static PATH_MAX]);

struct naming {
	struct symbols *symbols;
	struct naming_dirs dirs;
};

/* Open naming->symbols with these options and those of config; naming_fini() is owed in any
 * case. -EINVAL: too many directories, or one that is not absolute; symbols_new()'s errors. */
int naming_open(struct naming *naming, const struct naming_config *config,
		struct symbols_options *options, struct err *err);
void naming_fini(struct naming *naming);
