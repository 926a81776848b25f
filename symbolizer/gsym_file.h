/*
 * gsym_file: puts the parts of a GSYM file in their order, and writes it.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

struct gsym_source_file {
	uint32_t directory, base; /* strings */
};

struct gsym_placed {
	uint64_t start_vaddr;
	uint32_t off, size_bytes; /* in gsym_contents.functions; a multiple of 4 */
	uint32_t words_bytes;     /* of them those before LLVM's part; a multiple of 4 */
};

/* All borrowed. */
struct gsym_contents {
	const struct gsym_placed *placed; /* ascending, no two alike */
	size_t placed_count;
	const struct buf *functions;
	const struct gsym_source_file *files; /* the first is "none" */
	size_t file_count;
	const struct buf *strings;
	const uint8_t *build_id;
	size_t build_id_bytes; /* at most 20 */
	uint32_t sources;      /* bit N: enum gsym_source N */
};

/* Write at fd's position. -EFBIG: more than 4 GiB or 4 Gi functions; write(2)'s errors. */
int gsym_file_write(const struct gsym_contents *contents, int fd, struct err *err);

struct gsym_trailer {
	uint32_t crc, sources;
};
struct reader;

/* Read the trailer, all that r has left. False: it is not that of a file of file_bytes. */
bool gsym_trailer_read(struct gsym_trailer *trailer, struct reader *r, uint64_t file_bytes);

/* Read a whole file that gsym_file_write() wrote, and compare its checksum: for files that may
 * have been on their way to the disk when the machine stopped. -EBADMSG: it is cut, damaged, or
 * written by others; pread(2)'s errors. */
int gsym_file_check(int fd, struct err *err);
