/*
 * dwarf_name: names of functions: mangled where the file has that, else qualified by the
 * namespaces and types around the declaration ("ns::(anonymous namespace)::type::name").
 *
 * The last names asked for are kept, in a table that does not grow. One thread.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "symbolizer/dwarf_unit.h"
#include "symbolizer/gsym_builder.h"

struct dwarf_names {
	struct gsym_builder *builder;
	struct dwarf_name_slot *slots;
	struct buf text; /* a name that is being put together */
};

int dwarf_names_init(struct dwarf_names *names, struct gsym_builder *builder); /* -ENOMEM */
void dwarf_names_fini(struct dwarf_names *names);

/* The builder's id of the name of the function whose entry is at place, which may be several
 * references away (DW_AT_abstract_origin, DW_AT_specification); 0: it has none. unit is the one
 * at hand. -ENOMEM; -ENOSPC of the builder. */
int dwarf_names_find(struct dwarf_names *names, struct dwarf_unit *unit, struct dwarf_place place,
		     uint32_t *id);
