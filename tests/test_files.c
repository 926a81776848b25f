#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/array.h"
#include "profiler/files.h"
#include "profiler/procfs.h"
#include "tool.h"

struct fixture {
	char *dir;
	char program[512], copy[512], other[512];
	uint8_t build_id[20];
	struct files *files;
};

static void hex_to_bytes(const char *hex, uint8_t *bytes, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		unsigned int byte;
		assert_int_equal(sscanf(hex + 2 * i, "%2x", &byte), 1);
		bytes[i] = (uint8_t)byte;
	}
}

static int setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	fixture->dir = tool_dir_new();
	snprintf(fixture->program, 512, "%s/program", fixture->dir);
	snprintf(fixture->copy, 512, "%s/copy", fixture->dir);
	snprintf(fixture->other, 512, "%s/other", fixture->dir);
	free(tool_output("echo 'void findme(void) {} int main(void) {findme(); return 0;}' |"
			 "gcc -O0 -Wl,--build-id=sha1 -x c -o %s - && cp %s %s && "
			 "echo 'int main(void) {return 1;}' |"
			 "gcc -O0 -Wl,--build-id=sha1 -x c -o %s - && echo",
			 fixture->program, fixture->program, fixture->copy, fixture->other));
	AUTO_MEM char *id =
		tool_output("readelf -n %s | sed -n 's/.*Build ID: //p'", fixture->program);
	hex_to_bytes(id, fixture->build_id, 20);
	assert_int_equal(files_new(&fixture->files, NULL), 0);
	*state = fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;
	files_free(fixture->files);
	tool_dir_remove(fixture->dir);
	free(fixture);
	return 0;
}

static struct file_sight by_inode(const char *path)
{
	struct stat st;
	assert_int_equal(stat(path, &st), 0);
	return (struct file_sight){.pid = (uint32_t)getpid(),
				   .start_ip = 0x1000,
				   .end_ip = UINT64_C(0x7f0000000000),
				   .inode = st.st_ino,
				   .path = path};
}

static struct file_sight by_build_id(const struct fixture *fixture, const char *path)
{
	return (struct file_sight){.pid = (uint32_t)getpid(),
				   .start_ip = 0x1000,
				   .end_ip = UINT64_C(0x7f0000000000),
				   .build_id = fixture->build_id,
				   .build_id_bytes = 20,
				   .path = path};
}

static size_t open_descriptors(void)
{
	size_t count = 0;
	for (int fd = 0; fd < 1024; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

static void what_has_no_file(void **state)
{
	struct fixture *fixture = *state;
	static const struct {
		const char *path, *name;
		enum mapped_kind kind;
	} rows[] = {
		{"", "[jit]", MAPPED_ANONYMOUS},
		{"//anon", "[jit]", MAPPED_ANONYMOUS},
		{"[heap]", "[jit]", MAPPED_ANONYMOUS},
		{"[anon:v8]", "[jit]", MAPPED_ANONYMOUS},
		{"/memfd:doublemapper", "[jit]", MAPPED_ANONYMOUS},
		{"/dev/zero", "[jit]", MAPPED_ANONYMOUS},
		{"/SYSV00000000", "[jit]", MAPPED_ANONYMOUS},
		{"/anon_hugepage", "[jit]", MAPPED_ANONYMOUS},
		{"[vsyscall]", "[vsyscall]", MAPPED_VDSO},
		{"[vdso]", "[vdso]", MAPPED_VDSO},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct file_sight sight = {.end_ip = UINT64_C(0x7ff000000000),
					   .path = rows[i].path};
		struct mapped_file *file = files_get(fixture->files, &sight);
		assert_int_equal(file->kind, rows[i].kind);
		assert_string_equal(file->name, rows[i].name);
		mapped_file_unref(file);
	}
	assert_int_equal(files_count(fixture->files), 0);
}

static void the_vdso_has_names_but_not_that_of_32_bits(void **state)
{
	struct fixture *fixture = *state;
	struct file_sight sight = {.end_ip = UINT64_C(0x7ff000000000), .path = "[vdso]"};
	struct mapped_file *file = files_get(fixture->files, &sight);
	assert_non_null(file->exe);
	mapped_file_unref(file);
	sight.end_ip = 0xf7f00000;
	file = files_get(fixture->files, &sight);
	assert_int_equal(file->kind, MAPPED_VDSO);
	assert_null(file->exe);
	mapped_file_unref(file);
}

/* Each: what lies at the path, and may it be something else tomorrow? Whoever waits for the FIFO's
 * writer waits for ever. */
static void what_cannot_be_read(void **state)
{
	struct fixture *fixture = *state;
	char text[600], fifo[600], link[600], directory[600], absent[600], cut[600];
	snprintf(text, sizeof(text), "%s/text", fixture->dir);
	snprintf(fifo, sizeof(fifo), "%s/fifo", fixture->dir);
	snprintf(link, sizeof(link), "%s/link", fixture->dir);
	snprintf(directory, sizeof(directory), "%s/directory", fixture->dir);
	snprintf(absent, sizeof(absent), "%s/absent", fixture->dir);
	snprintf(cut, sizeof(cut), "%s/cut", fixture->dir);
	tool_write_file(text, "#!/bin/sh\nexit 0\n", 17);
	tool_write_file(cut, "\177ELF\2\1\1", 7);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	assert_int_equal(symlink("/dev/ptmx", link), 0);
	assert_int_equal(mkdir(directory, 0700), 0);
	const struct {
		const char *path;
		bool is_retriable;
	} rows[] = {
		{text, false}, {cut, false},      {fifo, true},
		{link, true},  {directory, true}, {absent, true},
	};
	size_t before = open_descriptors();
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct file_sight sight = {.pid = (uint32_t)getpid(), .path = rows[i].path};
		struct mapped_file *file = files_get(fixture->files, &sight);
		assert_int_equal(file->kind, MAPPED_UNREADABLE);
		assert_string_equal(file->name, rows[i].path);
		assert_null(file->exe);
		if (file->is_retriable != rows[i].is_retriable)
			fail_msg("%s", rows[i].path);
		mapped_file_unref(file);
	}
	assert_int_equal(open_descriptors(), before);
}

/* What opening it does would show: a FIFO's reader is seen by its writer. */
static void opening_a_fifo_is_not_even_tried(void **state)
{
	struct fixture *fixture = *state;
	char fifo[600];
	snprintf(fifo, sizeof(fifo), "%s/fifo", fixture->dir);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	struct file_sight sight = {.pid = (uint32_t)getpid(), .path = fifo};
	struct mapped_file *file = files_get(fixture->files, &sight);
	assert_int_equal(open(fifo, O_WRONLY | O_NONBLOCK), -1);
	assert_int_equal(errno, ENXIO); /* nobody reads */
	mapped_file_unref(file);
}

static void another_file_at_the_path(void **state)
{
	struct fixture *fixture = *state;
	struct file_sight sight = by_inode(fixture->program);
	sight.inode++;
	struct mapped_file *file = files_get(fixture->files, &sight);
	assert_int_equal(file->kind, MAPPED_UNREADABLE);
	mapped_file_unref(file);
	sight = by_build_id(fixture, fixture->other);
	file = files_get(fixture->files, &sight);
	assert_int_equal(file->kind, MAPPED_UNREADABLE);
	assert_true(file->is_retriable);
	mapped_file_unref(file);
}

static void one_file_told_in_two_ways(void **state)
{
	struct fixture *fixture = *state;
	struct file_sight inode = by_inode(fixture->program);
	struct file_sight id = by_build_id(fixture, fixture->program);
	struct mapped_file *first = files_get(fixture->files, &inode);
	assert_int_equal(first->kind, MAPPED_EXECUTABLE);
	struct mapped_file *second = files_get(fixture->files, &id);
	assert_ptr_equal(first, second);
	struct mapped_file *third = files_get(fixture->files, &inode);
	assert_ptr_equal(first, third);
	/* A copy elsewhere has the same build ID: the same code. */
	struct file_sight copied = by_inode(fixture->copy);
	struct mapped_file *copy = files_get(fixture->files, &copied);
	assert_ptr_equal(first, copy);
	struct file_sight other = by_inode(fixture->other);
	struct mapped_file *stranger = files_get(fixture->files, &other);
	assert_ptr_not_equal(first, stranger);
	mapped_file_unref(first);
	mapped_file_unref(second);
	mapped_file_unref(third);
	mapped_file_unref(copy);
	mapped_file_unref(stranger);
}

static uint64_t vaddr_of(const char *program, const char *name)
{
	AUTO_MEM char *text = tool_output("nm %s | awk '$3 == \"%s\" {print $1}'", program, name);
	return strtoull(text, NULL, 16);
}

static void names_outlive_the_file(void **state)
{
	struct fixture *fixture = *state;
	uint64_t vaddr = vaddr_of(fixture->program, "findme");
	struct file_sight sight = by_inode(fixture->program);
	struct mapped_file *file = files_get(fixture->files, &sight);
	assert_int_equal(unlink(fixture->program), 0);
	struct symbol symbol;
	assert_true(executable_lookup(file->exe, vaddr, &symbol));
	assert_string_equal(symbol.name, "findme");
	mapped_file_unref(file);
}

static void note_mapping(void *ctx, const struct proc_mapping *mapping)
{
	struct file_sight *sight = ctx;
	if (!strcmp(mapping->path, sight->path)) {
		sight->start_ip = mapping->start_ip;
		sight->end_ip = mapping->end_ip;
	}
}

/* Deleted, but still mapped: found through /proc/PID/map_files. */
static void deleted_before_it_was_seen(void **state)
{
	struct fixture *fixture = *state;
	struct file_sight sight = by_inode(fixture->program);
	AUTO_FD fd = open(fixture->program, O_RDONLY | O_CLOEXEC);
	void *memory = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
	assert_ptr_not_equal(memory, MAP_FAILED);
	assert_int_equal(unlink(fixture->program), 0);
	assert_int_equal(proc_visit_mappings(sight.pid, note_mapping, &sight), 0);
	assert_int_equal(sight.start_ip, (uintptr_t)memory);
	struct mapped_file *file = files_get(fixture->files, &sight);
	char path[128];
	snprintf(path, sizeof(path), "/proc/self/map_files/%lx-%lx", (unsigned long)sight.start_ip,
		 (unsigned long)sight.end_ip);
	if (access(path, R_OK)) /* not privileged */
		assert_int_equal(file->kind, MAPPED_UNREADABLE);
	else
		assert_int_equal(file->kind, MAPPED_EXECUTABLE);
	mapped_file_unref(file);
	munmap(memory, 4096);
}

static void the_next_process_may_be_luckier(void **state)
{
	struct fixture *fixture = *state;
	struct file_sight sight = by_build_id(fixture, "/nowhere/program");
	struct mapped_file *unlucky = files_get(fixture->files, &sight);
	assert_int_equal(unlucky->kind, MAPPED_UNREADABLE);
	sight.path = fixture->program;
	struct mapped_file *lucky = files_get(fixture->files, &sight);
	assert_int_equal(lucky->kind, MAPPED_EXECUTABLE);
	assert_int_equal(unlucky->kind, MAPPED_UNREADABLE); /* as its users know it */
	mapped_file_unref(unlucky);
	mapped_file_unref(lucky);
}

static void unused_files_are_let_go(void **state)
{
	struct fixture *fixture = *state;
	size_t before = open_descriptors();
	struct file_sight inode = by_inode(fixture->program);
	struct file_sight id = by_build_id(fixture, fixture->program);
	struct mapped_file *file = files_get(fixture->files, &inode);
	mapped_file_unref(files_get(fixture->files, &id));
	assert_int_equal(files_count(fixture->files), 2); /* two keys of one file */
	assert_int_equal(open_descriptors(), before + 1);
	uint64_t now_mono_ns = 1000 * UINT64_C(1000000000);
	files_sweep(fixture->files, now_mono_ns); /* in use */
	assert_int_equal(files_count(fixture->files), 2);
	mapped_file_unref(file);
	files_sweep(fixture->files, now_mono_ns + 599 * UINT64_C(1000000000));
	assert_int_equal(files_count(fixture->files), 2);
	files_sweep(fixture->files, now_mono_ns + 600 * UINT64_C(1000000000));
	assert_int_equal(files_count(fixture->files), 0);
	assert_int_equal(open_descriptors(), before);
}

/* Told by the name alone, and for each process anew: no code, but a file to be read. */
static void jitdumps(void **state)
{
	struct fixture *fixture = *state;
	static const struct {
		const char *name;
		bool is_dump;
	} rows[] = {
		{"jit-1.dump", true},      {"jit-4294967295.dump", true}, {"jit-.dump", false},
		{"jit-x.dump", false},     {"jit-1.dump.so", false},      {"a-jit-1.dump", false},
		{"jit-1.dumpling", false},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char path[600];
		snprintf(path, sizeof(path), "%s/%s", fixture->dir, rows[i].name);
		AUTO_FD fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		assert_true(fd >= 0);
		struct file_sight sight = by_inode(path);
		struct mapped_file *file = files_get(fixture->files, &sight);
		assert_int_equal(file->kind == MAPPED_JITDUMP, rows[i].is_dump);
		struct stat st;
		if (rows[i].is_dump) {
			assert_int_equal(fstat(file->dump_fd, &st), 0);
			assert_int_equal(st.st_ino, sight.inode);
		}
		mapped_file_unref(file);
	}
}

#define WITH_FILES(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	tool_need("gcc");
	tool_need("readelf");
	const struct CMUnitTest tests[] = {
		WITH_FILES(what_has_no_file),
		WITH_FILES(the_vdso_has_names_but_not_that_of_32_bits),
		WITH_FILES(jitdumps),
		WITH_FILES(what_cannot_be_read),
		WITH_FILES(opening_a_fifo_is_not_even_tried),
		WITH_FILES(another_file_at_the_path),
		WITH_FILES(one_file_told_in_two_ways),
		WITH_FILES(names_outlive_the_file),
		WITH_FILES(deleted_before_it_was_seen),
		WITH_FILES(the_next_process_may_be_luckier),
		WITH_FILES(unused_files_are_let_go),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
