/*
 * function_bounds: where the functions of one file begin and end, from its unwind entries.
 *
 * Stripping takes the names away and leaves .eh_frame, so that what has no name is still one
 * function and not a thousand addresses. A cold part that lies apart counts as a function.
 * Where entries overlap, the one that begins last holds. 8 bytes a function. Immutable; any
 * number of threads.
 */
#pragma once
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/auto.h"
#include "base/err.h"
#include "symbolizer/elf_file.h"
#include "symbolizer/gsym_builder.h"

struct function_bounds; /* opaque */

/* A file without unwind entries has no functions, and that is no failure. -ENODATA, -EBADMSG:
 * they cannot be read; -ENOSPC: more than 256 MiB of them or 4 Mi functions; -ENOMEM; pread(2)'s
 * errors. Caller owns *out. */
int function_bounds_read(struct function_bounds **out, const struct elf_file *file,
			 struct err *err);
void function_bounds_free(struct function_bounds *bounds); /* NULL is fine */
AUTO_DEFINE(function_bounds)

#define FUNCTION_BOUNDS_NONE UINT32_MAX

/* The position of the function that covers vaddr, or FUNCTION_BOUNDS_NONE. */
uint32_t function_bounds_find(const struct function_bounds *bounds, uint64_t vaddr);
uint32_t function_bounds_count(const struct function_bounds *bounds);
/* position < function_bounds_count(); ascending. */
struct gsym_range function_bounds_range(const struct function_bounds *bounds, uint32_t position);

/* What a function without a name is called: "[stripped libfoo.so+0x12a0]", by the base name of
 * its file and where it begins; without "stripped " for files that have their symbols. */
enum { FUNCTION_MARK_BYTES = NAME_MAX + 48 };
void function_mark(char text[static FUNCTION_MARK_BYTES], const char *filename,
		   uint64_t start_vaddr, bool is_stripped);

/* Add every function to builder, from GSYM_FROM_UNWIND_ROWS; all are named "[stripped]", as the
 * files in which they will be found have many names. Errors of gsym_builder_add_function(). */
int function_bounds_compile(const struct function_bounds *bounds, struct gsym_builder *builder,
			    struct err *err);
