/*
 * frames: what the locations of a profile are called. The one place that decides on names,
 * kinds and inlining, so that trees, tables and files agree.
 *
 * One location is one frame per line, but a single one in the view by library. Without lines it is "[libfoo.so+0x12af]", the file's
 * name and the vaddr; "[jit]" in JIT memory; "[unknown]" without a file. Immutable once made,
 * but for marks that are added.
 */
#pragma once
#include "base/auto.h"
#include "base/buf.h"
#include "profile/calltree.h"
#include "profile/profile.h"

struct frame {
	uint32_t name;    /* string of the table */
	uint32_t mapping; /* string: filename of the mapping; "" when none */
	uint32_t symbol;  /* the first frame of this name and kind, in whatever mapping */
	enum frame_kind kind;
};

/* ids[first .. first + count): the frames of a location, the outermost first. */
struct frame_span {
	uint32_t first;
	uint32_t count;
};

struct frame_table {
	struct strtab strings;
	struct frame *frames; /* distinct (name, mapping, kind) */
	uint32_t *ids;
	struct frame_span *spans; /* by location */
	size_t frame_count, frame_cap, id_count, id_cap;
	struct index frame_index, symbol_index;
};

/* -ENOMEM, -ENOSPC. */
int frame_table_new(struct frame_table **out, const struct profile *profile, enum frame_view view);
void frame_table_free(struct frame_table *table); /* NULL is fine */
AUTO_DEFINE(frame_table)

/* A frame that is no code, of that name. */
int frame_table_add_mark(struct frame_table *table, const char *name, uint32_t *id);

/* Kind of a function of that name in a mapping of that filename ("": none). */
enum frame_kind frame_kind_of(const char *filename, const char *name);

/* Append the name of a location that has no lines. */
void frame_unnamed(struct buf *out, const struct profile *profile,
		   const struct profile_location *location);
