/*
 * plt: what the stubs of a procedure linkage table call.
 *
 * Stubs have no symbols, yet every call into another library passes one. Each jumps through a
 * slot of the global offset table, and a relocation says whose address is put there; so the
 * stub's instructions are decoded, as objdump does, for their order differs between linkers.
 * https://gitlab.com/x86-psABIs/x86-64-ABI (1.0, section 5.2)
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "symbolizer/elf_file.h"

struct plt_stub {
	uint64_t vaddr;
	uint32_t size_bytes;
	uint32_t name_off; /* in plt.names */
};

struct plt {
	struct plt_stub *stubs;
	size_t count, cap;
	struct buf names; /* "read@plt", each with a NUL */
};

/* Read the stubs of at most 256 Ki functions. A file whose tables are malformed has fewer stubs
 * or none; -ENOMEM is the only error. The caller owes plt_fini() in any case. */
int plt_init(struct plt *plt, const struct elf_file *file, const struct elf_sections *sections);
void plt_fini(struct plt *plt);
