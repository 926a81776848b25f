/*
 * unwind_expr: DWARF expressions of call frame information, as far as compilers use them.
 *
 * Expressions are not run but understood: what they compute is a register or the CFA plus a
 * constant, or what is in memory there plus another constant.
 * DWARF 5 sections 2.5 and 6.4.2.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/reader.h"

enum unwind_base {
	UNWIND_BASE_NONE, /* off alone */
	UNWIND_BASE_CFA,
	UNWIND_BASE_REG,
	UNWIND_BASE_PLT, /* rsp + off + ((rip & 15) >= extra) * 8; only by unwind_expr_read() */
};

/* base + off, or *(base + off) + extra when deref. */
struct unwind_value {
	uint8_t base; /* enum unwind_base */
	uint8_t reg;  /* DWARF number, for UNWIND_BASE_REG */
	bool deref;
	int64_t off;
	int64_t extra;
};

/* What the expression computes. push_cfa: it begins with the CFA on its stack, as the rules of
 * registers do. False: it ends early, or computes something else. */
bool unwind_expr_read(struct reader expr, bool push_cfa, struct unwind_value *value);
