/*
 * umem_reader: reads unwind memory as bpf/unwind.bpf.h does, step by step, in user space.
 *
 * Header only. Loads of words that refer to blocks acquire, as the walker's data dependencies do.
 */
#pragma once
#include <stdint.h>
#include <string.h>

#include "bpf/abi.h"
#include "symbolizer/unwind_rule.h"

#define UMEM_READER_UNUSED __attribute__((unused))

struct umem_reader {
	uint32_t *words;
	uint32_t mask; /* of words less one */
	uint32_t generation;
};

struct umem_found {
	enum walk_end end; /* WALK_COMPLETE: rule is set, or by_frame_pointer */
	int by_frame_pointer;
	struct unwind_rule rule;
	uint32_t page; /* block; 0: got not so far */
};

static inline uint32_t reader_word(const struct umem_reader *reader, uint32_t at)
{
	return __atomic_load_n(&reader->words[at & reader->mask], __ATOMIC_ACQUIRE);
}

static inline uint64_t reader_dword(const struct umem_reader *reader, uint32_t at)
{
	return reader_word(reader, at) | (uint64_t)reader_word(reader, at + 1) << 32;
}

/* umem_find_mapping() */
static inline uint32_t reader_find_mapping(const struct umem_reader *reader, uint32_t process,
					   uint64_t ip)
{
	uint32_t low = 0, high = reader_word(reader, process);
	for (int step = 0; step < 20 && low < high; step++) {
		uint32_t middle = low + (high - low) / 2;
		if (reader_dword(reader, process + 2 + middle * 8) <= ip)
			low = middle + 1;
		else
			high = middle;
	}
	if (!low)
		return 0;
	uint32_t at = process + 2 + (low - 1) * 8;
	return ip < reader_dword(reader, at + 2) ? at : 0;
}

static inline uint32_t reader_bucket(const struct umem_reader *reader, uint32_t page,
				     uint32_t bucket)
{
	uint32_t word = reader_word(reader, page + UMEM_PAGE_BUCKETS + bucket / 2);
	return bucket & 1 ? word >> 16 : word & 0xffff;
}

/* umem_find_rule() */
static inline uint32_t reader_find_rule(const struct umem_reader *reader, uint32_t page,
					uint32_t off)
{
	uint32_t bucket = (off >> UMEM_BUCKET_SHIFT) & (UMEM_BUCKETS - 1);
	uint32_t low = reader_bucket(reader, page, bucket);
	uint32_t high = reader_bucket(reader, page, bucket + 1);
	uint32_t rows = page + UMEM_PAGE_HEADER;
	for (int step = 0; step < 9 && low < high; step++) {
		uint32_t middle = low + (high - low + 1) / 2;
		if ((reader_word(reader, rows + middle) & 0xffff) <= off)
			low = middle;
		else
			high = middle - 1;
	}
	return reader_word(reader, rows + low) >> 16;
}

/* walk_find_rule() */
static inline struct umem_found reader_find_in_file(const struct umem_reader *reader, uint32_t file,
						    uint64_t vaddr)
{
	struct umem_found found = {.end = WALK_NO_ROWS};
	uint32_t page_number = (uint32_t)(vaddr >> UMEM_PAGE_SHIFT) - reader_word(reader, file);
	if (!file)
		return found;
	found.end = WALK_HOLE;
	if (page_number >= reader_word(reader, file + 1))
		return found;
	found.page = reader_word(reader, file + 4 + page_number);
	found.end = WALK_NO_ROWS;
	if (!found.page)
		return found;
	uint32_t *used = &reader->words[found.page & reader->mask];
	if (__atomic_load_n(used, __ATOMIC_RELAXED) != reader->generation)
		__atomic_store_n(used, reader->generation, __ATOMIC_RELAXED);
	uint32_t rule = reader_find_rule(reader, found.page, vaddr & 0xffff);
	found.end = WALK_HOLE;
	if (!rule || rule >= reader_word(reader, file + 3))
		return found;
	uint32_t rule_words[4];
	for (uint32_t i = 0; i < 4; i++)
		rule_words[i] = reader_word(reader, reader_word(reader, file + 2) + rule * 4 + i);
	memcpy(&found.rule, rule_words, sizeof(found.rule));
	found.end = WALK_COMPLETE;
	return found;
}

/* walk_step(), up to the rule */
UMEM_READER_UNUSED static struct umem_found reader_find(const struct umem_reader *reader,
							uint32_t process, uint64_t ip)
{
	uint32_t at = process ? reader_find_mapping(reader, process, ip) : 0;
	if (!at)
		return (struct umem_found){.end = WALK_NO_MAPPING};
	uint32_t file = reader_word(reader, at + 6), flags = reader_word(reader, at + 7);
	if (!file && (flags & UMEM_FRAME_POINTERS))
		return (struct umem_found){.end = WALK_COMPLETE, .by_frame_pointer = 1};
	return reader_find_in_file(reader, file, ip - reader_dword(reader, at + 4));
}
