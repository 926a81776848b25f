#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/array.h"
#include "section_maker.h"
#include "symbolizer/debug_file_links.h"

#define NAME_255                                                           \
	"0123456789012345678901234567890123456789012345678901234567890123" \
	"0123456789012345678901234567890123456789012345678901234567890123" \
	"0123456789012345678901234567890123456789012345678901234567890123" \
	"012345678901234567890123456789012345678901234567890123456789012"

static int read_sections(struct debug_file_links *links, const struct made_section *sections,
			 size_t count)
{
	struct buf image;
	struct elf_file *file;
	buf_init(&image, 1 << 20);
	section_maker_elf(&image, sections, count);
	assert_int_equal(buf_error(&image), 0);
	assert_int_equal(elf_file_from_memory(&file, image.data, image.len_bytes, NULL), 0);
	int rc = debug_file_links_read(links, file, NULL);
	elf_file_free(file);
	buf_fini(&image);
	return rc;
}

#define BYTES(text) text, sizeof(text) - 1

/* name NULL: it is no link */
static const struct {
	const char *bytes;
	size_t len_bytes;
	const char *name;
	uint32_t crc32;
} debug_links[] = {
	{BYTES("a.debug\0\x78\x56\x34\x12"), "a.debug", 0x12345678},
	{BYTES("ab.debug\0\0\0\0\x78\x56\x34\x12"), "ab.debug", 0x12345678},
	{BYTES("x\0\0\0\xff\xff\xff\xff"), "x", 0xffffffff},
	{BYTES("x\0yz\1\0\0\0"), "x", 1},            /* padding may be anything */
	{BYTES("x\0\0\0\1\0\0\0more"), "x", 1},      /* so may what follows */
	{BYTES(NAME_255 "\0\1\0\0\0"), NAME_255, 1}, /* NAME_MAX */
	{BYTES("1" NAME_255 "\0\0\0\0\1\0\0\0"), NULL, 0},
	{BYTES(""), NULL, 0},
	{BYTES("\0"), NULL, 0},
	{BYTES("\0\0\0\0\1\0\0\0"), NULL, 0},
	{BYTES("abc"), NULL, 0},
	{BYTES("abc\0"), NULL, 0},
	{BYTES("abc\0\1\0\0"), NULL, 0},
	{BYTES("ab\0"), NULL, 0},
	{BYTES(".\0\0\0\1\0\0\0"), NULL, 0},
	{BYTES("..\0\0\1\0\0\0"), NULL, 0},
	{BYTES("/etc/shadow\0\1\0\0\0"), NULL, 0},
	{BYTES("../x\0\0\0\0\1\0\0\0"), NULL, 0},
	{BYTES("x/\0\0\1\0\0\0"), NULL, 0},
};

static void links_by_name(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(debug_links); i++) {
		const struct made_section section = {".gnu_debuglink", debug_links[i].bytes,
						     debug_links[i].len_bytes, 0};
		struct debug_file_links links;
		assert_int_equal(read_sections(&links, &section, 1), 0);
		const char *name = debug_links[i].name ? debug_links[i].name : "";
		if (strcmp(links.link_name, name) != 0 || links.link_crc32 != debug_links[i].crc32)
			fail_msg("row %zu: \"%s\" %#x", i, links.link_name, links.link_crc32);
	}
}

static const struct {
	const char *bytes;
	size_t len_bytes;
	const char *path; /* NULL: it is no link */
	size_t id_bytes;
} alternates[] = {
	{BYTES("../.dwz/a\0ABCDEFGHIJKLMNOPQRST"), "../.dwz/a", 20},
	{BYTES("/usr/lib/debug/.dwz/a\0AB"), "/usr/lib/debug/.dwz/a", 2},
	{BYTES("a\0A"), NULL, 0},
	{BYTES("a\0"), NULL, 0},
	{BYTES("a"), NULL, 0},
	{BYTES(""), NULL, 0},
	{BYTES("\0ABCDEFGHIJKLMNOPQRST"), NULL, 0},
	{BYTES("a\0ABCDEFGHIJKLMNOPQRSTU"), NULL, 0},
};

static void alternates_by_path(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(alternates); i++) {
		const struct made_section section = {".gnu_debugaltlink", alternates[i].bytes,
						     alternates[i].len_bytes, 0};
		struct debug_file_links links;
		assert_int_equal(read_sections(&links, &section, 1), 0);
		const char *path = alternates[i].path ? alternates[i].path : "";
		if (strcmp(links.alternate_path, path) != 0 ||
		    links.alternate_id_bytes != alternates[i].id_bytes ||
		    memcmp(links.alternate_id, "ABCDEFGHIJKLMNOPQRST", alternates[i].id_bytes))
			fail_msg("row %zu: \"%s\"", i, links.alternate_path);
	}
}

static void huge_links(void **state)
{
	(void)state;
	static char path[1 << 19];
	memset(path, 'p', sizeof(path));
	struct debug_file_links links;
	for (size_t len_bytes = PATH_MAX - 30; len_bytes <= sizeof(path);
	     len_bytes += 7 + len_bytes / 64) {
		path[len_bytes - 22] = 0;
		const struct made_section sections[] = {
			{".gnu_debugaltlink", path, len_bytes, 0},
			{".gnu_debuglink", path, len_bytes, 0},
		};
		assert_int_equal(read_sections(&links, sections, 2), 0);
		assert_string_equal(links.link_name, "");
		assert_string_equal(links.alternate_path, "");
		path[len_bytes - 22] = 'p';
	}
}

static const struct {
	struct made_section section;
	bool has_dwarf, is_stripped, has_minidebug;
} kinds[] = {
	{{".text", "x", 1, 0}, false, true, false},
	{{".debug_info", "x", 1, 0}, true, false, false},
	{{".zdebug_info", "x", 1, 0}, true, false, false},
	{{".debug_info", NULL, 1, SHT_NOBITS}, false, true, false},
	{{".symtab", "x", 1, SHT_SYMTAB}, false, false, false},
	{{".symtab", NULL, 1, SHT_NOBITS}, false, true, false},
	{{".debug_str", "x", 1, 0}, false, false, false},
	{{".gnu_debugdata", "x", 1, 0}, false, true, true},
	{{".gnu_debugdat", "x", 1, 0}, false, true, false},
	{{"", "x", 1, 0}, false, true, false},
};

static void kinds_of_files(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct debug_file_links links;
		assert_int_equal(read_sections(&links, &kinds[i].section, 1), 0);
		if (links.has_dwarf != kinds[i].has_dwarf ||
		    links.is_stripped != kinds[i].is_stripped ||
		    links.has_minidebug != kinds[i].has_minidebug)
			fail_msg("row %zu", i);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(links_by_name),
		cmocka_unit_test(alternates_by_path),
		cmocka_unit_test(huge_links),
		cmocka_unit_test(kinds_of_files),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
