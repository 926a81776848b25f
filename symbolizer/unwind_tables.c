#include "symbolizer/unwind_tables.h"

#include <errno.h>
#include <zlib.h>

#include "base/array.h"

enum {
	MAX_TABLE_BYTES = 256 << 20,
	MAX_HEADER_BYTES = 64 << 20,
	MAX_PROGRAM_HEADERS = 4096,
	EH_FRAME_HDR_VERSION = 1,
};

void unwind_tables_fini(struct unwind_tables *tables)
{
	for (size_t i = 0; i < ARRAY_LEN(tables->owned); i++)
		free(tables->owned[i]);
	*tables = (struct unwind_tables){0};
}

static struct eh_section take(struct unwind_tables *tables, size_t owned, char *data,
			      size_t len_bytes, uint64_t vaddr)
{
	tables->owned[owned] = data;
	return (struct eh_section){
		.data = (const uint8_t *)data, .len_bytes = len_bytes, .vaddr = vaddr};
}

/* SHF_COMPRESSED: https://refspecs.linuxfoundation.org, gABI chapter 4 "Section Compression". */
static int inflate_section(const char *data, size_t len_bytes, char **out, size_t *out_bytes)
{
	struct reader r = reader_of(data, len_bytes);
	uint32_t type = reader_u32(&r);
	reader_skip(&r, 4); /* ch_reserved */
	uint64_t plain_bytes = reader_u64(&r);
	reader_skip(&r, 8); /* ch_addralign */
	if (r.bad || type != ELFCOMPRESS_ZLIB)
		return -EOPNOTSUPP;
	/* deflate packs at most 1032 : 1, so that a small file cannot ask for a large buffer */
	if (plain_bytes > MAX_TABLE_BYTES || plain_bytes / 1032 > reader_left_bytes(&r))
		return -ENOSPC;
	AUTO_MEM char *plain = malloc(plain_bytes + 1);
	if (!plain)
		return -ENOMEM;
	uLongf got_bytes = plain_bytes;
	if (uncompress((Bytef *)plain, &got_bytes, r.pos, reader_left_bytes(&r)) != Z_OK)
		return -EBADMSG;
	*out = TAKE(plain);
	*out_bytes = got_bytes;
	return 0;
}

static int load_debug_frame(struct unwind_tables *tables, const struct elf_file *file,
			    const struct elf_section *section)
{
	struct elf_section packed = *section;
	packed.flags &= ~(uint64_t)SHF_COMPRESSED;
	char *data;
	size_t len_bytes = section->size_bytes;
	int rc = elf_file_load(file, &packed, MAX_TABLE_BYTES, &data, NULL);
	if (rc)
		return rc;
	AUTO_MEM char *owned = data;
	if (section->flags & SHF_COMPRESSED) {
		rc = inflate_section(owned, section->size_bytes, &data, &len_bytes);
		if (rc)
			return rc;
	} else {
		owned = NULL;
	}
	tables->debug_frame = take(tables, 1, data, len_bytes, section->vaddr);
	return 0;
}

static int load_eh_frame(struct unwind_tables *tables, const struct elf_file *file,
			 const struct elf_section *section)
{
	char *data;
	int rc = elf_file_load(file, section, MAX_TABLE_BYTES, &data, NULL);
	if (!rc)
		tables->eh_frame = take(tables, 0, data, section->size_bytes, section->vaddr);
	return rc;
}

/* PT_GNU_EH_FRAME, in the terms of a section. False: there is none. */
static bool find_header(const struct elf_file *file, struct elf_section *header)
{
	unsigned char elf_header[sizeof(Elf64_Ehdr)], segment[sizeof(Elf64_Phdr)];
	if (elf_file_read(file, 0, elf_header, sizeof(elf_header)))
		return false;
	struct reader r = reader_of(elf_header, sizeof(elf_header));
	reader_skip(&r, offsetof(Elf64_Ehdr, e_phoff));
	uint64_t off = reader_u64(&r);
	reader_skip(&r, offsetof(Elf64_Ehdr, e_phnum) - offsetof(Elf64_Ehdr, e_shoff));
	uint16_t count = reader_u16(&r);
	for (uint16_t i = 0; i < count && i < MAX_PROGRAM_HEADERS; i++, off += sizeof(segment)) {
		if (elf_file_read(file, off, segment, sizeof(segment)))
			return false;
		r = reader_of(segment, sizeof(segment));
		if (reader_u32(&r) != PT_GNU_EH_FRAME)
			continue;
		*header = (struct elf_section){.type = SHT_PROGBITS};
		reader_skip(&r, 4); /* p_flags */
		header->off = reader_u64(&r);
		header->vaddr = reader_u64(&r);
		reader_skip(&r, 8); /* p_paddr */
		header->size_bytes = reader_u64(&r);
		return true;
	}
	return false;
}

/* What the segment has in the file from vaddr on. */
static bool segment_rest(const struct elf_file *file, uint64_t vaddr, struct elf_section *rest)
{
	size_t count;
	const struct elf_segment *segments = elf_file_segments(file, &count);
	for (size_t i = 0; i < count; i++) {
		uint64_t in_segment = vaddr - segments[i].vaddr;
		if (vaddr < segments[i].vaddr || in_segment >= segments[i].file_bytes)
			continue;
		*rest = (struct elf_section){.type = SHT_PROGBITS,
					     .vaddr = vaddr,
					     .off = segments[i].off + in_segment,
					     .size_bytes = segments[i].file_bytes - in_segment};
		return true;
	}
	return false;
}

/* The place of the last FDE in the table of .eh_frame_hdr; 0: the table is of no use. */
static uint64_t last_entry_vaddr(const struct eh_section *header, uint8_t count_encoding,
				 uint8_t table_encoding, struct reader r)
{
	if (table_encoding != (EH_POINTER_DATAREL | EH_POINTER_SDATA4) ||
	    !eh_pointer_is_known(header, count_encoding))
		return 0;
	uint64_t last_vaddr = 0;
	uint64_t count = eh_pointer_read(header, count_encoding, &r);
	for (uint64_t i = 0; i < count && !r.bad; i++) {
		reader_skip(&r, 4); /* the function's place */
		uint64_t vaddr = eh_pointer_read(header, table_encoding, &r);
		if (vaddr > last_vaddr)
			last_vaddr = vaddr;
	}
	return r.bad ? 0 : last_vaddr;
}

/* Where .eh_frame begins and its last FDE, by .eh_frame_hdr. LSB Core 5.0, section 10.6.2. */
static int read_header(const struct elf_file *file, const struct elf_section *segment,
		       uint64_t *start_vaddr, uint64_t *last_vaddr)
{
	char *data;
	int rc = elf_file_load(file, segment, MAX_HEADER_BYTES, &data, NULL);
	if (rc)
		return rc;
	AUTO_MEM char *owned = data;
	struct eh_section header = {.data = (const uint8_t *)owned,
				    .len_bytes = segment->size_bytes,
				    .vaddr = segment->vaddr,
				    .data_vaddr = segment->vaddr};
	struct reader r = reader_of(header.data, header.len_bytes);
	uint8_t version = reader_u8(&r);
	uint8_t start_encoding = reader_u8(&r);
	uint8_t count_encoding = reader_u8(&r);
	uint8_t table_encoding = reader_u8(&r);
	if (version != EH_FRAME_HDR_VERSION || !eh_pointer_is_known(&header, start_encoding))
		return -EBADMSG;
	*start_vaddr = eh_pointer_read(&header, start_encoding, &r);
	*last_vaddr = last_entry_vaddr(&header, count_encoding, table_encoding, r);
	return r.bad ? -EBADMSG : 0;
}

/* Cut section behind the entry that begins at last_vaddr. */
static bool end_after(const struct elf_file *file, struct elf_section *section, uint64_t last_vaddr)
{
	unsigned char length[4 + 8] = {0};
	uint64_t last_off = last_vaddr - section->vaddr;
	if (last_vaddr < section->vaddr || last_off > section->size_bytes)
		return false;
	uint64_t left_bytes = section->size_bytes - last_off;
	if (left_bytes < sizeof(length) ||
	    elf_file_read(file, section->off + last_off, length, sizeof(length)))
		return false;
	struct reader r = reader_of(length, sizeof(length));
	uint64_t entry_bytes = 4 + (uint64_t)reader_u32(&r);
	if (entry_bytes == 4 + (uint64_t)UINT32_MAX) /* 64-bit DWARF */
		entry_bytes = reader_u64(&r);
	if (entry_bytes > left_bytes)
		return false;
	section->size_bytes = last_off + entry_bytes;
	return true;
}

static int load_by_header(struct unwind_tables *tables, const struct elf_file *file)
{
	struct elf_section header, section;
	uint64_t start_vaddr, last_vaddr;
	if (!find_header(file, &header) || read_header(file, &header, &start_vaddr, &last_vaddr) ||
	    !segment_rest(file, start_vaddr, &section))
		return 0;
	tables->ends_at_zero = !last_vaddr || !end_after(file, &section, last_vaddr);
	return load_eh_frame(tables, file, &section);
}

/* section: NULL when there is none of that name. */
static int find_eh_frame(struct unwind_tables *tables, const struct elf_file *file,
			 const struct elf_section *section)
{
	int rc = section ? load_eh_frame(tables, file, section) : 0;
	if (tables->eh_frame.data || rc == -ENOMEM)
		return rc;
	int by_header = load_by_header(tables, file);
	return rc && !tables->eh_frame.data ? rc : by_header;
}

int unwind_tables_read(struct unwind_tables *tables, const struct elf_file *file, struct err *err)
{
	*tables = (struct unwind_tables){0};
	AUTO_FINI(elf_sections_fini) struct elf_sections sections = {0};
	int rc = elf_file_sections(file, &sections, NULL);
	if (!rc)
		rc = elf_sections_read_names(&sections, file);
	if (rc == -ENOMEM)
		return err_set(err, rc, "section headers: %m");
	const struct elf_section *eh_frame = elf_sections_find(&sections, ".eh_frame");
	const struct elf_section *debug_frame = elf_sections_find(&sections, ".debug_frame");
	rc = find_eh_frame(tables, file, eh_frame);
	if (!rc && debug_frame && load_debug_frame(tables, file, debug_frame) == -ENOMEM)
		rc = -ENOMEM;
	if (!rc)
		return 0;
	unwind_tables_fini(tables);
	return err_set(err, rc, "read call frame information: %m");
}
