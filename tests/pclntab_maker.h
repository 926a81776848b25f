/*
 * pclntab_maker: ELF images around bytes of Go's tables, without section headers, for tests.
 *
 * Code is at 0x1000, 4 KiB of it that are not in the file; the bytes are at 0x10000.
 */
#pragma once
#include <elf.h>
#include <stdint.h>
#include <string.h>

#include "base/buf.h"

enum {
	PCLNTAB_MAKER_TEXT_VADDR = 0x1000,
	PCLNTAB_MAKER_TEXT_BYTES = 0x1000,
	PCLNTAB_MAKER_DATA_VADDR = 0x10000,
	PCLNTAB_MAKER_DATA_OFF = sizeof(Elf64_Ehdr) + 2 * sizeof(Elf64_Phdr),
};

/* Append the image to out. */
static inline void pclntab_make_image(struct buf *out, const void *data, size_t len_bytes)
{
	Elf64_Ehdr header = {
		.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB,
			    EV_CURRENT},
		.e_type = ET_EXEC,
		.e_machine = EM_X86_64,
		.e_version = EV_CURRENT,
		.e_phoff = sizeof(Elf64_Ehdr),
		.e_ehsize = sizeof(Elf64_Ehdr),
		.e_phentsize = sizeof(Elf64_Phdr),
		.e_phnum = 2,
		.e_shentsize = sizeof(Elf64_Shdr),
	};
	Elf64_Phdr segments[2] = {
		{.p_type = PT_LOAD,
		 .p_flags = PF_R | PF_X,
		 .p_vaddr = PCLNTAB_MAKER_TEXT_VADDR,
		 .p_memsz = PCLNTAB_MAKER_TEXT_BYTES},
		{.p_type = PT_LOAD,
		 .p_flags = PF_R | PF_W,
		 .p_offset = PCLNTAB_MAKER_DATA_OFF,
		 .p_vaddr = PCLNTAB_MAKER_DATA_VADDR,
		 .p_filesz = len_bytes,
		 .p_memsz = len_bytes},
	};
	buf_append(out, &header, sizeof(header));
	buf_append(out, segments, sizeof(segments));
	buf_append(out, data, len_bytes);
}
