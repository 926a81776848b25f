/*
 * dwarf_sections: the sections of one file that DWARF is read from, as plain bytes.
 *
 * They are copied or unpacked (SHF_COMPRESSED by zlib or zstd, .zdebug_*) out of the file, which
 * may change or shrink at any time, into memory or into a scratch file that is mapped: then the
 * kernel may take the pages back, and dwarf_sections_forget() gives them back. One thread.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "symbolizer/elf_file.h"

enum dwarf_section_kind {
	DWARF_INFO,
	DWARF_ABBREV,
	DWARF_LINE,
	DWARF_LINE_STR,
	DWARF_STR,
	DWARF_STR_OFFSETS,
	DWARF_ADDR,
	DWARF_RANGES,
	DWARF_RNGLISTS,
	DWARF_CU_INDEX, /* of a package */
	DWARF_SECTION_KINDS,
};

struct dwarf_section {
	const uint8_t *data;
	size_t len_bytes;
	size_t map_bytes; /* 0: nothing is mapped */
	bool is_scratch;
};

struct dwarf_sections {
	struct dwarf_section of[DWARF_SECTION_KINDS];
};

/* Where the bytes go, and what may still go there. */
struct dwarf_scratch {
	int fd; /* -1: memory */
	uint64_t end_off;
	uint64_t max_section_bytes;
	uint64_t left_bytes; /* of all sections together */
	bool (*is_cancelled)(void *ctx);
	void *ctx;
};

/* Sections of the names ".debug_info", or with is_split ".debug_info.dwo"; those that the file
 * has not stay empty. kinds: a bit for each kind. dwarf_sections_fini() is owed in any case.
 * -ENOSPC: larger than what may go there, or the disk is full; -EBADMSG: not what it says it
 * packs; -ENODATA; -EOPNOTSUPP: packed in another way; -ECANCELED; -ENOMEM; pread(2)'s. */
int dwarf_sections_load(struct dwarf_sections *sections, const struct elf_file *file, bool is_split,
			unsigned int kinds, struct dwarf_scratch *scratch, struct err *err);
void dwarf_sections_fini(struct dwarf_sections *sections);
/* Unmap pages of the scratch file; they come back when they are read. */
void dwarf_sections_forget(const struct dwarf_sections *sections);
