#include "symbolizer/symbol_cache.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "symbolizer/elf_file.h"
#include "symbolizer/gsym_file.h"

/* The version is part of the name, so that two versions of Hearth do not replace each other's
 * files for ever. Raise it with what a better reader of DWARF would find. */
#define SUFFIX         ".2.gsym"
#define FAILURE_SUFFIX ".1.none"

enum {
	HEAD_BYTES = 4096,
	MAX_WHY_BYTES = 200,
	FAILURE_HOLDS_S = 24 * 3600,
};

_Static_assert((int)CACHE_BUILD_ID_HEX_BYTES == BUILD_ID_HEX_BYTES - 1, "one limit");

/* FNV-1a. Stored, so it may not be one of base/hash.h. */
static uint64_t fnv(uint64_t hash, const void *data, size_t len_bytes)
{
	const uint8_t *bytes = data;
	for (size_t i = 0; i < len_bytes; i++)
		hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
	return hash;
}

int symbol_cache_id(char id[static BUILD_ID_HEX_BYTES], const struct executable *exe,
		    struct err *err)
{
	if (executable_build_id(exe)[0]) {
		snprintf(id, BUILD_ID_HEX_BYTES, "%s", executable_build_id(exe));
		return 0;
	}
	const struct elf_file *file = executable_elf(exe);
	uint64_t numbers[ELF_FILE_IDENTITY_NUMBERS];
	int rc = elf_file_identity(file, numbers);
	if (rc)
		return err_set(err, rc, "%s: %m", executable_name(exe));
	uint8_t head[HEAD_BYTES] = {0};
	if (elf_file_read(file, 0, head, sizeof(head)))
		memset(head, 0, sizeof(head)); /* shorter than that */
	uint64_t hash = fnv(UINT64_C(0xcbf29ce484222325), numbers, sizeof(numbers));
	hash = fnv(hash, head, sizeof(head));
	snprintf(id, BUILD_ID_HEX_BYTES, "00000000%016llx%016llx", (unsigned long long)numbers[2],
		 (unsigned long long)hash);
	return 0;
}

/* The sentence of a failure that still holds; *why is empty when there is none. */
static void load_failure(char why[static MAX_WHY_BYTES], int dir_fd, const char *id)
{
	char name[CACHE_NAME_BYTES];
	why[0] = 0;
	if (cache_dir_name(name, id, FAILURE_SUFFIX, NULL))
		return;
	/* Not by cache_dir_open(): asking must not make it younger. */
	AUTO_FD fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) || !S_ISREG(st.st_mode))
		return;
	ssize_t got = pread(fd, why, MAX_WHY_BYTES - 1, 0);
	int64_t age_s = time(NULL) - st.st_mtime;
	why[got > 0 && age_s >= 0 && age_s < FAILURE_HOLDS_S ? got : 0] = 0;
}

static int load(struct gsym **out, int dir_fd, const char *name, struct err *err)
{
	AUTO_FD fd = -1;
	bool is_old;
	int rc = cache_dir_open(dir_fd, name, &fd, &is_old, err);
	if (rc)
		return rc;
	if (is_old) {
		rc = gsym_file_check(fd, err);
		if (rc)
			return err_wrap(err, rc == -EBADMSG ? -ENOENT : rc, "%s", name);
		cache_dir_trust(fd);
	}
	AUTO(gsym) gsym = NULL;
	rc = gsym_open(&gsym, fd, err);
	if (rc)
		return err_wrap(err, rc == -EBADMSG || rc == -EOPNOTSUPP ? -ENOENT : rc, "%s",
				name);
	if (!gsym_is_whole(gsym))
		return err_set(err, -ENOENT, "%s is cut or of another version", name);
	*out = TAKE(gsym);
	return 0;
}

int symbol_cache_load(struct gsym **out, int dir_fd, const char *id, struct err *err)
{
	char name[CACHE_NAME_BYTES];
	int rc = cache_dir_name(name, id, SUFFIX, err);
	if (!rc)
		rc = load(out, dir_fd, name, err);
	if (rc != -ENOENT)
		return rc;
	char why[MAX_WHY_BYTES];
	load_failure(why, dir_fd, id);
	return why[0] ? err_set(err, -EAGAIN, "%s", why) : rc;
}

int symbol_cache_begin(struct cache_write *write, int dir_fd, const char *id, struct err *err)
{
	char name[CACHE_NAME_BYTES];
	int rc = cache_dir_name(name, id, SUFFIX, err);
	return rc ? rc : cache_write_begin(write, dir_fd, name, err);
}

int symbol_cache_store_failure(int dir_fd, const char *id, const char *why, struct err *err)
{
	char name[CACHE_NAME_BYTES];
	int rc = cache_dir_name(name, id, FAILURE_SUFFIX, err);
	struct cache_write write;
	if (!rc)
		rc = cache_write_begin(&write, dir_fd, name, err);
	if (rc)
		return rc;
	size_t len = strnlen(why, MAX_WHY_BYTES - 1);
	if (pwrite(write.fd, why, len, 0) != (ssize_t)len)
		rc = err_set(err, -EIO, "write %s", name);
	else
		rc = cache_write_commit(&write, err);
	cache_write_fini(&write);
	return rc;
}
