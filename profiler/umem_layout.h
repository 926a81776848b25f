/*
 * umem_layout: how blocks of unwind memory (bpf/abi.h) are written.
 *
 * A block is written with plain stores while nothing refers to it; umem_link() then makes it
 * visible. Words belong to the caller, who sees to it that blocks fit.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "bpf/abi.h"
#include "symbolizer/unwind_rule.h"

/* A limit of the walker's search (bpf/unwind.bpf.h). */
#define UMEM_MAX_MAPPINGS ((1 << 20) - 1)

uint64_t umem_process_words(uint64_t mapping_count);
uint64_t umem_file_words(uint64_t page_count, uint64_t rule_count);
uint64_t umem_page_words(uint64_t row_count);

/* Word indexes of what is filled in and changed later. */
uint32_t umem_mapping_file_at(uint32_t process, uint32_t mapping);
uint32_t umem_file_page_at(uint32_t file, uint32_t page);

void umem_lay_process(uint32_t *words, uint32_t process, uint32_t mapping_count);
void umem_lay_mapping(uint32_t *words, uint32_t process, uint32_t index,
		      const struct umem_mapping *mapping);
/* With every page not loaded. */
void umem_lay_file(uint32_t *words, uint32_t file, uint32_t first_page, uint32_t page_count,
		   const struct unwind_rule *rules, uint32_t rule_count);
/* Of at least one row; the first at offset 0. */
void umem_lay_page(uint32_t *words, uint32_t page, const struct unwind_row *rows,
		   uint32_t row_count, uint32_t generation);

/* Store the index of a finished block, or 0. */
static inline void umem_link(uint32_t *words, uint32_t at, uint32_t block)
{
	__atomic_store_n(&words[at], block, __ATOMIC_RELEASE);
}
