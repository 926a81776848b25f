#include "symbolizer/names_make.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "symbolizer/debug_file_root.h"
#include "symbolizer/symbol_cache.h"

/* More than the largest executables with all their lines need. */
#define MAX_COMPILED_BYTES ((size_t)1 << 30)

/* The file at a path of the executable's machine, in the first root that has it. */
static int open_below_roots(const struct debug_search *search, const char *path)
{
	int rc = -ENOENT;
	for (size_t i = 0; i < search->root_count; i++) {
		int fd;
		rc = debug_file_root_open(search->root_fds[i], path, &fd);
		if (!rc)
			return fd;
	}
	return rc;
}

static int open_joined(const struct debug_search *search, const char *directory, size_t len,
		       const char *name, const char *suffix)
{
	char path[PATH_MAX];
	int wrote = snprintf(path, sizeof(path), "%.*s/%s%s", (int)len, directory, name, suffix);
	return wrote >= (int)sizeof(path) ? -ENAMETOOLONG : open_below_roots(search, path);
}

/* A .dwo is where it was compiled, or beside the executable; the package is beside that. */
static int open_split(void *ctx, enum dwarf_split_kind kind, const char *name,
		      const char *directory)
{
	const struct debug_search *search = ((const struct names_order *)ctx)->search;
	const char *exe = search ? search->executable_path : NULL;
	if (!exe || exe[0] != '/')
		return -ENOENT;
	const char *exe_base = strrchr(exe, '/') + 1;
	size_t exe_directory_len = (size_t)(exe_base - exe - 1);
	if (kind == DWARF_SPLIT_DWP)
		return open_joined(search, exe, exe_directory_len, exe_base, ".dwp");
	int fd = name[0] == '/' ? open_below_roots(search, name)
				: open_joined(search, directory, strlen(directory), name, "");
	if (fd >= 0)
		return fd;
	const char *slash = strrchr(name, '/');
	return open_joined(search, exe, exe_directory_len, slash ? slash + 1 : name, "");
}

static bool is_cancelled(void *ctx)
{
	const struct names_order *order = ctx;
	return order->is_cancelled && order->is_cancelled(order->ctx);
}

/* Compile into fd, and open what is there then. */
static int make(struct gsym **out, const struct names_input *input, int fd,
		struct names_stats *stats, struct err *err)
{
	AUTO_FD scratch_fd = open("/var/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	struct names_input whole = *input;
	whole.scratch_fd = scratch_fd;
	int rc = names_compile(&whole, MAX_COMPILED_BYTES, fd, stats, err);
	return rc ? rc : gsym_open(out, fd, err);
}

static int make_in_memory(struct gsym **out, const struct names_input *input,
			  struct names_stats *stats, struct err *err)
{
	AUTO_FD fd = memfd_create("hearth-names", MFD_CLOEXEC);
	return fd < 0 ? err_set(err, -errno, "memfd_create: %m") : make(out, input, fd, stats, err);
}

/* Through a file that appears when it is whole. *cache_err is what was wrong with the cache. */
static int make_in_cache(struct gsym **out, const struct names_order *order,
			 const struct names_input *input, struct names_stats *stats,
			 struct err *cache_err, struct err *err)
{
	struct cache_write write;
	int rc = symbol_cache_begin(&write, order->cache_fd, order->id, cache_err);
	if (rc)
		return err_set(err, rc, "%s", cache_err->text);
	rc = make(out, input, write.fd, stats, err);
	if (rc == -ENOSPC || rc == -EDQUOT || rc == -EIO || rc == -EFBIG)
		*cache_err = err ? *err : (struct err){.code = rc};
	if (!rc && cache_write_commit(&write, cache_err) && order->must_keep)
		rc = err_set(err, cache_err->code, "%s", cache_err->text);
	cache_write_fini(&write);
	return rc;
}

/* The descriptor goes to the file. NULL: there is none, or it is no ELF file. */
static struct elf_file *open_elf(int *fd)
{
	struct elf_file *file = NULL;
	if (*fd < 0 || elf_file_open_debug(&file, TAKE_FD(*fd), NULL))
		return NULL;
	return file;
}

int names_make(struct gsym **out, const struct names_order *order, struct names_stats *stats,
	       struct err *err)
{
	AUTO(elf_file) debug = order->debug ? open_elf(&order->debug->fd) : NULL;
	AUTO(elf_file) alternate = order->debug ? open_elf(&order->debug->alternate_fd) : NULL;
	const struct names_input input = {
		.file = order->file,
		.debug = debug,
		.alternate = alternate,
		.open_split = open_split,
		.is_cancelled = is_cancelled,
		.ctx = (void *)(uintptr_t)order,
	};
	struct err cache_err = {0}, problem = {0};
	AUTO(gsym) gsym = NULL;
	int rc = order->cache_fd < 0
			 ? make_in_memory(&gsym, &input, stats, &problem)
			 : make_in_cache(&gsym, order, &input, stats, &cache_err, &problem);
	if (rc && cache_err.code && !order->must_keep)
		rc = make_in_memory(&gsym, &input, stats, &problem);
	if (rc)
		return err_set(err, rc, "%s", problem.text);
	if (cache_err.code && !stats->problem.code)
		(void)err_set(&stats->problem, cache_err.code, "names are not kept: %s",
			      cache_err.text);
	*out = TAKE(gsym);
	return 0;
}
