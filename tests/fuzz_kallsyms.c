/*
 * Any bytes as /proc/kallsyms.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "symbolizer/kallsyms.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len_bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len_bytes)
{
	AUTO_FD fd = memfd_create("fuzz", MFD_CLOEXEC);
	if (fd < 0 || write(fd, data, len_bytes) != (ssize_t)len_bytes || lseek(fd, 0, SEEK_SET))
		return 0;
	AUTO(kallsyms) syms = NULL;
	if (kallsyms_read(&syms, fd, NULL))
		return 0;
	uint64_t start_ip, end_ip;
	kallsyms_text(syms, &start_ip, &end_ip);
	const uint64_t ips[] = {0, 1, start_ip, end_ip, end_ip - 1, UINT64_MAX};
	for (size_t i = 0; i < sizeof(ips) / sizeof(ips[0]); i++) {
		const struct kernel_symbol *symbol = kallsyms_find(syms, ips[i]);
		if (symbol && (symbol->ip > ips[i] || !strlen(symbol->name) || !symbol->module))
			__builtin_trap();
	}
	return 0;
}
