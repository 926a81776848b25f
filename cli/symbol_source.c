#include "cli/symbol_source.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "symbolizer/debug_file.h"
#include "symbolizer/names_compile.h"
#include "symbolizer/symbol_cache.h"

enum { MAX_NAMES_BYTES = INT_MAX };

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

static void close_debug_file(struct debug_file *debug)
{
	if (debug->kind)
		debug_file_fini(debug);
}

/* *debug->kind stays 0 when there is none. */
static void find_debug_file(struct debug_file *debug, const struct executable *exe,
			    const char *path)
{
	AUTO_FD root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	AUTO_MEM char *whole_path = realpath(path, NULL);
	const struct debug_search search = {
		.root_fds = &root_fd,
		.root_count = 1,
		.executable_path = whole_path,
	};
	if (root_fd < 0 || debug_file_find(debug, executable_elf(exe), &search, NULL))
		*debug = (struct debug_file){.fd = -1, .alternate_fd = -1};
}

/* Takes *fd; *file stays NULL when it is no file. */
static void open_part(struct elf_file **file, int *fd)
{
	if (*fd >= 0 && elf_file_open_debug(file, TAKE_FD(*fd), NULL))
		*file = NULL;
}

/* Compile into out_fd. */
static int compile(struct symbol_source *source, const struct names_input *input, int out_fd,
		   struct err *err)
{
	struct names_stats stats;
	int rc = names_compile(input, MAX_NAMES_BYTES, out_fd, &stats, err);
	if (rc)
		return err_wrap(err, rc, "%s", source->name);
	if (stats.problem.code)
		snprintf(source->problem, sizeof(source->problem), "%s", stats.problem.text);
	return 0;
}

/* Through a file of the cache that appears when it is whole; without a cache in memory. */
static int compile_and_open(struct symbol_source *source, const struct names_input *input,
			    int cache_fd, const char *id, struct err *err)
{
	struct cache_write write;
	if (cache_fd >= 0 && !symbol_cache_begin(&write, cache_fd, id, NULL)) {
		int rc = compile(source, input, write.fd, err);
		if (!rc)
			rc = gsym_open(&source->gsym, write.fd, err);
		if (!rc)
			(void)cache_write_commit(&write, NULL);
		cache_write_fini(&write);
		return rc;
	}
	AUTO_FD fd = memfd_create("names", MFD_CLOEXEC);
	if (fd < 0)
		return err_set(err, -errno, "memfd_create: %m");
	int rc = compile(source, input, fd, err);
	return rc ? rc : gsym_open(&source->gsym, fd, err);
}

/* Would compiling again find more than what is in the cache? */
static bool is_best(const struct gsym *gsym, const struct debug_file *debug)
{
	return gsym_has_source(gsym, GSYM_FROM_DWARF) || !debug->kind || !debug->has_dwarf;
}

static int read_executable(struct symbol_source *source, const struct executable *exe,
			   const char *path, const char *data_dir, struct err *err)
{
	char id[BUILD_ID_HEX_BYTES];
	AUTO_FD cache_fd = open_cache(data_dir, true);
	int rc = symbol_cache_id(id, exe, err);
	if (rc)
		return rc;
	AUTO_FINI(close_debug_file) struct debug_file debug;
	find_debug_file(&debug, exe, path);
	if (cache_fd >= 0 && !symbol_cache_load(&source->gsym, cache_fd, id, NULL)) {
		if (is_best(source->gsym, &debug))
			return 0;
		gsym_free(TAKE(source->gsym));
	}
	AUTO(elf_file) separate = NULL;
	AUTO(elf_file) alternate = NULL;
	open_part(&separate, &debug.fd);
	open_part(&alternate, &debug.alternate_fd);
	const struct names_input input = {
		.file = executable_elf(exe),
		.debug = separate,
		.alternate = alternate,
		.scratch_fd = -1,
	};
	return compile_and_open(source, &input, cache_fd, id, err);
}

static int set_name(struct symbol_source *source, const char *name, struct err *err)
{
	*source = (struct symbol_source){.name = strdup(name)};
	return source->name ? 0 : err_set(err, -ENOMEM, "%s: %m", name);
}

int symbol_source_of_file(struct symbol_source *source, const char *path, const char *data_dir,
			  struct err *err)
{
	int rc = set_name(source, path, err);
	if (rc)
		return rc;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	AUTO(executable) exe = NULL;
	if (fd < 0)
		rc = err_set(err, -errno, "open %s: %m", path);
	else
		rc = executable_open(&exe, fd, path, err);
	if (!rc)
		rc = read_executable(source, exe, path, data_dir, err);
	if (rc)
		symbol_source_fini(source);
	return rc;
}

static int compile_debug_file(struct symbol_source *source, const char *path, struct err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return err_set(err, -errno, "open %s: %m", path);
	AUTO(elf_file) debug = NULL;
	int rc = elf_file_open_debug(&debug, fd, err);
	const struct names_input input = {.debug = debug, .scratch_fd = -1};
	return rc ? err_wrap(err, rc, "%s", path) : compile_and_open(source, &input, -1, "", err);
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

int symbol_source_of_build_id(struct symbol_source *source, const char *build_id,
			      const char *data_dir, struct err *err)
{
	char id[BUILD_ID_HEX_BYTES];
	int rc = tidy_build_id(id, build_id, err);
	if (!rc)
		rc = set_name(source, id, err);
	if (rc)
		return rc;
	AUTO_FD cache_fd = open_cache(data_dir, false);
	if (cache_fd >= 0 && !symbol_cache_load(&source->gsym, cache_fd, id, NULL) &&
	    gsym_has_source(source->gsym, GSYM_FROM_DWARF))
		return 0;
	char path[sizeof("/usr/lib/debug/.build-id/xx/.debug") + BUILD_ID_HEX_BYTES];
	snprintf(path, sizeof(path), "/usr/lib/debug/.build-id/%.2s/%s.debug", id, id + 2);
	struct gsym *cached = TAKE(source->gsym); /* without lines: better than nothing */
	rc = compile_debug_file(source, path, err);
	if (!rc) {
		gsym_free(cached);
		return 0;
	}
	source->gsym = cached;
	if (cached)
		return 0;
	symbol_source_fini(source);
	if (rc == -ENOENT)
		return err_set(err, rc,
			       "build ID %s is not in the cache of %s, and %s is not there", id,
			       data_dir, path);
	return rc;
}
