/*
 * symtab: the function symbols of one ELF file, sorted for address lookup.
 *
 * Immutable once read, so any number of threads may read it. Addresses are vaddr, as in the
 * file. 24 bytes a symbol, and the file's string table once.
 * Where symbols overlap, the one that begins last wins: it is the innermost. Of several names
 * for one place: a function before a label, global before weak before local, the longest,
 * the one with fewest leading underscores. A symbol without a size reaches to the next one or
 * to the end of its section, and never takes an address from a symbol that has a size.
 * Format: https://refspecs.linuxfoundation.org/elf/gabi4+/ch4.symtab.html
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/auto.h"
#include "base/err.h"
#include "symbolizer/elf_file.h"

struct symtab; /* opaque */

/* Read .symtab, or .dynsym when there is none, and the names of PLT entries ("read@plt"). No
 * symbols at all is fine. -EBADMSG: malformed; -ENODATA: the file ends early; -ENOSPC: more
 * than 4 Mi functions, 16 Mi symbols or 256 MiB of names; pread(2)'s errors. Caller owns *out. */
int symtab_read(struct symtab **out, const struct elf_file *file, struct err *err);
void symtab_free(struct symtab *tab); /* NULL is fine */
AUTO_DEFINE(symtab)

#define SYMTAB_NONE UINT32_MAX

/* The position of the symbol that covers vaddr, or SYMTAB_NONE. */
uint32_t symtab_find(const struct symtab *tab, uint64_t vaddr);

struct symtab_entry {
	uint64_t vaddr;
	uint64_t size_bytes;    /* 0 when the file does not say */
	uint32_t covered_bytes; /* size_bytes, or up to what is known to follow */
	const char *name;       /* mangled, without a version; borrowed from the table */
};

uint32_t symtab_count(const struct symtab *tab);
/* position < symtab_count(). */
struct symtab_entry symtab_entry(const struct symtab *tab, uint32_t position);
/* Was there no .symtab? Then local functions have no names. */
bool symtab_is_stripped(const struct symtab *tab);
