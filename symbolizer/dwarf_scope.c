#include "symbolizer/dwarf_scope.h"

#include <errno.h>

#include "base/array.h"

enum { MAX_DEPTH = 1024, MAX_SCOPES = 1 << 20 };

bool dwarf_language_is_c_family(uint16_t language)
{
	switch (language) {
	case DW_LANG_C89:
	case DW_LANG_C:
	case DW_LANG_C99:
	case DW_LANG_C11:
	case DW_LANG_C17:
	case DW_LANG_C23:
	case DW_LANG_C_plus_plus:
	case DW_LANG_C_plus_plus_03:
	case DW_LANG_C_plus_plus_11:
	case DW_LANG_C_plus_plus_14:
	case DW_LANG_C_plus_plus_17:
	case DW_LANG_C_plus_plus_20:
	case DW_LANG_C_plus_plus_23:
		return true;
	default:
		return false;
	}
}

bool dwarf_language_has_scopes(uint16_t language)
{
	switch (language) {
	case 0: /* some partial units of dwz do not say */
	case DW_LANG_C89:
	case DW_LANG_C:
	case DW_LANG_C99:
	case DW_LANG_C11:
	case DW_LANG_C17:
	case DW_LANG_C23:
	case DW_LANG_Go: /* "main.run": the package is in the name */
	case DW_LANG_Mips_Assembler:
		return language == 0;
	default:
		return true;
	}
}

const char *dwarf_language_separator(uint16_t language)
{
	switch (language) {
	case DW_LANG_D:
	case DW_LANG_Ada83:
	case DW_LANG_Ada95:
		return ".";
	default:
		return "::";
	}
}

bool dwarf_tag_is_scope(uint16_t tag)
{
	switch (tag) {
	case DW_TAG_namespace:
	case DW_TAG_module:
	case DW_TAG_class_type:
	case DW_TAG_structure_type:
	case DW_TAG_union_type:
	case DW_TAG_interface_type:
	case DW_TAG_enumeration_type:
	case DW_TAG_subprogram:
		return true;
	default:
		return false;
	}
}

bool dwarf_skip_children(const struct dwarf_unit *unit, const struct dwarf_abbrev *abbrev,
			 struct reader *r)
{
	if (abbrev->sibling_off < 0)
		return false;
	struct reader at = *r;
	reader_skip(&at, (size_t)abbrev->sibling_off);
	uint64_t sibling = reader_u32(&at);
	const uint8_t *start = unit->file->sections.of[DWARF_INFO].data + unit->off;
	if (at.bad || sibling > (uint64_t)(r->end - start) || start + sibling <= at.pos)
		return false;
	r->pos = start + sibling;
	return true;
}

/* A walk over a unit that keeps the scopes it meets. */
struct walk {
	struct dwarf_unit *unit;
	struct reader r;
	uint32_t open[MAX_DEPTH]; /* the scope of each level; UINT32_MAX: that of the unit */
	bool opens[MAX_DEPTH];    /* did the entry of this level open it? */
	size_t depth;
};

static int add_scope(struct dwarf_unit *unit, uint64_t off, uint32_t parent, uint32_t *position)
{
	int rc = ARRAY_RESERVE(unit->scopes, unit->scope_cap, unit->scope_count, MAX_SCOPES);
	if (rc)
		return rc;
	*position = (uint32_t)unit->scope_count;
	unit->scopes[unit->scope_count++] =
		(struct dwarf_scope){.start_off = off, .end_off = unit->end_off, .parent = parent};
	return 0;
}

static void leave(struct walk *walk)
{
	walk->depth--;
	if (walk->opens[walk->depth])
		walk->unit->scopes[walk->open[walk->depth]].end_off =
			dwarf_unit_reader_off(walk->unit, &walk->r);
}

/* An entry with children, its code just read. */
static int enter(struct walk *walk, const struct dwarf_abbrev *abbrev, uint64_t off)
{
	struct dwarf_unit *unit = walk->unit;
	uint32_t outer = walk->depth ? walk->open[walk->depth - 1] : UINT32_MAX;
	uint32_t scope = outer;
	bool is_scope = dwarf_tag_is_scope(abbrev->tag);
	int rc = is_scope ? add_scope(unit, off, outer, &scope) : 0;
	if (rc)
		return rc;
	bool is_open =
		abbrev->tag == DW_TAG_namespace || abbrev->tag == DW_TAG_module || walk->depth == 0;
	if (!is_open && dwarf_skip_children(unit, abbrev, &walk->r)) {
		if (is_scope) {
			unit->scopes[scope].end_off = dwarf_unit_reader_off(unit, &walk->r);
			unit->scopes[scope].is_closed = true;
		}
		return 0;
	}
	if (walk->depth == MAX_DEPTH)
		return -EBADMSG;
	dwarf_abbrev_skip(unit->abbrevs, abbrev, &walk->r);
	walk->open[walk->depth] = scope;
	walk->opens[walk->depth] = is_scope;
	walk->depth++;
	return 0;
}

/* Only scopes with children count: nothing can be in the others. */
static int find_scopes(struct dwarf_unit *unit)
{
	struct walk walk = {.unit = unit, .r = dwarf_unit_reader(unit, unit->root_off)};
	dwarf_work_pay(unit->file->work, unit->end_off - unit->off);
	do {
		uint64_t off = dwarf_unit_reader_off(unit, &walk.r);
		uint64_t code = reader_varint(&walk.r);
		if (walk.r.bad)
			break;
		if (code == 0) {
			if (walk.depth)
				leave(&walk);
			continue;
		}
		const struct dwarf_abbrev *abbrev = dwarf_abbrevs_find(unit->abbrevs, code);
		if (!abbrev)
			return -EBADMSG;
		int rc = 0;
		if (abbrev->has_children)
			rc = enter(&walk, abbrev, off);
		else
			dwarf_abbrev_skip(unit->abbrevs, abbrev, &walk.r);
		if (rc)
			return rc;
	} while (walk.depth);
	return walk.r.bad ? -EBADMSG : 0;
}

/* Scopes come in the order of their start, a parent before its children. */
static uint32_t innermost(const struct dwarf_unit *unit, uint64_t off)
{
	size_t low = 0, high = unit->scope_count;
	while (low < high) { /* the first that starts at off or behind it */
		size_t middle = low + (high - low) / 2;
		if (unit->scopes[middle].start_off < off)
			low = middle + 1;
		else
			high = middle;
	}
	uint32_t position = low ? (uint32_t)(low - 1) : UINT32_MAX;
	while (position != UINT32_MAX && unit->scopes[position].end_off <= off)
		position = unit->scopes[position].parent;
	return position;
}

/* The way from the entry at from, which holds off, down to off: tags and offsets of scopes. */
struct path {
	uint64_t offs[MAX_DEPTH];
	bool are_scopes[MAX_DEPTH];
	size_t depth;
};

static int search_path(const struct dwarf_unit *unit, uint64_t from, uint64_t off,
		       struct path *path)
{
	struct reader r = dwarf_unit_reader(unit, from);
	const uint8_t *target = unit->file->sections.of[DWARF_INFO].data + off;
	path->depth = 0;
	while (!r.bad && r.pos < target) {
		uint64_t at = dwarf_unit_reader_off(unit, &r);
		const uint8_t *start = r.pos;
		uint64_t code = reader_varint(&r);
		const struct dwarf_abbrev *abbrev = dwarf_abbrevs_find(unit->abbrevs, code);
		if (code == 0 && path->depth) {
			path->depth--;
			continue;
		}
		if (!abbrev || path->depth == MAX_DEPTH ||
		    !dwarf_work_pay(unit->file->work, (uint64_t)(r.pos - start) + 1))
			return -EBADMSG;
		struct reader behind = r;
		if (abbrev->has_children && dwarf_skip_children(unit, abbrev, &behind) &&
		    behind.pos <= target) {
			r = behind;
			continue;
		}
		dwarf_abbrev_skip(unit->abbrevs, abbrev, &r);
		if (!abbrev->has_children)
			continue;
		path->offs[path->depth] = at;
		path->are_scopes[path->depth++] = dwarf_tag_is_scope(abbrev->tag);
	}
	return r.bad || r.pos != target ? -EBADMSG : 0;
}

static void put(uint64_t *offs, int *count, uint64_t off)
{
	if (*count < DWARF_MAX_SCOPES)
		offs[(*count)++] = off;
}

static int append_path(const struct dwarf_unit *unit, uint64_t from, uint64_t off, uint64_t *offs,
		       int *count)
{
	AUTO_MEM struct path *path = malloc(sizeof(*path));
	if (!path)
		return -ENOMEM;
	int rc = search_path(unit, from, off, path);
	if (rc)
		return rc;
	while (path->depth-- > 0)
		if (path->are_scopes[path->depth])
			put(offs, count, path->offs[path->depth]);
	return 0;
}

int dwarf_scopes_around(struct dwarf_unit *unit, uint64_t off, uint64_t *offs)
{
	if (!unit->has_scopes) {
		unit->has_scopes = true; /* damage is found once only */
		int rc = find_scopes(unit);
		unit->file->kept_bytes += unit->scope_cap * sizeof(*unit->scopes);
		if (rc == -ENOMEM)
			return rc;
	}
	int count = 0;
	uint32_t position = innermost(unit, off);
	if (position != UINT32_MAX && unit->scopes[position].is_closed) {
		int rc = append_path(unit, unit->scopes[position].start_off, off, offs, &count);
		if (rc)
			return rc;
		position = unit->scopes[position].parent;
	}
	for (; position != UINT32_MAX; position = unit->scopes[position].parent)
		put(offs, &count, unit->scopes[position].start_off);
	for (int i = 0; i < count / 2; i++) { /* outermost first */
		uint64_t other = offs[count - 1 - i];
		offs[count - 1 - i] = offs[i];
		offs[i] = other;
	}
	return count;
}
