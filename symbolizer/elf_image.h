/*
 * elf_image: the bytes of an ELF file by vaddr, as they are once it is loaded.
 *
 * In position-independent files pointers are made by the loader: what the file has in their
 * place is nothing, and a relocation says where they point. Only those relative to the load
 * address are applied, so that a pointer is the vaddr it points to.
 * Input is untrusted. Immutable; any number of threads, as long as the elf_file lives.
 * Format: https://refspecs.linuxfoundation.org/elf/gabi4+/ch5.dynamic.html
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/auto.h"
#include "base/err.h"
#include "symbolizer/elf_file.h"

struct elf_image; /* opaque */

/* Read the relocations; none is fine. file is borrowed. -ENODATA: they are not in the file;
 * -ENOSPC: more than 8 Mi; -ENOMEM; pread(2)'s errors. */
int elf_image_new(struct elf_image **out, const struct elf_file *file, struct err *err);
void elf_image_free(struct elf_image *image); /* NULL is fine */
AUTO_DEFINE(elf_image)

/* Read len_bytes at vaddr, from one segment. -ENODATA: they are not (all) in the file. */
int elf_image_read(const struct elf_image *image, uint64_t vaddr, void *data, size_t len_bytes);

/* How many bytes at vaddr are in the file. */
uint64_t elf_image_left_bytes(const struct elf_image *image, uint64_t vaddr);

/* Calls fn for each place, aligned to 8, in a writable segment that holds a pointer to vaddr,
 * until it returns true. At most 256 MiB are looked at. Returns whether it did; errors of
 * reading are places without pointers. */
typedef bool (*elf_image_fn)(void *ctx, uint64_t place_vaddr);
bool elf_image_find_pointer(const struct elf_image *image, uint64_t vaddr, elf_image_fn fn,
			    void *ctx);
