#include "symbolizer/gsym.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/reader.h"
#include "symbolizer/gsym_decode.h"
#include "symbolizer/gsym_encode.h"
#include "symbolizer/gsym_file.h"
#include "symbolizer/gsym_find.h"
#include "symbolizer/gsym_format.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "tables are read as they are");

/* The tables are bounded once, when the file is opened; their entries are then read without
 * asking again. Whatever an entry says is checked. */
struct gsym {
	const uint8_t *data;
	size_t size_bytes;
	bool is_mapped;   /* else it is ours to free */
	bool has_words;   /* Hearth wrote it */
	uint32_t sources; /* bit N: enum gsym_source N */
	size_t address_bytes;
	uint64_t base_vaddr;
	uint32_t count, file_count;
	const uint8_t *addresses, *offsets, *files;
	const char *strings;
	uint32_t strings_bytes; /* the last is a NUL */
	size_t uuid_bytes;
};

void gsym_free(struct gsym *gsym)
{
	if (!gsym)
		return;
	if (gsym->is_mapped)
		munmap((void *)(uintptr_t)gsym->data, gsym->size_bytes);
	else
		free((void *)(uintptr_t)gsym->data);
	free(gsym);
}

static uint32_t load_u32(const uint8_t *bytes)
{
	uint32_t value;
	memcpy(&value, bytes, sizeof(value));
	return value;
}

static int read_header(struct gsym *gsym, struct reader *r, uint32_t *strings_off, struct err *err)
{
	uint32_t magic = reader_u32(r);
	uint16_t version = reader_u16(r);
	gsym->address_bytes = reader_u8(r);
	gsym->uuid_bytes = reader_u8(r);
	gsym->base_vaddr = reader_u64(r);
	gsym->count = reader_u32(r);
	*strings_off = reader_u32(r);
	gsym->strings_bytes = reader_u32(r);
	reader_skip(r, GSYM_UUID_MAX_BYTES);
	if (r->bad || magic != GSYM_MAGIC)
		return err_set(err, -EBADMSG, "not a GSYM file");
	if (version != GSYM_VERSION)
		return err_set(err, -EOPNOTSUPP, "a GSYM file of version %u", version);
	size_t width = gsym->address_bytes;
	if ((width != 1 && width != 2 && width != 4 && width != 8) ||
	    gsym->uuid_bytes > GSYM_UUID_MAX_BYTES)
		return err_set(err, -EBADMSG, "a GSYM file with a bad header");
	return 0;
}

/* LLVM aligns the tables within the file; bytes is a power of two. */
static void align(const struct gsym *gsym, struct reader *r, size_t bytes)
{
	size_t off = (size_t)(r->pos - gsym->data);
	reader_skip(r, -off & (bytes - 1));
}

static int read_tables(struct gsym *gsym, struct err *err)
{
	struct reader r = reader_of(gsym->data, gsym->size_bytes);
	uint32_t strings_off;
	int rc = read_header(gsym, &r, &strings_off, err);
	if (rc)
		return rc;
	align(gsym, &r, gsym->address_bytes);
	gsym->addresses = reader_bytes(&r, gsym->count * gsym->address_bytes);
	align(gsym, &r, 4);
	gsym->offsets = reader_bytes(&r, (size_t)gsym->count * 4);
	gsym->file_count = reader_u32(&r);
	gsym->files = reader_bytes(&r, (size_t)gsym->file_count * 8);
	if (r.bad)
		return err_set(err, -EBADMSG, "a GSYM file that ends within its tables");
	struct reader strings = reader_of(gsym->data, gsym->size_bytes);
	reader_skip(&strings, strings_off);
	gsym->strings = reader_bytes(&strings, gsym->strings_bytes);
	if (strings.bad || !gsym->strings_bytes || gsym->strings[gsym->strings_bytes - 1])
		return err_set(err, -EBADMSG, "a GSYM file that ends within its strings");
	return 0;
}

static void read_trailer(struct gsym *gsym)
{
	if (gsym->size_bytes < GSYM_TRAILER_BYTES)
		return;
	struct reader r =
		reader_of(gsym->data + gsym->size_bytes - GSYM_TRAILER_BYTES, GSYM_TRAILER_BYTES);
	struct gsym_trailer trailer;
	gsym->has_words = gsym_trailer_read(&trailer, &r, gsym->size_bytes);
	gsym->sources = gsym->has_words ? trailer.sources : 0;
}

/* Takes gsym. */
static int finish(struct gsym **out, struct gsym *taken, struct err *err)
{
	AUTO(gsym) gsym = taken;
	int rc = read_tables(gsym, err);
	if (rc)
		return rc;
	read_trailer(gsym);
	*out = TAKE(gsym);
	return 0;
}

int gsym_open(struct gsym **out, int fd, struct err *err)
{
	struct stat st;
	if (fstat(fd, &st))
		return err_set(err, -errno, "fstat: %m");
	if (!S_ISREG(st.st_mode) || st.st_size < GSYM_HEADER_BYTES)
		return err_set(err, -EBADMSG, "not a GSYM file");
	AUTO(gsym) gsym = calloc(1, sizeof(*gsym));
	if (!gsym)
		return err_set(err, -ENOMEM, "GSYM file: %m");
	void *data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (data == MAP_FAILED)
		return err_set(err, -errno, "map a GSYM file: %m");
	/* Lookups are all over the file: reading ahead would only fill memory. */
	(void)madvise(data, (size_t)st.st_size, MADV_RANDOM);
	gsym->data = data;
	gsym->size_bytes = (size_t)st.st_size;
	gsym->is_mapped = true;
	return finish(out, TAKE(gsym), err);
}

int gsym_from_memory(struct gsym **out, const void *data, size_t len_bytes, struct err *err)
{
	AUTO(gsym) gsym = calloc(1, sizeof(*gsym));
	AUTO_MEM void *copy = malloc(len_bytes + 1);
	if (!gsym || !copy)
		return err_set(err, -ENOMEM, "GSYM file: %m");
	if (len_bytes)
		memcpy(copy, data, len_bytes);
	gsym->data = TAKE(copy);
	gsym->size_bytes = len_bytes;
	return finish(out, TAKE(gsym), err);
}

bool gsym_is_whole(const struct gsym *gsym)
{
	return gsym->has_words;
}

bool gsym_has_source(const struct gsym *gsym, enum gsym_source source)
{
	return gsym->sources >> source & 1;
}

uint64_t gsym_function_count(const struct gsym *gsym)
{
	return gsym->count;
}

static uint64_t address_at(const struct gsym *gsym, size_t position)
{
	uint64_t off = 0;
	memcpy(&off, gsym->addresses + position * gsym->address_bytes, gsym->address_bytes);
	return gsym->base_vaddr + off;
}

/* How many of the sorted offsets of 4 bytes are at or below off. Without a branch that the
 * processor would guess wrong every second time. */
static size_t count_below_u32(const uint8_t *offsets, size_t count, uint32_t off)
{
	size_t low = 0;
	while (count > 1) {
		size_t half = count / 2;
		low += load_u32(offsets + 4 * (low + half - 1)) <= off ? half : 0;
		count -= half;
	}
	return low + (count && load_u32(offsets + 4 * low) <= off);
}

static size_t count_below(const struct gsym *gsym, uint64_t vaddr)
{
	uint64_t off = vaddr - gsym->base_vaddr;
	if (gsym->address_bytes == 4)
		return count_below_u32(gsym->addresses, gsym->count,
				       off < UINT32_MAX ? (uint32_t)off : UINT32_MAX);
	size_t low = 0, high = gsym->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (address_at(gsym, middle) <= vaddr)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool find_function(const struct gsym *gsym, uint64_t vaddr,
			  struct gsym_function_bytes *function, uint64_t *start_vaddr)
{
	if (vaddr < gsym->base_vaddr)
		return false;
	size_t below = count_below(gsym, vaddr);
	if (!below)
		return false;
	*start_vaddr = address_at(gsym, below - 1);
	struct reader r = reader_of(gsym->data, gsym->size_bytes);
	struct reader words = reader_sub(&r, load_u32(gsym->offsets + (below - 1) * 4));
	if (r.bad || !gsym_function_read(function, r, gsym->has_words ? &words : NULL))
		return false;
	/* Others write functions of unknown size. */
	return vaddr - *start_vaddr < function->size_bytes || !function->size_bytes;
}

static const char *string_at(const struct gsym *gsym, uint32_t off)
{
	return off < gsym->strings_bytes ? gsym->strings + off : "";
}

static void set_place(const struct gsym *gsym, struct gsym_frame *frame, uint32_t file,
		      uint32_t line)
{
	frame->line = line;
	frame->directory = frame->base = "";
	if (file < gsym->file_count) {
		frame->directory = string_at(gsym, load_u32(gsym->files + (size_t)file * 8));
		frame->base = string_at(gsym, load_u32(gsym->files + (size_t)file * 8 + 4));
	}
}

bool gsym_lookup(const struct gsym *gsym, uint64_t vaddr, struct gsym_frame *frames,
		 uint32_t max_frames, struct gsym_answer *answer)
{
	struct gsym_function_bytes function;
	uint64_t start_vaddr;
	if (!find_function(gsym, vaddr, &function, &start_vaddr))
		return false;
	struct gsym_line row = gsym_line_find(&function, start_vaddr, vaddr);
	struct gsym_call calls[GSYM_MAX_DEPTH];
	uint32_t depth = gsym_call_find(&function, vaddr - start_vaddr, calls);
	*answer = (struct gsym_answer){
		.start_vaddr = start_vaddr,
		.end_vaddr = start_vaddr + function.size_bytes,
		.is_folded = function.flags & GSYM_FLAG_FOLDED,
		.has_mark_only = function.flags & GSYM_FLAG_MARK_ONLY,
		.frame_count = depth + 1 < max_frames ? depth + 1 : max_frames,
	};
	/* From the outermost: frame i is what calls[i - 1] is inlined into. */
	for (uint32_t i = 0; i < answer->frame_count; i++) {
		struct gsym_frame *frame = &frames[answer->frame_count - 1 - i];
		frame->name = string_at(gsym, i ? calls[i - 1].name : function.name);
		frame->is_inlined = i > 0;
		if (i < depth)
			set_place(gsym, frame, calls[i].call_file, calls[i].call_line);
		else
			set_place(gsym, frame, row.file, row.line);
	}
	return true;
}
