/*
 * unwind: for every address of an ELF file, how to find the caller's frame.
 *
 * From .eh_frame; for what that leaves out, from the table that a Go program carries for its
 * runtime; and for what both leave out, from .debug_frame; x86-64. Nothing is guessed:
 * an address that no entry covers has the rule of a hole, and what a rule cannot express is
 * UNWIND_CFA_UNSUPPORTED and counted. Where entries overlap, the one that begins last holds
 * from its begin on, and nothing holds between its end and the next begin; of entries that begin
 * together the longest holds, of equals the first in the file.
 * Immutable, so that any number of threads may read. About 4 bytes a row.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "base/auto.h"
#include "base/buf.h"
#include "base/err.h"
#include "symbolizer/elf_file.h"
#include "symbolizer/unwind_rule.h"

struct unwind_rows; /* opaque */

struct unwind_stats {
	uint64_t functions;  /* with rows */
	uint64_t rows;       /* held: equal neighbours merged, holes included */
	uint64_t rules;      /* different ones */
	uint64_t bytes;      /* of memory */
	uint64_t discarded;  /* entries of functions that the linker left out */
	uint64_t overlapped; /* entries that another one cuts or replaces */
	uint64_t outside;    /* entries for places that are not executable */
	/* Rows as the file lists them that lack something, by enum unwind_unsupported; of
	 * kinds that leave no place known, and of whole functions, entries. */
	uint64_t unsupported[UNWIND_UNSUPPORTED_KINDS];
};

/* "CFA expression", for counters and messages. */
const char *unwind_unsupported_name(enum unwind_unsupported kind);

/* Read the rows. A file without call frame information has none, and that is no failure.
 * -EOPNOTSUPP: not x86-64; -ENODATA, -EBADMSG: its tables cannot be read; -ENOSPC: more than
 * 256 MiB of table, 4 Mi functions, 32 Mi rows, or 8 GiB of code; -ENOMEM; pread(2)'s errors. */
int unwind_rows_open(struct unwind_rows **out, const struct elf_file *file, struct err *err);
void unwind_rows_free(struct unwind_rows *rows); /* NULL is fine */
AUTO_DEFINE(unwind_rows)

/* The rule at vaddr; never NULL. Borrowed from rows, as is all below. */
const struct unwind_rule *unwind_rows_find(const struct unwind_rows *rows, uint64_t vaddr);

/* The rules by number. */
const struct unwind_rule *unwind_rows_rules(const struct unwind_rows *rows, size_t *count);

/* The rows of the page that holds vaddr: the first is at offset 0, neighbours differ. NULL: the
 * page is one hole. */
const struct unwind_row *unwind_rows_page(const struct unwind_rows *rows, uint64_t vaddr,
					  size_t *count);

const struct unwind_stats *unwind_rows_stats(const struct unwind_rows *rows);

/* Append the rows as bytes for unwind_rows_decode(), on a machine of the same byte order. */
void unwind_rows_encode(const struct unwind_rows *rows, struct buf *out);
/* -EBADMSG: not what unwind_rows_encode() wrote; -ENOMEM. */
int unwind_rows_decode(struct unwind_rows **out, const void *data, size_t len_bytes,
		       struct err *err);
