/* A perf map that comes in two parts, of any bytes, under ceilings that are soon met. */
#include <assert.h>
#include <string.h>
#include <sys/mman.h>

#include "symbolizer/perf_map.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len_bytes);

static void ask(const struct perf_map *map)
{
	const uint64_t ips[] = {0, 1, 0x1000, 0x100f, 0x1010, UINT64_MAX - 1, UINT64_MAX};
	for (size_t i = 0; i < sizeof(ips) / sizeof(ips[0]); i++) {
		struct jit_symbol symbol;
		if (!perf_map_find(map, ips[i], &symbol))
			continue;
		assert(strlen(symbol.name) <= JIT_NAME_MAX_BYTES);
		for (const char *at = symbol.name; *at; at++)
			assert((unsigned char)*at >= ' ');
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len_bytes)
{
	static const struct jit_limits limits = {.codes = 32, .lines = 0, .text_bytes = 512};
	AUTO_FD fd = memfd_create("fuzz", MFD_CLOEXEC);
	AUTO(perf_map) map = NULL;
	if (fd < 0 || perf_map_new(&map, &limits))
		return 0;
	size_t half_bytes = len_bytes ? data[0] % len_bytes : 0;
	if (write(fd, data, half_bytes) != (ssize_t)half_bytes || perf_map_read(map, fd, NULL))
		return 0;
	ask(map);
	size_t rest_bytes = len_bytes - half_bytes;
	if (write(fd, data + half_bytes, rest_bytes) != (ssize_t)rest_bytes)
		return 0;
	assert(!perf_map_read(map, fd, NULL));
	ask(map);
	struct perf_map_stats stats;
	perf_map_stats(map, &stats);
	assert(!stats.rereads && stats.ranges <= 64);
	return 0;
}
