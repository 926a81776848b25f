#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/array.h"
#include "base/clock.h"
#include "profiler/kernel_names.h"
#include "tool.h"

static const char kernel[] = "ffffffff81000000 T _stext\n"
			     "ffffffff81000100 T schedule\n"
			     "ffffffff81000200 T _etext\n";
static const char first_program[] = "ffffffffc0201000 t bpf_prog_6deef7357e7b4530_first\t[bpf]\n";
static const char other_program[] = "ffffffffc0201000 t bpf_prog_0123456789abcdef_other\t[bpf]\n";
static const char module_text[] = "ffffffffc0400000 t nf_hook\t[nf_tables]\n";

struct fixture {
	char *dir;
	char path[1024];
	struct kernel_names *names;
	int64_t now_mono_ns;
};

static void write_table(const struct fixture *fixture, const char *more)
{
	struct buf text;
	buf_init(&text, 1 << 16);
	buf_append_str(&text, kernel);
	buf_append_str(&text, more);
	tool_write_file(fixture->path, text.data, text.len_bytes);
	buf_fini(&text);
}

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	fixture->dir = tool_dir_new();
	fixture->now_mono_ns = 1000 * NS_PER_S;
	snprintf(fixture->path, sizeof(fixture->path), "%s/kallsyms", fixture->dir);
	write_table(fixture, "");
	assert_int_equal(kernel_names_new(&fixture->names, fixture->path, NULL), 0);
	assert_null(kernel_names_table(fixture->names));
	assert_int_equal(kernel_names_read(fixture->names, fixture->now_mono_ns, NULL), 0);
	assert_non_null(kernel_names_table(fixture->names));
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;
	kernel_names_free(fixture->names);
	tool_dir_remove(fixture->dir);
	free(fixture);
	return 0;
}

/* name NULL: none */
static void expect_after(struct fixture *fixture, int64_t seconds, uint64_t ip, const char *name)
{
	fixture->now_mono_ns += seconds * NS_PER_S;
	const struct kernel_symbol *symbol =
		kernel_names_find(fixture->names, ip, fixture->now_mono_ns);
	if (!symbol != !name || (name && strcmp(symbol->name, name) != 0))
		fail_msg("%s, not %s", symbol ? symbol->name : NULL, name);
}

static void new_programs_are_found_soon(void **state)
{
	struct fixture *fixture = *state;
	write_table(fixture, first_program);
	expect_after(fixture, 1, 0xffffffffc0201010, NULL);
	expect_after(fixture, 1, 0xffffffffc0201010, "bpf_prog_6deef7357e7b4530_first");
	write_table(fixture, module_text);
	expect_after(fixture, 2, 0xffffffffc0400010, "nf_hook");
	assert_string_equal(
		kernel_names_find(fixture->names, 0xffffffffc0400010, fixture->now_mono_ns)->module,
		"nf_tables");
}

/* An address of nothing is looked for at 2, 6, 14, 30, 62 and 122 s, and no more often. */
static void looking_in_vain_gets_rare(void **state)
{
	struct fixture *fixture = *state;
	static const int64_t looks[] = {2, 6, 14, 30, 62, 122, 182};
	int64_t second = 0;
	for (size_t i = 0; i < ARRAY_LEN(looks); i++) {
		/* Looking earlier would fail, and move all the looks after it. */
		tool_write_file(fixture->path, "", 0);
		for (; second < looks[i] - 1; second++)
			expect_after(fixture, 1, 0xffffffffc0400010, NULL);
		write_table(fixture, i + 1 < ARRAY_LEN(looks) ? "" : module_text);
		expect_after(fixture, 1, 0xffffffffc0400010,
			     i + 1 < ARRAY_LEN(looks) ? NULL : "nf_hook");
		second++;
	}
	/* It helped, so the next unknown one is looked for soon. */
	write_table(fixture, first_program);
	expect_after(fixture, 2, 0xffffffffc0201010, "bpf_prog_6deef7357e7b4530_first");
}

static void gone_programs_make_way(void **state)
{
	struct fixture *fixture = *state;
	write_table(fixture, first_program);
	expect_after(fixture, 2, 0xffffffffc0201010, "bpf_prog_6deef7357e7b4530_first");
	write_table(fixture, other_program);
	expect_after(fixture, 59, 0xffffffffc0201010, "bpf_prog_6deef7357e7b4530_first");
	expect_after(fixture, 1, 0xffffffffc0201010, "bpf_prog_0123456789abcdef_other");
	write_table(fixture, "");
	expect_after(fixture, 60, 0xffffffffc0201010, NULL);
}

static void programs_known_to_change_make_way_sooner(void **state)
{
	struct fixture *fixture = *state;
	write_table(fixture, first_program);
	expect_after(fixture, 2, 0xffffffffc0201010, "bpf_prog_6deef7357e7b4530_first");
	write_table(fixture, other_program);
	kernel_names_note_change(fixture->names);
	expect_after(fixture, 9, 0xffffffffc0201010, "bpf_prog_6deef7357e7b4530_first");
	expect_after(fixture, 1, 0xffffffffc0201010, "bpf_prog_0123456789abcdef_other");
	/* It is known now. */
	write_table(fixture, first_program);
	expect_after(fixture, 59, 0xffffffffc0201010, "bpf_prog_0123456789abcdef_other");
}

/* The kernel itself does not change: its names are never a reason to look. */
static void the_kernel_stays(void **state)
{
	struct fixture *fixture = *state;
	tool_write_file(fixture->path, "", 0);
	expect_after(fixture, 100000, 0xffffffff81000110, "schedule");
}

static void failures_keep_the_table(void **state)
{
	struct fixture *fixture = *state;
	static const struct {
		const char *text; /* NULL: no file */
		int code;
		const char *sentence;
	} rows[] = {
		{"", -ENODATA, "no kernel symbols"},
		{"0000000000000000 T _stext\n0000000000000000 t f\n", -EPERM, "kptr_restrict"},
		{"nonsense\n", -EBADMSG, "not a line"},
		{NULL, -ENOENT, "kallsyms: No such file"},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (rows[i].text)
			tool_write_file(fixture->path, rows[i].text, strlen(rows[i].text));
		else
			unlink(fixture->path);
		struct err err = {0};
		assert_int_equal(kernel_names_read(fixture->names, fixture->now_mono_ns, &err),
				 rows[i].code);
		assert_non_null(strstr(err.text, rows[i].sentence));
		expect_after(fixture, 0, 0xffffffff81000110, "schedule");
	}
}

static void nothing_to_read(void **state)
{
	(void)state;
	AUTO(kernel_names) names = NULL;
	assert_int_equal(kernel_names_new(&names, "/nonexistent/kallsyms", NULL), 0);
	assert_int_equal(kernel_names_read(names, 0, NULL), -ENOENT);
	assert_null(kernel_names_find(names, 0xffffffff81000110, 1));
	assert_null(kernel_names_find(names, 0xffffffff81000110, 100 * NS_PER_S));
	assert_null(kernel_names_table(names));
	kernel_names_free(NULL);
}

#define WITH_FILE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_FILE(new_programs_are_found_soon),
		WITH_FILE(looking_in_vain_gets_rare),
		WITH_FILE(gone_programs_make_way),
		WITH_FILE(the_kernel_stays),
		WITH_FILE(failures_keep_the_table),
		cmocka_unit_test(nothing_to_read),
		WITH_FILE(programs_known_to_change_make_way_sooner),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
