/*
 * kernel_names: kallsyms that follows the kernel as modules and BPF programs come and go.
 *
 * Reading the table costs some 70 ms, so it is not done for every address that it lacks: at
 * once when the last look is 2 s old, then less often the longer looking does not help, at
 * least once a minute. Code that comes and goes may have given its place to other code, so
 * what is known of it is a minute old at the most, and 10 s when it is known that some came or
 * went. One thread.
 */
#pragma once
#include "base/auto.h"
#include "base/err.h"
#include "symbolizer/kallsyms.h"

struct kernel_names; /* opaque */

/* path is copied: "/proc/kallsyms". Nothing is read yet. -ENOMEM. */
int kernel_names_new(struct kernel_names **out, const char *path, struct err *err);
void kernel_names_free(struct kernel_names *names); /* NULL is fine */
AUTO_DEFINE(kernel_names)

/* Read the table now. On failure the one before stays. open(2)'s errors, and those of
 * kallsyms_read(), whose text says what the kernel hides and what helps. */
int kernel_names_read(struct kernel_names *names, int64_t now_mono_ns, struct err *err);

/* Code came or went since the table was read. */
void kernel_names_note_change(struct kernel_names *names);

/* NULL: not read successfully so far. Borrowed until the next call of the others. */
const struct kallsyms *kernel_names_table(const struct kernel_names *names);

/* The symbol that covers ip, or NULL; may read the table anew. Borrowed likewise. */
const struct kernel_symbol *kernel_names_find(struct kernel_names *names, uint64_t ip,
					      int64_t now_mono_ns);
