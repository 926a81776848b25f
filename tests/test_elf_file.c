#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/array.h"
#include "elf_maker.h"
#include "symbolizer/executable.h"

static const struct maker_symbol symbols[] = {
	{"first", 0x000, 0x10, STT_FUNC, STB_GLOBAL, 0},
	{"second", 0x010, 0x10, STT_FUNC, STB_GLOBAL, 0},
	{"unsized", 0x020, 0, STT_FUNC, STB_GLOBAL, 0},
};

static struct buf make_image(void)
{
	struct buf image;
	buf_init(&image, 1 << 20);
	maker_elf(&image, symbols, ARRAY_LEN(symbols));
	assert_int_equal(buf_error(&image), 0);
	return image;
}

static int memory_file(const void *data, size_t len_bytes)
{
	int fd = memfd_create("image", MFD_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, len_bytes), len_bytes);
	return fd;
}

static void a_good_image(void **state)
{
	(void)state;
	struct buf image = make_image();
	struct executable *exe = NULL;
	struct err err = {0};
	assert_int_equal(executable_from_memory(&exe, image.data, image.len_bytes, "x", &err), 0);
	struct symbol symbol;
	assert_true(executable_lookup(exe, MAKER_TEXT_VADDR + 0x1f, &symbol));
	assert_string_equal(symbol.name, "second");
	assert_string_equal(executable_build_id(exe), "000102030405060708090a0b0c0d0e0f10111213");
	executable_unref(exe);
	buf_fini(&image);
}

/* What a damaged image leads to: an error, or an executable that can be asked anything. */
static void use(int rc, struct executable *exe, const struct err *err)
{
	if (rc) {
		assert_true(rc == -EBADMSG || rc == -ENODATA || rc == -EOPNOTSUPP || rc == -ENOSPC);
		assert_int_equal(rc, err->code);
		assert_true(err->text[0]);
		assert_null(exe);
		return;
	}
	struct symbol symbol;
	uint64_t vaddr, start, limit, off;
	for (uint64_t at = 0; at < 0x40; at++)
		if (executable_lookup(exe, MAKER_TEXT_VADDR + at, &symbol))
			assert_true(strlen(symbol.name) > 0);
	executable_vaddr(exe, 0x1000, &vaddr);
	executable_segment(exe, MAKER_TEXT_VADDR, &start, &limit, &off);
	executable_unnamed_reason(exe);
	executable_unref(exe);
}

static void use_image(const void *data, size_t len_bytes)
{
	struct executable *exe = NULL;
	struct err err = {0};
	int rc = executable_from_memory(&exe, data, len_bytes, "x", &err);
	use(rc, exe, &err);
}

static void cut_at_every_length(void **state)
{
	(void)state;
	struct buf image = make_image();
	for (size_t len_bytes = 0; len_bytes <= image.len_bytes; len_bytes++) {
		char *exact = malloc(len_bytes + 1); /* so that one byte too far is caught */
		memcpy(exact, image.data, len_bytes);
		use_image(exact, len_bytes);
		struct executable *exe = NULL;
		struct err err = {0};
		int rc = executable_open(&exe, memory_file(exact, len_bytes), "x", &err);
		use(rc, exe, &err);
		free(exact);
	}
	buf_fini(&image);
}

static void every_byte_changed(void **state)
{
	(void)state;
	static const uint8_t values[] = {0x00, 0x01, 0x7f, 0x80, 0xff};
	struct buf image = make_image();
	for (size_t i = 0; i < image.len_bytes; i++) {
		char before = image.data[i];
		for (size_t j = 0; j < ARRAY_LEN(values); j++) {
			image.data[i] = (char)values[j];
			use_image(image.data, image.len_bytes);
		}
		image.data[i] = before;
	}
	buf_fini(&image);
}

/* The file is cut after it was opened, before its symbols are read. */
static void cut_while_open(void **state)
{
	(void)state;
	struct buf image = make_image();
	int fd = memory_file(image.data, image.len_bytes);
	struct executable *exe = NULL;
	struct err err = {0};
	assert_int_equal(executable_open(&exe, fd, "x", &err), 0);
	assert_int_equal(ftruncate(fd, 200), 0);
	struct symbol symbol;
	assert_false(executable_lookup(exe, MAKER_TEXT_VADDR, &symbol));
	assert_non_null(strstr(executable_unnamed_reason(exe), "unreadable symbol table"));
	executable_unref(exe);
	buf_fini(&image);
}

#define HEADER(member)  offsetof(Elf64_Ehdr, member), sizeof(((Elf64_Ehdr *)0)->member)
#define SEGMENT(member) sizeof(Elf64_Ehdr) + offsetof(Elf64_Phdr, member), 8

/* One field of the header or of the first segment. */
static const struct {
	const char *label;
	size_t off, len_bytes;
	uint64_t value;
	int code;
	const char *text; /* in the sentence */
} header_rows[] = {
	{"magic", HEADER(e_ident[0]), 0, -EBADMSG, "not an ELF file"},
	{"32 bits", HEADER(e_ident[EI_CLASS]), ELFCLASS32, -EOPNOTSUPP, "32-bit"},
	{"unknown class", HEADER(e_ident[EI_CLASS]), 9, -EBADMSG, "class 9"},
	{"big-endian", HEADER(e_ident[EI_DATA]), ELFDATA2MSB, -EOPNOTSUPP, "big-endian"},
	{"riscv", HEADER(e_machine), EM_RISCV, -EOPNOTSUPP, "machine 243"},
	{"relocatable", HEADER(e_type), ET_REL, -EOPNOTSUPP, "type 1"},
	{"core", HEADER(e_type), ET_CORE, -EOPNOTSUPP, "type 4"},
	{"segment size", HEADER(e_phentsize), 32, -EBADMSG, "32 bytes"},
	{"segments past the end", HEADER(e_phoff), UINT64_MAX - 8, -ENODATA, "ends before"},
	{"many segments", HEADER(e_phnum), 0xfffe, -ENOSPC, "65534 program headers"},
	{"more segments than bytes", HEADER(e_phnum), 4096, -ENODATA, "ends before"},
	{"executable", HEADER(e_type), ET_EXEC, 0, NULL},
	{"aarch64", HEADER(e_machine), EM_AARCH64, 0, NULL},
	{"no segments", HEADER(e_phnum), 0, 0, NULL},
	{"sections past the end", HEADER(e_shoff), UINT64_MAX - 8, 0, NULL},
	{"sections in the header", HEADER(e_shoff), 1, 0, NULL},
	{"no sections", HEADER(e_shoff), 0, 0, NULL},
	{"many sections", HEADER(e_shnum), 0xfeff, 0, NULL},
	{"section size", HEADER(e_shentsize), 1, 0, NULL},
	{"names past the end", HEADER(e_shstrndx), 0xfffe, 0, NULL},
	{"segment off", SEGMENT(p_offset), UINT64_MAX, 0, NULL},
	{"segment vaddr", SEGMENT(p_vaddr), UINT64_MAX, 0, NULL},
	{"segment file size", SEGMENT(p_filesz), UINT64_MAX, 0, NULL},
	{"segment memory size", SEGMENT(p_memsz), UINT64_MAX, 0, NULL},
};

static void damaged_headers(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(header_rows); i++) {
		struct buf image = make_image();
		memcpy(image.data + header_rows[i].off, &header_rows[i].value,
		       header_rows[i].len_bytes);
		struct executable *exe = NULL;
		struct err err = {0};
		int rc = executable_from_memory(&exe, image.data, image.len_bytes, "x", &err);
		if (rc != header_rows[i].code)
			fail_msg("%s: %d %s", header_rows[i].label, rc, err.text);
		if (rc && !strstr(err.text, header_rows[i].text))
			fail_msg("%s: %s", header_rows[i].label, err.text);
		use(rc, exe, &err);
		buf_fini(&image);
	}
}

enum { SYMTAB = 2, STRTAB = 3 };

#define SECTION(index, member) \
	index, offsetof(Elf64_Shdr, member), sizeof(((Elf64_Shdr *)0)->member)

/* One field of a section header: why there are no names. */
static const struct {
	const char *label;
	size_t section, off, len_bytes;
	uint64_t value;
	const char *reason;
} section_rows[] = {
	{"symbols past the end", SECTION(SYMTAB, sh_offset), UINT64_MAX - 7, "symbol table"},
	{"endless symbols", SECTION(SYMTAB, sh_size), UINT64_MAX, "symbol table"},
	{"symbols of no bytes", SECTION(SYMTAB, sh_entsize), 0, "symbols of 0 bytes"},
	{"symbols of a byte", SECTION(SYMTAB, sh_entsize), 1, "symbols of 1 bytes"},
	{"names nowhere", SECTION(SYMTAB, sh_link), 0, "without names"},
	{"names past the sections", SECTION(SYMTAB, sh_link), 0xffffffff, "without names"},
	{"names past the end", SECTION(STRTAB, sh_offset), UINT64_MAX, "ends before"},
	{"endless names", SECTION(STRTAB, sh_size), UINT64_MAX, "more than"},
	{"names without bytes", SECTION(STRTAB, sh_type), SHT_NOBITS, "without names"},
	{"packed names", SECTION(STRTAB, sh_flags), SHF_COMPRESSED, "without plain bytes"},
	{"no names at all", SECTION(STRTAB, sh_size), 0, "stripped"},
	{"no symbols", SECTION(SYMTAB, sh_size), 0, "stripped"},
	{"another table", SECTION(SYMTAB, sh_type), SHT_PROGBITS, "stripped"},
};

static void damaged_sections(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(section_rows); i++) {
		struct buf image = make_image();
		size_t headers_off = image.len_bytes - MAKER_SECTIONS * sizeof(Elf64_Shdr);
		memcpy(image.data + headers_off + section_rows[i].section * sizeof(Elf64_Shdr) +
			       section_rows[i].off,
		       &section_rows[i].value, section_rows[i].len_bytes);
		struct executable *exe = NULL;
		struct err err = {0};
		assert_int_equal(
			executable_from_memory(&exe, image.data, image.len_bytes, "x", &err), 0);
		struct symbol symbol;
		assert_false(executable_lookup(exe, MAKER_TEXT_VADDR, &symbol));
		const char *reason = executable_unnamed_reason(exe);
		if (!reason || !strstr(reason, section_rows[i].reason))
			fail_msg("%s: %s", section_rows[i].label, reason);
		use(0, exe, &err);
		buf_fini(&image);
	}
}

/* Names that run to the end of their table without a NUL. */
static void names_without_an_end(void **state)
{
	(void)state;
	struct buf image = make_image();
	size_t headers_off = image.len_bytes - MAKER_SECTIONS * sizeof(Elf64_Shdr);
	Elf64_Shdr *strings =
		(Elf64_Shdr *)(image.data + headers_off + STRTAB * sizeof(Elf64_Shdr));
	strings->sh_size = 4; /* "\0fir" */
	struct executable *exe = NULL;
	struct err err = {0};
	assert_int_equal(executable_from_memory(&exe, image.data, image.len_bytes, "x", &err), 0);
	struct symbol symbol;
	assert_true(executable_lookup(exe, MAKER_TEXT_VADDR, &symbol));
	assert_string_equal(symbol.name, "fir");
	assert_false(executable_lookup(exe, MAKER_TEXT_VADDR + 0x10, &symbol));
	executable_unref(exe);
	buf_fini(&image);
}

/* A sparse file may claim any size and holds no bytes: what it claims must not be allocated. */
static void a_sparse_file_of_a_terabyte(void **state)
{
	(void)state;
	struct buf image = make_image();
	size_t headers_off = image.len_bytes - MAKER_SECTIONS * sizeof(Elf64_Shdr);
	Elf64_Shdr *sections = (Elf64_Shdr *)(image.data + headers_off);
	static const struct {
		uint64_t symbols_bytes, strings_bytes;
	} rows[] = {
		{UINT64_C(1) << 39, 16},
		{96, UINT64_C(1) << 39},
		{UINT64_C(1) << 39, UINT64_C(1) << 39},
		{(16 << 20) * sizeof(Elf64_Sym), 256 << 20}, /* as much as is read */
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		sections[SYMTAB].sh_size = rows[i].symbols_bytes;
		sections[STRTAB].sh_size = rows[i].strings_bytes;
		char path[] = "/tmp/hearth-sparse-XXXXXX";
		int fd = mkostemp(path, O_CLOEXEC);
		assert_true(fd >= 0);
		unlink(path);
		assert_int_equal(write(fd, image.data, image.len_bytes), image.len_bytes);
		if (ftruncate(fd, INT64_C(1) << 40))
			skip(); /* a file system without large files */
		struct executable *exe = NULL;
		struct err err = {0};
		int rc = executable_open(&exe, fd, "x", &err);
		assert_int_equal(rc, 0);
		use(rc, exe, &err);
	}
	struct rusage usage;
	getrusage(RUSAGE_SELF, &usage);
	assert_true(usage.ru_maxrss < 1 << 20); /* KiB */
	buf_fini(&image);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_good_image),
		cmocka_unit_test(cut_at_every_length),
		cmocka_unit_test(every_byte_changed),
		cmocka_unit_test(cut_while_open),
		cmocka_unit_test(damaged_headers),
		cmocka_unit_test(damaged_sections),
		cmocka_unit_test(names_without_an_end),
		cmocka_unit_test(a_sparse_file_of_a_terabyte),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
