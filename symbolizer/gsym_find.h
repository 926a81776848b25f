/*
 * gsym_find: what one function of a GSYM file has at one address.
 *
 * Input is untrusted: nothing is read outside it, and whatever it claims, no byte of it is read
 * more often than a few times. Nothing is allocated. Any thread.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "symbolizer/gsym_decode.h"

/* The row that holds at vaddr; {0} when there is none. */
struct gsym_line gsym_line_find(const struct gsym_function_bytes *function, uint64_t start_vaddr,
				uint64_t vaddr);

struct gsym_call {
	uint32_t name, call_file, call_line;
};
/* The calls around the byte at code_off of the function, outermost first, without the function
 * itself; how many. Of siblings that overlap the first counts, as for LLVM. */
uint32_t gsym_call_find(const struct gsym_function_bytes *function, uint64_t code_off,
			struct gsym_call calls[static GSYM_MAX_DEPTH]);
