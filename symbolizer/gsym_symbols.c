#include "symbolizer/gsym_symbols.h"

#include <string.h>

#include "symbolizer/symtab.h"

enum { MAX_NAME_BYTES = 64 << 10 /* a longer one is not for people */ };

static int add_symbol(struct gsym_builder *builder, const struct symtab_entry *entry)
{
	size_t len = strnlen(entry->name, MAX_NAME_BYTES);
	if (len == MAX_NAME_BYTES)
		return 0;
	struct gsym_function function = {
		.range = {entry->vaddr, entry->vaddr + entry->covered_bytes},
		.source = GSYM_FROM_SYMBOL_TABLE,
	};
	int rc = gsym_builder_add_string(builder, entry->name, len, &function.name);
	return rc ? rc : gsym_builder_add_function(builder, &function);
}

int gsym_symbols_add(struct gsym_builder *builder, const struct elf_file *file, size_t *count,
		     struct err *err)
{
	AUTO(symtab) tab = NULL;
	int rc = symtab_read(&tab, file, err);
	if (rc)
		return rc;
	uint32_t symbols = symtab_count(tab);
	for (uint32_t i = 0; i < symbols; i++) {
		struct symtab_entry entry = symtab_entry(tab, i);
		rc = add_symbol(builder, &entry);
		if (rc)
			return err_set(err, rc, "names of the symbol table: %m");
	}
	*count = symbols;
	return 0;
}
