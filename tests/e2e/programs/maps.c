/*
 * maps LIBRARY PLAIN COPIES PAUSE_US: a process with PLAIN mappings of memory and COPIES of
 * LIBRARY's code, that for ever takes the oldest copy away, maps a new one elsewhere, and runs in
 * it and in some older ones for PAUSE_US. Prints its pid when all are there.
 * main < turn < plugin_outer < plugin_burn, in any of the copies.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define FRAME      __attribute__((noipa))
#define PAGE_BYTES 4096
#define LOOPS      20000 /* some 10 us */

typedef int plugin_fn(uint64_t count);

static struct {
	int fd;
	size_t bytes; /* of its executable segment */
	off_t off;
	size_t outer; /* plugin_outer, from there on */
	uintptr_t function_ip;
	char *next; /* where the next copy is to lie */
} code = {.next = (char *)0x100000000000};

static void need(int is_good, const char *what)
{
	if (is_good)
		return;
	perror(what);
	exit(1);
}

static int find_segment(struct dl_phdr_info *info, size_t size, void *ctx)
{
	(void)size, (void)ctx;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
		uintptr_t start_ip = info->dlpi_addr + segment->p_vaddr;
		if (segment->p_type != PT_LOAD || code.function_ip < start_ip ||
		    code.function_ip >= start_ip + segment->p_memsz)
			continue;
		size_t before = segment->p_offset % PAGE_BYTES;
		code.off = (off_t)(segment->p_offset - before);
		code.bytes = segment->p_filesz + before;
		code.outer = code.function_ip - start_ip + before;
		return 1;
	}
	return 0;
}

static void find_code(const char *path)
{
	void *library = dlopen(path, RTLD_NOW);
	need(library != NULL, "dlopen");
	code.function_ip = (uintptr_t)dlsym(library, "plugin_outer");
	need(dl_iterate_phdr(find_segment, NULL), "plugin_outer");
	code.fd = open(path, O_RDONLY | O_CLOEXEC);
	need(code.fd >= 0, path);
}

/* Where nothing has ever been: nobody tells a profiler that a mapping went, and one in its place
 * would be known already. */
static char *map_copy(void)
{
	char *copy = mmap(code.next, code.bytes, PROT_READ | PROT_EXEC,
			  MAP_PRIVATE | MAP_FIXED_NOREPLACE, code.fd, code.off);
	need(copy == code.next, "mmap");
	code.next += (code.bytes / PAGE_BYTES + 2) * PAGE_BYTES;
	return copy;
}

/* Neighbours differ in what is allowed, so that the kernel does not join them. */
static void map_plain(size_t count)
{
	char *memory =
		mmap(NULL, count * PAGE_BYTES, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	need(memory != MAP_FAILED, "mmap");
	for (size_t i = 0; i < count; i += 2)
		need(!mprotect(memory + i * PAGE_BYTES, PAGE_BYTES, PROT_NONE), "mprotect");
}

static uint64_t now_us(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

FRAME int turn(char **copies, size_t count, size_t newest)
{
	int sum = 0;
	for (size_t i = 0; i < 8; i++) {
		size_t at = (newest + (i ? (size_t)rand() : 0)) % count;
		sum += ((plugin_fn *)(uintptr_t)(copies[at] + code.outer))(LOOPS) + 1;
	}
	return sum;
}

int main(int argc, char **argv)
{
	need(argc == 5, "maps LIBRARY PLAIN COPIES PAUSE_US");
	find_code(argv[1]);
	map_plain(strtoul(argv[2], NULL, 10));
	size_t count = strtoul(argv[3], NULL, 10);
	uint64_t pause_us = strtoul(argv[4], NULL, 10);
	char **copies = calloc(count, sizeof(*copies));
	need(copies != NULL, "calloc");
	for (size_t i = 0; i < count; i++)
		copies[i] = map_copy();
	printf("%d\n", getpid());
	fflush(stdout);
	volatile int sum = 0;
	for (size_t oldest = 0;; oldest = (oldest + 1) % count) {
		uint64_t end_us = now_us() + pause_us;
		munmap(copies[oldest], code.bytes);
		copies[oldest] = map_copy();
		do
			sum += turn(copies, count, oldest);
		while (now_us() < end_us);
	}
}
