/*
 * Any bytes as sections of DWARF: of the executable, of its alternate file and of a split unit's.
 * The input is a list of sections: a byte that says which file, flags and kind; the length in
 * two bytes; the bytes. Or, when it begins with ELF's magic, as a whole file.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "base/reader.h"
#include "dwarf_maker.h"
#include "symbolizer/dwarf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len_bytes);

enum { FILES = 3, KINDS = 11, PACKED = 0x40, MAX_IMAGE_BYTES = 1 << 20 };

static const char *const names[2][KINDS] = {
	{".debug_info", ".debug_abbrev", ".debug_line", ".debug_line_str", ".debug_str",
	 ".debug_str_offsets", ".debug_addr", ".debug_ranges", ".debug_rnglists", ".zdebug_info",
	 ".zdebug_str"},
	{".debug_info.dwo", ".debug_abbrev.dwo", ".debug_line.dwo", ".debug_str.dwo",
	 ".debug_str_offsets.dwo", ".debug_rnglists.dwo", ".debug_cu_index", ".debug_types.dwo",
	 ".debug_info.dwo", ".debug_str.dwo", ".debug_abbrev.dwo"},
};

struct image {
	struct dwarf_maker_section sections[DWARF_MAKER_MAX_SECTIONS];
	size_t count;
	struct buf bytes;
};

struct scene {
	struct image images[FILES]; /* executable, alternate, split */
	unsigned int splits_opened;
};

static void read_scene(struct scene *scene, struct reader r)
{
	while (reader_left_bytes(&r) > 0) {
		uint8_t which = reader_u8(&r);
		struct image *image = &scene->images[(which >> 4 & 3) % FILES];
		bool is_split = image == &scene->images[FILES - 1];
		size_t left_bytes = reader_left_bytes(&r);
		size_t len_bytes = reader_u16(&r);
		if (left_bytes < 2 || image->count == DWARF_MAKER_MAX_SECTIONS)
			return;
		if (len_bytes > left_bytes - 2)
			len_bytes = left_bytes - 2;
		image->sections[image->count++] = (struct dwarf_maker_section){
			.name = names[is_split][(which & 0xf) % KINDS],
			.data = reader_bytes(&r, len_bytes),
			.len_bytes = len_bytes,
			.flags = which & PACKED ? SHF_COMPRESSED : 0,
		};
	}
}

static int open_split(void *ctx, enum dwarf_split_kind kind, const char *name,
		      const char *directory)
{
	struct scene *scene = ctx;
	struct buf *bytes = &scene->images[FILES - 1].bytes;
	(void)strlen(name);
	(void)strlen(directory);
	/* Every second image is found as a package. */
	if (scene->splits_opened++ > 8 ||
	    (kind == DWARF_SPLIT_DWP) != (scene->images[FILES - 1].count % 2))
		return -1;
	int fd = memfd_create("split", MFD_CLOEXEC);
	if (fd >= 0 && write(fd, bytes->data, bytes->len_bytes) != (ssize_t)bytes->len_bytes)
		__builtin_trap();
	return fd;
}

static void compile(struct scene *scene, const struct elf_file *file,
		    const struct elf_file *alternate)
{
	static const struct dwarf_limits limits = {.max_section_bytes = 1 << 20,
						   .max_total_bytes = 4 << 20,
						   .max_unit_bytes = 1 << 20};
	const struct dwarf_input input = {.file = file,
					  .alternate = alternate,
					  .scratch_fd = -1,
					  .open_split = open_split,
					  .ctx = scene};
	struct gsym_builder *builder;
	struct dwarf_stats stats;
	struct err err = {0};
	if (gsym_builder_new(&builder, 4 << 20, NULL))
		return;
	int rc = dwarf_compile(&input, builder, &limits, &stats, &err);
	if (rc != err.code || (rc && !err.text[0]) || stats.bad_units > stats.units)
		__builtin_trap();
	gsym_builder_free(builder);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len_bytes)
{
	struct scene scene = {0};
	struct elf_file *files[FILES] = {0};
	bool is_whole = len_bytes >= SELFMAG && !memcmp(data, ELFMAG, SELFMAG);
	if (!is_whole)
		read_scene(&scene, reader_of(data, len_bytes));
	for (size_t i = 0; i < FILES; i++) {
		struct image *image = &scene.images[i];
		buf_init(&image->bytes, MAX_IMAGE_BYTES);
		if (is_whole && i == 0)
			buf_append(&image->bytes, data, len_bytes);
		else
			dwarf_maker_image(&image->bytes, image->sections, image->count);
		(void)elf_file_from_memory(&files[i], image->bytes.data, image->bytes.len_bytes,
					   NULL);
	}
	if (files[0])
		compile(&scene, files[0], files[1]);
	for (size_t i = 0; i < FILES; i++) {
		elf_file_free(files[i]);
		buf_fini(&scene.images[i].bytes);
	}
	return 0;
}
