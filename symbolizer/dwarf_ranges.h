/*
 * dwarf_ranges: the code that an entry covers: DW_AT_low_pc and _high_pc, or DW_AT_ranges.
 *
 * Code that the linker threw away is left out: it has address 0, or the highest or next to
 * highest one, or lies outside the executable segments. DWARF 5 sections 2.17 and 7.25; DWARF 4
 * section 2.17.3; tombstones: https://reviews.llvm.org/D81784.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "symbolizer/dwarf_unit.h"
#include "symbolizer/elf_file.h"
#include "symbolizer/gsym_builder.h"

/* Where code may be: the executable segments, by vaddr. */
struct dwarf_code {
	struct gsym_range *items;
	size_t count;
};

int dwarf_code_init(struct dwarf_code *code, const struct elf_file *file); /* -ENOMEM */
void dwarf_code_fini(struct dwarf_code *code);
/* Is all of it within one segment, and not thrown away? */
bool dwarf_code_holds(const struct dwarf_code *code, uint64_t start_vaddr, uint64_t end_vaddr);

struct dwarf_range_list {
	struct gsym_range *items;
	size_t count, cap;
	size_t max_count;
};

/* Append the ranges of an entry, sorted, those that touch joined. False in *is_whole: some of
 * them could not be read. -ENOMEM; -ENOSPC: more than max_count. */
int dwarf_ranges_append(struct dwarf_range_list *list, const struct dwarf_unit *unit,
			const struct dwarf_entry *entry, const struct dwarf_code *code,
			bool *is_whole);
/* Sort what is in the list from position first on, and join what touches. */
void dwarf_ranges_tidy(struct dwarf_range_list *list, size_t first);
