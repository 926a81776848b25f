#include "cli/debug_files.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/auto.h"

/* A debug file, then the file that dwz shares between some: each is asked for once. */
enum { MAX_SEARCHES = 4 };

static void on_answer(void *ctx, const uint8_t *id, size_t id_bytes, int code)
{
	struct debug_files *files = ctx;
	(void)id;
	(void)id_bytes;
	(void)code;
	pthread_mutex_lock(&files->lock);
	files->answers++;
	pthread_cond_broadcast(&files->answered);
	pthread_mutex_unlock(&files->lock);
}

static uint64_t count_answers(struct debug_files *files)
{
	pthread_mutex_lock(&files->lock);
	uint64_t answers = files->answers;
	pthread_mutex_unlock(&files->lock);
	return answers;
}

/* Servers have their time-outs, after which that is the answer. */
static void wait_for_answer(struct debug_files *files, uint64_t before)
{
	pthread_mutex_lock(&files->lock);
	while (files->answers == before)
		pthread_cond_wait(&files->answered, &files->lock);
	pthread_mutex_unlock(&files->lock);
}

/* "" where there is none. */
static void find_cache(char path[static PATH_MAX], const char *data_dir)
{
	char parent[PATH_MAX];
	path[0] = 0;
	if (data_dir) {
		(void)mkdir(data_dir, 0700);
		snprintf(parent, sizeof(parent), "%s/cache", data_dir);
	} else {
		naming_user_cache(parent);
	}
	if (!parent[0] || (mkdir(parent, 0700) && errno != EEXIST))
		return;
	if (snprintf(path, PATH_MAX, "%s/debuginfod", parent) >= PATH_MAX)
		path[0] = 0;
}

static void open_remote(struct debug_files *files, const struct naming_config *config,
			const char *data_dir)
{
	const char *urls = config->debuginfod_urls;
	const char *all_urls = urls ? urls : getenv("DEBUGINFOD_URLS");
	if (!all_urls || !all_urls[0])
		return;
	char cache[PATH_MAX];
	find_cache(cache, data_dir);
	const struct debuginfod_options options = {
		.urls = urls,
		.cache_dir = cache,
		.on_answer = on_answer,
		.ctx = files,
	};
	struct err err = {0};
	int rc = cache[0] ? debuginfod_open(&files->remote, &options, &err)
			  : err_set(&err, -ENOENT, "no cache directory for debuginfod");
	if (rc)
		snprintf(files->problem, sizeof(files->problem), "%s", err.text);
}

int debug_files_init(struct debug_files *files, const struct naming_config *config,
		     const char *data_dir, struct err *err)
{
	*files = (struct debug_files){.root_fd = -1};
	pthread_mutex_init(&files->lock, NULL);
	pthread_cond_init(&files->answered, NULL);
	int rc = naming_dirs_init(&files->dirs, config, err);
	if (rc)
		return rc;
	files->root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (files->root_fd < 0)
		return err_set(err, -errno, "open /: %m");
	open_remote(files, config, data_dir);
	return 0;
}

void debug_files_fini(struct debug_files *files)
{
	debuginfod_free(files->remote);
	naming_dirs_fini(&files->dirs);
	if (files->root_fd >= 0)
		close(files->root_fd);
	pthread_cond_destroy(&files->answered);
	pthread_mutex_destroy(&files->lock);
}

struct debug_search debug_files_search(const struct debug_files *files, const char *executable_path)
{
	return (struct debug_search){
		.root_fds = &files->root_fd,
		.root_count = 1,
		.executable_path = executable_path,
		.debug_dirs = files->dirs.dirs,
		.debug_dir_count = files->dirs.count,
		.remote = files->remote,
	};
}

int debug_files_find(struct debug_files *files, struct debug_file *out,
		     const struct elf_file *executable, const struct debug_search *search,
		     struct err *err)
{
	for (int i = 1;; i++) {
		uint64_t before = count_answers(files);
		int rc = debug_file_find(out, executable, search, err);
		bool is_pending = rc == -EAGAIN || (!rc && out->is_pending);
		if (!is_pending || i == MAX_SEARCHES)
			return rc;
		if (!rc)
			debug_file_fini(out);
		wait_for_answer(files, before);
	}
}

static int ask(struct debug_files *files, const char *build_id, int *fd, struct err *err)
{
	uint8_t id[ELF_BUILD_ID_MAX_BYTES];
	size_t id_bytes = strlen(build_id) / 2;
	for (size_t i = 0; i < id_bytes; i++) {
		const char digits[] = {build_id[2 * i], build_id[2 * i + 1], 0};
		id[i] = (uint8_t)strtoul(digits, NULL, 16);
	}
	for (int i = 1;; i++) {
		uint64_t before = count_answers(files);
		int rc = debuginfod_ask(files->remote, id, id_bytes, fd, err);
		if (rc != -EAGAIN || i == MAX_SEARCHES)
			return rc;
		wait_for_answer(files, before);
	}
}

static int open_in(const char *directory, const char *build_id, int *fd, char **path)
{
	AUTO_MEM char *name = NULL;
	if (asprintf(&name, "%s/.build-id/%.2s/%s.debug", directory, build_id, build_id + 2) < 0) {
		name = NULL;
		return -ENOMEM;
	}
	*fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (*fd < 0)
		return -errno;
	*path = TAKE(name);
	return 0;
}

int debug_files_open(struct debug_files *files, const char *build_id, int *fd, char **path,
		     struct err *err)
{
	int rc = open_in("/usr/lib/debug", build_id, fd, path);
	for (size_t i = 0; rc == -ENOENT && i < files->dirs.count; i++)
		rc = open_in(files->dirs.dirs[i], build_id, fd, path);
	if (rc != -ENOENT || !files->remote)
		return rc ? err_set(err, rc, "debug file of %s: %m", build_id) : 0;
	AUTO_FD got = -1;
	rc = ask(files, build_id, &got, err);
	if (rc)
		return rc;
	*path = strdup("from debuginfod");
	if (!*path)
		return err_set(err, -ENOMEM, "%m");
	*fd = TAKE_FD(got);
	return 0;
}
