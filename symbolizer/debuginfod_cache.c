#include "symbolizer/debuginfod_cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/array.h"
#include "base/auto.h"
#include "symbolizer/debug_file_check.h"

enum {
	BUILD_ID_BYTES = 2 * ELF_BUILD_ID_MAX_BYTES,
	PATH_BYTES = BUILD_ID_BYTES + sizeof("/debuginfo"),
	MAX_FILES = 1 << 16,
};

struct cached {
	char build_id[BUILD_ID_BYTES + 1];
	struct timespec changed;
	uint64_t size_bytes;
};

struct cached_list {
	struct cached *items;
	size_t count, cap;
	uint64_t total_bytes;
};

/* Only names like this are anything of ours. */
static bool is_build_id(const char *name)
{
	size_t len = strspn(name, "0123456789abcdef");
	return !name[len] && len >= 4 && len <= BUILD_ID_BYTES && len % 2 == 0;
}

static void file_path(char path[static PATH_BYTES], const char *build_id)
{
	snprintf(path, PATH_BYTES, "%.*s/debuginfo", BUILD_ID_BYTES, build_id);
}

static void remove_file(int dir_fd, const char *build_id)
{
	char path[PATH_BYTES];
	file_path(path, build_id);
	unlinkat(dir_fd, path, 0);
	unlinkat(dir_fd, build_id, AT_REMOVEDIR); /* stays when there is more in it */
}

static size_t parse_id(const char *build_id, uint8_t id[static ELF_BUILD_ID_MAX_BYTES])
{
	static const char digits[] = "0123456789abcdef";
	size_t count = strlen(build_id) / 2;
	for (size_t i = 0; i < count; i++) {
		size_t high = (size_t)(strchr(digits, build_id[2 * i]) - digits);
		size_t low = (size_t)(strchr(digits, build_id[2 * i + 1]) - digits);
		id[i] = (uint8_t)(high << 4 | low);
	}
	return count;
}

int debuginfod_cache_open(int dir_fd, const char *build_id, int *fd, struct err *err)
{
	if (!is_build_id(build_id))
		return err_set(err, -EINVAL, "not a build ID");
	char path[PATH_BYTES];
	file_path(path, build_id);
	AUTO_FD file_fd =
		openat(dir_fd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	struct stat st;
	if (file_fd < 0 || fstat(file_fd, &st))
		return err_set(err, -errno, "%s: %m", path);
	if (!st.st_size)
		return err_set(err, -ENOENT, "%s is empty", path);
	uint8_t id[ELF_BUILD_ID_MAX_BYTES];
	const struct debug_file_want want = {.id = id, .id_bytes = parse_id(build_id, id)};
	int rc = debug_file_check(file_fd, &want, err);
	if (rc) {
		remove_file(dir_fd, build_id);
		return err_wrap(err, rc == -ENOMEM ? rc : -ESTALE, "from debuginfod");
	}
	*fd = TAKE_FD(file_fd);
	return 0;
}

void debuginfod_cache_forget(int dir_fd, const char *build_id)
{
	char path[PATH_BYTES];
	struct stat st;
	file_path(path, build_id);
	if (!fstatat(dir_fd, path, &st, AT_SYMLINK_NOFOLLOW) && S_ISREG(st.st_mode) && !st.st_size)
		remove_file(dir_fd, build_id);
}

static int list_one(struct cached_list *list, int dir_fd, const char *name)
{
	char path[PATH_BYTES];
	struct stat st;
	if (!is_build_id(name))
		return 0;
	file_path(path, name);
	if (fstatat(dir_fd, path, &st, AT_SYMLINK_NOFOLLOW) || !S_ISREG(st.st_mode))
		return 0;
	int rc = ARRAY_RESERVE(list->items, list->cap, list->count, MAX_FILES);
	if (rc)
		return rc;
	struct cached *cached = &list->items[list->count++];
	/* Its times of reading and writing are the server's. */
	*cached = (struct cached){.changed = st.st_ctim, .size_bytes = (uint64_t)st.st_size};
	memcpy(cached->build_id, name, strlen(name) + 1); /* is_build_id() */
	list->total_bytes += cached->size_bytes;
	return 0;
}

static int list_all(struct cached_list *list, int dir_fd)
{
	int list_fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = list_fd < 0 ? NULL : fdopendir(list_fd);
	int rc = dir ? 0 : -errno;
	if (!dir && list_fd >= 0)
		close(list_fd);
	while (dir && !rc) {
		const struct dirent *entry = readdir(dir);
		if (!entry)
			break;
		rc = list_one(list, dir_fd, entry->d_name);
	}
	if (dir)
		closedir(dir);
	return rc == -ENOSPC ? 0 : rc; /* the next time sees the others */
}

static int compare_age(const void *left, const void *right)
{
	const struct cached *a = left, *b = right;
	if (a->changed.tv_sec != b->changed.tv_sec)
		return a->changed.tv_sec < b->changed.tv_sec ? -1 : 1;
	if (a->changed.tv_nsec != b->changed.tv_nsec)
		return a->changed.tv_nsec < b->changed.tv_nsec ? -1 : 1;
	return strcmp(a->build_id, b->build_id);
}

int debuginfod_cache_trim(int dir_fd, uint64_t max_bytes, const char *keep, struct err *err)
{
	struct cached_list list = {0};
	int rc = list_all(&list, dir_fd);
	AUTO_MEM struct cached *items = list.items;
	if (rc)
		return err_set(err, rc, "cache of debuginfod: %m");
	if (list.count)
		qsort(items, list.count, sizeof(*items), compare_age);
	for (size_t i = 0; i < list.count && list.total_bytes > max_bytes; i++) {
		if (keep && !strcmp(items[i].build_id, keep))
			continue;
		remove_file(dir_fd, items[i].build_id);
		list.total_bytes -= items[i].size_bytes;
	}
	return 0;
}
