/*
 * This process's own stack, through a signal frame and libc, walked by rows and steps; the
 * addresses must be those of libgcc's unwinder, which reads the same tables in its own way.
 */
#include <execinfo.h>
#include <fcntl.h>
#include <link.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <ucontext.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/auto.h"
#include "symbolizer/unwind.h"
#include "symbolizer/unwind_step.h"

enum { MAX_MODULES = 64, MAX_FRAMES = 128 };

struct module {
	uint64_t start_ip, limit_ip, bias;
	struct unwind_rows *rows;
};

/* A handler takes no argument of ours. */
static struct {
	struct module modules[MAX_MODULES];
	size_t module_count;
	void *wanted[MAX_FRAMES];
	int wanted_count;
	uint64_t walked[MAX_FRAMES];
	int walked_count;
	enum unwind_result result;
	int signal_frames;
} seen;

static int add_module(struct dl_phdr_info *info, size_t size, void *ctx)
{
	(void)size, (void)ctx;
	struct module *module = &seen.modules[seen.module_count];
	struct elf_file *file = NULL;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
		if (segment->p_type != PT_LOAD || !(segment->p_flags & PF_X))
			continue;
		module->bias = info->dlpi_addr;
		module->start_ip = module->bias + segment->p_vaddr;
		module->limit_ip = module->start_ip + segment->p_memsz;
	}
	const char *path = info->dlpi_name[0] ? info->dlpi_name : "/proc/self/exe";
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || elf_file_open(&file, fd, NULL))
		return 0; /* the vDSO has no file */
	assert_int_equal(unwind_rows_open(&module->rows, file, NULL), 0);
	elf_file_free(file);
	return ++seen.module_count == MAX_MODULES;
}

static const struct unwind_rule *find_rule(uint64_t ip)
{
	for (size_t i = 0; i < seen.module_count; i++) {
		const struct module *module = &seen.modules[i];
		if (ip >= module->start_ip && ip < module->limit_ip)
			return unwind_rows_find(module->rows, ip - module->bias);
	}
	return NULL;
}

static bool read_self(void *ctx, uint64_t ip, uint64_t *value)
{
	(void)ctx;
	struct iovec to = {value, sizeof(*value)};
	struct iovec from = {(void *)(uintptr_t)ip, sizeof(*value)};
	return process_vm_readv(getpid(), &to, 1, &from, 1, 0) == sizeof(*value);
}

static void walk(struct unwind_frame frame)
{
	seen.walked_count = 0;
	seen.result = UNWIND_STEP_OK;
	while (seen.result == UNWIND_STEP_OK && seen.walked_count < MAX_FRAMES) {
		seen.walked[seen.walked_count++] = frame.ip;
		const struct unwind_rule *rule = find_rule(unwind_lookup_ip(&frame));
		if (!rule)
			break;
		seen.signal_frames += rule->flags & UNWIND_SIGNAL_FRAME;
		seen.result = unwind_step(rule, &frame, read_self, NULL);
	}
}

static void on_signal(int number)
{
	(void)number;
	ucontext_t context;
	getcontext(&context);
	const greg_t *registers = context.uc_mcontext.gregs;
	const struct unwind_frame frame = {
		.ip = (uint64_t)registers[REG_RIP],
		.sp = (uint64_t)registers[REG_RSP],
		.fp = (uint64_t)registers[REG_RBP],
		.fp_known = true,
		.ip_exact = true,
	};
	seen.wanted_count = backtrace(seen.wanted, MAX_FRAMES);
	walk(frame);
}

static int compare(const void *left, const void *right)
{
	if (!seen.wanted_count)
		raise(SIGUSR1);
	return *(const int *)left - *(const int *)right;
}

/* A realigned stack. */
__attribute__((noinline)) static int below(void)
{
	_Alignas(64) int values[16] = {3, 1, 2};
	qsort(values, 16, sizeof(values[0]), compare);
	return values[15];
}

static void through_signal_and_libc(void **state)
{
	(void)state;
	const struct sigaction action = {.sa_handler = on_signal};
	assert_int_equal(sigaction(SIGUSR1, &action, NULL), 0);
	void *warm[4];
	backtrace(warm, 4); /* it loads libgcc the first time */
	dl_iterate_phdr(add_module, NULL);
	assert_in_range(seen.module_count, 2, MAX_MODULES);
	assert_int_equal(below(), 3);
	assert_int_equal(seen.result, UNWIND_STEP_END);
	assert_int_equal(seen.signal_frames, 1);
	assert_in_range(seen.wanted_count, 8, MAX_FRAMES - 1);
	/* frame 0 is asked at another line, and sanitizers put their own backtrace() before it */
	int before = seen.wanted_count - seen.walked_count;
	assert_in_range(before, 0, 2);
	for (int i = 1; i < seen.walked_count; i++)
		if (seen.walked[i] != (uint64_t)(uintptr_t)seen.wanted[i + before])
			fail_msg("frame %d: %#llx, not %p", i, (unsigned long long)seen.walked[i],
				 seen.wanted[i + before]);
	for (size_t i = 0; i < seen.module_count; i++)
		unwind_rows_free(seen.modules[i].rows);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(through_signal_and_libc)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
