/*
 * Rows of stripped Go programs, against what readelf --debug-dump=frames-interp prints of the
 * .debug_frame of the same program before it was stripped; and of tables made by hand.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/array.h"
#include "base/buf.h"
#include "pclntab_maker.h"
#include "symbolizer/unwind.h"
#include "tool.h"

#define CFA(kind, offset) .cfa = UNWIND_CFA_##kind, .cfa_off = (offset)
#define FP(offset)        .fp = UNWIND_AT_CFA, .fp_off = (offset)
#define RA                .ra = UNWIND_AT_CFA, .ra_off = -8

static char *dir; /* of the programs, for the life of this one */

static const char program[] = "import (\"crypto/sha256\"; \"fmt\"; \"os\"; \"sort\")\n"
			      "func main() {\n"
			      "	sort.Strings(os.Args)\n"
			      "	os.StartProcess(os.Args[0], nil, nil)\n" /* by vfork */
			      "	fmt.Println(sha256.Sum256([]byte(os.Args[0])))\n"
			      "}\n";

static struct unwind_rows *rows_of(const char *path)
{
	struct err err = {0};
	AUTO(elf_file) file = NULL;
	struct unwind_rows *rows = NULL;
	if (elf_file_open(&file, open(path, O_RDONLY | O_CLOEXEC), &err) ||
	    unwind_rows_open(&rows, file, &err))
		fail_msg("%s: %s", path, err.text);
	return rows;
}

/* What was compared. */
struct check {
	const struct unwind_rows *rows;
	uint64_t start, limit; /* of the function at hand */
	uint64_t row_start;
	int32_t cfa_off;
	bool has_row;
	uint64_t places, functions, ends, framed, popped;
};

/* readelf says of the return address what .debug_frame does: nothing of registers. In vfork it is
 * in r12 while two processes share the stack: syscall/asm_linux_amd64.s of Go 1.19. */
static void compare_at(struct check *check, uint64_t vaddr)
{
	const struct unwind_rule *rule = unwind_rows_find(check->rows, vaddr);
	check->places++;
	check->ends += rule->cfa == UNWIND_CFA_END;
	if (rule->cfa == UNWIND_CFA_END)
		return;
	bool is_framed = check->cfa_off > 8, is_popped = check->cfa_off == 0;
	check->framed += is_framed;
	check->popped += is_popped;
	if (rule->cfa != UNWIND_CFA_SP || rule->cfa_off != check->cfa_off ||
	    rule->ra != (is_popped ? UNWIND_AT_REG : UNWIND_AT_CFA) ||
	    rule->ra_off != (is_popped ? 12 : -8) ||
	    rule->fp != (is_framed ? UNWIND_AT_CFA : UNWIND_AT_SAME) ||
	    rule->fp_off != (is_framed ? -16 : 0))
		fail_msg("%#" PRIx64 ": CFA %u%+d rbp %u%+d; readelf: rsp%+d", vaddr, rule->cfa,
			 rule->cfa_off, rule->fp, rule->fp_off, check->cfa_off);
}

static void end_row(struct check *check, uint64_t limit)
{
	if (check->has_row && check->row_start < limit) {
		compare_at(check, check->row_start);
		compare_at(check, limit - 1);
	}
	check->has_row = false;
}

static void take_line(struct check *check, const char *line)
{
	uint64_t start, limit;
	if (sscanf(line, "%*x %*x %*x FDE cie=%*x pc=%" SCNx64 "..%" SCNx64, &start, &limit) == 2) {
		end_row(check, check->limit);
		check->start = start;
		check->limit = limit;
		check->functions++;
		return;
	}
	int32_t cfa_off;
	if (!check->limit || sscanf(line, "%" SCNx64 " rsp+%" SCNd32 " c-8", &start, &cfa_off) != 2)
		return;
	end_row(check, start);
	check->row_start = start;
	check->cfa_off = cfa_off;
	check->has_row = true;
}

/* The rows of stripped against readelf's of the same program with its .debug_frame. */
static void compare(const char *whole, const char *stripped)
{
	AUTO(unwind_rows) rows = rows_of(stripped);
	struct check check = {.rows = rows};
	AUTO_MEM char *text = tool_output("readelf --debug-dump=frames-interp "
					  "--debug-dump=no-follow-links '%s' 2>/dev/null",
					  whole);
	char *save = NULL;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		take_line(&check, line);
	end_row(&check, check.limit);
	const struct unwind_stats *stats = unwind_rows_stats(rows);
	print_message("%s: %" PRIu64 " functions, %" PRIu64 " rows, %" PRIu64 " rules; %" PRIu64
		      " places compared, %" PRIu64 " with a frame, %" PRIu64 " ends\n",
		      stripped, stats->functions, stats->rows, stats->rules, check.places,
		      check.framed, check.ends);
	assert_true(check.functions > 1000 && stats->functions >= check.functions);
	assert_true(check.framed > check.places / 4);
	assert_true(check.popped > 0);
	/* Of the few functions in assembly that have no caller on their stack. */
	assert_in_range(check.ends, 6, 6 * 24);
	assert_int_equal(stats->overlapped + stats->outside, 0);
	for (size_t i = 0; i < UNWIND_UNSUPPORTED_KINDS; i++)
		assert_int_equal(stats->unsupported[i], 0);
}

static char *build(const char *name, const char *source, const char *flags, const char *linker)
{
	char *path = NULL;
	assert_true(asprintf(&path, "%s/%s", dir, name) > 0);
	free(tool_output("env GO111MODULE=off GOFLAGS= GOTOOLCHAIN=local GOCACHE='%s/cache' "
			 "go build %s -ldflags '%s' -o '%s' '%s/%s.go' 2>&1",
			 dir, flags, linker, path, dir, source));
	return path;
}

static void stripped_by_go(void **state)
{
	(void)state;
	AUTO_MEM char *whole = build("whole", "plain", "", "");
	AUTO_MEM char *stripped = build("stripped", "plain", "", "-s -w");
	compare(whole, stripped);
	compare(whole, whole); /* it is not read twice, and says more of rbp */
}

static void position_independent(void **state)
{
	(void)state;
	AUTO_MEM char *whole = build("pie", "plain", "-buildmode=pie", "");
	AUTO_MEM char *stripped = build("pie_stripped", "plain", "-buildmode=pie", "-s -w");
	compare(whole, stripped);
}

/* Where the system's linker puts C into it, with .eh_frame, all of Go has rows all the same. */
static void with_c(void **state)
{
	(void)state;
	AUTO_MEM char *whole = build("cgo", "cgo", "", "-linkmode=external");
	AUTO_MEM char *stripped = build("cgo_stripped", "cgo", "", "-linkmode=external -s -w");
	AUTO(unwind_rows) rows = rows_of(whole);
	AUTO(unwind_rows) stripped_rows = rows_of(stripped);
	AUTO_MEM char *text =
		tool_output("nm '%s' | grep -E ' [Tt] (main|runtime|sort|_start|x_cgo_)'", whole);
	size_t functions = 0;
	char *save = NULL;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		uint64_t vaddr = strtoull(line, NULL, 16);
		const struct unwind_rule *rule = unwind_rows_find(stripped_rows, vaddr);
		if (strstr(line, "runtime.text") || strstr(line, "runtime.etext"))
			continue;
		if (rule->cfa == UNWIND_CFA_NONE ||
		    memcmp(rule, unwind_rows_find(rows, vaddr), sizeof(*rule)) != 0)
			fail_msg("%s: rule %u", line, rule->cfa);
		functions++;
	}
	assert_true(functions > 500);
}

static const struct {
	const char *name;
	bool has_flags;
} layouts[] = {{"go2", false}, {"go16", false}, {"go18", true}, {"go20", true}, {"go26", true}};

/* What make.sh says is in its tables. */
static const struct {
	uint64_t vaddr;
	struct unwind_rule rule, flagged;
} places[] = {
	{0xfff, {0}, {0}},
	{0x1000, {CFA(SP, 8), RA}, {CFA(SP, 8), RA}},
	{0x100f, {CFA(SP, 8), RA}, {CFA(SP, 8), RA}},
	{0x1010, {CFA(SP, 32), FP(-16), RA}, {CFA(SP, 32), FP(-16), RA}},
	{0x1037, {CFA(SP, 32), FP(-16), RA}, {CFA(SP, 32), FP(-16), RA}},
	{0x1038, {CFA(SP, 8), RA}, {CFA(SP, 8), RA}},
	{0x103f, {CFA(SP, 8), RA}, {CFA(SP, 8), RA}},
	{0x1040, {CFA(SP, 8), RA}, {CFA(END, 0)}},
	{0x1048, {CFA(SP, 16), FP(-16), RA}, {CFA(END, 0)}},
	{0x105f, {CFA(SP, 16), FP(-16), RA}, {CFA(END, 0)}},
	{0x1060, {0}, {CFA(END, 0)}},
	{0x107f, {0}, {CFA(END, 0)}},
	{0x1080, {0}, {0}},
};

static void every_layout(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(layouts); i++) {
		AUTO_MEM char *path = NULL;
		assert_true(asprintf(&path, "%s/%s", dir, layouts[i].name) > 0);
		FILE *file = fopen(path, "r");
		assert_non_null(file);
		char data[1 << 14];
		size_t len_bytes = fread(data, 1, sizeof(data), file);
		fclose(file);
		struct buf image;
		buf_init(&image, 1 << 20);
		pclntab_make_image(&image, data, len_bytes);
		tool_write_file(path, image.data, image.len_bytes);
		buf_fini(&image);
		AUTO(unwind_rows) rows = rows_of(path);
		const struct unwind_stats *stats = unwind_rows_stats(rows);
		assert_int_equal(stats->functions, 2);
		for (size_t j = 0; j < ARRAY_LEN(places); j++)
			if (memcmp(unwind_rows_find(rows, places[j].vaddr),
				   layouts[i].has_flags ? &places[j].flagged : &places[j].rule,
				   sizeof(struct unwind_rule)) != 0)
				fail_msg("%s: %#" PRIx64, layouts[i].name, places[j].vaddr);
	}
}

static void write_source(const char *name, const char *start)
{
	char path[1024], text[1024];
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	int len = snprintf(text, sizeof(text), "%s%s", start, program);
	assert_in_range(len, 1, sizeof(text) - 1);
	tool_write_file(path, text, (size_t)len);
}

static int make_dir(void **state)
{
	(void)state;
	dir = tool_dir_new();
	write_source("plain.go", "package main\n");
	write_source("cgo.go", "package main\nimport \"C\"\n");
	free(tool_output("'%s/corpus/pclntab/make.sh' '%s'", TEST_SOURCE_DIR, dir));
	return 0;
}

static int remove_dir(void **state)
{
	(void)state;
	tool_dir_remove(dir);
	return 0;
}

int main(void)
{
	tool_need("go");
	tool_need("gcc");
	tool_need("nm");
	tool_need("python3");
	tool_need("readelf");
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stripped_by_go),
		cmocka_unit_test(position_independent),
		cmocka_unit_test(with_c),
		cmocka_unit_test(every_layout),
	};
	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
