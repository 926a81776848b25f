#include "symbolizer/dwarf_sections.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <zlib.h>
#include <zstd.h>

#include "base/array.h"
#include "base/reader.h"

enum {
	CHUNK_BYTES = 256 << 10,
	FORGET_BYTES = 32 << 20, /* pages that are written and not yet given back */
	SMALL_BYTES = 1 << 20,   /* not worth a place in a file */
	MAX_NAMES_BYTES = 1 << 20,
	DEFLATE_MAX_RATIO = 1032,  /* https://zlib.net/zlib_tech.html */
	ELFCOMPRESS_ZSTD_TYPE = 2, /* ELFCOMPRESS_ZSTD, which glibc before 2.37 does not know */
};

static const char *const section_names[DWARF_SECTION_KINDS] = {
	[DWARF_INFO] = "info",         [DWARF_ABBREV] = "abbrev",
	[DWARF_LINE] = "line",         [DWARF_LINE_STR] = "line_str",
	[DWARF_STR] = "str",           [DWARF_STR_OFFSETS] = "str_offsets",
	[DWARF_ADDR] = "addr",         [DWARF_RANGES] = "ranges",
	[DWARF_RNGLISTS] = "rnglists", [DWARF_CU_INDEX] = "cu_index",
};

enum packing { PACKED_NOT, PACKED_ZLIB, PACKED_ZSTD };

/* One section on its way out of the file. */
struct copy {
	const struct elf_file *file;
	uint64_t off, left_bytes; /* in the file */
	enum packing packing;
	uint8_t *data; /* plain, to be written */
	uint64_t plain_bytes;
	uint64_t done_bytes;
	uint64_t forgotten_bytes;
	bool is_scratch;
	const struct dwarf_scratch *scratch;
	uint8_t *chunk; /* CHUNK_BYTES */
};

void dwarf_sections_fini(struct dwarf_sections *sections)
{
	for (size_t i = 0; i < DWARF_SECTION_KINDS; i++)
		if (sections->of[i].map_bytes)
			munmap((void *)(uintptr_t)sections->of[i].data, sections->of[i].map_bytes);
	*sections = (struct dwarf_sections){0};
}

void dwarf_sections_forget(const struct dwarf_sections *sections)
{
	for (size_t i = 0; i < DWARF_SECTION_KINDS; i++)
		if (sections->of[i].is_scratch)
			madvise((void *)(uintptr_t)sections->of[i].data, sections->of[i].map_bytes,
				MADV_DONTNEED);
}

/* Chdr: gABI chapter 4, "Section Compression". */
static int read_packing(struct copy *copy, struct err *err)
{
	uint8_t header[sizeof(Elf64_Chdr)];
	int rc = copy->left_bytes < sizeof(header)
			 ? -ENODATA
			 : elf_file_read(copy->file, copy->off, header, sizeof(header));
	if (rc)
		return err_set(err, rc, "the header of a packed section: %m");
	struct reader r = reader_of(header, sizeof(header));
	uint32_t type = reader_u32(&r);
	reader_skip(&r, 4); /* ch_reserved */
	copy->plain_bytes = reader_u64(&r);
	copy->off += sizeof(header);
	copy->left_bytes -= sizeof(header);
	if (type != ELFCOMPRESS_ZLIB && type != ELFCOMPRESS_ZSTD_TYPE)
		return err_set(err, -EOPNOTSUPP, "packed by method %u", type);
	copy->packing = type == ELFCOMPRESS_ZLIB ? PACKED_ZLIB : PACKED_ZSTD;
	return 0;
}

/* .zdebug_*: "ZLIB" and the length as 8 bytes, big-endian; without the magic, plain. */
static int read_gnu_packing(struct copy *copy, struct err *err)
{
	uint8_t header[4 + 8];
	uint64_t plain_bytes;
	if (copy->left_bytes < sizeof(header))
		return 0;
	int rc = elf_file_read(copy->file, copy->off, header, sizeof(header));
	if (rc)
		return err_set(err, rc, "the header of a packed section: %m");
	if (memcmp(header, "ZLIB", 4) != 0)
		return 0;
	memcpy(&plain_bytes, header + 4, sizeof(plain_bytes));
	copy->plain_bytes = be64toh(plain_bytes);
	copy->off += sizeof(header);
	copy->left_bytes -= sizeof(header);
	copy->packing = PACKED_ZLIB;
	return 0;
}

/* The next bytes of the file. 0 bytes: that was all. */
static int read_chunk(struct copy *copy, size_t *len_bytes)
{
	const struct dwarf_scratch *scratch = copy->scratch;
	if (scratch->is_cancelled && scratch->is_cancelled(scratch->ctx))
		return -ECANCELED;
	*len_bytes = copy->left_bytes < CHUNK_BYTES ? copy->left_bytes : CHUNK_BYTES;
	int rc = elf_file_read(copy->file, copy->off, copy->chunk, *len_bytes);
	copy->off += *len_bytes;
	copy->left_bytes -= *len_bytes;
	return rc;
}

/* What is written goes to the page cache and need not stay mapped. */
static void took(struct copy *copy, uint64_t done_bytes)
{
	copy->done_bytes = done_bytes;
	if (!copy->is_scratch || done_bytes - copy->forgotten_bytes < FORGET_BYTES)
		return;
	uint64_t end = done_bytes & ~(uint64_t)(sysconf(_SC_PAGESIZE) - 1);
	madvise(copy->data + copy->forgotten_bytes, end - copy->forgotten_bytes, MADV_DONTNEED);
	copy->forgotten_bytes = end;
}

static int copy_plain(struct copy *copy)
{
	while (copy->done_bytes < copy->plain_bytes) {
		size_t len_bytes;
		int rc = read_chunk(copy, &len_bytes);
		if (rc)
			return rc;
		memcpy(copy->data + copy->done_bytes, copy->chunk, len_bytes);
		took(copy, copy->done_bytes + len_bytes);
	}
	return 0;
}

static void inflate_fini(z_stream *z)
{
	inflateEnd(z);
}

static int unpack_zlib(struct copy *copy)
{
	AUTO_FINI(inflate_fini) z_stream z = {0};
	if (inflateInit(&z) != Z_OK)
		return -ENOMEM;
	int status = Z_OK;
	while (status == Z_OK && copy->done_bytes < copy->plain_bytes) {
		if (z.avail_in == 0) {
			size_t len_bytes;
			int rc = read_chunk(copy, &len_bytes);
			if (rc)
				return rc;
			z.next_in = copy->chunk;
			z.avail_in = (uInt)len_bytes;
		}
		uint64_t room_bytes = copy->plain_bytes - copy->done_bytes;
		z.next_out = copy->data + copy->done_bytes;
		z.avail_out = (uInt)(room_bytes < CHUNK_BYTES ? room_bytes : CHUNK_BYTES);
		status = inflate(&z, Z_NO_FLUSH);
		took(copy, (uint64_t)(z.next_out - copy->data));
	}
	return copy->done_bytes == copy->plain_bytes ? 0 : -EBADMSG;
}

static void zstd_fini(ZSTD_DCtx **context)
{
	ZSTD_freeDCtx(*context);
}

static int unpack_zstd(struct copy *copy)
{
	AUTO_FINI(zstd_fini) ZSTD_DCtx *context = ZSTD_createDCtx();
	if (!context)
		return -ENOMEM;
	ZSTD_inBuffer in = {.src = copy->chunk};
	while (copy->done_bytes < copy->plain_bytes) {
		if (in.pos == in.size) {
			int rc = read_chunk(copy, &in.size);
			if (rc)
				return rc;
			in.pos = 0;
		}
		uint64_t room_bytes = copy->plain_bytes - copy->done_bytes;
		ZSTD_outBuffer out = {.dst = copy->data + copy->done_bytes,
				      .size = room_bytes < CHUNK_BYTES ? room_bytes : CHUNK_BYTES};
		size_t in_before = in.pos;
		size_t status = ZSTD_decompressStream(context, &out, &in);
		if (ZSTD_isError(status) || (out.pos == 0 && in.pos == in_before))
			return -EBADMSG;
		took(copy, copy->done_bytes + out.pos);
	}
	return 0;
}

static int unpack(struct copy *copy, struct err *err)
{
	AUTO_MEM uint8_t *chunk = malloc(CHUNK_BYTES);
	if (!chunk)
		return err_set(err, -ENOMEM, "unpack: %m");
	copy->chunk = chunk;
	int rc = 0;
	if (copy->packing == PACKED_NOT)
		rc = copy_plain(copy);
	else if (copy->packing == PACKED_ZLIB)
		rc = unpack_zlib(copy);
	else
		rc = unpack_zstd(copy);
	if (rc == -EBADMSG)
		return err_set(err, rc, "what is packed is damaged or of another size");
	return rc ? err_set(err, rc, "%m") : 0;
}

static int check_size(const struct copy *copy, const struct dwarf_scratch *scratch, struct err *err)
{
	if (copy->plain_bytes > scratch->max_section_bytes)
		return err_set(err, -ENOSPC, "%llu bytes, more than %llu",
			       (unsigned long long)copy->plain_bytes,
			       (unsigned long long)scratch->max_section_bytes);
	if (copy->plain_bytes > scratch->left_bytes)
		return err_set(err, -ENOSPC, "too many bytes of debug information");
	/* so that a small file cannot ask for much room */
	if (copy->packing == PACKED_ZLIB &&
	    copy->plain_bytes / DEFLATE_MAX_RATIO > copy->left_bytes)
		return err_set(err, -EBADMSG, "%llu bytes cannot unpack to %llu",
			       (unsigned long long)copy->left_bytes,
			       (unsigned long long)copy->plain_bytes);
	return 0;
}

/* The whole room is asked for first: a hole that the disk has no room for ends in SIGBUS. */
static int map_room(struct dwarf_scratch *scratch, struct dwarf_section *section, uint64_t bytes,
		    struct err *err)
{
	uint64_t page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t map_bytes = (bytes + page_bytes - 1) & ~(page_bytes - 1);
	bool is_scratch = scratch->fd >= 0 && bytes > SMALL_BYTES;
	if (is_scratch) {
		int code = posix_fallocate(scratch->fd, (off_t)scratch->end_off, (off_t)map_bytes);
		if (code)
			return err_set(err, -code, "%llu bytes of the scratch file: %m",
				       (unsigned long long)map_bytes);
	}
	void *map = mmap(NULL, map_bytes, PROT_READ | PROT_WRITE,
			 is_scratch ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS,
			 is_scratch ? scratch->fd : -1, is_scratch ? (off_t)scratch->end_off : 0);
	if (map == MAP_FAILED)
		return err_set(err, -errno, "%llu bytes: %m", (unsigned long long)map_bytes);
	*section = (struct dwarf_section){
		.data = map, .len_bytes = bytes, .map_bytes = map_bytes, .is_scratch = is_scratch};
	if (is_scratch)
		scratch->end_off += map_bytes;
	scratch->left_bytes -= bytes;
	return 0;
}

static int load_section(struct dwarf_section *out, const struct elf_file *file,
			const struct elf_section *section, bool is_zdebug,
			struct dwarf_scratch *scratch, struct err *err)
{
	struct copy copy = {.file = file,
			    .off = section->off,
			    .left_bytes = section->size_bytes,
			    .plain_bytes = section->size_bytes,
			    .scratch = scratch};
	int rc = 0;
	if (section->flags & SHF_COMPRESSED)
		rc = read_packing(&copy, err);
	else if (is_zdebug)
		rc = read_gnu_packing(&copy, err);
	if (!rc)
		rc = check_size(&copy, scratch, err);
	if (rc || !copy.plain_bytes)
		return rc;
	struct dwarf_section room;
	rc = map_room(scratch, &room, copy.plain_bytes, err);
	if (rc)
		return rc;
	*out = room; /* the caller's to unmap, whatever comes next */
	copy.data = (uint8_t *)(uintptr_t)room.data;
	copy.is_scratch = room.is_scratch;
	rc = unpack(&copy, err);
	if (!rc && mprotect(copy.data, room.map_bytes, PROT_READ))
		rc = err_set(err, -errno, "mprotect: %m");
	return rc;
}

/* Which kind has this name? DWARF_SECTION_KINDS: none. */
static size_t find_kind(const char *name, bool is_split, bool *is_zdebug)
{
	*is_zdebug = !strncmp(name, ".zdebug_", 8);
	if (!*is_zdebug && strncmp(name, ".debug_", 7) != 0)
		return DWARF_SECTION_KINDS;
	name += *is_zdebug ? 8 : 7;
	for (size_t i = 0; i < DWARF_SECTION_KINDS; i++) {
		size_t len = strlen(section_names[i]);
		/* The index of a package has no suffix. */
		const char *suffix = is_split && i != DWARF_CU_INDEX ? ".dwo" : "";
		if (!strncmp(name, section_names[i], len) && !strcmp(name + len, suffix))
			return i;
	}
	return DWARF_SECTION_KINDS;
}

/* The last byte is a NUL of ours. */
static int load_names(const struct elf_file *file, const struct elf_sections *list, char **names,
		      size_t *names_bytes, struct err *err)
{
	*names = NULL;
	*names_bytes = 0;
	if (list->names_index >= list->count)
		return 0;
	const struct elf_section *section = &list->items[list->names_index];
	int rc = elf_file_load(file, section, MAX_NAMES_BYTES, names, err);
	if (!rc)
		*names_bytes = section->size_bytes;
	return rc ? err_wrap(err, rc, "names of sections") : 0;
}

int dwarf_sections_load(struct dwarf_sections *sections, const struct elf_file *file, bool is_split,
			unsigned int kinds, struct dwarf_scratch *scratch, struct err *err)
{
	AUTO_FINI(elf_sections_fini) struct elf_sections list = {0};
	AUTO_MEM char *names = NULL;
	size_t names_bytes;
	int rc = elf_file_sections(file, &list, err);
	if (!rc)
		rc = load_names(file, &list, &names, &names_bytes, err);
	for (size_t i = 0; !rc && i < list.count; i++) {
		const struct elf_section *section = &list.items[i];
		bool is_zdebug;
		if (section->name_off >= names_bytes || section->type == SHT_NOBITS)
			continue;
		const char *name = names + section->name_off;
		size_t kind = find_kind(name, is_split, &is_zdebug);
		if (kind == DWARF_SECTION_KINDS || !(kinds & 1U << kind) ||
		    sections->of[kind].map_bytes)
			continue;
		rc = load_section(&sections->of[kind], file, section, is_zdebug, scratch, err);
		if (rc)
			err_wrap(err, rc, "section %s", name);
	}
	return rc;
}
