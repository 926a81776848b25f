/*
 * jit_codes: the functions of one process that were made at run time, by address and time.
 *
 * Memory for code is used again: what comes later replaces whatever it overlaps, from its time
 * on. What was replaced is kept for a while, for samples that are older. Everything is bounded;
 * at a ceiling the names of code that is gone make room, and when that is not enough, further
 * code is refused and counted. Texts are untrusted: control characters in them become '?', and
 * they are cut at JIT_NAME_MAX_BYTES. One thread.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/auto.h"
#include "base/err.h"

struct jit_codes; /* opaque */

enum { JIT_NAME_MAX_BYTES = 1024 };

struct jit_limits {
	size_t codes; /* functions known at a time, replaced ones included */
	size_t lines; /* entries of line tables */
	size_t text_bytes;
};
/* About 80 MiB, when all of it is used. */
extern const struct jit_limits jit_default_limits;

/* Where in a source file the code from off on, counted from its function's start, comes from. */
struct jit_line_info {
	uint32_t off;
	uint32_t line;
	const char *file; /* needs no NUL */
	size_t file_bytes;
};

struct jit_code_info {
	uint64_t start_ip;
	uint64_t size_bytes;
	uint64_t from_mono_ns; /* 0: it was always there */
	const char *name;      /* needs no NUL */
	size_t name_bytes;
	const struct jit_line_info *lines; /* by off; borrowed */
	size_t line_count;
};

/* limits NULL: jit_default_limits. -ENOMEM. */
int jit_codes_new(struct jit_codes **out, const struct jit_limits *limits);
void jit_codes_free(struct jit_codes *codes); /* NULL is fine */
AUTO_DEFINE(jit_codes)

/* Code that was made. An empty or impossible range is -EINVAL; what is refused for want of room
 * is no failure. -ENOMEM. */
int jit_codes_add(struct jit_codes *codes, const struct jit_code_info *info);
/* The code that begins at old_ip, as known up to here, is at start_ip from then on. -EINVAL: there
 * is none, or as above. -ENOMEM. */
int jit_codes_move(struct jit_codes *codes, uint64_t old_ip, uint64_t start_ip, uint64_t size_bytes,
		   uint64_t from_mono_ns);
/* Owed after additions, before the next question. -ENOMEM: what was added is lost. */
int jit_codes_settle(struct jit_codes *codes);

struct jit_symbol {
	const char *name; /* borrowed until the next addition */
	const char *file; /* source; "": not told; same life */
	uint32_t line;    /* 0: not told */
};

/* The code that was at ip at that time. False: none that is known. */
bool jit_codes_find(const struct jit_codes *codes, uint64_t ip, uint64_t at_mono_ns,
		    struct jit_symbol *symbol);

/* Distinct stretches of addresses with a name now. */
size_t jit_codes_count(const struct jit_codes *codes);
/* Functions that were refused for want of room. */
uint64_t jit_codes_refused(const struct jit_codes *codes);
/* Memory in use, about. */
size_t jit_codes_bytes(const struct jit_codes *codes);
