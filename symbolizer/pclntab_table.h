/*
 * pclntab_table: finds the table of functions that every Go program carries, and reads it.
 *
 * The runtime needs it for tracebacks, so it survives -ldflags=-s and strip(1). Four layouts
 * exist, told apart by a magic number: since Go 1.2, 1.16, 1.18 and 1.20. 64-bit little-endian
 * only. Input is untrusted. Immutable once open.
 * Format: runtime/symtab.go (pcHeader, moduledata), runtime/runtime2.go (_func) and
 * debug/gosym/pclntab.go of Go 1.19; https://go.dev/s/go12symtab for the oldest.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/reader.h"
#include "symbolizer/elf_image.h"

enum pclntab_version {
	PCLNTAB_1_2,
	PCLNTAB_1_16,
	PCLNTAB_1_18,
	PCLNTAB_1_20,
};

/* Bytes of the table. */
struct pclntab_span {
	const uint8_t *data;
	size_t len_bytes;
};

struct pclntab_table {
	struct elf_image *image; /* owned */
	enum pclntab_version version;
	uint8_t *data; /* owned */
	size_t len_bytes;
	uint64_t vaddr;      /* of data */
	uint64_t text_vaddr; /* what places of functions count from; 0 before 1.18 */
	uint32_t quantum;    /* what steps of the program counter are counted in */
	uint32_t function_count;
	/* Offsets into functions and names; before 1.16 they all are the whole table. */
	struct pclntab_span names, units, files, values, functions;
	struct pclntab_span index; /* places of functions and offsets of their records */
	/* The Go runtime's moduledata; 0 when it was not found, or not needed (before 1.18). */
	uint64_t module_vaddr;
};

/* -ENOENT: not a Go program; -EBADMSG: a table that cannot be read; -EOPNOTSUPP: one without
 * the place of its text; -ENOSPC: more than 512 MiB; -ENOMEM; elf_image_new()'s errors. file is
 * borrowed. pclntab_table_fini() is owed in any case. */
int pclntab_table_open(struct pclntab_table *table, const struct elf_file *file, struct err *err);
void pclntab_table_fini(struct pclntab_table *table);

/* A function's record. */
struct pclntab_function {
	uint64_t start_vaddr, end_vaddr;
	uint32_t name_off; /* in names */
	/* Offsets in values; 0: none. sp_values: bytes that are pushed, without the return address. */
	uint32_t sp_values, file_values, line_values;
	bool is_outermost; /* nobody called it; since 1.17 */
	uint32_t unit_off; /* in units; what numbers of files count from */
	uint32_t pcdata_count, funcdata_count;
	uint64_t pcdata_off, funcdata_off; /* in functions */
};

/* Decode record number i; false: malformed, or of no bytes. */
bool pclntab_function_at(const struct pclntab_table *table, uint32_t i,
			 struct pclntab_function *function);
/* The offset in values of a function's PCDATA of that kind; 0: it has none. */
uint32_t pclntab_pcdata(const struct pclntab_table *table, const struct pclntab_function *function,
			uint32_t kind);
/* A function's FUNCDATA of that kind: since 1.18 its offset from moduledata.gofunc, before
 * that its vaddr. False: it has none. */
bool pclntab_funcdata(const struct pclntab_table *table, const struct pclntab_function *function,
		      uint32_t kind, uint64_t *place);

/* The string at off of a span; NULL: none that ends within it and MAX_NAME_BYTES. */
enum { PCLNTAB_MAX_NAME_BYTES = 64 << 10 };
const char *pclntab_string(const struct pclntab_span *span, uint64_t off);
/* The path of a function's file, by its number; NULL: unknown. */
const char *pclntab_file(const struct pclntab_table *table, const struct pclntab_function *function,
			 int32_t number);

/* A sequence of values, each for a range of the function's code. */
struct pclntab_values {
	struct reader r;
	uint64_t start_vaddr, end_vaddr; /* where value holds */
	uint64_t limit_vaddr;
	int32_t value;
	uint32_t quantum;
	bool is_first;
};

struct pclntab_values pclntab_values_of(const struct pclntab_table *table,
					const struct pclntab_function *function, uint32_t off);
/* The next range with its value, never empty and never past the function's end. */
bool pclntab_values_next(struct pclntab_values *values);
