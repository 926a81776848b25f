#include "base/hash.h"

#include <string.h>

uint64_t hash_bytes(const void *data, size_t len_bytes)
{
	const unsigned char *pos = data;
	uint64_t hash = len_bytes;
	for (; len_bytes >= 8; pos += 8, len_bytes -= 8) {
		uint64_t word;
		memcpy(&word, pos, 8);
		hash = hash_mix(hash, word);
	}
	uint64_t tail = 0;
	if (len_bytes)
		memcpy(&tail, pos, len_bytes);
	return hash_mix(hash, tail);
}
