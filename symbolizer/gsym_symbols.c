#include "symbolizer/gsym_symbols.h"

#include <string.h>

#include "base/array.h"

enum { MAX_NAME_BYTES = 64 << 10 /* a longer one is not for people */ };

/* Of gcc and clang. */
static const char *const clone_suffixes[] = {".constprop.", ".isra.", ".part.",
					     ".lto_priv.",  ".cold",  ".llvm."};

static size_t length_without_clones(const char *name, size_t len)
{
	for (size_t i = 0; i < ARRAY_LEN(clone_suffixes); i++) {
		const char *suffix = strstr(name, clone_suffixes[i]);
		if (suffix > name && (size_t)(suffix - name) < len)
			len = (size_t)(suffix - name);
	}
	return len;
}

static int add_symbol(struct gsym_builder *builder, const struct symtab_entry *entry, bool is_own)
{
	size_t len = strnlen(entry->name, MAX_NAME_BYTES);
	if (len == MAX_NAME_BYTES)
		return 0;
	if (!is_own)
		len = length_without_clones(entry->name, len);
	struct gsym_function function = {
		.range = {entry->vaddr, entry->vaddr + entry->covered_bytes},
		.source = GSYM_FROM_SYMBOL_TABLE,
		.name_wins = is_own,
	};
	int rc = gsym_builder_add_string(builder, entry->name, len, &function.name);
	return rc ? rc : gsym_builder_add_function(builder, &function);
}

int gsym_symbols_add(struct gsym_builder *builder, const struct symtab *tab, bool is_own,
		     struct err *err)
{
	uint32_t symbols = symtab_count(tab);
	for (uint32_t i = 0; i < symbols; i++) {
		struct symtab_entry entry = symtab_entry(tab, i);
		int rc = add_symbol(builder, &entry, is_own);
		if (rc)
			return err_set(err, rc, "names of the symbol table: %m");
	}
	return 0;
}
