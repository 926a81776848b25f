/*
 * Any bytes as an ELF file, and questions about the whole of it.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "symbolizer/executable.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len_bytes);

static void ask(struct executable *exe, uint64_t vaddr)
{
	struct symbol symbol;
	if (!executable_lookup(exe, vaddr, &symbol))
		return;
	if (!strlen(symbol.name) || !strlen(symbol.system_name))
		__builtin_trap();
	if (vaddr < symbol.vaddr ||
	    (symbol.size_bytes && vaddr - symbol.vaddr >= symbol.size_bytes))
		__builtin_trap(); /* the symbol does not cover what it was found for */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len_bytes)
{
	struct executable *exe;
	if (executable_from_memory(&exe, data, len_bytes, "fuzz", NULL))
		return 0;
	uint64_t vaddr, start_vaddr, limit_vaddr, off;
	for (uint64_t at = 0; at < len_bytes; at += 8) {
		ask(exe, at);
		if (executable_vaddr(exe, at, &vaddr))
			ask(exe, vaddr);
	}
	executable_segment(exe, 0, &start_vaddr, &limit_vaddr, &off);
	ask(exe, start_vaddr);
	ask(exe, limit_vaddr);
	ask(exe, UINT64_MAX);
	if (strlen(executable_build_id(exe)) >= BUILD_ID_HEX_BYTES)
		__builtin_trap();
	executable_unnamed_reason(exe);
	executable_unref(exe);
	return 0;
}
