/*
 * jit MODE SECONDS: a virtual machine in small. Makes the functions hot (7 parts of the time) and
 * warm (3 parts) at run time, copies of the same machine code in memory of no file, tells of them
 * as MODE says, prints its pid as it knows it, and runs them for so many seconds of CPU time.
 *
 *   none     tells nobody
 *   map      a perf map, in /tmp
 *   torn     a perf map whose last line never ends
 *   late     a perf map after half of the time
 *   moved    a perf map; after half of the time and a pause hot and warm change places, and it says
 *            so
 *   stranger a perf map, given to another user
 *   forked   a perf map; a child runs the code
 *   dump     a jitdump, with lines, in the working directory
 *   reused   a jitdump; after half of the time the same memory is told to be hot2 and warm2
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

typedef void (*made_fn)(uint64_t rounds);

#ifdef __x86_64__
static const uint8_t made_code[] = {
	0x55,             /* push %rbp */
	0x48, 0x89, 0xe5, /* mov %rsp, %rbp */
	0x48, 0xff, 0xcf, /* 1: dec %rdi */
	0x75, 0xfb,       /* jnz 1b */
	0x5d,             /* pop %rbp */
	0xc3,             /* ret */
};
#else
#error "machine code for this architecture is missing"
#endif
/* Where the loop is. */
enum { LOOP_OFF = 4, CODE_BYTES = sizeof(made_code), SLOT_BYTES = 64 };

/* Parts differ in length, so that no sampling clock keeps step with them; and are long beside the
 * system call that asks for the time. */
enum { MIN_PART_ROUNDS = 200000, MAX_PART_ROUNDS = 800000 };
/* So that all that was sampled before has been named. */
enum { PAUSE_S = 5 };

static uint8_t *memory;
static made_fn hot, warm;

static made_fn make(int slot)
{
	uint8_t *at = memory + (size_t)slot * SLOT_BYTES;
	memcpy(at, made_code, sizeof(made_code));
	return (made_fn)(uintptr_t)at;
}

static double now_s(clockid_t clock)
{
	struct timespec ts;
	clock_gettime(clock, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* A frame between main and what was made: stacks go through it. */
__attribute__((noipa)) int run_made(double end_cpu_s)
{
	unsigned int seed = 1;
	int runs = 0;
	for (; now_s(CLOCK_PROCESS_CPUTIME_ID) < end_cpu_s; runs++) {
		uint64_t part = MIN_PART_ROUNDS +
				(uint64_t)rand_r(&seed) % (MAX_PART_ROUNDS - MIN_PART_ROUNDS);
		hot(7 * part);
		warm(3 * part);
	}
	return runs;
}

static FILE *open_map(void)
{
	char path[64];
	snprintf(path, sizeof(path), "/tmp/perf-%d.map", getpid());
	return fopen(path, "w");
}

static void tell(FILE *map, made_fn code, const char *name)
{
	fprintf(map, "%lx %x %s\n", (unsigned long)(uintptr_t)code, CODE_BYTES, name);
	fflush(map);
}

static FILE *tell_map(void)
{
	FILE *map = open_map();
	if (!map)
		exit(3);
	tell(map, hot, "made::hot (a b.src:1)");
	tell(map, warm, "made::warm (a b.src:9)");
	return map;
}

struct dump_header {
	uint32_t magic, version, size_bytes, elf_mach, reserved, pid;
	uint64_t time_ns, flags;
};

struct dump_load {
	uint32_t id, size_bytes;
	uint64_t time_ns;
	uint32_t pid, tid;
	uint64_t vma, ip, code_bytes, index;
};

struct dump_lines {
	uint32_t id, size_bytes;
	uint64_t time_ns, ip, count;
};

struct dump_line {
	uint64_t ip;
	uint32_t line, discriminator;
	char file[8]; /* "made.c" */
};

static uint64_t mono_ns(void)
{
	return (uint64_t)(now_s(CLOCK_MONOTONIC) * 1e9);
}

static int open_dump(void)
{
	char path[64];
	snprintf(path, sizeof(path), "jit-%d.dump", getpid());
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	struct dump_header header = {0x4A695444, 1, sizeof(header), 62, 0, (uint32_t)getpid(),
				     mono_ns(),  0};
	if (fd < 0 || write(fd, &header, sizeof(header)) != sizeof(header) ||
	    mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0) == MAP_FAILED)
		exit(3);
	return fd;
}

static void dump(int fd, made_fn code, const char *name, uint32_t line)
{
	uint64_t ip = (uintptr_t)code;
	struct {
		struct dump_lines head;
		struct dump_line lines[2];
	} table = {
		.head = {2, sizeof(table), mono_ns(), ip, 2},
		.lines = {{ip, line, 0, "made.c"}, {ip + LOOP_OFF, line + 2, 0, "made.c"}},
	};
	/* Its file takes 7 bytes of 8: written one by one. */
	table.head.size_bytes = sizeof(table.head) + 2 * 23;
	size_t name_bytes = strlen(name) + 1;
	struct dump_load load = {0,
				 (uint32_t)(sizeof(load) + name_bytes + CODE_BYTES),
				 mono_ns(),
				 (uint32_t)getpid(),
				 (uint32_t)gettid(),
				 ip,
				 ip,
				 CODE_BYTES,
				 line};
	if (write(fd, &table.head, sizeof(table.head)) < 0 || write(fd, &table.lines[0], 23) < 0 ||
	    write(fd, &table.lines[1], 23) < 0 || write(fd, &load, sizeof(load)) < 0 ||
	    write(fd, name, name_bytes) < 0 || write(fd, made_code, CODE_BYTES) < 0)
		exit(3);
}

static int run_as(const char *mode, double cpu_s)
{
	if (!strcmp(mode, "none"))
		return run_made(cpu_s);
	if (!strcmp(mode, "dump") || !strcmp(mode, "reused")) {
		int fd = open_dump();
		dump(fd, hot, "made::hot", 10);
		dump(fd, warm, "made::warm", 20);
		if (!strcmp(mode, "dump"))
			return run_made(cpu_s);
		run_made(cpu_s / 2);
		dump(fd, hot, "made::hot2", 30);
		dump(fd, warm, "made::warm2", 40);
		return run_made(cpu_s);
	}
	if (!strcmp(mode, "late"))
		run_made(cpu_s / 2);
	FILE *map = tell_map();
	if (!strcmp(mode, "torn")) {
		fprintf(map, "%lx 1000 not_yet", (unsigned long)(uintptr_t)memory);
		fflush(map);
	} else if (!strcmp(mode, "stranger")) {
		if (fchown(fileno(map), 12345, 12345))
			return 0;
	} else if (!strcmp(mode, "moved")) {
		run_made(cpu_s / 2);
		sleep(PAUSE_S);
		made_fn old_hot = hot;
		hot = warm;
		warm = old_hot;
		tell(map, hot, "made::hot (a b.src:1)");
		tell(map, warm, "made::warm (a b.src:9)");
	} else if (!strcmp(mode, "forked")) {
		pid_t child = fork();
		if (!child)
			_exit(run_made(cpu_s) ? 0 : 4);
		int status;
		return waitpid(child, &status, 0) == child && !status;
	}
	return run_made(cpu_s);
}

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		return 2;
	hot = make(0);
	warm = make(1);
	if (mprotect(memory, 4096, PROT_READ | PROT_EXEC))
		return 2;
	printf("%d\n", getpid());
	fflush(stdout);
	return run_as(argv[1], strtod(argv[2], NULL)) ? 0 : 3;
}
