/*
 * dwarf_unit: units of .debug_info, entries in them, and what the attributes of those mean.
 *
 * A dwarf_file is one ELF file with its sections: the executable's, dwz's alternate, a .dwo, a
 * .dwp. Units are loaded when they are asked for and the last ones used are kept.
 * One thread. DWARF 5 sections 7.5.1 and 7.26 to 7.28.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "symbolizer/dwarf_abbrev.h"
#include "symbolizer/dwarf_sections.h"

enum { DWARF_UNITS_KEPT = 64 };

struct dwarf_file {
	struct dwarf_sections sections;
	struct dwarf_file *alternate; /* NULL: none */
	struct dwarf_work *work;
	uint32_t serial;     /* no two files have the same; from 1 on */
	uint64_t *unit_offs; /* of all units in .debug_info, ascending */
	size_t unit_count, unit_cap;
	struct dwarf_unit *kept[DWARF_UNITS_KEPT];
	struct dwarf_abbrevs *abbrevs[DWARF_UNITS_KEPT]; /* by a hash of their offset */
	size_t kept_bytes;                               /* at most, of tables and scopes */
};

/* Where the parts of one split unit begin in a package; 0 everywhere else. */
struct dwarf_bases {
	uint64_t info_off, abbrev_off, str_offsets_off, rnglists_off;
};

struct dwarf_scope {
	uint64_t start_off, end_off; /* of the entry with all its children */
	uint32_t parent;             /* position; UINT32_MAX: the unit */
	bool is_closed;              /* its children were stepped over */
};

struct dwarf_unit {
	struct dwarf_file *file;
	uint64_t off, end_off;
	uint64_t root_off; /* of its first entry */
	struct dwarf_abbrevs *abbrevs;
	uint64_t id; /* of split units and their skeletons */
	uint16_t version;
	uint8_t type; /* DW_UT_*; before DWARF 5 compile or partial */
	bool has_id, has_line;
	struct dwarf_bases bases;
	/* Of its first entry. */
	uint16_t tag;
	uint16_t language; /* DW_LANG_*; 0 when it does not say */
	uint64_t line_off;
	uint64_t low_vaddr; /* base of its range lists */
	uint64_t str_offsets_base, addr_base, rnglists_base;
	uint64_t ranges_base;   /* of GNU split units, in the skeleton */
	const char *directory;  /* of the compilation; NULL: it does not say */
	const char *split_name; /* NULL: this is no skeleton */
	/* Of a split unit; borrowed. Addresses, lines and old range lists are in its file. */
	const struct dwarf_unit *skeleton;
	/* For names; made when first needed. */
	struct dwarf_scope *scopes;
	size_t scope_count, scope_cap;
	bool has_scopes;
};

/* One entry's attributes, those that are of interest. */
struct dwarf_entry {
	uint64_t off;
	const struct dwarf_abbrev *abbrev;
	struct dwarf_value name, linkage_name;
	struct dwarf_value low_pc, high_pc, ranges;
	struct dwarf_value origin; /* DW_AT_abstract_origin, _specification or _extension */
	struct dwarf_value call_file, call_line;
};

/* A place in .debug_info of a file. */
struct dwarf_place {
	struct dwarf_file *file;
	uint64_t off;
};

/* Find all units. A damaged header ends the list: *problem says so, when it has no other. Takes
 * nothing of sections. -ENOSPC: too many; -ENOMEM. */
int dwarf_file_list_units(struct dwarf_file *file, struct err *problem, struct err *err);
void dwarf_file_fini(struct dwarf_file *file);
/* Drop the units and tables that are kept, when they have become too many bytes. */
void dwarf_file_trim(struct dwarf_file *file);

/* The unit that holds off, borrowed until the next call; NULL: none that can be read. */
struct dwarf_unit *dwarf_file_unit(struct dwarf_file *file, uint64_t off);
/* The unit that begins at off, the caller's. skeleton and bases may be NULL. */
int dwarf_unit_read(struct dwarf_unit **out, struct dwarf_file *file, uint64_t off,
		    const struct dwarf_bases *bases, const struct dwarf_unit *skeleton,
		    struct err *err);
void dwarf_unit_free(struct dwarf_unit *unit); /* NULL is fine */
AUTO_DEFINE(dwarf_unit)

/* Its bytes from off on, which is within it. */
struct reader dwarf_unit_reader(const struct dwarf_unit *unit, uint64_t off);
uint64_t dwarf_unit_reader_off(const struct dwarf_unit *unit, const struct reader *r);

/* The attributes of an entry whose code was just read. The reader is bad on failure. */
void dwarf_entry_read(const struct dwarf_unit *unit, const struct dwarf_abbrev *abbrev,
		      struct reader *r, struct dwarf_entry *entry);
/* False: there is no entry at off. */
bool dwarf_entry_at(const struct dwarf_unit *unit, uint64_t off, struct dwarf_entry *entry);

/* NULL: no string. Borrowed from a section, which ends it. */
const char *dwarf_unit_string(const struct dwarf_unit *unit, const struct dwarf_value *value);
/* False: no address. */
bool dwarf_unit_address(const struct dwarf_unit *unit, const struct dwarf_value *value,
			uint64_t *vaddr);
bool dwarf_unit_indexed_address(const struct dwarf_unit *unit, uint64_t index, uint64_t *vaddr);
/* False: not a reference, or not into a unit of a file that is there. */
bool dwarf_unit_place(const struct dwarf_unit *unit, const struct dwarf_value *value,
		      struct dwarf_place *place);

/* len_bytes of a section from off on; bad when they are not there. */
struct reader dwarf_section_reader(const struct dwarf_section *section, uint64_t off);
const char *dwarf_section_string(const struct dwarf_section *section, uint64_t off);
