/*
 * debug_file_links: what an ELF file says of where its debug information is.
 *
 * Formats: .gnu_debuglink: https://sourceware.org/gdb/onlinedocs/gdb/Separate-Debug-Files.html;
 * .gnu_debugaltlink: `dwz` of https://sourceware.org/dwz/, a path, a NUL and a build ID;
 * .gnu_debugdata: .../gdb/MiniDebugInfo.html, read by minidebug. Input is untrusted. Plain
 * values.
 */
#pragma once
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "symbolizer/elf_file.h"

struct debug_file_links {
	bool has_dwarf;   /* .debug_info, with bytes in this file */
	bool is_stripped; /* of DWARF, its strings and .symtab */

	char link_name[NAME_MAX + 1]; /* of .gnu_debuglink, without a directory; "": none */
	uint32_t link_crc32;          /* of the whole file of that name */

	char alternate_path[PATH_MAX]; /* of .gnu_debugaltlink; "": none */
	uint8_t alternate_id[ELF_BUILD_ID_MAX_BYTES];
	size_t alternate_id_bytes;

	bool has_minidebug;
	struct elf_section minidebug; /* .gnu_debugdata */
};

/* A link that is malformed is none. -ENODATA, -ENOSPC, -ENOMEM or pread(2)'s errors: the
 * section headers cannot be read. */
int debug_file_links_read(struct debug_file_links *links, const struct elf_file *file,
			  struct err *err);
