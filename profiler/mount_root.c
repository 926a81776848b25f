#include "profiler/mount_root.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"

enum { MAX_ROOTS = 4096 };

void mount_root_unref(struct mount_root *root)
{
	if (!root || __atomic_sub_fetch(&root->refs, 1, __ATOMIC_ACQ_REL))
		return;
	close(root->fd);
	free(root);
}

/* One directory in two mount namespaces has different files below it. 0: cannot be told. */
static uint64_t identity_of(const char *process, int *fd)
{
	char path[64];
	struct stat mounts, root;
	snprintf(path, sizeof(path), "/proc/%s/ns/mnt", process);
	if (stat(path, &mounts))
		return 0;
	snprintf(path, sizeof(path), "/proc/%s/root", process);
	*fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (*fd < 0 || fstat(*fd, &root))
		return 0;
	return hash_mix(hash_mix(mounts.st_ino, root.st_dev), root.st_ino);
}

void mount_roots_init(struct mount_roots *roots)
{
	AUTO_FD fd = -1;
	map_init(&roots->by_identity, MAX_ROOTS);
	roots->own_identity = identity_of("self", &fd);
}

void mount_roots_fini(struct mount_roots *roots)
{
	size_t cursor = 0;
	struct mount_root *root;
	while ((root = map_next(&roots->by_identity, &cursor, NULL)) != NULL)
		mount_root_unref(root);
	map_fini(&roots->by_identity);
}

static struct mount_root *ref(struct mount_root *root)
{
	__atomic_add_fetch(&root->refs, 1, __ATOMIC_RELAXED);
	return root;
}

struct mount_root *mount_roots_get(struct mount_roots *roots, uint32_t pid)
{
	char process[16];
	AUTO_FD fd = -1;
	snprintf(process, sizeof(process), "%u", pid);
	uint64_t identity = identity_of(process, &fd);
	if (!identity || identity == roots->own_identity)
		return NULL;
	struct mount_root *root = map_get(&roots->by_identity, identity);
	if (root)
		return ref(root);
	root = calloc(1, sizeof(*root));
	if (!root || map_put(&roots->by_identity, identity, root)) {
		free(root);
		return NULL;
	}
	*root = (struct mount_root){.refs = 1, .fd = TAKE_FD(fd)};
	return ref(root);
}

void mount_roots_sweep(struct mount_roots *roots)
{
	size_t cursor = 0;
	uint64_t identity;
	struct mount_root *root;
	while ((root = map_next(&roots->by_identity, &cursor, &identity)) != NULL) {
		if (__atomic_load_n(&root->refs, __ATOMIC_ACQUIRE) > 1)
			continue;
		map_remove(&roots->by_identity, identity);
		mount_root_unref(root);
	}
}
