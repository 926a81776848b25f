/*
 * Every construct of call frame information, assembled by gcc, and the rules it stands for.
 * A nop is one byte, so that offsets in a function are counts of nops.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/array.h"
#include "symbolizer/symtab.h"
#include "symbolizer/unwind.h"
#include "tool.h"

enum { MAX_PLACES = 8 };

#define CFA(kind, offset) .cfa = UNWIND_CFA_##kind, .cfa_off = (offset)
#define FP(kind, offset)  .fp = UNWIND_AT_##kind, .fp_off = (offset)
#define RA(kind, offset)  .ra = UNWIND_AT_##kind, .ra_off = (offset)
#define USUAL             RA(CFA, -8)
#define RBX(number)       .flags = (number) << UNWIND_RBX_SHIFT
#define UNSUPPORTED       .cfa = UNWIND_CFA_UNSUPPORTED

struct place {
	int off; /* in the function; 0 after the last place */
	struct unwind_rule rule;
};

struct construct {
	const char *name; /* also of the function; the place at offset 0 comes first */
	const char *text; /* between .cfi_startproc and .cfi_endproc unless it has its own */
	struct place places[MAX_PLACES];
	enum unwind_unsupported kind; /* with kind_rows */
	int kind_rows;                /* 0: nothing is unsupported */
};

/* DW_CFA_expression etc. by hand: .cfi_escape op, register, length, expression. */
static const struct construct constructs[] = {
	{"frame_pointer",
	 "push %rbp; .cfi_def_cfa_offset 16; .cfi_offset rbp, -16\n"
	 "mov %rsp, %rbp; .cfi_def_cfa_register rbp\n"
	 "pop %rbp; .cfi_def_cfa rsp, 8; .cfi_restore rbp\n ret",
	 {{0, {CFA(SP, 8), USUAL}},
	  {1, {CFA(SP, 16), FP(CFA, -16), USUAL}},
	  {3, {CFA(SP, 16), FP(CFA, -16), USUAL}},
	  {4, {CFA(FP, 16), FP(CFA, -16), USUAL}},
	  {5, {CFA(SP, 8), USUAL}},
	  {6, {0}}},
	 0,
	 0},
	{"far_steps", /* DW_CFA_advance_loc, 1, 2, 4, over the end of a page */
	 ".skip 60, 0x90; .cfi_adjust_cfa_offset 8\n .skip 200, 0x90; .cfi_adjust_cfa_offset 8\n"
	 ".skip 60000, 0x90; .cfi_adjust_cfa_offset 8\n"
	 ".skip 70000, 0x90; .cfi_adjust_cfa_offset 8\n nop",
	 {{59, {CFA(SP, 8), USUAL}},
	  {60, {CFA(SP, 16), USUAL}},
	  {260, {CFA(SP, 24), USUAL}},
	  {60260, {CFA(SP, 32), USUAL}},
	  {130259, {CFA(SP, 32), USUAL}},
	  {130260, {CFA(SP, 40), USUAL}},
	  {130261, {0}}},
	 0,
	 0},
	{"states",
	 "nop; .cfi_adjust_cfa_offset 8; .cfi_remember_state\n nop; .cfi_adjust_cfa_offset 8;"
	 ".cfi_offset rbp, -24; .cfi_remember_state\n nop; .cfi_def_cfa rbp, 16\n"
	 "nop; .cfi_restore_state\n nop; .cfi_restore_state\n nop",
	 {{0, {CFA(SP, 8), USUAL}},
	  {1, {CFA(SP, 16), USUAL}},
	  {2, {CFA(SP, 24), FP(CFA, -24), USUAL}},
	  {3, {CFA(FP, 16), FP(CFA, -24), USUAL}},
	  {4, {CFA(SP, 24), FP(CFA, -24), USUAL}},
	  {5, {CFA(SP, 16), USUAL}}},
	 0,
	 0},
	{"realigned", /* as gcc does it: DRAP in r10, saved below rbp */
	 "nop; .cfi_def_cfa r10, 0\n nop; .cfi_escape 0x10, 6, 2, 0x76, 0\n"
	 "nop; .cfi_escape 0x0f, 3, 0x76, 0x78, 0x06\n nop; .cfi_def_cfa r10, 0\n"
	 "nop; .cfi_def_cfa rsp, 8\n nop",
	 {{0, {CFA(SP, 8), USUAL}},
	  {1, {CFA(REG, 0), .extra = 10, USUAL}},
	  {2, {CFA(REG, 0), .extra = 10, FP(FP, 0), USUAL}},
	  {3, {CFA(FP_DEREF, -8), FP(FP, 0), USUAL}},
	  {4, {CFA(REG, 0), .extra = 10, FP(FP, 0), USUAL}},
	  {5, {CFA(SP, 8), FP(FP, 0), USUAL}}},
	 0,
	 0},
	{"signal_frame", /* glibc's __restore_rt: it begins one byte early */
	 ".cfi_startproc simple; .cfi_signal_frame\n"
	 ".cfi_escape 0x0f, 4, 0x77, 0xa0, 0x01, 0x06\n"
	 ".cfi_escape 0x10, 6, 3, 0x77, 0xf8, 0\n .cfi_escape 0x10, 7, 3, 0x77, 0xa0, 1\n"
	 ".cfi_escape 0x10, 16, 3, 0x77, 0xa8, 1\n nop; signal_frame: nop\n .cfi_endproc",
	 {{-1, {CFA(SP_DEREF, 160), FP(SP, 120), RA(SP, 168), .flags = UNWIND_SIGNAL_FRAME}},
	  {1, {0}}},
	 0,
	 0},
	{"vfork",
	 "pop %rdi; .cfi_adjust_cfa_offset -8; .cfi_register rip, rdi\n nop\n"
	 "push %rdi; .cfi_adjust_cfa_offset 8\n .cfi_offset rip, -8\n nop",
	 {{0, {CFA(SP, 8), USUAL}},
	  {1, {CFA(SP, 0), RA(REG, 5)}},
	  {2, {CFA(SP, 0), RA(REG, 5)}},
	  {3, {CFA(SP, 8), USUAL}}},
	 0,
	 0},
	{"outermost", /* _start, clone */
	 "nop; .cfi_undefined rip\n nop",
	 {{0, {CFA(SP, 8), USUAL}}, {1, {.cfa = UNWIND_CFA_END}}, {2, {0}}},
	 0,
	 0},
	{"plt", /* .plt of binutils */
	 ".cfi_def_cfa_offset 16\n .skip 6, 0x90; .cfi_def_cfa_offset 24\n .skip 10, 0x90\n"
	 ".cfi_escape 0x0f, 11, 0x77, 8, 0x80, 0, 0x3f, 0x1a, 0x3b, 0x2a, 0x33, 0x24, 0x22\n"
	 ".skip 32, 0x90",
	 {{0, {CFA(SP, 16), USUAL}},
	  {6, {CFA(SP, 24), USUAL}},
	  {16, {CFA(PLT, 8), .extra = 11, USUAL}},
	  {47, {CFA(PLT, 8), .extra = 11, USUAL}}},
	 0,
	 0},
	{"plt_ibt", /* with endbr64, the push comes earlier */
	 ".cfi_escape 0x0f, 11, 0x77, 8, 0x80, 0, 0x3f, 0x1a, 0x39, 0x2a, 0x33, 0x24, 0x22\n"
	 "nop",
	 {{0, {CFA(PLT, 8), .extra = 9, USUAL}}},
	 0,
	 0},
	{"assembly", /* OpenSSL's .cfi_cfa_expression */
	 "nop; .cfi_escape 0x0f, 5, 0x77, 40, 0x06, 0x23, 8\n"
	 "nop; .cfi_escape 0x0f, 6, 0x77, 0x78, 0x06, 0x08, 56, 0x22\n nop",
	 {{1, {CFA(SP_DEREF, 40), .extra = 8, USUAL}},
	  {2, {CFA(SP_DEREF, -8), .extra = 56, USUAL}}},
	 0,
	 0},
	{"plain_expressions", /* what has a shorter form */
	 ".cfi_escape 0x0f, 2, 0x77, 24\n nop; .cfi_escape 0x0f, 4, 0x76, 8, 0x38, 0x22\n"
	 "nop; .cfi_escape 0x0f, 4, 0x92, 10, 8, 0x96\n"
	 "nop; .cfi_escape 0x10, 6, 3, 0x13, 0x77, 32\n nop; .cfi_escape 0x10, 6, 2, 0x40, 0x1c\n"
	 "nop",
	 {{0, {CFA(SP, 24), USUAL}},
	  {1, {CFA(FP, 16), USUAL}},
	  {2, {CFA(REG, 8), .extra = 10, USUAL}},
	  {3, {CFA(REG, 8), .extra = 10, FP(SP, 32), USUAL}},
	  {4, {CFA(REG, 8), .extra = 10, FP(CFA, -16), USUAL}}},
	 0,
	 0},
	{"rbp_kept_or_lost",
	 "nop; .cfi_undefined rbp\n nop; .cfi_same_value rbp\n nop; .cfi_register rbp, r9\n"
	 "nop; .cfi_escape 0x16, 6, 2, 0x76, 0\n nop",
	 {{0, {CFA(SP, 8), USUAL}},
	  {1, {CFA(SP, 8), .fp = UNWIND_AT_UNDEFINED, USUAL}},
	  {2, {CFA(SP, 8), USUAL}},
	  {3, {CFA(SP, 8), FP(REG, 9), USUAL}},
	  {4, {CFA(SP, 8), USUAL}}},
	 0,
	 0},
	{"signed_forms", /* DW_CFA_def_cfa_sf, _offset_sf, offset_extended(_sf), 0x2f, 0x1d */
	 ".cfi_escape 0x12, 7, 0x7e\n nop; .cfi_escape 0x13, 0x7d; .cfi_escape 0x11, 6, 3\n"
	 "nop; .cfi_escape 0x05, 6, 4\n nop; .cfi_escape 0x2f, 6, 2\n"
	 "nop; .cfi_escape 0x1d, 2, 0, 0, 0, 0, 0, 0, 0; .cfi_escape 0x06, 6\n nop; nop; nop",
	 {{0, {CFA(SP, 16), USUAL}},
	  {1, {CFA(SP, 24), FP(CFA, -24), USUAL}},
	  {2, {CFA(SP, 24), FP(CFA, -32), USUAL}},
	  {3, {CFA(SP, 24), FP(CFA, 16), USUAL}},
	  {5, {CFA(SP, 24), FP(CFA, 16), USUAL}},
	  {6, {CFA(SP, 24), USUAL}}},
	 0,
	 0},
	{"others_ignored", /* registers that are not needed, and DW_CFA_GNU_args_size */
	 ".cfi_offset r12, -16; .cfi_escape 0x2e, 0x80, 1; .cfi_register r12, r13\n"
	 ".cfi_escape 0x10, 13, 2, 0x76, 0x50; .cfi_undefined r15; .cfi_same_value r14\n nop",
	 {{0, {CFA(SP, 8), USUAL}}},
	 0,
	 0},
	{"rbx_in_frame",
	 ".cfi_offset rbx, -8\n nop; .cfi_offset rbx, -488\n nop; .cfi_same_value rbx\n"
	 "nop; .cfi_escape 0x10, 3, 2, 0x76, 0\n nop; .cfi_escape 0x10, 3, 3, 0x76, 0x88, 0x7c\n"
	 "nop; .cfi_escape 0x16, 3, 2, 0x73, 0\n nop",
	 {{0, {CFA(SP, 8), RBX(1), USUAL}},
	  {1, {CFA(SP, 8), RBX(UNWIND_RBX_AT_CFA_LAST), USUAL}},
	  {2, {CFA(SP, 8), USUAL}},
	  {3, {CFA(SP, 8), RBX(UNWIND_RBX_AT_FP), USUAL}},
	  {4, {CFA(SP, 8), RBX(UNWIND_RBX_AT_FP_LAST), USUAL}},
	  {5, {CFA(SP, 8), USUAL}}},
	 0,
	 0},
	{"rbx_without_number", /* far, above, odd, in a register, by another register, lost */
	 ".cfi_offset rbx, -496\n nop; .cfi_escape 0x11, 3, 0\n"
	 "nop; .cfi_escape 0x10, 3, 2, 0x76, 0x7c\n nop; .cfi_register rbx, r12\n"
	 "nop; .cfi_escape 0x10, 3, 2, 0x77, 0x10\n nop; .cfi_escape 0x10, 3, 2, 0x76, 8\n"
	 "nop; .cfi_undefined rbx\n nop",
	 {{0, {CFA(SP, 8), RBX(UNWIND_RBX_LOST), USUAL}},
	  {1, {CFA(SP, 8), RBX(UNWIND_RBX_LOST), USUAL}},
	  {2, {CFA(SP, 8), RBX(UNWIND_RBX_LOST), USUAL}},
	  {3, {CFA(SP, 8), RBX(UNWIND_RBX_LOST), USUAL}},
	  {4, {CFA(SP, 8), RBX(UNWIND_RBX_LOST), USUAL}},
	  {5, {CFA(SP, 8), RBX(UNWIND_RBX_LOST), USUAL}},
	  {6, {CFA(SP, 8), RBX(UNWIND_RBX_LOST), USUAL}}},
	 0,
	 0},
	{"rbx_in_signal_frame", /* behind rbp, as in struct sigcontext */
	 ".cfi_escape 0x0f, 4, 0x77, 0xa0, 0x01, 0x06\n .cfi_escape 0x10, 6, 3, 0x77, 0xf8, 0\n"
	 ".cfi_escape 0x10, 3, 3, 0x77, 0x80, 1\n nop",
	 {{0, {CFA(SP_DEREF, 160), FP(SP, 120), RBX(UNWIND_RBX_AFTER_FP), USUAL}}},
	 0,
	 0},
	{"offset_waits_for_register", /* after an expression, as in libgcc */
	 ".cfi_escape 0x0f, 3, 0x77, 8, 0x06\n nop; .cfi_def_cfa_offset 64\n"
	 "nop; .cfi_def_cfa_register rsp\n nop",
	 {{0, {CFA(SP_DEREF, 8), USUAL}},
	  {1, {CFA(SP_DEREF, 8), USUAL}},
	  {2, {CFA(SP, 64), USUAL}}},
	 0,
	 0},
	{"same_place_twice", /* only the last of two rows without a place between them */
	 "nop; .cfi_def_cfa_offset 16; .cfi_escape 0x40; .cfi_def_cfa_offset 24\n nop",
	 {{0, {CFA(SP, 8), USUAL}}, {1, {CFA(SP, 24), USUAL}}},
	 0,
	 0},
	{"exceptions", /* augmentation "zPLR" */
	 ".cfi_personality 0x9b, personality_slot; .cfi_lsda 0x1b, personality_slot\n"
	 "nop; .cfi_def_cfa_offset 32\n nop",
	 {{0, {CFA(SP, 8), USUAL}}, {1, {CFA(SP, 32), USUAL}}, {2, {0}}},
	 0,
	 0},
	{"large_frame",
	 ".cfi_def_cfa_offset 2147483647; .cfi_offset rbp, -40000\n nop",
	 {{0, {CFA(SP, INT32_MAX), FP(CFA, -40000), USUAL}}},
	 0,
	 0},
	{"larger_frame",
	 ".cfi_def_cfa_offset 2147483648\n nop",
	 {{0, {UNSUPPORTED}}},
	 UNWIND_BAD_OFFSET,
	 1},
	{"far_return_address",
	 ".cfi_offset rip, -32776\n nop",
	 {{0, {UNSUPPORTED}}},
	 UNWIND_BAD_OFFSET,
	 1},
	{"far_deref",
	 ".cfi_escape 0x0f, 7, 0x77, 8, 0x06, 0x23, 0x80, 0x80, 0x02\n nop",
	 {{0, {UNSUPPORTED}}},
	 UNWIND_BAD_OFFSET,
	 1},
	{"array_expression", /* bn_power5 of OpenSSL: *(rsp + 8 + r9 * 8) + 8 */
	 "nop; .cfi_escape 0x0f, 10, 0x77, 8, 0x79, 0, 0x38, 0x1e, 0x22, 0x06, 0x23, 8\n"
	 "nop; .cfi_def_cfa rsp, 8\n nop",
	 {{0, {CFA(SP, 8), USUAL}}, {1, {UNSUPPORTED}}, {2, {CFA(SP, 8), USUAL}}},
	 UNWIND_BAD_CFA_EXPRESSION,
	 1},
	{"constant_cfa",
	 ".cfi_escape 0x0f, 1, 0x30\n nop",
	 {{0, {UNSUPPORTED}}},
	 UNWIND_BAD_CFA_EXPRESSION,
	 1},
	{"empty_expression",
	 ".cfi_escape 0x0f, 0\n nop",
	 {{0, {UNSUPPORTED}}},
	 UNWIND_BAD_CFA_EXPRESSION,
	 1},
	{"cut_expression",
	 ".cfi_escape 0x0f, 2, 0x77, 0x80\n nop",
	 {{0, {UNSUPPORTED}}},
	 UNWIND_BAD_CFA_EXPRESSION,
	 1},
	{"double_deref",
	 ".cfi_escape 0x0f, 4, 0x77, 8, 0x06, 0x06\n nop",
	 {{0, {UNSUPPORTED}}},
	 UNWIND_BAD_CFA_EXPRESSION,
	 1},
	{"cfa_in_xmm",
	 ".cfi_def_cfa xmm0, 8\n nop",
	 {{0, {UNSUPPORTED}}},
	 UNWIND_BAD_CFA_EXPRESSION,
	 1},
	{"longjmp",
	 "nop; .cfi_def_cfa rdi, 0; .cfi_register rsp, r8; .cfi_register rip, rdx\n nop",
	 {{0, {CFA(SP, 8), USUAL}}, {1, {UNSUPPORTED}}},
	 UNWIND_BAD_SP_RULE,
	 1},
	{"setcontext",
	 "nop; .cfi_def_cfa rdi, 0; .cfi_offset rsp, 160; .cfi_offset rip, 168\n nop",
	 {{0, {CFA(SP, 8), USUAL}}, {1, {UNSUPPORTED}}},
	 UNWIND_BAD_SP_RULE,
	 1},
	{"return_address_value",
	 ".cfi_escape 0x16, 16, 2, 0x77, 8\n nop",
	 {{0, {UNSUPPORTED}}},
	 UNWIND_BAD_RA_RULE,
	 1},
	{"return_address_kept",
	 ".cfi_same_value rip\n nop",
	 {{0, {UNSUPPORTED}}},
	 UNWIND_BAD_RA_RULE,
	 1},
	{"rbp_value",
	 ".cfi_val_offset rbp, -16\n nop",
	 {{0, {CFA(SP, 8), .fp = UNWIND_AT_UNSUPPORTED, USUAL}}},
	 UNWIND_BAD_FP_RULE,
	 1},
	{"rbp_through_pointer",
	 ".cfi_escape 0x10, 6, 3, 0x77, 8, 0x06\n nop",
	 {{0, {CFA(SP, 8), .fp = UNWIND_AT_UNSUPPORTED, USUAL}}},
	 UNWIND_BAD_FP_RULE,
	 1},
	{"no_cfa",
	 ".cfi_startproc simple; .cfi_offset rip, -8; no_cfa: nop; .cfi_endproc",
	 {{0, {UNSUPPORTED}}},
	 UNWIND_BAD_CFA_MISSING,
	 1},
	{"no_return_address",
	 ".cfi_startproc simple; .cfi_def_cfa rsp, 8; no_return_address: nop; .cfi_endproc",
	 {{0, {UNSUPPORTED}}},
	 UNWIND_BAD_RA_MISSING,
	 1},
	{"return_column",
	 ".cfi_startproc; .cfi_return_column 3; return_column: nop; .cfi_endproc",
	 {{0, {UNSUPPORTED}}, {1, {0}}},
	 UNWIND_BAD_CIE,
	 1},
	{"unknown_instruction",
	 "nop; .cfi_def_cfa_offset 16\n nop; .cfi_escape 0x3e\n nop; .cfi_def_cfa_offset 8\n nop",
	 {{0, {CFA(SP, 8), USUAL}},
	  {1, {CFA(SP, 16), USUAL}},
	  {2, {UNSUPPORTED}},
	  {3, {UNSUPPORTED}},
	  {4, {0}}},
	 UNWIND_BAD_INSTRUCTION,
	 1},
	{"restore_without_remember",
	 "nop; .cfi_escape 0x0b\n nop",
	 {{0, {CFA(SP, 8), USUAL}}, {1, {UNSUPPORTED}}},
	 UNWIND_BAD_PROGRAM,
	 1},
	{"operand_missing",
	 "nop; .cfi_escape 0x0e, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80\n"
	 "nop",
	 {{0, {CFA(SP, 8), USUAL}}, {1, {UNSUPPORTED}}},
	 UNWIND_BAD_PROGRAM,
	 1},
	{"states_64",
	 ".rept 64; .cfi_remember_state; .endr; .cfi_def_cfa_offset 16; nop\n"
	 ".rept 64; .cfi_restore_state; .endr; nop",
	 {{0, {CFA(SP, 16), USUAL}}, {1, {CFA(SP, 8), USUAL}}},
	 0,
	 0},
	{"states_65",
	 ".rept 65; .cfi_remember_state; .endr; nop",
	 {{0, {UNSUPPORTED}}},
	 UNWIND_BAD_STATE_DEPTH,
	 1},
	{"last_one", "nop", {{0, {CFA(SP, 8), USUAL}}, {1, {0}}, {1 << 20, {0}}}, 0, 0},
};

static void write_source(const char *path, const struct construct *only)
{
	FILE *out = fopen(path, "w");
	assert_non_null(out);
	fputs(".data\n.hidden personality_slot\npersonality_slot: .quad 0\n.text\n", out);
	for (size_t i = 0; i < ARRAY_LEN(constructs); i++) {
		const struct construct *it = &constructs[i];
		if (only && it != only)
			continue;
		bool whole = strstr(it->text, ".cfi_startproc");
		fprintf(out, "nop\n.balign 16, 0x90\n.globl %s\n.type %s, @function\n", it->name,
			it->name);
		if (whole)
			fprintf(out, "%s\n", it->text);
		else
			fprintf(out, "%s: .cfi_startproc\n%s\n.cfi_endproc\n", it->name, it->text);
		fprintf(out, ".size %s, . - %s\n nop\n", it->name, it->name);
	}
	assert_int_equal(fclose(out), 0);
}

struct assembled {
	char *dir;
	struct unwind_rows *rows;
	struct symtab *symbols;
};

static struct assembled assemble(const struct construct *only, const char *options)
{
	struct assembled it = {.dir = tool_dir_new()};
	char path[1024];
	snprintf(path, sizeof(path), "%s/x.s", it.dir);
	write_source(path, only);
	free(tool_output("gcc -shared -nostdlib %s -o %s/x.so %s 2>&1; echo", options, it.dir,
			 path));
	snprintf(path, sizeof(path), "%s/x.so", it.dir);
	struct elf_file *file;
	struct err err = {0};
	if (elf_file_open(&file, open(path, O_RDONLY | O_CLOEXEC), &err) ||
	    unwind_rows_open(&it.rows, file, &err) || symtab_read(&it.symbols, file, &err))
		fail_msg("%s", err.text);
	elf_file_free(file);
	return it;
}

static void assembled_fini(struct assembled *it)
{
	symtab_free(it->symbols);
	unwind_rows_free(it->rows);
	tool_dir_remove(it->dir);
}

static uint64_t vaddr_of(const struct symtab *symbols, const char *name)
{
	for (uint32_t i = 0; i < symtab_count(symbols); i++)
		if (!strcmp(symtab_entry(symbols, i).name, name))
			return symtab_entry(symbols, i).vaddr;
	fail_msg("no symbol %s", name);
	return 0;
}

static void check_places(const struct assembled *it, const struct construct *construct)
{
	uint64_t vaddr = vaddr_of(it->symbols, construct->name);
	for (size_t i = 0; i < MAX_PLACES; i++) {
		const struct place *place = &construct->places[i];
		static const struct place none = {0};
		if (i > 0 && !memcmp(place, &none, sizeof(none)))
			break;
		const struct unwind_rule *rule =
			unwind_rows_find(it->rows, vaddr + (uint64_t)(int64_t)place->off);
		if (memcmp(rule, &place->rule, sizeof(*rule)) != 0)
			fail_msg("%s + %d: CFA kind %u off %d extra %d, rbp %u %d, ra %u %d, "
				 "flags %u",
				 construct->name, place->off, rule->cfa, rule->cfa_off, rule->extra,
				 rule->fp, rule->fp_off, rule->ra, rule->ra_off, rule->flags);
	}
}

static void rules(void **state)
{
	(void)state;
	struct assembled it = assemble(NULL, "");
	for (size_t i = 0; i < ARRAY_LEN(constructs); i++)
		check_places(&it, &constructs[i]);
	assembled_fini(&it);
}

/* The same without section headers, as sstrip leaves a file: found by PT_GNU_EH_FRAME. */
static void rules_by_program_headers(void **state)
{
	(void)state;
	static const char *const options[] = {"", "-Wl,--no-eh-frame-hdr"};
	for (size_t i = 0; i < ARRAY_LEN(options); i++) {
		struct assembled it = assemble(NULL, options[i]);
		char path[1024];
		snprintf(path, sizeof(path), "%s/x.so", it.dir);
		int fd = open(path, O_RDWR | O_CLOEXEC);
		assert_true(fd >= 0);
		static const char zero[8];
		assert_int_equal(pwrite(fd, zero, 8, 40), 8); /* e_shoff */
		struct elf_file *file;
		unwind_rows_free(it.rows);
		assert_int_equal(elf_file_open(&file, fd, NULL), 0);
		assert_int_equal(unwind_rows_open(&it.rows, file, NULL), 0);
		elf_file_free(file);
		if (i == 0)
			for (size_t j = 0; j < ARRAY_LEN(constructs); j++)
				check_places(&it, &constructs[j]);
		else
			assert_int_equal(unwind_rows_stats(it.rows)->functions, 0);
		assembled_fini(&it);
	}
}

/* Alone in a file, each construct counts what it lacks and nothing else. */
static void kinds_are_counted(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(constructs); i++) {
		const struct construct *construct = &constructs[i];
		if (!construct->kind_rows)
			continue;
		struct assembled it = assemble(construct, "");
		const struct unwind_stats *stats = unwind_rows_stats(it.rows);
		for (int kind = 0; kind < UNWIND_UNSUPPORTED_KINDS; kind++) {
			uint64_t wanted =
				kind == (int)construct->kind ? (uint64_t)construct->kind_rows : 0;
			if (stats->unsupported[kind] != wanted)
				fail_msg("%s: %s: %llu", construct->name,
					 unwind_unsupported_name(kind),
					 (unsigned long long)stats->unsupported[kind]);
		}
		assert_int_equal(stats->functions, 1);
		assembled_fini(&it);
	}
}

/* What is not unsupported must not be counted. */
static void good_ones_count_nothing(void **state)
{
	(void)state;
	struct assembled it = assemble(NULL, "");
	uint64_t rows[UNWIND_UNSUPPORTED_KINDS] = {0};
	for (size_t i = 0; i < ARRAY_LEN(constructs); i++)
		rows[constructs[i].kind] += (uint64_t)constructs[i].kind_rows;
	const struct unwind_stats *stats = unwind_rows_stats(it.rows);
	for (int kind = 0; kind < UNWIND_UNSUPPORTED_KINDS; kind++)
		assert_int_equal(stats->unsupported[kind], rows[kind]);
	assert_int_equal(stats->functions, ARRAY_LEN(constructs));
	assert_int_equal(stats->overlapped + stats->outside + stats->discarded, 0);
	assembled_fini(&it);
}

/* A view of a page is what find() says of each address in it. */
static void pages_agree_with_find(void **state)
{
	(void)state;
	struct assembled it = assemble(NULL, "");
	size_t rules_count, pages = 0;
	const struct unwind_rule *by_number = unwind_rows_rules(it.rows, &rules_count);
	for (uint64_t base = 0; base < 6 * UNWIND_PAGE_BYTES; base += UNWIND_PAGE_BYTES) {
		size_t count, at = 0;
		const struct unwind_row *page = unwind_rows_page(it.rows, base + 123, &count);
		pages += page != NULL;
		for (uint32_t off = 0; off < UNWIND_PAGE_BYTES; off++) {
			const struct unwind_rule *rule = unwind_rows_find(it.rows, base + off);
			if (!page) {
				assert_int_equal(rule->cfa, UNWIND_CFA_NONE);
				continue;
			}
			assert_int_equal(page[0].off, 0);
			if (at + 1 < count && page[at + 1].off == off)
				at++;
			assert_ptr_equal(rule, &by_number[page[at].rule]);
		}
		assert_true(!page || at + 1 == count);
	}
	assert_true(pages >= 3); /* far_steps alone spans two borders */
	assembled_fini(&it);
}

int main(void)
{
	tool_need("gcc");
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rules),
		cmocka_unit_test(rules_by_program_headers),
		cmocka_unit_test(kinds_are_counted),
		cmocka_unit_test(good_ones_count_nothing),
		cmocka_unit_test(pages_agree_with_find),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
