/*
 * debug_file_check: is an open file the one that was meant?
 *
 * No state; any thread, but a checksum reads all of the file.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "symbolizer/elf_file.h"

struct debug_file_want {
	const uint8_t *id;
	size_t id_bytes;       /* 0: not known */
	const uint32_t *crc32; /* of the whole file; NULL: not known */
};

/* Everything known must hold; but by a checksum, a file without a build ID will do. fd stays
 * the caller's, and its position where it is. -ESTALE: another file, or one without debug
 * information, with a sentence that says why; -EFBIG: more than 4 GiB to sum up; else as elf_file_open(), pread(2). */
int debug_file_check(int fd, const struct debug_file_want *want, struct err *err);
