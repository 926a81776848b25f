#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/array.h"
#include "symbolizer/debug_file.h"
#include "symbolizer/debug_file_links.h"
#include "tool.h"

static char *files; /* what the rows below place, made once */

/* What distributions do to their files, with their tools. */
static const char recipe[] =
	"exec 2>&1; set -e; cd '%s'\n"
	"printf '%%s' 'struct shared { int number; long other; char name[32]; };\n"
	"static __attribute__((noinline)) int local_leaf(struct shared *s)\n"
	"{ __asm__(\"\" : \"+r\"(s)); return s->number; }\n"
	"int main(void) { struct shared s = {ANSWER, 2, \"\"}; return local_leaf(&s); }\n"
	"' >a.c\n"
	"gcc -g -O1 -DANSWER=1 -o full a.c; gcc -g -O1 -DANSWER=2 -o other a.c\n"
	"gcc -g -O1 -DANSWER=1 -Wl,--build-id=none -o noid a.c\n"
	"for f in full other noid; do objcopy --only-keep-debug $f $f.debug; done\n"
	"strip -o stripped full; strip -o noid_stripped noid\n"
	"strip --strip-debug -o symbols full\n"
	"objcopy --add-gnu-debuglink=full.debug stripped linked\n"
	"objcopy --add-gnu-debuglink=noid.debug noid_stripped noid_linked\n"
	"eu-strip -f eu.debug -o eu_linked full\n"
	"cp full.debug damaged.debug; printf x >>damaged.debug\n"
	"cp noid.debug noid_damaged.debug; printf x >>noid_damaged.debug\n"
	"head -c 100 full.debug >cut.debug\n"
	"printf '%%s' local_leaf >keep\n"
	"objcopy -S --keep-symbols=keep full.debug mini 2>/dev/null; xz -k mini\n"
	"objcopy --add-section .gnu_debugdata=mini.xz stripped mini_in\n"
	"head -c 100 mini.xz >cut.xz\n"
	"objcopy --add-section .gnu_debugdata=cut.xz stripped mini_cut\n"
	"objcopy --add-section .gnu_debugdata=mini.xz linked mini_linked\n"
	"for where in relative absolute; do\n"
	"  cp full.debug $where.debug; cp other.debug $where.other; done\n"
	"dwz -m relative.shared -M ../../.dwz/pkg/shared.debug relative.debug relative.other\n"
	"dwz -m absolute.shared -M /opt/.dwz/pkg/shared.debug absolute.debug absolute.other\n"
	"cp full whole; cp other whole.other\n"
	"dwz -m whole.shared -M near.shared whole whole.other; echo done\n";

static int setup_files(void **state)
{
	(void)state;
	files = tool_dir_new();
	char *said = tool_output(recipe, files);
	assert_non_null(strstr(said, "done"));
	free(said);
	return 0;
}

static int teardown_files(void **state)
{
	(void)state;
	tool_dir_remove(files);
	return 0;
}

static struct elf_file *open_elf(const char *name)
{
	char path[1024];
	struct elf_file *file;
	struct err err = {0};
	snprintf(path, sizeof(path), "%s/%s", files, name);
	if (elf_file_open_debug(&file, open(path, O_RDONLY | O_CLOEXEC), &err))
		fail_msg("%s: %s", name, err.text);
	return file;
}

/* ".build-id/xx/yyyy.debug" of a file. */
static void build_id_path(char *path, size_t path_bytes, const char *name)
{
	uint8_t id[ELF_BUILD_ID_MAX_BYTES];
	struct elf_file *file = open_elf(name);
	size_t id_bytes = elf_file_build_id(file, id);
	elf_file_free(file);
	assert_int_equal(id_bytes, 20);
	int len = snprintf(path, path_bytes, ".build-id/%02x/", id[0]);
	for (size_t i = 1; i < id_bytes; i++)
		len += snprintf(path + len, path_bytes - (size_t)len, "%02x", id[i]);
	snprintf(path + len, path_bytes - (size_t)len, ".debug");
}

/* pattern with "%NAME%" replaced by the build-ID path of that file. */
static const char *expand(char *path, size_t path_bytes, const char *pattern)
{
	const char *first = strchr(pattern, '%');
	const char *second = first ? strchr(first + 1, '%') : NULL;
	char name[64], id_path[128];
	if (!second) {
		snprintf(path, path_bytes, "%s", pattern);
		return path;
	}
	snprintf(name, sizeof(name), "%.*s", (int)(second - first - 1), first + 1);
	build_id_path(id_path, sizeof(id_path), name);
	snprintf(path, path_bytes, "%.*s%s%s", (int)(first - pattern), pattern, id_path,
		 second + 1);
	return path;
}

enum { PROCESS, MACHINE, ROOTS };
#define ID  "/usr/lib/debug/"
#define EXE "/opt/app/bin/prog" /* where the executable is in the root of its process */

struct placed {
	const char *file; /* "@TARGET": a link; "|": a FIFO; "/": a directory */
	int root;
	const char *path;
};

static const struct scenario {
	const char *executable;
	struct placed placed[3];
	int rc;
	enum debug_file_kind kind;
	const char *where; /* or what is in the sentence */
	int alternate;     /* 0: none named; 1: found; -1: not found */
} scenarios[] = {
	/* build IDs */
	{"stripped",
	 {{"full.debug", PROCESS, ID "%full%"}},
	 0,
	 DEBUG_FILE_SEPARATE,
	 ID "%full%",
	 0},
	{"stripped",
	 {{"full.debug", MACHINE, ID "%full%"}},
	 0,
	 DEBUG_FILE_SEPARATE,
	 ID "%full%",
	 0},
	{"symbols", {{"full.debug", MACHINE, ID "%full%"}}, 0, DEBUG_FILE_SEPARATE, ID "%full%", 0},
	{"stripped", {{"full", PROCESS, ID "%full%"}}, 0, DEBUG_FILE_SEPARATE, ID "%full%", 0},
	{"stripped",
	 {{"full.debug", MACHINE, "/srv/debug/%full%"}},
	 0,
	 DEBUG_FILE_SEPARATE,
	 "/srv/debug/%full%",
	 0},
	{"eu_linked", {{"eu.debug", PROCESS, ID "%full%"}}, 0, DEBUG_FILE_SEPARATE, ID "%full%", 0},
	{"stripped",
	 {{"@../../lost", PROCESS, ID "%full%"}, {"full.debug", PROCESS, ID "lost"}},
	 0,
	 DEBUG_FILE_SEPARATE,
	 ID "%full%",
	 0},
	/* the process's root comes before the machine's, and build IDs before links */
	{"linked",
	 {{"full.debug", PROCESS, "/opt/app/bin/full.debug"}, {"full.debug", MACHINE, ID "%full%"}},
	 0,
	 DEBUG_FILE_SEPARATE,
	 "/opt/app/bin/full.debug",
	 0},
	{"linked",
	 {{"full.debug", PROCESS, "/opt/app/bin/full.debug"}, {"full.debug", PROCESS, ID "%full%"}},
	 0,
	 DEBUG_FILE_SEPARATE,
	 ID "%full%",
	 0},
	/* links */
	{"linked",
	 {{"full.debug", PROCESS, "/opt/app/bin/full.debug"}},
	 0,
	 DEBUG_FILE_SEPARATE,
	 "/opt/app/bin/full.debug",
	 0},
	{"linked",
	 {{"full.debug", PROCESS, "/opt/app/bin/.debug/full.debug"}},
	 0,
	 DEBUG_FILE_SEPARATE,
	 "/opt/app/bin/.debug/full.debug",
	 0},
	{"linked",
	 {{"full.debug", MACHINE, ID "opt/app/bin/full.debug"}},
	 0,
	 DEBUG_FILE_SEPARATE,
	 ID "opt/app/bin/full.debug",
	 0},
	{"linked",
	 {{"full.debug", MACHINE, "/srv/debug/opt/app/bin/full.debug"}},
	 0,
	 DEBUG_FILE_SEPARATE,
	 "/srv/debug/opt/app/bin/full.debug",
	 0},
	{"noid_linked",
	 {{"noid.debug", PROCESS, "/opt/app/bin/noid.debug"}},
	 0,
	 DEBUG_FILE_SEPARATE,
	 "/opt/app/bin/noid.debug",
	 0},
	{"eu_linked",
	 {{"eu.debug", PROCESS, "/opt/app/bin/eu.debug"}},
	 0,
	 DEBUG_FILE_SEPARATE,
	 "/opt/app/bin/eu.debug",
	 0},
	/* a wrong one does not hide the right one */
	{"linked",
	 {{"other.debug", PROCESS, ID "%full%"},
	  {"damaged.debug", PROCESS, "/opt/app/bin/full.debug"},
	  {"full.debug", PROCESS, "/opt/app/bin/.debug/full.debug"}},
	 0,
	 DEBUG_FILE_SEPARATE,
	 "/opt/app/bin/.debug/full.debug",
	 0},
	/* what is in the executable */
	{"full",
	 {{"other.debug", PROCESS, ID "%full%"}},
	 0,
	 DEBUG_FILE_ITSELF,
	 "the executable itself",
	 0},
	{"mini_in", {{0}}, 0, DEBUG_FILE_MINI, "its own .gnu_debugdata", 0},
	{"mini_linked",
	 {{"full.debug", PROCESS, "/opt/app/bin/full.debug"}},
	 0,
	 DEBUG_FILE_SEPARATE,
	 "/opt/app/bin/full.debug",
	 0},
	{"mini_linked",
	 {{"damaged.debug", PROCESS, "/opt/app/bin/full.debug"}},
	 0,
	 DEBUG_FILE_MINI,
	 "its own .gnu_debugdata",
	 0},
	/* dwz */
	{"stripped",
	 {{"relative.debug", PROCESS, ID "%full%"},
	  {"relative.shared", PROCESS, ID ".dwz/pkg/shared.debug"}},
	 0,
	 DEBUG_FILE_SEPARATE,
	 ID "%full%",
	 1},
	{"stripped",
	 {{"@/var/x/y/deep", PROCESS, ID "%full%"},
	  {"relative.debug", PROCESS, "/var/x/y/deep"},
	  {"relative.shared", PROCESS, "/var/.dwz/pkg/shared.debug"}},
	 0,
	 DEBUG_FILE_SEPARATE,
	 ID "%full%",
	 1},
	{"stripped",
	 {{"relative.debug", PROCESS, ID "%full%"},
	  {"relative.shared", MACHINE, "/srv/debug/.dwz/pkg/shared.debug"}},
	 0,
	 DEBUG_FILE_SEPARATE,
	 ID "%full%",
	 1},
	{"stripped",
	 {{"relative.debug", PROCESS, ID "%full%"},
	  {"relative.shared", MACHINE, ID "%relative.shared%"}},
	 0,
	 DEBUG_FILE_SEPARATE,
	 ID "%full%",
	 1},
	{"stripped",
	 {{"absolute.debug", PROCESS, ID "%full%"},
	  {"absolute.shared", PROCESS, "/opt/.dwz/pkg/shared.debug"}},
	 0,
	 DEBUG_FILE_SEPARATE,
	 ID "%full%",
	 1},
	{"whole",
	 {{"whole.shared", PROCESS, "/opt/app/bin/near.shared"}},
	 0,
	 DEBUG_FILE_ITSELF,
	 "the executable itself",
	 1},
	{"stripped",
	 {{"relative.debug", PROCESS, ID "%full%"}},
	 0,
	 DEBUG_FILE_SEPARATE,
	 ID "%full%",
	 -1},
	{"stripped",
	 {{"relative.debug", PROCESS, ID "%full%"},
	  {"other.debug", PROCESS, ID ".dwz/pkg/shared.debug"}},
	 0,
	 DEBUG_FILE_SEPARATE,
	 ID "%full%",
	 -1},
	{"stripped",
	 {{"relative.debug", PROCESS, ID "%full%"}, {"|", PROCESS, ID ".dwz/pkg/shared.debug"}},
	 0,
	 DEBUG_FILE_SEPARATE,
	 ID "%full%",
	 -1},
	/* nothing, and what is not it */
	{"stripped", {{0}}, -ENOENT, 0, "no .gnu_debuglink", 0},
	{"symbols", {{0}}, -ENOENT, 0, "debuginfod is off", 0},
	{"linked", {{0}}, -ENOENT, 0, "no full.debug beside it", 0},
	{"noid_linked", {{0}}, -ENOENT, 0, "no build ID", 0},
	{"stripped", {{"other.debug", PROCESS, ID "%full%"}}, -ENOENT, 0, "of another build", 0},
	{"stripped", {{"noid.debug", PROCESS, ID "%full%"}}, -ENOENT, 0, "has no build ID", 0},
	{"stripped", {{"stripped", PROCESS, ID "%full%"}}, -ENOENT, 0, "no debug information", 0},
	{"stripped", {{"cut.debug", PROCESS, ID "%full%"}}, -ENOENT, 0, "the file ends before", 0},
	{"stripped", {{"a.c", PROCESS, ID "%full%"}}, -ENOENT, 0, "not an ELF file", 0},
	{"stripped", {{"|", PROCESS, ID "%full%"}}, -ENOENT, 0, "not a regular file", 0},
	{"stripped", {{"/", PROCESS, ID "%full%"}}, -ENOENT, 0, "not a regular file", 0},
	{"stripped",
	 {{"@%FILES%/full.debug", PROCESS, ID "%full%"}},
	 -ENOENT,
	 0,
	 "no debug file",
	 0},
	{"stripped",
	 {{"@../../../../../../machine/lost", PROCESS, ID "%full%"},
	  {"full.debug", MACHINE, "/lost"}},
	 -ENOENT,
	 0,
	 "no debug file",
	 0},
	{"linked",
	 {{"damaged.debug", PROCESS, "/opt/app/bin/full.debug"}},
	 -ENOENT,
	 0,
	 "its checksum is another",
	 0},
	{"linked",
	 {{"other.debug", PROCESS, "/opt/app/bin/full.debug"}},
	 -ENOENT,
	 0,
	 "of another build",
	 0},
	{"noid_linked",
	 {{"noid_damaged.debug", PROCESS, "/opt/app/bin/noid.debug"}},
	 -ENOENT,
	 0,
	 "its checksum is another",
	 0},
	{"mini_cut", {{0}}, -ENOENT, 0, "the xz file ends early", 0},
};

static void place(const char *root, const struct placed *placed)
{
	char path[1024], full[2048];
	expand(path, sizeof(path), placed->path);
	snprintf(full, sizeof(full), "%s%s", root, path);
	char *made = tool_output("mkdir -p \"$(dirname '%s')\"; echo", full);
	free(made);
	if (placed->file[0] == '|') {
		assert_int_equal(mkfifo(full, 0644), 0);
	} else if (placed->file[0] == '/') {
		assert_int_equal(mkdir(full, 0755), 0);
	} else if (!strncmp(placed->file, "@%FILES%", 8)) {
		snprintf(path, sizeof(path), "%s%s", files, placed->file + 8);
		assert_int_equal(symlink(path, full), 0);
	} else if (placed->file[0] == '@') {
		assert_int_equal(symlink(placed->file + 1, full), 0);
	} else {
		snprintf(path, sizeof(path), "%s/%s", files, placed->file);
		assert_int_equal(link(path, full), 0);
	}
}

static void check_found(const struct scenario *scenario, size_t row, const struct debug_file *found)
{
	char where[1024];
	expand(where, sizeof(where), scenario->where);
	if (found->kind != scenario->kind || strcmp(found->where, where) != 0)
		fail_msg("row %zu: kind %d, \"%s\"", row, (int)found->kind, found->where);
	assert_int_equal(found->fd >= 0, scenario->kind != DEBUG_FILE_ITSELF);
	assert_int_equal(found->has_dwarf, scenario->kind != DEBUG_FILE_MINI);
	assert_false(found->is_pending);
	int alternate = found->alternate_fd >= 0 ? 1 : found->alternate[0] ? -1 : 0;
	if (alternate != scenario->alternate)
		fail_msg("row %zu: alternate %d (%s)", row, alternate, found->alternate);
	if (alternate < 0)
		assert_non_null(strstr(found->alternate, "is missing"));
}

/* All of the sentence is there: what was tried, and what to do. */
static void check_sentence(const struct scenario *scenario, size_t row, int rc,
			   const struct err *err)
{
	if (rc != scenario->rc || err->code != rc)
		fail_msg("row %zu: %d (%s)", row, rc, err->text);
	if (!strstr(err->text, scenario->where) || strncmp(err->text, "no debug file", 13) != 0 ||
	    !strstr(err->text, "or set DEBUGINFOD_URLS"))
		fail_msg("row %zu: \"%s\"", row, err->text);
}

static void find_one(const struct scenario *scenario, size_t row, const int *root_fds)
{
	static const char *const dirs[] = {"/srv/debug"};
	const struct debug_search search = {
		.root_fds = root_fds,
		.root_count = ROOTS,
		.executable_path = EXE,
		.debug_dirs = dirs,
		.debug_dir_count = 1,
	};
	struct elf_file *executable = open_elf(scenario->executable);
	struct debug_file found = {.fd = -7};
	struct err err = {0};
	int rc = debug_file_find(&found, executable, &search, &err);
	elf_file_free(executable);
	if (rc || scenario->rc) {
		check_sentence(scenario, row, rc, &err);
		assert_int_equal(found.fd, -7);
		return;
	}
	check_found(scenario, row, &found);
	debug_file_fini(&found);
}

static void found_or_not(void **state)
{
	(void)state;
	static const char *const names[ROOTS] = {"process", "machine"};
	for (size_t row = 0; row < ARRAY_LEN(scenarios); row++) {
		const struct scenario *scenario = &scenarios[row];
		char *dir = tool_dir_new();
		char roots[ROOTS][1024];
		int root_fds[ROOTS];
		for (int i = 0; i < ROOTS; i++) {
			snprintf(roots[i], sizeof(roots[i]), "%s/%s", dir, names[i]);
			assert_int_equal(mkdir(roots[i], 0755), 0);
			root_fds[i] = open(roots[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
			assert_true(root_fds[i] >= 0);
		}
		for (size_t i = 0; i < ARRAY_LEN(scenario->placed) && scenario->placed[i].file; i++)
			place(roots[scenario->placed[i].root], &scenario->placed[i]);
		find_one(scenario, row, root_fds);
		for (int i = 0; i < ROOTS; i++)
			close(root_fds[i]);
		tool_dir_remove(dir);
	}
}

/* What is unpacked is what nm reads. */
static void mini_has_symbols(void **state)
{
	(void)state;
	struct elf_file *executable = open_elf("mini_in");
	const struct debug_search search = {0};
	struct debug_file found;
	assert_int_equal(debug_file_find(&found, executable, &search, NULL), 0);
	elf_file_free(executable);
	assert_int_equal(found.kind, DEBUG_FILE_MINI);
	char *text = tool_output("nm /proc/%d/fd/%d", (int)getpid(), found.fd);
	assert_non_null(strstr(text, " t local_leaf\n"));
	free(text);
	debug_file_fini(&found);
	assert_int_equal(found.fd, -1);
}

/* Paths that cannot be used, and no root at all. */
static void nowhere_to_look(void **state)
{
	(void)state;
	static const char *const paths[] = {NULL, "", "prog", "[vdso]", "/", "//anon", "/memfd:x"};
	struct elf_file *executable = open_elf("linked");
	int root_fd = open(files, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		struct debug_search search = {.executable_path = paths[i]};
		struct debug_file found;
		assert_int_equal(debug_file_find(&found, executable, &search, NULL), -ENOENT);
		search.root_fds = &root_fd;
		search.root_count = 1;
		int rc = debug_file_find(&found, executable, &search, NULL);
		/* files/full.debug is "/full.debug" there */
		bool is_beside = paths[i] && paths[i][0] == '/';
		assert_int_equal(rc, is_beside ? 0 : -ENOENT);
		if (!rc)
			debug_file_fini(&found);
	}
	close(root_fd);
	elf_file_free(executable);
}

int main(void)
{
	static const char *const programs[] = {"gcc", "objcopy", "eu-strip", "dwz", "xz"};
	for (size_t i = 0; i < ARRAY_LEN(programs); i++)
		tool_need(programs[i]);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(found_or_not),
		cmocka_unit_test(mini_has_symbols),
		cmocka_unit_test(nowhere_to_look),
	};
	return cmocka_run_group_tests(tests, setup_files, teardown_files);
}
