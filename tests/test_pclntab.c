#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "base/array.h"
#include "pclntab_maker.h"
#include "symbolizer/gsym.h"
#include "symbolizer/pclntab.h"
#include "tool.h"

enum { MAX_IMAGE_BYTES = 64 << 20, MAX_FRAMES = 128, MAX_TEXT_BYTES = 8192 };

static char *dir; /* of the fixtures, for the life of this program */

/* Builds keep what they compiled of Go's library between tests, and nothing after them. */
#define GO_ENV "env GO111MODULE=off GOFLAGS= GOTOOLCHAIN=local GOCACHE='%s/cache' "

static int compile(const char *path, struct gsym **gsym, struct pclntab_stats *stats,
		   struct err *err)
{
	AUTO(elf_file) file = NULL;
	AUTO(gsym_builder) builder = NULL;
	int rc = elf_file_open(&file, open(path, O_RDONLY | O_CLOEXEC), err);
	if (rc)
		fail_msg("%s: %s", path, err->text);
	assert_int_equal(gsym_builder_new(&builder, 1 << 30, err), 0);
	rc = pclntab_compile(file, builder, stats, err);
	if (rc)
		return rc;
	AUTO_FD fd = memfd_create("gsym", MFD_CLOEXEC);
	rc = gsym_builder_write(builder, fd, (const uint8_t *)"id", 2, err);
	if (rc)
		fail_msg("%s: %s", path, err->text);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	return gsym_open(gsym, fd, err);
}

static struct gsym *gsym_of(const char *path, struct pclntab_stats *stats)
{
	struct gsym *gsym = NULL;
	struct err err = {0};
	int rc = compile(path, &gsym, stats, &err);
	if (rc)
		fail_msg("%s: %d: %s", path, rc, err.text);
	return gsym;
}

static void append_frame(struct buf *text, const struct gsym_frame *frame)
{
	const char *slash = frame->directory[0] && strcmp(frame->directory, "/") ? "/" : "";
	buf_printf(text, "%s %s%s%s:%" PRIu32, frame->name, frame->directory, slash, frame->base,
		   frame->line);
}

/* "innermost /path/file.go:12|outer /path/file.go:34"; "?" where nothing is known. */
static char *chain_at(const struct gsym *gsym, uint64_t vaddr)
{
	struct gsym_frame frames[MAX_FRAMES];
	struct gsym_answer answer;
	struct buf text;
	buf_init(&text, 1 << 20);
	if (!gsym_lookup(gsym, vaddr, frames, MAX_FRAMES, &answer)) {
		buf_append_str(&text, "?");
		return buf_take_str(&text);
	}
	assert_in_range(vaddr, answer.start_vaddr, answer.end_vaddr - 1);
	for (uint32_t i = 0; i < answer.frame_count; i++) {
		buf_append_str(&text, i ? "|" : "");
		append_frame(&text, &frames[i]);
	}
	return buf_take_str(&text);
}

/* The same program in many forms: it says where it is, by Go's own runtime. Given the lowest
 * vaddr of its file and a file of addresses, the function, file and line of each; given the
 * lowest vaddr alone, its own stack. */
static const char program[] =
	"package main\n"
	"import (\"bufio\"; \"fmt\"; \"os\"; \"runtime\"; \"strings\"; CGO)\n"
	"type number interface{ ~int | ~float64 }\n"
	"func add[T number](a, b T) T { return a + b }\n"
	"func sum[T number](in []T) T { var s T; for _, x := range in { s = add(s, x) }; return s }\n"
	"type list[T any] struct{ items []T }\n"
	"//go:noinline\n"
	"func (l *list[T]) push(x T) { l.items = append(l.items, x) }\n"
	"//go:noinline\n"
	"func report(bias uintptr) {\n"
	"	pcs := make([]uintptr, 32)\n"
	"	pcs = pcs[:runtime.Callers(1, pcs)]\n"
	"	frames := runtime.CallersFrames(pcs)\n"
	"	for {\n"
	"		f, more := frames.Next()\n"
	"		fmt.Printf(\"%x %x %s %s:%d\\n\", f.PC-bias, f.Entry-bias, f.Function, f.File, f.Line)\n"
	"		if !more { break }\n"
	"	}\n"
	"}\n"
	"func innermost(bias uintptr) uintptr {\n"
	"	report(bias)\n"
	"	return bias + 1\n"
	"}\n"
	"func middle(bias uintptr) uintptr {\n"
	"	return innermost(bias) + 1\n"
	"}\n"
	"func outer(bias uintptr) uintptr {\n"
	"	if bias == 77 { return middle(1) }\n"
	"	return middle(bias) * 2\n"
	"}\n"
	"//go:noinline\n"
	"func physical(bias uintptr) uintptr {\n"
	"	x := outer(bias)\n"
	"	func() { x += outer(bias) }()\n"
	"	return x\n"
	"}\n"
	"func bias() uintptr {\n"
	"	maps, _ := os.ReadFile(\"/proc/self/maps\")\n"
	"	var start, first uintptr\n"
	"	for _, line := range strings.Split(string(maps), \"\\n\") {\n"
	"		if start == 0 && strings.HasSuffix(line, os.Args[0]) {\n"
	"			fmt.Sscanf(line, \"%x\", &start)\n"
	"		}\n"
	"	}\n"
	"	fmt.Sscanf(os.Args[1], \"%x\", &first)\n"
	"	return start - first\n"
	"}\n"
	"func main() {\n"
	"	var l list[string]\n"
	"	l.push(strings.Repeat(\"x\", sum([]int{1, 2}) + int(sum([]float64{1, 2}))))\n"
	"	if len(os.Args) < 3 { physical(bias()); return }\n"
	"	in, _ := os.Open(os.Args[2])\n"
	"	out := bufio.NewWriter(os.Stdout)\n"
	"	defer out.Flush()\n"
	"	scanner, b := bufio.NewScanner(in), bias()\n"
	"	for scanner.Scan() {\n"
	"		var vaddr uintptr\n"
	"		fmt.Sscanf(scanner.Text(), \"%v\", &vaddr)\n"
	"		f := runtime.FuncForPC(vaddr + b)\n"
	"		if f == nil { fmt.Fprintln(out, \"?\"); continue }\n"
	"		file, line := f.FileLine(vaddr + b)\n"
	"		fmt.Fprintf(out, \"%s %s:%d\\n\", f.Name(), file, line)\n"
	"	}\n"
	"}\n";

static const struct {
	const char *name, *flags;
	bool uses_cgo;
	const char *after; /* a command with the file's name after it, or "" */
} builds[] = {
	{"plain", "", false, ""},
	{"stripped", "-ldflags '-s -w'", false, ""},
	{"binutils", "", false, "strip"},
	{"headless", "-ldflags '-s -w'", false, "llvm-objcopy --strip-sections"},
	{"not_inlined", "-gcflags -l -ldflags '-s -w'", false, ""},
	{"pie", "-buildmode=pie -ldflags '-s -w'", false, ""},
	{"pie_headless", "-buildmode=pie -ldflags '-s -w'", false, "llvm-objcopy --strip-sections"},
	{"cgo", "-ldflags '-s -w'", true, ""},
	{"cgo_external", "-ldflags '-s -w -linkmode=external'", true, ""},
	{"cgo_pie", "-buildmode=pie -ldflags '-s -w -linkmode=external'", true, ""},
};

static char *fixture(size_t i)
{
	char *path = NULL;
	assert_true(asprintf(&path, "%s/%s", dir, builds[i].name) > 0);
	if (!access(path, F_OK))
		return path;
	free(tool_output(GO_ENV "go build %s -o '%s' '%s/%s.go' 2>&1", dir, builds[i].flags, path,
			 dir, builds[i].uses_cgo ? "cgo" : "plain"));
	if (builds[i].after[0])
		free(tool_output("%s '%s'", builds[i].after, path));
	return path;
}

static uint64_t lowest_vaddr(const char *path)
{
	AUTO_MEM char *text = tool_output("readelf -lW '%s' | awk '$1 == \"LOAD\" {print $3}' | "
					  "sort | head -1",
					  path);
	return strtoull(text, NULL, 16) & ~UINT64_C(4095);
}

/* Where the code of the Go functions is, by the answers themselves. */
static size_t write_addresses(const char *path, const struct gsym *gsym, uint64_t step)
{
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	size_t count = 0;
	uint64_t found_to = 0;
	for (uint64_t vaddr = 0x1000; vaddr < 0x400000 + (8 << 20); vaddr += step) {
		struct gsym_frame frames[1];
		struct gsym_answer answer;
		if (!gsym_lookup(gsym, vaddr, frames, 1, &answer))
			continue;
		fprintf(file, "0x%" PRIx64 "\n", vaddr);
		found_to = vaddr;
		count++;
	}
	fclose(file);
	assert_true(found_to > 0);
	return count;
}

/* Every address of the program, as the program's own runtime names it: innermost function, file
 * and line. */
static void as_the_runtime(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(builds); i++) {
		AUTO_MEM char *path = fixture(i);
		struct pclntab_stats stats;
		AUTO(gsym) gsym = gsym_of(path, &stats);
		char addresses[1024];
		snprintf(addresses, sizeof(addresses), "%s/addresses", dir);
		size_t count = write_addresses(addresses, gsym, 7), padding = 0, same = 0;
		AUTO_MEM char *theirs =
			tool_output("'%s' %" PRIx64 " '%s'", path, lowest_vaddr(path), addresses);
		FILE *file = fopen(addresses, "r");
		char *save = NULL, line[64];
		for (char *expected = strtok_r(theirs, "\n", &save); expected;
		     expected = strtok_r(NULL, "\n", &save)) {
			assert_non_null(fgets(line, sizeof(line), file));
			AUTO_MEM char *chain = chain_at(gsym, strtoull(line, NULL, 16));
			chain[strcspn(chain, "|")] = 0;
			size_t len = strlen(expected);
			if (len >= 4 && !strcmp(expected + len - 4, " ?:0")) {
				/* Between functions: ours say so by line 0. */
				assert_string_equal(chain + strlen(chain) - 3, " :0");
				padding++;
				continue;
			}
			/* The runtime takes the first name in its table for none. */
			const char *ours = expected[0] == ' ' ? strrchr(chain, ' ') : chain;
			if (strcmp(ours, expected) != 0)
				fail_msg("%s %s: %s, not %s", path, line, chain, expected);
			same++;
		}
		fclose(file);
		print_message("%s: %zu the same, %zu padding; %" PRIu64 " functions, %" PRIu64
			      " lines, %" PRIu64 " inlined calls\n",
			      builds[i].name, same, padding, stats.functions, stats.lines,
			      stats.inlined_calls);
		assert_int_equal(same + padding, count);
		assert_true(same > 50000);
		assert_true(stats.inlined_calls > 1000);
		assert_int_equal(stats.malformed, 0);
	}
}

/* A stack as runtime.CallersFrames tells it: frames of one function that is really there share
 * its entry, the inlined ones first. */
static void stacks_as_the_runtime(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(builds); i++) {
		AUTO_MEM char *path = fixture(i);
		struct pclntab_stats stats;
		AUTO(gsym) gsym = gsym_of(path, &stats);
		AUTO_MEM char *text = tool_output("'%s' %" PRIx64, path, lowest_vaddr(path));
		struct buf wanted; /* the frames of one entry */
		buf_init(&wanted, 1 << 20);
		uint64_t wanted_pc = 0, wanted_entry = 0;
		size_t chains = 0, deepest = 0, depth = 0;
		char *save = NULL;
		for (char *line = strtok_r(text, "\n", &save);;
		     line = strtok_r(NULL, "\n", &save)) {
			uint64_t pc = 0, entry = 0;
			int at = 0;
			if (line)
				assert_int_equal(sscanf(line, "%" SCNx64 " %" SCNx64 " %n", &pc,
							&entry, &at),
						 2);
			/* physical() calls twice, the second time in a function of its own. */
			bool is_next =
				!line || entry != wanted_entry || strstr(line, " main.report ");
			if (is_next && wanted.len_bytes) {
				AUTO_MEM char *chain = chain_at(gsym, wanted_pc);
				buf_append_u8(&wanted, 0);
				if (strcmp(chain, wanted.data) != 0)
					fail_msg("%s %#" PRIx64 ": %s, not %s", path, wanted_pc,
						 chain, wanted.data);
				chains++;
				deepest = depth > deepest ? depth : deepest;
			}
			if (!line)
				break;
			if (is_next) {
				buf_clear(&wanted);
				wanted_pc = pc;
				wanted_entry = entry;
				depth = 0;
			}
			depth++;
			buf_printf(&wanted, "%s%s", is_next ? "" : "|", line + at);
		}
		buf_fini(&wanted);
		assert_true(chains >= 8);
		/* innermost and middle in outer, or in what that is in */
		bool is_inlined = strcmp(builds[i].name, "not_inlined");
		assert_in_range(deepest, is_inlined ? 3 : 1, is_inlined ? 4 : 1);
	}
}

/* `go tool addr2line` of the twin with symbols: the function that is really there, and file and
 * line of the innermost one. */
static void as_addr2line(void **state)
{
	(void)state;
	AUTO_MEM char *whole = fixture(0);
	AUTO_MEM char *stripped = fixture(1);
	struct pclntab_stats stats;
	AUTO(gsym) gsym = gsym_of(stripped, &stats);
	char addresses[1024];
	snprintf(addresses, sizeof(addresses), "%s/addresses", dir);
	size_t count = write_addresses(addresses, gsym, 7), compared = 0;
	AUTO_MEM char *theirs = tool_output(
		GO_ENV "go tool addr2line '%s' < '%s' | paste -d '\\t' - -", dir, whole, addresses);
	FILE *file = fopen(addresses, "r");
	char *save = NULL, line[64];
	for (char *expected = strtok_r(theirs, "\n", &save); expected;
	     expected = strtok_r(NULL, "\n", &save), compared++) {
		assert_non_null(fgets(line, sizeof(line), file));
		AUTO_MEM char *chain = chain_at(gsym, strtoull(line, NULL, 16));
		char *outermost = strrchr(chain, '|');
		outermost = outermost ? outermost + 1 : chain;
		char *tab = strchr(expected, '\t');
		assert_non_null(tab);
		*tab = 0;
		assert_int_equal(strncmp(outermost, expected, strlen(expected)), 0);
		assert_int_equal(outermost[strlen(expected)], ' ');
		const char *place = strcmp(tab + 1, ":-1") ? tab + 1 : ":0";
		chain[strcspn(chain, "|")] = 0;
		assert_string_equal(strrchr(chain, ' ') + 1, place);
	}
	fclose(file);
	assert_int_equal(compared, count);
}

/* A line of llvm-symbolizer --output-style=GNU -a -f -i, in our words. */
static void take_llvm(struct buf *text, const char *function, char *place)
{
	char name[MAX_TEXT_BYTES];
	snprintf(name, sizeof(name), "%s", function);
	char *suffix = strstr(name, ".abi0"); /* the linker's, not the runtime's */
	if (suffix && !suffix[5])
		*suffix = 0;
	if (!strncmp(place, "./", 2))
		place += 2; /* "./<autogenerated>" */
	place[strcspn(place, " ")] = 0;
	buf_printf(text, "%s%s %s", text->len_bytes ? "|" : "", name, place);
}

/* Whole chains everywhere, by the DWARF of the twin: another source of the same compiler, which
 * rounds differently in few places, and which tells array types apart where Go's runtime writes
 * "[...]". */
static void chains_as_dwarf(void **state)
{
	(void)state;
	AUTO_MEM char *whole = fixture(0);
	AUTO_MEM char *stripped = fixture(1);
	struct pclntab_stats stats;
	AUTO(gsym) gsym = gsym_of(stripped, &stats);
	char addresses[1024];
	snprintf(addresses, sizeof(addresses), "%s/addresses", dir);
	write_addresses(addresses, gsym, 7);
	AUTO_MEM char *theirs = tool_output("llvm-symbolizer --obj='%s' --inlines --no-demangle "
					    "--output-style=GNU --addresses < '%s'",
					    whole, addresses);
	struct buf wanted;
	buf_init(&wanted, 1 << 20);
	size_t same = 0, differ = 0, generic = 0;
	uint64_t vaddr = 0;
	char *save = NULL;
	for (char *line = strtok_r(theirs, "\n", &save);; line = strtok_r(NULL, "\n", &save)) {
		if (line && strncmp(line, "0x", 2) != 0) {
			char *place = strtok_r(NULL, "\n", &save);
			assert_non_null(place);
			take_llvm(&wanted, line, place);
			continue;
		}
		if (wanted.len_bytes) {
			AUTO_MEM char *chain = chain_at(gsym, vaddr);
			buf_append_u8(&wanted, 0);
			bool is_padding = !strcmp(chain + strlen(chain) - 3, " :0");
			bool is_generic = strstr(chain, "[...]");
			bool is_same = !strcmp(chain, wanted.data);
			same += is_same;
			generic += !is_same && is_generic;
			differ += !is_same && !is_generic && !is_padding;
		}
		if (!line)
			break;
		vaddr = strtoull(line, NULL, 16);
		buf_clear(&wanted);
	}
	buf_fini(&wanted);
	print_message("chains: %zu the same, %zu with [...], %zu differ\n", same, generic, differ);
	assert_true(same > 50000);
	assert_true(differ * 1000 < same);
}

static const struct {
	const char *name;
	uint16_t go_minor;
} layouts[] = {{"go2", 2}, {"go16", 16}, {"go18", 18}, {"go20", 20}, {"go26", 20}};

static char *read_layout(size_t i, size_t *len_bytes)
{
	char path[1024];
	snprintf(path, sizeof(path), "%s/%s", dir, layouts[i].name);
	FILE *file = fopen(path, "r");
	assert_non_null(file);
	char *data = malloc(1 << 16);
	*len_bytes = fread(data, 1, 1 << 16, file);
	fclose(file);
	return data;
}

static int compile_data(const void *data, size_t len_bytes, struct gsym **gsym,
			struct pclntab_stats *stats, struct err *err)
{
	char path[1024];
	struct buf image;
	buf_init(&image, MAX_IMAGE_BYTES);
	pclntab_make_image(&image, data, len_bytes);
	snprintf(path, sizeof(path), "%s/image", dir);
	tool_write_file(path, image.data, image.len_bytes);
	buf_fini(&image);
	return compile(path, gsym, stats, err);
}

/* What make.sh says is in its tables. */
static const struct {
	uint64_t vaddr;
	const char *chain;
} places[] = {
	{0xfff, "?"},
	{0x1000, "main.outer /src/a.go:10"},
	{0x100f, "main.outer /src/a.go:10"},
	{0x1010, "main.inner /src/a.go:20|main.outer /src/a.go:10"},
	{0x1017, "main.inner /src/a.go:20|main.outer /src/a.go:10"},
	{0x1018, "main.leaf /src/b.go:30|main.inner /src/a.go:20|main.outer /src/a.go:10"},
	{0x101f, "main.leaf /src/b.go:30|main.inner /src/a.go:20|main.outer /src/a.go:10"},
	{0x1020, "main.inner /src/a.go:20|main.outer /src/a.go:10"},
	{0x102f, "main.inner /src/a.go:20|main.outer /src/a.go:10"},
	{0x1030, "main.outer /src/a.go:10"},
	{0x103f, "main.outer /src/a.go:10"},
	{0x1040, "main.last /src/a.go:40"},
	{0x105f, "main.last /src/a.go:40"},
	{0x1060, "main.last :0"},
	{0x107f, "main.last :0"},
	{0x1080, "?"},
};

static void every_layout(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(layouts); i++) {
		size_t len_bytes;
		AUTO_MEM char *data = read_layout(i, &len_bytes);
		AUTO(gsym) gsym = NULL;
		struct pclntab_stats stats = {0};
		struct err err = {0};
		int rc = compile_data(data, len_bytes, &gsym, &stats, &err);
		if (rc)
			fail_msg("%s: %d: %s", layouts[i].name, rc, err.text);
		for (size_t j = 0; j < ARRAY_LEN(places); j++) {
			AUTO_MEM char *chain = chain_at(gsym, places[j].vaddr);
			if (strcmp(chain, places[j].chain) != 0)
				fail_msg("%s %#" PRIx64 ": %s, not %s", layouts[i].name,
					 places[j].vaddr, chain, places[j].chain);
		}
		assert_int_equal(stats.functions, 2);
		assert_int_equal(stats.inlined_calls, 2);
		assert_int_equal(stats.malformed, 0);
		assert_int_equal(stats.go_minor, layouts[i].go_minor);
	}
}

/* Bytes of the table for 1.18 that are changed; words are of 8 bytes. */
static const struct {
	const char *label;
	size_t off, len_bytes;
	uint64_t value;
	int code;
} damages[] = {
	{"another magic", 0, 4, 0xfffffff2, -ENOENT},
	{"the magic of 1.20", 0, 4, 0xfffffff1, 0}, /* of which it is none: see below */
	{"padding", 4, 1, 1, -ENOENT},
	{"steps of 3 bytes", 6, 1, 3, -ENOENT},
	{"pointers of 4 bytes", 7, 1, 4, -ENOENT},
	{"no functions", 8, 8, 0, -ENOENT},
	{"more functions than bytes", 8, 8, 1000, -ENOENT},
	{"endless functions", 8, 8, UINT64_MAX, -ENOENT},
	{"names past the end", 32, 8, 100000, -ENOENT},
	{"names behind units", 32, 8, 300, -ENOENT},
	{"units past the end", 40, 8, UINT64_MAX, -ENOENT},
	{"files before units", 48, 8, 72, -ENOENT},
	{"values past the end", 56, 8, INT64_MAX, -ENOENT},
	{"functions past the end", 64, 8, UINT32_MAX, -ENOENT},
	{"text elsewhere", 24, 8, 0x900000, 0}, /* moduledata knows */
};

static void damaged_headers(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(damages); i++) {
		size_t len_bytes;
		AUTO_MEM char *data = read_layout(2, &len_bytes);
		memcpy(data + damages[i].off, &damages[i].value, damages[i].len_bytes);
		AUTO(gsym) gsym = NULL;
		struct pclntab_stats stats = {.functions = 77};
		struct err err = {0};
		int rc = compile_data(data, len_bytes, &gsym, &stats, &err);
		if (rc != damages[i].code)
			fail_msg("%s: %d: %s", damages[i].label, rc, err.text);
		if (rc) {
			assert_int_equal(stats.functions, 77);
			assert_string_equal(err.text, "no Go function table");
		}
	}
}

static void cut_and_changed_anywhere(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(layouts); i++) {
		size_t len_bytes;
		AUTO_MEM char *data = read_layout(i, &len_bytes);
		for (size_t at = 0; at < len_bytes; at++) {
			struct pclntab_stats stats;
			AUTO(gsym) cut = NULL;
			AUTO(gsym) changed = NULL;
			compile_data(data, at, &cut, &stats, NULL);
			data[at] = (char)(data[at] ^ 0xff);
			compile_data(data, len_bytes, &changed, &stats, NULL);
			data[at] = (char)(data[at] ^ 0xff);
		}
	}
}

static void not_go(void **state)
{
	(void)state;
	static const char *const paths[] = {"/proc/self/exe", "/bin/sh"};
	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		struct gsym *gsym = NULL;
		struct pclntab_stats stats = {.functions = 77};
		struct err err = {0};
		assert_int_equal(compile(paths[i], &gsym, &stats, &err), -ENOENT);
		assert_int_equal(stats.functions, 77);
		assert_string_equal(err.text, "no Go function table");
	}
}

static void write_source(const char *name, const char *cgo, const char *imports)
{
	char path[1024];
	struct buf text;
	buf_init(&text, 1 << 20);
	const char *mark = strstr(program, "; CGO"), *rest = mark + strlen("; CGO");
	buf_append(&text, program, (size_t)(mark - program));
	buf_printf(&text, "; %s%s%s", imports, rest, cgo);
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	tool_write_file(path, text.data, text.len_bytes);
	buf_fini(&text);
}

static int set_up(void **state)
{
	(void)state;
	dir = tool_dir_new();
	write_source("plain.go", "", "");
	/* net brings C in, through its resolver */
	write_source("cgo.go", "func init() { net.ParseIP(os.Getenv(\"ADDRESS\")) }\n", "\"net\"");
	free(tool_output("%s/corpus/pclntab/make.sh '%s'", TEST_SOURCE_DIR, dir));
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	free(tool_output("chmod -R u+w '%s'", dir));
	tool_dir_remove(dir);
	return 0;
}

int main(void)
{
	tool_need("go");
	tool_need("gcc");
	tool_need("strip");
	tool_need("python3");
	tool_need("readelf");
	tool_need("llvm-objcopy");
	tool_need("llvm-symbolizer");
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(as_the_runtime),
		cmocka_unit_test(stacks_as_the_runtime),
		cmocka_unit_test(as_addr2line),
		cmocka_unit_test(chains_as_dwarf),
		cmocka_unit_test(every_layout),
		cmocka_unit_test(damaged_headers),
		cmocka_unit_test(cut_and_changed_anywhere),
		cmocka_unit_test(not_go),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
