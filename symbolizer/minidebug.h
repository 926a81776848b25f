/*
 * minidebug: the symbols that a stripped file carries packed, in .gnu_debugdata.
 *
 * The section is an xz file, and in it is an ELF file with a .symtab of the functions that
 * .dynsym lacks. Input is untrusted: at most 64 MiB are unpacked, with at most 80 MiB for the
 * decoder, what `xz -9` needs. No state; any thread.
 * Format: https://sourceware.org/gdb/onlinedocs/gdb/MiniDebugInfo.html
 */
#pragma once
#include "base/err.h"
#include "symbolizer/elf_file.h"

enum { MINIDEBUG_MAX_BYTES = 64 << 20 };

/* *fd is a memory file with what is in the section, sealed against change; the caller's.
 * -EBADMSG: not xz, or damaged; -ENODATA: it ends early; -EOPNOTSUPP: xz with a filter or check
 * that is unknown; -ENOSPC: more than the bounds; -ENOMEM; pread(2)'s errors. */
int minidebug_open(const struct elf_file *file, const struct elf_section *section, int *fd,
		   struct err *err);
