#include "profiler/files.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/map.h"
#include "profiler/procfs.h"

enum { MAX_FILES = 16384 };
static const uint64_t UNUSED_AFTER_NS = 600 * UINT64_C(1000000000);

struct files {
	struct map by_identity; /* hash of the build ID, and of (device, inode, ..., path) */
	struct mapped_file *vdso;
	struct mapped_file *vdso32; /* of 32-bit processes: another one, without names */
	struct mapped_file *anonymous;
	struct mapped_file *vsyscall; /* code of no file, but nobody made it at run time */
	struct mount_roots roots;
};

struct mapped_file *mapped_file_ref(struct mapped_file *file)
{
	__atomic_add_fetch(&file->refs, 1, __ATOMIC_RELAXED);
	return file;
}

void mapped_file_unref(struct mapped_file *file)
{
	if (!file || __atomic_sub_fetch(&file->refs, 1, __ATOMIC_ACQ_REL))
		return;
	executable_unref(file->exe);
	mount_root_unref(file->root);
	jit_process_unref(file->jit);
	auto_close_fd(&file->dump_fd);
	free(file->name);
	free(file);
}

static struct mapped_file *mapped_file_new(enum mapped_kind kind, const char *name)
{
	struct mapped_file *file = calloc(1, sizeof(*file));
	if (!file)
		return NULL;
	file->refs = 1;
	file->kind = kind;
	file->dump_fd = -1;
	file->name = strdup(name);
	if (file->name)
		return file;
	mapped_file_unref(file);
	return NULL;
}

struct mapped_file *mapped_file_jit(struct jit_process *jit)
{
	struct mapped_file *file = mapped_file_new(MAPPED_ANONYMOUS, "[jit]");
	if (file)
		file->jit = jit;
	else
		jit_process_unref(jit);
	return file;
}

static void note_vdso(void *ctx, const struct proc_mapping *mapping)
{
	struct proc_mapping *vdso = ctx;
	if (!strcmp(mapping->path, "[vdso]"))
		*vdso = *mapping;
}

/* The kernel maps the same vDSO into every 64-bit process, ours included. vdso(7) */
static struct mapped_file *vdso_new(void)
{
	struct mapped_file *file = mapped_file_new(MAPPED_VDSO, "[vdso]");
	struct proc_mapping vdso = {0};
	(void)proc_visit_mappings((uint32_t)getpid(), note_vdso, &vdso);
	if (file && vdso.start_ip)
		(void)executable_from_memory(&file->exe, (const void *)vdso.start_ip,
					     vdso.end_ip - vdso.start_ip, "[vdso]", NULL);
	return file;
}

int files_new(struct files **out, struct err *err)
{
	AUTO(files) files = calloc(1, sizeof(*files));
	if (!files)
		return err_set(err, -ENOMEM, "files: %m");
	map_init(&files->by_identity, MAX_FILES);
	mount_roots_init(&files->roots);
	files->vdso = vdso_new();
	files->vdso32 = mapped_file_new(MAPPED_VDSO, "[vdso]");
	files->anonymous = mapped_file_new(MAPPED_ANONYMOUS, "[jit]");
	files->vsyscall = mapped_file_new(MAPPED_VDSO, "[vsyscall]");
	if (!files->vdso || !files->vdso32 || !files->anonymous || !files->vsyscall)
		return err_set(err, -ENOMEM, "files: %m");
	*out = TAKE(files);
	return 0;
}

void files_free(struct files *files)
{
	if (!files)
		return;
	size_t cursor = 0;
	struct mapped_file *file;
	while ((file = map_next(&files->by_identity, &cursor, NULL)) != NULL)
		mapped_file_unref(file);
	map_fini(&files->by_identity);
	mount_roots_fini(&files->roots);
	mapped_file_unref(files->vdso);
	mapped_file_unref(files->vdso32);
	mapped_file_unref(files->anonymous);
	mapped_file_unref(files->vsyscall);
	free(files);
}

uint64_t files_count(const struct files *files)
{
	return files->by_identity.count;
}

static uint64_t inode_identity(const struct file_sight *sight)
{
	uint64_t hash = hash_mix(makedev(sight->dev_major, sight->dev_minor), sight->inode);
	hash = hash_mix(hash, sight->inode_generation);
	return hash_mix(hash, hash_bytes(sight->path, strlen(sight->path)));
}

/* Empty when the sight has none. */
static void build_id_hex(const struct file_sight *sight, char hex[static BUILD_ID_HEX_BYTES])
{
	hex[0] = 0;
	for (uint32_t i = 0; sight->build_id && i < sight->build_id_bytes; i++)
		if (i < BUILD_ID_MAX_BYTES)
			snprintf(hex + 2 * (size_t)i, 3, "%02x", sight->build_id[i]);
}

static uint64_t build_id_identity(const char *hex)
{
	return hash_bytes(hex, strlen(hex));
}

/* A descriptor to read the file at path, if it is the one that was mapped: by inode where that
 * was told; by build ID after it has been read. -1: it is not, or cannot be opened.
 * Strangers choose what lies at path. To open a device may be to use it (/dev/watchdog), and a
 * FIFO waits for its writer: so first a descriptor that opens nothing, then a look. */
static int open_mapped(const char *path, const struct file_sight *sight)
{
	AUTO_FD place_fd = open(path, O_PATH | O_CLOEXEC);
	struct stat st;
	if (place_fd < 0 || fstat(place_fd, &st) || !S_ISREG(st.st_mode))
		return -1;
	if (!sight->build_id && sight->inode && st.st_ino != sight->inode)
		return -1;
	char place[64];
	snprintf(place, sizeof(place), "/proc/self/fd/%d", place_fd);
	return open(place, O_RDONLY | O_CLOEXEC);
}

static bool has_build_id(const struct executable *exe, const struct file_sight *sight)
{
	char hex[BUILD_ID_HEX_BYTES];
	build_id_hex(sight, hex);
	return !hex[0] || !strcmp(hex, executable_build_id(exe));
}

enum { MAX_PATH_BYTES = 4096 + 64 };

/* The ways to the file, best first. The mapping itself: it is the file whatever its name is now
 * and in whichever mount namespace; then the path in the process's root; then, when the process
 * is gone, here. */
static void path_of(char path[static MAX_PATH_BYTES], const struct file_sight *sight, int way)
{
	if (way == 0)
		snprintf(path, MAX_PATH_BYTES, "/proc/%u/map_files/%" PRIx64 "-%" PRIx64,
			 sight->pid, sight->start_ip, sight->end_ip);
	else if (way == 1)
		snprintf(path, MAX_PATH_BYTES, "/proc/%u/root%s", sight->pid, sight->path);
	else
		snprintf(path, MAX_PATH_BYTES, "%s", sight->path);
}

/* What executable_open() says of bytes that are no ELF file we can read, and never will be. */
static bool is_final(int code)
{
	return code == -EBADMSG || code == -ENODATA || code == -EOPNOTSUPP || code == -ENOSPC;
}

static struct executable *open_executable(const struct file_sight *sight, bool *is_retriable)
{
	*is_retriable = true;
	for (int way = 0; way < 3; way++) {
		char path[MAX_PATH_BYTES];
		path_of(path, sight, way);
		int fd = open_mapped(path, sight);
		if (fd < 0)
			continue;
		struct executable *exe = NULL;
		int rc = executable_open(&exe, fd, sight->path, NULL);
		if (!rc && has_build_id(exe, sight))
			return exe;
		executable_unref(exe);
		*is_retriable &= !is_final(rc);
	}
	return NULL;
}

static struct mapped_file *open_file(struct files *files, const struct file_sight *sight)
{
	struct mapped_file *file = mapped_file_new(MAPPED_UNREADABLE, sight->path);
	if (!file)
		return NULL;
	bool is_retriable;
	file->exe = open_executable(sight, &is_retriable);
	if (file->exe) {
		file->kind = MAPPED_EXECUTABLE;
		file->root = mount_roots_get(&files->roots, sight->pid);
	}
	file->is_retriable = !file->exe && is_retriable;
	return file;
}

static bool is_real_path(const char *path)
{
	return path[0] == '/' && path[1] != '/' && strncmp(path, "/memfd:", 7) != 0 &&
	       strncmp(path, "/dev/zero", 9) != 0 && strncmp(path, "/SYSV", 5) != 0 &&
	       strncmp(path, "/anon_hugepage", 14) != 0;
}

/* Whoever writes a jitdump maps its first page executable, for profilers to see: "jit-PID.dump". */
static bool is_jitdump(const char *path)
{
	const char *base = strrchr(path, '/');
	int end = 0;
	return base && sscanf(base, "/jit-%*u.dump%n", &end) == 0 && end && !base[end];
}

/* For this process only. One that cannot be opened tells nothing. */
static struct mapped_file *open_jitdump(const struct file_sight *sight)
{
	struct mapped_file *file = mapped_file_new(MAPPED_JITDUMP, sight->path);
	for (int way = 0; way < 3 && file && file->dump_fd < 0; way++) {
		char path[MAX_PATH_BYTES];
		path_of(path, sight, way);
		file->dump_fd = open_mapped(path, sight);
	}
	return file;
}

static void forget(struct mapped_file *file)
{
	if (!file)
		return;
	file->keys--;
	mapped_file_unref(file);
}

/* Enter file under key; the table keeps a reference of its own. */
static void remember(struct files *files, uint64_t key, struct mapped_file *file)
{
	struct mapped_file *old = map_get(&files->by_identity, key);
	if (old == file || map_put(&files->by_identity, key, file))
		return; /* known, or the table is full: then only the caller has it */
	mapped_file_ref(file);
	file->keys++;
	forget(old);
}

/* The scan of /proc tells inodes, the side-band build IDs: a file known by one becomes known
 * by the other, too. */
static struct mapped_file *same_build(struct files *files, struct mapped_file *opened)
{
	const char *hex = opened->exe ? executable_build_id(opened->exe) : "";
	if (!hex[0])
		return opened;
	uint64_t key = build_id_identity(hex);
	struct mapped_file *known = map_get(&files->by_identity, key);
	if (!known || known->is_retriable) {
		remember(files, key, opened);
		return opened;
	}
	mapped_file_unref(opened);
	return mapped_file_ref(known);
}

struct mapped_file *files_get(struct files *files, const struct file_sight *sight)
{
	if (!strcmp(sight->path, "[vdso]"))
		return mapped_file_ref(sight->end_ip >> 32 ? files->vdso : files->vdso32);
	if (!strcmp(sight->path, "[vsyscall]"))
		return mapped_file_ref(files->vsyscall);
	if (!is_real_path(sight->path))
		return mapped_file_ref(files->anonymous);
	if (is_jitdump(sight->path))
		return open_jitdump(sight);
	char hex[BUILD_ID_HEX_BYTES];
	build_id_hex(sight, hex);
	uint64_t key = hex[0] ? build_id_identity(hex) : inode_identity(sight);
	struct mapped_file *file = map_get(&files->by_identity, key);
	if (!file || file->is_retriable) {
		struct mapped_file *opened = open_file(files, sight);
		if (!opened)
			return NULL;
		file = same_build(files, opened);
		remember(files, key, file);
	} else {
		mapped_file_ref(file);
	}
	file->used_mono_ns = sight->now_mono_ns;
	return file;
}

void files_sweep(struct files *files, uint64_t now_mono_ns)
{
	size_t cursor = 0;
	uint64_t key;
	struct mapped_file *file;
	while ((file = map_next(&files->by_identity, &cursor, &key)) != NULL) {
		if (__atomic_load_n(&file->refs, __ATOMIC_ACQUIRE) > file->keys) {
			file->used_mono_ns = now_mono_ns;
			continue;
		}
		if (now_mono_ns - file->used_mono_ns < UNUSED_AFTER_NS)
			continue;
		map_remove(&files->by_identity, key);
		forget(file);
	}
	mount_roots_sweep(&files->roots);
}
