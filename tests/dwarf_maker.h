/*
 * dwarf_maker: an ELF image with sections of any bytes, for tests of readers of DWARF.
 *
 * Header only. One executable segment, DWARF_MAKER_TEXT_VADDR on.
 */
#pragma once
#include <elf.h>
#include <string.h>

#include "base/buf.h"

enum {
	DWARF_MAKER_TEXT_VADDR = 0x1000,
	DWARF_MAKER_TEXT_BYTES = 0x10000,
	DWARF_MAKER_MAX_SECTIONS = 16,
};

struct dwarf_maker_section {
	const char *name;
	const void *data;
	size_t len_bytes;
	uint64_t flags; /* SHF_* */
};

static inline void dwarf_maker_put(struct buf *out, size_t off, const void *data, size_t len_bytes)
{
	if (!buf_error(out) && out->len_bytes >= off + len_bytes)
		memcpy(out->data + off, data, len_bytes);
}

/* count at most DWARF_MAKER_MAX_SECTIONS. */
static inline void dwarf_maker_image(struct buf *out, const struct dwarf_maker_section *sections,
				     size_t count)
{
	Elf64_Ehdr header = {
		.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
		.e_type = ET_DYN,
		.e_machine = EM_X86_64,
		.e_phoff = sizeof(Elf64_Ehdr),
		.e_ehsize = sizeof(Elf64_Ehdr),
		.e_phentsize = sizeof(Elf64_Phdr),
		.e_phnum = 1,
		.e_shentsize = sizeof(Elf64_Shdr),
		.e_shnum = (Elf64_Half)(count + 1),
	};
	Elf64_Phdr text = {.p_type = PT_LOAD,
			   .p_flags = PF_R | PF_X,
			   .p_vaddr = DWARF_MAKER_TEXT_VADDR,
			   .p_memsz = DWARF_MAKER_TEXT_BYTES};
	Elf64_Shdr headers[DWARF_MAKER_MAX_SECTIONS + 1] = {0};
	buf_append(out, &header, sizeof(header));
	buf_append(out, &text, sizeof(text));
	for (size_t i = 0; i < count; i++) {
		headers[i].sh_type = SHT_PROGBITS;
		headers[i].sh_flags = sections[i].flags;
		headers[i].sh_offset = out->len_bytes;
		headers[i].sh_size = sections[i].len_bytes;
		buf_append(out, sections[i].data, sections[i].len_bytes);
	}
	headers[count].sh_type = SHT_STRTAB;
	headers[count].sh_offset = out->len_bytes;
	buf_append_u8(out, 0);
	for (size_t i = 0; i < count; i++) {
		headers[i].sh_name = (Elf64_Word)(out->len_bytes - headers[count].sh_offset);
		buf_append(out, sections[i].name, strlen(sections[i].name) + 1);
	}
	headers[count].sh_size = out->len_bytes - headers[count].sh_offset;
	header.e_shoff = out->len_bytes;
	header.e_shstrndx = (Elf64_Half)count;
	buf_append(out, headers, (count + 1) * sizeof(*headers));
	dwarf_maker_put(out, 0, &header, sizeof(header));
}
