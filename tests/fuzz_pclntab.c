/*
 * Any bytes as the data of a Go program.
 */
#include <stddef.h>
#include <stdint.h>

#include "pclntab_maker.h"
#include "symbolizer/pclntab.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len_bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len_bytes)
{
	struct buf image;
	buf_init(&image, 1 << 20);
	pclntab_make_image(&image, data, len_bytes);
	AUTO(elf_file) file = NULL;
	AUTO(gsym_builder) builder = NULL;
	if (!elf_file_from_memory(&file, image.data, image.len_bytes, NULL) &&
	    !gsym_builder_new(&builder, 64 << 20, NULL)) {
		struct pclntab_stats stats = {.functions = UINT64_MAX};
		int rc = pclntab_compile(file, builder, &stats, NULL);
		if ((rc != 0) != (stats.functions == UINT64_MAX))
			__builtin_trap(); /* counts are there on success, and only then */
	}
	buf_fini(&image);
	return 0;
}
