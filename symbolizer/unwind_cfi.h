/*
 * unwind_cfi: runs call frame programs of x86-64, and says what they tell as rules.
 *
 * Only rsp, rbp, rbx, the return address and the CFA are followed; the other registers are
 * not needed to find callers. Time is linear in the program. DWARF 5 section 6.4.2.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/reader.h"
#include "symbolizer/eh_pointer.h"
#include "symbolizer/unwind_rule.h"

enum cfi_how {
	CFI_UNSPECIFIED, /* the ABI's default: rbp is kept, the caller's rsp is the CFA */
	CFI_SAME,
	CFI_UNDEFINED,
	CFI_SAVED,   /* in memory at base + off */
	CFI_SAVED_2, /* in memory at *(base + off) + extra */
	CFI_IS,      /* it is base + off */
	CFI_IS_2,    /* it is *(base + off) + extra */
	CFI_UNKNOWN, /* an expression that is not understood */
	CFI_TOO_FAR, /* an offset that is not representable */
};

/* Where a register of the caller is, or the CFA. */
struct cfi_place {
	uint8_t how;  /* enum cfi_how */
	uint8_t base; /* enum unwind_base */
	uint8_t reg;
	int32_t off;
	int32_t extra;
};

/* A row of the table that a program stands for. */
struct cfi_row {
	struct cfi_place cfa; /* CFI_UNSPECIFIED: cfa_reg + cfa_off */
	bool has_cfa;
	uint64_t cfa_reg;
	int64_t cfa_off;
	struct cfi_place sp, fp, bx, ra;
};

/* What a CIE says of its FDEs. */
struct cfi_common {
	uint64_t code_align;
	int64_t data_align;
	uint8_t encoding; /* of DW_CFA_set_loc */
	bool is_signal_frame;
	struct cfi_row initial; /* by cfi_run_common() */
};

/* Called for every row with a place, in ascending order: vaddr up to the next, or to limit. */
typedef void (*cfi_row_fn)(void *ctx, uint64_t vaddr, const struct cfi_row *row);

/* Run a CIE's program into common->initial. False: malformed or unknown; *why says it. */
bool cfi_run_common(struct cfi_common *common, const struct eh_section *section,
		    struct reader program, enum unwind_unsupported *why);

/* Run an FDE's program over [start_vaddr, limit_vaddr). False: it could be followed only up to
 * *bad_vaddr, for the reason *why; rows were given only below that. */
bool cfi_run(const struct cfi_common *common, const struct eh_section *section,
	     struct reader program, uint64_t start_vaddr, uint64_t limit_vaddr, cfi_row_fn fn,
	     void *ctx, uint64_t *bad_vaddr, enum unwind_unsupported *why);

/* The rule for a row, in one form for all that mean the same. Returns the kinds of what it
 * lacks, as bits 1 << enum unwind_unsupported. */
uint32_t cfi_rule(const struct cfi_row *row, bool is_signal_frame, struct unwind_rule *rule);
