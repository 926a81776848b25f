#include "cli/naming.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static int split_dirs(struct naming_dirs *dirs, struct err *err)
{
	char *rest = NULL;
	for (char *dir = strtok_r(dirs->text, ":", &rest); dir; dir = strtok_r(NULL, ":", &rest)) {
		if (dir[0] != '/')
			return err_set(err, -EINVAL, "--debug-dirs: \"%s\" does not begin with a /",
				       dir);
		if (dirs->count == NAMING_MAX_DEBUG_DIRS)
			return err_set(err, -EINVAL, "--debug-dirs: more than %d directories",
				       NAMING_MAX_DEBUG_DIRS);
		dirs->dirs[dirs->count++] = dir;
	}
	return 0;
}

int naming_dirs_init(struct naming_dirs *dirs, const struct naming_config *config, struct err *err)
{
	*dirs = (struct naming_dirs){
		.text = strdup(config->debug_dirs ? config->debug_dirs : ""),
	};
	return dirs->text ? split_dirs(dirs, err) : err_set(err, -ENOMEM, "%m");
}

void naming_dirs_fini(struct naming_dirs *dirs)
{
	free(dirs->text);
	*dirs = (struct naming_dirs){0};
}

/* https://specifications.freedesktop.org/basedir-spec/latest/ */
void naming_user_cache(char path[static PATH_MAX])
{
	const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
	bool has_cache = cache && cache[0] == '/';
	char base[PATH_MAX - 8];
	path[0] = 0;
	if (!has_cache && (!home || home[0] != '/'))
		return;
	int len = snprintf(base, sizeof(base), "%s%s", has_cache ? cache : home,
			   has_cache ? "" : "/.cache");
	if (len < (int)sizeof(base) && (!mkdir(base, 0700) || errno == EEXIST))
		snprintf(path, PATH_MAX, "%s/hearth", base);
}

int naming_open(struct naming *naming, const struct naming_config *config,
		struct symbols_options *options, struct err *err)
{
	int rc = naming_dirs_init(&naming->dirs, config, err);
	if (rc)
		return rc;
	options->debug_dirs = naming->dirs.dirs;
	options->debug_dir_count = naming->dirs.count;
	options->debuginfod_urls = config->debuginfod_urls;
	return symbols_new(&naming->symbols, options, err);
}

void naming_fini(struct naming *naming)
{
	symbols_free(naming->symbols);
	naming_dirs_fini(&naming->dirs);
	*naming = (struct naming){0};
}
