/*
 * elf_maker: small ELF images made in memory, with any symbols, for tests of what reads them.
 *
 * Layout: header, one executable PT_LOAD and a PT_NOTE with the build ID, the note, .symtab,
 * .strtab, .shstrtab, section headers; .text has an address and no bytes.
 * Format: https://refspecs.linuxfoundation.org/elf/gabi4+/contents.html
 */
#pragma once
#include <elf.h>
#include <stdint.h>
#include <string.h>

#include "base/buf.h"

enum {
	MAKER_TEXT_VADDR = 0x10000,
	MAKER_TEXT_BYTES = 0x10000,
	MAKER_TEXT_SECTION = 1,
	MAKER_SECTIONS = 5,
	MAKER_BUILD_ID_BYTES = 20, /* 0, 1, 2, ... */
	MAKER_NOTE_OFF = sizeof(Elf64_Ehdr) + 2 * sizeof(Elf64_Phdr),
	MAKER_NOTE_BYTES = sizeof(Elf64_Nhdr) + 4 + MAKER_BUILD_ID_BYTES,
	MAKER_SYMTAB_OFF = (MAKER_NOTE_OFF + MAKER_NOTE_BYTES + 7) / 8 * 8,
};

struct maker_symbol {
	const char *name;
	uint32_t off; /* from MAKER_TEXT_VADDR */
	uint64_t size_bytes;
	uint8_t type, binding; /* STT_*, STB_* */
	uint16_t section;      /* 0: MAKER_TEXT_SECTION */
};

static inline void maker_header(struct buf *out, uint64_t section_headers_off)
{
	Elf64_Ehdr header = {
		.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB,
			    EV_CURRENT},
		.e_type = ET_DYN,
		.e_machine = EM_X86_64,
		.e_version = EV_CURRENT,
		.e_phoff = sizeof(Elf64_Ehdr),
		.e_shoff = section_headers_off,
		.e_ehsize = sizeof(Elf64_Ehdr),
		.e_phentsize = sizeof(Elf64_Phdr),
		.e_phnum = 2,
		.e_shentsize = sizeof(Elf64_Shdr),
		.e_shnum = MAKER_SECTIONS,
		.e_shstrndx = MAKER_SECTIONS - 1,
	};
	buf_append(out, &header, sizeof(header));
	Elf64_Phdr segments[2] = {
		{.p_type = PT_LOAD,
		 .p_flags = PF_R | PF_X,
		 .p_offset = 0x1000,
		 .p_vaddr = MAKER_TEXT_VADDR,
		 .p_filesz = MAKER_TEXT_BYTES,
		 .p_memsz = MAKER_TEXT_BYTES,
		 .p_align = 0x1000},
		{.p_type = PT_NOTE,
		 .p_offset = MAKER_NOTE_OFF,
		 .p_filesz = MAKER_NOTE_BYTES,
		 .p_align = 4},
	};
	buf_append(out, segments, sizeof(segments));
}

static inline void maker_note(struct buf *out)
{
	Elf64_Nhdr note = {
		.n_namesz = 4, .n_descsz = MAKER_BUILD_ID_BYTES, .n_type = NT_GNU_BUILD_ID};
	buf_append(out, &note, sizeof(note));
	buf_append(out, "GNU", 4);
	for (uint8_t i = 0; i < MAKER_BUILD_ID_BYTES; i++)
		buf_append_u8(out, i);
	while (out->len_bytes < MAKER_SYMTAB_OFF)
		buf_append_u8(out, 0);
}

/* The image, appended to out. */
static inline void maker_elf(struct buf *out, const struct maker_symbol *symbols, size_t count)
{
	static const char section_names[] = "\0.text\0.symtab\0.strtab\0.shstrtab";
	size_t strings_bytes = 1;
	for (size_t i = 0; i < count; i++)
		strings_bytes += strlen(symbols[i].name) + 1;
	uint64_t symtab_bytes = (count + 1) * sizeof(Elf64_Sym);
	uint64_t strings_off = MAKER_SYMTAB_OFF + symtab_bytes;
	uint64_t section_names_off = strings_off + strings_bytes;
	uint64_t headers_off = (section_names_off + sizeof(section_names) + 7) / 8 * 8;
	maker_header(out, headers_off);
	maker_note(out);

	Elf64_Sym sym = {0};
	buf_append(out, &sym, sizeof(sym));
	uint32_t name_off = 1;
	for (size_t i = 0; i < count; i++) {
		sym.st_name = name_off;
		sym.st_info = ELF64_ST_INFO(symbols[i].binding, symbols[i].type);
		sym.st_shndx = symbols[i].section ? symbols[i].section : MAKER_TEXT_SECTION;
		sym.st_value = MAKER_TEXT_VADDR + symbols[i].off;
		sym.st_size = symbols[i].size_bytes;
		buf_append(out, &sym, sizeof(sym));
		name_off += (uint32_t)strlen(symbols[i].name) + 1;
	}
	buf_append_u8(out, 0);
	for (size_t i = 0; i < count; i++)
		buf_append(out, symbols[i].name, strlen(symbols[i].name) + 1);
	buf_append(out, section_names, sizeof(section_names));
	while (out->len_bytes < headers_off)
		buf_append_u8(out, 0);
	Elf64_Shdr headers[MAKER_SECTIONS] = {
		{0},
		{.sh_name = 1,
		 .sh_type = SHT_NOBITS,
		 .sh_flags = SHF_ALLOC | SHF_EXECINSTR,
		 .sh_addr = MAKER_TEXT_VADDR,
		 .sh_offset = 0x1000,
		 .sh_size = MAKER_TEXT_BYTES},
		{.sh_name = 7,
		 .sh_type = SHT_SYMTAB,
		 .sh_offset = MAKER_SYMTAB_OFF,
		 .sh_size = symtab_bytes,
		 .sh_link = 3,
		 .sh_entsize = sizeof(Elf64_Sym)},
		{.sh_name = 15,
		 .sh_type = SHT_STRTAB,
		 .sh_offset = strings_off,
		 .sh_size = strings_bytes},
		{.sh_name = 23,
		 .sh_type = SHT_STRTAB,
		 .sh_offset = section_names_off,
		 .sh_size = sizeof(section_names)},
	};
	buf_append(out, headers, sizeof(headers));
}
