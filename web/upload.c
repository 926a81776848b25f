#include "web/upload.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

struct upload {
	int fd;
	uint64_t max_bytes;
	uint64_t came_bytes;
	int error; /* of the first write that failed: -errno */
};

/* Not every file system has O_TMPFILE: overlayfs got it in 6.1, NFS never. */
static int open_unlinked(const char *directory)
{
	int fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, S_IRUSR | S_IWUSR);
	if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT))
		return fd;
	char path[PATH_MAX];
	if (snprintf(path, sizeof(path), "%s/upload-XXXXXX", directory) >= (int)sizeof(path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	fd = mkostemp(path, O_CLOEXEC);
	if (fd >= 0)
		unlink(path);
	return fd;
}

int upload_open(struct upload **out, const char *directory, uint64_t max_bytes, struct err *err)
{
	AUTO(upload) upload = calloc(1, sizeof(*upload));
	if (!upload)
		return err_set(err, -ENOMEM, "no memory to receive a file");
	upload->max_bytes = max_bytes;
	upload->fd = open_unlinked(directory);
	if (upload->fd < 0)
		return err_set(err, -errno, "no file can be made in %s: %m", directory);
	*out = TAKE(upload);
	return 0;
}

void upload_free(struct upload *upload)
{
	if (!upload)
		return;
	if (upload->fd >= 0)
		close(upload->fd);
	free(upload);
}

void upload_append(struct upload *upload, const void *data, size_t len_bytes)
{
	upload->came_bytes += len_bytes;
	if (upload->came_bytes > upload->max_bytes)
		return;
	const char *from = data;
	while (len_bytes && !upload->error) {
		ssize_t wrote = write(upload->fd, from, len_bytes);
		if (wrote < 0 && errno == EINTR)
			continue;
		if (wrote <= 0) {
			upload->error = wrote < 0 ? -errno : -EIO;
			return;
		}
		from += wrote;
		len_bytes -= (size_t)wrote;
	}
}

uint64_t upload_bytes(const struct upload *upload)
{
	return upload->came_bytes;
}

int upload_finish(struct upload *upload, int *fd, struct err *err)
{
	if (upload->came_bytes > upload->max_bytes)
		return err_set(err, -E2BIG, "the file is over the limit");
	if (!upload->came_bytes)
		return err_set(err, -ENODATA, "the request has no body: send the file as its body");
	if (upload->error)
		return err_set(err, upload->error, "the file could not be kept: %m");
	if (lseek(upload->fd, 0, SEEK_SET))
		return err_set(err, -errno, "the file cannot be read back: %m");
	*fd = upload->fd;
	return 0;
}
