#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/hash.h"
#include "profiler/umem_alloc.h"

enum { UNIT = UMEM_ALLOC_UNIT_WORDS };

static struct umem_alloc *make(uint32_t words)
{
	struct umem_alloc *alloc = NULL;
	assert_int_equal(umem_alloc_new(&alloc, words, NULL), 0);
	return alloc;
}

/* Time that only moves on; what was retired before is free afterwards. */
static void pass_grace(struct umem_alloc *alloc, uint64_t *now_mono_ns)
{
	umem_alloc_reclaim(alloc, ++*now_mono_ns);
	*now_mono_ns += UMEM_GRACE_NS;
	umem_alloc_reclaim(alloc, *now_mono_ns);
}

static void sizes(void **state)
{
	(void)state;
	struct umem_alloc *alloc = make(10 * UNIT);
	assert_int_equal(umem_alloc_free_words(alloc), 9 * UNIT);
	assert_null(umem_alloc_take(alloc, 0));
	assert_null(umem_alloc_take(alloc, 9 * UNIT + 1));
	assert_null(umem_alloc_take(alloc, UINT32_MAX));
	struct umem_block *one = umem_alloc_take(alloc, 1);
	assert_int_equal(umem_block_at(one), UNIT); /* never 0 */
	assert_int_equal(umem_block_words(one), UNIT);
	struct umem_block *rest = umem_alloc_take(alloc, 7 * UNIT + 1);
	assert_int_equal(umem_block_at(rest), 2 * UNIT);
	assert_int_equal(umem_block_words(rest), 8 * UNIT);
	assert_int_equal(umem_alloc_free_words(alloc), 0);
	assert_null(umem_alloc_take(alloc, 1));
	umem_alloc_free(alloc);
	umem_alloc_free(NULL);
}

static void grace(void **state)
{
	(void)state;
	struct umem_alloc *alloc = make(10 * UNIT);
	const uint64_t start = 1000 * UMEM_GRACE_NS;
	umem_alloc_reclaim(alloc, start);
	struct umem_block *first = umem_alloc_take(alloc, 4 * UNIT);
	struct umem_block *second = umem_alloc_take(alloc, 5 * UNIT);
	umem_alloc_retire(alloc, first);
	assert_int_equal(umem_alloc_retired_words(alloc), 4 * UNIT);
	assert_null(umem_alloc_take(alloc, 1));
	/* However late the next call is, when it was retired is not known. */
	uint64_t told = start + 5 * UMEM_GRACE_NS;
	umem_alloc_reclaim(alloc, told);
	assert_null(umem_alloc_take(alloc, 1));
	umem_alloc_retire(alloc, second);
	umem_alloc_reclaim(alloc, told + UMEM_GRACE_NS - 1);
	assert_null(umem_alloc_take(alloc, 1));
	umem_alloc_reclaim(alloc, told + UMEM_GRACE_NS);
	assert_int_equal(umem_alloc_free_words(alloc), 4 * UNIT);
	assert_int_equal(umem_alloc_retired_words(alloc), 5 * UNIT);
	umem_alloc_reclaim(alloc, told + 2 * UMEM_GRACE_NS - 2);
	assert_null(umem_alloc_take(alloc, 5 * UNIT));
	umem_alloc_reclaim(alloc, told + 2 * UMEM_GRACE_NS - 1);
	assert_int_equal(umem_alloc_free_words(alloc), 9 * UNIT); /* and one again */
	assert_non_null(umem_alloc_take(alloc, 9 * UNIT));
	umem_alloc_free(alloc);
}

/* The model: which block has each unit. */
enum { MODEL_UNITS = 1 << 16, MAX_BLOCKS = 2000, STEPS = 6000, MAX_WORDS = 70000 };

struct model {
	bool is_taken[MODEL_UNITS];
	struct umem_block *blocks[MAX_BLOCKS];
	size_t count;
};

/* The unit where the smallest sufficient hole begins; 0: there is none. */
static uint32_t model_best_fit(const struct model *model, uint32_t units)
{
	uint32_t best = 0, best_units = UINT32_MAX;
	for (uint32_t i = 1; i < MODEL_UNITS; i++) {
		uint32_t start = i;
		while (i < MODEL_UNITS && !model->is_taken[i])
			i++;
		if (i - start >= units && i - start < best_units) {
			best = start;
			best_units = i - start;
		}
	}
	return best;
}

static void model_mark(struct model *model, const struct umem_block *block, bool is_taken)
{
	memset(model->is_taken + umem_block_at(block) / UNIT, is_taken,
	       umem_block_words(block) / UNIT);
}

static uint64_t next_random(uint64_t *random)
{
	return *random = hash_mix(*random, 1);
}

/* Small ones are frequent, and large ones have their share of the memory. */
static uint32_t random_words(uint64_t *random)
{
	uint32_t limit = (uint32_t[]){64, 1000, 8000, MAX_WORDS}[next_random(random) % 4];
	return 1 + (uint32_t)(next_random(random) % limit);
}

static void take_one(struct model *model, struct umem_alloc *alloc, uint32_t words)
{
	uint32_t expected = model_best_fit(model, (words + UNIT - 1) / UNIT);
	struct umem_block *block = umem_alloc_take(alloc, words);
	if (!expected) {
		assert_null(block);
		return;
	}
	assert_non_null(block);
	assert_int_equal(umem_block_at(block), expected * UNIT);
	assert_int_equal(umem_block_words(block), (words + UNIT - 1) / UNIT * UNIT);
	model_mark(model, block, true);
	model->blocks[model->count++] = block;
}

static void give_some_back(struct model *model, struct umem_alloc *alloc, uint64_t *random,
			   size_t count, uint64_t *now_mono_ns)
{
	for (; count && model->count; count--) {
		size_t i = next_random(random) % model->count;
		model_mark(model, model->blocks[i], false);
		umem_alloc_retire(alloc, model->blocks[i]);
		model->blocks[i] = model->blocks[--model->count];
	}
	pass_grace(alloc, now_mono_ns);
	assert_int_equal(umem_alloc_retired_words(alloc), 0);
}

static void agrees_with_a_model(uint64_t seed)
{
	print_message("seed %" PRIu64 "\n", seed);
	struct umem_alloc *alloc = make(MODEL_UNITS * UNIT);
	struct model *model = calloc(1, sizeof(*model));
	assert_non_null(model);
	uint64_t random = seed, now_mono_ns = 1;
	for (size_t step = 0; step < STEPS; step++) {
		if (next_random(&random) % 5 < 3 && model->count < MAX_BLOCKS)
			take_one(model, alloc, random_words(&random));
		else
			give_some_back(model, alloc, &random, next_random(&random) % 4,
				       &now_mono_ns);
		uint32_t taken = 0;
		for (size_t i = 0; step % 64 == 0 && i < MODEL_UNITS; i++)
			taken += model->is_taken[i];
		if (step % 64 == 0)
			assert_int_equal(umem_alloc_free_words(alloc),
					 (MODEL_UNITS - 1 - taken) * UNIT);
	}
	give_some_back(model, alloc, &random, SIZE_MAX, &now_mono_ns);
	assert_non_null(umem_alloc_take(alloc, (MODEL_UNITS - 1) * UNIT)); /* one block again */
	free(model);
	umem_alloc_free(alloc);
}

static void properties(void **state)
{
	(void)state;
	const char *given = getenv("HEARTH_TEST_SEED");
	if (given) {
		agrees_with_a_model(strtoull(given, NULL, 0));
		return;
	}
	for (uint64_t seed = 1; seed <= 3; seed++)
		agrees_with_a_model(seed);
}

/* The sizes of a busy machine come and go for days in a memory that is mostly full: a block of
 * 1 % of it is found almost always while a quarter is free. */
static void does_not_fragment(void **state)
{
	(void)state;
	enum { WORDS = 10 << 20, BLOCKS = 20000, ROUNDS = 400000 };
	AUTO_MEM struct umem_block **blocks = calloc(BLOCKS, sizeof(*blocks));
	assert_non_null(blocks);
	struct umem_alloc *alloc = make(WORDS);
	uint64_t random = 42, now_mono_ns = 1;
	uint32_t refused = 0, probes = 0;
	for (uint32_t round = 0; round < ROUNDS; round++) {
		size_t i = next_random(&random) % BLOCKS;
		if (blocks[i])
			umem_alloc_retire(alloc, blocks[i]);
		blocks[i] = NULL;
		pass_grace(alloc, &now_mono_ns);
		if (umem_alloc_free_words(alloc) > WORDS / 4)
			blocks[i] = umem_alloc_take(alloc, 100 + next_random(&random) % 2000);
		if (round % 1000 || round < ROUNDS / 2)
			continue;
		struct umem_block *large = umem_alloc_take(alloc, WORDS / 100);
		probes++;
		refused += !large;
		if (large)
			umem_alloc_retire(alloc, large);
	}
	print_message("%u of %u large blocks refused\n", refused, probes);
	assert_int_equal(refused, 0);
	umem_alloc_free(alloc);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes),
		cmocka_unit_test(grace),
		cmocka_unit_test(properties),
		cmocka_unit_test(does_not_fragment),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
