/*
 * unwind_entries: the functions that .eh_frame or .debug_frame describes.
 *
 * Entries are walked once from the first to the last; an FDE may only refer to a CIE that the
 * walk has met, so that time is linear in the bytes whatever they claim. One thread.
 * Format: Linux Standard Base Core 5.0, section 10.6; DWARF 5 section 6.4.1.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "symbolizer/eh_pointer.h"
#include "symbolizer/unwind_cfi.h"
#include "symbolizer/unwind_rule.h"

struct unwind_common {
	uint64_t off; /* in its section */
	struct cfi_common cfi;
	uint8_t encoding; /* of the places of functions */
	bool has_data;    /* FDEs have augmentation data */
	bool is_located;  /* the places of its FDEs can be read */
	bool is_run;      /* the programs of its FDEs can be run */
	enum unwind_unsupported why;
};

/* In the order in which they are believed. */
enum unwind_source {
	UNWIND_EH_FRAME,
	UNWIND_PCLNTAB, /* Go's, of which its linker makes .debug_frame: the same, and more */
	UNWIND_DEBUG_FRAME,
};

/* A function's FDE: its program is program_bytes of its section at program_off. */
struct unwind_function {
	uint64_t start_vaddr;
	uint64_t limit_vaddr;
	uint32_t program_off;
	uint32_t program_bytes;
	uint32_t common; /* in unwind_entries.commons */
	uint8_t source; /* enum unwind_source; of Go's table it is unwind_pclntab.h that reads it */
};

enum { UNWIND_MAX_FUNCTIONS = 4 << 20 };

struct unwind_entries {
	struct unwind_common *commons;
	size_t common_count, common_cap;
	struct unwind_function *functions; /* in the order of the walk */
	size_t count, cap;
	size_t discarded;                         /* FDEs of functions that the linker left out */
	size_t unknown[UNWIND_UNSUPPORTED_KINDS]; /* FDEs whose place cannot be told */
};

void unwind_entries_fini(struct unwind_entries *entries);

/* Add the functions of a section. stop_at_zero: an entry of length 0 ends it; else more may
 * follow, as after a crtend.o that was not linked last. Malformed entries are counted and left
 * out. -ENOMEM; -ENOSPC: more than 4 Mi functions or 256 Ki CIEs. */
int unwind_entries_add(struct unwind_entries *entries, const struct eh_section *section,
		       bool is_debug, bool stop_at_zero);
