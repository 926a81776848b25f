/*
 * debug_files: finds debug files for a command that can wait for them, also for the answers of
 * debuginfod. One thread.
 */
#pragma once
#include <pthread.h>
#include <stdint.h>

#include "base/err.h"
#include "cli/naming.h"
#include "symbolizer/debug_file.h"

struct debug_files {
	struct naming_dirs dirs;
	int root_fd;
	struct debuginfod *remote; /* NULL: off */
	char problem[256];         /* why it is off although it was configured; "": it is not */

	pthread_mutex_t lock;
	pthread_cond_t answered;
	uint64_t answers; /* under the lock */
};

/* data_dir: keep what servers send in its cache; NULL: in the user's. debug_files_fini() is owed in
 * any case. -EINVAL as naming_dirs_init(). */
int debug_files_init(struct debug_files *files, const struct naming_config *config,
		     const char *data_dir, struct err *err);
void debug_files_fini(struct debug_files *files);

/* Where to look. Borrows all of it. */
struct debug_search debug_files_search(const struct debug_files *files,
				       const char *executable_path);
/* debug_file_find(), again when servers have answered. *out is left as it is on failure. */
int debug_files_find(struct debug_files *files, struct debug_file *out,
		     const struct elf_file *executable, const struct debug_search *search,
		     struct err *err);
/* The debug file of a build ID (hex), in the debug directories or from a server. *path says which;
 * the caller's. -ENOENT: there is none. */
int debug_files_open(struct debug_files *files, const char *build_id, int *fd, char **path,
		     struct err *err);
