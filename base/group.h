/*
 * group: puts numbered items in order of a small integer key, in linear time (counting sort).
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

/* Lists the items 0..count-1, taken in the order of `items` (NULL: as numbered), by keys[item],
 * which is below key_count; items of one key stay in the order taken. grouped has room for
 * count. starts has room for key_count + 1: a group begins at starts[key] and ends at
 * starts[key + 1]. */
void group_by_key(size_t count, const uint32_t *items, const uint32_t *keys, size_t key_count,
		  uint32_t *starts, uint32_t *grouped);
