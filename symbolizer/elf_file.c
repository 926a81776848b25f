#include "symbolizer/elf_file.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

#include "base/reader.h"

/* Real files have some ten segments and some forty sections; these stop liars. */
enum {
	MAX_PROGRAM_HEADERS = 4096,
	MAX_SECTIONS = 1 << 16,
	MAX_NOTE_BYTES = 64 << 10,
	MAX_SECTION_NAMES_BYTES = 1 << 20,
	MAX_MEMORY_BYTES = 64 << 20,
};

struct elf_file {
	int fd;       /* -1: in memory */
	char *memory; /* NULL: in fd */
	uint64_t size_bytes;
	uint16_t type; /* ET_* */
	uint16_t machine;
	bool takes_relocatable;
	uint64_t program_headers_off, section_headers_off;
	uint32_t program_header_count, section_count;
	uint32_t section_names_index;
	struct elf_segment *segments;
	size_t segment_count;
	struct elf_segment dynamic;
	uint8_t build_id[ELF_BUILD_ID_MAX_BYTES];
	size_t build_id_bytes;
};

void elf_file_free(struct elf_file *file)
{
	if (!file)
		return;
	if (file->fd >= 0)
		close(file->fd);
	free(file->memory);
	free(file->segments);
	free(file);
}

uint16_t elf_file_machine(const struct elf_file *file)
{
	return file->machine;
}

const struct elf_segment *elf_file_segments(const struct elf_file *file, size_t *count)
{
	*count = file->segment_count;
	return file->segments;
}

struct elf_segment elf_file_dynamic(const struct elf_file *file)
{
	return file->dynamic;
}

size_t elf_file_build_id(const struct elf_file *file, uint8_t id[static ELF_BUILD_ID_MAX_BYTES])
{
	memcpy(id, file->build_id, file->build_id_bytes);
	return file->build_id_bytes;
}

int elf_file_identity(const struct elf_file *file,
		      uint64_t numbers[static ELF_FILE_IDENTITY_NUMBERS])
{
	struct stat st;
	if (fstat(file->fd, &st))
		return -errno;
	numbers[0] = st.st_dev;
	numbers[1] = st.st_ino;
	numbers[2] = (uint64_t)st.st_size;
	numbers[3] = (uint64_t)st.st_mtim.tv_sec * 1000000000 + (uint64_t)st.st_mtim.tv_nsec;
	return 0;
}

int elf_file_read(const struct elf_file *file, uint64_t off, void *data, size_t len_bytes)
{
	if (off > file->size_bytes || len_bytes > file->size_bytes - off)
		return -ENODATA;
	if (file->memory) {
		memcpy(data, file->memory + off, len_bytes);
		return 0;
	}
	char *pos = data;
	while (len_bytes > 0) {
		ssize_t got = pread(file->fd, pos, len_bytes, (off_t)off);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got ? -errno : -ENODATA; /* it shrank since fstat */
		pos += got;
		off += (uint64_t)got;
		len_bytes -= (size_t)got;
	}
	return 0;
}

/* A table of at most max_count entries, owned by the caller. */
static int load_table(const struct elf_file *file, uint64_t off, uint64_t count, size_t entry_bytes,
		      size_t max_count, const char *what, void **data, struct err *err)
{
	if (count > max_count)
		return err_set(err, -ENOSPC, "%llu %s, more than %zu", (unsigned long long)count,
			       what, max_count);
	AUTO_MEM char *table = malloc(count * entry_bytes + 1);
	if (!table)
		return err_set(err, -ENOMEM, "%s: %m", what);
	int rc = elf_file_read(file, off, table, count * entry_bytes);
	if (rc == -ENODATA)
		return err_set(err, rc, "the file ends before its %s", what);
	if (rc)
		return err_set(err, rc, "read %s: %m", what);
	*data = TAKE(table);
	return 0;
}

int elf_file_load(const struct elf_file *file, const struct elf_section *section, size_t max_bytes,
		  char **data, struct err *err)
{
	if (section->type == SHT_NOBITS || (section->flags & SHF_COMPRESSED))
		return err_set(err, -EBADMSG, "a section without plain bytes");
	void *bytes = NULL;
	int rc = load_table(file, section->off, section->size_bytes, 1, max_bytes,
			    "bytes of a section", &bytes, err);
	if (rc)
		return rc;
	*data = bytes;
	(*data)[section->size_bytes] = 0;
	return 0;
}

/* e_ident: https://refspecs.linuxfoundation.org/elf/gabi4+/ch4.eheader.html#elfid */
static int check_ident(const unsigned char *ident, struct err *err)
{
	if (memcmp(ident, ELFMAG, SELFMAG))
		return err_set(err, -EBADMSG, "not an ELF file");
	if (ident[EI_CLASS] == ELFCLASS32)
		return err_set(err, -EOPNOTSUPP, "a 32-bit ELF file; only 64-bit ones are read");
	if (ident[EI_CLASS] != ELFCLASS64)
		return err_set(err, -EBADMSG, "ELF class %u is unknown", ident[EI_CLASS]);
	if (ident[EI_DATA] != ELFDATA2LSB)
		return err_set(err, -EOPNOTSUPP, "a big-endian ELF file");
	return 0;
}

static int check_kind(const struct elf_file *file, struct err *err)
{
	if (file->machine != EM_X86_64 && file->machine != EM_AARCH64)
		return err_set(err, -EOPNOTSUPP,
			       "an ELF file for machine %u; only x86-64 and aarch64 are read",
			       file->machine);
	if (file->type != ET_EXEC && file->type != ET_DYN &&
	    !(file->type == ET_REL && file->takes_relocatable))
		return err_set(err, -EOPNOTSUPP,
			       "ELF type %u; only executables and shared objects are read",
			       file->type);
	return 0;
}

static int read_header(struct elf_file *file, struct err *err)
{
	unsigned char bytes[sizeof(Elf64_Ehdr)] = {0};
	size_t len_bytes = file->size_bytes < sizeof(bytes) ? file->size_bytes : sizeof(bytes);
	int rc = elf_file_read(file, 0, bytes, len_bytes);
	if (rc)
		return err_set(err, rc, "read the ELF header: %m");
	rc = check_ident(bytes, err);
	if (rc)
		return rc;

	struct reader r = reader_of(bytes, len_bytes);
	reader_skip(&r, EI_NIDENT);
	file->type = reader_u16(&r);
	file->machine = reader_u16(&r);
	reader_skip(&r, 4 + 8); /* e_version, e_entry */
	file->program_headers_off = reader_u64(&r);
	file->section_headers_off = reader_u64(&r);
	reader_skip(&r, 4 + 2); /* e_flags, e_ehsize */
	uint16_t program_header_bytes = reader_u16(&r);
	file->program_header_count = reader_u16(&r);
	uint16_t section_header_bytes = reader_u16(&r);
	file->section_count = reader_u16(&r);
	file->section_names_index = reader_u16(&r);
	if (r.bad)
		return err_set(err, -ENODATA, "the file ends within the ELF header");
	rc = check_kind(file, err);
	if (rc)
		return rc;
	if (file->program_header_count && program_header_bytes != sizeof(Elf64_Phdr))
		return err_set(err, -EBADMSG, "program headers of %u bytes", program_header_bytes);
	if (section_header_bytes != sizeof(Elf64_Shdr))
		file->section_headers_off = 0; /* they cannot be read; all else can */
	return 0;
}

static struct elf_section decode_section(struct reader *r, uint32_t *info)
{
	struct elf_section section = {0};
	section.name_off = reader_u32(r);
	section.type = reader_u32(r);
	section.flags = reader_u64(r);
	section.vaddr = reader_u64(r);
	section.off = reader_u64(r);
	section.size_bytes = reader_u64(r);
	section.link = reader_u32(r);
	*info = reader_u32(r);
	reader_skip(r, 8); /* sh_addralign */
	section.entry_bytes = reader_u64(r);
	return section;
}

/* Counts that do not fit 16 bits are in section header 0: the same chapter, "e_shnum",
 * "e_shstrndx", and PN_XNUM in elf(5). */
static int read_extended_counts(struct elf_file *file, struct err *err)
{
	bool in_section_0 = file->section_count == 0 || file->program_header_count == PN_XNUM ||
			    file->section_names_index == SHN_XINDEX;
	if (!file->section_headers_off || !in_section_0)
		return 0;
	unsigned char bytes[sizeof(Elf64_Shdr)];
	int rc = elf_file_read(file, file->section_headers_off, bytes, sizeof(bytes));
	if (rc && file->program_header_count == PN_XNUM)
		return err_set(err, rc, "the count of program headers cannot be read: %m");
	if (rc) {
		file->section_headers_off = 0;
		return 0;
	}
	struct reader r = reader_of(bytes, sizeof(bytes));
	uint32_t info;
	struct elf_section first = decode_section(&r, &info);
	if (file->section_count == 0) /* UINT32_MAX is past the ceiling, as the truth is */
		file->section_count =
			first.size_bytes < UINT32_MAX ? (uint32_t)first.size_bytes : UINT32_MAX;
	if (file->program_header_count == PN_XNUM)
		file->program_header_count = info;
	if (file->section_names_index == SHN_XINDEX)
		file->section_names_index = first.link;
	return 0;
}

static size_t pad(size_t len_bytes, size_t align_bytes)
{
	return -len_bytes & (align_bytes - 1);
}

/* Notes: https://refspecs.linuxfoundation.org/elf/gabi4+/ch5.pheader.html#note_section.
 * Padding is to 4 bytes, except in segments aligned to 8 (.note.gnu.property). */
static void find_build_id(struct elf_file *file, struct reader r, size_t align_bytes)
{
	while (reader_left_bytes(&r) > 0) {
		uint32_t name_bytes = reader_u32(&r);
		uint32_t desc_bytes = reader_u32(&r);
		uint32_t type = reader_u32(&r);
		const char *name = reader_bytes(&r, name_bytes);
		reader_skip(&r, pad(sizeof(Elf64_Nhdr) + (size_t)name_bytes, align_bytes));
		const void *desc = reader_bytes(&r, desc_bytes);
		if (r.bad)
			return;
		if (type == NT_GNU_BUILD_ID && name_bytes == sizeof(ELF_NOTE_GNU) &&
		    !memcmp(name, ELF_NOTE_GNU, name_bytes) && desc_bytes > 0 &&
		    desc_bytes <= ELF_BUILD_ID_MAX_BYTES) {
			memcpy(file->build_id, desc, desc_bytes);
			file->build_id_bytes = desc_bytes;
			return;
		}
		reader_skip(&r, pad(desc_bytes, align_bytes));
	}
}

/* A build ID that cannot be read is one that is not there. */
static void read_notes(struct elf_file *file, uint64_t off, uint64_t len_bytes,
		       uint64_t align_bytes)
{
	if (file->build_id_bytes || len_bytes > MAX_NOTE_BYTES)
		return;
	AUTO_MEM char *notes = malloc(len_bytes + 1);
	if (notes && !elf_file_read(file, off, notes, len_bytes))
		find_build_id(file, reader_of(notes, len_bytes), align_bytes == 8 ? 8 : 4);
}

static int read_segments(struct elf_file *file, struct err *err)
{
	void *table;
	int rc =
		load_table(file, file->program_headers_off, file->program_header_count,
			   sizeof(Elf64_Phdr), MAX_PROGRAM_HEADERS, "program headers", &table, err);
	if (rc)
		return rc;
	AUTO_MEM void *owned = table;
	file->segments = calloc((size_t)file->program_header_count + 1, sizeof(*file->segments));
	if (!file->segments)
		return err_set(err, -ENOMEM, "program headers: %m");
	struct reader r = reader_of(owned, file->program_header_count * sizeof(Elf64_Phdr));
	for (uint32_t i = 0; i < file->program_header_count; i++) {
		struct elf_segment segment = {0};
		uint32_t type = reader_u32(&r);
		segment.flags = reader_u32(&r);
		segment.off = reader_u64(&r);
		segment.vaddr = reader_u64(&r);
		reader_skip(&r, 8); /* p_paddr */
		segment.file_bytes = reader_u64(&r);
		segment.memory_bytes = reader_u64(&r);
		uint64_t align_bytes = reader_u64(&r);
		if (type == PT_LOAD)
			file->segments[file->segment_count++] = segment;
		else if (type == PT_DYNAMIC)
			file->dynamic = segment;
		else if (type == PT_NOTE)
			read_notes(file, segment.off, segment.file_bytes, align_bytes);
	}
	return 0;
}

int elf_file_sections(const struct elf_file *file, struct elf_sections *sections, struct err *err)
{
	uint32_t count = file->section_headers_off ? file->section_count : 0;
	void *table;
	int rc = load_table(file, file->section_headers_off, count, sizeof(Elf64_Shdr),
			    MAX_SECTIONS, "section headers", &table, err);
	if (rc)
		return rc;
	AUTO_MEM void *owned = table;
	struct elf_section *items = calloc((size_t)count + 1, sizeof(*items));
	if (!items)
		return err_set(err, -ENOMEM, "section headers: %m");
	struct reader r = reader_of(owned, count * sizeof(Elf64_Shdr));
	for (uint32_t i = 0; i < count; i++) {
		uint32_t info;
		items[i] = decode_section(&r, &info);
	}
	*sections = (struct elf_sections){
		.items = items, .count = count, .names_index = file->section_names_index};
	return 0;
}

int elf_sections_read_names(struct elf_sections *sections, const struct elf_file *file)
{
	if (sections->names || sections->names_index >= sections->count)
		return 0;
	const struct elf_section *section = &sections->items[sections->names_index];
	int rc = elf_file_load(file, section, MAX_SECTION_NAMES_BYTES, &sections->names, NULL);
	if (!rc)
		sections->names_bytes = section->size_bytes;
	return rc == -ENOMEM ? rc : 0;
}

const struct elf_section *elf_sections_find(const struct elf_sections *sections, const char *name)
{
	for (size_t i = 0; i < sections->count; i++) {
		const struct elf_section *section = &sections->items[i];
		if (section->name_off < sections->names_bytes && section->type != SHT_NOBITS &&
		    !strcmp(sections->names + section->name_off, name))
			return section;
	}
	return NULL;
}

void elf_sections_fini(struct elf_sections *sections)
{
	free(sections->items);
	free(sections->names);
	*sections = (struct elf_sections){0};
}

/* Some linker scripts keep the note's section and forget its segment. */
static void read_note_sections(struct elf_file *file)
{
	AUTO_FINI(elf_sections_fini) struct elf_sections sections = {0};
	if (file->build_id_bytes || elf_file_sections(file, &sections, NULL))
		return;
	for (size_t i = 0; i < sections.count; i++)
		if (sections.items[i].type == SHT_NOTE)
			read_notes(file, sections.items[i].off, sections.items[i].size_bytes, 4);
}

static int read_headers(struct elf_file *file, struct err *err)
{
	int rc = read_header(file, err);
	if (!rc)
		rc = read_extended_counts(file, err);
	if (!rc)
		rc = read_segments(file, err);
	if (!rc)
		read_note_sections(file);
	return rc;
}

static int open_file(struct elf_file **out, int fd, bool takes_relocatable, struct err *err)
{
	AUTO_FD owned_fd = fd;
	struct stat st;
	if (fstat(fd, &st))
		return err_set(err, -errno, "fstat: %m");
	if (!S_ISREG(st.st_mode))
		return err_set(err, -EBADMSG, "not a regular file");
	AUTO(elf_file) file = calloc(1, sizeof(*file));
	if (!file)
		return err_set(err, -ENOMEM, "ELF headers: %m");
	file->fd = TAKE_FD(owned_fd);
	file->size_bytes = (uint64_t)st.st_size;
	file->takes_relocatable = takes_relocatable;
	int rc = read_headers(file, err);
	if (rc)
		return rc;
	*out = TAKE(file);
	return 0;
}

int elf_file_open(struct elf_file **out, int fd, struct err *err)
{
	return open_file(out, fd, false, err);
}

int elf_file_open_debug(struct elf_file **out, int fd, struct err *err)
{
	return open_file(out, fd, true, err);
}

int elf_file_from_memory(struct elf_file **out, const void *data, size_t len_bytes, struct err *err)
{
	if (len_bytes > MAX_MEMORY_BYTES)
		return err_set(err, -ENOSPC, "an ELF image of %zu bytes", len_bytes);
	AUTO(elf_file) file = calloc(1, sizeof(*file));
	if (!file)
		return err_set(err, -ENOMEM, "ELF image: %m");
	file->fd = -1;
	file->memory = malloc(len_bytes + 1);
	if (!file->memory)
		return err_set(err, -ENOMEM, "ELF image: %m");
	if (len_bytes)
		memcpy(file->memory, data, len_bytes);
	file->size_bytes = len_bytes;
	int rc = read_headers(file, err);
	if (rc)
		return rc;
	*out = TAKE(file);
	return 0;
}
