#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/array.h"
#include "profile/ledger.h"

static void names_are_stored_and_never_change(void **state)
{
	(void)state;
	static const char *const names[] = {"no_scratch",    "ring_full",  "bad_record",
					    "unknown_stack", "queue_full", "no_memory",
					    "store_failed"};
	assert_int_equal(ARRAY_LEN(names), DROP_REASONS);
	for (size_t i = 0; i < DROP_REASONS; i++) {
		assert_string_equal(drop_reason_name((enum drop_reason)i), names[i]);
		assert_true(strlen(drop_reason_help((enum drop_reason)i)) > 20);
	}
	assert_null(drop_reason_name(DROP_REASONS));
	assert_null(drop_reason_help((enum drop_reason) - 1));
}

static void the_law(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		struct ledger ledger;
		uint64_t dropped;
		int balances;
	} rows[] = {
		{"nothing", {0}, 0, 1},
		{"all stored", {.taken = 9, .stored = 9}, 0, 1},
		{"all three ways",
		 {.taken = 10, .stored = 5, .pending = 2, .dropped = {1, 0, 0, 0, 0, 0, 2}},
		 3,
		 1},
		{"one lost silently", {.taken = 10, .stored = 9}, 0, 0},
		{"one stored twice", {.taken = 10, .stored = 11}, 0, 0},
		{"pending counted as stored", {.taken = 10, .stored = 10, .pending = 1}, 0, 0},
		{"dropped counted twice", {.taken = 1, .dropped = {1, 1}}, 2, 0},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		print_message("%s\n", rows[i].name);
		assert_int_equal(ledger_dropped(&rows[i].ledger), rows[i].dropped);
		assert_int_equal(!!ledger_balances(&rows[i].ledger), rows[i].balances);
	}
}

static void since_subtracts_all_but_pending(void **state)
{
	(void)state;
	struct ledger before = {.taken = 10, .stored = 7, .pending = 1, .dropped = {1, 1}};
	struct ledger after = {.taken = 30, .stored = 20, .pending = 4, .dropped = {1, 4, 0, 1}};
	struct ledger delta = ledger_since(&after, &before);
	assert_int_equal(delta.taken, 20);
	assert_int_equal(delta.stored, 13);
	assert_int_equal(delta.pending, 4);
	assert_int_equal(delta.dropped[DROP_NO_SCRATCH], 0);
	assert_int_equal(delta.dropped[DROP_RING_FULL], 3);
	assert_int_equal(delta.dropped[DROP_UNKNOWN_STACK], 1);
	assert_int_equal(ledger_dropped(&delta), 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_stored_and_never_change),
		cmocka_unit_test(the_law),
		cmocka_unit_test(since_subtracts_all_but_pending),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
