/*
 * cfi_maker: call frame information byte by byte, and ELF images that hold it, for tests.
 *
 * Layout of an image: header, three program headers, .eh_frame at CFI_EH_FRAME_OFF, .eh_frame_hdr,
 * .debug_frame, .shstrtab, section headers. Addresses of what has bytes are its offsets; code is
 * at CFI_TEXT_VADDR and has none. Format: Linux Standard Base Core 5.0, section 10.6.
 */
#pragma once
#include <elf.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/buf.h"

enum {
	CFI_TEXT_VADDR = 0x100000,
	CFI_TEXT_BYTES = 0x100000,
	CFI_EH_FRAME_OFF = 0x200,
	CFI_MAX_BYTES = 1 << 20,
	CFI_SECTIONS = 4,
	CFI_PCREL_SDATA4 = 0x1b,
};

/* Patch the length of the entry that begins at off, padded to 8 with DW_CFA_nop. */
static inline void cfi_end_entry(struct buf *out, size_t off)
{
	while ((out->len_bytes - off) % 8 != 4)
		buf_append_u8(out, 0);
	uint32_t len_bytes = (uint32_t)(out->len_bytes - off - 4);
	memcpy(out->data + off, &len_bytes, sizeof(len_bytes));
}

/* A CIE of .eh_frame with augmentation "zR", code alignment 1, data alignment -8. */
static inline void cfi_add_common(struct buf *out, uint8_t encoding, const void *program,
				  size_t program_bytes)
{
	size_t off = out->len_bytes;
	buf_append_u32le(out, 0);
	buf_append_u32le(out, 0);
	buf_append(out, "\1zR", 4); /* version, augmentation and its NUL */
	buf_append(out, "\x01\x78\x10\x01", 4);
	buf_append_u8(out, encoding);
	buf_append(out, program, program_bytes);
	cfi_end_entry(out, off);
}

/* rsp + 8, return address at CFA - 8: what compilers begin with. */
static inline void cfi_add_usual_common(struct buf *out)
{
	cfi_add_common(out, CFI_PCREL_SDATA4, "\x0c\x07\x08\x90\x01", 5);
}

/* An FDE for a CIE with CFI_PCREL_SDATA4. */
static inline void cfi_add_function(struct buf *out, size_t common_off, uint64_t start_vaddr,
				    uint32_t len_bytes, const void *program, size_t program_bytes)
{
	size_t off = out->len_bytes;
	buf_append_u32le(out, 0);
	buf_append_u32le(out, (uint32_t)(out->len_bytes - common_off));
	buf_append_u32le(out, (uint32_t)(start_vaddr - (CFI_EH_FRAME_OFF + out->len_bytes)));
	buf_append_u32le(out, len_bytes);
	buf_append_u8(out, 0); /* augmentation data */
	buf_append(out, program, program_bytes);
	cfi_end_entry(out, off);
}

struct cfi_image {
	const struct buf *eh_frame;    /* NULL: none */
	const struct buf *debug_frame; /* NULL: none */
	bool no_sections;
	bool no_table;         /* .eh_frame_hdr without its table */
	bool no_header;        /* PT_GNU_EH_FRAME of 0 bytes */
	uint64_t last_fde_off; /* in .eh_frame: what the table says the last entry is */
	uint64_t debug_flags;  /* of the section */
	uint16_t machine;      /* 0: x86-64 */
	uint64_t lie_bytes;    /* added to the place of .eh_frame in its section header */
};

static inline void cfi_image_segments(struct buf *out, uint64_t bytes, uint64_t header_off,
				      uint64_t header_bytes)
{
	Elf64_Phdr segments[3] = {
		{.p_type = PT_LOAD, .p_flags = PF_R, .p_filesz = bytes, .p_memsz = bytes},
		{.p_type = PT_LOAD,
		 .p_flags = PF_R | PF_X,
		 .p_offset = 0x1000,
		 .p_vaddr = CFI_TEXT_VADDR,
		 .p_memsz = CFI_TEXT_BYTES},
		{.p_type = PT_GNU_EH_FRAME,
		 .p_flags = PF_R,
		 .p_offset = header_off,
		 .p_vaddr = header_off,
		 .p_filesz = header_bytes,
		 .p_memsz = header_bytes},
	};
	buf_append(out, segments, sizeof(segments));
}

/* LSB Core 5.0, section 10.6.2: version, encodings, pcrel .eh_frame, count, and one row. */
static inline void cfi_image_header(struct buf *out, const struct cfi_image *image)
{
	uint64_t off = out->len_bytes;
	buf_append(out, image->no_table ? "\1\x1b\xff\xff" : "\1\x1b\x03\x3b", 4);
	buf_append_u32le(out, (uint32_t)(CFI_EH_FRAME_OFF - (off + 4)));
	buf_append_u32le(out, 1);
	buf_append_u32le(out, (uint32_t)(CFI_TEXT_VADDR - off));
	buf_append_u32le(out, (uint32_t)(CFI_EH_FRAME_OFF + image->last_fde_off - off));
}

/* Append the image to out, which is empty. */
static inline void cfi_make_image(struct buf *out, const struct cfi_image *image)
{
	static const char names[] = "\0.eh_frame\0.debug_frame\0.shstrtab";
	uint64_t eh_bytes = image->eh_frame ? image->eh_frame->len_bytes : 0;
	uint64_t debug_bytes = image->debug_frame ? image->debug_frame->len_bytes : 0;
	uint64_t header_off = CFI_EH_FRAME_OFF + eh_bytes;
	uint64_t debug_off = header_off + 20;
	uint64_t names_off = debug_off + debug_bytes;
	uint64_t sections_off = names_off + sizeof(names);
	Elf64_Ehdr header = {
		.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB,
			    EV_CURRENT},
		.e_type = ET_DYN,
		.e_machine = image->machine ? image->machine : EM_X86_64,
		.e_version = EV_CURRENT,
		.e_phoff = sizeof(Elf64_Ehdr),
		.e_shoff = image->no_sections ? 0 : sections_off,
		.e_ehsize = sizeof(Elf64_Ehdr),
		.e_phentsize = sizeof(Elf64_Phdr),
		.e_phnum = 3,
		.e_shentsize = sizeof(Elf64_Shdr),
		.e_shnum = image->no_sections ? 0 : CFI_SECTIONS,
		.e_shstrndx = image->no_sections ? 0 : CFI_SECTIONS - 1,
	};
	buf_append(out, &header, sizeof(header));
	cfi_image_segments(out, sections_off, header_off,
			   image->eh_frame && !image->no_header ? 20 : 0);
	while (out->len_bytes < CFI_EH_FRAME_OFF)
		buf_append_u8(out, 0);
	if (image->eh_frame)
		buf_append(out, image->eh_frame->data, eh_bytes);
	cfi_image_header(out, image);
	if (image->debug_frame)
		buf_append(out, image->debug_frame->data, debug_bytes);
	buf_append(out, names, sizeof(names));
	Elf64_Shdr headers[CFI_SECTIONS] = {
		{0},
		{.sh_name = image->eh_frame ? 1 : 0,
		 .sh_type = SHT_PROGBITS,
		 .sh_addr = CFI_EH_FRAME_OFF,
		 .sh_offset = CFI_EH_FRAME_OFF + image->lie_bytes,
		 .sh_size = eh_bytes},
		{.sh_name = image->debug_frame ? 11 : 0,
		 .sh_type = SHT_PROGBITS,
		 .sh_flags = image->debug_flags,
		 .sh_offset = debug_off,
		 .sh_size = debug_bytes},
		{.sh_name = 24,
		 .sh_type = SHT_STRTAB,
		 .sh_offset = names_off,
		 .sh_size = sizeof(names)},
	};
	buf_append(out, headers, sizeof(headers));
}
