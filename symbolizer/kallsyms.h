/*
 * kallsyms: the running kernel's function symbols, modules and BPF programs included.
 *
 * Parsed from the text of /proc/kallsyms (Documentation/filesystems/proc.rst); immutable once
 * read, any number of threads.
 */
#pragma once
#include <stdint.h>

#include "base/auto.h"
#include "base/err.h"

struct kallsyms; /* opaque */

struct kernel_symbol {
	const char *name;
	const char *module; /* "" for the kernel itself; "bpf" for BPF programs */
	uint64_t ip;
};

/* Read all of fd (not taken). -EPERM: addresses are all 0 (the text says which sysctl or
 * capability is missing); -EBADMSG. Caller owns *out. */
int kallsyms_read(struct kallsyms **out, int fd, struct err *err);
void kallsyms_free(struct kallsyms *syms); /* NULL is fine */
AUTO_DEFINE(kallsyms)

/* The symbol at or before ip in the same module; NULL when ip lies outside kernel code. */
const struct kernel_symbol *kallsyms_find(const struct kallsyms *syms, uint64_t ip);
/* Addresses of _stext and _etext; 0 when the file did not have them. */
void kallsyms_text(const struct kallsyms *syms, uint64_t *start_ip, uint64_t *end_ip);
