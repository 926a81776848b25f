#include "symbolizer/unwind_cfi.h"

#include <assert.h>
#include <stddef.h>

#include "symbolizer/unwind_expr.h"

/* DWARF 5 section 7.24, and GCC's extensions in include/dwarf2.def. The first three hold an
 * operand in their low six bits. */
enum {
	CFA_ADVANCE_LOC = 0x40,
	CFA_OFFSET = 0x80,
	CFA_RESTORE = 0xc0,
	CFA_NOP = 0x00,
	CFA_SET_LOC = 0x01,
	CFA_ADVANCE_LOC1 = 0x02,
	CFA_ADVANCE_LOC2 = 0x03,
	CFA_ADVANCE_LOC4 = 0x04,
	CFA_OFFSET_EXTENDED = 0x05,
	CFA_RESTORE_EXTENDED = 0x06,
	CFA_UNDEFINED = 0x07,
	CFA_SAME_VALUE = 0x08,
	CFA_REGISTER = 0x09,
	CFA_REMEMBER_STATE = 0x0a,
	CFA_RESTORE_STATE = 0x0b,
	CFA_DEF_CFA = 0x0c,
	CFA_DEF_CFA_REGISTER = 0x0d,
	CFA_DEF_CFA_OFFSET = 0x0e,
	CFA_DEF_CFA_EXPRESSION = 0x0f,
	CFA_EXPRESSION = 0x10,
	CFA_OFFSET_EXTENDED_SF = 0x11,
	CFA_DEF_CFA_SF = 0x12,
	CFA_DEF_CFA_OFFSET_SF = 0x13,
	CFA_VAL_OFFSET = 0x14,
	CFA_VAL_OFFSET_SF = 0x15,
	CFA_VAL_EXPRESSION = 0x16,
	CFA_MIPS_ADVANCE_LOC8 = 0x1d,
	CFA_GNU_ARGS_SIZE = 0x2e,
	CFA_GNU_NEGATIVE_OFFSET_EXTENDED = 0x2f,
};

enum { REG_BX = 3, REG_FP = 6, REG_SP = 7, REG_RA = 16 }; /* psABI 1.0, table 3.36 */
enum { MAX_STATES = 64, MAX_EXPRESSION_BYTES = 1024 };

struct run {
	const struct cfi_common *common;
	const struct eh_section *section;
	struct reader program;
	uint64_t vaddr, limit_vaddr;
	cfi_row_fn fn; /* NULL: in a CIE */
	void *ctx;
	struct cfi_row row;
	size_t depth;
	bool failed;
	enum unwind_unsupported why;
	struct cfi_row states[MAX_STATES]; /* only the first depth are set */
};

static void fail(struct run *run, enum unwind_unsupported why)
{
	if (!run->failed)
		run->why = why;
	run->failed = true;
}

/* The place of register reg in row; NULL for a register that is not followed. */
static struct cfi_place *place_of(struct cfi_row *row, uint64_t reg)
{
	switch (reg) {
	case REG_BX:
		return &row->bx;
	case REG_FP:
		return &row->fp;
	case REG_SP:
		return &row->sp;
	case REG_RA:
		return &row->ra;
	default:
		return NULL;
	}
}

static bool fits_i32(int64_t value)
{
	return value >= INT32_MIN && value <= INT32_MAX;
}

static struct cfi_place place_at(uint8_t how, const struct unwind_value *value)
{
	if (!fits_i32(value->off) || !fits_i32(value->extra))
		return (struct cfi_place){.how = CFI_TOO_FAR};
	return (struct cfi_place){.how = how,
				  .base = value->base,
				  .reg = value->reg,
				  .off = (int32_t)value->off,
				  .extra = (int32_t)value->extra};
}

static void set(struct run *run, uint64_t reg, struct cfi_place place)
{
	struct cfi_place *known = place_of(&run->row, reg);
	if (known)
		*known = place;
}

static void set_how(struct run *run, uint64_t reg, enum cfi_how how)
{
	set(run, reg, (struct cfi_place){.how = (uint8_t)how});
}

/* CFI_SAVED at, or CFI_IS, the CFA plus an offset in units of data_align. */
static void set_offset(struct run *run, uint64_t reg, enum cfi_how how, int64_t factored)
{
	struct unwind_value value = {.base = UNWIND_BASE_CFA};
	if (__builtin_mul_overflow(factored, run->common->data_align, &value.off))
		set_how(run, reg, CFI_TOO_FAR);
	else
		set(run, reg, place_at((uint8_t)how, &value));
}

/* An unsigned operand as a signed factor. */
static int64_t read_factor(struct run *run)
{
	uint64_t value = reader_varint(&run->program);
	return value > INT64_MAX ? INT64_MAX : (int64_t)value;
}

static void set_register(struct run *run, uint64_t reg, uint64_t in_reg)
{
	struct unwind_value value = {.base = UNWIND_BASE_REG, .reg = (uint8_t)in_reg};
	if (in_reg > UINT8_MAX)
		set_how(run, reg, CFI_UNKNOWN);
	else if (in_reg == reg)
		set_how(run, reg, CFI_SAME);
	else
		set(run, reg, place_at(CFI_IS, &value));
}

static struct cfi_place read_expression(struct run *run, bool push_cfa, bool is_address)
{
	uint64_t len_bytes = reader_varint(&run->program);
	struct reader expr = reader_sub(&run->program, len_bytes);
	struct unwind_value value;
	if (expr.bad || len_bytes > MAX_EXPRESSION_BYTES ||
	    !unwind_expr_read(expr, push_cfa, &value))
		return (struct cfi_place){.how = CFI_UNKNOWN};
	if (is_address)
		return place_at(value.deref ? CFI_SAVED_2 : CFI_SAVED, &value);
	return place_at(value.deref ? CFI_IS_2 : CFI_IS, &value);
}

static void restore(struct run *run, uint64_t reg)
{
	struct cfi_row initial = run->common->initial;
	struct cfi_place *place = place_of(&initial, reg);
	if (place)
		set(run, reg, *place);
}

/* The row so far holds up to vaddr. */
static void advance_to(struct run *run, uint64_t vaddr)
{
	if (!run->fn || vaddr < run->vaddr) {
		fail(run, UNWIND_BAD_PROGRAM);
		return;
	}
	if (vaddr > run->vaddr)
		run->fn(run->ctx, run->vaddr, &run->row);
	run->vaddr = vaddr;
}

static void advance(struct run *run, uint64_t factored)
{
	uint64_t delta_bytes, vaddr;
	if (__builtin_mul_overflow(factored, run->common->code_align, &delta_bytes) ||
	    __builtin_add_overflow(run->vaddr, delta_bytes, &vaddr))
		vaddr = UINT64_MAX;
	advance_to(run, vaddr);
}

static void define_cfa(struct run *run, uint64_t reg, int64_t off)
{
	run->row.has_cfa = true;
	run->row.cfa = (struct cfi_place){0};
	run->row.cfa_reg = reg;
	run->row.cfa_off = off;
}

static int64_t read_factored_sleb(struct run *run)
{
	int64_t off, factored = reader_sleb(&run->program);
	if (__builtin_mul_overflow(factored, run->common->data_align, &off))
		return INT64_MAX; /* fits no rule either */
	return off;
}

static void remember_state(struct run *run)
{
	if (run->depth == MAX_STATES)
		fail(run, UNWIND_BAD_STATE_DEPTH);
	else
		run->states[run->depth++] = run->row;
}

static void restore_state(struct run *run)
{
	if (run->depth == 0)
		fail(run, UNWIND_BAD_PROGRAM);
	else
		run->row = run->states[--run->depth];
}

/* Where the CFA is. False: not such an instruction. */
static bool do_cfa(struct run *run, uint8_t op)
{
	struct reader *r = &run->program;
	uint64_t reg;
	switch (op) {
	case CFA_DEF_CFA:
		reg = reader_varint(r);
		define_cfa(run, reg, read_factor(run));
		return true;
	case CFA_DEF_CFA_SF:
		reg = reader_varint(r);
		define_cfa(run, reg, read_factored_sleb(run));
		return true;
	case CFA_DEF_CFA_REGISTER:
		define_cfa(run, reader_varint(r), run->row.cfa_off);
		return true;
	/* After an expression, these wait for the next register: as in libgcc. */
	case CFA_DEF_CFA_OFFSET:
		run->row.cfa_off = read_factor(run);
		return true;
	case CFA_DEF_CFA_OFFSET_SF:
		run->row.cfa_off = read_factored_sleb(run);
		return true;
	case CFA_DEF_CFA_EXPRESSION:
		run->row.has_cfa = true;
		run->row.cfa = read_expression(run, false, false);
		return true;
	default:
		return false;
	}
}

/* Where a register is. False: not such an instruction. */
static bool do_register(struct run *run, uint8_t op)
{
	struct reader *r = &run->program;
	if ((op < CFA_OFFSET_EXTENDED || op > CFA_REGISTER) && op != CFA_EXPRESSION &&
	    op != CFA_OFFSET_EXTENDED_SF && (op < CFA_VAL_OFFSET || op > CFA_VAL_EXPRESSION) &&
	    op != CFA_GNU_NEGATIVE_OFFSET_EXTENDED)
		return false;
	uint64_t reg = reader_varint(r);
	switch (op) {
	case CFA_OFFSET_EXTENDED:
		set_offset(run, reg, CFI_SAVED, read_factor(run));
		break;
	case CFA_OFFSET_EXTENDED_SF:
		set_offset(run, reg, CFI_SAVED, reader_sleb(r));
		break;
	case CFA_GNU_NEGATIVE_OFFSET_EXTENDED:
		set_offset(run, reg, CFI_SAVED, -read_factor(run));
		break;
	case CFA_VAL_OFFSET:
		set_offset(run, reg, CFI_IS, read_factor(run));
		break;
	case CFA_VAL_OFFSET_SF:
		set_offset(run, reg, CFI_IS, reader_sleb(r));
		break;
	case CFA_RESTORE_EXTENDED:
		restore(run, reg);
		break;
	case CFA_UNDEFINED:
		set_how(run, reg, CFI_UNDEFINED);
		break;
	case CFA_SAME_VALUE:
		set_how(run, reg, CFI_SAME);
		break;
	case CFA_REGISTER:
		set_register(run, reg, reader_varint(r));
		break;
	default: /* CFA_EXPRESSION, CFA_VAL_EXPRESSION */
		set(run, reg, read_expression(run, true, op == CFA_EXPRESSION));
	}
	return true;
}

static void do_other(struct run *run, uint8_t op)
{
	struct reader *r = &run->program;
	switch (op) {
	case CFA_NOP:
		break;
	case CFA_ADVANCE_LOC1:
		advance(run, reader_u8(r));
		break;
	case CFA_ADVANCE_LOC2:
		advance(run, reader_u16(r));
		break;
	case CFA_ADVANCE_LOC4:
		advance(run, reader_u32(r));
		break;
	case CFA_MIPS_ADVANCE_LOC8:
		advance(run, reader_u64(r));
		break;
	case CFA_SET_LOC:
		if (eh_pointer_is_known(run->section, run->common->encoding))
			advance_to(run, eh_pointer_read(run->section, run->common->encoding, r));
		else
			fail(run, UNWIND_BAD_PROGRAM);
		break;
	case CFA_REMEMBER_STATE:
		remember_state(run);
		break;
	case CFA_RESTORE_STATE:
		restore_state(run);
		break;
	case CFA_GNU_ARGS_SIZE: /* for landing pads only */
		reader_varint(r);
		break;
	default:
		fail(run, UNWIND_BAD_INSTRUCTION);
	}
}

static void do_instruction(struct run *run)
{
	uint8_t op = reader_u8(&run->program);
	uint8_t operand = op & 0x3f;
	switch (op & 0xc0) {
	case CFA_ADVANCE_LOC:
		advance(run, operand);
		break;
	case CFA_OFFSET:
		set_offset(run, operand, CFI_SAVED, read_factor(run));
		break;
	case CFA_RESTORE:
		restore(run, operand);
		break;
	default:
		if (!do_cfa(run, op) && !do_register(run, op))
			do_other(run, op);
	}
}

/* An instruction is done as a whole or not at all: its operands are read first, and a reader
 * that ran out fails the run before the row is used again. */
static void run_program(struct run *run)
{
	while (reader_left_bytes(&run->program) > 0 && !run->failed &&
	       (!run->fn || run->vaddr < run->limit_vaddr)) {
		do_instruction(run);
		if (run->program.bad)
			fail(run, UNWIND_BAD_PROGRAM);
	}
}

bool cfi_run_common(struct cfi_common *common, const struct eh_section *section,
		    struct reader program, enum unwind_unsupported *why)
{
	struct run run;
	run.common = common;
	run.section = section;
	run.program = program;
	run.fn = NULL;
	run.row = (struct cfi_row){0};
	run.depth = 0;
	run.failed = false;
	common->initial = run.row;
	run_program(&run);
	if (run.failed)
		*why = run.why;
	else
		common->initial = run.row;
	return !run.failed;
}

bool cfi_run(const struct cfi_common *common, const struct eh_section *section,
	     struct reader program, uint64_t start_vaddr, uint64_t limit_vaddr, cfi_row_fn fn,
	     void *ctx, uint64_t *bad_vaddr, enum unwind_unsupported *why)
{
	struct run run; /* not cleared: 64 states are much more than most functions need */
	run.common = common;
	run.section = section;
	run.program = program;
	run.vaddr = start_vaddr;
	run.limit_vaddr = limit_vaddr;
	run.fn = fn;
	run.ctx = ctx;
	run.row = common->initial;
	run.depth = 0;
	run.failed = false;
	run_program(&run);
	if (run.failed) {
		*bad_vaddr = run.vaddr;
		*why = run.why;
		return false;
	}
	if (run.vaddr < limit_vaddr)
		fn(ctx, run.vaddr, &run.row);
	return true;
}

static uint32_t bit(enum unwind_unsupported kind)
{
	return UINT32_C(1) << kind;
}

static bool fits_i16(int32_t value)
{
	return value >= INT16_MIN && value <= INT16_MAX;
}

static bool is_reg(const struct cfi_place *place, uint8_t how, uint8_t reg)
{
	return place->how == how && place->base == UNWIND_BASE_REG && place->reg == reg;
}

/* The CFA as a place, whichever way it was defined. */
static struct cfi_place cfa_place(const struct cfi_row *row)
{
	if (row->cfa.how != CFI_UNSPECIFIED)
		return row->cfa;
	struct unwind_value value = {
		.base = UNWIND_BASE_REG, .reg = (uint8_t)row->cfa_reg, .off = row->cfa_off};
	if (row->cfa_reg > UINT8_MAX)
		return (struct cfi_place){.how = CFI_UNKNOWN};
	return place_at(CFI_IS, &value);
}

static uint32_t set_cfa(const struct cfi_row *row, const struct cfi_place *cfa,
			struct unwind_rule *rule)
{
	if (!row->has_cfa)
		return bit(UNWIND_BAD_CFA_MISSING);
	if (cfa->how == CFI_TOO_FAR || !fits_i16(cfa->extra))
		return bit(UNWIND_BAD_OFFSET);
	rule->cfa_off = cfa->off;
	rule->extra = (int16_t)cfa->extra;
	if (is_reg(cfa, CFI_IS, REG_SP)) {
		rule->cfa = UNWIND_CFA_SP;
	} else if (is_reg(cfa, CFI_IS, REG_FP)) {
		rule->cfa = UNWIND_CFA_FP;
	} else if (is_reg(cfa, CFI_IS_2, REG_SP)) {
		rule->cfa = UNWIND_CFA_SP_DEREF;
	} else if (is_reg(cfa, CFI_IS_2, REG_FP)) {
		rule->cfa = UNWIND_CFA_FP_DEREF;
	} else if (cfa->how == CFI_IS && cfa->base == UNWIND_BASE_PLT) {
		rule->cfa = UNWIND_CFA_PLT;
	} else if (cfa->how == CFI_IS && cfa->base == UNWIND_BASE_REG && cfa->reg < REG_RA) {
		rule->cfa = UNWIND_CFA_REG;
		rule->extra = cfa->reg;
	} else {
		return bit(UNWIND_BAD_CFA_EXPRESSION);
	}
	return 0;
}

/* A place in the terms of rules. False: there are none for it. */
static bool saved_at(const struct cfi_place *place, uint8_t *at, int32_t *off)
{
	*off = place->off;
	if (place->how == CFI_SAVED && place->base == UNWIND_BASE_CFA)
		*at = UNWIND_AT_CFA;
	else if (is_reg(place, CFI_SAVED, REG_SP))
		*at = UNWIND_AT_SP;
	else if (is_reg(place, CFI_SAVED, REG_FP))
		*at = UNWIND_AT_FP;
	else if (place->how == CFI_IS && place->base == UNWIND_BASE_REG && place->off == 0 &&
		 place->reg < REG_RA) {
		*at = UNWIND_AT_REG;
		*off = place->reg;
	} else {
		return false;
	}
	return true;
}

static uint32_t set_ra(const struct cfi_place *ra, struct unwind_rule *rule)
{
	int32_t off;
	if (ra->how == CFI_UNSPECIFIED)
		return bit(UNWIND_BAD_RA_MISSING);
	if (ra->how == CFI_TOO_FAR)
		return bit(UNWIND_BAD_OFFSET);
	if (!saved_at(ra, &rule->ra, &off))
		return bit(UNWIND_BAD_RA_RULE);
	if (!fits_i16(off))
		return bit(UNWIND_BAD_OFFSET);
	rule->ra_off = (int16_t)off;
	return 0;
}

/* The caller's rsp is taken for the CFA; signal frames say so in other words. */
static uint32_t check_sp(const struct cfi_place *sp, const struct cfi_place *cfa)
{
	bool is_cfa = sp->how == CFI_UNSPECIFIED;
	if (sp->how == CFI_IS && sp->base == UNWIND_BASE_CFA)
		is_cfa = sp->off == 0;
	else if (sp->how == CFI_SAVED && cfa->how == CFI_IS_2)
		is_cfa = sp->base == cfa->base && sp->reg == cfa->reg && sp->off == cfa->off &&
			 cfa->extra == 0;
	else if (sp->how == cfa->how && (sp->how == CFI_IS || sp->how == CFI_IS_2))
		is_cfa = sp->base == cfa->base && sp->reg == cfa->reg && sp->off == cfa->off &&
			 sp->extra == cfa->extra;
	return is_cfa ? 0 : bit(UNWIND_BAD_SP_RULE);
}

static bool is_kept(const struct cfi_place *place, uint8_t reg)
{
	return place->how == CFI_UNSPECIFIED || place->how == CFI_SAME ||
	       (is_reg(place, CFI_IS, reg) && place->off == 0);
}

static uint32_t set_fp(const struct cfi_place *fp, struct unwind_rule *rule)
{
	if (is_kept(fp, REG_FP)) {
		rule->fp = UNWIND_AT_SAME;
		return 0;
	}
	if (fp->how == CFI_UNDEFINED) {
		rule->fp = UNWIND_AT_UNDEFINED;
		return 0;
	}
	if (saved_at(fp, &rule->fp, &rule->fp_off))
		return 0;
	rule->fp = UNWIND_AT_UNSUPPORTED;
	rule->fp_off = 0;
	return bit(fp->how == CFI_TOO_FAR ? UNWIND_BAD_OFFSET : UNWIND_BAD_FP_RULE);
}

/* enum unwind_rbx; one that is lost is no failure, as hardly any caller needs it. */
static uint32_t rbx_number(const struct cfi_place *bx, const struct unwind_rule *rule)
{
	int64_t slots = -(int64_t)bx->off / 8;
	if (is_kept(bx, REG_BX))
		return UNWIND_RBX_SAME;
	if (rule->fp == UNWIND_AT_SP && is_reg(bx, CFI_SAVED, REG_SP) &&
	    bx->off == (int64_t)rule->fp_off + 8)
		return UNWIND_RBX_AFTER_FP;
	if (bx->how != CFI_SAVED || bx->off % 8)
		return UNWIND_RBX_LOST;
	if (bx->base == UNWIND_BASE_CFA && slots >= 1 && slots <= UNWIND_RBX_AT_CFA_LAST)
		return (uint32_t)slots;
	if (is_reg(bx, CFI_SAVED, REG_FP) && slots >= 0 &&
	    slots <= UNWIND_RBX_AT_FP_LAST - UNWIND_RBX_AT_FP)
		return UNWIND_RBX_AT_FP + (uint32_t)slots;
	return UNWIND_RBX_LOST;
}

uint32_t cfi_rule(const struct cfi_row *row, bool is_signal_frame, struct unwind_rule *rule)
{
	*rule = (struct unwind_rule){.cfa = UNWIND_CFA_END};
	if (row->ra.how == CFI_UNDEFINED)
		return 0;
	struct cfi_place cfa = cfa_place(row);
	uint32_t missing = set_cfa(row, &cfa, rule) | set_ra(&row->ra, rule);
	if (!missing)
		missing = check_sp(&row->sp, &cfa);
	if (missing) {
		*rule = (struct unwind_rule){.cfa = UNWIND_CFA_UNSUPPORTED};
		return missing;
	}
	missing = set_fp(&row->fp, rule);
	rule->flags = (uint8_t)(rbx_number(&row->bx, rule) << UNWIND_RBX_SHIFT |
				(is_signal_frame ? UNWIND_SIGNAL_FRAME : 0));
	return missing;
}
