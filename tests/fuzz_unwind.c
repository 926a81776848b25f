/*
 * By the first byte: any bytes as an ELF file, as .eh_frame, as .debug_frame, as the data of a Go
 * program, or as encoded rows; and questions about every page of what comes of them.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "cfi_maker.h"
#include "pclntab_maker.h"
#include "symbolizer/unwind.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len_bytes);

static void check(bool is_true)
{
	if (!is_true)
		__builtin_trap();
}

static void check_page(const struct unwind_rows *rows, uint64_t vaddr)
{
	size_t count, rule_count;
	const struct unwind_row *page = unwind_rows_page(rows, vaddr, &count);
	const struct unwind_rule *rules = unwind_rows_rules(rows, &rule_count);
	uint64_t start = vaddr & ~(uint64_t)(UNWIND_PAGE_BYTES - 1);
	if (!page) {
		check(unwind_rows_find(rows, vaddr)->cfa == UNWIND_CFA_NONE);
		return;
	}
	check(count > 0 && page[0].off == 0);
	for (size_t i = 0; i < count; i++) {
		uint32_t end = i + 1 < count ? page[i + 1].off : UNWIND_PAGE_BYTES;
		check(page[i].rule < rule_count && end > page[i].off);
		check(unwind_rows_find(rows, start + page[i].off) == &rules[page[i].rule]);
		check(unwind_rows_find(rows, start + end - 1) == &rules[page[i].rule]);
	}
}

static void check_encoding(const struct unwind_rows *rows)
{
	struct buf out, again;
	struct unwind_rows *decoded;
	buf_init(&out, 64 << 20);
	buf_init(&again, 64 << 20);
	unwind_rows_encode(rows, &out);
	if (!buf_error(&out)) {
		check(!unwind_rows_decode(&decoded, out.data, out.len_bytes, NULL));
		unwind_rows_encode(decoded, &again);
		check(out.len_bytes == again.len_bytes &&
		      !memcmp(out.data, again.data, out.len_bytes));
		unwind_rows_free(decoded);
	}
	buf_fini(&out);
	buf_fini(&again);
}

static void check_rows(const struct unwind_rows *rows)
{
	for (uint64_t page = 0; page < 64; page++)
		check_page(rows, page * UNWIND_PAGE_BYTES);
	check_page(rows, UINT64_MAX);
	check_encoding(rows);
}

static void try_elf(const void *data, size_t len_bytes)
{
	struct elf_file *file;
	struct unwind_rows *rows;
	if (elf_file_from_memory(&file, data, len_bytes, NULL))
		return;
	if (!unwind_rows_open(&rows, file, NULL)) {
		check_rows(rows);
		unwind_rows_free(rows);
	}
	elf_file_free(file);
}

static void try_section(const void *data, size_t len_bytes, bool is_debug)
{
	struct buf section, image;
	buf_init(&section, CFI_MAX_BYTES);
	buf_init(&image, CFI_MAX_BYTES);
	buf_append(&section, data, len_bytes);
	const struct cfi_image parts = {.eh_frame = is_debug ? NULL : &section,
					.debug_frame = is_debug ? &section : NULL};
	cfi_make_image(&image, &parts);
	if (!buf_error(&section) && !buf_error(&image))
		try_elf(image.data, image.len_bytes);
	buf_fini(&section);
	buf_fini(&image);
}

static void try_go(const void *data, size_t len_bytes)
{
	struct buf image;
	buf_init(&image, 1 << 20);
	pclntab_make_image(&image, data, len_bytes);
	if (!buf_error(&image))
		try_elf(image.data, image.len_bytes);
	buf_fini(&image);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len_bytes)
{
	struct unwind_rows *rows;
	if (len_bytes == 0)
		return 0;
	switch (data[0]) {
	case 'e':
		try_section(data + 1, len_bytes - 1, false);
		break;
	case 'd':
		try_section(data + 1, len_bytes - 1, true);
		break;
	case 'g':
		try_go(data + 1, len_bytes - 1);
		break;
	case 'r':
		if (!unwind_rows_decode(&rows, data + 1, len_bytes - 1, NULL)) {
			check_rows(rows);
			unwind_rows_free(rows);
		}
		break;
	default:
		try_elf(data + 1, len_bytes - 1);
	}
	return 0;
}
