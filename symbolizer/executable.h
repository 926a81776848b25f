/*
 * executable: the names in one ELF file, read once from a descriptor.
 *
 * Input is untrusted bytes. Symbols are read on the first lookup, by whichever thread comes
 * first; after that lookups only read. Any thread; counted references.
 * The names here are those of its own symbol tables, there at once; symbol_frames.h adds what
 * was compiled from debug information.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/auto.h"
#include "base/err.h"

struct executable; /* opaque */
struct elf_file;
struct gsym;

enum { BUILD_ID_MAX_BYTES = 20, BUILD_ID_HEX_BYTES = 2 * BUILD_ID_MAX_BYTES + 1 };

/* Take fd (closed by the last executable_unref, or at once on failure) and read the ELF
 * header, program headers and build ID. display_name is copied: the path as the process saw
 * it. -EBADMSG: not a regular file, or not ELF; -ENODATA: ends within its headers;
 * -EOPNOTSUPP: not 64-bit little-endian x86-64/aarch64; -ENOSPC: absurdly many segments. */
int executable_open(struct executable **out, int fd, const char *display_name, struct err *err);
/* From memory that is copied (vDSO). */
int executable_from_memory(struct executable **out, const void *data, size_t len_bytes,
			   const char *display_name, struct err *err);
struct executable *executable_ref(struct executable *exe);
void executable_unref(struct executable *exe); /* NULL is fine */
/* Has anybody else a reference? By the next moment that may be different. */
bool executable_is_shared(const struct executable *exe);

/* AUTO(executable) gives its reference back at the end of the scope. */
static inline void auto_free_executable(struct executable **exe)
{
	executable_unref(*exe);
}

const char *executable_name(const struct executable *exe);     /* display_name */
const char *executable_build_id(const struct executable *exe); /* lower-case hex; "" if none */
/* The executable PT_LOAD that holds vaddr, or the first one: for a pprof mapping. */
void executable_segment(const struct executable *exe, uint64_t vaddr, uint64_t *start_vaddr,
			uint64_t *limit_vaddr, uint64_t *file_off);

/* File offset to vaddr by the PT_LOAD segments. False: in none of them. */
bool executable_vaddr(const struct executable *exe, uint64_t off, uint64_t *vaddr);

/* The vaddr that an executable mapping begins with, whose first byte is at off: mappings are of
 * whole pages, so that byte may come before the segment that is meant, and be another's. False:
 * off is not in the pages of an executable segment. */
bool executable_mapped_vaddr(const struct executable *exe, uint64_t off, uint64_t *vaddr);

/* The file itself, for readers of other parts of it. Borrowed. */
const struct elf_file *executable_elf(const struct executable *exe);

struct symbol {
	const char *name;        /* demangled; borrowed for the life of the executable */
	const char *system_name; /* as in the symbol table; same life */
	uint64_t vaddr;
	uint64_t size_bytes; /* 0 when unknown */
	bool is_mark;        /* it has no name: both are what function_mark() calls it */
};

/* The function that covers vaddr: by the symbol table, else by the bounds of unwind entries, at
 * which a symbol without a size ends too. False: none is known. Reads these tables the first
 * time (ms to hundreds of ms for large files): not for a thread that must not wait. */
bool executable_lookup(struct executable *exe, uint64_t vaddr, struct symbol *symbol);
/* Why names may be missing, as a short phrase ("stripped", "unreadable symbol table: ..."),
 * or NULL when the file has all its symbols. A stripped library still names what it exports.
 * Borrowed for the life of the executable; waits as executable_lookup() does. */
const char *executable_unnamed_reason(struct executable *exe);

/* Names, lines and inlined calls that were compiled in the meantime, for symbol_frames. The
 * executable takes gsym for the rest of its life, and keeps those attached before, which other
 * threads may be reading. -ENOMEM; -ENOSPC: attached too often. Then gsym stays the caller's. */
int executable_attach(struct executable *exe, struct gsym *gsym);
/* The one attached last; NULL: none. Borrowed for the life of the executable. */
const struct gsym *executable_gsym(const struct executable *exe);
