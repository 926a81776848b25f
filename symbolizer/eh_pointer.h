/*
 * eh_pointer: the encoded pointers of .eh_frame and .eh_frame_hdr.
 *
 * Format: Linux Standard Base Core 5.0, section 10.5, and DW_EH_PE_* of GCC's unwind-pe.h.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/reader.h"

enum {
	EH_POINTER_ABSPTR = 0x00,
	EH_POINTER_ULEB128 = 0x01,
	EH_POINTER_UDATA2 = 0x02,
	EH_POINTER_UDATA4 = 0x03,
	EH_POINTER_UDATA8 = 0x04,
	EH_POINTER_SIGNED = 0x08,
	EH_POINTER_SLEB128 = 0x09,
	EH_POINTER_SDATA2 = 0x0a,
	EH_POINTER_SDATA4 = 0x0b,
	EH_POINTER_SDATA8 = 0x0c,
	EH_POINTER_FORM = 0x0f, /* mask of the above */
	EH_POINTER_PCREL = 0x10,
	EH_POINTER_DATAREL = 0x30,
	EH_POINTER_ALIGNED = 0x50,
	EH_POINTER_RELATIVE = 0x70, /* mask of the above */
	EH_POINTER_INDIRECT = 0x80,
	EH_POINTER_OMIT = 0xff,
};

/* A section's bytes and where they are in the file's address space. */
struct eh_section {
	const uint8_t *data;
	size_t len_bytes;
	uint64_t vaddr;
	uint64_t data_vaddr; /* what DATAREL counts from; 0: not known */
};

/* Can the value be told from the file alone? Not through INDIRECT, which names a place that
 * is filled when the file is loaded, nor relative to text or function. */
bool eh_pointer_is_known(const struct eh_section *section, uint8_t encoding);

/* The pointer at r, which reads section's data. 0, before anything is added to it, stays 0:
 * the linker's mark of what it left out. Bad on an unknown form; OMIT reads nothing. */
uint64_t eh_pointer_read(const struct eh_section *section, uint8_t encoding, struct reader *r);
