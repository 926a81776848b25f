#include "base/group.h"

#include <string.h>

void group_by_key(size_t count, const uint32_t *items, const uint32_t *keys, size_t key_count,
		  uint32_t *starts, uint32_t *grouped)
{
	memset(starts, 0, (key_count + 1) * sizeof(*starts));
	for (size_t i = 0; i < count; i++)
		starts[keys[i] + 1]++;
	for (size_t key = 0; key < key_count; key++)
		starts[key + 1] += starts[key];
	for (size_t i = 0; i < count; i++) {
		uint32_t item = items ? items[i] : (uint32_t)i;
		grouped[starts[keys[item]]++] = item;
	}
	/* Filling moved each start to the next group's: move them back. */
	for (size_t key = key_count; key > 0; key--)
		starts[key] = starts[key - 1];
	starts[0] = 0;
}
