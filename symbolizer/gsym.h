/*
 * gsym: names, source lines and inlined calls of one executable, from a GSYM file.
 *
 * Reads what gsym_builder writes and what `llvm-gsymutil --convert` writes (version 1, 64-bit
 * little-endian). Input is untrusted bytes, mapped from a descriptor: a lookup touches a few
 * pages and allocates nothing. Immutable after gsym_open(); any thread.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/auto.h"
#include "base/err.h"
#include "symbolizer/gsym_builder.h"

struct gsym; /* opaque */

/* Maps the file; fd stays the caller's and may be closed. For files that nobody cuts while they
 * are open, as those of the cache, which are written once and then renamed: reading a mapping
 * past the end of its file is a SIGBUS. -EBADMSG: not a GSYM file that can be read, with a
 * sentence that says where; -EOPNOTSUPP: of another version; -ENOMEM; mmap(2)'s errors. */
int gsym_open(struct gsym **out, int fd, struct err *err);
/* From bytes that are copied: for files of strangers. */
int gsym_from_memory(struct gsym **out, const void *data, size_t len_bytes, struct err *err);
void gsym_free(struct gsym *gsym); /* NULL is fine */
AUTO_DEFINE(gsym)

/* One function at an address. Strings are borrowed for the life of the gsym. */
struct gsym_frame {
	const char *name;      /* as in the file: not demangled */
	const char *directory; /* "" when unknown */
	const char *base;      /* "" when unknown */
	uint32_t line;         /* 0 when unknown */
	bool is_inlined;       /* into the next frame */
};

struct gsym_answer {
	uint64_t start_vaddr, end_vaddr; /* of the function that is really there */
	bool is_folded;                  /* several functions share this code */
	bool has_mark_only;              /* bounds of a function nobody named */
	uint32_t frame_count;
};

/* Frames at vaddr, innermost inlined callee first, the function itself last; up to max_frames,
 * the innermost ones are dropped first beyond that. False: nothing is known of vaddr. */
bool gsym_lookup(const struct gsym *gsym, uint64_t vaddr, struct gsym_frame *frames,
		 uint32_t max_frames, struct gsym_answer *answer);

/* Did gsym_builder write it, and is it as long as it was then? */
bool gsym_is_whole(const struct gsym *gsym);
/* Were any of its functions from there? Of files of others that is not known: no. */
bool gsym_has_source(const struct gsym *gsym, enum gsym_source source);
uint64_t gsym_function_count(const struct gsym *gsym);
