/*
 * What the formats look like: one profile, with every kind of frame, in each text that Hearth
 * writes. tests/golden/ is what a reader of the formats may rely on; `./dev golden` rewrites it,
 * and the review reads the difference.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/array.h"
#include "profile/api_json.h"
#include "profile/calltree.h"
#include "profile/folded.h"
#include "profile_maker.h"

enum { MAX_BYTES = 1 << 20 };

static struct profile *make_profile(void)
{
	static const struct {
		const char *stack;
		const char *comm;
		int64_t weight_ns;
	} rows[] = {
		{"main;parse>skip_space", "cc1", 20202020},
		{"main;parse;k:do_syscall_64;k:ksys_read", "cc1", 10101010},
		{"main;j:[jit]", "node", 30303030},
		{"[cut: too deep];?12af", "node", 10101010},
	};
	struct profile *profile;
	assert_int_equal(profile_new(&profile, PROFILE_CPU), 0);
	for (uint32_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct profile_sample sample = {
			.weight = rows[i].weight_ns,
			.count = (uint64_t)rows[i].weight_ns / 10101010,
			.stack = maker_stack(profile, rows[i].stack),
			.thread = maker_thread(profile, 10, 10 + i, "main", rows[i].comm),
		};
		assert_int_equal(profile_add_sample(profile, &sample), 0);
	}
	return profile;
}

static const struct api_question question = {
	.type = PROFILE_CPU,
	.query = "{}",
	.from_unix_ns = 1000000,
	.until_unix_ns = 2000000,
};

static void write_folded(struct buf *out, const struct profile *profile)
{
	assert_int_equal(folded_encode(out, profile, NULL), 0);
}

static void write_flame(struct buf *out, const struct profile *profile)
{
	AUTO(calltree) tree = NULL;
	assert_int_equal(calltree_build(&tree, profile, NULL, NULL), 0);
	struct json json = json_to(out);
	api_json_flame(&json, &question, tree);
	buf_append_u8(out, '\n');
}

static void write_top(struct buf *out, const struct profile *profile)
{
	AUTO(top_table) table = NULL;
	assert_int_equal(top_table_build(&table, profile, FRAME_VIEW_FUNCTION, NULL), 0);
	struct json json = json_to(out);
	api_json_top(&json, &question, table, SIZE_MAX);
	buf_append_u8(out, '\n');
}

static void compare(const char *name, const struct buf *made)
{
	char path[512];
	snprintf(path, sizeof(path), "%s/golden/%s", TEST_SOURCE_DIR, name);
	const char *mode = getenv("HEARTH_GOLDEN");
	if (mode && !strcmp(mode, "rewrite")) {
		FILE *file = fopen(path, "we");
		assert_non_null(file);
		assert_int_equal(fwrite(made->data, 1, made->len_bytes, file), made->len_bytes);
		assert_int_equal(fclose(file), 0);
		return;
	}
	FILE *file = fopen(path, "re");
	if (!file)
		fail_msg("%s is missing: run ./dev golden", path);
	AUTO_MEM char *golden = calloc(1, MAX_BYTES);
	size_t len_bytes = fread(golden, 1, MAX_BYTES - 1, file);
	fclose(file);
	assert_int_equal(made->len_bytes, len_bytes);
	assert_memory_equal(made->data, golden, len_bytes);
}

static void formats(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		void (*write)(struct buf *out, const struct profile *profile);
	} rows[] = {
		{"stacks.folded", write_folded},
		{"flame.json", write_flame},
		{"top.json", write_top},
	};
	AUTO(profile) profile = make_profile();
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO_FINI(buf_fini) struct buf out;
		buf_init(&out, MAX_BYTES);
		rows[i].write(&out, profile);
		compare(rows[i].name, &out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(formats)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
