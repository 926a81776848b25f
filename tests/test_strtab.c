#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/strtab.h"

static void ids_are_dense(void **state)
{
	(void)state;
	struct strtab tab;
	assert_int_equal(strtab_init(&tab, 100, 1000), 0);
	uint32_t id = 77;
	assert_int_equal(strtab_add(&tab, "", &id), 0);
	assert_int_equal(id, 0);
	assert_int_equal(strtab_add(&tab, "one", &id), 0);
	assert_int_equal(id, 1);
	assert_int_equal(strtab_add(&tab, "on", &id), 0);
	assert_int_equal(id, 2);
	assert_int_equal(strtab_add(&tab, "\xff\x01", &id), 0);
	assert_int_equal(id, 3);
	assert_int_equal(strtab_add(&tab, "one", &id), 0);
	assert_int_equal(id, 1);
	assert_int_equal(strtab_add_bytes(&tab, "onexxx", 3, &id), 0);
	assert_int_equal(id, 1);
	assert_int_equal(strtab_add_bytes(&tab, "on\0e", 4, &id), 0); /* a NUL ends the text */
	assert_int_equal(id, 2);
	assert_int_equal(strtab_add_bytes(&tab, "x", 0, &id), 0);
	assert_int_equal(id, 0);
	assert_int_equal(tab.count, 4);
	assert_string_equal(strtab_get(&tab, 1), "one");
	assert_string_equal(strtab_get(&tab, 3), "\xff\x01");
	assert_string_equal(strtab_get(&tab, 4), "");
	assert_string_equal(strtab_get(&tab, UINT32_MAX), "");
	assert_int_equal(strtab_find(&tab, "on"), 2);
	assert_int_equal(strtab_find(&tab, ""), 0);
	assert_int_equal(strtab_find(&tab, "o"), INDEX_NONE);
	assert_int_equal(strtab_find(&tab, "ones"), INDEX_NONE);
	strtab_fini(&tab);
}

static void ceilings(void **state)
{
	(void)state;
	struct strtab tab;
	uint32_t id = 77;
	assert_int_equal(strtab_init(&tab, 3, 1000), 0);
	assert_int_equal(strtab_add(&tab, "a", &id), 0);
	assert_int_equal(strtab_add(&tab, "b", &id), 0);
	assert_int_equal(strtab_add(&tab, "c", &id), -ENOSPC);
	assert_int_equal(id, 2);
	assert_int_equal(strtab_add(&tab, "a", &id), 0); /* is there */
	assert_int_equal(tab.count, 3);
	strtab_fini(&tab);

	/* bytes count with their NUL, that of "" too: 1 + 4 */
	assert_int_equal(strtab_init(&tab, 100, 5), 0);
	assert_int_equal(strtab_add(&tab, "abcd", &id), -ENOSPC);
	assert_int_equal(strtab_add(&tab, "abc", &id), 0);
	assert_int_equal(strtab_add(&tab, "d", &id), -ENOSPC);
	assert_int_equal(strtab_find(&tab, "abcd"), INDEX_NONE);
	strtab_fini(&tab);

	assert_int_equal(strtab_init(&tab, 0, 5), -ENOSPC);
	strtab_fini(&tab);
	assert_int_equal(strtab_init(&tab, 5, 0), -ENOSPC);
	strtab_fini(&tab);
}

/* Borrowed texts stay where they are while others arrive. */
static void texts_stay(void **state)
{
	(void)state;
	enum { COUNT = 20000 };
	struct strtab tab;
	assert_int_equal(strtab_init(&tab, COUNT + 1, 1 << 20), 0);
	uint32_t id;
	assert_int_equal(strtab_add(&tab, "first", &id), 0);
	const char *first = strtab_get(&tab, id);
	char text[32];
	for (int i = 0; i < COUNT - 1; i++) {
		snprintf(text, sizeof(text), "%d", i);
		assert_int_equal(strtab_add(&tab, text, &id), 0);
		assert_int_equal(id, i + 2);
	}
	assert_int_equal(strtab_add(&tab, "last", &id), -ENOSPC);
	assert_ptr_equal(strtab_get(&tab, 1), first);
	assert_string_equal(first, "first");
	for (int i = 0; i < COUNT - 1; i++) {
		snprintf(text, sizeof(text), "%d", i);
		assert_int_equal(strtab_find(&tab, text), i + 2);
	}
	strtab_fini(&tab);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ids_are_dense),
		cmocka_unit_test(ceilings),
		cmocka_unit_test(texts_stay),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
