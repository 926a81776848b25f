/*
 * Names, inlined calls and lines of small programs, built by gcc and clang in every way that lays
 * out DWARF differently, against llvm-symbolizer: at every byte of every function.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "base/array.h"
#include "readelf.h"
#include "symbolizer/dwarf.h"
#include "symbolizer/gsym.h"
#include "symbolizer/gsym_symbols.h"

enum {
	MAX_FRAMES = 64,
	MAX_BUILDER_BYTES = 64 << 20,
	MAX_ADDRESSES = 1 << 16,
	SKIPPED = 77,
};

static const char cxx_source[] =
	"extern \"C\" int add(int, int);\n"
	"volatile int sink;\n"
	"static inline __attribute__((always_inline)) int leaf(int x) { sink = x; return x + 1; }\n"
	"namespace { namespace deep {\n"
	"struct type {\n"
	"	int v;\n"
	"	__attribute__((noinline)) int run(int x) { return leaf(x) * v + leaf(x + v); }\n"
	"	static __attribute__((noinline)) int still(int x) { return leaf(x) ^ 3; }\n"
	"};\n"
	"template <int N> __attribute__((noinline)) int many(int x) { return leaf(x) + N; }\n"
	"} }\n"
	"inline namespace v1 { class outer { public: class inner { public: int f(int); }; }; }\n"
	"__attribute__((noinline)) int outer::inner::f(int x)\n"
	"{\n"
	"	auto twice = [x](int y) __attribute__((noinline)) { return leaf(x) + leaf(y); };\n"
	"	struct local { __attribute__((noinline)) int g(int z) { return leaf(z) - 1; } };\n"
	"	return twice(3) + local().g(x);\n"
	"}\n"
	"__attribute__((cold, noinline)) void fail(int x) { sink = leaf(x); }\n"
	"__attribute__((noinline)) int split(int x)\n"
	"{\n"
	"	if (__builtin_expect(x > 1000, 0)) { fail(x); sink = x * 2; fail(x + 1); }\n"
	"	for (int i = 0; i < x; i++) sink += leaf(i);\n"
	"	return sink;\n"
	"}\n"
	"__attribute__((noinline)) int unused(int x) { return leaf(x) * 77; }\n"
	"static inline __attribute__((always_inline)) int nest(int x)\n"
	"{\n"
	"	{ int y = leaf(x);\n"
	"	  if (y > 3) { sink = y; return leaf(y) + add(x, y); } }\n"
	"	return 0;\n"
	"}\n"
	"int main(int count, char **)\n"
	"{\n"
	"	deep::type t = {count};\n"
	"	outer::inner i;\n"
	"	return t.run(2) + deep::type::still(1) + deep::many<5>(count) +\n"
	"	       i.f(count) + split(count) + nest(count);\n"
	"}\n";

static const char c_source[] =
	"extern int in_assembler(int);\n"
	"static __attribute__((noinline)) int hidden(int a) { return in_assembler(a) * a; }\n"
	"__attribute__((noinline)) int unused_c(int a) { return a - 5; }\n"
	"#line 100 \"elsewhere/generated.y\"\n"
	"int add(int a, int b)\n"
	"{\n"
	"	int s = hidden(a);\n"
	"	return s + hidden(b);\n"
	"}\n";

static const char assembler_source[] = "	.text\n"
				       "	.globl in_assembler\n"
				       "	.type in_assembler, @function\n"
				       "in_assembler:\n"
				       "	lea 1(%rdi), %eax\n"
				       "	nop\n"
				       "	ret\n"
				       "	.size in_assembler, .-in_assembler\n"
				       "	.section .note.GNU-stack,\"\",@progbits\n";

/* %1$s: the directory. The program is to be "x"; a debug file of its own "x.debug", an
 * alternate file "x.alt". need: a tool that the others do not imply; NULL: none. */
struct build {
	const char *what, *need, *commands;
};

#define BUILD(cc, cxx, options)                                                        \
	cc " " options " -c b.c -o b.o && " cc " -g -c c.S -o c.o && " cxx " " options \
	   " a.cc b.o c.o -o x"
#define GCC(options)   BUILD("gcc", "g++", options)
#define CLANG(options) BUILD("clang", "clang++", options)

static const struct build builds[] = {
	{"gcc, DWARF 2", NULL, GCC("-O2 -gdwarf-2 -gstrict-dwarf")},
	{"gcc, DWARF 3", NULL, GCC("-O2 -gdwarf-3 -gstrict-dwarf")},
	{"gcc, DWARF 4", NULL, GCC("-O2 -gdwarf-4")},
	{"gcc, DWARF 5", NULL, GCC("-O2 -gdwarf-5")},
	{"gcc, not optimized", NULL, GCC("-O0 -g")},
	{"gcc, 64-bit DWARF 4", NULL, GCC("-O2 -gdwarf-4 -gdwarf64")},
	{"gcc, 64-bit DWARF 5", NULL, GCC("-O2 -gdwarf-5 -gdwarf64")},
	{"gcc, not PIE", NULL, GCC("-O2 -g -no-pie -fno-pie")},
	{"gcc, lines only", NULL, GCC("-O2 -g1")},
	{"gcc, type units 4", NULL, GCC("-O2 -gdwarf-4 -fdebug-types-section")},
	{"gcc, type units 5", NULL, GCC("-O2 -gdwarf-5 -fdebug-types-section")},
	{"gcc, zlib", NULL, GCC("-O2 -g -gz=zlib")},
	{"gcc, .zdebug", NULL, GCC("-O2 -gdwarf-4 -gz=zlib-gnu")},
	{"gcc, link-time optimized", NULL, GCC("-O2 -g -flto")},
	{"gcc, parts thrown away", NULL, GCC("-O2 -g -ffunction-sections -Wl,--gc-sections")},
	{"gcc, thrown away, DWARF 4", NULL,
	 GCC("-O2 -gdwarf-4 -ffunction-sections -Wl,--gc-sections")},
	{"gcc, thrown away by gold", "ld.gold",
	 GCC("-O2 -g -fuse-ld=gold -ffunction-sections -Wl,--gc-sections")},
	{"gcc, split 4", NULL, GCC("-O2 -gdwarf-4 -gsplit-dwarf")},
	{"gcc, split 5", NULL, GCC("-O2 -gdwarf-5 -gsplit-dwarf")},
	{"gcc, package", "dwp",
	 GCC("-O2 -gdwarf-4 -gsplit-dwarf") " && dwp -e x -o x.dwp && rm -f *.dwo"},
	{"gcc, dwz", "dwz", GCC("-O2 -gdwarf-4") " && dwz x"},
	{"gcc, dwz 5", "dwz", GCC("-O2 -gdwarf-5") " && dwz x"},
	{"gcc, dwz with an alternate file", "dwz",
	 GCC("-O2 -gdwarf-4") " && cp x x.all && cp x y && dwz -m x.alt x y && rm y"},
	{"gcc, debug file", NULL,
	 GCC("-O2 -g") " && cp x x.all && objcopy --only-keep-debug x x.debug && strip -g x"},
	{"clang, DWARF 2", NULL, CLANG("-O2 -gdwarf-2")},
	{"clang, DWARF 3", NULL, CLANG("-O2 -gdwarf-3")},
	{"clang, DWARF 4", NULL, CLANG("-O2 -gdwarf-4")},
	{"clang, DWARF 5", NULL, CLANG("-O2 -gdwarf-5")},
	{"clang, not optimized", NULL, CLANG("-O0 -g")},
	{"clang, type units", NULL, CLANG("-O2 -gdwarf-5 -fdebug-types-section")},
	{"clang, parts thrown away", NULL,
	 CLANG("-O2 -gdwarf-5 -ffunction-sections -Wl,--gc-sections")},
	{"clang, thrown away by lld", "ld.lld",
	 CLANG("-O2 -gdwarf-4 -fuse-ld=lld -ffunction-sections -Wl,--gc-sections")},
	{"clang, thrown away by lld, DWARF 5", "ld.lld",
	 CLANG("-O2 -gdwarf-5 -fuse-ld=lld -ffunction-sections -Wl,--gc-sections")},
	{"clang, split 4", NULL, CLANG("-O2 -gdwarf-4 -gsplit-dwarf")},
	{"clang, split 5", NULL, CLANG("-O2 -gdwarf-5 -gsplit-dwarf")},
	{"clang, package", "llvm-dwp",
	 CLANG("-O2 -gdwarf-5 -gsplit-dwarf") " && llvm-dwp -e x -o x.dwp && rm -f *.dwo"},
	{"zstd", NULL, GCC("-O2 -g") " && objcopy --compress-debug-sections=zstd x x.debug"},
};

static bool has_program(const char *program)
{
	char command[256];
	snprintf(command, sizeof(command), "command -v %s >/dev/null 2>&1", program);
	return !system(command);
}

static int open_in(const char *dir, const char *name)
{
	char path[1024];
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return open(path, O_RDONLY | O_CLOEXEC);
}

static int open_split(void *ctx, enum dwarf_split_kind kind, const char *name,
		      const char *directory)
{
	int fd = open_in(kind == DWARF_SPLIT_DWP ? ctx : directory,
			 kind == DWARF_SPLIT_DWP ? "x.dwp" : name);
	return fd < 0 ? -errno : fd;
}

static struct gsym *write_and_open(struct gsym_builder *builder)
{
	static const uint8_t build_id[] = {1, 2, 3, 4};
	struct gsym *gsym;
	struct err err = {0};
	AUTO_FD fd = memfd_create("gsym", MFD_CLOEXEC);
	if (gsym_builder_write(builder, fd, build_id, sizeof(build_id), &err) ||
	    gsym_open(&gsym, fd, &err))
		fail_msg("%s", err.text);
	return gsym;
}

/* Everything is read as it is by users: through a scratch file on odd calls. */
static struct gsym *compile(const char *dir, bool has_scratch)
{
	struct err err = {0};
	struct elf_file *file, *alternate = NULL;
	struct symtab *symbols;
	struct gsym_builder *builder;
	struct dwarf_stats stats;
	int fd = open_in(dir, "x.debug");
	if (elf_file_open(&file, fd >= 0 ? fd : open_in(dir, "x"), &err))
		fail_msg("%s", err.text);
	fd = open_in(dir, "x.alt");
	if (fd >= 0 && elf_file_open_debug(&alternate, fd, &err))
		fail_msg("%s", err.text);
	assert_int_equal(symtab_read(&symbols, file, NULL), 0);
	assert_int_equal(gsym_builder_new(&builder, MAX_BUILDER_BYTES, NULL), 0);
	AUTO_FD scratch = has_scratch ? memfd_create("scratch", MFD_CLOEXEC) : -1;
	const struct dwarf_input input = {.file = file,
					  .alternate = alternate,
					  .symbols = symbols,
					  .scratch_fd = scratch,
					  .open_split = open_split,
					  .ctx = (void *)(uintptr_t)dir};
	if (dwarf_compile(&input, builder, &dwarf_default_limits, &stats, &err))
		fail_msg("%s", err.text);
	if (stats.bad_units || stats.split_missing || stats.problem.code)
		fail_msg("%s", stats.problem.text);
	assert_int_equal(gsym_symbols_add(builder, symbols, false, NULL), 0);
	struct gsym *gsym = write_and_open(builder);
	gsym_builder_free(builder);
	symtab_free(symbols);
	elf_file_free(alternate);
	elf_file_free(file);
	return gsym;
}

/* Functions of the sources above; not what the C library brings. */
static size_t list_addresses(const char *dir, uint64_t *vaddrs)
{
	AUTO_MEM char *path = NULL;
	assert_true(asprintf(&path, "%s/x.all", dir) > 0);
	struct readelf list = readelf_functions(path);
	size_t count = 0;
	for (size_t i = 0; i < list.count; i++) {
		const struct readelf_function *function = &list.functions[i];
		bool is_ours = !strncmp(function->name, "_Z", 2) ||
			       !strncmp(function->name, "add", 3) ||
			       !strncmp(function->name, "hidden", 6) ||
			       !strncmp(function->name, "in_assembler", 12) ||
			       !strncmp(function->name, "main", 4);
		for (uint64_t at = 0; is_ours && at < function->size_bytes; at++) {
			assert_true(count < MAX_ADDRESSES);
			vaddrs[count++] = function->vaddr + at;
		}
	}
	readelf_fini(&list);
	return count;
}

/* Of a function without a linkage name llvm has the bare name, and we the qualified one. Names of
 * clones ("f.cold") are the builder's matter. */
static bool same_name(const char *ours, const char *theirs)
{
	size_t ours_len = strcspn(ours, "."), len = strcspn(theirs, ".");
	if (ours_len < len || strncmp(ours + ours_len - len, theirs, len) != 0)
		return false;
	return ours_len == len ||
	       (ours_len > len + 2 && !strncmp(ours + ours_len - len - 2, "::", 2));
}

static void compare_place(const struct gsym_frame *frame, const char *place, const char *what,
			  uint64_t vaddr)
{
	char ours[4096];
	snprintf(ours, sizeof(ours), "%s%s%s:%u:", frame->directory,
		 frame->directory[0] && strcmp(frame->directory, "/") != 0 ? "/" : "",
		 frame->base[0] ? frame->base : "??", frame->line);
	/* A line without a file: llvm takes the name of a symbol of the file. */
	if (!frame->base[0] && strstr(place, ":0:"))
		return;
	if (strncmp(ours, place, strlen(ours)) != 0)
		fail_msg("%s, %#" PRIx64 ": %s at %s; llvm: %s", what, vaddr, frame->name, ours,
			 place);
}

/* One answer of llvm's: lines of name and place for each frame, and an empty line. */
static char *compare_answer(const struct gsym *gsym, uint64_t vaddr, char *text, const char *what)
{
	struct gsym_frame frames[MAX_FRAMES];
	struct gsym_answer answer;
	if (!gsym_lookup(gsym, vaddr, frames, MAX_FRAMES, &answer))
		fail_msg("%s: nothing at %#" PRIx64, what, vaddr);
	uint32_t count = 0;
	char *line = strsep(&text, "\n");
	for (; line && *line; line = strsep(&text, "\n"), count++) {
		char *place = strsep(&text, "\n");
		if (count >= answer.frame_count)
			fail_msg("%s, %#" PRIx64 ": %s is missing", what, vaddr, line);
		if (!same_name(frames[count].name, line))
			fail_msg("%s, %#" PRIx64 ": %s; llvm: %s", what, vaddr, frames[count].name,
				 line);
		compare_place(&frames[count], place, what, vaddr);
	}
	if (count != answer.frame_count)
		fail_msg("%s, %#" PRIx64 ": %s is too much", what, vaddr, frames[count].name);
	return text;
}

static void compare(const struct gsym *gsym, const char *dir, const char *what)
{
	AUTO_MEM uint64_t *vaddrs = calloc(MAX_ADDRESSES, sizeof(*vaddrs));
	size_t count = list_addresses(dir, vaddrs);
	assert_true(count > 200);
	struct buf list;
	buf_init(&list, 1 << 20);
	for (size_t i = 0; i < count; i++)
		buf_printf(&list, "%#" PRIx64 "\n", vaddrs[i]);
	AUTO_MEM char *path = NULL;
	assert_true(asprintf(&path, "%s/addresses", dir) > 0);
	tool_write_file(path, list.data, list.len_bytes);
	buf_fini(&list);
	AUTO_MEM char *output =
		tool_output("cd '%s' && llvm-symbolizer --obj=x.all --inlines --no-demangle "
			    "--functions=linkage <addresses",
			    dir);
	char *text = output;
	for (size_t i = 0; i < count; i++)
		text = compare_answer(gsym, vaddrs[i], text, what);
}

/* x.all: what llvm reads; it knows neither zstd nor alternate files. */
static void check_build(const struct build *build, bool has_scratch)
{
	char *dir = tool_dir_new();
	AUTO_MEM char *made =
		tool_output("cd '%s' && cat >a.cc <<'END'\n%sEND\ncat >b.c <<'END'\n%sEND\n"
			    "cat >c.S <<'END'\n%sEND\n",
			    dir, cxx_source, c_source, assembler_source);
	AUTO_MEM char *built =
		tool_output("cd '%s' && (%s) 2>&1 && if [ ! -e x.all ]; then cp x x.all; fi && "
			    "if [ -e x.dwp ]; then cp x.dwp x.all.dwp; fi",
			    dir, build->commands);
	struct gsym *gsym = compile(dir, has_scratch);
	compare(gsym, dir, build->what);
	gsym_free(gsym);
	tool_dir_remove(dir);
}

static void every_build_agrees_with_llvm(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(builds); i++) {
		if (builds[i].need && !has_program(builds[i].need)) {
			print_message("left out, no %s: %s\n", builds[i].need, builds[i].what);
			continue;
		}
		check_build(&builds[i], i % 2);
	}
}

int main(void)
{
	tool_need("gcc");
	tool_need("g++");
	tool_need("clang");
	tool_need("llvm-symbolizer");
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_build_agrees_with_llvm),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
