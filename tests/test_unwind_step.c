/*
 * One step from frame to caller over a made-up stack, for each kind of rule and each way to fail.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/array.h"
#include "symbolizer/unwind_step.h"

enum { STACK = 0x7000, WORDS = 64, IP = 0x401234, RA = 0x405678 };

/* Each word of the stack holds its own address plus 1, but for what a row puts elsewhere. */
struct stack {
	uint64_t at[2], value[2]; /* at 0: none */
	uint64_t hole;            /* cannot be read; 0: none */
};

static bool read_stack(void *ctx, uint64_t ip, uint64_t *value)
{
	const struct stack *stack = ctx;
	if (ip < STACK || ip >= STACK + 8 * WORDS || ip == stack->hole)
		return false;
	*value = ip + 1;
	for (size_t i = 0; i < ARRAY_LEN(stack->at); i++)
		if (stack->at[i] == ip)
			*value = stack->value[i];
	return true;
}

#define SP(off)     .cfa = UNWIND_CFA_SP, .cfa_off = (off)
#define FP(off)     .cfa = UNWIND_CFA_FP, .cfa_off = (off)
#define REG(n)      .cfa = UNWIND_CFA_REG, .extra = (n)
#define USUAL       .ra = UNWIND_AT_CFA, .ra_off = -8
#define RBX(number) .flags = (number) << UNWIND_RBX_SHIFT
#define SAVED(off)  .fp = UNWIND_AT_CFA, .fp_off = (off)

/* Before: ip IP, sp STACK + 0x40, fp STACK + 0x80, rbx STACK + 0xa0, r10 STACK + 0xc0, r9 9,
 * rdi RA. rbx_at and to_rbx_at are from STACK; 0: not saved. */
static const struct {
	const char *label;
	struct unwind_rule rule;
	struct stack stack;
	uint64_t ip; /* 0: IP */
	bool is_caller, fp_unknown;
	enum unwind_result result;
	uint64_t sp_off; /* from STACK */
	uint64_t to_ip, to_fp;
	bool to_fp_unknown, to_exact;
	uint64_t rbx_at, to_rbx_at;
} rows[] = {
	{"rsp + 8", {SP(8), USUAL}, .sp_off = 0x48, .to_ip = STACK + 0x41},
	{"rbp saved",
	 {SP(0x20), SAVED(-16), USUAL},
	 .sp_off = 0x60,
	 .to_ip = STACK + 0x59,
	 .to_fp = STACK + 0x51},
	{"rbp + 16",
	 {FP(16), SAVED(-16), USUAL},
	 .sp_off = 0x90,
	 .to_ip = STACK + 0x89,
	 .to_fp = STACK + 0x81},
	{"rbp lost",
	 {SP(8), .fp = UNWIND_AT_UNDEFINED, USUAL},
	 .sp_off = 0x48,
	 .to_ip = STACK + 0x41,
	 .to_fp_unknown = true},
	{"rbp not represented",
	 {SP(8), .fp = UNWIND_AT_UNSUPPORTED, USUAL},
	 .sp_off = 0x48,
	 .to_ip = STACK + 0x41,
	 .to_fp_unknown = true},
	{"rbp in r9",
	 {SP(8), .fp = UNWIND_AT_REG, .fp_off = 9, USUAL},
	 .sp_off = 0x48,
	 .to_ip = STACK + 0x41,
	 .to_fp = 9},
	{"rbp in a register of a caller",
	 {SP(8), .fp = UNWIND_AT_REG, .fp_off = 9, USUAL},
	 .is_caller = true,
	 .sp_off = 0x48,
	 .to_ip = STACK + 0x41,
	 .to_fp_unknown = true},
	{"rbp stays unknown",
	 {SP(8), USUAL},
	 .fp_unknown = true,
	 .sp_off = 0x48,
	 .to_ip = STACK + 0x41,
	 .to_fp_unknown = true},
	{"r10 in the leaf", {REG(10), USUAL}, .sp_off = 0xc0, .to_ip = STACK + 0xb9},
	{"r10 in a caller", {REG(10), USUAL}, .is_caller = true, .result = UNWIND_STEP_UNSUPPORTED},
	{"rbx in the leaf", {REG(3), USUAL}, .sp_off = 0xa0, .to_ip = STACK + 0x99},
	{"rbx in a caller, saved by nobody",
	 {REG(3), USUAL},
	 .is_caller = true,
	 .sp_off = 0xa0,
	 .to_ip = STACK + 0x99},
	{"rbx in a caller, saved below",
	 {REG(3), .cfa_off = 16, USUAL},
	 {.at = {STACK + 0x20}, .value = {STACK + 0xb0}},
	 .is_caller = true,
	 .rbx_at = 0x20,
	 .sp_off = 0xc0,
	 .to_ip = STACK + 0xb9,
	 .to_rbx_at = 0x20},
	{"rbx in a caller, lost below",
	 {REG(3), USUAL},
	 .is_caller = true,
	 .rbx_at = UNWIND_RBX_NOWHERE - STACK,
	 .result = UNWIND_STEP_UNSUPPORTED},
	{"rbx in a caller, unreadable",
	 {REG(3), USUAL},
	 {.hole = STACK + 0x20},
	 .is_caller = true,
	 .rbx_at = 0x20,
	 .result = UNWIND_STEP_FAULT},
	{"rbx in a caller, not a stack",
	 {REG(3), USUAL},
	 {.at = {STACK + 0x20}, .value = {STACK + 0x40}},
	 .is_caller = true,
	 .rbx_at = 0x20,
	 .result = UNWIND_STEP_IMPLAUSIBLE},
	{"rbx saved by the CFA",
	 {SP(0x20), RBX(3), USUAL},
	 .rbx_at = 0x18,
	 .sp_off = 0x60,
	 .to_ip = STACK + 0x59,
	 .to_rbx_at = 0x48},
	{"rbx saved below rbp",
	 {FP(16), SAVED(-16), RBX(UNWIND_RBX_AT_FP + 2), USUAL},
	 .sp_off = 0x90,
	 .to_ip = STACK + 0x89,
	 .to_fp = STACK + 0x81,
	 .to_rbx_at = 0x70},
	{"rbx saved below an unknown rbp",
	 {SP(8), RBX(UNWIND_RBX_AT_FP), USUAL},
	 .fp_unknown = true,
	 .to_fp_unknown = true,
	 .sp_off = 0x48,
	 .to_ip = STACK + 0x41,
	 .to_rbx_at = UNWIND_RBX_NOWHERE - STACK},
	{"rbx lost",
	 {SP(8), RBX(UNWIND_RBX_LOST), USUAL},
	 .rbx_at = 0x18,
	 .sp_off = 0x48,
	 .to_ip = STACK + 0x41,
	 .to_rbx_at = UNWIND_RBX_NOWHERE - STACK},
	{"register out of range", {REG(16), USUAL}, .result = UNWIND_STEP_UNSUPPORTED},
	{"negative register", {REG(-1), USUAL}, .result = UNWIND_STEP_UNSUPPORTED},
	{"realigned",
	 {.cfa = UNWIND_CFA_FP_DEREF, .cfa_off = -8, .fp = UNWIND_AT_FP, USUAL},
	 {.at = {STACK + 0x78}, .value = {STACK + 0x100}},
	 .sp_off = 0x100,
	 .to_ip = STACK + 0xf9,
	 .to_fp = STACK + 0x81},
	{"realigned without rbp",
	 {.cfa = UNWIND_CFA_FP_DEREF, .cfa_off = -8, .fp = UNWIND_AT_FP, USUAL},
	 .fp_unknown = true,
	 .result = UNWIND_STEP_UNSUPPORTED},
	{"rsp saved in memory",
	 {.cfa = UNWIND_CFA_SP_DEREF, .cfa_off = 8, .extra = 8, USUAL},
	 {.at = {STACK + 0x48}, .value = {STACK + 0xf8}},
	 .sp_off = 0x100,
	 .to_ip = STACK + 0xf9},
	{"plt before the push",
	 {.cfa = UNWIND_CFA_PLT, .cfa_off = 8, .extra = 11, USUAL},
	 .ip = 0x40100a,
	 .sp_off = 0x48,
	 .to_ip = STACK + 0x41},
	{"plt after the push",
	 {.cfa = UNWIND_CFA_PLT, .cfa_off = 8, .extra = 11, USUAL},
	 .ip = 0x40100b,
	 .sp_off = 0x50,
	 .to_ip = STACK + 0x49},
	{"signal frame on another stack",
	 {.cfa = UNWIND_CFA_SP_DEREF,
	  .cfa_off = 0xa0,
	  .fp = UNWIND_AT_SP,
	  .fp_off = 0x78,
	  .ra = UNWIND_AT_SP,
	  .ra_off = 0xa8,
	  .flags = UNWIND_SIGNAL_FRAME | UNWIND_RBX_AFTER_FP << UNWIND_RBX_SHIFT},
	 {.at = {STACK + 0xe0}, .value = {STACK}},
	 .is_caller = true,
	 .sp_off = 0,
	 .to_ip = STACK + 0xe9,
	 .to_fp = STACK + 0xb9,
	 .to_exact = true,
	 .to_rbx_at = 0xc0},
	{"vfork", {SP(0), .ra = UNWIND_AT_REG, .ra_off = 5}, .sp_off = 0x40, .to_ip = RA},
	{"vfork in a caller",
	 {SP(0), .ra = UNWIND_AT_REG, .ra_off = 5},
	 .is_caller = true,
	 .result = UNWIND_STEP_UNSUPPORTED},
	{"CFA at rsp", {SP(0), USUAL}, .result = UNWIND_STEP_IMPLAUSIBLE},
	{"CFA below rsp", {SP(-8), USUAL}, .result = UNWIND_STEP_IMPLAUSIBLE},
	{"CFA wraps",
	 {SP(-0x7100), USUAL},
	 .sp_off = (uint64_t)0x40 - 0x7100,
	 .result = UNWIND_STEP_FAULT},
	{"rbp below rsp", {FP(-0x50), USUAL}, .result = UNWIND_STEP_IMPLAUSIBLE},
	{"rsp saved below",
	 {.cfa = UNWIND_CFA_SP_DEREF, .cfa_off = 8, USUAL},
	 {.at = {STACK + 0x48}, .value = {STACK + 0x38}},
	 .result = UNWIND_STEP_IMPLAUSIBLE},
	{"return address unreadable",
	 {SP(8), USUAL},
	 {.hole = STACK + 0x40},
	 .result = UNWIND_STEP_FAULT},
	{"rbp unreadable",
	 {SP(0x20), SAVED(-16), USUAL},
	 {.hole = STACK + 0x50},
	 .result = UNWIND_STEP_FAULT},
	{"CFA unreadable",
	 {.cfa = UNWIND_CFA_SP_DEREF, .cfa_off = 8, USUAL},
	 {.hole = STACK + 0x48},
	 .result = UNWIND_STEP_FAULT},
	{"off the stack", {SP(8 * WORDS), USUAL}, .result = UNWIND_STEP_FAULT},
	{"return address 0",
	 {SP(8), SAVED(-8), USUAL},
	 {.at = {STACK + 0x40}, .value = {0}},
	 .result = UNWIND_STEP_END},
	{"outermost", {.cfa = UNWIND_CFA_END}, .result = UNWIND_STEP_END},
	{"hole", {0}, .result = UNWIND_STEP_NO_RULE},
	{"unsupported", {.cfa = UNWIND_CFA_UNSUPPORTED}, .result = UNWIND_STEP_UNSUPPORTED},
	{"no such CFA", {.cfa = 200, USUAL}, .result = UNWIND_STEP_UNSUPPORTED},
	{"return address kept", {SP(8), .ra = UNWIND_AT_SAME}, .result = UNWIND_STEP_UNSUPPORTED},
	{"return address lost",
	 {SP(8), .ra = UNWIND_AT_UNDEFINED},
	 .result = UNWIND_STEP_UNSUPPORTED},
	{"no such place", {SP(8), .ra = 200}, .result = UNWIND_STEP_UNSUPPORTED},
};

static void one_step(void **state)
{
	(void)state;
	uint64_t registers[UNWIND_REGISTERS] = {[5] = RA, [9] = 9, [10] = STACK + 0xc0};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct unwind_frame frame = {
			.ip = rows[i].ip ? rows[i].ip : IP,
			.sp = STACK + 0x40,
			.fp = STACK + 0x80,
			.fp_known = !rows[i].fp_unknown,
			.ip_exact = !rows[i].is_caller,
			.registers = rows[i].is_caller ? NULL : registers,
			.rbx = STACK + 0xa0,
			.rbx_at = rows[i].rbx_at ? STACK + rows[i].rbx_at : 0,
		};
		const struct unwind_frame before = frame;
		struct stack stack = rows[i].stack;
		enum unwind_result result = unwind_step(&rows[i].rule, &frame, read_stack, &stack);
		if (result != rows[i].result)
			fail_msg("%s: result %d", rows[i].label, (int)result);
		if (result != UNWIND_STEP_OK) {
			assert_memory_equal(&frame, &before, sizeof(frame));
			continue;
		}
		uint64_t fp = rows[i].to_fp ? rows[i].to_fp : STACK + 0x80;
		if (frame.ip != rows[i].to_ip || frame.sp != STACK + rows[i].sp_off ||
		    frame.fp_known != !rows[i].to_fp_unknown ||
		    (frame.fp_known && frame.fp != fp) || frame.ip_exact != rows[i].to_exact ||
		    frame.registers ||
		    frame.rbx_at != (rows[i].to_rbx_at ? STACK + rows[i].to_rbx_at : 0))
			fail_msg("%s: ip %#llx sp %#llx fp %#llx rbx at %#llx", rows[i].label,
				 (unsigned long long)frame.ip, (unsigned long long)frame.sp,
				 (unsigned long long)frame.fp, (unsigned long long)frame.rbx_at);
	}
}

static void address_to_look_up(void **state)
{
	(void)state;
	const struct unwind_frame leaf = {.ip = IP, .ip_exact = true};
	const struct unwind_frame caller = {.ip = IP};
	assert_int_equal(unwind_lookup_ip(&leaf), IP);
	assert_int_equal(unwind_lookup_ip(&caller), IP - 1);
}

/* The 8 bytes of code before an address, as objdump shows them. */
static void calls_are_told(void **state)
{
	static const struct {
		const char *label;
		uint8_t bytes[8];
		bool is_call;
	} codes[] = {
		{"call rel32", {0x90, 0x90, 0x90, 0xe8, 1, 2, 3, 4}, true},
		{"call *%rax", {0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0xff, 0xd0}, true},
		{"call *%r11", {0x90, 0x90, 0x90, 0x90, 0x90, 0x41, 0xff, 0xd3}, true},
		{"call *(%rbx)", {0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0xff, 0x13}, true},
		{"call *0x10(%rax)", {0x90, 0x90, 0x90, 0x90, 0x90, 0xff, 0x50, 0x10}, true},
		{"call *(%rax,%rbx,8)", {0x90, 0x90, 0x90, 0x90, 0x90, 0xff, 0x14, 0xd8}, true},
		{"call *8(%rsp)", {0x90, 0x90, 0x90, 0x90, 0xff, 0x54, 0x24, 8}, true},
		{"call *0x1000(%rip)", {0x90, 0x90, 0xff, 0x15, 0, 0x10, 0, 0}, true},
		{"call *0x100(%rsp)", {0x90, 0xff, 0x94, 0x24, 0, 1, 0, 0}, true},
		{"nothing", {0}, false},
		{"nop", {0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90}, false},
		{"jmp rel32", {0x90, 0x90, 0x90, 0xe9, 1, 2, 3, 4}, false},
		{"call rel32 and nop", {0x90, 0x90, 0xe8, 1, 2, 3, 4, 0x90}, false},
		{"jmp *%rax", {0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0xff, 0xe0}, false},
		{"jmp *0x1000(%rip)", {0x90, 0x90, 0xff, 0x25, 0, 0x10, 0, 0}, false},
		{"push 0x10(%rax)", {0x90, 0x90, 0x90, 0x90, 0x90, 0xff, 0x70, 0x10}, false},
		{"inc %eax", {0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0xff, 0xc0}, false},
		{"ret", {0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0xc3}, false},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
		uint64_t before;
		memcpy(&before, codes[i].bytes, sizeof(before));
		if (unwind_is_call(before) != codes[i].is_call)
			fail_msg("%s", codes[i].label);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_step),
		cmocka_unit_test(address_to_look_up),
		cmocka_unit_test(calls_are_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
