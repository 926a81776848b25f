#include "base/array.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

enum { FIRST_CAP = 16 };

int array_reserve(void **items, size_t *cap, size_t count, size_t item_bytes, size_t max_count)
{
	if (count < *cap)
		return 0;
	if (count >= max_count)
		return -ENOSPC;
	size_t next = *cap ? *cap * 2 : FIRST_CAP;
	if (next > max_count)
		next = max_count;
	if (next > SIZE_MAX / item_bytes)
		return -ENOMEM;
	void *grown = realloc(*items, next * item_bytes);
	if (!grown)
		return -ENOMEM;
	*items = grown;
	*cap = next;
	return 0;
}
