/*
 * gsym_symbols: the symbol table of an ELF file as functions of a GSYM file.
 */
#pragma once
#include <stdbool.h>

#include "base/err.h"
#include "symbolizer/gsym_builder.h"
#include "symbolizer/symtab.h"

/* Add all functions of tab, under the names it chose. without_clones: names of clones that the
 * compiler made lose what it appended ("parse.constprop.0", "parse.cold"). Fails as
 * gsym_builder_add_function() does. */
int gsym_symbols_add(struct gsym_builder *builder, const struct symtab *tab, bool without_clones,
		     struct err *err);
