/* A jitdump that comes in two parts, of any bytes, under ceilings that are soon met. */
#include <assert.h>
#include <string.h>
#include <sys/mman.h>

#include "symbolizer/jitdump.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len_bytes);

static void ask(const struct jitdump *dump)
{
	const uint64_t ips[] = {0, 0x1000, 0x1004, 0x100f, 0x2000, 0x2008, UINT64_MAX - 1};
	const uint64_t times[] = {0, 1, 2, 3, UINT64_MAX};
	for (size_t i = 0; i < sizeof(ips) / sizeof(ips[0]); i++) {
		for (size_t k = 0; k < sizeof(times) / sizeof(times[0]); k++) {
			struct jit_symbol symbol;
			if (!jitdump_find(dump, ips[i], times[k], &symbol))
				continue;
			assert(symbol.name[0] && strlen(symbol.name) <= JIT_NAME_MAX_BYTES);
			assert(strlen(symbol.file) <= JIT_NAME_MAX_BYTES);
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len_bytes)
{
	static const struct jit_limits limits = {.codes = 32, .lines = 32, .text_bytes = 512};
	AUTO_FD fd = memfd_create("fuzz", MFD_CLOEXEC);
	AUTO(jitdump) dump = NULL;
	if (fd < 0 || jitdump_new(&dump, &limits))
		return 0;
	size_t half_bytes = len_bytes ? data[len_bytes - 1] % len_bytes : 0;
	if (write(fd, data, half_bytes) != (ssize_t)half_bytes)
		return 0;
	(void)jitdump_read(dump, fd, NULL);
	ask(dump);
	size_t rest_bytes = len_bytes - half_bytes;
	if (write(fd, data + half_bytes, rest_bytes) != (ssize_t)rest_bytes)
		return 0;
	(void)jitdump_read(dump, fd, NULL);
	ask(dump);
	struct jitdump_stats stats;
	jitdump_stats(dump, &stats);
	assert(stats.ranges <= 64);
	return 0;
}
