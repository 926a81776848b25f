#include "symbolizer/debug_file_links.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/reader.h"

enum { MAX_LINK_BYTES = PATH_MAX + 64 };

/* The text at the start of a section; NULL when it is too long for max_bytes with its NUL. */
static const char *read_text(struct reader *r, size_t max_bytes)
{
	const char *text = reader_cstr(r);
	return text && *text && strlen(text) < max_bytes ? text : NULL;
}

static void read_link(struct debug_file_links *links, struct reader r)
{
	size_t all_bytes = reader_left_bytes(&r);
	const char *name = read_text(&r, sizeof(links->link_name));
	/* The CRC is at the next multiple of 4. */
	reader_skip(&r, -(all_bytes - reader_left_bytes(&r)) & 3);
	uint32_t crc32 = reader_u32(&r);
	if (r.bad || !name || strchr(name, '/') || !strcmp(name, ".") || !strcmp(name, ".."))
		return;
	snprintf(links->link_name, sizeof(links->link_name), "%s", name);
	links->link_crc32 = crc32;
}

static void read_alternate(struct debug_file_links *links, struct reader r)
{
	const char *path = read_text(&r, sizeof(links->alternate_path));
	size_t id_bytes = reader_left_bytes(&r);
	if (!path || id_bytes < 2 || id_bytes > sizeof(links->alternate_id))
		return;
	snprintf(links->alternate_path, sizeof(links->alternate_path), "%s", path);
	memcpy(links->alternate_id, reader_bytes(&r, id_bytes), id_bytes);
	links->alternate_id_bytes = id_bytes;
}

static int load_link(const struct elf_file *file, const struct elf_sections *sections,
		     const char *name, struct debug_file_links *links,
		     void (*read)(struct debug_file_links *, struct reader))
{
	const struct elf_section *section = elf_sections_find(sections, name);
	if (!section)
		return 0;
	char *data;
	int rc = elf_file_load(file, section, MAX_LINK_BYTES, &data, NULL);
	if (rc)
		return rc == -ENOMEM ? rc : 0;
	AUTO_MEM char *owned = data;
	read(links, reader_of(owned, section->size_bytes));
	return 0;
}

int debug_file_links_read(struct debug_file_links *links, const struct elf_file *file,
			  struct err *err)
{
	*links = (struct debug_file_links){0};
	AUTO_FINI(elf_sections_fini) struct elf_sections sections = {0};
	int rc = elf_file_sections(file, &sections, err);
	if (rc)
		return rc;
	rc = elf_sections_read_names(&sections, file);
	if (!rc)
		rc = load_link(file, &sections, ".gnu_debuglink", links, read_link);
	if (!rc)
		rc = load_link(file, &sections, ".gnu_debugaltlink", links, read_alternate);
	if (rc)
		return err_set(err, rc, "links to debug files: %m");
	/* .zdebug_*: compressed as binutils did before SHF_COMPRESSED. */
	links->has_dwarf = elf_sections_find(&sections, ".debug_info") ||
			   elf_sections_find(&sections, ".zdebug_info");
	links->is_stripped = !links->has_dwarf && !elf_sections_find(&sections, ".symtab") &&
			     !elf_sections_find(&sections, ".debug_str");
	const struct elf_section *minidebug = elf_sections_find(&sections, ".gnu_debugdata");
	links->has_minidebug = minidebug;
	if (minidebug)
		links->minidebug = *minidebug;
	return 0;
}
