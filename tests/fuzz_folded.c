/* Any bytes are folded text or an error; what was read is written, read and written the same. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/buf.h"
#include "profile/folded.h"

enum { MAX_OUTPUT_BYTES = 1 << 28 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len_bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len_bytes)
{
	AUTO(profile) profile = NULL;
	AUTO(profile) again = NULL;
	AUTO_FINI(buf_fini) struct buf first;
	AUTO_FINI(buf_fini) struct buf second;
	struct err err = {0};
	buf_init(&first, MAX_OUTPUT_BYTES);
	buf_init(&second, MAX_OUTPUT_BYTES);
	if (folded_decode(&profile, data, len_bytes, &err)) {
		assert(!profile && err.code && err.text[0]);
		return 0;
	}
	assert(!folded_encode(&first, profile, &err));
	assert(!folded_decode(&again, first.data, first.len_bytes, &err));
	assert(!folded_encode(&second, again, &err));
	assert(first.len_bytes == second.len_bytes);
	assert(!first.len_bytes || !memcmp(first.data, second.data, first.len_bytes));
	return 0;
}
