#include "storage/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>

struct lock {
	int fd;
};

void lock_free(struct lock *lock)
{
	if (!lock)
		return;
	if (lock->fd >= 0) {
		/* Nobody's pid stays behind. A failure leaves an old one, which does no harm. */
		if (ftruncate(lock->fd, 0))
			errno = 0;
		close(lock->fd);
	}
	free(lock);
}

static int taken(int fd, const char *directory, struct err *err)
{
	char pid[16] = "";
	ssize_t len = pread(fd, pid, sizeof(pid) - 1, 0);
	pid[len > 0 ? len : 0] = 0;
	pid[strspn(pid, "0123456789")] = 0;
	return err_set(err, -EBUSY,
		       "%s is in use by another hearth (pid %s): stop it, or use another directory",
		       directory, pid[0] ? pid : "unknown");
}

int lock_open(struct lock **out, const char *directory, struct err *err)
{
	char path[PATH_MAX];
	if (snprintf(path, sizeof(path), "%s/" LOCK_FILE_NAME, directory) >= (int)sizeof(path))
		return err_set(err, -ENAMETOOLONG, "%s: %m", directory);
	AUTO_FD fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0)
		return err_set(err, -errno, "open %s: %m", path);
	if (flock(fd, LOCK_EX | LOCK_NB))
		return errno == EWOULDBLOCK ? taken(fd, directory, err)
					    : err_set(err, -errno, "lock %s: %m", path);
	AUTO(lock) lock = calloc(1, sizeof(*lock));
	if (!lock)
		return err_set(err, -ENOMEM, "lock %s: %m", path);
	lock->fd = TAKE_FD(fd);
	/* On a full disk the pid is missing in a message; the lock holds all the same. */
	if (ftruncate(lock->fd, 0) || dprintf(lock->fd, "%d\n", getpid()) < 0)
		errno = 0;
	*out = TAKE(lock);
	return 0;
}
