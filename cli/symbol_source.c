#include "cli/symbol_source.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/debug_files.h"
#include "symbolizer/names_make.h"
#include "symbolizer/symbol_cache.h"

static const char default_data_dir[] = "/var/lib/hearth";

void symbol_source_fini(struct symbol_source *source)
{
	gsym_free(source->gsym);
	free(source->name);
	*source = (struct symbol_source){0};
}

/* -1: there is none. */
static int open_cache(const char *data_dir, bool may_make)
{
	char path[PATH_MAX];
	int len = data_dir ? snprintf(path, sizeof(path), "%s/cache", data_dir) : -1;
	if (len < 0 || (size_t)len >= sizeof(path))
		return -1;
	if (may_make) {
		(void)mkdir(data_dir, 0700);
		(void)mkdir(path, 0700);
	}
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void set_problem(struct symbol_source *source, const char *text)
{
	if (!source->problem[0])
		snprintf(source->problem, sizeof(source->problem), "%s", text);
}

static int make(struct symbol_source *source, const struct names_order *order, struct err *err)
{
	struct names_stats stats;
	int rc = names_make(&source->gsym, order, &stats, err);
	if (rc)
		return err_wrap(err, rc, "%s", source->name);
	if (stats.problem.code)
		set_problem(source, stats.problem.text);
	return 0;
}

static void find_debug_file(struct symbol_source *source, struct debug_files *files,
			    struct debug_file *debug, const struct executable *exe,
			    const struct debug_search *search)
{
	struct err err = {0};
	int rc = debug_files_find(files, debug, executable_elf(exe), search, &err);
	if (files->problem[0])
		set_problem(source, files->problem);
	else if (files->remote && rc)
		set_problem(source, err.text);
}

/* Through the cache where there is one. What it has without lines may be made better. */
static int read_executable(struct symbol_source *source, const struct executable *exe,
			   const char *path, const struct symbol_source_config *config,
			   struct debug_files *files, struct err *err)
{
	char id[BUILD_ID_HEX_BYTES];
	AUTO_FD cache_fd = open_cache(config->data_dir, true);
	int rc = symbol_cache_id(id, exe, err);
	if (rc)
		return rc;
	AUTO(gsym) cached = NULL;
	bool has_cached = cache_fd >= 0 && !symbol_cache_load(&cached, cache_fd, id, NULL);
	AUTO_FINI(debug_file_fini) struct debug_file debug = {.fd = -1, .alternate_fd = -1};
	AUTO_MEM char *whole_path = realpath(path, NULL);
	const struct debug_search search = debug_files_search(files, whole_path);
	if (!has_cached || !gsym_has_source(cached, GSYM_FROM_DWARF))
		find_debug_file(source, files, &debug, exe, &search);
	if (has_cached && !debug.has_dwarf) {
		source->gsym = TAKE(cached);
		return 0;
	}
	const struct names_order order = {
		.file = executable_elf(exe),
		.debug = &debug,
		.search = &search,
		.cache_fd = cache_fd,
		.id = id,
	};
	return make(source, &order, err);
}

static int set_name(struct symbol_source *source, const char *name, struct err *err)
{
	*source = (struct symbol_source){.name = strdup(name)};
	return source->name ? 0 : err_set(err, -ENOMEM, "%s: %m", name);
}

static int read_file(struct symbol_source *source, const char *path,
		     const struct symbol_source_config *config, struct err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return err_set(err, -errno, "open %s: %m", path);
	AUTO(executable) exe = NULL;
	int rc = executable_open(&exe, fd, path, err);
	if (rc)
		return rc;
	AUTO_FINI(debug_files_fini) struct debug_files files;
	rc = debug_files_init(&files, &config->naming, config->data_dir, err);
	return rc ? rc : read_executable(source, exe, path, config, &files, err);
}

int symbol_source_of_file(struct symbol_source *source, const char *path,
			  const struct symbol_source_config *config, struct err *err)
{
	int rc = set_name(source, path, err);
	if (!rc)
		rc = read_file(source, path, config, err);
	if (rc)
		symbol_source_fini(source);
	return rc;
}

/* Names of a debug file alone. Takes fd. */
static int read_debug_file(struct symbol_source *source, struct debug_files *files, int fd,
			   const char *path, struct err *err)
{
	AUTO_FD taken = fd;
	AUTO(elf_file) file = NULL;
	int own_fd = dup(taken);
	if (own_fd < 0)
		return err_set(err, -errno, "dup: %m");
	int rc = elf_file_open_debug(&file, own_fd, err);
	if (rc)
		return err_wrap(err, rc, "%s", path);
	AUTO_FINI(debug_file_fini) struct debug_file debug = {.fd = -1, .alternate_fd = -1};
	const struct debug_search search = debug_files_search(files, path);
	/* It is what we look for; but a part of it may be in the file that dwz shares. */
	(void)debug_files_find(files, &debug, file, &search, NULL);
	if (debug.fd >= 0)
		close(debug.fd);
	debug.fd = TAKE_FD(taken);
	const struct names_order order = {.debug = &debug, .search = &search, .cache_fd = -1};
	return make(source, &order, err);
}

/* Lower-case; -EINVAL otherwise than of 1 to 20 bytes in hex. */
static int tidy_build_id(char id[static BUILD_ID_HEX_BYTES], const char *text, struct err *err)
{
	size_t len = 0;
	for (; text[len] && len < BUILD_ID_HEX_BYTES - 1; len++)
		id[len] = (char)tolower((unsigned char)text[len]);
	id[len] = 0;
	if (text[len] || len < 2 || len % 2 || strspn(id, "0123456789abcdef") != len)
		return err_set(err, -EINVAL,
			       "\"%.64s\" is not a build ID: an even number of hexadecimal digits, "
			       "at most %d",
			       text, BUILD_ID_HEX_BYTES - 1);
	return 0;
}

static int read_build_id(struct symbol_source *source, const char *id,
			 const struct symbol_source_config *config, struct err *err)
{
	AUTO_FINI(debug_files_fini) struct debug_files files;
	int rc = debug_files_init(&files, &config->naming, config->data_dir, err);
	int fd = -1;
	AUTO_MEM char *path = NULL;
	if (!rc)
		rc = debug_files_open(&files, id, &fd, &path, err);
	if (files.problem[0])
		set_problem(source, files.problem);
	return rc ? rc : read_debug_file(source, &files, fd, path, err);
}

int symbol_source_of_build_id(struct symbol_source *source, const char *build_id,
			      const struct symbol_source_config *config, struct err *err)
{
	char id[BUILD_ID_HEX_BYTES];
	int rc = tidy_build_id(id, build_id, err);
	if (!rc)
		rc = set_name(source, id, err);
	if (rc)
		return rc;
	const char *data_dir = config->data_dir ? config->data_dir : default_data_dir;
	AUTO_FD cache_fd = open_cache(data_dir, false);
	if (cache_fd >= 0 && !symbol_cache_load(&source->gsym, cache_fd, id, NULL) &&
	    gsym_has_source(source->gsym, GSYM_FROM_DWARF))
		return 0;
	struct gsym *cached = TAKE(source->gsym); /* without lines: better than nothing */
	struct err problem = {0};
	rc = read_build_id(source, id, config, &problem);
	if (!rc) {
		gsym_free(cached);
		return 0;
	}
	source->gsym = cached;
	if (cached)
		return 0;
	symbol_source_fini(source);
	return err_set(err, rc, "build ID %s is not in the cache of %s; %s", id, data_dir,
		       problem.text);
}
