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
#include "elf_maker.h"
#include "symbolizer/symtab.h"

enum { MAX_IMAGE_BYTES = 16 << 20, FUNC = STT_FUNC, NOTYPE = STT_NOTYPE };

static struct symtab *symtab_of(const struct maker_symbol *symbols, size_t count)
{
	struct buf image;
	buf_init(&image, MAX_IMAGE_BYTES);
	maker_elf(&image, symbols, count);
	assert_int_equal(buf_error(&image), 0);
	struct err err = {0};
	struct elf_file *file = NULL;
	assert_int_equal(elf_file_from_memory(&file, image.data, image.len_bytes, &err), 0);
	struct symtab *tab = NULL;
	int rc = symtab_read(&tab, file, &err);
	if (rc)
		fail_msg("%d: %s", rc, err.text);
	elf_file_free(file);
	buf_fini(&image);
	return tab;
}

static const char *name_at(const struct symtab *tab, uint64_t off)
{
	uint32_t position = symtab_find(tab, MAKER_TEXT_VADDR + off);
	return position == SYMTAB_NONE ? NULL : symtab_entry(tab, position).name;
}

static const struct maker_symbol symbols[] = {
	/* one inside another, and one inside that */
	{"outer", 0x000, 0x40, FUNC, STB_GLOBAL, 0},
	{"inner", 0x010, 0x10, FUNC, STB_LOCAL, 0},
	{"innermost", 0x014, 4, FUNC, STB_LOCAL, 0},
	/* overlap without nesting */
	{"first", 0x050, 0x20, FUNC, STB_GLOBAL, 0},
	{"second", 0x060, 0x20, FUNC, STB_GLOBAL, 0},
	/* several names for one place */
	{"bound_local", 0x100, 0x10, FUNC, STB_LOCAL, 0},
	{"bound_weak", 0x100, 0x10, FUNC, STB_WEAK, 0},
	{"bound_global", 0x100, 0x10, FUNC, STB_GLOBAL, 0},
	{"__bars", 0x110, 0x10, FUNC, STB_GLOBAL, 0},
	{"_bars", 0x110, 0x10, FUNC, STB_GLOBAL, 0},
	{"bars", 0x110, 0x10, FUNC, STB_GLOBAL, 0},
	{"zebra", 0x120, 0x10, FUNC, STB_GLOBAL, 0},
	{"apple", 0x120, 0x10, FUNC, STB_GLOBAL, 0},
	{"short_one", 0x130, 8, FUNC, STB_GLOBAL, 0},
	{"long_one", 0x130, 0x10, FUNC, STB_GLOBAL, 0},
	{"short_global", 0x140, 8, FUNC, STB_GLOBAL, 0},
	{"long_local", 0x140, 0x10, FUNC, STB_LOCAL, 0},
	{"label_alias", 0x150, 0x10, NOTYPE, STB_GLOBAL, 0},
	{"function_alias", 0x150, 0x10, FUNC, STB_LOCAL, 0},
	{"unsized_alias", 0x160, 0, FUNC, STB_GLOBAL, 0},
	{"sized_alias", 0x160, 0x10, NOTYPE, STB_LOCAL, 0},
	/* without a size */
	{"unsized", 0x200, 0, FUNC, STB_GLOBAL, 0},
	{"neighbour", 0x220, 0x10, FUNC, STB_LOCAL, 0},
	{"entry_inside", 0x228, 0, FUNC, STB_GLOBAL, 0},
	{"label", 0x300, 0, NOTYPE, STB_GLOBAL, 0},
	{"jump_target", 0x308, 0, NOTYPE, STB_LOCAL, 0},
	{"$x", 0x30c, 0, NOTYPE, STB_LOCAL, 0},
	{"weak_label", 0x310, 0, NOTYPE, STB_WEAK, 0},
	{"sized_label", 0x320, 0x10, NOTYPE, STB_LOCAL, 0},
	{"resolver", 0x330, 0x10, STT_GNU_IFUNC, STB_GLOBAL, 0},
	/* no functions */
	{"object", 0x400, 0x10, STT_OBJECT, STB_GLOBAL, 0},
	{"file.c", 0x410, 0x10, STT_FILE, STB_LOCAL, 0},
	{"section", 0x420, 0x10, STT_SECTION, STB_LOCAL, 0},
	{"thread_local", 0x430, 0x10, STT_TLS, STB_GLOBAL, 0},
	{"data_label", 0x440, 0x10, NOTYPE, STB_GLOBAL, 2},
	{"bad_section", 0x450, 0, FUNC, STB_GLOBAL, 77},
	{"", 0x460, 0x10, FUNC, STB_GLOBAL, 0},
	{"_etext", MAKER_TEXT_BYTES, 0, NOTYPE, STB_GLOBAL, 0},
	/* versions */
	{"versioned@@VERS_2", 0x500, 0x10, FUNC, STB_GLOBAL, 0},
	{"old_versioned@VERS_1", 0x510, 0x10, FUNC, STB_GLOBAL, 0},
	{"@begins", 0x520, 0x10, FUNC, STB_GLOBAL, 0},
	/* the last one, without a size */
	{"last", 0x600, 0, FUNC, STB_LOCAL, 0},
};

static const struct {
	uint64_t off;
	const char *name; /* NULL: none */
} expected[] = {
	{0x000, "outer"},
	{0x00f, "outer"},
	{0x010, "inner"},
	{0x013, "inner"},
	{0x014, "innermost"},
	{0x017, "innermost"},
	{0x018, "inner"},
	{0x01f, "inner"},
	{0x020, "outer"},
	{0x03f, "outer"},
	{0x040, NULL},
	{0x04f, NULL},
	{0x050, "first"},
	{0x05f, "first"},
	{0x060, "second"},
	{0x07f, "second"},
	{0x080, NULL},
	{0x100, "bound_global"},
	{0x10f, "bound_global"},
	{0x110, "bars"},
	{0x120, "apple"},
	{0x130, "long_one"},
	{0x138, "long_one"},
	{0x140, "short_global"},
	{0x147, "short_global"},
	{0x148, "long_local"},
	{0x14f, "long_local"},
	{0x150, "function_alias"},
	{0x160, "sized_alias"},
	{0x170, NULL},
	{0x1ff, NULL},
	{0x200, "unsized"},
	{0x21f, "unsized"},
	{0x220, "neighbour"},
	{0x228, "neighbour"},
	{0x22f, "neighbour"},
	{0x230, NULL},
	{0x300, "label"},
	{0x308, "label"},
	{0x30f, "label"},
	{0x310, "weak_label"},
	{0x31f, "weak_label"},
	{0x320, "sized_label"},
	{0x330, "resolver"},
	{0x340, NULL},
	{0x400, NULL},
	{0x410, NULL},
	{0x420, NULL},
	{0x430, NULL},
	{0x440, NULL},
	{0x450, NULL},
	{0x460, NULL},
	{0x500, "versioned"},
	{0x510, "old_versioned"},
	{0x520, "@begins"},
	{0x5ff, NULL},
	{0x600, "last"},
	{MAKER_TEXT_BYTES - 1, "last"},
	{MAKER_TEXT_BYTES, NULL},
	{UINT64_MAX - MAKER_TEXT_VADDR, NULL},
	{-(uint64_t)1, NULL},
	{-(uint64_t)MAKER_TEXT_VADDR, NULL},
};

static void check_rules(const struct symtab *tab)
{
	for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
		const char *name = name_at(tab, expected[i].off);
		if ((name && expected[i].name) ? strcmp(name, expected[i].name)
					       : name != expected[i].name)
			fail_msg("at 0x%llx: %s, not %s", (unsigned long long)expected[i].off, name,
				 expected[i].name);
	}
}

static void the_rules_of_overlap(void **state)
{
	(void)state;
	struct symtab *tab = symtab_of(symbols, ARRAY_LEN(symbols));
	check_rules(tab);
	assert_false(symtab_is_stripped(tab));
	symtab_free(tab);
}

static void order_in_the_file_does_not_matter(void **state)
{
	(void)state;
	struct maker_symbol backwards[ARRAY_LEN(symbols)];
	for (size_t i = 0; i < ARRAY_LEN(symbols); i++)
		backwards[i] = symbols[ARRAY_LEN(symbols) - 1 - i];
	struct symtab *tab = symtab_of(backwards, ARRAY_LEN(backwards));
	check_rules(tab);
	symtab_free(tab);
}

static void sizes_are_the_files(void **state)
{
	(void)state;
	struct symtab *tab = symtab_of(symbols, ARRAY_LEN(symbols));
	uint32_t outer = symtab_find(tab, MAKER_TEXT_VADDR + 0x3f);
	assert_int_equal(symtab_entry(tab, outer).vaddr, MAKER_TEXT_VADDR);
	assert_int_equal(symtab_entry(tab, outer).size_bytes, 0x40);
	uint32_t unsized = symtab_find(tab, MAKER_TEXT_VADDR + 0x21f);
	assert_int_equal(symtab_entry(tab, unsized).vaddr, MAKER_TEXT_VADDR + 0x200);
	assert_int_equal(symtab_entry(tab, unsized).size_bytes, 0);
	symtab_free(tab);
}

static void no_functions_is_stripped(void **state)
{
	(void)state;
	const struct maker_symbol data = {"object", 0, 8, STT_OBJECT, STB_GLOBAL, 0};
	struct symtab *tab = symtab_of(&data, 1);
	assert_int_equal(symtab_count(tab), 0);
	assert_true(symtab_is_stripped(tab));
	assert_null(name_at(tab, 0));
	symtab_free(tab);
}

/* More nesting than is looked through: addresses under it all still get an answer in bounded
 * time, and up to the limit the right one. */
static void deep_nesting(void **state)
{
	(void)state;
	enum { DEPTH = 5000 };
	struct maker_symbol *nested = calloc(DEPTH, sizeof(*nested));
	char(*names)[16] = calloc(DEPTH, sizeof(*names));
	for (uint32_t i = 0; i < DEPTH; i++) {
		snprintf(names[i], sizeof(names[i]), "f%u", i);
		nested[i] = (struct maker_symbol){names[i], i,          MAKER_TEXT_BYTES - 2 * i,
						  FUNC,     STB_GLOBAL, 0};
	}
	struct symtab *tab = symtab_of(nested, DEPTH);
	assert_string_equal(name_at(tab, 0), "f0");
	assert_string_equal(name_at(tab, DEPTH), "f4999");
	/* f4999 ends at BYTES - 4999; what follows belongs to f4998, then f4997, ... */
	assert_string_equal(name_at(tab, MAKER_TEXT_BYTES - 5000), "f4999");
	assert_string_equal(name_at(tab, MAKER_TEXT_BYTES - 4999), "f4998");
	assert_string_equal(name_at(tab, MAKER_TEXT_BYTES - 4950), "f4949");
	assert_null(name_at(tab, MAKER_TEXT_BYTES - 1));
	symtab_free(tab);
	free(names);
	free(nested);
}

static bool is_better(const struct maker_symbol *a, const struct maker_symbol *b)
{
	if (!b || a->off != b->off)
		return !b || a->off > b->off;
	if (a->size_bytes != b->size_bytes)
		return a->size_bytes > b->size_bytes;
	return strcmp(a->name, b->name) < 0;
}

/* Random functions with sizes: the table agrees with a scan over all of them. */
static void agrees_with_a_linear_scan(void **state)
{
	(void)state;
	enum { COUNT = 60, SPAN = 0x200, ROUNDS = 200 };
	const char *given = getenv("SEED");
	unsigned seed = given ? (unsigned)strtoul(given, NULL, 10) : 20240601U;
	print_message("seed %u\n", seed);
	for (int round = 0; round < ROUNDS; round++) {
		struct maker_symbol random[COUNT];
		char names[COUNT][16];
		for (int i = 0; i < COUNT; i++) {
			snprintf(names[i], sizeof(names[i]), "f%d", i);
			random[i] = (struct maker_symbol){
				names[i],
				(uint32_t)rand_r(&seed) % SPAN,
				1 + (uint32_t)rand_r(&seed) % (rand_r(&seed) % 4 ? 16 : SPAN),
				FUNC,
				STB_GLOBAL,
				0};
		}
		struct symtab *tab = symtab_of(random, COUNT);
		for (uint64_t off = 0; off < 2 * SPAN; off++) {
			const struct maker_symbol *best = NULL;
			for (int i = 0; i < COUNT; i++)
				if (off >= random[i].off &&
				    off - random[i].off < random[i].size_bytes &&
				    is_better(&random[i], best))
					best = &random[i];
			const char *name = name_at(tab, off);
			if (!best)
				assert_null(name);
			else
				assert_string_equal(name, best->name);
		}
		symtab_free(tab);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_rules_of_overlap),
		cmocka_unit_test(order_in_the_file_does_not_matter),
		cmocka_unit_test(sizes_are_the_files),
		cmocka_unit_test(no_functions_is_stripped),
		cmocka_unit_test(deep_nesting),
		cmocka_unit_test(agrees_with_a_linear_scan),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
