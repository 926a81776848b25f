/*
 * Any bytes as a column of a segment; and any numbers through the codec and back.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "storage/column.h"

enum { MAX_VALUES = 4096 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len_bytes);

static void round_trip(struct column_codec *codec, const uint8_t *data, size_t len_bytes)
{
	uint64_t values[MAX_VALUES];
	uint64_t back[MAX_VALUES];
	size_t count = len_bytes / sizeof(*values);
	count = count < MAX_VALUES ? count : MAX_VALUES;
	if (!count)
		return;
	memcpy(values, data, count * sizeof(*values));
	struct buf out;
	buf_init(&out, 1 << 20);
	if (column_encode(codec, values, count, COLUMN_ANY, &out) ||
	    column_decode(codec, out.data, out.len_bytes, back, count) ||
	    memcmp(values, back, count * sizeof(*values)))
		__builtin_trap();
	buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len_bytes)
{
	AUTO(column_codec) codec = NULL;
	uint64_t values[MAX_VALUES];
	if (len_bytes < 2 || column_codec_new(&codec))
		return 0;
	/* the first two bytes say how many values are expected */
	size_t count = (data[0] | (size_t)data[1] << 8) % (MAX_VALUES + 1);
	column_decode(codec, data + 2, len_bytes - 2, values, count);
	round_trip(codec, data + 2, len_bytes - 2);
	return 0;
}
