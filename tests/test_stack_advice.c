#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/array.h"
#include "profile/stack_advice.h"

enum { MAX_ADVICE = 16 };

struct advice_list {
	struct stack_advice items[MAX_ADVICE];
	size_t count;
};

static void keep(void *ctx, const struct stack_advice *advice)
{
	struct advice_list *list = ctx;
	assert_true(list->count < MAX_ADVICE);
	assert_true(advice->finding[0]);
	assert_true(advice->is_fine == !advice->remedy);
	assert_null(strchr(advice->finding, '\n'));
	list->items[list->count++] = *advice;
}

/* One library, and one process of the same ends. */
static struct stack_quality *quality_of(const char *library, const uint64_t ends[static STACK_ENDS])
{
	struct stack_quality *quality = calloc(1, sizeof(*quality));
	assert_non_null(quality);
	memcpy(quality->ends, ends, sizeof(quality->ends));
	quality->processes.row_count = quality->libraries.row_count = 1;
	struct stack_quality_row *process = &quality->processes.rows[0];
	*process = (struct stack_quality_row){.name = "shop", .pid = 42};
	memcpy(process->ends, ends, sizeof(process->ends));
	quality->libraries.rows[0] = *process;
	quality->libraries.rows[0].pid = 0;
	snprintf(quality->libraries.rows[0].name, STACK_QUALITY_NAME_BYTES, "%s", library);
	return quality;
}

static const struct unwind_memory roomy = {
	.cap_bytes = 40 << 20, .used_bytes = 10 << 20, .loads = 7, .misses = 5};

static void each_reason_has_its_remedy(void **state)
{
	(void)state;
	static const struct {
		const char *library;
		uint64_t ends[STACK_ENDS]; /* none, complete, deep, unmapped, no rows, hole, ... */
		const char *finding;       /* NULL: not a word */
		const char *remedy;
	} rows[] = {
		{"/l.so", {[0] = 99}, NULL, NULL},
		{"/l.so", {[1] = 1000}, NULL, NULL},
		{"/l.so", {[5] = 9}, NULL, NULL},               /* too few */
		{"/l.so", {[1] = 9900, [5] = 100}, NULL, NULL}, /* exactly 1 % */
		{"/l.so", {[1] = 890, [5] = 110}, "/l.so: 11.0 % of the 1000 stacks", ".cfi"},
		{"/l.so", {[0] = 500, [1] = 90, [5] = 10}, "10.0 % of the 100", "-fasynchronous"},
		{"[jit]", {[5] = 10}, "[jit]: 100.0 %", "PreserveFramePointer"},
		{"[jit]", {[8] = 10}, "implausible frame", "--interpreted-frames-native-stack"},
		{"[jit]", {[4] = 10}, "no unwind rows", "--max-memory"},
		{"[jit]", {[2] = 10}, "too deep", "512"},
		{"/l.so", {[2] = 10}, "too deep", "512 frames are kept"},
		{"[no mapping]", {[3] = 10}, "address in no mapping", "unloads"},
		{"/l.so", {[4] = 10}, "no unwind rows", "--max-memory"},
		{"/l.so", {[6] = 10}, "unsupported unwind info", "report"},
		{"/l.so", {[7] = 10}, "stack not readable", "--max-memory"},
		{"/l.so", {[8] = 10}, "implausible frame", "-fno-omit-frame-pointer"},
		{"/l.so", {[1] = 9, [5] = 6, [7] = 5}, "55.0 % of the 20", ".cfi"},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct stack_quality *quality = quality_of(rows[i].library, rows[i].ends);
		struct advice_list list = {.count = 0};
		stack_advise(quality, &roomy, keep, &list);
		free(quality);
		assert_string_equal(list.items[0].topic, "whole stacks");
		assert_string_equal(list.items[1].topic, "unwind memory");
		assert_true(list.items[1].is_fine);
		assert_int_equal(list.count, rows[i].finding ? 3 : 2);
		assert_true(list.items[0].is_fine == !rows[i].finding);
		if (!rows[i].finding)
			continue;
		assert_non_null(strstr(list.items[0].finding, "most cut: shop (pid 42)"));
		assert_string_equal(list.items[2].topic, "cut stacks");
		if (!strstr(list.items[2].finding, rows[i].finding) ||
		    !strstr(list.items[2].remedy, rows[i].remedy))
			fail_msg("row %zu: %s; %s", i, list.items[2].finding, list.items[2].remedy);
	}
}

static void memory(void **state)
{
	(void)state;
	static const struct {
		struct unwind_memory memory;
		bool is_fine;
	} rows[] = {
		{{.cap_bytes = 4 << 20, .used_bytes = 3 << 20, .misses = 500}, true}, /* new */
		{{.cap_bytes = 4 << 20, .used_bytes = 3 << 20, .evictions = 9, .misses = 9}, true},
		{{.cap_bytes = 4 << 20, .used_bytes = 3 << 20, .evictions = 9, .misses = 10}, true},
		{{.cap_bytes = 4 << 20, .used_bytes = 3 << 20, .evictions = 9, .misses = 11},
		 false},
	};
	static const uint64_t ends[STACK_ENDS] = {[0] = 77, [1] = 1000};
	struct stack_quality *quality = quality_of("/l.so", ends);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct advice_list list = {.count = 0};
		stack_advise(quality, &rows[i].memory, keep, &list);
		assert_int_equal(list.count, 2);
		assert_int_equal(list.items[1].is_fine, rows[i].is_fine);
		assert_non_null(strstr(list.items[1].finding, "3.0 of 4.0 MiB"));
	}
	free(quality);
}

static void the_worst_libraries_come_first(void **state)
{
	(void)state;
	struct stack_quality *quality = calloc(1, sizeof(*quality));
	assert_non_null(quality);
	for (size_t i = 0; i < 20; i++) {
		struct stack_quality_row *row = &quality->libraries.rows[i];
		snprintf(row->name, sizeof(row->name), "/l%zu.so", i);
		row->ends[1] = 100;
		row->ends[5] = 10 + i * 7 % 20;
		quality->ends[1] += row->ends[1];
		quality->ends[5] += row->ends[5];
	}
	quality->libraries.row_count = 20;
	struct advice_list list = {.count = 0};
	stack_advise(quality, &roomy, keep, &list);
	free(quality);
	assert_int_equal(list.count, 2 + 8);
	/* i * 7 % 20 is 19 for 17, 18 for 14, 17 for 11, ... */
	for (size_t n = 0; n < 8; n++) {
		char name[32];
		snprintf(name, sizeof(name), "/l%zu.so: ", (17 + 20 * 3 - 3 * n) % 20);
		assert_memory_equal(list.items[2 + n].finding, name, strlen(name));
	}
}

static void nothing_was_sampled(void **state)
{
	(void)state;
	struct stack_quality *quality = calloc(1, sizeof(*quality));
	assert_non_null(quality);
	struct advice_list list = {.count = 0};
	stack_advise(quality, &(struct unwind_memory){0}, keep, &list);
	free(quality);
	assert_int_equal(list.count, 2);
	assert_true(list.items[0].is_fine && list.items[1].is_fine);
	assert_string_equal(list.items[0].finding, "no user stack was sampled yet");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_reason_has_its_remedy),
		cmocka_unit_test(memory),
		cmocka_unit_test(the_worst_libraries_come_first),
		cmocka_unit_test(nothing_was_sampled),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
