/*
 * elf_file: the headers of one ELF file, and checked reads of its bytes.
 *
 * Input is untrusted and may be changed while it is read, so it is read by pread(2) and never
 * mapped: a file that shrinks under a mapping kills its reader by SIGBUS. The headers are
 * decoded here and not by libelf, which sizes its tables by what the file claims before
 * anybody can look: a sparse file of terabytes makes it allocate gigabytes.
 * 64-bit little-endian x86-64 and aarch64. Immutable once open; any thread may read.
 * Format: https://refspecs.linuxfoundation.org/elf/gabi4+/contents.html
 */
#pragma once
#include <elf.h>
#include <stddef.h>
#include <stdint.h>

#include "base/auto.h"
#include "base/err.h"

struct elf_file; /* opaque */

/* One PT_LOAD. */
struct elf_segment {
	uint64_t vaddr;
	uint64_t off;
	uint64_t file_bytes;
	uint64_t memory_bytes;
	uint32_t flags; /* PF_* */
};

struct elf_section {
	uint64_t vaddr;
	uint64_t off;
	uint64_t size_bytes;
	uint64_t entry_bytes;
	uint64_t flags;    /* SHF_* */
	uint32_t type;     /* SHT_* */
	uint32_t link;     /* index of another section; not checked */
	uint32_t name_off; /* in the section that elf_sections.names_index names */
};

struct elf_sections {
	struct elf_section *items;
	size_t count;
	uint32_t names_index; /* not checked */
	char *names;          /* of elf_sections_read_names() */
	size_t names_bytes;
};

enum { ELF_BUILD_ID_MAX_BYTES = 20 };

/* Take fd: closed by elf_file_free(), or at once on failure. -EBADMSG: not a regular file or
 * not ELF; -ENODATA: it ends within its headers; -EOPNOTSUPP: another machine, class or byte
 * order, or not an executable or shared object; -ENOSPC: too many program headers. */
int elf_file_open(struct elf_file **out, int fd, struct err *err);
/* The same, and relocatable files too: no process maps one, but dwz writes its shared debug
 * information into them, and compilers split DWARF (.dwo). */
int elf_file_open_debug(struct elf_file **out, int fd, struct err *err);
/* From memory, which is copied. Errors as above; -ENOSPC also for more than 64 MiB. */
int elf_file_from_memory(struct elf_file **out, const void *data, size_t len_bytes,
			 struct err *err);
void elf_file_free(struct elf_file *file); /* NULL is fine */
AUTO_DEFINE(elf_file)

uint16_t elf_file_machine(const struct elf_file *file); /* EM_X86_64 or EM_AARCH64 */
/* The PT_LOADs in the order of the file, which need not be that of addresses. */
const struct elf_segment *elf_file_segments(const struct elf_file *file, size_t *count);
/* PT_DYNAMIC; all 0 when there is none. */
struct elf_segment elf_file_dynamic(const struct elf_file *file);
/* The bytes of NT_GNU_BUILD_ID; 0 when there is none, or it is longer than the kernel takes. */
size_t elf_file_build_id(const struct elf_file *file, uint8_t id[static ELF_BUILD_ID_MAX_BYTES]);

/* Read the section headers; none is fine. -ENODATA, -ENOSPC, or pread(2)'s errors. */
int elf_file_sections(const struct elf_file *file, struct elf_sections *sections, struct err *err);
void elf_sections_fini(struct elf_sections *sections);
/* Read their names, for elf_sections_find(). Names that cannot be read are none. -ENOMEM. */
int elf_sections_read_names(struct elf_sections *sections, const struct elf_file *file);
/* The first section of that name with bytes in the file, or NULL. */
const struct elf_section *elf_sections_find(const struct elf_sections *sections, const char *name);

/* What tells this file from others with the same bytes at the same places: device, inode, size
 * and the time it was last written, in ns. fstat(2)'s errors; -EBADF: it is in memory. */
enum { ELF_FILE_IDENTITY_NUMBERS = 4 };
int elf_file_identity(const struct elf_file *file,
		      uint64_t numbers[static ELF_FILE_IDENTITY_NUMBERS]);

/* Read exactly len_bytes. -ENODATA past the end, or pread(2)'s errors. */
int elf_file_read(const struct elf_file *file, uint64_t off, void *data, size_t len_bytes);
/* All of a section and one NUL after it; the caller owns *data. -ENODATA: not in the file;
 * -EBADMSG: it has no bytes (SHT_NOBITS), or packed ones; -ENOSPC: more than max_bytes. */
int elf_file_load(const struct elf_file *file, const struct elf_section *section, size_t max_bytes,
		  char **data, struct err *err);
