/*
 * unwind_tables: the bytes of .eh_frame and .debug_frame of one file.
 *
 * Where section headers are stripped or lie, .eh_frame is found by PT_GNU_EH_FRAME, and its
 * end by the table of .eh_frame_hdr; without a good table it ends at the first zero.
 */
#pragma once
#include <stdbool.h>

#include "base/err.h"
#include "symbolizer/eh_pointer.h"
#include "symbolizer/elf_file.h"

struct unwind_tables {
	struct eh_section eh_frame;    /* data NULL: there is none */
	struct eh_section debug_frame; /* likewise; never compressed */
	bool ends_at_zero;             /* .eh_frame has no other end */
	char *owned[2];
};

/* A file without either is fine, and so is a .debug_frame that cannot be read. -ENODATA, -EBADMSG:
 * an .eh_frame that cannot; -ENOSPC: more than 256 MiB; -ENOMEM; pread(2)'s errors. */
int unwind_tables_read(struct unwind_tables *tables, const struct elf_file *file, struct err *err);
void unwind_tables_fini(struct unwind_tables *tables);
