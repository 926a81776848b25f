#include "symbolizer/elf_image.h"

#include <errno.h>
#include <string.h>

#include "base/reader.h"

enum {
	MAX_RELOCATIONS = 8 << 20,
	MAX_DYNAMIC_BYTES = 64 << 10,
	MAX_SEARCHED_BYTES = 256 << 20,
	CHUNK_BYTES = 64 << 10,
	RELATIVE_AARCH64 = 1027, /* R_AARCH64_RELATIVE, which older elf.h do not have */
};

struct pointer {
	uint64_t place_vaddr;
	uint64_t vaddr;
};

struct elf_image {
	const struct elf_file *file;
	struct pointer *pointers; /* by place_vaddr */
	size_t count;
};

void elf_image_free(struct elf_image *image)
{
	if (!image)
		return;
	free(image->pointers);
	free(image);
}

static const struct elf_segment *segment_of(const struct elf_image *image, uint64_t vaddr)
{
	size_t count;
	const struct elf_segment *segments = elf_file_segments(image->file, &count);
	for (size_t i = 0; i < count; i++)
		if (vaddr >= segments[i].vaddr &&
		    vaddr - segments[i].vaddr < segments[i].file_bytes)
			return &segments[i];
	return NULL;
}

uint64_t elf_image_left_bytes(const struct elf_image *image, uint64_t vaddr)
{
	const struct elf_segment *segment = segment_of(image, vaddr);
	return segment ? segment->file_bytes - (vaddr - segment->vaddr) : 0;
}

/* The first pointer whose place is at vaddr or later. */
static size_t first_pointer(const struct elf_image *image, uint64_t vaddr)
{
	size_t low = 0, high = image->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (image->pointers[middle].place_vaddr < vaddr)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

int elf_image_read(const struct elf_image *image, uint64_t vaddr, void *data, size_t len_bytes)
{
	const struct elf_segment *segment = segment_of(image, vaddr);
	if (!segment || len_bytes > segment->file_bytes - (vaddr - segment->vaddr))
		return -ENODATA;
	int rc = elf_file_read(image->file, segment->off + (vaddr - segment->vaddr), data,
			       len_bytes);
	for (size_t i = first_pointer(image, vaddr); !rc && i < image->count; i++) {
		const struct pointer *pointer = &image->pointers[i];
		uint64_t off = pointer->place_vaddr - vaddr;
		if (off >= len_bytes || len_bytes - off < sizeof(pointer->vaddr))
			break;
		memcpy((char *)data + off, &pointer->vaddr, sizeof(pointer->vaddr));
	}
	return rc;
}

/* What DT_RELA and DT_RELASZ say; 0 bytes when there are none. */
static int read_dynamic(const struct elf_file *file, uint64_t *rela_vaddr, uint64_t *rela_bytes)
{
	struct elf_segment dynamic = elf_file_dynamic(file);
	size_t len_bytes = dynamic.file_bytes < MAX_DYNAMIC_BYTES ? (size_t)dynamic.file_bytes
								  : MAX_DYNAMIC_BYTES;
	AUTO_MEM char *bytes = malloc(len_bytes + 1);
	if (!bytes)
		return -ENOMEM;
	int rc = elf_file_read(file, dynamic.off, bytes, len_bytes);
	struct reader r = reader_of(bytes, rc ? 0 : len_bytes);
	*rela_vaddr = *rela_bytes = 0;
	while (reader_left_bytes(&r) >= sizeof(Elf64_Dyn)) {
		uint64_t tag = reader_u64(&r);
		uint64_t value = reader_u64(&r);
		if (tag == DT_NULL)
			break;
		if (tag == DT_RELA)
			*rela_vaddr = value;
		if (tag == DT_RELASZ)
			*rela_bytes = value;
	}
	return rc;
}

static int compare(const void *left, const void *right)
{
	const struct pointer *a = left, *b = right;
	return (a->place_vaddr > b->place_vaddr) - (a->place_vaddr < b->place_vaddr);
}

static int take_relocations(struct elf_image *image, const char *bytes, size_t len_bytes)
{
	uint32_t relative = elf_file_machine(image->file) == EM_AARCH64 ? (uint32_t)RELATIVE_AARCH64
									: R_X86_64_RELATIVE;
	image->pointers = malloc(len_bytes / sizeof(Elf64_Rela) * sizeof(*image->pointers) + 1);
	if (!image->pointers)
		return -ENOMEM;
	struct reader r = reader_of(bytes, len_bytes);
	while (reader_left_bytes(&r) >= sizeof(Elf64_Rela)) {
		uint64_t place_vaddr = reader_u64(&r);
		uint64_t info = reader_u64(&r);
		uint64_t addend = reader_u64(&r);
		if (ELF64_R_TYPE(info) == relative)
			image->pointers[image->count++] = (struct pointer){place_vaddr, addend};
	}
	bool is_sorted = true;
	for (size_t i = 1; i < image->count; i++)
		is_sorted &= image->pointers[i - 1].place_vaddr <= image->pointers[i].place_vaddr;
	if (!is_sorted)
		qsort(image->pointers, image->count, sizeof(*image->pointers), compare);
	return 0;
}

static int read_relocations(struct elf_image *image)
{
	uint64_t rela_vaddr, rela_bytes;
	int rc = read_dynamic(image->file, &rela_vaddr, &rela_bytes);
	if (rc || !rela_bytes)
		return rc;
	if (rela_bytes / sizeof(Elf64_Rela) > MAX_RELOCATIONS)
		return -ENOSPC;
	if (rela_bytes > elf_image_left_bytes(image, rela_vaddr))
		return -ENODATA;
	AUTO_MEM char *bytes = malloc(rela_bytes);
	if (!bytes)
		return -ENOMEM;
	rc = elf_image_read(image, rela_vaddr, bytes, rela_bytes);
	return rc ? rc : take_relocations(image, bytes, rela_bytes);
}

int elf_image_new(struct elf_image **out, const struct elf_file *file, struct err *err)
{
	AUTO(elf_image) image = calloc(1, sizeof(*image));
	if (!image)
		return err_set(err, -ENOMEM, "relocations: %m");
	image->file = file;
	int rc = read_relocations(image);
	if (rc)
		return err_set(err, rc, "relocations: %m");
	*out = TAKE(image);
	return 0;
}

struct search {
	const struct elf_image *image;
	uint64_t vaddr;
	elf_image_fn fn;
	void *ctx;
	size_t left_bytes; /* that may still be looked at */
};

static bool search_segment(struct search *search, const struct elf_segment *segment, char *chunk)
{
	uint64_t start = -segment->vaddr & 7;
	for (uint64_t at = start; at < segment->file_bytes && search->left_bytes;) {
		uint64_t left = segment->file_bytes - at;
		size_t len_bytes = left < CHUNK_BYTES ? (size_t)left : CHUNK_BYTES;
		if (len_bytes > search->left_bytes)
			len_bytes = search->left_bytes;
		search->left_bytes -= len_bytes;
		if (elf_image_read(search->image, segment->vaddr + at, chunk, len_bytes))
			return false;
		struct reader r = reader_of(chunk, len_bytes);
		for (uint64_t i = 0; reader_left_bytes(&r) >= 8; i += 8)
			if (reader_u64(&r) == search->vaddr &&
			    search->fn(search->ctx, segment->vaddr + at + i))
				return true;
		at += len_bytes;
	}
	return false;
}

bool elf_image_find_pointer(const struct elf_image *image, uint64_t vaddr, elf_image_fn fn,
			    void *ctx)
{
	AUTO_MEM char *chunk = malloc(CHUNK_BYTES);
	struct search search = {image, vaddr, fn, ctx, MAX_SEARCHED_BYTES};
	size_t count;
	const struct elf_segment *segments = elf_file_segments(image->file, &count);
	bool found = false;
	for (size_t i = 0; i < count && chunk && !found; i++)
		if (segments[i].flags & PF_W)
			found = search_segment(&search, &segments[i], chunk);
	return found;
}
