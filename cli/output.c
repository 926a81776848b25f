#include "cli/output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/array.h"
#include "base/auto.h"
#include "profile/folded.h"
#include "profile/pprof.h"

static const struct {
	const char *suffix;
	int (*encode)(struct buf *out, const struct profile *profile, struct err *err);
} formats[] = {
	{".pb.gz", pprof_encode},
	{".folded", folded_encode},
};

static bool ends_with(const char *text, const char *suffix)
{
	size_t text_bytes = strlen(text), suffix_bytes = strlen(suffix);
	return text_bytes >= suffix_bytes && !strcmp(text + text_bytes - suffix_bytes, suffix);
}

static size_t find_format(const char *path)
{
	size_t i = 0;
	while (i < ARRAY_LEN(formats) && !ends_with(path, formats[i].suffix))
		i++;
	return i;
}

int output_check(const char *path, struct err *err)
{
	if (find_format(path) < ARRAY_LEN(formats))
		return 0;
	return err_set(err, -EINVAL,
		       "%s: the name must end in .pb.gz (pprof) or .folded (folded stacks)", path);
}

int output_check_place(const char *path, struct err *err)
{
	char directory[4096] = ".";
	const char *slash = strrchr(path, '/');
	struct stat st;
	bool is_there = !stat(path, &st);
	int code = 0;
	if (slash && snprintf(directory, sizeof(directory), "%.*s", (int)(slash + 1 - path),
			      path) >= (int)sizeof(directory))
		code = -ENAMETOOLONG;
	else if (is_there && S_ISDIR(st.st_mode))
		code = -EISDIR;
	else if (access(is_there && !S_ISREG(st.st_mode) ? path : directory, W_OK))
		code = -errno;
	return code ? err_set(err, code, "write %s: %m", path) : 0;
}

int output_encode(struct buf *out, const char *path, const struct profile *profile, struct err *err)
{
	int rc = output_check(path, err);
	return rc ? rc : formats[find_format(path)].encode(out, profile, err);
}

static int write_all(int fd, const char *data, size_t len_bytes)
{
	while (len_bytes) {
		ssize_t written = write(fd, data, len_bytes);
		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0)
			return -errno;
		data += written;
		len_bytes -= (size_t)written;
	}
	return 0;
}

static int write_directly(const char *path, const void *data, size_t len_bytes, struct err *err)
{
	AUTO_FD fd = open(path, O_WRONLY | O_CLOEXEC);
	int rc = fd < 0 ? -errno : write_all(fd, data, len_bytes);
	return rc ? err_set(err, rc, "write %s: %m", path) : 0;
}

int output_write(const char *path, const void *data, size_t len_bytes, struct err *err)
{
	struct stat st;
	if (!stat(path, &st) && !S_ISREG(st.st_mode))
		return write_directly(path, data, len_bytes, err);
	char temporary[4096];
	if (snprintf(temporary, sizeof(temporary), "%s.XXXXXX", path) >= (int)sizeof(temporary))
		return err_set(err, -ENAMETOOLONG, "write %s: %m", path);
	AUTO_FD fd = mkostemp(temporary, O_CLOEXEC);
	if (fd < 0)
		return err_set(err, -errno, "write %s: %m", path);
	int rc = write_all(fd, data, len_bytes);
	mode_t mask = umask(0);
	umask(mask);
	if (!rc && (fchmod(fd, 0666 & ~mask) || rename(temporary, path)))
		rc = -errno;
	if (rc)
		unlink(temporary);
	return rc ? err_set(err, rc, "write %s: %m", path) : 0;
}
