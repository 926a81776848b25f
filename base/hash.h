/*
 * hash: 64-bit hashes for tables in memory. Not stable between versions: never stored.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

/* The finaliser of MurmurHash3: every input bit reaches every output bit. */
static inline uint64_t hash_u64(uint64_t x)
{
	x ^= x >> 33;
	x *= UINT64_C(0xff51afd7ed558ccd);
	x ^= x >> 33;
	x *= UINT64_C(0xc4ceb9fe1a85ec53);
	x ^= x >> 33;
	return x;
}

static inline uint64_t hash_mix(uint64_t hash, uint64_t value)
{
	return hash_u64(hash * UINT64_C(0x9e3779b97f4a7c15) + value);
}

uint64_t hash_bytes(const void *data, size_t len_bytes);
