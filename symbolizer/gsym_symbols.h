/*
 * gsym_symbols: the symbol table of an ELF file as functions of a GSYM file.
 */
#pragma once
#include "base/err.h"
#include "symbolizer/elf_file.h"
#include "symbolizer/gsym_builder.h"

/* Add all that symtab_read() finds, under the names it chooses; *count: how many. Fails as
 * symtab_read() and gsym_builder_add_function() do. */
int gsym_symbols_add(struct gsym_builder *builder, const struct elf_file *file, size_t *count,
		     struct err *err);
