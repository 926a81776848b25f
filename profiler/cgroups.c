#include "profiler/cgroups.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <mntent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/array.h"
#include "base/auto.h"

/* Machines with more are rare, and a walk of theirs takes long. */
enum { MAX_CGROUPS = 16384, MAX_DEPTH = 24 };

struct walk {
	/* path is below the hierarchy, "/" its root; dir_fd is the cgroup's directory. */
	void (*visit)(void *ctx, int dir_fd, const char *path);
	void *ctx;
	size_t left;
	char path[PATH_MAX];
};

static void close_dir(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

static void walk_below(struct walk *walk, int dir_fd, size_t path_len, int depth)
{
	walk->visit(walk->ctx, dir_fd, path_len ? walk->path : "/");
	if (depth == MAX_DEPTH)
		return;
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	__attribute__((cleanup(close_dir))) DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	while (dir && walk->left && (entry = readdir(dir)) != NULL) {
		size_t name_len = strlen(entry->d_name);
		if (entry->d_type != DT_DIR || entry->d_name[0] == '.' ||
		    path_len + name_len + 2 > sizeof(walk->path))
			continue;
		AUTO_FD child = openat(dir_fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (child < 0)
			continue;
		walk->left--;
		walk->path[path_len] = '/';
		memcpy(walk->path + path_len + 1, entry->d_name, name_len + 1);
		walk_below(walk, child, path_len + 1 + name_len, depth + 1);
		walk->path[path_len] = 0;
	}
}

/* Hierarchies of a type that have an option: "cgroup2", or "cgroup" with "cpu". */
static void walk_mounts(struct walk *walk, const char *type, const char *option)
{
	FILE *mounts = setmntent("/proc/self/mounts", "re");
	struct mntent entry;
	char text[8192];
	while (mounts && getmntent_r(mounts, &entry, text, sizeof(text))) {
		if (strcmp(entry.mnt_type, type) || (option && !hasmntopt(&entry, option)))
			continue;
		AUTO_FD fd = open(entry.mnt_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		walk->path[0] = 0;
		if (fd >= 0)
			walk_below(walk, fd, 0, 0);
		break; /* other mounts show the same */
	}
	if (mounts)
		endmntent(mounts);
}

static bool find_mount(char directory[static PATH_MAX], const char *type)
{
	FILE *mounts = setmntent("/proc/self/mounts", "re");
	struct mntent entry;
	char text[8192];
	bool is_found = false;
	while (mounts && !is_found && getmntent_r(mounts, &entry, text, sizeof(text)))
		is_found = !strcmp(entry.mnt_type, type) &&
			   snprintf(directory, PATH_MAX, "%s", entry.mnt_dir) < PATH_MAX;
	if (mounts)
		endmntent(mounts);
	return is_found;
}

int cgroup_directory(char directory[static PATH_MAX], const char *path, struct err *err)
{
	char mount[PATH_MAX];
	size_t mount_len = find_mount(mount, "cgroup2") ? strlen(mount) : 0;
	bool is_whole = mount_len && !strncmp(path, mount, mount_len) &&
			(!path[mount_len] || path[mount_len] == '/');
	int len = snprintf(directory, PATH_MAX, "%s%s%s",
			   is_whole    ? ""
			   : mount_len ? mount
				       : "",
			   is_whole || path[0] == '/' ? "" : "/", path);
	if (len >= PATH_MAX)
		return err_set(err, -ENAMETOOLONG, "cgroup %.64s...: %m", path);
	if (!access(directory, F_OK))
		return 0;
	/* One of another hierarchy: who opens it will say so. */
	if (!access(path, F_OK) && snprintf(directory, PATH_MAX, "%s", path) < PATH_MAX)
		return 0;
	return err_set(err, -ENOENT, "there is no cgroup %s in the v2 hierarchy", path);
}

/* The number behind a key of a flat keyed file; 0: it is not there. */
static uint64_t value_of(const char *text, const char *key)
{
	size_t key_len = strlen(key);
	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (!strncmp(line, key, key_len) && line[key_len] == ' ')
			return strtoull(line + key_len, NULL, 10);
	}
	return 0;
}

static void take_quota(void *ctx, int dir_fd, const char *path)
{
	struct cgroup_quotas *quotas = ctx;
	char text[2048];
	AUTO_FD fd = openat(dir_fd, "cpu.stat", O_RDONLY | O_CLOEXEC);
	ssize_t len = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
	if (len <= 0)
		return;
	text[len] = 0;
	struct cgroup_quota quota = {
		.periods = value_of(text, "nr_throttled"),
		/* v2 has us, v1 has ns. */
		.throttled_ns =
			value_of(text, "throttled_usec") * 1000 + value_of(text, "throttled_time"),
	};
	if (!quota.periods || ARRAY_RESERVE(quotas->items, quotas->cap, quotas->count, MAX_CGROUPS))
		return;
	quota.path = strdup(path);
	if (quota.path)
		quotas->items[quotas->count++] = quota;
}

void cgroup_quotas_read(struct cgroup_quotas *quotas)
{
	*quotas = (struct cgroup_quotas){0};
	struct walk walk = {.visit = take_quota, .ctx = quotas, .left = MAX_CGROUPS};
	walk_mounts(&walk, "cgroup2", NULL);
	walk_mounts(&walk, "cgroup", "cpu");
}

void cgroup_quotas_fini(struct cgroup_quotas *quotas)
{
	for (size_t i = 0; i < quotas->count; i++)
		free(quotas->items[i].path);
	free(quotas->items);
	*quotas = (struct cgroup_quotas){0};
}

static const struct cgroup_quota *find_quota(const struct cgroup_quotas *quotas, const char *path)
{
	for (size_t i = 0; i < quotas->count; i++)
		if (!strcmp(quotas->items[i].path, path))
			return &quotas->items[i];
	return NULL;
}

int cgroup_quotas_compare(const struct cgroup_quotas *before, const struct cgroup_quotas *after,
			  struct trace_report *report)
{
	for (size_t i = 0; i < after->count; i++) {
		const struct cgroup_quota *now = &after->items[i];
		const struct cgroup_quota *then = find_quota(before, now->path);
		struct trace_throttle throttle = {
			.periods = now->periods - (then ? then->periods : 0),
			.throttled_ns = now->throttled_ns - (then ? then->throttled_ns : 0),
		};
		/* One that was made anew under its old name began at 0 again. */
		if (then && now->periods < then->periods)
			throttle = (struct trace_throttle){.periods = now->periods,
							   .throttled_ns = now->throttled_ns};
		if (!throttle.periods && !throttle.throttled_ns)
			continue;
		int rc = ARRAY_RESERVE(report->throttles, report->throttle_cap,
				       report->throttle_count, MAX_CGROUPS);
		if (rc)
			return rc;
		throttle.cgroup = strdup(now->path);
		if (!throttle.cgroup)
			return -ENOMEM;
		report->throttles[report->throttle_count++] = throttle;
	}
	return 0;
}

static void take_path(void *ctx, int dir_fd, const char *path)
{
	struct stat st;
	if (fstat(dir_fd, &st) || map_get(ctx, st.st_ino))
		return;
	char *copy = strdup(path);
	if (copy && map_put(ctx, st.st_ino, copy))
		free(copy);
}

void cgroup_paths_read(struct map *paths)
{
	map_init(paths, MAX_CGROUPS);
	struct walk walk = {.visit = take_path, .ctx = paths, .left = MAX_CGROUPS};
	walk_mounts(&walk, "cgroup2", NULL);
}

void cgroup_paths_fini(struct map *paths)
{
	size_t cursor = 0;
	char *path;
	while ((path = map_next(paths, &cursor, NULL)) != NULL)
		free(path);
	map_fini(paths);
}
