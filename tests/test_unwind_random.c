/*
 * Random call frame programs: rows against an interpreter that follows the list of instructions,
 * not the bytes, from the start for every address, as DWARF 5 section 6.4.3 defines it.
 * SEED=n begins with that one.
 */
#include <assert.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/array.h"
#include "cfi_maker.h"
#include "symbolizer/unwind.h"

enum { ROUNDS = 300, MAX_FUNCTIONS = 12, MAX_STEPS = 60, MAX_STATES = 64 };

enum step_kind {
	ADVANCE,
	CFA,        /* reg + off */
	CFA_REG,    /* another register, same offset */
	CFA_OFFSET, /* same register */
	CFA_DEREF,  /* *(reg + off) + extra */
	SAVED,      /* reg at CFA + off */
	SAVED_BY,   /* reg at base + off: an expression */
	IN_REG,
	SAME,
	LOST,
	INITIAL,
	REMEMBER,
	RECALL,
	NOTHING,
	STEP_KINDS,
};

struct step {
	enum step_kind kind;
	uint32_t reg, other;
	int32_t off, extra;
};

struct function {
	uint64_t start_vaddr;
	uint32_t len_bytes;
	struct step steps[MAX_STEPS];
	size_t count;
};

static uint32_t roll(uint64_t *seed, uint32_t sides)
{
	assert(sides > 0);
	*seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(*seed >> 33) % sides;
}

static struct step random_step(uint64_t *seed, size_t *depth)
{
	static const uint32_t followed[] = {6, 6, 6, 16, 3, 3, 12, 15};
	static const uint32_t bases[] = {7, 7, 6, 6, 10, 13};
	struct step step = {
		.kind = roll(seed, 2) ? ADVANCE : roll(seed, STEP_KINDS),
		.reg = followed[roll(seed, ARRAY_LEN(followed))],
		.other = roll(seed, 16),
		.off = 8 * ((int32_t)roll(seed, 400) - 200),
		.extra = 8 * (int32_t)roll(seed, 20),
	};
	if (step.kind == ADVANCE)
		step.off = (int32_t)roll(seed, roll(seed, 8) ? 12 : 700);
	if (step.kind == CFA || step.kind == CFA_REG)
		step.reg = bases[roll(seed, ARRAY_LEN(bases))];
	if (step.kind == CFA_DEREF || step.kind == SAVED_BY)
		step.other = 6 + roll(seed, 2);
	if (step.kind == CFA || step.kind == CFA_OFFSET)
		step.off = abs(step.off);
	if (step.kind == SAME && step.reg == 16)
		step.reg = 6; /* no return address is "the same" */
	if (step.kind == RECALL && *depth == 0)
		step.kind = NOTHING;
	if (step.kind == REMEMBER && *depth == MAX_STATES)
		step.kind = NOTHING;
	*depth += step.kind == REMEMBER;
	*depth -= step.kind == RECALL;
	return step;
}

static void append_sleb(struct buf *out, int64_t value)
{
	bool more = true;
	while (more) {
		uint8_t byte = value & 0x7f;
		value >>= 7;
		more = !((value == 0 && !(byte & 0x40)) || (value == -1 && (byte & 0x40)));
		buf_append_u8(out, more ? byte | 0x80 : byte);
	}
}

static void append_advance(struct buf *out, uint32_t len_bytes, uint32_t form)
{
	if (len_bytes < 64 && form == 0) {
		buf_append_u8(out, 0x40 | (uint8_t)len_bytes);
	} else if (len_bytes < 256 && form <= 1) {
		buf_append_u8(out, 0x02);
		buf_append_u8(out, (uint8_t)len_bytes);
	} else if (form <= 2) {
		buf_append_u8(out, 0x03);
		buf_append_u8(out, (uint8_t)len_bytes);
		buf_append_u8(out, (uint8_t)(len_bytes >> 8));
	} else {
		buf_append_u8(out, 0x04);
		buf_append_u32le(out, len_bytes);
	}
}

static void append_saved(struct buf *out, uint32_t reg, int32_t off, uint32_t form)
{
	int32_t factored = off / -8;
	if (factored >= 0 && form == 0) {
		buf_append_u8(out, 0x80 | (uint8_t)reg);
		buf_append_varint(out, (uint64_t)factored);
	} else if (factored >= 0 && form == 1) {
		buf_append_u8(out, 0x05);
		buf_append_varint(out, reg);
		buf_append_varint(out, (uint64_t)factored);
	} else if (factored < 0 && form == 2) {
		buf_append_u8(out, 0x2f);
		buf_append_varint(out, reg);
		buf_append_varint(out, (uint64_t)-factored);
	} else {
		buf_append_u8(out, 0x11);
		buf_append_varint(out, reg);
		append_sleb(out, factored);
	}
}

/* op [reg] length: breg base, off [deref, plus_uconst extra] */
static void append_expression(struct buf *out, uint8_t op, uint32_t reg, const struct step *step)
{
	struct buf expr;
	buf_init(&expr, 64);
	buf_append_u8(&expr, (uint8_t)(0x70 + step->other));
	append_sleb(&expr, step->off);
	if (step->kind == CFA_DEREF)
		buf_append_u8(&expr, 0x06);
	if (step->kind == CFA_DEREF && step->extra) {
		buf_append_u8(&expr, 0x23);
		buf_append_varint(&expr, (uint64_t)step->extra);
	}
	buf_append_u8(out, op);
	if (op == 0x10)
		buf_append_varint(out, reg);
	buf_append_varint(out, expr.len_bytes);
	buf_append(out, expr.data, expr.len_bytes);
	buf_fini(&expr);
}

static void append_two(struct buf *out, uint8_t op, uint32_t first, uint32_t second)
{
	buf_append_u8(out, op);
	buf_append_varint(out, first);
	buf_append_varint(out, second);
}

static void append_one(struct buf *out, uint8_t op, uint32_t operand)
{
	buf_append_u8(out, op);
	buf_append_varint(out, operand);
}

static void append_step(struct buf *out, const struct step *step, uint32_t form)
{
	switch (step->kind) {
	case ADVANCE:
		append_advance(out, (uint32_t)step->off, form);
		break;
	case CFA:
		if (form < 3)
			append_two(out, 0x0c, step->reg, (uint32_t)step->off);
		else
			append_one(out, 0x12, step->reg);
		if (form == 3)
			append_sleb(out, step->off / -8);
		break;
	case CFA_REG:
		append_one(out, 0x0d, step->reg);
		break;
	case CFA_OFFSET:
		if (form < 3)
			append_one(out, 0x0e, (uint32_t)step->off);
		else
			buf_append_u8(out, 0x13);
		if (form == 3)
			append_sleb(out, step->off / -8);
		break;
	case CFA_DEREF:
		append_expression(out, 0x0f, 0, step);
		break;
	case SAVED:
		append_saved(out, step->reg, step->off, form);
		break;
	case SAVED_BY:
		append_expression(out, 0x10, step->reg, step);
		break;
	case IN_REG:
		append_two(out, 0x09, step->reg, step->other);
		break;
	case SAME:
		append_one(out, 0x08, step->reg);
		break;
	case LOST:
		append_one(out, 0x07, step->reg);
		break;
	case INITIAL:
		if (form < 2)
			buf_append_u8(out, 0xc0 | (uint8_t)step->reg);
		else
			append_one(out, 0x06, step->reg);
		break;
	case REMEMBER:
		buf_append_u8(out, 0x0a);
		break;
	case RECALL:
		buf_append_u8(out, 0x0b);
		break;
	default:
		append_one(out, 0x2e, step->other);
	}
}

/* The table's row at one address, in the words of this test. */
struct naive {
	bool by_memory; /* CFA_DEREF */
	struct step memory;
	uint32_t reg;
	int32_t off;
	struct step fp, bx, ra; /* NOTHING: never said */
};

static void naive_step(struct naive *now, const struct step *step)
{
	struct step *place = NULL;
	if (step->reg == 6)
		place = &now->fp;
	else if (step->reg == 3)
		place = &now->bx;
	else if (step->reg == 16)
		place = &now->ra;
	switch (step->kind) {
	case CFA:
		now->reg = step->reg;
		now->off = step->off;
		now->by_memory = false;
		break;
	case CFA_REG:
		now->reg = step->reg;
		now->by_memory = false;
		break;
	case CFA_OFFSET:
		now->off = step->off;
		break;
	case CFA_DEREF:
		now->memory = *step;
		now->by_memory = true;
		break;
	case INITIAL:
		if (step->reg == 6)
			now->fp = (struct step){.kind = NOTHING};
		else if (step->reg == 3)
			now->bx = (struct step){.kind = NOTHING};
		else if (step->reg == 16)
			now->ra = (struct step){.kind = SAVED, .off = -8};
		break;
	case SAVED:
	case SAVED_BY:
	case IN_REG:
	case SAME:
	case LOST:
		if (place)
			*place = *step;
		break;
	default:
		break;
	}
}

static struct naive naive_row(const struct function *function, uint64_t vaddr)
{
	struct naive now = {.reg = 7,
			    .off = 8,
			    .fp = {.kind = NOTHING},
			    .bx = {.kind = NOTHING},
			    .ra = {.kind = SAVED, .off = -8}};
	struct naive remembered[MAX_STATES];
	size_t depth = 0;
	uint64_t at = function->start_vaddr;
	for (size_t i = 0; i < function->count; i++) {
		const struct step *step = &function->steps[i];
		if (step->kind == ADVANCE && at + (uint64_t)step->off > vaddr)
			break;
		if (step->kind == ADVANCE)
			at += (uint64_t)step->off;
		else if (step->kind == REMEMBER)
			remembered[depth++] = now;
		else if (step->kind == RECALL)
			now = remembered[--depth];
		else
			naive_step(&now, step);
	}
	return now;
}

static void naive_place(const struct step *place, uint8_t *at, int32_t *off)
{
	*off = place->off;
	switch (place->kind) {
	case SAVED:
		*at = UNWIND_AT_CFA;
		break;
	case SAVED_BY:
		*at = place->other == 7 ? UNWIND_AT_SP : UNWIND_AT_FP;
		break;
	case IN_REG:
		*at = place->other == place->reg ? UNWIND_AT_SAME : UNWIND_AT_REG;
		*off = place->other == place->reg ? 0 : (int32_t)place->other;
		break;
	case LOST:
		*at = UNWIND_AT_UNDEFINED;
		*off = 0;
		break;
	default:
		*at = UNWIND_AT_SAME;
		*off = 0;
	}
}

/* Does that number of enum unwind_rbx, as it is documented, say the same as the step? */
static bool says_rbx(uint32_t number, const struct step *bx, const struct unwind_rule *rule)
{
	if (number == UNWIND_RBX_SAME)
		return bx->kind == SAME || bx->kind == NOTHING ||
		       (bx->kind == IN_REG && bx->other == bx->reg);
	if (number <= UNWIND_RBX_AT_CFA_LAST)
		return bx->kind == SAVED && bx->off == -8 * (int32_t)number;
	if (number == UNWIND_RBX_AFTER_FP)
		return bx->kind == SAVED_BY && bx->other == 7 && rule->fp == UNWIND_AT_SP &&
		       bx->off == rule->fp_off + 8;
	return number >= UNWIND_RBX_AT_FP && bx->kind == SAVED_BY && bx->other == 6 &&
	       bx->off == -8 * (int32_t)(number - UNWIND_RBX_AT_FP);
}

static uint8_t naive_rbx(const struct step *bx, const struct unwind_rule *rule)
{
	for (uint32_t number = 0; number <= UNWIND_RBX_AT_FP_LAST; number++)
		if (says_rbx(number, bx, rule))
			return (uint8_t)(number << UNWIND_RBX_SHIFT);
	return UNWIND_RBX_LOST << UNWIND_RBX_SHIFT;
}

static struct unwind_rule naive_rule(const struct naive *row)
{
	struct unwind_rule rule = {.cfa = UNWIND_CFA_END};
	int32_t ra_off;
	if (row->ra.kind == LOST)
		return rule;
	naive_place(&row->ra, &rule.ra, &ra_off);
	naive_place(&row->fp, &rule.fp, &rule.fp_off);
	rule.ra_off = (int16_t)ra_off;
	rule.flags = naive_rbx(&row->bx, &rule);
	if (row->by_memory) {
		rule.cfa = row->memory.other == 7 ? UNWIND_CFA_SP_DEREF : UNWIND_CFA_FP_DEREF;
		rule.cfa_off = row->memory.off;
		rule.extra = (int16_t)row->memory.extra;
		return rule;
	}
	rule.cfa_off = row->off;
	if (row->reg == 7)
		rule.cfa = UNWIND_CFA_SP;
	else if (row->reg == 6)
		rule.cfa = UNWIND_CFA_FP;
	else
		rule.cfa = UNWIND_CFA_REG;
	if (rule.cfa == UNWIND_CFA_REG)
		rule.extra = (int16_t)row->reg;
	return rule;
}

/* Functions in a row with holes now and then; their entries in any order. */
static size_t random_functions(uint64_t *seed, struct function functions[MAX_FUNCTIONS])
{
	size_t count = 1 + roll(seed, MAX_FUNCTIONS);
	uint64_t vaddr = CFI_TEXT_VADDR + 65000; /* so that pages are crossed */
	for (size_t i = 0; i < count; i++) {
		struct function *function = &functions[i];
		size_t depth = 0;
		vaddr += roll(seed, 3) ? 0 : roll(seed, 300);
		function->start_vaddr = vaddr;
		function->len_bytes = 1 + roll(seed, roll(seed, 4) ? 300 : 5000);
		function->count = roll(seed, MAX_STEPS);
		for (size_t j = 0; j < function->count; j++)
			function->steps[j] = random_step(seed, &depth);
		vaddr += function->len_bytes;
	}
	return count;
}

static struct unwind_rows *rows_of(uint64_t *seed, const struct function *functions, size_t count)
{
	struct buf frame, bytes;
	buf_init(&frame, CFI_MAX_BYTES);
	buf_init(&bytes, CFI_MAX_BYTES);
	cfi_add_usual_common(&frame);
	size_t first = roll(seed, (uint32_t)count);
	for (size_t i = 0; i < count; i++) {
		const struct function *function = &functions[(first + i) % count];
		struct buf program;
		buf_init(&program, CFI_MAX_BYTES);
		for (size_t j = 0; j < function->count; j++)
			append_step(&program, &function->steps[j], roll(seed, 4));
		cfi_add_function(&frame, 0, function->start_vaddr, function->len_bytes,
				 program.data, program.len_bytes);
		buf_fini(&program);
	}
	assert_int_equal(buf_error(&frame), 0);
	const struct cfi_image image = {.eh_frame = &frame};
	cfi_make_image(&bytes, &image);
	struct elf_file *file;
	struct unwind_rows *rows;
	assert_int_equal(elf_file_from_memory(&file, bytes.data, bytes.len_bytes, NULL), 0);
	assert_int_equal(unwind_rows_open(&rows, file, NULL), 0);
	elf_file_free(file);
	buf_fini(&frame);
	buf_fini(&bytes);
	return rows;
}

static void compare(uint64_t seed, uint64_t vaddr, const struct unwind_rows *rows,
		    struct unwind_rule wanted)
{
	const struct unwind_rule *rule = unwind_rows_find(rows, vaddr);
	/* a return address in its own register is nowhere */
	if (wanted.cfa > UNWIND_CFA_UNSUPPORTED && wanted.ra == UNWIND_AT_SAME)
		wanted = (struct unwind_rule){.cfa = UNWIND_CFA_UNSUPPORTED};
	if (memcmp(rule, &wanted, sizeof(wanted)) != 0)
		fail_msg("SEED=%llu at %#llx: CFA %u %d %d rbp %u %d ra %u %d flags %#x, not CFA "
			 "%u %d %d rbp %u %d ra %u %d flags %#x",
			 (unsigned long long)seed, (unsigned long long)vaddr, rule->cfa,
			 rule->cfa_off, rule->extra, rule->fp, rule->fp_off, rule->ra, rule->ra_off,
			 rule->flags, wanted.cfa, wanted.cfa_off, wanted.extra, wanted.fp,
			 wanted.fp_off, wanted.ra, wanted.ra_off, wanted.flags);
}

static void one_round(uint64_t seed_given)
{
	static const struct unwind_rule hole = {0};
	uint64_t seed = seed_given;
	struct function functions[MAX_FUNCTIONS];
	size_t count = random_functions(&seed, functions);
	struct unwind_rows *rows = rows_of(&seed, functions, count);
	uint64_t vaddr = functions[0].start_vaddr - 10;
	for (size_t i = 0; i < count; i++) {
		for (; vaddr < functions[i].start_vaddr; vaddr++)
			compare(seed_given, vaddr, rows, hole);
		uint64_t limit = functions[i].start_vaddr + functions[i].len_bytes;
		for (; vaddr < limit; vaddr++) {
			struct naive row = naive_row(&functions[i], vaddr);
			compare(seed_given, vaddr, rows, naive_rule(&row));
		}
	}
	compare(seed_given, vaddr, rows, hole);
	assert_int_equal(unwind_rows_stats(rows)->functions, count);
	unwind_rows_free(rows);
}

static void random_programs(void **state)
{
	(void)state;
	const char *given = getenv("SEED");
	uint64_t first = given ? strtoull(given, NULL, 10) : 1;
	print_message("seeds %llu to %llu\n", (unsigned long long)first,
		      (unsigned long long)first + ROUNDS - 1);
	for (uint64_t seed = first; seed < first + ROUNDS; seed++)
		one_round(seed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(random_programs)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
