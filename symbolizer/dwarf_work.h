/*
 * dwarf_work: how much may still be read. What DWARF refers to is read again for each reference,
 * so that a small file could ask for years; each reading is paid for by its bytes.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

/* Real files are read about twice, and shared tables some times more. */
enum { DWARF_WORK_PER_BYTE = 64 };

struct dwarf_work {
	uint64_t left_bytes;
	bool is_used_up; /* sticky */
};

/* False: not enough is left; stop. */
static inline bool dwarf_work_pay(struct dwarf_work *work, uint64_t bytes)
{
	if (bytes > work->left_bytes) {
		work->is_used_up = true;
		work->left_bytes = 0;
		return false;
	}
	work->left_bytes -= bytes;
	return true;
}
