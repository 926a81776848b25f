/*
 * slow_file: a file whose pages come only when they are let: whoever touches one meanwhile, or
 * has somebody's memory read where it is mapped, waits in the kernel. One thread serves it.
 * Protocol: <linux/fuse.h>, fuse(4). The calling process gets a mount namespace of its own.
 */
#pragma once
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { SLOW_FILE_BYTES = 1 << 20, SLOW_FILE_NODE = 2, SLOW_REQUEST_BYTES = 1 << 17 };

struct slow_file {
	char folder[64], path[80];
	int fd; /* of the kernel's side; -1: not mounted */
	pthread_t thread;
	pthread_mutex_t lock; /* guards all below */
	pthread_cond_t changed;
	bool is_open;     /* reads are answered */
	uint32_t waiting; /* reads that are not */
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
	pthread_mutex_lock(&file->lock);
	file->waiting++;
	pthread_cond_broadcast(&file->changed);
	while (!file->is_open)
		pthread_cond_wait(&file->changed, &file->lock);
	file->waiting--;
	pthread_mutex_unlock(&file->lock);
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

/* Until it is unmounted. */
static inline void *slow_file_serve(void *ctx)
{
	struct slow_file *file = ctx;
	char *request = malloc(SLOW_REQUEST_BYTES);
	for (;;) {
		ssize_t bytes = request ? read(file->fd, request, SLOW_REQUEST_BYTES) : -1;
		if (bytes < 0 && (errno == EINTR || errno == ENOENT || errno == EAGAIN))
			continue;
		if (bytes < (ssize_t)sizeof(struct fuse_in_header))
			break;
		slow_file_answer(file, (const void *)request);
	}
	free(request);
	return NULL;
}

/* 0 or -errno: not every machine has FUSE. */
static inline int slow_file_open(struct slow_file *file)
{
	char options[128];
	*file = (struct slow_file){.folder = "/tmp/hearth-slow-XXXXXX"};
	pthread_mutex_init(&file->lock, NULL);
	pthread_cond_init(&file->changed, NULL);
	file->fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (file->fd < 0)
		return -errno;
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    !mkdtemp(file->folder))
		return -errno;
	snprintf(file->path, sizeof(file->path), "%s/stack", file->folder);
	snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0", file->fd);
	if (mount("hearth", file->folder, "fuse", MS_NOSUID | MS_NODEV, options))
		return -errno;
	return -pthread_create(&file->thread, NULL, slow_file_serve, file);
}

/* From now on pages come. */
static inline void slow_file_let(struct slow_file *file)
{
	pthread_mutex_lock(&file->lock);
	file->is_open = true;
	pthread_cond_broadcast(&file->changed);
	pthread_mutex_unlock(&file->lock);
}

static inline void slow_file_close(struct slow_file *file)
{
	slow_file_let(file);
	umount2(file->folder, MNT_DETACH);
	pthread_join(file->thread, NULL);
	rmdir(file->folder);
	close(file->fd);
}
