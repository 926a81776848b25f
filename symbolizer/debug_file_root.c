#include "symbolizer/debug_file_root.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/auto.h"

enum {
	MAX_LINKS = 40,       /* as the kernel's */
	MAX_DIRECTORIES = 64, /* in one path; each costs as many opens as it is deep */
	MAX_STEPS = 512,
	MAX_RENAMES = 8,
	FILE_FLAGS = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC,
};

/* Opens path, which has neither links nor "..", one directory after the other. */
static int open_plain(int root_fd, const char *path, int flags)
{
	char name[NAME_MAX + 1];
	AUTO_FD dir_fd = -1;
	for (size_t depth = 0; depth < MAX_DIRECTORIES; depth++) {
		path += strspn(path, "/");
		size_t len = strcspn(path, "/");
		if (len > NAME_MAX)
			return -ENAMETOOLONG;
		memcpy(name, path, len);
		name[len] = 0;
		path += len;
		int how = *path ? O_PATH | O_CLOEXEC : flags;
		int fd = openat(dir_fd < 0 ? root_fd : dir_fd, len ? name : ".", how | O_NOFOLLOW);
		if (fd < 0 || !*path)
			return fd < 0 ? -errno : fd;
		if (dir_fd >= 0)
			close(dir_fd);
		dir_fd = fd;
	}
	return -ELOOP;
}

/* A path on its way: what is resolved, and what is still to do. */
struct walk {
	int root_fd;
	unsigned links;
	char done[PATH_MAX]; /* "" is the root */
	char left[PATH_MAX];
};

/* Put the target of the link that done names, whose parent is parent_len long, before left. */
static int follow(struct walk *walk, int link_fd, size_t parent_len)
{
	char target[PATH_MAX], left[PATH_MAX];
	if (++walk->links > MAX_LINKS)
		return -ELOOP;
	ssize_t len = readlinkat(link_fd, "", target, sizeof(target));
	if (len < 0)
		return -errno;
	if (len == 0 || (size_t)len == sizeof(target))
		return len ? -ENAMETOOLONG : -ENOENT;
	int total = snprintf(left, sizeof(left), "%.*s/%s", (int)len, target, walk->left);
	if (total < 0 || (size_t)total >= sizeof(left))
		return -ENAMETOOLONG;
	memcpy(walk->left, left, (size_t)total + 1);
	walk->done[target[0] == '/' ? 0 : parent_len] = 0;
	return 0;
}

/* One name, which is neither "." nor "..". is_last: it need not exist. */
static int enter(struct walk *walk, const char *name, size_t len, bool is_last)
{
	size_t parent_len = strlen(walk->done);
	if (len > NAME_MAX || parent_len + 1 + len + 1 > sizeof(walk->done))
		return -ENAMETOOLONG;
	walk->done[parent_len] = '/';
	memcpy(walk->done + parent_len + 1, name, len);
	walk->done[parent_len + 1 + len] = 0;
	AUTO_FD fd = open_plain(walk->root_fd, walk->done, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return is_last && fd == -ENOENT ? 0 : fd;
	struct stat st;
	if (fstat(fd, &st))
		return -errno;
	return S_ISLNK(st.st_mode) ? follow(walk, fd, parent_len) : 0;
}

static int step(struct walk *walk)
{
	char left[PATH_MAX];
	size_t len = strcspn(walk->left, "/");
	char name[PATH_MAX];
	memcpy(name, walk->left, len);
	name[len] = 0;
	size_t next = len + strspn(walk->left + len, "/");
	snprintf(left, sizeof(left), "%s", walk->left + next);
	bool is_last = !*left;
	memcpy(walk->left, left, strlen(left) + 1);
	if (!len || !strcmp(name, "."))
		return 0;
	if (!strcmp(name, "..")) {
		char *slash = strrchr(walk->done, '/');
		*(slash ? slash : walk->done) = 0;
		return 0;
	}
	return enter(walk, name, len, is_last);
}

int debug_file_root_resolve(int root_fd, const char *path, char real_path[static PATH_MAX])
{
	struct walk walk = {.root_fd = root_fd};
	if (!*path)
		return -ENOENT;
	if (strlen(path) >= sizeof(walk.left))
		return -ENAMETOOLONG;
	snprintf(walk.left, sizeof(walk.left), "%s", path);
	for (unsigned steps = 0; *walk.left; steps++) {
		int rc = steps < MAX_STEPS ? step(&walk) : -ELOOP;
		if (rc)
			return rc;
	}
	snprintf(real_path, PATH_MAX, "%s", *walk.done ? walk.done : "/");
	return 0;
}

static int open_walking(int root_fd, const char *path, int flags)
{
	char real_path[PATH_MAX];
	int rc = debug_file_root_resolve(root_fd, path, real_path);
	return rc ? rc : open_plain(root_fd, real_path, flags);
}

static int open_in_root(int root_fd, const char *path, int flags)
{
	struct open_how how = {
		.flags = (unsigned)flags,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};
	/* EAGAIN: something was renamed while a ".." was followed; openat2(2). */
	for (unsigned i = 0; i < MAX_RENAMES; i++) {
		long fd = syscall(SYS_openat2, root_fd, path, &how, sizeof(how));
		if (fd >= 0)
			return (int)fd;
		if (errno == ENOSYS || errno == EPERM)
			return open_walking(root_fd, path, flags);
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
	}
	return -EAGAIN;
}

/* Opening a device may do something, so what is there is looked at first. Whoever swaps it
 * in between gets no more than one open that does not wait. */
int debug_file_root_open(int root_fd, const char *path, int *fd)
{
	struct stat before, after;
	AUTO_FD place_fd = open_in_root(root_fd, path, O_PATH | O_CLOEXEC);
	if (place_fd < 0)
		return place_fd;
	if (fstat(place_fd, &before))
		return -errno;
	if (!S_ISREG(before.st_mode))
		return -EBADMSG;
	AUTO_FD file_fd = open_in_root(root_fd, path, FILE_FLAGS);
	if (file_fd < 0)
		return file_fd;
	if (fstat(file_fd, &after))
		return -errno;
	if (!S_ISREG(after.st_mode))
		return -EBADMSG;
	*fd = TAKE_FD(file_fd);
	return 0;
}
