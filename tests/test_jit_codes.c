/*
 * Code over code, at random and by hand, against a list of all that was ever added. SEED=n repeats
 * a run.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/array.h"
#include "symbolizer/jit_codes.h"

static int add(struct jit_codes *codes, uint64_t start_ip, uint64_t size_bytes,
	       uint64_t from_mono_ns, const char *name)
{
	return jit_codes_add(codes, &(struct jit_code_info){
					    .start_ip = start_ip,
					    .size_bytes = size_bytes,
					    .from_mono_ns = from_mono_ns,
					    .name = name,
					    .name_bytes = strlen(name),
				    });
}

static const char *name_at(const struct jit_codes *codes, uint64_t ip, uint64_t at_mono_ns)
{
	struct jit_symbol symbol = {.name = "untouched"};
	if (jit_codes_find(codes, ip, at_mono_ns, &symbol))
		return symbol.name;
	assert_string_equal(symbol.name, "untouched");
	return NULL;
}

static void assert_name(const struct jit_codes *codes, uint64_t ip, uint64_t at_mono_ns,
			const char *want)
{
	const char *have = name_at(codes, ip, at_mono_ns);
	if (!have != !want || (want && strcmp(have, want)))
		fail_msg("0x%jx at %ju: %s, not %s", (uintmax_t)ip, (uintmax_t)at_mono_ns,
			 have ? have : "nothing", want ? want : "nothing");
}

struct added {
	uint64_t start_ip, size_bytes, from_mono_ns;
	const char *name;
};

static const struct {
	const char *what;
	struct added added[4];
	uint64_t ip, at_mono_ns;
	const char *want;
} overlaps[] = {
	{"nothing there", {{0}}, 0x1000, 5, NULL},
	{"before it", {{0x1000, 0x10, 0, "a"}}, 0xfff, 5, NULL},
	{"first byte", {{0x1000, 0x10, 0, "a"}}, 0x1000, 5, "a"},
	{"last byte", {{0x1000, 0x10, 0, "a"}}, 0x100f, 5, "a"},
	{"behind it", {{0x1000, 0x10, 0, "a"}}, 0x1010, 5, NULL},
	{"last of all addresses", {{UINT64_MAX - 1, 1, 0, "a"}}, UINT64_MAX - 1, 5, "a"},
	{"same place", {{0x1000, 0x10, 0, "a"}, {0x1000, 0x10, 0, "b"}}, 0x1004, 5, "b"},
	{"head of the old one", {{0x1000, 0x10, 0, "a"}, {0x1008, 4, 0, "b"}}, 0x1007, 5, "a"},
	{"in the old one", {{0x1000, 0x10, 0, "a"}, {0x1008, 4, 0, "b"}}, 0x1008, 5, "b"},
	{"tail of the old one", {{0x1000, 0x10, 0, "a"}, {0x1008, 4, 0, "b"}}, 0x100c, 5, "a"},
	{"smaller under larger", {{0x1008, 4, 0, "b"}, {0x1000, 0x10, 0, "a"}}, 0x1008, 5, "a"},
	{"over two, between them",
	 {{0x1000, 8, 0, "a"}, {0x1010, 8, 0, "b"}, {0x1004, 0x10, 0, "c"}},
	 0x100a,
	 5,
	 "c"},
	{"over two, rest of the second",
	 {{0x1000, 8, 0, "a"}, {0x1010, 8, 0, "b"}, {0x1004, 0x10, 0, "c"}},
	 0x1014,
	 5,
	 "b"},
	{"not made yet", {{0x1000, 0x10, 6, "a"}}, 0x1000, 5, NULL},
	{"made at that moment", {{0x1000, 0x10, 5, "a"}}, 0x1000, 5, "a"},
	{"the one before", {{0x1000, 0x10, 1, "a"}, {0x1000, 0x10, 6, "b"}}, 0x1000, 5, "a"},
	{"the one after", {{0x1000, 0x10, 1, "a"}, {0x1000, 0x10, 6, "b"}}, 0x1000, 6, "b"},
	{"the one in the middle",
	 {{0x1000, 0x10, 1, "a"}, {0x1000, 0x10, 4, "b"}, {0x1000, 0x10, 6, "c"}},
	 0x1000,
	 5,
	 "b"},
	{"before the first of three",
	 {{0x1000, 0x10, 2, "a"}, {0x1000, 0x10, 4, "b"}, {0x1000, 0x10, 6, "c"}},
	 0x1000,
	 1,
	 NULL},
	{"part that was replaced, then",
	 {{0x1000, 0x10, 1, "a"}, {0x1008, 0x10, 6, "b"}},
	 0x1009,
	 5,
	 "a"},
	{"part that was replaced, now",
	 {{0x1000, 0x10, 1, "a"}, {0x1008, 0x10, 6, "b"}},
	 0x1009,
	 7,
	 "b"},
};

static void test_overlaps(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(overlaps); i++) {
		/* At once, and one by one. */
		for (int each = 0; each < 2; each++) {
			AUTO(jit_codes) codes = NULL;
			assert_int_equal(jit_codes_new(&codes, NULL), 0);
			for (size_t k = 0; k < 4 && overlaps[i].added[k].name; k++) {
				const struct added *one = &overlaps[i].added[k];
				assert_int_equal(add(codes, one->start_ip, one->size_bytes,
						     one->from_mono_ns, one->name),
						 0);
				if (each)
					assert_int_equal(jit_codes_settle(codes), 0);
			}
			assert_int_equal(jit_codes_settle(codes), 0);
			const char *have = name_at(codes, overlaps[i].ip, overlaps[i].at_mono_ns);
			const char *want = overlaps[i].want;
			if (!have != !want || (want && strcmp(have, want)))
				fail_msg("%s: %s", overlaps[i].what, have ? have : "nothing");
		}
	}
}

static const struct {
	const char *what;
	uint64_t start_ip, size_bytes;
	const char *name;
} refused[] = {
	{"no bytes", 0x1000, 0, "a"},
	{"past the end of memory", UINT64_MAX, 2, "a"},
	{"more than all memory", 0x1000, UINT64_MAX, "a"},
	{"no name", 0x1000, 0x10, ""},
};

static void test_impossible(void **state)
{
	(void)state;
	AUTO(jit_codes) codes = NULL;
	assert_int_equal(jit_codes_new(&codes, NULL), 0);
	for (size_t i = 0; i < ARRAY_LEN(refused); i++)
		assert_int_equal(add(codes, refused[i].start_ip, refused[i].size_bytes, 0,
				     refused[i].name),
				 -EINVAL);
	assert_int_equal(jit_codes_move(codes, 0x1000, 0x2000, 0x10, 0), -EINVAL);
	assert_int_equal(jit_codes_settle(codes), 0);
	assert_int_equal(jit_codes_count(codes), 0);
	assert_int_equal(jit_codes_refused(codes), 0);
}

static const struct {
	const char *given, *want;
} texts[] = {
	{"JS:*fib /tmp/x y.js:1:13", "JS:*fib /tmp/x y.js:1:13"},
	{"\x1b[31mred\x1b[0m", "?[31mred?[0m"},
	{"tab\there", "tab?here"},
	{"del\x7f", "del?"},
	{"\xc2\x9b"
	 "31m",
	 "\xc2?31m"}, /* U+009B, a control as one character */
	{"\xc3\x9c"
	 "ber",
	 "\xc3\x9c"
	 "ber"},
	{"<script>;a b", "<script>;a b"}, /* whoever shows it knows what to escape */
};

static void test_texts(void **state)
{
	(void)state;
	AUTO(jit_codes) codes = NULL;
	assert_int_equal(jit_codes_new(&codes, NULL), 0);
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		assert_int_equal(add(codes, 0x1000, 1, 0, texts[i].given), 0);
		assert_int_equal(jit_codes_settle(codes), 0);
		assert_name(codes, 0x1000, 0, texts[i].want);
	}
}

/* Cut where a character ends: 1023 bytes and one of two. */
static void test_long_name(void **state)
{
	(void)state;
	AUTO(jit_codes) codes = NULL;
	assert_int_equal(jit_codes_new(&codes, NULL), 0);
	char name[4096];
	memset(name, 'x', sizeof(name));
	memcpy(name + JIT_NAME_MAX_BYTES - 1, "\xc3\xbc", 2);
	name[sizeof(name) - 1] = 0;
	assert_int_equal(add(codes, 0x1000, 1, 0, name), 0);
	assert_int_equal(jit_codes_settle(codes), 0);
	const char *have = name_at(codes, 0x1000, 0);
	assert_int_equal(strlen(have), JIT_NAME_MAX_BYTES - 1);
	assert_int_equal(strspn(have, "x"), JIT_NAME_MAX_BYTES - 1);
}

static void test_lines(void **state)
{
	(void)state;
	AUTO(jit_codes) codes = NULL;
	assert_int_equal(jit_codes_new(&codes, NULL), 0);
	const struct jit_line_info lines[] = {
		{0x4, 10, "a.js", 4}, {0x8, 11, "a.js", 4}, {0x8, 12, "b.js", 4}};
	struct jit_code_info info = {0x1000, 0x10, 1, "f", 1, lines, ARRAY_LEN(lines)};
	assert_int_equal(jit_codes_add(codes, &info), 0);
	/* Before it is settled and after: both ways of finding what moves. */
	assert_int_equal(jit_codes_move(codes, 0x1000, 0x2000, 0x10, 5), 0);
	assert_int_equal(jit_codes_settle(codes), 0);
	assert_int_equal(jit_codes_move(codes, 0x2000, 0x3000, 0x10, 6), 0);
	assert_int_equal(jit_codes_move(codes, 0x2004, 0x4000, 0x10, 6), -EINVAL); /* its middle */
	assert_int_equal(jit_codes_settle(codes), 0);
	const struct {
		uint64_t off;
		uint32_t line;
		const char *file;
	} want[] = {{0, 0, ""},      {3, 0, ""},      {4, 10, "a.js"},
		    {7, 10, "a.js"}, {8, 12, "b.js"}, {0xf, 12, "b.js"}};
	for (uint64_t start_ip = 0x1000; start_ip <= 0x3000; start_ip += 0x1000) {
		for (size_t i = 0; i < ARRAY_LEN(want); i++) {
			struct jit_symbol symbol;
			assert_true(jit_codes_find(codes, start_ip + want[i].off, 9, &symbol));
			assert_string_equal(symbol.name, "f");
			assert_string_equal(symbol.file, want[i].file);
			assert_int_equal(symbol.line, want[i].line);
		}
	}
	assert_name(codes, 0x2000, 4, NULL);
	assert_name(codes, 0x3000, 5, NULL);
}

/* A machine that makes and forgets the same functions for ever fits for ever; more live ones than
 * there is room for are refused, and those before them stay. */
static void test_ceilings(void **state)
{
	(void)state;
	const struct jit_limits limits = {.codes = 64, .lines = 64, .text_bytes = 1024};
	AUTO(jit_codes) codes = NULL;
	assert_int_equal(jit_codes_new(&codes, &limits), 0);
	char name[32];
	const struct jit_line_info line = {0, 7, name, 4};
	for (unsigned int i = 0; i < 10000; i++) {
		snprintf(name, sizeof(name), "f%u", i);
		struct jit_code_info info = {
			.start_ip = 0x1000 + 0x10 * (i % 16),
			.size_bytes = 0x10,
			.name = name,
			.name_bytes = strlen(name),
			.lines = &line,
			.line_count = 1,
		};
		assert_int_equal(jit_codes_add(codes, &info), 0);
		if (i % 7 == 0)
			assert_int_equal(jit_codes_settle(codes), 0);
	}
	assert_int_equal(jit_codes_settle(codes), 0);
	assert_int_equal(jit_codes_refused(codes), 0);
	assert_int_equal(jit_codes_count(codes), 16);
	assert_name(codes, 0x1000 + 0x10 * (9999 % 16), 0, "f9999");
	for (unsigned int i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "g%u", i);
		assert_int_equal(add(codes, 0x100000 + 0x10 * i, 0x10, 0, name), 0);
	}
	assert_int_equal(jit_codes_settle(codes), 0);
	assert_true(jit_codes_refused(codes) >= 1000 - 64);
	assert_true(jit_codes_count(codes) <= 64);
	assert_name(codes, 0x1000 + 0x10 * (9999 % 16), 0, "f9999");
	assert_name(codes, 0x100000, 0, "g0");
	assert_name(codes, 0x100000 + 0x10 * 999, 0, NULL);
}

/* --- at random --- */

enum { ROUNDS = 200, MAX_ADDED = 300, SPACE = 512 };

static const char *listed_name(const struct added *added, size_t count, uint64_t ip,
			       uint64_t at_mono_ns)
{
	for (size_t i = count; i-- > 0;)
		if (ip >= added[i].start_ip && ip - added[i].start_ip < added[i].size_bytes &&
		    added[i].from_mono_ns <= at_mono_ns)
			return added[i].name;
	return NULL;
}

static void run_random(unsigned int seed, bool has_times)
{
	static char names[MAX_ADDED][8];
	struct added added[MAX_ADDED];
	AUTO(jit_codes) codes = NULL;
	assert_int_equal(jit_codes_new(&codes, NULL), 0);
	unsigned int random = seed;
	size_t count = (size_t)rand_r(&random) % MAX_ADDED;
	for (size_t i = 0; i < count; i++) {
		snprintf(names[i], sizeof(names[i]), "f%zu", i);
		added[i] = (struct added){
			.start_ip = 0x1000 + (uint64_t)rand_r(&random) % SPACE,
			.size_bytes = 1 + (uint64_t)rand_r(&random) % 40,
			.from_mono_ns = has_times ? i / 3 : 0,
			.name = names[i],
		};
		assert_int_equal(add(codes, added[i].start_ip, added[i].size_bytes,
				     added[i].from_mono_ns, added[i].name),
				 0);
		if (rand_r(&random) % 10 == 0)
			assert_int_equal(jit_codes_settle(codes), 0);
	}
	assert_int_equal(jit_codes_settle(codes), 0);
	for (uint64_t ip = 0xff0; ip < 0x1000 + SPACE + 50; ip++)
		for (uint64_t at = 0; at < MAX_ADDED / 3 + 2; at += has_times ? 3 : 1000)
			assert_name(codes, ip, at, listed_name(added, count, ip, at));
}

static void test_random(void **state)
{
	(void)state;
	const char *given = getenv("SEED");
	unsigned int first = given ? (unsigned int)strtoul(given, NULL, 10) : 1;
	print_message("SEED=%u and %d more\n", first, ROUNDS - 1);
	for (unsigned int seed = first; seed < first + ROUNDS; seed++) {
		run_random(seed, false);
		run_random(seed, true);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_overlaps), cmocka_unit_test(test_impossible),
		cmocka_unit_test(test_texts),    cmocka_unit_test(test_long_name),
		cmocka_unit_test(test_lines),    cmocka_unit_test(test_ceilings),
		cmocka_unit_test(test_random),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
