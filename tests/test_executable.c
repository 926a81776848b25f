#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/array.h"
#include "readelf.h"
#include "symbolizer/executable.h"

static char *dir; /* of the fixtures, for the life of this program */

static struct executable *open_file(const char *path)
{
	struct err err = {0};
	struct executable *exe = NULL;
	int rc = executable_open(&exe, open(path, O_RDONLY | O_CLOEXEC), path, &err);
	if (rc)
		fail_msg("%d: %s", rc, err.text);
	return exe;
}

static const char source[] = "#include <stdio.h>\n"
			     "static __attribute__((noinline)) int local_leaf(int x)\n"
			     "{ __asm__ volatile(\"\" : \"+r\"(x)); return x * 3; }\n"
			     "__attribute__((noinline)) int global_middle(int x)\n"
			     "{ return local_leaf(x) + 1; }\n"
			     "__attribute__((weak, noinline)) int weak_one(int x)\n"
			     "{ return global_middle(x) + local_leaf(x + 2); }\n"
			     "int main(int argc, char **argv)\n"
			     "{ (void)argv; printf(\"%d\", weak_one(argc)); return 0; }\n";

static const struct {
	const char *name, *compiler, *flags;
	const char *strip; /* "": not stripped */
} builds[] = {
	{"gcc_O0", "gcc", "-O0", ""},
	{"gcc_O2", "gcc", "-O2 -g", ""},
	{"gcc_O2_stripped", "gcc", "-O2", "strip"},
	{"gcc_no_debug", "gcc", "-O2 -g", "strip -g"},
	{"gcc_no_pie", "gcc", "-O2 -no-pie", ""},
	{"gcc_static", "gcc", "-O2 -static", ""},
	{"gcc_static_pie", "gcc", "-O2 -static-pie", ""},
	{"gcc_shared", "gcc", "-O2 -shared -fPIC", ""},
	{"gcc_shared_stripped", "gcc", "-O2 -shared -fPIC", "strip"},
	{"gcc_cet", "gcc", "-O2 -fcf-protection=full -Wl,-z,ibtplt", ""},
	{"gcc_sections", "gcc", "-O2 -ffunction-sections -Wl,--gc-sections", ""},
	{"gcc_id_none", "gcc", "-O2 -Wl,--build-id=none", ""},
	{"gcc_id_md5", "gcc", "-O2 -Wl,--build-id=md5", ""},
	{"gcc_id_uuid", "gcc", "-O2 -Wl,--build-id=uuid", ""},
	{"gcc_id_short", "gcc", "-O2 -Wl,--build-id=0xdeadbeef", ""},
	{"clang_O0", "clang", "-O0 -Wl,--build-id=sha1", ""},
	{"clang_O2", "clang", "-O2 -Wl,--build-id=sha1", ""},
	{"clang_O2_stripped", "clang", "-O2 -Wl,--build-id=sha1", "strip"},
	{"clang_static_pie", "clang", "-O2 -static-pie -Wl,--build-id=sha1", ""},
	{"clang_lld", "clang", "-O2 -fuse-ld=lld -Wl,--build-id=fast", ""},
	{"clang_lld_packed", "clang", "-O2 -fuse-ld=lld -Wl,-z,noseparate-code", ""},
};

static char *fixture(size_t i)
{
	char *path = NULL;
	assert_true(asprintf(&path, "%s/%s", dir, builds[i].name) > 0);
	if (access(path, F_OK)) {
		free(tool_output("%s %s -o '%s' '%s/source.c'", builds[i].compiler, builds[i].flags,
				 path, dir));
		if (builds[i].strip[0])
			free(tool_output("%s '%s'", builds[i].strip, path));
	}
	return path;
}

/* Every function that readelf lists: its first, middle and last byte must be given to a
 * function that readelf lists there. */
static void compare_with_readelf(const char *path)
{
	struct readelf list = readelf_functions(path);
	struct executable *exe = open_file(path);
	for (size_t i = 0; i < list.count; i++) {
		const struct readelf_function *function = &list.functions[i];
		uint64_t offs[] = {0, function->size_bytes / 2, function->size_bytes - 1};
		for (size_t j = 0; j < ARRAY_LEN(offs); j++) {
			uint64_t vaddr = function->vaddr + offs[j];
			struct symbol symbol = {0};
			if (!executable_lookup(exe, vaddr, &symbol))
				fail_msg("%s: %" PRIx64 ": no name, not %s", path, vaddr,
					 function->name);
			assert_non_null(symbol.name);
			assert_true(symbol.vaddr >= function->vaddr);
			if (!readelf_lists(&list, symbol.vaddr, vaddr, symbol.system_name))
				fail_msg("%s: %" PRIx64 ": %s, not %s", path, vaddr,
					 symbol.system_name, function->name);
		}
	}
	print_message("%s: %zu functions\n", path, list.count);
	executable_unref(exe);
	readelf_fini(&list);
}

static void names_are_readelfs(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(builds); i++) {
		AUTO_MEM char *path = fixture(i);
		compare_with_readelf(path);
	}
}

static void names_of_large_files_are_readelfs(void **state)
{
	(void)state;
	static const char *const globs[] = {
		"/proc/self/exe",
		"/usr/lib/*/libc.so.6",
		"/usr/lib/*/libstdc++.so.6",
		"/usr/lib/*/libLLVM-14.so.1",
		"/usr/lib/*/libcrypto.so.3",
		"/usr/bin/python3",
	};
	size_t files = 0;
	for (size_t i = 0; i < ARRAY_LEN(globs); i++) {
		AUTO_MEM char *paths = tool_output("ls -1 %s 2>/dev/null || true", globs[i]);
		char *save = NULL;
		for (char *path = strtok_r(paths, "\n", &save); path;
		     path = strtok_r(NULL, "\n", &save), files++) {
			if (strcmp(path, "/proc/self/exe")) {
				compare_with_readelf(path);
				continue;
			}
			char self[4096] = {0};
			assert_true(readlink(path, self, sizeof(self) - 1) > 0);
			compare_with_readelf(self);
		}
	}
	assert_true(files >= 2); /* this program and libc are everywhere */
}

static void build_ids_are_readelfs(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(builds); i++) {
		AUTO_MEM char *path = fixture(i);
		AUTO_MEM char *expected = tool_output(
			"readelf -nW '%s' | sed -n 's/.*Build ID: //p' | tr -d '\\n'", path);
		struct executable *exe = open_file(path);
		assert_string_equal(executable_build_id(exe), expected);
		assert_string_equal(executable_name(exe), path);
		executable_unref(exe);
	}
}

static void why_names_are_missing(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(builds); i++) {
		AUTO_MEM char *path = fixture(i);
		struct executable *exe = open_file(path);
		const char *reason = executable_unnamed_reason(exe);
		if (!strcmp(builds[i].strip, "strip"))
			assert_string_equal(reason, "stripped");
		else
			assert_null(reason);
		executable_unref(exe);
	}
}

/* Every LOAD that readelf lists: its first and last byte in the file, and what lies past it. */
static void addresses_are_readelfs(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(builds); i++) {
		AUTO_MEM char *path = fixture(i);
		AUTO_MEM char *text = tool_output("readelf -lW '%s' | grep -w LOAD", path);
		struct executable *exe = open_file(path);
		char *save = NULL;
		bool seen_code = false;
		for (char *line = strtok_r(text, "\n", &save); line;
		     line = strtok_r(NULL, "\n", &save)) {
			uint64_t off, start, file_bytes, memory_bytes, vaddr;
			char flags[16];
			assert_int_equal(sscanf(line,
						" LOAD %" SCNx64 " %" SCNx64 " %*s %" SCNx64
						" %" SCNx64 " %15[RWE ]",
						&off, &start, &file_bytes, &memory_bytes, flags),
					 5);
			assert_true(executable_vaddr(exe, off, &vaddr));
			assert_int_equal(vaddr, start);
			assert_true(executable_vaddr(exe, off + file_bytes - 1, &vaddr));
			assert_int_equal(vaddr, start + file_bytes - 1);
			if (!strchr(flags, 'E'))
				continue;
			uint64_t first, limit, segment_off;
			uint64_t asked[] = {start, start + memory_bytes - 1, UINT64_MAX};
			for (size_t j = seen_code ? 1 : 0; j < ARRAY_LEN(asked); j++) {
				executable_segment(exe, asked[j], &first, &limit, &segment_off);
				if (seen_code && j == 2)
					continue; /* the first one answers */
				assert_int_equal(first, start);
				assert_int_equal(limit, start + memory_bytes);
				assert_int_equal(segment_off, off);
			}
			seen_code = true;
		}
		uint64_t vaddr = 77;
		assert_false(executable_vaddr(exe, UINT64_MAX, &vaddr));
		assert_false(executable_vaddr(exe, INT64_MAX, &vaddr));
		assert_int_equal(vaddr, 77);
		executable_unref(exe);
	}
}

/* objdump's names for stubs; they have no symbols. */
static void compare_stubs(const char *objdump, const char *path, size_t at_least)
{
	AUTO_MEM char *text = tool_output("%s -d '%s' 2>/dev/null | sed -n "
					  "'s/^0*\\([0-9a-f]*\\) <\\([^>+]*@plt\\)>:$/\\1 \\2/p'",
					  objdump, path);
	struct executable *exe = open_file(path);
	size_t count = 0;
	char *save = NULL;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		uint64_t vaddr;
		char name[4096];
		assert_int_equal(sscanf(line, "%" SCNx64 " %4095s", &vaddr, name), 2);
		struct symbol symbol = {0};
		for (uint64_t i = 0; i < 8; i += 7) { /* .plt.got has stubs of 8 bytes */
			if (!executable_lookup(exe, vaddr + i, &symbol))
				fail_msg("%s: no name for %s", path, name);
			assert_string_equal(symbol.system_name, name);
		}
		count++;
	}
	executable_unref(exe);
	print_message("%s: %zu stubs\n", path, count);
	assert_true(count >= at_least);
}

static void stubs_have_names(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(builds); i++) {
		if (strstr(builds[i].flags, "static"))
			continue;
		AUTO_MEM char *path = fixture(i);
		compare_stubs("objdump", path, 1);
	}
	char path[512];
	static const char *const targets[] = {"", "-mbranch-protection=standard -Wl,-z,force-bti"};
	for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
		snprintf(path, sizeof(path), "%s/aarch64_%zu", dir, i);
		free(tool_output(
			"clang --target=aarch64-linux-gnu -fuse-ld=lld -nostdlib -O1 -fPIC "
			"-ffreestanding -shared %s -o '%s' '%s/stubs.c' 2>&1",
			targets[i], path, dir));
		compare_stubs("llvm-objdump", path, 2);
		compare_with_readelf(path);
	}
}

/* This very process: instruction address to mapping to file offset to vaddr to name. */
__attribute__((noinline)) static void a_function_of_this_program(void)
{
	__asm__ volatile("");
}

static void names_of_this_process(void **state)
{
	(void)state;
	uint64_t ip = (uint64_t)(uintptr_t)a_function_of_this_program;
	FILE *maps = fopen("/proc/self/maps", "r");
	assert_non_null(maps);
	char line[4096];
	uint64_t start = 0, end = 0, off = 0;
	while (fgets(line, sizeof(line), maps) && !(start <= ip && ip < end))
		assert_int_equal(sscanf(line, "%" SCNx64 "-%" SCNx64 " %*s %" SCNx64, &start, &end,
					&off),
				 3);
	fclose(maps);
	struct executable *exe = open_file("/proc/self/exe");
	uint64_t vaddr;
	struct symbol symbol;
	assert_true(executable_vaddr(exe, ip - start + off, &vaddr));
	assert_true(executable_lookup(exe, vaddr, &symbol));
	assert_string_equal(symbol.name, "a_function_of_this_program");
	assert_int_equal(symbol.vaddr, vaddr);
	executable_unref(exe);
}

static void names_of_the_vdso(void **state)
{
	(void)state;
	const void *vdso = (const void *)getauxval(AT_SYSINFO_EHDR); /* NOLINT: that is its type */
	if (!vdso)
		skip();
	struct executable *exe = NULL;
	struct err err;
	assert_int_equal(executable_from_memory(&exe, vdso, 8192, "[vdso]", &err), 0);
	uint64_t start, limit, off;
	executable_segment(exe, 0, &start, &limit, &off);
	bool found = false;
	for (uint64_t vaddr = start; vaddr < limit && !found; vaddr++) {
		struct symbol symbol;
		found = executable_lookup(exe, vaddr, &symbol) &&
			strstr(symbol.name, "clock_gettime");
	}
	assert_true(found);
	assert_true(strlen(executable_build_id(exe)) > 0);
	executable_unref(exe);
}

/* 2,000 addresses in .text, by llvm-symbolizer and by us: named by both or by neither, and
 * where the names differ they are two names of one function. */
static void llvm_symbolizer_agrees(void **state)
{
	(void)state;
	enum { COUNT = 2000 };
	AUTO_MEM char *path =
		tool_output("ls -1 /usr/lib/*/libstdc++.so.6 | head -1 | tr -d '\\n'");
	AUTO_MEM char *text = tool_output("readelf -SW '%s' | grep ' \\.text '", path);
	uint64_t start, size_bytes;
	assert_int_equal(sscanf(strstr(text, "PROGBITS"), "PROGBITS %" SCNx64 " %*s %" SCNx64,
				&start, &size_bytes),
			 2);
	char addresses[512];
	snprintf(addresses, sizeof(addresses), "%s/addresses", dir);
	FILE *file = fopen(addresses, "w");
	assert_non_null(file);
	unsigned seed = 20240601U;
	uint64_t vaddrs[COUNT];
	for (size_t i = 0; i < COUNT; i++) {
		vaddrs[i] = start + (uint64_t)rand_r(&seed) % size_bytes;
		fprintf(file, "0x%" PRIx64 "\n", vaddrs[i]);
	}
	fclose(file);
	AUTO_MEM char *answers = tool_output("llvm-symbolizer --obj='%s' --no-demangle "
					     "--functions=linkage < '%s' | awk 'NR %% 3 == 1'",
					     path, addresses);
	struct readelf list = readelf_functions(path);
	struct executable *exe = open_file(path);
	char *save = NULL, *answer = strtok_r(answers, "\n", &save);
	size_t same = 0, none = 0, alias = 0;
	for (size_t i = 0; i < COUNT; i++, answer = strtok_r(NULL, "\n", &save)) {
		assert_non_null(answer);
		answer[strcspn(answer, "@")] = '\0';
		struct symbol symbol;
		bool known = executable_lookup(exe, vaddrs[i], &symbol) && !symbol.is_mark;
		if (!known && strcmp(answer, "??"))
			fail_msg("%" PRIx64 ": no name, not %s", vaddrs[i], answer);
		none += !known;
		if (!known)
			continue;
		if (!strcmp(answer, symbol.system_name))
			same++;
		else if (readelf_lists(&list, symbol.vaddr, vaddrs[i], answer))
			alias++;
		else
			fail_msg("%" PRIx64 ": %s, not %s", vaddrs[i], symbol.system_name, answer);
	}
	print_message("same %zu, another name of the same function %zu, neither %zu\n", same, alias,
		      none);
	assert_true(same + alias > COUNT / 2);
	executable_unref(exe);
	readelf_fini(&list);
}

static void references_are_counted(void **state)
{
	(void)state;
	AUTO_MEM char *path = fixture(0);
	struct executable *exe = open_file(path);
	assert_ptr_equal(executable_ref(exe), exe);
	executable_unref(exe);
	struct symbol symbol;
	executable_lookup(exe, 0, &symbol); /* still there, or AddressSanitizer objects */
	executable_unref(exe);
	executable_unref(NULL);
}

static void not_executables(void **state)
{
	(void)state;
	char object[512], elf32[512], fifo[512], text[512], empty[512];
	snprintf(object, sizeof(object), "%s/object.o", dir);
	snprintf(elf32, sizeof(elf32), "%s/elf32.so", dir);
	snprintf(fifo, sizeof(fifo), "%s/fifo", dir);
	snprintf(text, sizeof(text), "%s/source.c", dir);
	snprintf(empty, sizeof(empty), "%s/empty", dir);
	free(tool_output("gcc -c -o '%s' '%s/source.c'", object, dir));
	free(tool_output("clang --target=i386-linux-gnu -fuse-ld=lld -nostdlib -ffreestanding "
			 "-fPIC -shared -o '%s' '%s/stubs.c'",
			 elf32, dir));
	assert_int_equal(mkfifo(fifo, 0600), 0);
	tool_write_file(empty, "", 0);
	const struct {
		const char *path;
		int code;
		const char *text;
	} rows[] = {
		{object, -EOPNOTSUPP, "only executables and shared objects"},
		{elf32, -EOPNOTSUPP, "32-bit"},
		{fifo, -EBADMSG, "not a regular file"},
		{"/dev/null", -EBADMSG, "not a regular file"},
		{dir, -EBADMSG, "not a regular file"},
		{text, -EBADMSG, "not an ELF file"},
		{empty, -EBADMSG, "not an ELF file"},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct executable *exe = NULL;
		struct err err = {0};
		int fd = open(rows[i].path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
		assert_true(fd >= 0);
		assert_int_equal(executable_open(&exe, fd, "shown", &err), rows[i].code);
		assert_null(exe);
		assert_int_equal(fcntl(fd, F_GETFD), -1); /* taken, and closed */
		assert_int_equal(strncmp(err.text, "shown: ", 7), 0);
		assert_non_null(strstr(err.text, rows[i].text));
	}
	struct err err = {0};
	struct executable *exe = NULL;
	assert_int_equal(executable_open(&exe, -1, "shown", &err), -EBADF);
}

static int set_up(void **state)
{
	(void)state;
	static const char stubs[] = "int outside_a(int);\nint outside_b(int);\n"
				    "int calls(int x)\n"
				    "{ return outside_a(x) + outside_b(x) + 1; }\n";
	char path[512];
	dir = tool_dir_new();
	snprintf(path, sizeof(path), "%s/source.c", dir);
	tool_write_file(path, source, strlen(source));
	snprintf(path, sizeof(path), "%s/stubs.c", dir);
	tool_write_file(path, stubs, strlen(stubs));
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	tool_dir_remove(dir);
	return 0;
}

int main(void)
{
	tool_need("gcc");
	tool_need("clang");
	tool_need("readelf");
	tool_need("objdump");
	tool_need("ld.lld");
	tool_need("llvm-objdump");
	tool_need("llvm-symbolizer");
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_readelfs),
		cmocka_unit_test(names_of_large_files_are_readelfs),
		cmocka_unit_test(build_ids_are_readelfs),
		cmocka_unit_test(why_names_are_missing),
		cmocka_unit_test(addresses_are_readelfs),
		cmocka_unit_test(stubs_have_names),
		cmocka_unit_test(names_of_this_process),
		cmocka_unit_test(names_of_the_vdso),
		cmocka_unit_test(llvm_symbolizer_agrees),
		cmocka_unit_test(references_are_counted),
		cmocka_unit_test(not_executables),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
