#include "symbolizer/cache_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/array.h"
#include "base/auto.h"

enum {
	MAX_FILES = 1 << 20,
	/* How exact the order of use is; fewer writes of inodes are worth more. */
	NOTE_USE_AFTER_S = 3600,
	/* Clocks are set while machines boot. */
	BOOT_MARGIN_S = 600,
};

int cache_dir_name(char name[static CACHE_NAME_BYTES], const char *build_id, const char *suffix,
		   struct err *err)
{
	size_t len = strspn(build_id, "0123456789abcdef");
	if (len < 2 || len > CACHE_BUILD_ID_HEX_BYTES || len % 2 || build_id[len])
		return err_set(err, -EINVAL, "not a build ID");
	snprintf(name, CACHE_NAME_BYTES, "%s%.20s", build_id, suffix);
	return 0;
}

static int64_t now_s(clockid_t clock)
{
	struct timespec now = {0};
	clock_gettime(clock, &now);
	return now.tv_sec;
}

int cache_dir_open(int dir_fd, const char *name, int *fd, bool *is_old, struct err *err)
{
	AUTO_FD opened = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (opened < 0)
		return err_set(err, -errno, "open %s: %m", name);
	struct stat st;
	if (fstat(opened, &st))
		return err_set(err, -errno, "%s: %m", name);
	if (!S_ISREG(st.st_mode))
		return err_set(err, -ENOENT, "%s is not a file", name);
	int64_t unix_s = now_s(CLOCK_REALTIME);
	int64_t boot_unix_s = unix_s - now_s(CLOCK_BOOTTIME);
	*is_old = st.st_ctime < boot_unix_s + BOOT_MARGIN_S;
	/* Noting the use would make it look new: whoever finds it whole does that. */
	if (!*is_old && st.st_mtime < unix_s - NOTE_USE_AFTER_S)
		cache_dir_trust(opened);
	*fd = TAKE_FD(opened);
	return 0;
}

void cache_dir_trust(int fd)
{
	(void)futimens(fd, NULL); /* of a directory that is not ours to write: then not */
}

int cache_write_begin(struct cache_write *write, int dir_fd, const char *name, struct err *err)
{
	uint64_t salt;
	if (getrandom(&salt, sizeof(salt), 0) != sizeof(salt))
		return err_set(err, -errno, "getrandom: %m");
	*write = (struct cache_write){.dir_fd = dir_fd};
	snprintf(write->name, sizeof(write->name), "%s", name);
	snprintf(write->temporary, sizeof(write->temporary), ".%.*s.%016llx",
		 CACHE_BUILD_ID_HEX_BYTES, name, (unsigned long long)salt);
	write->fd = openat(dir_fd, write->temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	return write->fd < 0 ? err_set(err, -errno, "create %s: %m", write->temporary) : 0;
}

int cache_write_commit(struct cache_write *write, struct err *err)
{
	if (renameat(write->dir_fd, write->temporary, write->dir_fd, write->name))
		return err_set(err, -errno, "rename to %s: %m", write->name);
	write->temporary[0] = 0;
	return 0;
}

void cache_write_fini(struct cache_write *write)
{
	if (write->temporary[0])
		unlinkat(write->dir_fd, write->temporary, 0);
	close(write->fd);
}

struct cached_file {
	char name[CACHE_NAME_BYTES];
	uint64_t size_bytes;
	int64_t used_unix_s;
};

struct listing {
	struct cached_file *files;
	size_t count, cap;
	uint64_t size_bytes;
};

static void close_directory(DIR **directory)
{
	if (*directory)
		closedir(*directory);
}

static void list_files(struct listing *listing, int dir_fd)
{
	/* A descriptor of its own: readdir(3) moves the position of the one it is given. */
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	__attribute__((cleanup(close_directory))) DIR *directory = fd < 0 ? NULL : fdopendir(fd);
	if (!directory)
		return;
	for (const struct dirent *entry; (entry = readdir(directory)) != NULL;) {
		struct stat st;
		if (strlen(entry->d_name) >= CACHE_NAME_BYTES ||
		    fstatat(dir_fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) ||
		    !S_ISREG(st.st_mode) ||
		    ARRAY_RESERVE(listing->files, listing->cap, listing->count, MAX_FILES))
			continue;
		struct cached_file *file = &listing->files[listing->count++];
		memcpy(file->name, entry->d_name, strlen(entry->d_name) + 1);
		file->size_bytes = (uint64_t)st.st_size;
		file->used_unix_s = st.st_mtime;
		listing->size_bytes += file->size_bytes;
	}
}

static int oldest_first(const void *a, const void *b)
{
	int64_t left = ((const struct cached_file *)a)->used_unix_s;
	int64_t right = ((const struct cached_file *)b)->used_unix_s;
	return (left > right) - (left < right);
}

void cache_dir_trim(int dir_fd, uint64_t max_bytes)
{
	struct listing listing = {0};
	list_files(&listing, dir_fd);
	AUTO_MEM struct cached_file *files = listing.files;
	if (listing.size_bytes > max_bytes)
		qsort(files, listing.count, sizeof(*files), oldest_first);
	for (size_t i = 0; i < listing.count && listing.size_bytes > max_bytes; i++)
		if (!unlinkat(dir_fd, files[i].name, 0))
			listing.size_bytes -= files[i].size_bytes;
}
