#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/array.h"
#include "base/buf.h"
#include "base/clock.h"
#include "symbolizer/kallsyms.h"

static int read_text(struct kallsyms **out, const char *text, size_t len_bytes, struct err *err)
{
	AUTO_FD fd = memfd_create("kallsyms", MFD_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, len_bytes), len_bytes);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	return kallsyms_read(out, fd, err);
}

static const char good[] = "0000000000000000 A fixed_percpu_data\n"
			   "ffffffff81000000 T srso_alias_untrain_ret\n"
			   "ffffffff81000000 T _stext\n"
			   "ffffffff81000000 T _text\n"
			   "ffffffff81000100 t local_one\n"
			   "ffffffff81000100 T global_one\n"
			   "ffffffff81000200 W weak_one\n"
			   "ffffffff81000200 t local_two\n"
			   "ffffffff81000300 T __x_memcpy\n"
			   "ffffffff81000300 T memcpy\n"
			   "ffffffff81000300 T _memcpy\n"
			   "ffffffff81000400 w weak_alone\n"
			   "ffffffff81000500 D data_in_text\n"
			   "ffffffff81000600 T last\n"
			   "ffffffff81000700 T _etext\n"
			   "ffffffff81000700 T __another_name_for_the_end\n"
			   "ffffffff82000000 R rodata\n"
			   "ffffffff83000000 T _sinittext\n"
			   "ffffffff83000010 t start_kernel\n"
			   "ffffffff83000100 T _einittext\n"
			   "ffffffff84000000 B bss\n"
			   "ffffffffc0001000 t helper\t[ext4]\n"
			   "ffffffffc0002000 t last_of_module\t[ext4]\n"
			   "ffffffffc0900000 t nf_one\t[nf_tables]\n"
			   "ffffffffc0a00000 t bpf_prog_6deef7357e7b4530_dump\t[bpf]\n"
			   "ffffffffc0a00400 t bpf_trampoline_6442\t[bpf]\n"
			   "ffffffffc0b00000 t ftrace_trampoline\t[__builtin__ftrace]\n"
			   "ffffffffc0c00000 t twin\t[beta]\n"
			   "ffffffffc0000000 t twin\t[alpha]\n"; /* not in order */

static const struct {
	uint64_t ip;
	const char *name; /* NULL: none */
	const char *module;
} finds[] = {
	{0x0000000000000000, NULL, NULL},
	{0x0000000000400000, NULL, NULL},
	{0xffffffff80ffffff, NULL, NULL},
	{0xffffffff81000000, "srso_alias_untrain_ret", ""},
	{0xffffffff810000ff, "srso_alias_untrain_ret", ""},
	{0xffffffff81000100, "global_one", ""},
	{0xffffffff81000200, "local_two", ""},
	{0xffffffff81000300, "memcpy", ""},
	{0xffffffff81000400, "weak_alone", ""},
	{0xffffffff81000500, "weak_alone", ""},
	{0xffffffff81000600, "last", ""},
	{0xffffffff810006ff, "last", ""},
	{0xffffffff81000700, NULL, NULL},
	{0xffffffff81000701, NULL, NULL},
	{0xffffffff82000000, NULL, NULL},
	{0xffffffff83000000, "_sinittext", ""},
	{0xffffffff83000010, "start_kernel", ""},
	{0xffffffff83000100, NULL, NULL},
	{0xffffffffbfffffff, NULL, NULL},
	{0xffffffffc0000000, "twin", "alpha"},
	{0xffffffffc0001000, "helper", "ext4"},
	{0xffffffffc0001fff, "helper", "ext4"},
	{0xffffffffc0002000, "last_of_module", "ext4"},
	{0xffffffffc01020ff, NULL, NULL}, /* more than a MiB on */
	{0xffffffffc0900000, "nf_one", "nf_tables"},
	{0xffffffffc0a00000, "bpf_prog_6deef7357e7b4530_dump", "bpf"},
	{0xffffffffc0a003ff, "bpf_prog_6deef7357e7b4530_dump", "bpf"},
	{0xffffffffc0a00400, "bpf_trampoline_6442", "bpf"},
	{0xffffffffc0a10400, NULL, NULL}, /* more than 64 KiB on */
	{0xffffffffc0b00000, "ftrace_trampoline", "__builtin__ftrace"},
	{0xffffffffc0c00000, "twin", "beta"},
	{0xffffffffffffffff, NULL, NULL},
};

static void names_and_bounds(void **state)
{
	(void)state;
	struct kallsyms *syms = NULL;
	struct err err = {0};
	assert_int_equal(read_text(&syms, good, strlen(good), &err), 0);
	for (size_t i = 0; i < ARRAY_LEN(finds); i++) {
		const struct kernel_symbol *symbol = kallsyms_find(syms, finds[i].ip);
		if (!symbol != !finds[i].name)
			fail_msg("%" PRIx64 ": %s, not %s", finds[i].ip,
				 symbol ? symbol->name : NULL, finds[i].name);
		if (!symbol)
			continue;
		assert_string_equal(symbol->name, finds[i].name);
		assert_string_equal(symbol->module, finds[i].module);
	}
	uint64_t start, end;
	kallsyms_text(syms, &start, &end);
	assert_int_equal(start, 0xffffffff81000000);
	assert_int_equal(end, 0xffffffff81000700);
	kallsyms_free(syms);
	kallsyms_free(NULL);
}

static void without_bounds(void **state)
{
	(void)state;
	static const char text[] = "ffffffff81000000 T only\n";
	struct kallsyms *syms = NULL;
	struct err err = {0};
	assert_int_equal(read_text(&syms, text, strlen(text), &err), 0);
	uint64_t start = 1, end = 1;
	kallsyms_text(syms, &start, &end);
	assert_int_equal(start, 0);
	assert_int_equal(end, 0);
	assert_non_null(kallsyms_find(syms, 0xffffffff810fffff));
	assert_null(kallsyms_find(syms, 0xffffffff81100000));
	kallsyms_free(syms);
}

static const struct {
	const char *label;
	const char *text;
	int code;
	const char *sentence;
} bad[] = {
	{"empty", "", -ENODATA, "no kernel symbols"},
	{"only data", "ffffffff81000000 D jiffies\n", -ENODATA, "no kernel symbols"},
	{"hidden", "0000000000000000 T _stext\n0000000000000000 t f\n", -EPERM, "kptr_restrict"},
	{"hidden modules", "0000000000000000 t f\t[ext4]\n", -EPERM, "CAP_SYSLOG"},
	{"no newline", "ffffffff81000000 T f", -ENODATA, "end within a line"},
	{"empty line", "\n", -EBADMSG, "not a line"},
	{"no address", "T f\n", -EBADMSG, "not a line"},
	{"not hexadecimal", "ffffffffg1000000 T f\n", -EBADMSG, "not a line"},
	{"upper case", "FFFFFFFF81000000 T f\n", -EBADMSG, "not a line"},
	{"17 digits", "ffffffff810000000 T f\n", -EBADMSG, "not a line"},
	{"no type", "ffffffff81000000\n", -EBADMSG, "not a line"},
	{"type cut", "ffffffff81000000 \n", -EBADMSG, "not a line"},
	{"long type", "ffffffff81000000 TT f\n", -EBADMSG, "not a line"},
	{"no name", "ffffffff81000000 T \n", -EBADMSG, "not a line"},
	{"name cut", "ffffffff81000000 T\n", -EBADMSG, "not a line"},
	{"no name, a module", "ffffffff81000000 T \t[m]\n", -EBADMSG, "not a line"},
	{"module without name", "ffffffff81000000 T f\t[]\n", -EBADMSG, "not a line"},
	{"module not closed", "ffffffff81000000 T f\t[m\n", -EBADMSG, "not a line"},
	{"module not opened", "ffffffff81000000 T f\tm]\n", -EBADMSG, "not a line"},
	{"tab alone", "ffffffff81000000 T f\t\n", -EBADMSG, "not a line"},
	{"another file", "MemTotal:        8000000 kB\n", -EBADMSG, "not a line"},
};

static void malformed(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct kallsyms *syms = NULL;
		struct err err = {0};
		int rc = read_text(&syms, bad[i].text, strlen(bad[i].text), &err);
		if (rc != bad[i].code || !strstr(err.text, bad[i].sentence))
			fail_msg("%s: %d %s", bad[i].label, rc, err.text);
		assert_null(syms);
		assert_int_equal(err.code, rc);
	}
	struct kallsyms *syms = NULL;
	struct err err = {0};
	assert_int_equal(kallsyms_read(&syms, -1, &err), -EBADF);
	AUTO_MEM char *endless = malloc(200000);
	memset(endless, 'a', 200000);
	assert_int_equal(read_text(&syms, endless, 200000, &err), -EBADMSG);
	assert_int_equal(read_text(&syms, "ffffffff81000000 T f\0g\n", 23, &err), 0);
	kallsyms_free(syms);
}

/* Lines that are cut by the chunks in which they are read. */
static void many_lines(void **state)
{
	(void)state;
	enum { COUNT = 300000 };
	struct buf text;
	buf_init(&text, 64 << 20);
	for (uint64_t i = 0; i < COUNT; i++)
		buf_printf(&text, "%016" PRIx64 " t function_%" PRIu64 "%s\n",
			   0xffffffff81000000 + i * 16, i, i % 3 ? "" : "\t[module]");
	assert_int_equal(buf_error(&text), 0);
	struct kallsyms *syms = NULL;
	struct err err = {0};
	int64_t start_mono_ns = clock_mono_ns();
	assert_int_equal(read_text(&syms, text.data, text.len_bytes, &err), 0);
	print_message("%d lines in %lld ms\n", COUNT,
		      (long long)((clock_mono_ns() - start_mono_ns) / NS_PER_MS));
	for (uint64_t i = 0; i < COUNT; i++) {
		const struct kernel_symbol *symbol =
			kallsyms_find(syms, 0xffffffff81000000 + i * 16 + i % 16);
		char name[32];
		snprintf(name, sizeof(name), "function_%" PRIu64, i);
		assert_non_null(symbol);
		assert_string_equal(symbol->name, name);
		assert_string_equal(symbol->module, i % 3 ? "" : "module");
	}
	kallsyms_free(syms);
	buf_fini(&text);
}

/* Every function that the running kernel lists is found under one of its names. */
static void this_kernel(void **state)
{
	(void)state;
	AUTO_FD fd = open("/proc/kallsyms", O_RDONLY | O_CLOEXEC);
	struct kallsyms *syms = NULL;
	struct err err = {0};
	int rc = fd < 0 ? -ENOENT : kallsyms_read(&syms, fd, &err);
	if (rc == -EPERM || rc == -ENOENT) {
		print_message("not done: %s\n", rc == -EPERM ? err.text : "no /proc/kallsyms");
		skip();
	}
	assert_int_equal(rc, 0);
	FILE *file = fopen("/proc/kallsyms", "r");
	assert_non_null(file);
	uint64_t text_start, text_end, ip, last_ip = 0;
	kallsyms_text(syms, &text_start, &text_end);
	assert_true(text_start < text_end);
	char line[1024], name[512], type;
	size_t count = 0, matched = 0, places = 0;
	while (fgets(line, sizeof(line), file)) {
		assert_int_equal(sscanf(line, "%" SCNx64 " %c %511s", &ip, &type, name), 3);
		if (!strchr("tTwW", type) || ip < text_start || ip >= text_end)
			continue;
		const struct kernel_symbol *symbol = kallsyms_find(syms, ip);
		assert_non_null(symbol);
		assert_int_equal(symbol->ip, ip);
		matched += !strcmp(symbol->name, name);
		places += ip != last_ip;
		last_ip = ip;
		count++;
	}
	fclose(file);
	print_message("%zu functions at %zu places\n", count, places);
	assert_true(places > 1000);
	assert_true(matched >= places);
	kallsyms_free(syms);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_and_bounds), cmocka_unit_test(without_bounds),
		cmocka_unit_test(malformed),        cmocka_unit_test(many_lines),
		cmocka_unit_test(this_kernel),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
