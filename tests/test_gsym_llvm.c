/*
 * llvm-gsymutil reads the files that the builder writes: it decodes every function without an
 * error, and finds the same at random addresses. SEED=n begins with that one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>

#include "base/buf.h"
#include "gsym_maker.h"
#include "tool.h"

enum { ROUNDS = 12, LOOKUPS = 400, MAX_FRAMES = SCENE_MAX_DEPTH + 1 };

static const char tool[] = "llvm-gsymutil-14";

/* Without lines LLVM gives no inlined calls. */
static uint32_t frames_for_llvm(const struct scene_function *made, uint64_t vaddr,
				struct scene_frame frames[MAX_FRAMES])
{
	uint32_t count = scene_frames(made, vaddr, frames);
	bool has_lines =
		made->function.line_count && made->lines[0].vaddr < made->function.range.end_vaddr;
	if (has_lines || count == 1)
		return count;
	frames[0] = frames[count - 1];
	frames[0].file = frames[0].line = 0;
	return 1;
}

/* As llvm-gsymutil prints it, without the offsets within functions. */
static void append_expected(struct buf *out, const struct scene *scene, uint64_t vaddr)
{
	buf_printf(out, "0x%016llx: ", (unsigned long long)vaddr);
	const struct scene_function *made = scene_at(scene, vaddr);
	if (!made) {
		buf_printf(out, "error: address 0x%llx is not in GSYM\n\n",
			   (unsigned long long)vaddr);
		return;
	}
	struct scene_frame frames[MAX_FRAMES];
	uint32_t count = frames_for_llvm(made, vaddr, frames);
	for (uint32_t i = 0; i < count; i++) {
		const char *directory, *base;
		scene_place(scene, frames[i].file, &directory, &base);
		buf_printf(out, "%*s%s", i ? 20 : 0, "", scene_text(scene, frames[i].name));
		if (base[0])
			buf_printf(out, " @ %s/%s:%u", directory, base, frames[i].line);
		buf_append_str(out, i + 1 < count ? " [inlined]\n" : "\n");
	}
	buf_append_str(out, "\n");
}

static void compare_lookups(struct scene *scene, const char *dir)
{
	char path[1024];
	snprintf(path, sizeof(path), "%s/asked", dir);
	AUTO_FINI(buf_fini) struct buf asked;
	AUTO_FINI(buf_fini) struct buf expected;
	buf_init(&asked, 1 << 20);
	buf_init(&expected, 16 << 20);
	for (int i = 0; i < LOOKUPS; i++) {
		uint64_t vaddr = SCENE_START_VADDR + scene_roll(scene, SCENE_BYTES);
		buf_printf(&asked, "0x%llx %s/file.gsym\n", (unsigned long long)vaddr, dir);
		append_expected(&expected, scene, vaddr);
	}
	tool_write_file(path, asked.data, asked.len_bytes);
	char *got =
		tool_output("%s --addresses-from-stdin <%s | sed -E 's/ \\+ [0-9]+//'", tool, path);
	char *wanted = buf_take_str(&expected);
	assert_string_equal(got, wanted);
	free(got);
	free(wanted);
}

static void llvm_decodes_and_finds_the_same(void **state)
{
	(void)state;
	const char *text = getenv("SEED");
	uint64_t first = text ? strtoull(text, NULL, 10) : 1;
	char *dir = tool_dir_new();
	for (uint64_t seed = first; seed < first + ROUNDS; seed++) {
		print_message("SEED=%llu\n", (unsigned long long)seed);
		struct scene *scene = scene_new(seed);
		char path[1024];
		snprintf(path, sizeof(path), "%s/file.gsym", dir);
		AUTO_FD fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		static const uint8_t build_id[] = {0xde, 0xad, 0xbe, 0xef};
		assert_int_equal(gsym_builder_write(scene->builder, fd, build_id, sizeof(build_id),
						    NULL),
				 0);
		AUTO(gsym) gsym = NULL;
		assert_int_equal(gsym_open(&gsym, fd, NULL), 0);
		char *counts = tool_output("%s --verify %s | awk '/^FunctionInfo/{n++} "
					   "/rror/{e++} /UUID .*= deadbeef/{u++} "
					   "END{print n+0, e+0, u+0}'",
					   tool, path);
		char wanted[64];
		snprintf(wanted, sizeof(wanted), "%llu 0 1\n",
			 (unsigned long long)gsym_function_count(gsym));
		assert_string_equal(counts, wanted);
		free(counts);
		compare_lookups(scene, dir);
		gsym_builder_free(scene->builder);
		free(scene);
	}
	tool_dir_remove(dir);
}

int main(void)
{
	tool_need(tool);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(llvm_decodes_and_finds_the_same),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
