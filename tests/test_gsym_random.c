/*
 * Random functions through the builder and the reader: every address gives what a search through
 * the lists gives, and llvm-gsymutil reads the same. SEED=n begins with that one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/mman.h>

#include "base/array.h"
#include "gsym_maker.h"
#include "symbolizer/gsym_file.h"

enum { ROUNDS = 150, MAX_FRAMES = SCENE_MAX_DEPTH + 1 };

static uint64_t first_seed(void)
{
	const char *text = getenv("SEED");
	return text ? strtoull(text, NULL, 10) : 1;
}

static void expect_answer(const struct scene *scene, const struct gsym *gsym, uint64_t vaddr)
{
	struct gsym_frame frames[MAX_FRAMES];
	struct gsym_answer answer;
	const struct scene_function *made = scene_at(scene, vaddr);
	bool found = gsym_lookup(gsym, vaddr, frames, MAX_FRAMES, &answer);
	assert_int_equal(found, made != NULL);
	if (!made)
		return;
	struct scene_frame expected[MAX_FRAMES];
	uint32_t count = scene_frames(made, vaddr, expected);
	assert_int_equal(answer.frame_count, count);
	assert_int_equal(answer.has_mark_only, made->function.source == GSYM_FROM_UNWIND_ROWS);
	assert_false(answer.is_folded);
	assert_true(answer.start_vaddr <= vaddr && vaddr < answer.end_vaddr);
	for (uint32_t i = 0; i < count; i++) {
		const char *directory, *base;
		scene_place(scene, expected[i].file, &directory, &base);
		assert_string_equal(frames[i].name, scene_text(scene, expected[i].name));
		assert_string_equal(frames[i].directory, directory);
		assert_string_equal(frames[i].base, base);
		assert_int_equal(frames[i].line, expected[i].line);
		assert_int_equal(frames[i].is_inlined, i + 1 < count);
	}
	/* Without room for all, the outermost stay. */
	struct gsym_frame few[2];
	assert_true(gsym_lookup(gsym, vaddr, few, 2, &answer));
	assert_int_equal(answer.frame_count, count < 2 ? count : 2);
	assert_string_equal(few[answer.frame_count - 1].name, frames[count - 1].name);
}

static void every_address_gives_what_the_lists_give(void **state)
{
	(void)state;
	uint64_t first = first_seed();
	for (uint64_t seed = first; seed < first + ROUNDS; seed++) {
		print_message("SEED=%llu\r", (unsigned long long)seed);
		struct scene *scene = scene_new(seed);
		AUTO_FD fd = memfd_create("gsym", MFD_CLOEXEC);
		assert_int_equal(gsym_builder_write(scene->builder, fd, NULL, 0, NULL), 0);
		assert_int_equal(gsym_file_check(fd, NULL), 0);
		AUTO(gsym) gsym = NULL;
		assert_int_equal(gsym_open(&gsym, fd, NULL), 0);
		assert_true(gsym_is_whole(gsym));
		for (uint64_t off = 0; off < SCENE_BYTES + 7000; off++)
			expect_answer(scene, gsym, SCENE_START_VADDR - 10 + off);
		gsym_builder_free(scene->builder);
		free(scene);
	}
	print_message("\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_address_gives_what_the_lists_give),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
