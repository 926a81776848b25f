#include "symbolizer/debug_file.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "symbolizer/debug_file_check.h"
#include "symbolizer/debug_file_links.h"
#include "symbolizer/debug_file_root.h"
#include "symbolizer/minidebug.h"

#define DEBUG_DIR "/usr/lib/debug"

enum { NOTE_BYTES = 100, REJECTED_BYTES = 130 };

/* Where a file was found. */
struct place {
	int root_fd; /* -1: none, it came from a server */
	char path[PATH_MAX];
};

struct search {
	const struct debug_search *given;
	struct debug_file_links links; /* of the executable */
	uint8_t id[ELF_BUILD_ID_MAX_BYTES];
	size_t id_bytes;
	struct place place;
	/* For the sentence when there is nothing. */
	char rejected[REJECTED_BYTES]; /* the first file that would not do, and why */
	char remote[NOTE_BYTES];
	char mini[NOTE_BYTES];
};

void debug_file_fini(struct debug_file *found)
{
	if (found->fd >= 0)
		close(found->fd);
	if (found->alternate_fd >= 0)
		close(found->alternate_fd);
	*found = (struct debug_file){.fd = -1, .alternate_fd = -1};
}

/* Text that is cut to fit: it is for reading only. */
__attribute__((format(printf, 3, 4))) static void write_text(char *text, size_t text_bytes,
							     const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	vsnprintf(text, text_bytes, fmt, args);
	va_end(args);
}

/* False: the path is too long to be one. */
__attribute__((format(printf, 2, 3))) static bool make_path(char path[static PATH_MAX],
							    const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	int len = vsnprintf(path, PATH_MAX, fmt, args);
	va_end(args);
	return len > 0 && len < PATH_MAX;
}

static const char *debug_dir(const struct search *search, size_t i)
{
	return i ? search->given->debug_dirs[i - 1] : DEBUG_DIR;
}

static size_t debug_dir_count(const struct search *search)
{
	return 1 + search->given->debug_dir_count;
}

/* DIR/.build-id/xx/yyyy.debug. False: there is no ID to make one from. */
static bool build_id_path(char path[static PATH_MAX], const char *dir, const uint8_t *id,
			  size_t id_bytes)
{
	char hex[2 * ELF_BUILD_ID_MAX_BYTES + 1] = "";
	if (id_bytes < 2)
		return false;
	for (size_t i = 1; i < id_bytes; i++)
		snprintf(hex + 2 * (i - 1), 3, "%02x", id[i]);
	return make_path(path, "%s/.build-id/%02x/%s.debug", dir, id[0], hex);
}

static void reject(struct search *search, const char *path, const char *why)
{
	if (!search->rejected[0])
		write_text(search->rejected, sizeof(search->rejected), "%.90s: %s", path, why);
}

/* Open a file that is what is wanted. -ENOENT: there is none, or it is not; -ENOMEM. */
static int try_path(struct search *search, int root_fd, const char *path,
		    const struct debug_file_want *want, int *fd)
{
	struct err err = {0};
	AUTO_FD file_fd = -1;
	int rc = debug_file_root_open(root_fd, path, &file_fd);
	if (rc == -ENOENT || rc == -ENOTDIR)
		return -ENOENT;
	if (rc)
		err_set(&err, rc, rc == -EBADMSG ? "not a regular file" : "%m");
	else
		rc = debug_file_check(file_fd, want, &err);
	if (rc) {
		reject(search, path, err.text);
		return rc == -ENOMEM ? rc : -ENOENT;
	}
	search->place.root_fd = root_fd;
	write_text(search->place.path, sizeof(search->place.path), "%s", path);
	*fd = TAKE_FD(file_fd);
	return 0;
}

/* In the build-ID directories of one root. */
static int try_build_id(struct search *search, int root_fd, const uint8_t *id, size_t id_bytes,
			int *fd)
{
	const struct debug_file_want want = {.id = id, .id_bytes = id_bytes};
	char path[PATH_MAX];
	int rc = -ENOENT;
	for (size_t i = 0; rc == -ENOENT && i < debug_dir_count(search); i++)
		if (build_id_path(path, debug_dir(search, i), id, id_bytes))
			rc = try_path(search, root_fd, path, &want, fd);
	return rc;
}

/* The directory of an absolute path, "" for "/". False: it is not absolute. */
static bool directory_of(char dir[static PATH_MAX], const char *path)
{
	if (!path || path[0] != '/' || !make_path(dir, "%s", path))
		return false;
	*strrchr(dir, '/') = 0;
	return true;
}

/* What .gnu_debuglink names, in one root. */
static int try_link(struct search *search, int root_fd, int *fd)
{
	const struct debug_file_want want = {
		.id = search->id, .id_bytes = search->id_bytes, .crc32 = &search->links.link_crc32};
	const char *name = search->links.link_name;
	char dir[PATH_MAX], path[PATH_MAX];
	if (!*name || !directory_of(dir, search->given->executable_path))
		return -ENOENT;
	int rc = -ENOENT;
	if (make_path(path, "%s/%s", dir, name))
		rc = try_path(search, root_fd, path, &want, fd);
	if (rc == -ENOENT && make_path(path, "%s/.debug/%s", dir, name))
		rc = try_path(search, root_fd, path, &want, fd);
	for (size_t i = 0; rc == -ENOENT && i < debug_dir_count(search); i++)
		if (make_path(path, "%s%s/%s", debug_dir(search, i), dir, name))
			rc = try_path(search, root_fd, path, &want, fd);
	return rc;
}

static int try_roots(struct search *search, int *fd)
{
	int rc = -ENOENT;
	for (size_t i = 0; rc == -ENOENT && i < search->given->root_count; i++) {
		int root_fd = search->given->root_fds[i];
		rc = try_build_id(search, root_fd, search->id, search->id_bytes, fd);
		if (rc == -ENOENT)
			rc = try_link(search, root_fd, fd);
	}
	return rc;
}

/* -EAGAIN: it has been asked for. */
static int try_remote(struct search *search, const uint8_t *id, size_t id_bytes, int *fd)
{
	struct err err = {0};
	if (!search->given->remote || id_bytes < 2)
		return -ENOENT;
	int rc = debuginfod_ask(search->given->remote, id, id_bytes, fd, &err);
	if (!rc) {
		search->place = (struct place){.root_fd = -1, .path = "debuginfod"};
		return 0;
	}
	write_text(search->remote, sizeof(search->remote), "%s", err.text);
	return rc == -EAGAIN || rc == -ENOMEM ? rc : -ENOENT;
}

static int try_mini(struct search *search, const struct elf_file *executable, int *fd)
{
	struct err err = {0};
	if (!search->links.has_minidebug)
		return -ENOENT;
	int rc = minidebug_open(executable, &search->links.minidebug, fd, &err);
	if (rc)
		write_text(search->mini, sizeof(search->mini), "; %s", err.text);
	return rc && rc != -ENOMEM ? -ENOENT : rc;
}

/* What is after ".dwz/" in the path, or else its last name. */
static const char *shared_name(const char *path)
{
	const char *dwz = strstr(path, ".dwz/");
	const char *slash = strrchr(path, '/');
	return dwz ? dwz + strlen(".dwz/") : slash ? slash + 1 : path;
}

/* Relative to the file that names it: by the path it was found at, then by its real one. */
static int try_alternate_beside(struct search *search, const struct place *place,
				const struct debug_file_links *links,
				const struct debug_file_want *want, int *fd)
{
	char dir[PATH_MAX], path[PATH_MAX], real_path[PATH_MAX];
	if (place->root_fd < 0 || !directory_of(dir, place->path) ||
	    !make_path(path, "%s/%s", dir, links->alternate_path))
		return -ENOENT;
	int rc = try_path(search, place->root_fd, path, want, fd);
	if (rc != -ENOENT || debug_file_root_resolve(place->root_fd, place->path, real_path) ||
	    !directory_of(dir, real_path) || !make_path(path, "%s/%s", dir, links->alternate_path))
		return rc;
	return try_path(search, place->root_fd, path, want, fd);
}

static int try_alternate_in(struct search *search, int root_fd,
			    const struct debug_file_links *links,
			    const struct debug_file_want *want, int *fd)
{
	char path[PATH_MAX];
	int rc = -ENOENT;
	if (links->alternate_path[0] == '/')
		rc = try_path(search, root_fd, links->alternate_path, want, fd);
	if (rc == -ENOENT)
		rc = try_build_id(search, root_fd, want->id, want->id_bytes, fd);
	for (size_t i = 0; rc == -ENOENT && i < debug_dir_count(search); i++)
		if (make_path(path, "%s/.dwz/%s", debug_dir(search, i),
			      shared_name(links->alternate_path)))
			rc = try_path(search, root_fd, path, want, fd);
	return rc;
}

/* The file of dwz that the file at search->place names. Without it there is less to know, but no
 * failure. -ENOMEM. */
static int find_alternate(struct search *search, const struct debug_file_links *links,
			  struct debug_file *found)
{
	const struct debug_file_want want = {.id = links->alternate_id,
					     .id_bytes = links->alternate_id_bytes};
	const struct place place = search->place;
	if (!links->alternate_path[0])
		return 0;
	int rc = -ENOENT, *fd = &found->alternate_fd;
	search->rejected[0] = 0;
	search->remote[0] = 0;
	if (links->alternate_path[0] != '/')
		rc = try_alternate_beside(search, &place, links, &want, fd);
	for (size_t i = 0; rc == -ENOENT && i < search->given->root_count; i++)
		rc = try_alternate_in(search, search->given->root_fds[i], links, &want, fd);
	if (rc == -ENOENT)
		rc = try_remote(search, want.id, want.id_bytes, fd);
	found->is_pending |= rc == -EAGAIN;
	if (!rc)
		write_text(found->alternate, sizeof(found->alternate), "%s", search->place.path);
	else
		write_text(found->alternate, sizeof(found->alternate),
			   "%.80s, which dwz shares between files, is missing%s%s%s%s",
			   links->alternate_path, search->rejected[0] ? "; " : "", search->rejected,
			   search->remote[0] ? "; " : "", search->remote);
	return rc == -ENOMEM ? rc : 0;
}

/* What the separate file at found->fd has and names in turn. */
static int inspect(struct search *search, struct debug_file *found)
{
	int own_fd = dup(found->fd);
	struct elf_file *opened;
	if (own_fd < 0)
		return -errno;
	int rc = elf_file_open_debug(&opened, own_fd, NULL);
	if (rc)
		return rc;
	AUTO(elf_file) file = opened;
	struct debug_file_links links;
	rc = debug_file_links_read(&links, file, NULL);
	if (rc)
		return rc;
	found->has_dwarf = links.has_dwarf;
	return find_alternate(search, &links, found);
}

static int nothing(const struct search *search, struct err *err)
{
	char link[NOTE_BYTES] = "no .gnu_debuglink";
	const char *local = search->id_bytes < 2             ? "no build ID"
			    : search->given->debug_dir_count ? "not in the debug directories"
							     : "not in " DEBUG_DIR "/.build-id";
	const char *remote = search->remote[0]       ? search->remote
			     : search->given->remote ? "nothing to ask debuginfod by"
						     : "debuginfod is off";
	if (search->links.link_name[0])
		write_text(link, sizeof(link), "no %.20s beside it", search->links.link_name);
	return err_set(err, -ENOENT,
		       "no debug file: %s, %s, %s%s; install its -dbg or -dbgsym package%s",
		       search->rejected[0] ? search->rejected : local, link, remote, search->mini,
		       search->given->remote ? "" : ", or set DEBUGINFOD_URLS");
}

static int find_separate(struct search *search, struct debug_file *found)
{
	int rc = try_roots(search, &found->fd);
	if (rc == -ENOENT)
		rc = try_remote(search, search->id, search->id_bytes, &found->fd);
	if (rc)
		return rc;
	found->kind = DEBUG_FILE_SEPARATE;
	write_text(found->where, sizeof(found->where), "%s", search->place.path);
	return inspect(search, found);
}

static int find(struct search *search, const struct elf_file *executable, struct debug_file *found,
		struct err *err)
{
	if (search->links.has_dwarf) {
		found->kind = DEBUG_FILE_ITSELF;
		found->has_dwarf = true;
		write_text(found->where, sizeof(found->where), "the executable itself");
		search->place.root_fd = search->given->root_count ? search->given->root_fds[0] : -1;
		if (search->given->executable_path)
			write_text(search->place.path, sizeof(search->place.path), "%s",
				   search->given->executable_path);
		return find_alternate(search, &search->links, found);
	}
	int rc = find_separate(search, found);
	if (rc != -ENOENT && rc != -EAGAIN)
		return rc ? err_set(err, rc, "debug file: %m") : 0;
	found->is_pending = rc == -EAGAIN;
	int mini = try_mini(search, executable, &found->fd);
	if (mini == -ENOENT)
		return rc == -EAGAIN ? err_set(err, rc, "no debug file yet: %s", search->remote)
				     : nothing(search, err);
	if (mini)
		return err_set(err, mini, "mini debug information: %m");
	found->kind = DEBUG_FILE_MINI;
	write_text(found->where, sizeof(found->where), "its own .gnu_debugdata");
	return 0;
}

int debug_file_find(struct debug_file *out, const struct elf_file *executable,
		    const struct debug_search *search, struct err *err)
{
	AUTO_MEM struct search *state = calloc(1, sizeof(*state)); /* has paths */
	if (!state)
		return err_set(err, -ENOMEM, "debug file: %m");
	state->given = search;
	state->id_bytes = elf_file_build_id(executable, state->id);
	int rc = debug_file_links_read(&state->links, executable, err);
	if (rc)
		return rc;
	AUTO_FINI(debug_file_fini) struct debug_file found = {.fd = -1, .alternate_fd = -1};
	rc = find(state, executable, &found, err);
	if (rc)
		return rc;
	*out = found;
	found.fd = found.alternate_fd = -1; /* the caller's now */
	return 0;
}
