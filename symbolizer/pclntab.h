/*
 * pclntab: functions, source lines and inlined calls of a Go program, stripped or not.
 *
 * What the Go runtime prints in tracebacks, for every address: `go tool addr2line` and
 * runtime.CallersFrames are the same. Names are those of the runtime, which leaves the type
 * arguments of generic functions out: "main.Map[...]".
 */
#pragma once
#include <stdint.h>

#include "base/err.h"
#include "symbolizer/elf_file.h"
#include "symbolizer/gsym_builder.h"

struct pclntab_stats {
	uint64_t functions;
	uint64_t lines;         /* rows of line tables */
	uint64_t inlined_calls; /* 0 also when they are not known how to be read */
	uint64_t malformed;     /* functions that were left out */
	uint16_t go_minor;      /* the table's layout is that of Go 1.2, 1.16, 1.18 or 1.20 */
};

/* Add a Go program's functions to builder. -ENOENT: it has no table of functions, as all that is
 * not written in Go; -EBADMSG, -EOPNOTSUPP: one that cannot be read; -ENOSPC: more than 512 MiB
 * of table, 8 Mi functions, or builder's limit; -ENOMEM; pread(2)'s errors. stats is filled on
 * success. */
int pclntab_compile(const struct elf_file *elf, struct gsym_builder *builder,
		    struct pclntab_stats *stats, struct err *err);
