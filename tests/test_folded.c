#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/array.h"
#include "profile/calltree.h"
#include "profile/folded.h"
#include "tests/profile_maker.h"

static struct profile *new_profile(void)
{
	struct profile *profile = NULL;
	assert_int_equal(profile_new(&profile, PROFILE_CPU), 0);
	return profile;
}

static char *encode(const struct profile *profile)
{
	struct buf out;
	struct err err = {0};
	buf_init(&out, 1 << 24);
	assert_int_equal(folded_encode(&out, profile, &err), 0);
	return buf_take_str(&out);
}

static struct profile *decode(const char *text)
{
	struct profile *profile = NULL;
	struct err err = {0};
	if (folded_decode(&profile, text, strlen(text), &err))
		fail_msg("%s", err.text);
	return profile;
}

static void lines_are_sorted_and_summed(void **state)
{
	(void)state;
	AUTO(profile) profile = new_profile();
	maker_sample(profile, "zsh", 1, "main;f", 3);
	maker_sample(profile, "awk", 1, "main", 20);
	maker_sample(profile, "zsh", 2, "main;f", 4);
	maker_sample(profile, "awk", 1, "", 1);
	maker_sample(profile, "awk", 1, "zero", 0);
	AUTO_MEM char *text = encode(profile);
	assert_string_equal(text, "awk 1\nawk;main 20\nzsh;main;f 7\n");
}

static void suffixes_say_the_kind(void **state)
{
	(void)state;
	AUTO(profile) profile = new_profile();
	maker_sample(profile, "c", 1, "[truncated];main>vec;?12af;j:lambda;k:sys>copy", 7);
	AUTO_MEM char *text = encode(profile);
	assert_string_equal(
		text, "c;[truncated];main;vec_[i];[x+0x12af];lambda_[j];sys_[k];copy_[i] 7\n");
}

static void waits_end_in_their_reason(void **state)
{
	(void)state;
	AUTO(profile) profile = new_profile();
	maker_waiting(profile, "c", 1, "main;k:futex", maker_wait(profile, WAIT_LOCK, "a", false),
		      7);
	maker_waiting(profile, "c", 1, "main;k:futex", maker_wait(profile, WAIT_LOCK, "b", true),
		      70);
	maker_waiting(profile, "c", 1, "main;k:futex",
		      maker_wait(profile, WAIT_RUN_QUEUE, "", false), 700);
	maker_waiting(profile, "c", 1, "main;k:futex", 0, 7000);
	const char *expected = "c;main;futex_[k] 7000\nc;main;futex_[k];[lock] 77\n"
			       "c;main;futex_[k];[run_queue] 700\n";
	AUTO_MEM char *text = encode(profile);
	assert_string_equal(text, expected);
	AUTO(profile) again = decode(text);
	AUTO_MEM char *same = encode(again);
	assert_string_equal(same, expected);
}

static void names_cannot_break_a_line(void **state)
{
	(void)state;
	AUTO(profile) profile = new_profile();
	struct profile_sample sample = {.weight = 1, .count = 1};
	static const char *const names[] = {"a;b", "a:b", "x\ny", "x y", "", "t\tt"};
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		uint32_t location = maker_location(profile, "/bin/x", 0, names[i], NULL);
		assert_int_equal(profile_add_stack(profile, 0, location, &sample.stack), 0);
		assert_int_equal(profile_add_sample(profile, &sample), 0);
	}
	AUTO_MEM char *text = encode(profile);
	assert_string_equal(text, "[unknown];[unknown] 1\n[unknown];a:b 2\n[unknown];t t 1\n"
				  "[unknown];x y 2\n");
}

static void an_empty_profile_is_no_text(void **state)
{
	(void)state;
	AUTO(profile) profile = new_profile();
	AUTO_MEM char *text = encode(profile);
	assert_string_equal(text, "");
	AUTO(profile) back = decode("");
	assert_int_equal(back->sample_count, 0);
}

static void decoded_frames_have_kinds(void **state)
{
	(void)state;
	AUTO(profile)
	profile = decode("my comm;main;a b;in_[i];sys_[k];l_[j];[mark] 12\r\n"
			 "\n"
			 "lone -5");
	assert_int_equal(profile->sample_count, 2);
	assert_int_equal(profile->samples[0].weight, 12);
	assert_int_equal(profile->samples[0].count, 12);
	assert_int_equal(profile->samples[1].weight, -5);
	assert_int_equal(profile->samples[1].stack, 0);
	assert_string_equal(profile_string(profile, profile->unit), "count");
	assert_string_equal(profile_thread_comm(profile, profile->samples[0].thread), "my comm");
	AUTO(calltree) tree = NULL;
	assert_int_equal(calltree_build(&tree, profile, NULL, NULL), 0);
	static const struct {
		const char *name;
		enum frame_kind kind;
	} rows[] = {{"all", FRAME_ROOT},   {"main", FRAME_NATIVE}, {"a b", FRAME_NATIVE},
		    {"in", FRAME_INLINED}, {"sys", FRAME_KERNEL},  {"l", FRAME_JIT},
		    {"[mark]", FRAME_MARK}};
	assert_int_equal(tree->node_count, ARRAY_LEN(rows));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_string_equal(strtab_get(&tree->strings, tree->nodes[i].name), rows[i].name);
		assert_int_equal(tree->nodes[i].kind, rows[i].kind);
	}
}

static void text_that_stays_as_it_is(void **state)
{
	(void)state;
	static const char *const texts[] = {
		"c 1\n",
		"c;f 9223372036854775807\n",
		"c;f -9223372036854775808\n",
		"c;f_[i] 1\n", /* inlined in nothing: part of the name */
		"c;_[k] 1\n",  /* no name but the suffix */
		"c;f;g_[i];h_[i] 1\n",
		"c;f;g_[i];h;i_[i] 1\n",
		"c;f_[k]_[k] 1\n",
		"c;f_[k]_[i] 1\n",
		"c;f  1\n",
		"comm_[k];f 1\n",
		"c;operator()(int, char const*) 1\n",
	};
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		AUTO(profile) profile = decode(texts[i]);
		AUTO_MEM char *text = encode(profile);
		assert_string_equal(text, texts[i]);
	}
}

static void bad_text_is_refused(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		const char *message;
	} rows[] = {
		{"c", "line 1: is not \"frames VALUE\""},
		{"c;f 1\nc;f\n", "line 2: is not \"frames VALUE\""},
		{"\n\n 12\n", "line 3: is not \"frames VALUE\""},
		{"12\n", "line 1: is not \"frames VALUE\""},
		{" \n", "line 1: is not \"frames VALUE\""},
		{"c;f \n", "line 1: \"\" is not a 64-bit integer"},
		{"c;f 1.5\n", "line 1: \"1.5\" is not a 64-bit integer"},
		{"c;f -\n", "line 1: \"-\" is not a 64-bit integer"},
		{"c;f +1\n", "line 1: \"+1\" is not a 64-bit integer"},
		{"c;f 0x10\n", "line 1: \"0x10\" is not a 64-bit integer"},
		{"c;f 1e3\n", "line 1: \"1e3\" is not a 64-bit integer"},
		{"c;f 9223372036854775808\n",
		 "line 1: \"9223372036854775808\" is not a 64-bit integer"},
		{"c;f -9223372036854775809\n",
		 "line 1: \"-9223372036854775809\" is not a 64-bit integer"},
		{"c;f 1\n\n{\"json\": true}\n", "line 3: \"true}\" is not a 64-bit integer"},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct profile *profile = NULL;
		struct err err = {0};
		int rc = folded_decode(&profile, rows[i].text, strlen(rows[i].text), &err);
		assert_int_equal(rc, -EBADMSG);
		assert_string_equal(err.text, rows[i].message);
		assert_null(profile);
	}
	struct profile *profile = NULL;
	struct err err = {0};
	assert_int_equal(folded_decode(&profile, "c;f\0g 1\n", 8, &err), -EBADMSG);
	assert_string_equal(err.text, "line 1: not text");
	assert_null(profile);
}

static void a_full_buffer_is_an_error(void **state)
{
	(void)state;
	AUTO(profile) profile = new_profile();
	maker_sample(profile, "c", 1, "main;f", 3);
	for (size_t max_bytes = 0; max_bytes < strlen("c;main;f 3\n"); max_bytes++) {
		struct buf out;
		struct err err = {0};
		buf_init(&out, max_bytes);
		assert_int_equal(folded_encode(&out, profile, &err), -ENOSPC);
		buf_fini(&out);
	}
}

static void random_profiles_round_trip(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 30; round++) {
		unsigned seed = maker_seed(round);
		AUTO(profile) profile = maker_random(&seed, 1 + maker_roll(&seed, 200));
		AUTO_MEM char *text = encode(profile);
		AUTO(profile) back = decode(text);
		assert_int_equal(profile_total_weight(back), profile_total_weight(profile));
		AUTO_MEM char *again = encode(back);
		assert_string_equal(again, text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_are_sorted_and_summed),
		cmocka_unit_test(suffixes_say_the_kind),
		cmocka_unit_test(waits_end_in_their_reason),
		cmocka_unit_test(names_cannot_break_a_line),
		cmocka_unit_test(an_empty_profile_is_no_text),
		cmocka_unit_test(decoded_frames_have_kinds),
		cmocka_unit_test(text_that_stays_as_it_is),
		cmocka_unit_test(bad_text_is_refused),
		cmocka_unit_test(a_full_buffer_is_an_error),
		cmocka_unit_test(random_profiles_round_trip),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
