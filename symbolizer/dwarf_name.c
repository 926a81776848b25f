#include "symbolizer/dwarf_name.h"

#include <errno.h>
#include <string.h>

#include "base/hash.h"
#include "symbolizer/dwarf_scope.h"

enum {
	SLOTS = 1 << 15,
	MAX_REFERENCES = 16, /* of one name; real ones have two or three */
	MAX_NAME_BYTES = 1 << 20,
};

struct dwarf_name_slot {
	uint32_t file; /* its serial; 0: free */
	uint32_t id;
	uint64_t off;
};

/* What a chain of references leads to. */
struct chain {
	const char *linkage_name;
	const char *name;
	struct dwarf_place last; /* where the declaration is */
	uint16_t language;
};

int dwarf_names_init(struct dwarf_names *names, struct gsym_builder *builder)
{
	*names = (struct dwarf_names){.builder = builder};
	buf_init(&names->text, MAX_NAME_BYTES);
	names->slots = calloc(SLOTS, sizeof(*names->slots));
	return names->slots ? 0 : -ENOMEM;
}

void dwarf_names_fini(struct dwarf_names *names)
{
	buf_fini(&names->text);
	free(names->slots);
	*names = (struct dwarf_names){0};
}

/* The unit of a place: the one at hand, or one of those kept. */
static struct dwarf_unit *unit_of(struct dwarf_unit *unit, const struct dwarf_place *place)
{
	if (place->file == unit->file && place->off >= unit->root_off && place->off < unit->end_off)
		return unit;
	return place->file->unit_count ? dwarf_file_unit(place->file, place->off) : NULL;
}

static void follow(struct dwarf_unit *unit, struct dwarf_place place, struct chain *chain)
{
	for (int i = 0; i < MAX_REFERENCES; i++) {
		struct dwarf_entry entry;
		struct dwarf_unit *at = unit_of(unit, &place);
		if (!at || !dwarf_entry_at(at, place.off, &entry))
			return;
		chain->last = place;
		if (at->language)
			chain->language = at->language;
		chain->linkage_name = dwarf_unit_string(at, &entry.linkage_name);
		if (chain->linkage_name)
			return;
		if (!chain->name)
			chain->name = dwarf_unit_string(at, &entry.name);
		if (!dwarf_unit_place(at, &entry.origin, &place))
			return;
	}
}

static const char *unnamed(uint16_t tag)
{
	switch (tag) {
	case DW_TAG_namespace:
		return "(anonymous namespace)";
	case DW_TAG_class_type:
	case DW_TAG_structure_type:
	case DW_TAG_interface_type:
		return "(anonymous class)";
	case DW_TAG_union_type:
		return "(anonymous union)";
	default:
		return NULL;
	}
}

/* The name of a scope's entry, or of the one in the same unit that it continues. Other units are
 * not asked: that could take away the one at hand. */
static const char *scope_name(const struct dwarf_unit *unit, const struct dwarf_entry *entry)
{
	const char *name = dwarf_unit_string(unit, &entry->name);
	struct dwarf_place place;
	struct dwarf_entry origin;
	if (name || !dwarf_unit_place(unit, &entry->origin, &place) || place.file != unit->file ||
	    place.off < unit->root_off || place.off >= unit->end_off ||
	    !dwarf_entry_at(unit, place.off, &origin))
		return name;
	return dwarf_unit_string(unit, &origin.name);
}

static void append_scope(struct dwarf_names *names, const struct dwarf_unit *unit, uint64_t off,
			 const char *separator)
{
	struct dwarf_entry entry;
	if (!dwarf_entry_at(unit, off, &entry) || !dwarf_tag_is_scope(entry.abbrev->tag))
		return;
	const char *name = scope_name(unit, &entry);
	if (!name)
		name = unnamed(entry.abbrev->tag);
	if (!name)
		return;
	buf_append_str(&names->text, name);
	buf_append_str(&names->text, separator);
}

static int qualify(struct dwarf_names *names, struct dwarf_unit *unit, const struct chain *chain)
{
	uint64_t offs[DWARF_MAX_SCOPES];
	struct dwarf_unit *at = unit_of(unit, &chain->last);
	if (at && dwarf_language_has_scopes(chain->language)) {
		int count = dwarf_scopes_around(at, chain->last.off, offs);
		if (count == -ENOMEM)
			return count;
		for (int i = 0; i < count; i++)
			append_scope(names, at, offs[i], dwarf_language_separator(chain->language));
	}
	buf_append_str(&names->text, chain->name);
	return buf_error(&names->text) == -ENOMEM ? -ENOMEM : 0;
}

/* Into names->text; nothing when there is none, or one longer than any name. */
static int put_together(struct dwarf_names *names, struct dwarf_unit *unit,
			struct dwarf_place place)
{
	struct chain chain = {.last = place, .language = unit->language};
	follow(unit, place, &chain);
	buf_clear(&names->text);
	int rc = 0;
	if (chain.linkage_name)
		buf_append_str(&names->text, chain.linkage_name);
	else if (chain.name)
		rc = qualify(names, unit, &chain);
	if (!rc && buf_error(&names->text) == -ENOMEM)
		rc = -ENOMEM;
	if (buf_error(&names->text) || !dwarf_work_pay(unit->file->work, names->text.len_bytes))
		buf_clear(&names->text);
	return rc;
}

int dwarf_names_find(struct dwarf_names *names, struct dwarf_unit *unit, struct dwarf_place place,
		     uint32_t *id)
{
	struct dwarf_name_slot *slot =
		&names->slots[hash_mix(place.file->serial, place.off) % SLOTS];
	if (slot->file == place.file->serial && slot->off == place.off) {
		*id = slot->id;
		return 0;
	}
	int rc = put_together(names, unit, place);
	if (!rc && names->text.len_bytes)
		rc = gsym_builder_add_string(names->builder, names->text.data,
					     names->text.len_bytes, id);
	else if (!rc)
		*id = 0;
	if (!rc)
		*slot = (struct dwarf_name_slot){place.file->serial, *id, place.off};
	return rc;
}
