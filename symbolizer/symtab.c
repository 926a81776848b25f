#include "symbolizer/symtab.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/array.h"
#include "base/reader.h"
#include "symbolizer/plt.h"

enum {
	MAX_SYMBOLS = 4 << 20,
	MAX_TABLE_SYMBOLS = 16 << 20, /* of all kinds */
	MAX_STRING_BYTES = 256 << 20,
	MAX_DEPTH = 64, /* symbols around one address; compilers nest two or three */
	CHUNK_SYMBOLS = 2048,
	MAX_COMPARE_BYTES = 128, /* of two names: files with endless equal ones exist */
	IS_SIZED = 8,            /* in sym.rank: the size is the file's, not ours */
};

struct sym {
	uint64_t vaddr;
	uint32_t size_bytes;
	uint32_t name_off; /* in strings */
	uint32_t outer;    /* the nearest earlier symbol that ends later, or SYMTAB_NONE */
	uint32_t rank;     /* of names for the same place the highest wins */
};

struct symtab {
	struct sym *syms; /* by vaddr */
	size_t count, cap;
	char *strings;
	size_t strings_bytes; /* a NUL follows */
	bool stripped;
};

void symtab_free(struct symtab *tab)
{
	if (!tab)
		return;
	free(tab->syms);
	free(tab->strings);
	free(tab);
}

uint32_t symtab_count(const struct symtab *tab)
{
	return (uint32_t)tab->count;
}

struct symtab_entry symtab_entry(const struct symtab *tab, uint32_t position)
{
	assert(position < tab->count);
	const struct sym *sym = &tab->syms[position];
	return (struct symtab_entry){
		.vaddr = sym->vaddr,
		.size_bytes = sym->rank & IS_SIZED ? sym->size_bytes : 0,
		.covered_bytes = sym->size_bytes,
		.name = tab->strings + sym->name_off,
	};
}

bool symtab_is_stripped(const struct symtab *tab)
{
	return tab->stripped;
}

uint32_t symtab_find(const struct symtab *tab, uint64_t vaddr)
{
	size_t low = 0, high = tab->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (tab->syms[middle].vaddr <= vaddr)
			low = middle + 1;
		else
			high = middle;
	}
	uint32_t position = low ? (uint32_t)low - 1 : SYMTAB_NONE;
	for (int depth = 0; depth < MAX_DEPTH && position != SYMTAB_NONE; depth++) {
		const struct sym *sym = &tab->syms[position];
		if (vaddr - sym->vaddr < sym->size_bytes)
			return position;
		position = sym->outer;
	}
	return SYMTAB_NONE;
}

/* One Elf64_Sym. */
struct raw_sym {
	uint32_t name_off;
	uint8_t type, binding;
	uint16_t section;
	uint64_t vaddr, size_bytes;
};

static struct raw_sym decode_sym(struct reader *r)
{
	struct raw_sym raw = {0};
	raw.name_off = reader_u32(r);
	uint8_t info = reader_u8(r);
	raw.type = ELF64_ST_TYPE(info);
	raw.binding = ELF64_ST_BIND(info);
	reader_skip(r, 1); /* st_other */
	raw.section = reader_u16(r);
	raw.vaddr = reader_u64(r);
	raw.size_bytes = reader_u64(r);
	return raw;
}

/* Where a symbol without a size must end at the latest: with its section. 0: unknown. */
static uint64_t code_end(const struct elf_sections *sections, const struct raw_sym *raw)
{
	if (raw->section >= sections->count)
		return 0;
	const struct elf_section *section = &sections->items[raw->section];
	bool inside = (section->flags & SHF_EXECINSTR) && raw->vaddr >= section->vaddr &&
		      raw->vaddr - section->vaddr < section->size_bytes;
	return inside ? section->vaddr + section->size_bytes : 0;
}

/* Functions; and for hand-written assembly also untyped labels in code, unless they are
 * local and without a size: those are targets of jumps, or mark code and data ($x, $d). */
static bool names_code(const struct elf_sections *sections, const struct raw_sym *raw)
{
	if (raw->section == SHN_UNDEF)
		return false;
	if (raw->type == STT_FUNC || raw->type == STT_GNU_IFUNC)
		return raw->size_bytes || code_end(sections, raw);
	return raw->type == STT_NOTYPE && (raw->size_bytes || raw->binding != STB_LOCAL) &&
	       code_end(sections, raw);
}

static uint32_t rank_of(const struct raw_sym *raw)
{
	uint32_t binding = raw->binding == STB_LOCAL ? 0 : raw->binding == STB_WEAK ? 1 : 2;
	return (raw->size_bytes ? IS_SIZED : 0) | (raw->type != STT_NOTYPE) << 2 | binding;
}

static int add_symbol(struct symtab *tab, const struct elf_sections *sections,
		      const struct raw_sym *raw)
{
	if (raw->name_off >= tab->strings_bytes || !tab->strings[raw->name_off] ||
	    !names_code(sections, raw))
		return 0;
	int rc = ARRAY_RESERVE(tab->syms, tab->cap, tab->count, MAX_SYMBOLS);
	if (rc)
		return rc;
	uint64_t size_bytes =
		raw->size_bytes ? raw->size_bytes : code_end(sections, raw) - raw->vaddr;
	if (size_bytes > UINT64_MAX - raw->vaddr)
		size_bytes = UINT64_MAX - raw->vaddr;
	tab->syms[tab->count++] = (struct sym){
		.vaddr = raw->vaddr,
		.size_bytes = size_bytes < UINT32_MAX ? (uint32_t)size_bytes : UINT32_MAX,
		.name_off = raw->name_off,
		.outer = SYMTAB_NONE,
		.rank = rank_of(raw),
	};
	return 0;
}

static int add_symbols(struct symtab *tab, const struct elf_file *file,
		       const struct elf_sections *sections, const struct elf_section *section,
		       struct err *err)
{
	AUTO_MEM char *chunk = malloc(CHUNK_SYMBOLS * sizeof(Elf64_Sym));
	if (!chunk)
		return err_set(err, -ENOMEM, "symbol table: %m");
	uint64_t left = section->size_bytes / sizeof(Elf64_Sym);
	if (left > MAX_TABLE_SYMBOLS)
		return err_set(err, -ENOSPC, "%llu symbols in the symbol table, more than %d",
			       (unsigned long long)left, MAX_TABLE_SYMBOLS);
	uint64_t off = section->off;
	while (left > 0) {
		size_t count = left < CHUNK_SYMBOLS ? (size_t)left : CHUNK_SYMBOLS;
		int rc = elf_file_read(file, off, chunk, count * sizeof(Elf64_Sym));
		if (rc)
			return err_set(err, rc, "read the symbol table: %m");
		struct reader r = reader_of(chunk, count * sizeof(Elf64_Sym));
		for (size_t i = 0; i < count; i++) {
			struct raw_sym raw = decode_sym(&r);
			rc = add_symbol(tab, sections, &raw);
			if (rc)
				return err_set(err, rc, "more than %d functions: %m", MAX_SYMBOLS);
		}
		left -= count;
		off += count * sizeof(Elf64_Sym);
	}
	return 0;
}

/* Linkers write foo@@VERS_2 into .symtab for versioned functions. All names are cut at once
 * and in place: strings may share tails, and then share the version too. */
static void cut_versions(struct symtab *tab)
{
	char *end = tab->strings + tab->strings_bytes;
	for (char *at = tab->strings; at < end; at++) {
		at = memchr(at, '@', (size_t)(end - at));
		if (!at)
			return;
		if (at > tab->strings && at[-1])
			*at = 0;
	}
}

static int read_section(struct symtab *tab, const struct elf_file *file,
			const struct elf_sections *sections, const struct elf_section *section,
			struct err *err)
{
	if (section->entry_bytes != sizeof(Elf64_Sym))
		return err_set(err, -EBADMSG, "symbols of %llu bytes",
			       (unsigned long long)section->entry_bytes);
	if (section->link >= sections->count || sections->items[section->link].type != SHT_STRTAB)
		return err_set(err, -EBADMSG, "a symbol table without names");
	const struct elf_section *strings = &sections->items[section->link];
	free(tab->strings);
	tab->strings = NULL;
	tab->count = 0;
	int rc = elf_file_load(file, strings, MAX_STRING_BYTES, &tab->strings, err);
	if (rc)
		return err_wrap(err, rc, "names");
	tab->strings_bytes = strings->size_bytes;
	cut_versions(tab);
	return add_symbols(tab, file, sections, section, err);
}

/* Their names go behind those of the file. */
static int add_plt(struct symtab *tab, const struct elf_file *file,
		   const struct elf_sections *sections)
{
	AUTO_FINI(plt_fini) struct plt plt;
	int rc = plt_init(&plt, file, sections);
	if (rc || !plt.count)
		return rc;
	size_t base = tab->strings_bytes + 1;
	char *strings = realloc(tab->strings, base + plt.names.len_bytes + 1);
	if (!strings)
		return -ENOMEM;
	memcpy(strings + base, plt.names.data, plt.names.len_bytes);
	tab->strings = strings;
	tab->strings_bytes = base + plt.names.len_bytes;
	tab->strings[tab->strings_bytes] = 0;
	for (size_t i = 0; i < plt.count && tab->count < MAX_SYMBOLS; i++) {
		rc = ARRAY_RESERVE(tab->syms, tab->cap, tab->count, MAX_SYMBOLS);
		if (rc)
			return rc;
		tab->syms[tab->count++] = (struct sym){
			.vaddr = plt.stubs[i].vaddr,
			.size_bytes = plt.stubs[i].size_bytes,
			.name_off = (uint32_t)base + plt.stubs[i].name_off,
			.rank = IS_SIZED,
		};
	}
	return 0;
}

static const struct elf_section *section_of_type(const struct elf_sections *sections, uint32_t type)
{
	for (size_t i = 0; i < sections->count; i++)
		if (sections->items[i].type == type)
			return &sections->items[i];
	return NULL;
}

static size_t leading_underscores(const char *name)
{
	size_t count = 0;
	while (count < MAX_COMPARE_BYTES && name[count] == '_')
		count++;
	return count;
}

/* By address, then the worst name first. Total, so that the result depends on the file
 * alone; long names that begin alike are told apart by their place in it. */
static int compare(const void *left, const void *right, void *ctx)
{
	const struct sym *a = left, *b = right;
	const char *strings = ctx;
	if (a->vaddr != b->vaddr)
		return a->vaddr < b->vaddr ? -1 : 1;
	if (a->rank != b->rank)
		return a->rank < b->rank ? -1 : 1;
	if (a->size_bytes != b->size_bytes)
		return a->size_bytes < b->size_bytes ? -1 : 1;
	const char *a_name = strings + a->name_off, *b_name = strings + b->name_off;
	size_t a_score = leading_underscores(a_name), b_score = leading_underscores(b_name);
	if (a_score != b_score)
		return a_score > b_score ? -1 : 1;
	int order = strncmp(b_name, a_name, MAX_COMPARE_BYTES);
	if (order)
		return order;
	return (a->name_off > b->name_off) - (a->name_off < b->name_off);
}

static uint64_t end_of(const struct sym *sym)
{
	return sym->vaddr + sym->size_bytes;
}

/* Mark by size 0 the names that never win: those no longer than a better one at the same
 * address, and symbols without a size inside one that has it. */
static void mark_hidden(struct symtab *tab)
{
	for (size_t i = tab->count; i > 0; i--) {
		struct sym *sym = &tab->syms[i - 1];
		uint32_t longest = sym->size_bytes;
		for (; i > 1 && tab->syms[i - 2].vaddr == sym->vaddr; i--) {
			struct sym *other = &tab->syms[i - 2];
			if (!(other->rank & IS_SIZED) || other->size_bytes <= longest)
				other->size_bytes = 0;
			else
				longest = other->size_bytes;
		}
	}
	uint64_t sized_end = 0;
	for (size_t i = 0; i < tab->count; i++) {
		struct sym *sym = &tab->syms[i];
		if (!(sym->rank & IS_SIZED) && sym->vaddr < sized_end)
			sym->size_bytes = 0;
		else if ((sym->rank & IS_SIZED) && end_of(sym) > sized_end)
			sized_end = end_of(sym);
	}
}

static void drop_hidden(struct symtab *tab)
{
	size_t kept = 0;
	for (size_t i = 0; i < tab->count; i++)
		if (tab->syms[i].size_bytes)
			tab->syms[kept++] = tab->syms[i];
	tab->count = kept;
}

static void link_outer(struct symtab *tab)
{
	for (size_t i = 0; i < tab->count; i++) {
		struct sym *sym = &tab->syms[i];
		if (!(sym->rank & IS_SIZED) && i + 1 < tab->count &&
		    sym[1].vaddr - sym->vaddr < sym->size_bytes)
			sym->size_bytes = (uint32_t)(sym[1].vaddr - sym->vaddr);
		/* Whatever this one outlives is skipped for good, so all steps together are
		 * no more than the symbols. */
		uint32_t outer = i ? (uint32_t)i - 1 : SYMTAB_NONE;
		while (outer != SYMTAB_NONE && end_of(&tab->syms[outer]) <= end_of(sym))
			outer = tab->syms[outer].outer;
		sym->outer = outer;
	}
}

static void finish(struct symtab *tab)
{
	if (!tab->count)
		return;
	qsort_r(tab->syms, tab->count, sizeof(*tab->syms), compare, tab->strings);
	mark_hidden(tab);
	drop_hidden(tab);
	link_outer(tab);
	struct sym *exact = realloc(tab->syms, (tab->count + 1) * sizeof(*exact));
	if (exact)
		tab->syms = exact;
}

int symtab_read(struct symtab **out, const struct elf_file *file, struct err *err)
{
	AUTO(symtab) tab = calloc(1, sizeof(*tab));
	if (!tab)
		return err_set(err, -ENOMEM, "symbol table: %m");
	AUTO_FINI(elf_sections_fini) struct elf_sections sections = {0};
	int rc = elf_file_sections(file, &sections, err);
	if (rc)
		return rc;
	const struct elf_section *full = section_of_type(&sections, SHT_SYMTAB);
	const struct elf_section *dynamic = section_of_type(&sections, SHT_DYNSYM);
	if (full)
		rc = read_section(tab, file, &sections, full, err);
	tab->stripped = !rc && !tab->count;
	if (tab->stripped && dynamic)
		rc = read_section(tab, file, &sections, dynamic, err);
	if (rc)
		return rc;
	rc = add_plt(tab, file, &sections);
	if (rc)
		return err_set(err, rc, "PLT: %m");
	finish(tab);
	*out = TAKE(tab);
	return 0;
}
