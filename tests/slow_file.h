/*
 * slow_file: a file whose pages come only when they are let: whoever touches one meanwhile, or
 * has somebody's memory read where it is mapped, waits in the kernel, and cannot be killed. So
 * it is served by a process of its own, which outlives a test that fails, and lets everything come
 * after SLOW_FILE_MAX_MS. Protocol: <linux/fuse.h>, fuse(4). The calling process gets a mount namespace of its own.
 */
#pragma once
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SLOW_FILE_MAX_MS = 30000 };
enum { SLOW_FILE_BYTES = 1 << 20, SLOW_FILE_NODE = 2, SLOW_REQUEST_BYTES = 1 << 17 };

struct slow_file {
	char folder[64], path[80];
	int fd; /* of the kernel's side */
	pid_t server;
	uint32_t *is_open; /* shared: reads are answered */
};

static inline void slow_file_reply(const struct slow_file *file, uint64_t unique, int error,
				   const void *data, size_t bytes)
{
	struct fuse_out_header header = {
		.len = (uint32_t)(sizeof(header) + bytes), .error = -error, .unique = unique};
	struct iovec parts[] = {{&header, sizeof(header)}, {(void *)data, bytes}};
	ssize_t ignored = writev(file->fd, parts, bytes ? 2 : 1);
	(void)ignored; /* who asked may be gone */
}

static inline struct fuse_attr slow_file_attr(uint64_t node)
{
	bool is_file = node == SLOW_FILE_NODE;
	return (struct fuse_attr){
		.ino = node,
		.size = is_file ? SLOW_FILE_BYTES : 0,
		.mode = is_file ? S_IFREG | 0644 : S_IFDIR | 0755,
		.nlink = 1,
		.blksize = 4096,
	};
}

static inline void slow_file_read(struct slow_file *file, const struct fuse_in_header *request)
{
	const struct fuse_read_in *read_in = (const void *)(request + 1);
	char *data = calloc(1, read_in->size);
	for (int ms = 0; ms < SLOW_FILE_MAX_MS && !__atomic_load_n(file->is_open, __ATOMIC_ACQUIRE);
	     ms++)
		usleep(1000);
	__atomic_store_n(file->is_open, 1, __ATOMIC_RELEASE);
	slow_file_reply(file, request->unique, data ? 0 : ENOMEM, data, data ? read_in->size : 0);
	free(data);
}

static inline void slow_file_answer(struct slow_file *file, const struct fuse_in_header *request)
{
	struct fuse_init_out init = {
		.major = FUSE_KERNEL_VERSION,
		.minor = FUSE_KERNEL_MINOR_VERSION,
		.max_readahead = 4096,
		.max_write = 4096,
	};
	struct fuse_entry_out entry = {.nodeid = SLOW_FILE_NODE,
				       .attr = slow_file_attr(SLOW_FILE_NODE)};
	struct fuse_attr_out attr = {.attr = slow_file_attr(request->nodeid)};
	struct fuse_open_out opened = {.fh = 1};
	switch (request->opcode) {
	case FUSE_INIT:
		return slow_file_reply(file, request->unique, 0, &init, sizeof(init));
	case FUSE_LOOKUP:
		return slow_file_reply(file, request->unique, 0, &entry, sizeof(entry));
	case FUSE_GETATTR:
		return slow_file_reply(file, request->unique, 0, &attr, sizeof(attr));
	case FUSE_OPEN:
		return slow_file_reply(file, request->unique, 0, &opened, sizeof(opened));
	case FUSE_READ:
		return slow_file_read(file, request);
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
	case FUSE_INTERRUPT:
		return; /* not answered */
	case FUSE_FLUSH:
	case FUSE_RELEASE:
		return slow_file_reply(file, request->unique, 0, NULL, 0);
	default:
		return slow_file_reply(file, request->unique, ENOSYS, NULL, 0);
	}
}

/* Until it is unmounted, which it is when nobody lives in its mount namespace any more. */
static inline void slow_file_serve(struct slow_file *file)
{
	char *request = malloc(SLOW_REQUEST_BYTES);
	int tries = 0;
	for (;;) {
		ssize_t bytes = request ? read(file->fd, request, SLOW_REQUEST_BYTES) : -1;
		if (bytes < 0 && (errno == EINTR || errno == ENOENT || errno == EAGAIN))
			continue;
		/* Not mounted yet. */
		if (bytes < 0 && errno == EPERM && tries++ < SLOW_FILE_MAX_MS) {
			usleep(1000);
			continue;
		}
		if (bytes < (ssize_t)sizeof(struct fuse_in_header))
			break;
		slow_file_answer(file, (const void *)request);
	}
	_exit(0);
}

/* 0 or -errno: not every machine has FUSE. */
static inline int slow_file_open(struct slow_file *file)
{
	char options[128];
	*file = (struct slow_file){.folder = "/tmp/hearth-slow-XXXXXX"};
	file->is_open = mmap(NULL, sizeof(*file->is_open), PROT_READ | PROT_WRITE,
			     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	file->fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (file->is_open == MAP_FAILED || file->fd < 0 || !mkdtemp(file->folder))
		return -errno;
	file->server = fork(); /* stays in the namespace where nothing is mounted */
	if (!file->server)
		slow_file_serve(file);
	snprintf(file->path, sizeof(file->path), "%s/stack", file->folder);
	snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0", file->fd);
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("hearth", file->folder, "fuse", MS_NOSUID | MS_NODEV, options))
		return -errno;
	return 0;
}

/* From now on pages come. */
static inline void slow_file_let(struct slow_file *file)
{
	__atomic_store_n(file->is_open, 1, __ATOMIC_RELEASE);
}

static inline void slow_file_close(struct slow_file *file)
{
	slow_file_let(file);
	umount2(file->folder, MNT_DETACH);
	close(file->fd);
	waitpid(file->server, NULL, 0);
	rmdir(file->folder);
	munmap(file->is_open, sizeof(*file->is_open));
}
