#include "symbolizer/plt.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/array.h"
#include "base/reader.h"

enum {
	MAX_STUBS = 256 << 10,
	MAX_NAMES_BYTES = 64 << 20,
	MAX_CODE_BYTES = 16 << 20,
	MAX_SYMBOL_TABLE_BYTES = 96 << 20, /* 4 Mi symbols */
	MAX_RELOCATIONS = 16 << 20,
	MAX_NAME_BYTES = 4 << 10,
	CHUNK_RELOCATIONS = 2048,
};

/* A slot of the global offset table and the function whose address it holds. */
struct slot {
	uint64_t vaddr;
	uint32_t symbol; /* index in .dynsym */
};

/* Everything that is needed while reading. */
struct tables {
	const struct elf_file *file;
	const struct elf_sections *sections;
	struct slot *slots; /* by vaddr */
	size_t count, cap;
	char *symbols; /* .dynsym */
	size_t symbols_bytes;
	char *strings; /* its names */
	size_t strings_bytes;
	char *section_names;
	size_t section_names_bytes;
};

static void tables_fini(struct tables *tables)
{
	free(tables->slots);
	free(tables->symbols);
	free(tables->strings);
	free(tables->section_names);
}

void plt_fini(struct plt *plt)
{
	free(plt->stubs);
	buf_fini(&plt->names);
}

static bool fills_slot(const struct elf_file *file, uint32_t relocation)
{
	if (elf_file_machine(file) == EM_AARCH64)
		return relocation == R_AARCH64_JUMP_SLOT || relocation == R_AARCH64_GLOB_DAT;
	return relocation == R_X86_64_JUMP_SLOT || relocation == R_X86_64_GLOB_DAT;
}

static int take_relocations(struct tables *tables, const char *chunk, size_t count)
{
	struct reader r = reader_of(chunk, count * sizeof(Elf64_Rela));
	for (size_t i = 0; i < count; i++) {
		uint64_t vaddr = reader_u64(&r);
		uint64_t info = reader_u64(&r);
		reader_skip(&r, 8); /* r_addend */
		if (!fills_slot(tables->file, (uint32_t)ELF64_R_TYPE(info)) || !ELF64_R_SYM(info))
			continue;
		int rc = ARRAY_RESERVE(tables->slots, tables->cap, tables->count, MAX_STUBS);
		if (rc)
			return rc;
		tables->slots[tables->count++] = (struct slot){vaddr, (uint32_t)ELF64_R_SYM(info)};
	}
	return 0;
}

static int read_relocations(struct tables *tables, const struct elf_section *section)
{
	uint64_t left = section->size_bytes / sizeof(Elf64_Rela);
	if (left > MAX_RELOCATIONS)
		return -ENOSPC;
	AUTO_MEM char *chunk = malloc(CHUNK_RELOCATIONS * sizeof(Elf64_Rela));
	if (!chunk)
		return -ENOMEM;
	for (uint64_t off = section->off; left > 0;) {
		size_t count = left < CHUNK_RELOCATIONS ? (size_t)left : CHUNK_RELOCATIONS;
		int rc = elf_file_read(tables->file, off, chunk, count * sizeof(Elf64_Rela));
		if (!rc)
			rc = take_relocations(tables, chunk, count);
		if (rc)
			return rc;
		left -= count;
		off += count * sizeof(Elf64_Rela);
	}
	return 0;
}

static int compare_slots(const void *left, const void *right)
{
	const struct slot *a = left, *b = right;
	return (a->vaddr > b->vaddr) - (a->vaddr < b->vaddr);
}

static int load(struct tables *tables, uint32_t index, size_t max_bytes, char **data,
		size_t *len_bytes)
{
	if (index >= tables->sections->count)
		return -EBADMSG;
	const struct elf_section *section = &tables->sections->items[index];
	int rc = elf_file_load(tables->file, section, max_bytes, data, NULL);
	if (!rc)
		*len_bytes = section->size_bytes;
	return rc;
}

static int read_tables(struct tables *tables)
{
	const struct elf_sections *sections = tables->sections;
	uint32_t dynsym = 0;
	for (uint32_t i = 1; i < sections->count && !dynsym; i++)
		if (sections->items[i].type == SHT_DYNSYM)
			dynsym = i;
	if (!dynsym)
		return -ENOENT;
	int rc = 0;
	for (size_t i = 0; i < sections->count && !rc; i++)
		if (sections->items[i].type == SHT_RELA && sections->items[i].link == dynsym)
			rc = read_relocations(tables, &sections->items[i]);
	if (!rc && !tables->count)
		rc = -ENOENT;
	if (!rc)
		rc = load(tables, dynsym, MAX_SYMBOL_TABLE_BYTES, &tables->symbols,
			  &tables->symbols_bytes);
	if (!rc)
		rc = load(tables, sections->items[dynsym].link, MAX_NAMES_BYTES, &tables->strings,
			  &tables->strings_bytes);
	if (!rc)
		rc = load(tables, sections->names_index, MAX_NAMES_BYTES, &tables->section_names,
			  &tables->section_names_bytes);
	if (!rc)
		qsort(tables->slots, tables->count, sizeof(*tables->slots), compare_slots);
	return rc;
}

/* The function whose address slot_vaddr holds, or NULL. */
static const char *function_of(const struct tables *tables, uint64_t slot_vaddr)
{
	const struct slot key = {.vaddr = slot_vaddr};
	const struct slot *slot =
		bsearch(&key, tables->slots, tables->count, sizeof(*tables->slots), compare_slots);
	if (!slot)
		return NULL;
	struct reader r = reader_of(tables->symbols, tables->symbols_bytes);
	reader_skip(&r, (size_t)slot->symbol * sizeof(Elf64_Sym));
	uint32_t name_off = reader_u32(&r);
	if (r.bad || name_off >= tables->strings_bytes)
		return NULL;
	const char *name = tables->strings + name_off;
	return *name && strnlen(name, MAX_NAME_BYTES) < MAX_NAME_BYTES ? name : NULL;
}

static int add_stub(struct plt *plt, uint64_t vaddr, uint32_t size_bytes, const char *name)
{
	int rc = ARRAY_RESERVE(plt->stubs, plt->cap, plt->count, MAX_STUBS);
	if (rc)
		return rc;
	uint32_t name_off = (uint32_t)plt->names.len_bytes;
	buf_append_str(&plt->names, name);
	buf_append(&plt->names, "@plt", sizeof("@plt"));
	plt->stubs[plt->count++] = (struct plt_stub){vaddr, size_bytes, name_off};
	return buf_error(&plt->names);
}

/* [endbr64] [bnd] jmp *slot(%rip). Intel SDM volume 2: "JMP", FF /4 with ModRM 25. */
static bool decode_x86(const uint8_t *code, size_t len_bytes, uint64_t vaddr, uint64_t *slot_vaddr)
{
	size_t at = 0;
	if (len_bytes >= 4 && !memcmp(code, "\xf3\x0f\x1e\xfa", 4))
		at = 4;
	if (at < len_bytes && code[at] == 0xf2)
		at++;
	if (len_bytes < at + 6 || code[at] != 0xff || code[at + 1] != 0x25)
		return false;
	struct reader r = reader_of(code + at + 2, 4);
	*slot_vaddr = vaddr + at + 6 + (uint64_t)(int64_t)(int32_t)reader_u32(&r);
	return true;
}

static int read_x86_stubs(struct plt *plt, const struct tables *tables,
			  const struct elf_section *section, const char *code)
{
	uint64_t stub_bytes = section->entry_bytes == 8 ? 8 : 16;
	for (uint64_t off = 0; off + stub_bytes <= section->size_bytes; off += stub_bytes) {
		uint64_t slot_vaddr, vaddr = section->vaddr + off;
		if (!decode_x86((const uint8_t *)code + off, stub_bytes, vaddr, &slot_vaddr))
			continue;
		const char *name = function_of(tables, slot_vaddr);
		int rc = name ? add_stub(plt, vaddr, (uint32_t)stub_bytes, name) : 0;
		if (rc)
			return rc;
	}
	return 0;
}

/* adrp x16, page; ldr x17, [x16, offset]. Arm ARM, C6.2 "ADRP" and "LDR (immediate)". */
static bool decode_aarch64(uint32_t adrp, uint32_t ldr, uint64_t vaddr, uint64_t *slot_vaddr)
{
	if ((adrp & 0x9f00001f) != 0x90000010 || (ldr & 0xffc003ff) != 0xf9400211)
		return false;
	uint64_t pages = (uint64_t)(adrp >> 5 & 0x7ffff) << 2 | (adrp >> 29 & 3);
	if (pages & UINT64_C(1) << 20)
		pages |= ~UINT64_C(0) << 21;
	*slot_vaddr = (vaddr & ~UINT64_C(0xfff)) + (pages << 12) + (ldr >> 10 & 0xfff) * 8;
	return true;
}

static int read_aarch64_stubs(struct plt *plt, const struct tables *tables,
			      const struct elf_section *section, const char *code)
{
	enum { STUB_BYTES = 16, BTI_C = 0xd503245f };
	struct reader r = reader_of(code, section->size_bytes);
	uint32_t before = 0, adrp = reader_u32(&r);
	for (uint64_t vaddr = section->vaddr; !r.bad; vaddr += 4) {
		uint32_t next = reader_u32(&r);
		uint64_t slot_vaddr;
		const char *name = decode_aarch64(adrp, next, vaddr, &slot_vaddr)
					   ? function_of(tables, slot_vaddr)
					   : NULL;
		unsigned int landing_bytes = before == BTI_C ? 4 : 0;
		int rc = name ? add_stub(plt, vaddr - landing_bytes, STUB_BYTES + landing_bytes,
					 name)
			      : 0;
		if (rc)
			return rc;
		before = adrp;
		adrp = next;
	}
	return 0;
}

/* .plt, .plt.sec (with endbr64), .plt.got (bound at start). */
static bool is_plt(const struct tables *tables, const struct elf_section *section)
{
	return section->type == SHT_PROGBITS && (section->flags & SHF_EXECINSTR) &&
	       section->name_off < tables->section_names_bytes &&
	       !strncmp(tables->section_names + section->name_off, ".plt", 4);
}

static int read_stubs(struct plt *plt, const struct tables *tables)
{
	for (size_t i = 0; i < tables->sections->count; i++) {
		const struct elf_section *section = &tables->sections->items[i];
		char *code;
		if (!is_plt(tables, section) ||
		    elf_file_load(tables->file, section, MAX_CODE_BYTES, &code, NULL))
			continue;
		AUTO_MEM char *owned = code;
		int rc = elf_file_machine(tables->file) == EM_AARCH64
				 ? read_aarch64_stubs(plt, tables, section, owned)
				 : read_x86_stubs(plt, tables, section, owned);
		if (rc)
			return rc;
	}
	return 0;
}

int plt_init(struct plt *plt, const struct elf_file *file, const struct elf_sections *sections)
{
	*plt = (struct plt){0};
	buf_init(&plt->names, MAX_NAMES_BYTES);
	AUTO_FINI(tables_fini) struct tables tables = {.file = file, .sections = sections};
	int rc = read_tables(&tables);
	if (!rc)
		rc = read_stubs(plt, &tables);
	return rc == -ENOMEM ? rc : 0;
}
