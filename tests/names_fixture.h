/*
 * names_fixture: a program compiled at test time, whose functions nm knows, and GSYM files with
 * one function.
 */
#pragma once
#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>

#include "symbolizer/elf_file.h"
#include "symbolizer/gsym.h"
#include "symbolizer/gsym_builder.h"
#include "tool.h"

#define NAMES_FIXTURE_UNUSED __attribute__((unused))

enum { NAMES_FIXTURE_VADDR = 0x401000, NAMES_FIXTURE_CODE_BYTES = 64 };

/* Write a file with one function of that name at fd's position. */
NAMES_FIXTURE_UNUSED static void names_fixture_write(int fd, const char *name)
{
	AUTO(gsym_builder) builder = NULL;
	assert_int_equal(gsym_builder_new(&builder, 1 << 20, NULL), 0);
	struct gsym_function function = {
		.range = {NAMES_FIXTURE_VADDR, NAMES_FIXTURE_VADDR + NAMES_FIXTURE_CODE_BYTES},
		.source = GSYM_FROM_DWARF,
	};
	assert_int_equal(gsym_builder_add_string(builder, name, strlen(name), &function.name), 0);
	assert_int_equal(gsym_builder_add_function(builder, &function), 0);
	assert_int_equal(gsym_builder_write(builder, fd, NULL, 0, NULL), 0);
}

/* The function at vaddr, without those inlined into it; NULL: there is none. Borrowed. */
NAMES_FIXTURE_UNUSED static const char *names_fixture_at(const struct gsym *gsym, uint64_t vaddr)
{
	struct gsym_frame frames[16];
	struct gsym_answer answer;
	if (!gsym_lookup(gsym, vaddr, frames, 16, &answer))
		return NULL;
	return frames[answer.frame_count - 1].name;
}

NAMES_FIXTURE_UNUSED static size_t names_fixture_files(const char *path)
{
	DIR *directory = opendir(path);
	assert_non_null(directory);
	size_t count = 0;
	for (const struct dirent *entry; (entry = readdir(directory)) != NULL;)
		count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
	closedir(directory);
	return count;
}

/* The caller's. */
NAMES_FIXTURE_UNUSED static struct elf_file *names_fixture_elf(const char *dir, const char *name)
{
	char path[512];
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	struct elf_file *file = NULL;
	assert_int_equal(elf_file_open_debug(&file, fd, NULL), 0);
	return file;
}

/* In dir: program (with all), stripped, debug (its debug file), bare (no names, no unwind rows). */
NAMES_FIXTURE_UNUSED static void names_fixture_build(const char *dir)
{
	char path[512];
	static const char source[] =
		"static inline __attribute__((always_inline)) int inner(int x)\n"
		"{\n"
		"	for (volatile int i = 0; i < 9; i++)\n"
		"		x += i;\n"
		"	return x;\n"
		"}\n"
		"__attribute__((noipa)) int outer(int x)\n"
		"{\n"
		"	return inner(x) ^ 1;\n"
		"}\n"
		"__attribute__((noipa)) int other(int x)\n"
		"{\n"
		"	return outer(x) + outer(2 * x);\n"
		"}\n"
		"int main(int argc, char **argv)\n"
		"{\n"
		"	(void)argv;\n"
		"	return other(argc);\n"
		"}\n";
	snprintf(path, sizeof(path), "%s/program.c", dir);
	tool_write_file(path, source, sizeof(source) - 1);
	free(tool_output("cd %s && gcc -O2 -g -Wl,--build-id=0x0123abcd -o program program.c && "
			 "objcopy --only-keep-debug program debug && cp program stripped && "
			 "strip stripped && echo 'void _start(void) { for (;;) ; }' > bare.c && "
			 "gcc -O2 -nostdlib -static -fno-asynchronous-unwind-tables "
			 "-Wl,--build-id=none -o bare bare.c && strip bare && echo",
			 dir));
}
