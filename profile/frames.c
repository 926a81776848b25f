#include "profile/frames.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/hash.h"

#define MAX_NAME_BYTES   4096
#define MAX_STRING_BYTES ((size_t)1 << 30)

static bool starts_with(const char *text, const char *prefix)
{
	return !strncmp(text, prefix, strlen(prefix));
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

static bool is_kernel_file(const char *filename)
{
	const char *base = base_name(filename);
	const char *suffix = strstr(base, ".ko");
	return (suffix && (!suffix[3] || suffix[3] == '.')) || starts_with(base, "vmlinux");
}

/* Code in memory of no file: it was made at run time. */
static bool is_jit_memory(const char *filename)
{
	return !strcmp(filename, "[jit]") || starts_with(filename, "[anon") ||
	       !strcmp(filename, "[heap]") || starts_with(filename, "[stack") ||
	       starts_with(filename, "//anon");
}

enum frame_kind frame_kind_of(const char *filename, const char *name)
{
	if (!filename[0])
		return name[0] == '[' ? FRAME_MARK : FRAME_NATIVE;
	if (!strcmp(filename, "[vdso]") || !strcmp(filename, "[vsyscall]"))
		return FRAME_VDSO;
	if (is_jit_memory(filename))
		return FRAME_JIT;
	/* "[kernel.kallsyms]", and modules as perf shows them: "[nf_tables]". */
	return filename[0] == '[' || is_kernel_file(filename) ? FRAME_KERNEL : FRAME_NATIVE;
}

void frame_unnamed(struct buf *out, const struct profile *profile,
		   const struct profile_location *location)
{
	const char *filename =
		profile_string(profile, profile->mappings[location->mapping].filename);
	if (!filename[0]) {
		buf_append_str(out, "[unknown]");
		return;
	}
	if (is_jit_memory(filename)) {
		buf_append_str(out, "[jit]");
		return;
	}
	const char *base = base_name(filename);
	size_t len_bytes = strlen(base);
	if (base[0] == '[' && base[len_bytes - 1] == ']') {
		base++;
		len_bytes -= 2;
	}
	buf_append_u8(out, '[');
	buf_append(out, base, len_bytes < NAME_MAX ? len_bytes : NAME_MAX);
	buf_printf(out, "+0x%" PRIx64 "]", location->vaddr);
}

static bool same_frame(const void *ctx, uint32_t position, const void *key)
{
	const struct frame *have = &((const struct frame_table *)ctx)->frames[position];
	const struct frame *want = key;
	return have->name == want->name && have->mapping == want->mapping &&
	       have->kind == want->kind;
}

static bool same_symbol(const void *ctx, uint32_t position, const void *key)
{
	const struct frame *have = &((const struct frame_table *)ctx)->frames[position];
	const struct frame *want = key;
	return have->name == want->name && have->kind == want->kind;
}

static int intern_symbol(struct frame_table *table, struct frame *frame)
{
	uint64_t hash = hash_mix(frame->name, frame->kind);
	frame->symbol = index_find(&table->symbol_index, hash, same_symbol, table, frame);
	if (frame->symbol != INDEX_NONE)
		return 0;
	frame->symbol = (uint32_t)table->frame_count;
	return index_add(&table->symbol_index, hash, frame->symbol);
}

static int intern_frame(struct frame_table *table, struct frame frame, uint32_t *id)
{
	uint64_t hash = hash_mix((uint64_t)frame.name << 32 | frame.mapping, frame.kind);
	*id = index_find(&table->frame_index, hash, same_frame, table, &frame);
	if (*id != INDEX_NONE)
		return 0;
	*id = (uint32_t)table->frame_count;
	int rc = ARRAY_RESERVE(table->frames, table->frame_cap, *id, PROFILE_MAX_ENTRIES);
	if (!rc)
		rc = intern_symbol(table, &frame);
	if (!rc)
		rc = index_add(&table->frame_index, hash, *id);
	if (!rc)
		table->frames[table->frame_count++] = frame;
	return rc;
}

int frame_table_add_mark(struct frame_table *table, const char *name, uint32_t *id)
{
	struct frame frame = {.kind = FRAME_MARK};
	int rc = strtab_add(&table->strings, name, &frame.name);
	return rc ? rc : intern_frame(table, frame, id);
}

/* One pass over the locations, with the profile's strings translated at first use. */
struct pass {
	struct frame_table *table;
	const struct profile *profile;
	enum frame_view view;
	uint32_t *strings; /* by the profile's id; 0: not yet */
	struct buf name;
};

static int translate(struct pass *pass, uint32_t string, uint32_t *id)
{
	if (string && !pass->strings[string]) {
		int rc = strtab_add(&pass->table->strings, profile_string(pass->profile, string),
				    &pass->strings[string]);
		if (rc)
			return rc;
	}
	*id = pass->strings[string];
	return 0;
}

static int add_frame(struct pass *pass, const struct frame *frame)
{
	struct frame_table *table = pass->table;
	uint32_t id;
	int rc = intern_frame(table, *frame, &id);
	if (!rc)
		rc = ARRAY_RESERVE(table->ids, table->id_cap, table->id_count, PROFILE_MAX_ENTRIES);
	if (!rc)
		table->ids[table->id_count++] = id;
	return rc;
}

/* The name that is in pass->name. */
static int intern_name(struct pass *pass, uint32_t *id)
{
	int rc = buf_error(&pass->name);
	return rc ? rc
		  : strtab_add_bytes(&pass->table->strings, pass->name.data, pass->name.len_bytes,
				     id);
}

static int add_unnamed(struct pass *pass, const struct profile_location *location,
		       struct frame *frame)
{
	buf_clear(&pass->name);
	frame_unnamed(&pass->name, pass->profile, location);
	int rc = intern_name(pass, &frame->name);
	if (rc)
		return rc;
	frame->kind = frame_kind_of(strtab_get(&pass->table->strings, frame->mapping), "[");
	return add_frame(pass, frame);
}

/* "function file.c:12", or less where less is known. */
static int add_place(struct pass *pass, const struct profile_line *line, uint32_t *name)
{
	const struct profile_function *function = &pass->profile->functions[line->function];
	const char *file = base_name(profile_string(pass->profile, function->filename));
	if (!file[0])
		return 0;
	buf_clear(&pass->name);
	buf_append_str(&pass->name, strtab_get(&pass->table->strings, *name));
	buf_printf(&pass->name, " %s", file);
	if (line->line)
		buf_printf(&pass->name, ":%" PRIu32, line->line);
	return intern_name(pass, name);
}

static int add_line(struct pass *pass, const struct profile_line *line, bool inlined,
		    struct frame *frame)
{
	const struct profile *profile = pass->profile;
	const struct profile_function *function = &profile->functions[line->function];
	uint32_t name = function->name ? function->name : function->system_name;
	int rc = name ? translate(pass, name, &frame->name)
		      : strtab_add(&pass->table->strings, "[unknown]", &frame->name);
	if (rc)
		return rc;
	frame->kind = inlined ? FRAME_INLINED
			      : frame_kind_of(strtab_get(&pass->table->strings, frame->mapping),
					      strtab_get(&pass->table->strings, frame->name));
	if (pass->view == FRAME_VIEW_LINE) {
		rc = add_place(pass, line, &frame->name);
		if (rc)
			return rc;
	}
	return add_frame(pass, frame);
}

/* The file that a location is in; false: in none, so that only its own name tells anything. */
static bool is_in_library(const struct pass *pass, const struct frame *frame)
{
	return pass->view == FRAME_VIEW_LIBRARY && frame->mapping;
}

static int add_library(struct pass *pass, struct frame *frame)
{
	const char *filename = strtab_get(&pass->table->strings, frame->mapping);
	frame->kind = frame_kind_of(filename, "");
	buf_clear(&pass->name);
	buf_append_str(&pass->name, base_name(filename));
	int rc = intern_name(pass, &frame->name);
	return rc ? rc : add_frame(pass, frame);
}

static int add_location(struct pass *pass, const struct profile_location *location)
{
	const struct profile *profile = pass->profile;
	struct frame frame = {0};
	int rc = translate(pass, profile->mappings[location->mapping].filename, &frame.mapping);
	if (!rc && is_in_library(pass, &frame))
		return add_library(pass, &frame);
	if (!rc && !location->line_count)
		return add_unnamed(pass, location, &frame);
	/* The last line is the function that is really there; the others are inlined in it. */
	for (uint32_t i = location->line_count; !rc && i-- > 0;)
		rc = add_line(pass, &profile->lines[location->first_line + i],
			      i + 1 < location->line_count, &frame);
	return rc;
}

static void fini_pass(struct pass *pass)
{
	free(pass->strings);
	buf_fini(&pass->name);
}

static int add_locations(struct frame_table *table, const struct profile *profile,
			 enum frame_view view)
{
	AUTO_FINI(fini_pass)
	struct pass pass = {.table = table, .profile = profile, .view = view};
	buf_init(&pass.name, MAX_NAME_BYTES);
	pass.strings = calloc(profile->strings.count, sizeof(*pass.strings));
	table->spans = calloc(profile->location_count, sizeof(*table->spans));
	if (!pass.strings || !table->spans)
		return -ENOMEM;
	for (size_t i = 1; i < profile->location_count; i++) {
		table->spans[i].first = (uint32_t)table->id_count;
		int rc = add_location(&pass, &profile->locations[i]);
		if (rc)
			return rc;
		table->spans[i].count = (uint32_t)table->id_count - table->spans[i].first;
	}
	return 0;
}

int frame_table_new(struct frame_table **out, const struct profile *profile, enum frame_view view)
{
	AUTO(frame_table) table = calloc(1, sizeof(*table));
	if (!table)
		return -ENOMEM;
	index_init(&table->frame_index, PROFILE_MAX_ENTRIES);
	index_init(&table->symbol_index, PROFILE_MAX_ENTRIES);
	int rc = strtab_init(&table->strings, PROFILE_MAX_ENTRIES, MAX_STRING_BYTES);
	if (!rc)
		rc = add_locations(table, profile, view);
	if (rc)
		return rc;
	*out = TAKE(table);
	return 0;
}

void frame_table_free(struct frame_table *table)
{
	if (!table)
		return;
	strtab_fini(&table->strings);
	index_fini(&table->frame_index);
	index_fini(&table->symbol_index);
	free(table->frames);
	free(table->ids);
	free(table->spans);
	free(table);
}
