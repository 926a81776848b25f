/*
 * Rows of real files against readelf --debug-dump=frames-interp: at the begin and the end of every
 * range that it lists, and in every hole between them.
 *
 * readelf prints what has no column or was never set as "u", so that rbp or rbx "u" is the same
 * or undefined; and "exp" for any expression, so those are compared as a set with --debug-dump=frames.
 */
#include <elf.h>
#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/auxv.h>

#include <cmocka.h>

#include "base/array.h"
#include "symbolizer/unwind.h"
#include "tool.h"

enum { MAX_COLUMNS = 24, CELL_BYTES = 16, MAX_LINE_BYTES = 512 };

struct cells {
	char cfa[CELL_BYTES], rbp[CELL_BYTES], rbx[CELL_BYTES], rsp[CELL_BYTES], ra[CELL_BYTES];
};

struct common {
	uint64_t off;
	bool is_signal_frame;
	struct cells initial;
};

struct range {
	uint64_t start, limit;
};

struct check {
	const char *path;
	const struct unwind_rows *rows;
	char columns[MAX_COLUMNS][CELL_BYTES]; /* of the table at hand */
	size_t column_count;
	struct common *commons;
	size_t common_count, common_cap;
	struct range *functions;
	size_t function_count, function_cap;
	/* The entry at hand. */
	struct common *common; /* NULL: a CIE */
	struct range function;
	uint64_t row_start;
	struct cells row;
	bool has_row;
	/* Counts. */
	uint64_t compared, signal_frames, ends, expressions, sp_rules, rbx_saved, rbx_lost;
};

static const char *const register_names[] = {"rax", "rdx", "rcx", "rbx", "rsi", "rdi",
					     "rbp", "rsp", "r8",  "r9",  "r10", "r11",
					     "r12", "r13", "r14", "r15"};

static void print_cfa(const struct unwind_rule *rule, char text[static CELL_BYTES])
{
	const char *name = NULL;
	if (rule->cfa == UNWIND_CFA_SP)
		name = "rsp";
	else if (rule->cfa == UNWIND_CFA_FP)
		name = "rbp";
	else if (rule->cfa == UNWIND_CFA_REG)
		name = register_names[rule->extra];
	if (name)
		snprintf(text, CELL_BYTES, "%s%+" PRId32, name, rule->cfa_off);
	else
		snprintf(text, CELL_BYTES, "exp");
}

static void print_at(uint8_t at, int32_t off, char text[static CELL_BYTES])
{
	if (at == UNWIND_AT_CFA)
		snprintf(text, CELL_BYTES, "c%+" PRId32, off);
	else if (at == UNWIND_AT_REG)
		snprintf(text, CELL_BYTES, "r%" PRId32, off);
	else if (at == UNWIND_AT_SAME || at == UNWIND_AT_UNDEFINED)
		snprintf(text, CELL_BYTES, "u");
	else
		snprintf(text, CELL_BYTES, "exp");
}

/* Is the caller's rbx where readelf says? What has no number must be an expression, or far from
 * the CFA. */
static bool is_same_rbx(struct check *check, const struct unwind_rule *rule, const char *wanted)
{
	uint32_t number = rule->flags >> UNWIND_RBX_SHIFT;
	int32_t off;
	bool is_saved = sscanf(wanted, "c%" SCNd32, &off) == 1;
	if (!strcmp(wanted, "u") || !strcmp(wanted, "s"))
		return number == UNWIND_RBX_SAME || number == UNWIND_RBX_LOST;
	check->rbx_saved++;
	check->rbx_lost += number == UNWIND_RBX_LOST;
	if (number == UNWIND_RBX_LOST)
		return !is_saved || off < -8 * UNWIND_RBX_AT_CFA_LAST || off >= 0 || off % 8;
	if (number <= UNWIND_RBX_AT_CFA_LAST)
		return is_saved && off == -8 * (int32_t)number;
	return !strcmp(wanted, "exp");
}

/* What no rule expresses must be what it is said to be: an expression, or (longjmp,
 * setcontext) another rsp than the CFA. */
static void compare_unsupported(struct check *check, const struct cells *row)
{
	if (strcmp(row->rsp, "u") != 0 && strcmp(row->rsp, "exp") != 0)
		check->sp_rules++;
	else if (!strcmp(row->cfa, "exp") || !strcmp(row->ra, "exp"))
		check->expressions++;
	else
		fail_msg("%s: CFA %s, ra %s is not supported", check->path, row->cfa, row->ra);
}

static void compare_at(struct check *check, uint64_t vaddr, const struct cells *row)
{
	const struct unwind_rule *rule = unwind_rows_find(check->rows, vaddr);
	char cfa[CELL_BYTES], rbp[CELL_BYTES], ra[CELL_BYTES];
	check->compared++;
	if (rule->cfa == UNWIND_CFA_UNSUPPORTED) {
		compare_unsupported(check, row);
		return;
	}
	if (rule->cfa == UNWIND_CFA_END) {
		check->ends++;
		assert_string_equal(row->ra, "u");
		return;
	}
	print_cfa(rule, cfa);
	print_at(rule->fp, rule->fp_off, rbp);
	print_at(rule->ra, rule->ra_off, ra);
	if (!is_same_rbx(check, rule, row->rbx))
		fail_msg("%s %#" PRIx64 ": rbx %u; readelf: %s", check->path, vaddr,
			 rule->flags >> UNWIND_RBX_SHIFT, row->rbx);
	const char *wanted_rbp = strcmp(row->rbp, "s") ? row->rbp : "u";
	bool is_signal_frame = rule->flags & UNWIND_SIGNAL_FRAME;
	check->signal_frames += is_signal_frame;
	if (rule->cfa == UNWIND_CFA_NONE || strcmp(cfa, row->cfa) != 0 ||
	    strcmp(rbp, wanted_rbp) != 0 || strcmp(ra, row->ra) != 0 ||
	    is_signal_frame != check->common->is_signal_frame)
		fail_msg("%s %#" PRIx64 ": kind %u CFA %s rbp %s ra %s; readelf: %s %s %s",
			 check->path, vaddr, rule->cfa, cfa, rbp, ra, row->cfa, row->rbp, row->ra);
}

/* The row so far holds up to limit. */
static void compare_row(struct check *check, uint64_t limit)
{
	if (limit > check->function.limit)
		limit = check->function.limit;
	if (!check->has_row || check->row_start >= limit)
		return;
	compare_at(check, check->row_start, &check->row);
	compare_at(check, limit - 1, &check->row);
}

static void end_entry(struct check *check)
{
	if (check->common)
		compare_row(check, check->function.limit);
	else if (check->common_count)
		check->commons[check->common_count - 1].initial = check->row;
	check->has_row = false;
}

/* 00000000 0000000000000014 00000000 CIE "zR" cf=1 df=-8 ra=16 */
static bool take_common(struct check *check, const char *line)
{
	uint64_t off;
	char augmentation[32] = "";
	if (!strstr(line, " CIE ") ||
	    sscanf(line, "%" SCNx64 " %*x %*x CIE \"%31[^\"]", &off, augmentation) < 1)
		return false;
	end_entry(check);
	assert_int_equal(
		ARRAY_RESERVE(check->commons, check->common_cap, check->common_count, SIZE_MAX), 0);
	check->commons[check->common_count++] =
		(struct common){.off = off, .is_signal_frame = strchr(augmentation, 'S') != NULL};
	check->common = NULL;
	return true;
}

/* 00000018 0000000000000024 0000001c FDE cie=00000000 pc=0000000000026000..0000000000026360 */
static bool take_function(struct check *check, const char *line)
{
	uint64_t off;
	struct range function;
	if (sscanf(line, "%*x %*x %*x FDE cie=%" SCNx64 " pc=%" SCNx64 "..%" SCNx64, &off,
		   &function.start, &function.limit) != 3)
		return false;
	end_entry(check);
	check->common = NULL;
	for (size_t i = 0; i < check->common_count; i++)
		if (check->commons[i].off == off)
			check->common = &check->commons[i];
	assert_non_null(check->common);
	assert_int_equal(ARRAY_RESERVE(check->functions, check->function_cap, check->function_count,
				       SIZE_MAX),
			 0);
	check->functions[check->function_count++] = function;
	check->function = function;
	/* readelf prints no row for a program of nops */
	check->row = check->common->initial;
	check->row_start = function.start;
	check->has_row = true;
	return true;
}

/* The words of a line, at most MAX_COLUMNS; of "r9 (r9)" the first. */
static size_t split(const char *line, char words[MAX_COLUMNS][CELL_BYTES])
{
	size_t count = 0;
	int len;
	while (count < MAX_COLUMNS && sscanf(line, " %15s%n", words[count], &len) == 1) {
		line += len;
		count += words[count][0] != '(';
	}
	return count;
}

static void take_row(struct check *check, const char *line)
{
	char words[MAX_COLUMNS][CELL_BYTES];
	char *end;
	uint64_t start = strtoull(line, &end, 16);
	if (end != line + 16)
		return;
	compare_row(check, start);
	check->row = (struct cells){.cfa = "u", .rbp = "u", .rbx = "u", .rsp = "u", .ra = "u"};
	check->row_start = start;
	check->has_row = true;
	size_t count = split(end, words);
	assert_int_equal(count + 1, check->column_count);
	for (size_t i = 0; i < count; i++) {
		const char *column = check->columns[i + 1];
		char *cell = NULL;
		if (!strcmp(column, "CFA"))
			cell = check->row.cfa;
		else if (!strcmp(column, "rbp"))
			cell = check->row.rbp;
		else if (!strcmp(column, "rbx"))
			cell = check->row.rbx;
		else if (!strcmp(column, "rsp"))
			cell = check->row.rsp;
		else if (!strcmp(column, "ra"))
			cell = check->row.ra;
		if (cell)
			memcpy(cell, words[i], CELL_BYTES);
	}
}

static void take_line(struct check *check, const char *line)
{
	if (!strncmp(line, "   LOC", 6))
		check->column_count = split(line, check->columns);
	else if (!strstr(line, "IE") && !strstr(line, "FDE"))
		take_row(check, line);
	else if (!take_common(check, line))
		take_function(check, line);
}

static int compare_ranges(const void *left, const void *right)
{
	const struct range *a = left, *b = right;
	return (a->start > b->start) - (a->start < b->start);
}

/* Between functions there must be nothing. Returns how many holes there are. */
static size_t compare_holes(struct check *check)
{
	size_t holes = 0;
	qsort(check->functions, check->function_count, sizeof(*check->functions), compare_ranges);
	for (size_t i = 0; i <= check->function_count; i++) {
		uint64_t from = i ? check->functions[i - 1].limit : 0;
		uint64_t to = i < check->function_count ? check->functions[i].start : UINT64_MAX;
		assert_true(from <= to); /* else this file has overlaps to be explained */
		if (from == to)
			continue;
		holes++;
		assert_int_equal(unwind_rows_find(check->rows, from)->cfa, UNWIND_CFA_NONE);
		assert_int_equal(unwind_rows_find(check->rows, to - 1)->cfa, UNWIND_CFA_NONE);
	}
	return holes;
}

static void print_expression(const struct unwind_rule *rule, char *text, size_t text_bytes)
{
	static const char *const names[] = {
		[UNWIND_CFA_SP_DEREF] = "7 (rsp)", [UNWIND_CFA_FP_DEREF] = "6 (rbp)"};
	if (rule->cfa == UNWIND_CFA_PLT)
		snprintf(text, text_bytes,
			 "(DW_OP_breg7 (rsp): %d; DW_OP_breg16 (rip): 0; DW_OP_lit15; DW_OP_and; "
			 "DW_OP_lit%d; DW_OP_ge; DW_OP_lit3; DW_OP_shl; DW_OP_plus)\n",
			 rule->cfa_off, rule->extra);
	else if (rule->extra)
		snprintf(text, text_bytes,
			 "(DW_OP_breg%s: %d; DW_OP_deref; DW_OP_plus_uconst: %d)\n",
			 names[rule->cfa], rule->cfa_off, rule->extra);
	else
		snprintf(text, text_bytes, "(DW_OP_breg%s: %d; DW_OP_deref)\n", names[rule->cfa],
			 rule->cfa_off);
}

/* Every rule by an expression is one that readelf prints, and all that it prints are rules but
 * those that index an array (bn_mulx4x_power5 of OpenSSL). */
static void compare_expressions(const struct check *check)
{
	AUTO_MEM char *texts = tool_output(
		"readelf --debug-dump=frames --debug-dump=no-follow-links '%s' 2>/dev/null |"
		" sed -n 's/.*DW_CFA_def_cfa_expression //p' | sort -u;"
		" echo",
		check->path);
	size_t rules, found = 0, known = 0;
	const struct unwind_rule *rule = unwind_rows_rules(check->rows, &rules);
	for (size_t i = 0; i < rules; i++) {
		char text[256];
		if (rule[i].cfa < UNWIND_CFA_SP_DEREF)
			continue;
		print_expression(&rule[i], text, sizeof(text));
		if (!strstr(texts, text))
			fail_msg("%s: readelf has no %s", check->path, text);
	}
	char *save = NULL;
	for (char *line = strtok_r(texts, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char wanted[512], text[256];
		bool is_known = false;
		snprintf(wanted, sizeof(wanted), "%s\n", line);
		for (size_t i = 0; i < rules && !is_known; i++) {
			if (rule[i].cfa < UNWIND_CFA_SP_DEREF)
				continue;
			print_expression(&rule[i], text, sizeof(text));
			is_known = !strcmp(text, wanted);
		}
		found++;
		known += is_known;
		if (!is_known && !strstr(line, "DW_OP_mul"))
			fail_msg("%s: no rule is %s", check->path, line);
	}
	print_message("    %zu CFA expressions, %zu of them rules\n", found, known);
}

static void run_readelf(struct check *check)
{
	char command[512], line[MAX_LINE_BYTES];
	snprintf(command, sizeof(command),
		 "readelf --debug-dump=frames-interp --debug-dump=no-follow-links '%s' 2>/dev/null",
		 check->path);
	FILE *pipe = popen(command, "r");
	assert_non_null(pipe);
	while (fgets(line, sizeof(line), pipe))
		take_line(check, line);
	assert_int_equal(pclose(pipe), 0);
	end_entry(check);
}

static void compare_file(const char *path)
{
	struct err err = {0};
	struct elf_file *file;
	struct unwind_rows *rows;
	if (elf_file_open(&file, open(path, O_RDONLY | O_CLOEXEC), &err) ||
	    unwind_rows_open(&rows, file, &err))
		fail_msg("%s: %s", path, err.text);
	struct check check = {.path = path, .rows = rows};
	run_readelf(&check);
	assert_true(check.function_count > 0);
	size_t holes = compare_holes(&check);
	const struct unwind_stats *stats = unwind_rows_stats(rows);
	assert_int_equal(stats->functions, check.function_count);
	assert_int_equal(stats->overlapped + stats->outside, 0);
	print_message("%s: %" PRIu64 " functions, %" PRIu64 " rows, %" PRIu64 " rules, %.2f bytes"
		      " a row; %" PRIu64 " places compared, %zu holes, %" PRIu64 " ends, %" PRIu64
		      " in signal frames, unsupported: %" PRIu64 " expressions, %" PRIu64
		      " rsp rules; rbx is saved in %" PRIu64 ", lost in %" PRIu64 "\n",
		      path, stats->functions, stats->rows, stats->rules,
		      (double)stats->bytes / (double)stats->rows, check.compared, holes, check.ends,
		      check.signal_frames, check.expressions, check.sp_rules, check.rbx_saved,
		      check.rbx_lost);
	compare_expressions(&check);
	free(check.commons);
	free(check.functions);
	unwind_rows_free(rows);
	elf_file_free(file);
}

static const char *const paths[] = {
	"/usr/lib/x86_64-linux-gnu/libc.so.6",
	"/usr/lib/x86_64-linux-gnu/libstdc++.so.6",
	"/usr/lib/x86_64-linux-gnu/libcrypto.so.3",
	"/usr/bin/python3.11",
	"/usr/lib/x86_64-linux-gnu/libLLVM-14.so.1",
	"/usr/bin/node",
	"/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2",
	NULL,
};

/* NULL-terminated. */
static void files(void **state)
{
	const char *const *path = *state;
	size_t found = 0;
	for (; *path; path++) {
		if (access(*path, R_OK)) {
			print_message("%s: not here\n", *path);
			continue;
		}
		compare_file(*path);
		found++;
	}
	assert_true(found > 0);
}

static void vdso(void **state)
{
	(void)state;
	const char *image = (const char *)getauxval(AT_SYSINFO_EHDR);
	if (!image)
		skip();
	const Elf64_Ehdr *header = (const Elf64_Ehdr *)image;
	size_t len_bytes = header->e_shoff + (size_t)header->e_shnum * header->e_shentsize;
	char *dir = tool_dir_new();
	char path[1024];
	snprintf(path, sizeof(path), "%s/vdso.so", dir);
	tool_write_file(path, image, len_bytes);
	compare_file(path);
	tool_dir_remove(dir);
}

/* test_unwind_readelf [FILE...]: other files than the usual ones. */
int main(int argc, char **argv)
{
	tool_need("readelf");
	const void *list = argc > 1 ? (const void *)(argv + 1) : paths;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vdso),
		cmocka_unit_test_prestate(files, (void *)(uintptr_t)list),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
