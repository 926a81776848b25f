/*
 * dwarf_scope: the namespaces, types and functions that are around an entry.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "symbolizer/dwarf_unit.h"

/* Do names of this language (DW_LANG_*) stand in scopes that are not part of DW_AT_name? */
bool dwarf_language_has_scopes(uint16_t language);
bool dwarf_language_is_c_family(uint16_t language);
const char *dwarf_language_separator(uint16_t language);

/* May there be scopes or code within entries of this tag? */
bool dwarf_tag_is_scope(uint16_t tag);
/* After the code of an entry with children was read at off: step over it and all that is in it,
 * by its DW_AT_sibling. False: it has none that leads forward; r is as it was. */
bool dwarf_skip_children(const struct dwarf_unit *unit, const struct dwarf_abbrev *abbrev,
			 struct reader *r);

enum { DWARF_MAX_SCOPES = 64 };

/* Offsets of the entries around off, outermost first, without the unit; those that are nearest
 * when there are more than fit. Returns how many. -ENOMEM; -EBADMSG: they cannot be read. */
int dwarf_scopes_around(struct dwarf_unit *unit, uint64_t off, uint64_t *offs);
