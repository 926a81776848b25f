/*
 * array: makes room for one more element in a caller's {items, count, cap} triple.
 */
#pragma once
#include <stddef.h>

/* Grow *items (elements of item_bytes) so that count + 1 fit. -ENOMEM; -ENOSPC when that
 * would pass max_count. New room is not cleared. */
int array_reserve(void **items, size_t *cap, size_t count, size_t item_bytes, size_t max_count);

#define ARRAY_RESERVE(items, cap, count, max_count) \
	array_reserve((void **)&(items), &(cap), (count), sizeof(*(items)), (max_count))

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
