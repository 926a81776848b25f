/*
 * Names that are known only later reach what is stored: in the partition that is written, in
 * those at rest, and in readers that have the old names already.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/array.h"
#include "base/clock.h"
#include "storage/store.h"
#include "tests/profile_maker.h"
#include "tests/store_samples.h"

#define START_NS (INT64_C(1767322800) * NS_PER_S)
#define BUILD_ID "00112233445566778899aabbccddeeff00112233"

enum { SPAN_S = 10, BATCHES = 35, RENAMED_VADDR = 0x1000 };

static struct store *open_store(const char *directory, bool writable)
{
	struct store *store = NULL;
	struct err err = {0};
	struct store_options options = {.directory = directory,
					.writable = writable,
					.partition_span_ns = SPAN_S * NS_PER_S};
	if (store_open(&store, &options, &err))
		fail_msg("%s", err.text);
	return store;
}

/* A location of the file with that build ID, named by its symbol table only. */
static uint32_t add_location(struct profile *profile, const char *build_id, uint64_t vaddr)
{
	struct profile_mapping mapping = {.limit_vaddr = 0x10000,
					  .filename = maker_string(profile, "/bin/late"),
					  .build_id = maker_string(profile, build_id)};
	struct profile_location location = {.vaddr = vaddr};
	struct profile_line line = {.function = maker_function(profile, "outer")};
	uint32_t id = 0;
	assert_int_equal(profile_add_mapping(profile, &mapping, &location.mapping), 0);
	assert_int_equal(profile_add_location(profile, &location, &line, 1, &id), 0);
	return id;
}

static void append_batch(struct store *store, int second)
{
	AUTO(profile) batch = NULL;
	assert_int_equal(profile_new(&batch, PROFILE_CPU), 0);
	batch->start_unix_ns = START_NS + second * NS_PER_S;
	batch->duration_ns = NS_PER_S;
	static const char *const build_ids[] = {BUILD_ID, "ff", ""};
	for (size_t i = 0; i < ARRAY_LEN(build_ids); i++) {
		struct profile_sample sample = {.weight = 5, .count = 1};
		uint32_t location = add_location(batch, build_ids[i], RENAMED_VADDR);
		assert_int_equal(profile_add_stack(batch, 0, location, &sample.stack), 0);
		assert_int_equal(profile_add_sample(batch, &sample), 0);
	}
	assert_int_equal(store_append(store, (const struct profile *[]){batch}, 1, NULL, NULL), 0);
}

/* outer() at late.c:20 calls inner(), inlined, whose line is the number ctx points to. */
static int give_lines(void *ctx, struct profile *profile, uint64_t vaddr,
		      struct profile_line *lines, uint32_t *count, bool *is_folded)
{
	assert_int_equal(vaddr, RENAMED_VADDR);
	lines[0] = (struct profile_line){.function = maker_function(profile, "inner"),
					 .line = *(const uint32_t *)ctx};
	lines[1] = (struct profile_line){.function = maker_function(profile, "outer"), .line = 20};
	*count = 2;
	*is_folded = true;
	return 0;
}

/* line 0: as they were stored. */
static void check_names(struct store *store, uint32_t line)
{
	struct store_query query = {.type = PROFILE_CPU, .until_unix_ns = INT64_MAX};
	AUTO(profile) profile = NULL;
	assert_int_equal(store_query_stacks(store, &query, &profile, NULL), 0);
	assert_int_equal(profile_total_weight(profile), BATCHES * 3 * 5);
	assert_int_equal(profile->location_count, 4);
	for (uint32_t id = 1; id < profile->location_count; id++) {
		const struct profile_location *location = &profile->locations[id];
		const char *build_id =
			profile_string(profile, profile->mappings[location->mapping].build_id);
		const struct profile_line *lines = &profile->lines[location->first_line];
		bool is_renamed = line && !strcmp(build_id, BUILD_ID);
		assert_int_equal(location->line_count, is_renamed ? 2 : 1);
		assert_int_equal(location->is_folded, is_renamed);
		const struct profile_function *first = &profile->functions[lines[0].function];
		assert_string_equal(profile_string(profile, first->name),
				    is_renamed ? "inner" : "outer");
		assert_int_equal(lines[0].line, is_renamed ? line : 0);
	}
}

static void test_rename(void **state)
{
	(void)state;
	char directory[64] = "/tmp/hearth-test-rename-XXXXXX";
	assert_non_null(mkdtemp(directory));
	struct store *writer = open_store(directory, true);
	for (int second = 0; second < BATCHES; second++)
		append_batch(writer, second);
	struct store *reader = open_store(directory, false);
	check_names(writer, 0);
	check_names(reader, 0);

	size_t renamed;
	for (uint32_t line = 7; line < 10; line++) {
		struct profile_renamer renamer = {give_lines, &line};
		assert_int_equal(store_rename(writer, BUILD_ID, &renamer, &renamed, NULL), 0);
		assert_int_equal(renamed, 4); /* one in each partition: 10 + 10 + 10 + 5 s */
		check_names(writer, line);
		check_names(reader, line);
		assert_int_equal(store_rename(writer, BUILD_ID, &renamer, &renamed, NULL), 0);
		assert_int_equal(renamed, 0);
	}
	store_free(reader);
	store_free(writer);
	reader = open_store(directory, false);
	check_names(reader, 9);
	store_free(reader);
	remove_directory(directory);
}

static int know_nothing(void *ctx, struct profile *profile, uint64_t vaddr,
			struct profile_line *lines, uint32_t *count, bool *is_folded)
{
	(void)ctx, (void)profile, (void)vaddr, (void)lines, (void)is_folded;
	*count = 0;
	return 0;
}

static int fail_to_know(void *ctx, struct profile *profile, uint64_t vaddr,
			struct profile_line *lines, uint32_t *count, bool *is_folded)
{
	(void)ctx, (void)profile, (void)vaddr, (void)lines, (void)count, (void)is_folded;
	return -ENOMEM;
}

static void test_nothing_to_rename(void **state)
{
	(void)state;
	char directory[64] = "/tmp/hearth-test-rename-XXXXXX";
	assert_non_null(mkdtemp(directory));
	struct store *writer = open_store(directory, true);
	for (int second = 0; second < BATCHES; second++)
		append_batch(writer, second);
	struct store *reader = open_store(directory, false);
	static const struct {
		const char *build_id;
		int (*lines)(void *, struct profile *, uint64_t, struct profile_line *, uint32_t *,
			     bool *);
		int rc;
	} rows[] = {
		{"0123", know_nothing, 0},         {"", fail_to_know, 0},
		{"not hex", fail_to_know, 0},      {BUILD_ID, know_nothing, 0},
		{BUILD_ID, fail_to_know, -ENOMEM},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		size_t renamed = 1;
		struct err err = {0};
		struct profile_renamer renamer = {rows[i].lines, NULL};
		assert_int_equal(store_rename(writer, rows[i].build_id, &renamer, &renamed, &err),
				 rows[i].rc);
		assert_int_equal(renamed, 0);
		assert_int_equal(err.text[0] != 0, rows[i].rc != 0);
		assert_int_equal(store_rename(reader, rows[i].build_id, &renamer, &renamed, NULL),
				 -EROFS);
		check_names(writer, 0);
	}
	store_free(reader);
	store_free(writer);
	remove_directory(directory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_rename),
					   cmocka_unit_test(test_nothing_to_rename)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
