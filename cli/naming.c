#include "cli/naming.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int split_dirs(struct naming *naming, size_t *count, struct err *err)
{
	*count = 0;
	char *rest = NULL;
	for (char *dir = strtok_r(naming->debug_dirs, ":", &rest); dir;
	     dir = strtok_r(NULL, ":", &rest)) {
		if (dir[0] != '/')
			return err_set(err, -EINVAL, "--debug-dirs: \"%s\" does not begin with a /",
				       dir);
		if (*count == NAMING_MAX_DEBUG_DIRS)
			return err_set(err, -EINVAL, "--debug-dirs: more than %d directories",
				       NAMING_MAX_DEBUG_DIRS);
		naming->dirs[(*count)++] = dir;
	}
	return 0;
}

int naming_open(struct naming *naming, const struct naming_config *config,
		struct symbols_options *options, struct err *err)
{
	naming->debug_dirs = strdup(config->debug_dirs ? config->debug_dirs : "");
	if (!naming->debug_dirs)
		return err_set(err, -ENOMEM, "%m");
	int rc = split_dirs(naming, &options->debug_dir_count, err);
	if (rc)
		return rc;
	options->debug_dirs = naming->dirs;
	options->debuginfod_urls = config->debuginfod_urls;
	return symbols_new(&naming->symbols, options, err);
}

void naming_fini(struct naming *naming)
{
	symbols_free(naming->symbols);
	free(naming->debug_dirs);
	*naming = (struct naming){0};
}
