/*
 * gsym_symbols: the symbol table of an ELF file as functions of a GSYM file.
 */
#pragma once
#include <stdbool.h>

#include "base/err.h"
#include "symbolizer/gsym_builder.h"
#include "symbolizer/symtab.h"

/* Add all functions of tab, under the names it chose. is_own: it is that of the executable, whose
 * names then win over DWARF's, as they do in llvm-symbolizer and perf: "getaddrinfo", not
 * "__GI_getaddrinfo", and clones that the compiler made are told apart ("parse.constprop.0",
 * "parse.cold"). Else it is a debug file's, which has all the aliases and inner names; DWARF's
 * win, and what the compiler appended for a clone is left out, as in gdb. Fails as
 * gsym_builder_add_function() does. */
int gsym_symbols_add(struct gsym_builder *builder, const struct symtab *tab, bool is_own,
		     struct err *err);
