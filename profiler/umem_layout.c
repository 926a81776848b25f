#include "profiler/umem_layout.h"

#include <assert.h>
#include <string.h>

#define SAME(a, b) static_assert((int)(a) == (int)(b), #a " is not " #b)
SAME(UMEM_PAGE_SHIFT, UNWIND_PAGE_SHIFT);
SAME(UMEM_CFA_NONE, UNWIND_CFA_NONE);
SAME(UMEM_CFA_END, UNWIND_CFA_END);
SAME(UMEM_CFA_UNSUPPORTED, UNWIND_CFA_UNSUPPORTED);
SAME(UMEM_CFA_SP, UNWIND_CFA_SP);
SAME(UMEM_CFA_FP, UNWIND_CFA_FP);
SAME(UMEM_CFA_REG, UNWIND_CFA_REG);
SAME(UMEM_CFA_SP_DEREF, UNWIND_CFA_SP_DEREF);
SAME(UMEM_CFA_FP_DEREF, UNWIND_CFA_FP_DEREF);
SAME(UMEM_CFA_PLT, UNWIND_CFA_PLT);
SAME(UMEM_AT_SAME, UNWIND_AT_SAME);
SAME(UMEM_AT_CFA, UNWIND_AT_CFA);
SAME(UMEM_AT_SP, UNWIND_AT_SP);
SAME(UMEM_AT_FP, UNWIND_AT_FP);
SAME(UMEM_AT_REG, UNWIND_AT_REG);
SAME(UMEM_AT_UNDEFINED, UNWIND_AT_UNDEFINED);
SAME(UMEM_AT_UNSUPPORTED, UNWIND_AT_UNSUPPORTED);
SAME(UMEM_SIGNAL_FRAME, UNWIND_SIGNAL_FRAME);
SAME(UMEM_RBX_SHIFT, UNWIND_RBX_SHIFT);
SAME(UMEM_RBX_SAME, UNWIND_RBX_SAME);
SAME(UMEM_RBX_AT_CFA_LAST, UNWIND_RBX_AT_CFA_LAST);
SAME(UMEM_RBX_AFTER_FP, UNWIND_RBX_AFTER_FP);
SAME(UMEM_RBX_LOST, UNWIND_RBX_LOST);
SAME(UMEM_RBX_AT_FP, UNWIND_RBX_AT_FP);

#define SAME_FIELD(field)                                                                         \
	static_assert(offsetof(struct umem_rule, field) == offsetof(struct unwind_rule, field) && \
			      sizeof(((struct umem_rule *)0)->field) ==                           \
				      sizeof(((struct unwind_rule *)0)->field),                   \
		      "rules differ in " #field)
SAME_FIELD(cfa);
SAME_FIELD(fp);
SAME_FIELD(ra);
SAME_FIELD(flags);
SAME_FIELD(cfa_off);
SAME_FIELD(fp_off);
SAME_FIELD(ra_off);
SAME_FIELD(extra);
static_assert(sizeof(struct umem_rule) == sizeof(struct unwind_rule), "rules differ in size");

/* Blocks are whole words, and the walker counts in them. */
#define WORDS(type) (sizeof(type) / sizeof(uint32_t))
static_assert(sizeof(struct umem_process) == 2 * sizeof(uint32_t), "as the walker reads it");
static_assert(sizeof(struct umem_file) == 4 * sizeof(uint32_t), "likewise");
static_assert(offsetof(struct umem_mapping, file) == 6 * sizeof(uint32_t), "likewise");
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the walker puts words together so");

uint64_t umem_process_words(uint64_t mapping_count)
{
	return WORDS(struct umem_process) + mapping_count * WORDS(struct umem_mapping);
}

uint64_t umem_file_words(uint64_t page_count, uint64_t rule_count)
{
	return WORDS(struct umem_file) + page_count + rule_count * WORDS(struct umem_rule);
}

uint64_t umem_page_words(uint64_t row_count)
{
	return UMEM_PAGE_HEADER + row_count;
}

static uint32_t mapping_at(uint32_t process, uint32_t mapping)
{
	return process + (uint32_t)umem_process_words(mapping);
}

uint32_t umem_mapping_file_at(uint32_t process, uint32_t mapping)
{
	return mapping_at(process, mapping) +
	       (uint32_t)(offsetof(struct umem_mapping, file) / sizeof(uint32_t));
}

uint32_t umem_file_page_at(uint32_t file, uint32_t page)
{
	return file + (uint32_t)WORDS(struct umem_file) + page;
}

void umem_lay_process(uint32_t *words, uint32_t process, uint32_t mapping_count)
{
	struct umem_process header = {.mapping_count = mapping_count};
	memcpy(words + process, &header, sizeof(header));
}

void umem_lay_mapping(uint32_t *words, uint32_t process, uint32_t index,
		      const struct umem_mapping *mapping)
{
	memcpy(words + mapping_at(process, index), mapping, sizeof(*mapping));
}

void umem_lay_file(uint32_t *words, uint32_t file, uint32_t first_page, uint32_t page_count,
		   const struct unwind_rule *rules, uint32_t rule_count)
{
	struct umem_file header = {
		.first_page = first_page,
		.page_count = page_count,
		.rules = umem_file_page_at(file, page_count),
		.rule_count = rule_count,
	};
	memcpy(words + file, &header, sizeof(header));
	memset(words + umem_file_page_at(file, 0), 0, page_count * sizeof(uint32_t));
	memcpy(words + header.rules, rules, rule_count * sizeof(*rules));
}

void umem_lay_page(uint32_t *words, uint32_t page, const struct unwind_row *rows,
		   uint32_t row_count, uint32_t generation)
{
	uint32_t *at = words + page;
	at[UMEM_PAGE_USED] = generation;
	at[UMEM_PAGE_ROWS] = row_count;
	memset(at + UMEM_PAGE_BUCKETS, 0,
	       (UMEM_PAGE_HEADER - UMEM_PAGE_BUCKETS) * sizeof(uint32_t));
	uint32_t row = 0; /* in force where the bucket starts */
	for (uint32_t bucket = 0; bucket <= UMEM_BUCKETS; bucket++) {
		while (row + 1 < row_count && rows[row + 1].off <= bucket << UMEM_BUCKET_SHIFT)
			row++;
		at[UMEM_PAGE_BUCKETS + bucket / 2] |= row << 16 * (bucket & 1);
	}
	for (row = 0; row < row_count; row++)
		at[UMEM_PAGE_HEADER + row] = rows[row].off | (uint32_t)rows[row].rule << 16;
}
