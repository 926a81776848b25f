#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/array.h"
#include "base/clock.h"
#include "base/hash.h"
#include "bpf/abi.h"
#include "profiler/quality.h"

struct fixture {
	struct quality *quality;
	struct stack_quality read;
};

static int setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	assert_non_null(fixture);
	assert_int_equal(quality_new(&fixture->quality, NULL), 0);
	*state = fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;
	quality_free(fixture->quality);
	free(fixture);
	return 0;
}

static void add(struct fixture *fixture, uint32_t pid, const char *comm, const char *library,
		uint32_t end, uint64_t count, uint64_t now_mono_ns)
{
	quality_add(fixture->quality, &(struct quality_samples){.pid = pid,
								.comm = comm,
								.library = library,
								.end = end,
								.count = count,
								.now_mono_ns = now_mono_ns});
}

static void expect_sums(const struct fixture *fixture, const struct stack_quality_table *table)
{
	for (unsigned int end = 0; end < STACK_ENDS; end++) {
		uint64_t sum = table->other.ends[end];
		for (size_t i = 0; i < table->row_count; i++)
			sum += table->rows[i].ends[end];
		assert_int_equal(sum, fixture->read.ends[end]);
	}
}

static const struct stack_quality *look(struct fixture *fixture)
{
	quality_read(fixture->quality, &fixture->read);
	expect_sums(fixture, &fixture->read.processes);
	expect_sums(fixture, &fixture->read.libraries);
	uint64_t ends[STACK_ENDS];
	quality_totals(fixture->quality, ends);
	assert_memory_equal(ends, fixture->read.ends, sizeof(ends));
	return &fixture->read;
}

static const struct stack_quality_row *find(const struct stack_quality_table *table,
					    const char *name, uint32_t pid)
{
	for (size_t i = 0; i < table->row_count; i++)
		if (!strcmp(table->rows[i].name, name) && table->rows[i].pid == pid)
			return &table->rows[i];
	return NULL;
}

static void nothing_counts_nothing(void **state)
{
	const struct stack_quality *quality = look(*state);
	assert_int_equal(quality->processes.row_count, 0);
	assert_int_equal(quality->libraries.row_count, 0);
	assert_int_equal(stack_quality_samples(quality->ends), 0);
	assert_int_equal(stack_quality_whole(quality->ends), 0);
}

static void rows_are_by_process_and_by_library(void **state)
{
	struct fixture *fixture = *state;
	add(fixture, 1, "init", "/bin/init", WALK_COMPLETE, 5, 1);
	add(fixture, 2, "cc1", "/bin/cc1", WALK_COMPLETE, 7, 1);
	add(fixture, 2, "cc1", "/lib/libc.so", WALK_FAULT, 2, 2);
	add(fixture, 2, "as", "/lib/libc.so", WALK_HOLE, 1, 3); /* another image of pid 2 */
	add(fixture, 3, "cc1", "/lib/libc.so", WALK_NONE, 4, 3);
	add(fixture, 3, "cc1", "/lib/libc.so", 77, 1, 3); /* no such end */
	const struct stack_quality *quality = look(fixture);
	assert_int_equal(stack_quality_samples(quality->ends), 20);
	assert_int_equal(stack_quality_walked(quality->ends), 16);
	assert_int_equal(stack_quality_whole(quality->ends), 12);
	assert_int_equal(quality->ends[WALK_IMPLAUSIBLE], 1);
	assert_int_equal(quality->processes.row_count, 4);
	assert_int_equal(quality->libraries.row_count, 3);
	assert_string_equal(quality->processes.rows[0].name, "cc1"); /* most samples first */
	assert_int_equal(quality->processes.rows[0].pid, 2);
	assert_int_equal(quality->processes.rows[0].ends[WALK_COMPLETE], 7);
	assert_int_equal(quality->processes.rows[0].ends[WALK_FAULT], 2);
	assert_int_equal(quality->processes.rows[1].pid, 1); /* of equals the lower pid */
	assert_int_equal(find(&quality->processes, "as", 2)->ends[WALK_HOLE], 1);
	const struct stack_quality_row *libc = find(&quality->libraries, "/lib/libc.so", 0);
	assert_non_null(libc);
	assert_int_equal(libc->ends[WALK_FAULT], 2);
	assert_int_equal(libc->ends[WALK_HOLE], 1);
	assert_int_equal(libc->ends[WALK_NONE], 4);
}

static void a_long_path_keeps_its_end(void **state)
{
	struct fixture *fixture = *state;
	char path[1000], longest[STACK_QUALITY_NAME_BYTES];
	memset(path, 'd', sizeof(path));
	snprintf(path + 900, 100, "/libx.so");
	memset(longest, 'e', sizeof(longest));
	longest[sizeof(longest) - 1] = 0;
	add(fixture, 1, "x", path, WALK_COMPLETE, 2, 1);
	add(fixture, 1, "x", longest, WALK_COMPLETE, 1, 1);
	const struct stack_quality *quality = look(fixture);
	const char *name = quality->libraries.rows[0].name;
	assert_int_equal(strlen(name), STACK_QUALITY_NAME_BYTES - 1);
	assert_memory_equal(name, "…d", 4);
	assert_string_equal(name + strlen(name) - 8, "/libx.so");
	assert_string_equal(quality->libraries.rows[1].name, longest);
}

static void what_rests_gives_way_first(void **state)
{
	struct fixture *fixture = *state;
	const uint64_t later_ns = 11 * NS_PER_S;
	add(fixture, 1, "heavy but old", "/l", WALK_COMPLETE, 1000, 1);
	add(fixture, 2, "light and old", "/l", WALK_HOLE, 1, 1);
	for (uint32_t pid = 3; pid <= STACK_QUALITY_ROWS; pid++)
		add(fixture, pid, "busy", "/l", WALK_COMPLETE, 10 + pid, later_ns);
	assert_int_equal(look(fixture)->processes.row_count, STACK_QUALITY_ROWS);
	assert_int_equal(stack_quality_samples(fixture->read.processes.other.ends), 0);

	add(fixture, 9001, "new", "/l", WALK_COMPLETE, 1, later_ns);
	assert_null(find(&look(fixture)->processes, "light and old", 2));
	assert_int_equal(fixture->read.processes.other.ends[WALK_HOLE], 1);
	add(fixture, 9002, "new", "/l", WALK_COMPLETE, 2, later_ns);
	assert_null(find(&look(fixture)->processes, "heavy but old", 1));
	/* All are busy now: the one with the fewest samples. */
	add(fixture, 9003, "new", "/l", WALK_COMPLETE, 3, later_ns);
	assert_null(find(&look(fixture)->processes, "new", 9001));
	assert_non_null(find(&fixture->read.processes, "busy", 3));
	assert_int_equal(fixture->read.processes.other.ends[WALK_COMPLETE], 1001);
	/* Who comes back begins anew. */
	add(fixture, 1, "heavy but old", "/l", WALK_COMPLETE, 4, later_ns);
	assert_int_equal(find(&look(fixture)->processes, "heavy but old", 1)->ends[WALK_COMPLETE],
			 4);
}

static void sums_hold_whatever_comes(void **state)
{
	struct fixture *fixture = *state;
	uint64_t total = 0;
	for (uint32_t i = 0; i < 20000; i++) {
		char comm[16], library[32];
		uint64_t dice = hash_u64(i + 1);
		snprintf(comm, sizeof(comm), "c%u", (unsigned int)(dice % 700));
		snprintf(library, sizeof(library), "/l%u", (unsigned int)(dice / 700 % 900));
		uint64_t count = dice >> 60;
		add(fixture, (uint32_t)(dice % 700), comm, library, (uint32_t)(dice >> 20) % 10,
		    count, i * (NS_PER_S / 100));
		total += count;
	}
	const struct stack_quality *quality = look(fixture);
	assert_int_equal(stack_quality_samples(quality->ends), total);
	assert_int_equal(quality->processes.row_count, STACK_QUALITY_ROWS);
	for (size_t i = 1; i < quality->processes.row_count; i++)
		assert_true(stack_quality_samples(quality->processes.rows[i - 1].ends) >=
			    stack_quality_samples(quality->processes.rows[i].ends));
}

#define WITH_QUALITY(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_QUALITY(nothing_counts_nothing),
		WITH_QUALITY(rows_are_by_process_and_by_library),
		WITH_QUALITY(a_long_path_keeps_its_end),
		WITH_QUALITY(what_rests_gives_way_first),
		WITH_QUALITY(sums_hold_whatever_comes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
