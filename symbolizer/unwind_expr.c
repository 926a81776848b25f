#include "symbolizer/unwind_expr.h"

#include <stddef.h>
#include <string.h>

/* DWARF 5 section 7.7.1. */
enum {
	OP_DEREF = 0x06,
	OP_CONST1U = 0x08,
	OP_CONST1S = 0x09,
	OP_CONST2U = 0x0a,
	OP_CONST2S = 0x0b,
	OP_CONST4U = 0x0c,
	OP_CONST4S = 0x0d,
	OP_CONST8U = 0x0e,
	OP_CONST8S = 0x0f,
	OP_CONSTU = 0x10,
	OP_CONSTS = 0x11,
	OP_DUP = 0x12,
	OP_DROP = 0x13,
	OP_AND = 0x1a,
	OP_MINUS = 0x1c,
	OP_PLUS = 0x22,
	OP_PLUS_UCONST = 0x23,
	OP_SHL = 0x24,
	OP_GE = 0x2a,
	OP_LIT0 = 0x30,
	OP_LIT31 = 0x4f,
	OP_BREG0 = 0x70,
	OP_BREG31 = 0x8f,
	OP_BREGX = 0x92,
	OP_NOP = 0x96,
};

enum { MAX_DEPTH = 8, REG_SP = 7, REG_IP = 16 };

struct machine {
	struct unwind_value stack[MAX_DEPTH];
	size_t depth;
	bool bad;
};

static void push(struct machine *machine, struct unwind_value value)
{
	if (machine->depth == MAX_DEPTH)
		machine->bad = true;
	else
		machine->stack[machine->depth++] = value;
}

static struct unwind_value pop(struct machine *machine)
{
	if (machine->depth == 0) {
		machine->bad = true;
		return (struct unwind_value){0};
	}
	return machine->stack[--machine->depth];
}

static void push_constant(struct machine *machine, uint64_t value)
{
	push(machine, (struct unwind_value){.off = (int64_t)value});
}

static void push_register(struct machine *machine, uint64_t reg, int64_t off)
{
	if (reg > UINT8_MAX)
		machine->bad = true;
	else
		push(machine, (struct unwind_value){
				      .base = UNWIND_BASE_REG, .reg = (uint8_t)reg, .off = off});
}

/* DWARF's arithmetic wraps. */
static void add_constant(struct machine *machine, uint64_t constant)
{
	struct unwind_value value = pop(machine);
	int64_t *sum = value.deref ? &value.extra : &value.off;
	*sum = (int64_t)((uint64_t)*sum + constant);
	push(machine, value);
}

static bool is_constant(const struct unwind_value *value)
{
	return value->base == UNWIND_BASE_NONE && !value->deref;
}

static void add(struct machine *machine)
{
	struct unwind_value right = pop(machine);
	if (is_constant(&right)) {
		add_constant(machine, (uint64_t)right.off);
		return;
	}
	struct unwind_value left = pop(machine);
	push(machine, right);
	if (is_constant(&left))
		add_constant(machine, (uint64_t)left.off);
	else
		machine->bad = true;
}

static void subtract(struct machine *machine)
{
	struct unwind_value right = pop(machine);
	if (is_constant(&right))
		add_constant(machine, -(uint64_t)right.off);
	else
		machine->bad = true;
}

static void deref(struct machine *machine)
{
	struct unwind_value value = pop(machine);
	if (value.deref || value.base == UNWIND_BASE_NONE)
		machine->bad = true;
	value.deref = true;
	push(machine, value);
}

static uint64_t read_constant(struct reader *r, uint8_t op)
{
	switch (op) {
	case OP_CONST1U:
		return reader_u8(r);
	case OP_CONST1S:
		return (uint64_t)(int64_t)(int8_t)reader_u8(r);
	case OP_CONST2U:
		return reader_u16(r);
	case OP_CONST2S:
		return (uint64_t)(int64_t)(int16_t)reader_u16(r);
	case OP_CONST4U:
		return reader_u32(r);
	case OP_CONST4S:
		return (uint64_t)(int64_t)(int32_t)reader_u32(r);
	case OP_CONSTU:
		return reader_varint(r);
	case OP_CONSTS:
		return (uint64_t)reader_sleb(r);
	default:
		return reader_u64(r);
	}
}

static void do_op(struct machine *machine, struct reader *r, uint8_t op)
{
	if (op >= OP_CONST1U && op <= OP_CONSTS) {
		push_constant(machine, read_constant(r, op));
	} else if (op >= OP_LIT0 && op <= OP_LIT31) {
		push_constant(machine, op - OP_LIT0);
	} else if (op >= OP_BREG0 && op <= OP_BREG31) {
		push_register(machine, op - OP_BREG0, reader_sleb(r));
	} else if (op == OP_BREGX) {
		uint64_t reg = reader_varint(r);
		push_register(machine, reg, reader_sleb(r));
	} else if (op == OP_DUP) {
		struct unwind_value top = pop(machine);
		push(machine, top);
		push(machine, top);
	} else if (op == OP_DROP) {
		pop(machine);
	} else if (op == OP_PLUS_UCONST) {
		add_constant(machine, reader_varint(r));
	} else if (op == OP_PLUS) {
		add(machine);
	} else if (op == OP_MINUS) {
		subtract(machine);
	} else if (op == OP_DEREF) {
		deref(machine);
	} else if (op != OP_NOP) {
		machine->bad = true;
	}
}

/* The stubs of a lazy .plt push a number before they jump on, from byte `extra` of their 16
 * on: binutils, elf_x86_64_eh_frame_lazy_plt in bfd/elf64-x86-64.c (2.40), gold likewise. */
static bool read_plt(struct reader r, struct unwind_value *value)
{
	static const uint8_t before[] = {OP_BREG0 + REG_IP, 0, OP_LIT0 + 15, OP_AND};
	static const uint8_t after[] = {OP_GE, OP_LIT0 + 3, OP_SHL, OP_PLUS};
	uint8_t base = reader_u8(&r);
	int64_t off = reader_sleb(&r);
	const void *mask = reader_bytes(&r, sizeof(before));
	uint8_t first = reader_u8(&r);
	const void *scale = reader_bytes(&r, sizeof(after));
	if (r.bad || reader_left_bytes(&r) || base != OP_BREG0 + REG_SP ||
	    memcmp(mask, before, sizeof(before)) != 0 || memcmp(scale, after, sizeof(after)) != 0 ||
	    first < OP_LIT0 || first > OP_LIT0 + 15)
		return false;
	*value = (struct unwind_value){
		.base = UNWIND_BASE_PLT, .off = off, .extra = first - OP_LIT0};
	return true;
}

bool unwind_expr_read(struct reader expr, bool push_cfa, struct unwind_value *value)
{
	if (!push_cfa && read_plt(expr, value))
		return true;
	struct machine machine = {0};
	if (push_cfa)
		push(&machine, (struct unwind_value){.base = UNWIND_BASE_CFA});
	while (reader_left_bytes(&expr) > 0 && !machine.bad)
		do_op(&machine, &expr, reader_u8(&expr));
	struct unwind_value top = pop(&machine);
	if (expr.bad || machine.bad || top.base == UNWIND_BASE_NONE)
		return false;
	*value = top;
	return true;
}
