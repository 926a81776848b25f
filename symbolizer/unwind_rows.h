/*
 * unwind_rows: how the rows of unwind.h lie in memory; for those who make them.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "symbolizer/unwind.h"

enum { UNWIND_MAX_RULES = 1 << 16 };

/* Pages that are one hole are left out. */
struct unwind_page {
	uint32_t number;    /* vaddr >> UNWIND_PAGE_SHIFT; ascending */
	uint32_t first_row; /* up to that of the next page */
};

struct unwind_rows {
	struct unwind_page *pages; /* and one more, whose first_row is row_count */
	size_t page_count, page_cap;
	struct unwind_row *rows;
	size_t row_count, row_cap;
	struct unwind_rule *rules; /* [0]: the rule of a hole */
	size_t rule_count, rule_cap;
	struct unwind_stats stats;
};
