/*
 * unwind_step: from the registers of one frame to those of its caller, by one rule.
 *
 * No library, no loop, no state: the same lines can be compiled for BPF, where read is inlined.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "symbolizer/unwind_rule.h"

struct unwind_frame {
	uint64_t ip;
	uint64_t sp;
	uint64_t fp;   /* rbp */
	bool fp_known; /* false: the frames below did not say where it was saved */
	bool ip_exact; /* ip itself is being executed; false: it is a return address */
	/* All 16 registers by DWARF number, where they were taken (the leaf); NULL for callers,
	 * and where they are not at hand. */
	const uint64_t *registers;
	uint64_t rbx;    /* of the leaf */
	uint64_t rbx_at; /* where those below saved this frame's; 0: it is the leaf's */
};

/* rbx_at of an rbx that cannot be found. */
#define UNWIND_RBX_NOWHERE UINT64_MAX

enum unwind_result {
	UNWIND_STEP_OK,
	UNWIND_STEP_END,         /* this frame is the outermost */
	UNWIND_STEP_NO_RULE,     /* a hole */
	UNWIND_STEP_FAULT,       /* memory that is needed cannot be read */
	UNWIND_STEP_UNSUPPORTED, /* by the rule, or a register that it needs is not known */
	UNWIND_STEP_IMPLAUSIBLE, /* the caller's stack would not be above this one */
};

/* Reads 8 bytes of the thread's memory; false when they cannot be read. */
typedef bool (*unwind_read_fn)(void *ctx, uint64_t ip, uint64_t *value);

enum { UNWIND_REGISTERS = 16, UNWIND_REG_RBX = 3 };

/* The ip to look the frame's rule and name up by. A return address is the instruction after the
 * call, which after a noreturn call is in another function. DWARF 5 section 6.4.4. */
static inline uint64_t unwind_lookup_ip(const struct unwind_frame *frame)
{
	return frame->ip_exact ? frame->ip : frame->ip - 1;
}

/* Does a call instruction end where these 8 bytes of code do? E8, or FF /2 with one of its addressing
 * forms. Intel SDM volume 2A, CALL. */
static inline bool unwind_is_call(uint64_t before)
{
	static const uint8_t with_operand[] = {2, 3, 4, 6, 7}; /* bytes it may have */
	bool is_one = (before >> 24 & 0xff) == 0xe8;
	for (size_t i = 0; i < sizeof(with_operand); i++)
		is_one |= (before >> (64 - 8 * with_operand[i]) & 0x38ff) == 0x10ff;
	return is_one;
}

/* The mask never changes a number that passed; it is there for the verifier of BPF to see. */
static inline bool unwind_register(const struct unwind_frame *frame, int32_t number,
				   uint64_t *value)
{
	uint32_t masked = (uint32_t)number & (UNWIND_REGISTERS - 1);
	if (!frame->registers || number < 0 || number >= UNWIND_REGISTERS)
		return false;
	__asm__("" : "+r"(masked)); /* else the compiler proves it needless and drops it */
	*value = frame->registers[masked];
	return true;
}

static inline enum unwind_result unwind_rbx(const struct unwind_frame *frame, unwind_read_fn read,
					    void *ctx, uint64_t *value)
{
	*value = frame->rbx;
	if (!frame->rbx_at)
		return UNWIND_STEP_OK;
	if (frame->rbx_at == UNWIND_RBX_NOWHERE)
		return UNWIND_STEP_UNSUPPORTED;
	return read(ctx, frame->rbx_at, value) ? UNWIND_STEP_OK : UNWIND_STEP_FAULT;
}

/* Where the caller's rbx is. */
static inline uint64_t unwind_rbx_at(const struct unwind_rule *rule,
				     const struct unwind_frame *frame, uint64_t cfa)
{
	uint64_t number = rule->flags >> UNWIND_RBX_SHIFT;
	if (number == UNWIND_RBX_SAME)
		return frame->rbx_at;
	if (number <= UNWIND_RBX_AT_CFA_LAST)
		return cfa - 8 * number;
	if (number >= UNWIND_RBX_AT_FP && frame->fp_known)
		return frame->fp - 8 * (number - UNWIND_RBX_AT_FP);
	if (number == UNWIND_RBX_AFTER_FP)
		return frame->sp + (uint64_t)(int64_t)rule->fp_off + 8;
	return UNWIND_RBX_NOWHERE;
}

static inline enum unwind_result unwind_cfa(const struct unwind_rule *rule,
					    const struct unwind_frame *frame, unwind_read_fn read,
					    void *ctx, uint64_t *cfa)
{
	uint64_t off = (uint64_t)(int64_t)rule->cfa_off;
	uint64_t extra = (uint64_t)(int64_t)rule->extra;
	switch (rule->cfa) {
	case UNWIND_CFA_NONE:
		return UNWIND_STEP_NO_RULE;
	case UNWIND_CFA_END:
		return UNWIND_STEP_END;
	case UNWIND_CFA_SP:
		*cfa = frame->sp + off;
		return UNWIND_STEP_OK;
	case UNWIND_CFA_FP:
		*cfa = frame->fp + off;
		return frame->fp_known ? UNWIND_STEP_OK : UNWIND_STEP_UNSUPPORTED;
	case UNWIND_CFA_REG:
		if (rule->extra == UNWIND_REG_RBX) {
			enum unwind_result result = unwind_rbx(frame, read, ctx, cfa);
			*cfa += off;
			return result;
		}
		if (!unwind_register(frame, rule->extra, cfa))
			return UNWIND_STEP_UNSUPPORTED;
		*cfa += off;
		return UNWIND_STEP_OK;
	case UNWIND_CFA_FP_DEREF:
		if (!frame->fp_known)
			return UNWIND_STEP_UNSUPPORTED;
		if (!read(ctx, frame->fp + off, cfa))
			return UNWIND_STEP_FAULT;
		*cfa += extra;
		return UNWIND_STEP_OK;
	case UNWIND_CFA_SP_DEREF:
		if (!read(ctx, frame->sp + off, cfa))
			return UNWIND_STEP_FAULT;
		*cfa += extra;
		return UNWIND_STEP_OK;
	case UNWIND_CFA_PLT:
		*cfa = frame->sp + off + ((frame->ip & 15) >= extra ? 8 : 0);
		return UNWIND_STEP_OK;
	default:
		return UNWIND_STEP_UNSUPPORTED;
	}
}

/* One value that the frame saved for its caller. */
static inline enum unwind_result unwind_saved(uint8_t at, int32_t at_off,
					      const struct unwind_frame *frame, uint64_t cfa,
					      unwind_read_fn read, void *ctx, uint64_t *value)
{
	uint64_t off = (uint64_t)(int64_t)at_off;
	uint64_t base = cfa;
	if (at == UNWIND_AT_REG)
		return unwind_register(frame, at_off, value) ? UNWIND_STEP_OK
							     : UNWIND_STEP_UNSUPPORTED;
	if (at == UNWIND_AT_SP)
		base = frame->sp;
	else if (at == UNWIND_AT_FP && frame->fp_known)
		base = frame->fp;
	else if (at != UNWIND_AT_CFA)
		return UNWIND_STEP_UNSUPPORTED;
	return read(ctx, base + off, value) ? UNWIND_STEP_OK : UNWIND_STEP_FAULT;
}

/* Is the caller's stack where it may be? Only above this frame, unless a signal switched
 * stacks; at it only for a leaf that holds its return address in a register (vfork). */
static inline bool unwind_plausible(const struct unwind_rule *rule,
				    const struct unwind_frame *frame, uint64_t cfa)
{
	if (rule->flags & UNWIND_SIGNAL_FRAME)
		return true;
	return cfa > frame->sp || (cfa == frame->sp && rule->ra == UNWIND_AT_REG);
}

/* Step to the caller. On UNWIND_STEP_OK frame is the caller's; else it is untouched. The
 * caller's ip may be anything: whoever looks up its mapping judges it. An rbp that cannot be
 * found is no failure, but rules of callers that need it are then UNWIND_STEP_UNSUPPORTED. */
static inline enum unwind_result unwind_step(const struct unwind_rule *rule,
					     struct unwind_frame *frame, unwind_read_fn read,
					     void *ctx)
{
	uint64_t cfa = 0, ip = 0, fp = 0;
	enum unwind_result result = unwind_cfa(rule, frame, read, ctx, &cfa);
	if (result != UNWIND_STEP_OK)
		return result;
	if (!unwind_plausible(rule, frame, cfa))
		return UNWIND_STEP_IMPLAUSIBLE;
	result = unwind_saved(rule->ra, rule->ra_off, frame, cfa, read, ctx, &ip);
	if (result != UNWIND_STEP_OK)
		return result;
	if (!ip)
		return UNWIND_STEP_END; /* what starts a thread may push 0 for a caller */
	uint64_t rbx_at = unwind_rbx_at(rule, frame, cfa);
	if (rule->fp != UNWIND_AT_SAME) {
		result = unwind_saved(rule->fp, rule->fp_off, frame, cfa, read, ctx, &fp);
		if (result == UNWIND_STEP_FAULT)
			return result;
		frame->fp = fp;
		frame->fp_known = result == UNWIND_STEP_OK;
	}
	frame->ip = ip;
	frame->sp = cfa;
	frame->ip_exact = rule->flags & UNWIND_SIGNAL_FRAME;
	frame->registers = NULL;
	frame->rbx_at = rbx_at;
	return UNWIND_STEP_OK;
}
