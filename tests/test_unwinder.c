#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/array.h"
#include "profiler/unwinder.h"
#include "tool.h"

/* Three files that have rows and are always there: this program, and libraries it has loaded. The
 * one with the most rows first. */
enum { FILES = 3, MAP_BYTES = 1 << 30 };

struct fixture {
	struct mapped_file *files[FILES];
	uint64_t off[FILES]; /* of code in each */
	uint64_t bytes[FILES];
	uint64_t setup_off; /* of setup(), in this program */
	struct process_map *map;
};

static void open_file(struct fixture *fixture, size_t i, const void *symbol)
{
	Dl_info info;
	assert_int_not_equal(dladdr(symbol, &info), 0);
	uint64_t vaddr = (uint64_t)((uintptr_t)symbol - (uintptr_t)info.dli_fbase);
	struct mapped_file *file = calloc(1, sizeof(*file));
	*file = (struct mapped_file){
		.refs = 1, .kind = MAPPED_EXECUTABLE, .name = strdup(info.dli_fname)};
	const char *path = i ? info.dli_fname : "/proc/self/exe";
	assert_int_equal(executable_open(&file->exe, open(path, O_RDONLY | O_CLOEXEC), path, NULL),
			 0);
	uint64_t start_vaddr, limit_vaddr, file_off;
	executable_segment(file->exe, vaddr, &start_vaddr, &limit_vaddr, &file_off);
	fixture->files[i] = file;
	fixture->off[i] = vaddr - start_vaddr + file_off;
}

/* A leaf that tells nothing of its frame, and a place that returns from a call. */
__asm__(".text\n.type bare_leaf, @function\nbare_leaf: ret\n.size bare_leaf, . - bare_leaf");
void bare_leaf(void);

__attribute__((noipa)) static uint64_t return_ip(void)
{
	return (uint64_t)(uintptr_t)__builtin_return_address(0);
}

/* Sample file i once: a leaf in it, and no stack memory at all. */
static enum walk_end walk(struct unwinder *unwinder, struct fixture *fixture, size_t i)
{
	struct raw_tail *tail = calloc(1, sizeof(*tail));
	struct raw_stack *stack = calloc(1, sizeof(*stack) + sizeof(stack->frames[0]));
	AUTO_MEM struct walked_stack *walked = calloc(1, sizeof(*walked));
	tail->map = fixture->map;
	tail->rec.ip = (i + 1) * (uint64_t)MAP_BYTES + fixture->off[i] + 1;
	tail->rec.sp = 0x1000;
	*stack = (struct raw_stack){
		.refs = 1, .user_frames = 1, .walk_end = WALK_NO_ROWS, .tail = tail};
	stack->frames[0] = (struct raw_frame){fixture->files[i], fixture->off[i]};
	unwinder_finish(unwinder, stack, walked);
	free(tail);
	free(stack);
	return walked->end;
}

static struct unwinder *unwinder_of(uint64_t max_bytes, const char *cache_directory)
{
	struct unwinder *unwinder;
	struct unwinder_options options = {.max_bytes = max_bytes,
					   .cache_directory = cache_directory};
	assert_int_equal(unwinder_new(&unwinder, &options, NULL), 0);
	return unwinder;
}

static struct unwind_memory stats(struct unwinder *unwinder)
{
	struct unwind_memory memory;
	unwinder_stats(unwinder, &memory);
	return memory;
}

static void swap(struct fixture *fixture, size_t a, size_t b)
{
	struct mapped_file *file = fixture->files[a];
	uint64_t off = fixture->off[a], bytes = fixture->bytes[a];
	fixture->files[a] = fixture->files[b];
	fixture->off[a] = fixture->off[b];
	fixture->bytes[a] = fixture->bytes[b];
	fixture->files[b] = file;
	fixture->off[b] = off;
	fixture->bytes[b] = bytes;
}

static void map_files(struct fixture *fixture)
{
	struct mapping mappings[FILES];
	for (size_t i = 0; i < FILES; i++)
		mappings[i] = (struct mapping){.start_ip = (i + 1) * (uint64_t)MAP_BYTES,
					       .end_ip = (i + 2) * (uint64_t)MAP_BYTES,
					       .file = fixture->files[i]};
	process_map_unref(fixture->map);
	fixture->map = process_map_copy(mappings, FILES);
	assert_non_null(fixture->map);
}

static int setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	open_file(fixture, 0, (const void *)(uintptr_t)setup);
	fixture->setup_off = fixture->off[0];
	open_file(fixture, 1, (const void *)(uintptr_t)qsort);
	open_file(fixture, 2, (const void *)(uintptr_t)_cmocka_run_group_tests);
	map_files(fixture);
	for (size_t i = 0; i < FILES; i++) {
		AUTO(unwinder) unwinder = unwinder_of(0, NULL);
		walk(unwinder, fixture, i);
		fixture->bytes[i] = stats(unwinder).used_bytes;
		assert_int_not_equal(fixture->bytes[i], 0);
	}
	for (size_t i = 0; i < FILES; i++)
		for (size_t k = i + 1; k < FILES; k++)
			if (fixture->bytes[k] > fixture->bytes[i])
				swap(fixture, i, k);
	map_files(fixture);
	*state = fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;
	process_map_unref(fixture->map);
	for (size_t i = 0; i < FILES; i++) {
		assert_int_equal(fixture->files[i]->refs, 1);
		mapped_file_unref(fixture->files[i]);
	}
	free(fixture);
	return 0;
}

static void expect(struct unwinder *unwinder, struct unwind_memory wanted)
{
	struct unwind_memory memory = stats(unwinder);
	assert_int_equal(memory.loads, wanted.loads);
	assert_int_equal(memory.evictions, wanted.evictions);
	assert_int_equal(memory.misses, wanted.misses);
	assert_int_equal(memory.used_bytes, wanted.used_bytes);
	assert_int_equal(memory.cap_bytes, wanted.cap_bytes);
}

static void rows_are_read_once(void **state)
{
	struct fixture *fixture = *state;
	const uint64_t default_bytes = 128 << 20;
	AUTO(unwinder) unwinder = unwinder_of(0, NULL);
	expect(unwinder, (struct unwind_memory){.cap_bytes = default_bytes});
	for (int round = 0; round < 3; round++)
		for (size_t i = 0; i < FILES; i++)
			/* The caller's frame is in memory that did not come along. */
			assert_int_equal(walk(unwinder, fixture, i), WALK_FAULT);
	unwinder_sweep(unwinder);
	expect(unwinder,
	       (struct unwind_memory){
		       .cap_bytes = default_bytes,
		       .loads = FILES,
		       .used_bytes = fixture->bytes[0] + fixture->bytes[1] + fixture->bytes[2],
	       });
}

static void what_was_not_used_for_longest_goes(void **state)
{
	struct fixture *fixture = *state;
	AUTO_MEM char *dir = tool_dir_new();
	const uint64_t cap_bytes = fixture->bytes[0] + fixture->bytes[1];
	{
		AUTO(unwinder) unwinder = unwinder_of(cap_bytes, dir);
		struct unwind_memory wanted = {
			.cap_bytes = cap_bytes, .loads = 2, .used_bytes = cap_bytes};
		walk(unwinder, fixture, 0);
		walk(unwinder, fixture, 1);
		walk(unwinder, fixture, 0);
		expect(unwinder, wanted);
		walk(unwinder, fixture, 2);
		wanted.loads = 3;
		wanted.evictions = 1;
		wanted.used_bytes = fixture->bytes[0] + fixture->bytes[2];
		expect(unwinder, wanted);
		walk(unwinder, fixture, 0); /* that one stayed */
		expect(unwinder, wanted);
		assert_int_equal(walk(unwinder, fixture, 1), WALK_FAULT); /* as ever */
		wanted.loads = 4;
		wanted.misses = 1;
		wanted.evictions = 2;
		wanted.used_bytes = cap_bytes;
		expect(unwinder, wanted);
	}
	tool_dir_remove(TAKE(dir));
}

static void one_file_may_be_larger_than_all(void **state)
{
	struct fixture *fixture = *state;
	AUTO(unwinder) unwinder = unwinder_of(1, NULL);
	struct unwind_memory wanted = {.cap_bytes = 1};
	for (int round = 0; round < 3; round++)
		for (size_t i = 0; i < FILES; i++) {
			assert_int_equal(walk(unwinder, fixture, i), WALK_FAULT);
			wanted.loads++;
			wanted.evictions = wanted.loads - 1;
			wanted.misses = round ? wanted.loads - FILES : 0;
			wanted.used_bytes = fixture->bytes[i];
			expect(unwinder, wanted);
		}
}

enum { SLICE_WORDS = 4, STACK = 0x7000 };

/* The caller of bare_leaf with these words on its stack; 0: none was found. */
static uint64_t caller_of_bare(struct unwinder *unwinder, const struct fixture *fixture,
			       uint64_t leaf_ip, const uint64_t words[static SLICE_WORDS])
{
	AUTO_MEM struct raw_tail *tail = calloc(1, sizeof(*tail) + SLICE_WORDS * sizeof(words[0]));
	AUTO_MEM struct raw_stack *stack = calloc(1, sizeof(*stack) + sizeof(stack->frames[0]));
	AUTO_MEM struct walked_stack *walked = calloc(1, sizeof(*walked));
	tail->map = fixture->map;
	tail->rec = (struct rec_tail){
		.ip = leaf_ip,
		.sp = STACK,
		.fp = 1,
		.is_exact = 1,
		.is_fp_known = 1,
		.is_rbx_known = 1,
		.slice_at = STACK,
		.slice_bytes = SLICE_WORDS * sizeof(words[0]),
	};
	memcpy(tail->rec.slice, words, SLICE_WORDS * sizeof(words[0]));
	*stack = (struct raw_stack){
		.refs = 1, .user_frames = 1, .walk_end = WALK_NO_ROWS, .tail = tail};
	unwinder_finish(unwinder, stack, walked);
	return walked->frame_count > 1 ? walked->frames[1].ip_or_off + 1 : 0;
}

static void a_leaf_without_rows(void **state)
{
	struct fixture *fixture = *state;
	AUTO(unwinder) unwinder = unwinder_of(0, NULL);
	uint64_t setup_ip = (uint64_t)(uintptr_t)setup, return_off, leaf_off;
	size_t file = 0;
	while (fixture->off[file] != fixture->setup_off)
		file++;
	return_off = return_ip() - setup_ip + fixture->off[file];
	leaf_off = (uint64_t)(uintptr_t)bare_leaf - setup_ip + fixture->off[file];
	const uint64_t base_ip = (file + 1) * (uint64_t)MAP_BYTES;
	const uint64_t after_call = base_ip + return_off, leaf = base_ip + leaf_off;
	const uint64_t function = base_ip + fixture->off[file]; /* code, and after no call */
	const struct {
		const char *label;
		uint64_t words[SLICE_WORDS];
		bool is_found;
	} rows[] = {
		{"at once", {after_call}, true},
		{"below a register", {1, after_call}, true},
		{"below the start of a function", {function, after_call}, true},
		{"below two registers", {1, 2, after_call}, false},
		{"the start of a function", {function, function}, false},
		{"itself", {leaf, leaf}, false},
		{"after the call", {after_call + 1, after_call + 1}, false},
		{"no code", {1, STACK}, false},
		{"nothing", {0}, false},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint64_t off = caller_of_bare(unwinder, fixture, leaf, rows[i].words);
		if (off != (rows[i].is_found ? return_off : 0))
			fail_msg("%s: %#llx", rows[i].label, (unsigned long long)off);
	}
}

#define WITH_FILES(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_FILES(rows_are_read_once),
		WITH_FILES(what_was_not_used_for_longest_goes),
		WITH_FILES(one_file_may_be_larger_than_all),
		WITH_FILES(a_leaf_without_rows),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
