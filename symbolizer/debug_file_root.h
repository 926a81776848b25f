/*
 * debug_file_root: regular files below a directory that stands for "/", and nothing else.
 *
 * The directory may be the root of a hostile container: links and ".." are followed as a
 * process in there would follow them, and never lead out. Nothing but a regular file is ever
 * opened, so neither a FIFO nor a device makes the caller wait; a file system whose server
 * does not answer still may. By openat2(2) with RESOLVE_IN_ROOT, and one directory at a time
 * where the kernel, or a filter of system calls, has no openat2. No state; any thread.
 */
#pragma once
#include <limits.h>

/* Open a file for reading; the caller's. -EBADMSG: not a regular file; -ELOOP: too many links
 * or directories; -ENAMETOOLONG; else open(2)'s errors. */
int debug_file_root_open(int root_fd, const char *path, int *fd);

/* The same path from "/" on, without links, "." and "..". The last part need not exist.
 * Errors as above. */
int debug_file_root_resolve(int root_fd, const char *path, char real_path[static PATH_MAX]);
