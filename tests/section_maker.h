/*
 * section_maker: small ELF images with sections of any names and bytes, and nothing else.
 *
 * Format: https://refspecs.linuxfoundation.org/elf/gabi4+/contents.html
 */
#pragma once
#include <elf.h>
#include <stdint.h>
#include <string.h>

#include "base/buf.h"

enum { SECTION_MAKER_MAX = 16 };

struct made_section {
	const char *name;
	const void *data;
	size_t len_bytes;
	uint32_t type; /* 0: SHT_PROGBITS */
};

/* The image, appended to out, which is empty. At most SECTION_MAKER_MAX - 2 sections. */
static inline void section_maker_elf(struct buf *out, const struct made_section *sections,
				     size_t count)
{
	Elf64_Shdr headers[SECTION_MAKER_MAX] = {{0}};
	Elf64_Ehdr header = {
		.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB,
			    EV_CURRENT},
		.e_type = ET_DYN,
		.e_machine = EM_X86_64,
		.e_version = EV_CURRENT,
		.e_ehsize = sizeof(Elf64_Ehdr),
		.e_phentsize = sizeof(Elf64_Phdr),
		.e_shentsize = sizeof(Elf64_Shdr),
		.e_shnum = (uint16_t)(count + 2),
		.e_shstrndx = (uint16_t)(count + 1),
	};
	char names[512] = "";
	size_t names_bytes = 1;
	buf_append(out, &header, sizeof(header));
	for (size_t i = 0; i < count; i++) {
		headers[i + 1] = (Elf64_Shdr){
			.sh_name = (uint32_t)names_bytes,
			.sh_type = sections[i].type ? sections[i].type : SHT_PROGBITS,
			.sh_offset = out->len_bytes,
			.sh_size = sections[i].len_bytes,
		};
		size_t name_bytes = strlen(sections[i].name) + 1;
		memcpy(names + names_bytes, sections[i].name, name_bytes);
		names_bytes += name_bytes;
		if (sections[i].type != SHT_NOBITS)
			buf_append(out, sections[i].data, sections[i].len_bytes);
	}
	headers[count + 1] = (Elf64_Shdr){
		.sh_type = SHT_STRTAB, .sh_offset = out->len_bytes, .sh_size = names_bytes};
	buf_append(out, names, names_bytes);
	while (out->len_bytes % 8)
		buf_append_u8(out, 0);
	header.e_shoff = out->len_bytes;
	buf_append(out, headers, (count + 2) * sizeof(*headers));
	if (!buf_error(out))
		memcpy(out->data, &header, sizeof(header));
}
