/*
 * unwind_rule: how to find the caller's frame at one place in the code.
 *
 * Plain data without a library, so that it can be laid before BPF as it is. rsp, rbp and
 * registers are those of the frame at hand; CFA is the value of rsp before the call that made
 * the frame, and so the caller's rsp. DWARF 5 section 6.4; x86-64 psABI 1.0 section 3.7.
 */
#pragma once
#include <stdint.h>

/* Where the CFA is. */
enum unwind_cfa {
	UNWIND_CFA_NONE,        /* nothing is known here: a hole between functions */
	UNWIND_CFA_END,         /* the outermost frame: it has no return address */
	UNWIND_CFA_UNSUPPORTED, /* the file says how, in a way that is not represented */
	UNWIND_CFA_SP,          /* rsp + cfa_off */
	UNWIND_CFA_FP,          /* rbp + cfa_off */
	UNWIND_CFA_REG,         /* register number extra + cfa_off: while a frame is set up */
	UNWIND_CFA_SP_DEREF,    /* *(rsp + cfa_off) + extra: signal frames, assembly */
	UNWIND_CFA_FP_DEREF,    /* *(rbp + cfa_off) + extra: realigned stacks */
	UNWIND_CFA_PLT,         /* rsp + cfa_off + ((rip & 15) >= extra) * 8 */
};

/* Where the caller's rbp is, or the return address. */
enum unwind_at {
	UNWIND_AT_SAME,        /* still in the register; never for a return address */
	UNWIND_AT_CFA,         /* *(CFA + off) */
	UNWIND_AT_SP,          /* *(rsp + off): signal frames */
	UNWIND_AT_FP,          /* *(rbp + off): realigned stacks */
	UNWIND_AT_REG,         /* in register number off: vfork, setjmp */
	UNWIND_AT_UNDEFINED,   /* lost; never for a return address: that is UNWIND_CFA_END */
	UNWIND_AT_UNSUPPORTED, /* said in a way that is not represented */
};

/* The frame was made by a signal: its return address is the interrupted instruction, not the
 * one after a call, and the stack may be another one. */
#define UNWIND_SIGNAL_FRAME 1

/* Where the caller's rbx is, in the other bits of flags: some frames that call others have their
 * CFA by it (_dl_runtime_resolve of glibc, which binds symbols at their first call). */
#define UNWIND_RBX_SHIFT 1
enum unwind_rbx {
	UNWIND_RBX_SAME,             /* still in the register */
	UNWIND_RBX_AT_CFA_LAST = 61, /* from 1 to this: *(CFA - 8 * number) */
	UNWIND_RBX_AFTER_FP,         /* *(rsp + fp_off + 8): signal frames */
	UNWIND_RBX_LOST,             /* or saved in a place that has no number */
	UNWIND_RBX_AT_FP, /* from this on: *(rbp - 8 * (number - this)): realigned stacks */
	UNWIND_RBX_AT_FP_LAST = 127,
};

/* All zero is the rule of a hole. Register numbers are DWARF's. */
struct unwind_rule {
	uint8_t cfa;   /* enum unwind_cfa */
	uint8_t fp;    /* enum unwind_at */
	uint8_t ra;    /* enum unwind_at */
	uint8_t flags; /* UNWIND_SIGNAL_FRAME | enum unwind_rbx << UNWIND_RBX_SHIFT */
	int32_t cfa_off;
	int32_t fp_off;
	int16_t ra_off;
	int16_t extra; /* by cfa */
};
_Static_assert(sizeof(struct unwind_rule) == 16, "rules are stored by the thousand");

/* Why a rule is UNWIND_CFA_UNSUPPORTED, or its fp UNWIND_AT_UNSUPPORTED. */
enum unwind_unsupported {
	UNWIND_BAD_CFA_EXPRESSION, /* of a form that no rule has */
	UNWIND_BAD_CFA_MISSING,    /* a row before the CFA was defined */
	UNWIND_BAD_RA_RULE,        /* the return address: neither in memory nor in a register */
	UNWIND_BAD_RA_MISSING,     /* a row that does not say where the return address is */
	UNWIND_BAD_SP_RULE,        /* the caller's rsp is not the CFA (longjmp) */
	UNWIND_BAD_FP_RULE,        /* rbp: computed, or saved in a place no rule has */
	UNWIND_BAD_OFFSET,         /* an offset that does not fit its field */
	UNWIND_BAD_INSTRUCTION,    /* unknown DW_CFA_*: from there to the end of the function */
	UNWIND_BAD_PROGRAM,        /* ends early or contradicts itself: likewise */
	UNWIND_BAD_STATE_DEPTH,    /* DW_CFA_remember_state nested too deep: likewise */
	UNWIND_BAD_RULE_COUNT,     /* the file has more different rules than can be numbered */
	UNWIND_BAD_AUGMENTATION,   /* unknown augmentation of a CIE */
	UNWIND_BAD_CIE,            /* unknown version, address size or return address register */
	UNWIND_BAD_ENCODING,       /* of pointers: the place of the function is not known */
	UNWIND_BAD_ENTRY,          /* not well-formed: likewise */
	UNWIND_UNSUPPORTED_KINDS,
};

/* Rows are kept by pages of the file's addresses, so that 16 bits say where one begins. */
enum { UNWIND_PAGE_SHIFT = 16, UNWIND_PAGE_BYTES = 1 << UNWIND_PAGE_SHIFT };

/* From this offset in its page to the next row, or to the end of the page. */
struct unwind_row {
	uint16_t off;
	uint16_t rule; /* number in the file's table; 0 is the rule of a hole */
};
_Static_assert(sizeof(struct unwind_row) == 4, "rows are stored by the million");
