#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/array.h"
#include "base/gzip.h"
#include "profile/pprof.h"
#include "tests/profile_maker.h"
#include "tests/proto_text.h"

/* A whole profile, but for its samples. Strings: 1 samples, 2 count, 3 cpu, 4 nanoseconds,
 * 5 /bin/x, 6 leaf, 7 main, 8 comm, 9 cc1, 10 pid, 11 thread, 12 w, 13 12. */
#define TYPES "1{1:1 2:2} 1{1:3 2:4} "
#define STRINGS                                                                                   \
	"6\"\" 6\"samples\" 6\"count\" 6\"cpu\" 6\"nanoseconds\" 6\"/bin/x\" 6\"leaf\" 6\"main\"" \
	" 6\"comm\" 6\"cc1\" 6\"pid\" 6\"thread\" 6\"w\" 6\"12\" "
#define MAPPING   "3{1:1 2:4096 3:8192 4:64 5:5 6:6} "
#define LOCATIONS "4{1:1 2:1 3:4100 4{1:1 2:7 3:9} 4{1:2}} 4{1:2 2:1 3:4200 4{1:2 2:-1}} "
#define FUNCTIONS "5{1:1 2:6 3:6 4:5 5:3} 5{1:2 2:7 3:7} "
#define TABLES    TYPES STRINGS MAPPING LOCATIONS FUNCTIONS

static struct profile *new_profile(void)
{
	struct profile *profile = NULL;
	assert_int_equal(profile_new(&profile, PROFILE_CPU), 0);
	return profile;
}

static int decode_text(struct profile **out, const char *text, struct err *err)
{
	AUTO_FINI(buf_fini) struct buf raw;
	buf_init(&raw, PROTO_TEXT_MAX_BYTES);
	proto_text(&raw, text);
	return pprof_decode(out, raw.data, raw.len_bytes, err);
}

static struct profile *decode_ok(const char *text)
{
	struct profile *profile = NULL;
	struct err err = {0};
	if (decode_text(&profile, text, &err))
		fail_msg("%s: %s", text, err.text);
	return profile;
}

static void expect_dump(const struct profile *profile, const char *expected)
{
	AUTO_MEM char *dump = maker_dump(profile);
	assert_string_equal(dump, expected);
}

static void a_profile_by_hand(void **state)
{
	(void)state;
	AUTO(profile)
	profile = decode_ok(TABLES
			    "2{1[1,2] 2[3,30] 3{1:8 2:9} 3{1:10 3:7} 3{1:11 2:12}}"
			    "2{1[2] 2[1,10]} 9:1000 10:2000 11{1:3 2:4} 12:10 14:3 99:5 98#1 97%1");
	expect_dump(profile, "0/0/ /bin/x@1068:main:0 wait //0 weight 10 count 1\n"
			     "7/0/w comm=cc1 /bin/x@1004:leaf:7:main:0 /bin/x@1068:main:0"
			     " wait //0 weight 30 count 3\n");
	assert_int_equal(profile->type, PROFILE_CPU);
	assert_string_equal(profile_string(profile, profile->type_text), "cpu");
	assert_string_equal(profile_string(profile, profile->unit), "nanoseconds");
	assert_int_equal(profile->start_unix_ns, 1000);
	assert_int_equal(profile->duration_ns, 2000);
	assert_int_equal(profile->period_ns, 10);
	assert_int_equal(profile->mappings[1].start_vaddr, 4096);
	assert_int_equal(profile->mappings[1].limit_vaddr, 8192);
	assert_int_equal(profile->mappings[1].file_off, 64);
	assert_string_equal(profile_string(profile, profile->mappings[1].build_id), "leaf");
	assert_int_equal(profile->lines[0].column, 9);
	assert_int_equal(profile->functions[1].start_line, 3);
}

/* Every order of fields is valid, and so is every form of a repeated number. */
static void order_and_form_of_fields(void **state)
{
	(void)state;
	static const char *const texts[] = {
		"2{1[1,2] 2[3,30]} " TABLES,
		STRINGS FUNCTIONS LOCATIONS "2{1[1,2] 2[3,30]} " MAPPING TYPES,
		TABLES "2{1:1 1:2 2:3 2:30}",
		TABLES "2{2[3] 1[1] 2[30] 1:2}",
		"1{1:1 2:2} 2{1[1,2] 2[3,30]} 1{1:3 2:4}" STRINGS MAPPING LOCATIONS FUNCTIONS,
	};
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		AUTO(profile) profile = decode_ok(texts[i]);
		expect_dump(profile, "0/0/ /bin/x@1004:leaf:7:main:0 /bin/x@1068:main:0"
				     " wait //0 weight 30 count 3\n");
	}
}

static void columns(void **state)
{
	(void)state;
	static const struct {
		const char *types; /* 7: main, 6: leaf */
		const char *sample;
		int64_t weight;
		uint64_t count;
		const char *type_text;
	} rows[] = {
		{"1{1:1 2:2} 1{1:3 2:4}", "2[3,30]", 30, 3, "cpu"},
		{"1{1:1 2:2} 1{1:3 2:4} 14:1", "2[3,30]", 3, 3, "samples"},
		{"1{1:1 2:2} 1{1:3 2:4} 14:7", "2[3,30]", 30, 3, "cpu"}, /* names none: the last */
		{"1{1:3 2:4}", "2[30]", 30, 1, "cpu"},
		{"1{1:1 2:2}", "2[3]", 3, 3, "samples"},
		{"1{1:3 2:4} 1{1:1 2:2}", "2[30,3]", 3, 3, "samples"},
		{"1{1:3 2:4} 1{1:1 2:2} 14:3", "2[30,3]", 30, 3, "cpu"},
		{"1{1:6 2:4} 1{1:7 2:4} 1{1:3 2:4} 14:6", "2[-5,2,3]", -5, 1, "leaf"},
		{"1{1:1 2:2} 1{1:3 2:4}", "2[-3,30]", 30, 0, "cpu"},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char text[1024];
		snprintf(text, sizeof(text), "%s 2{%s} " STRINGS, rows[i].types, rows[i].sample);
		AUTO(profile) profile = decode_ok(text);
		assert_int_equal(profile->samples[0].weight, rows[i].weight);
		assert_int_equal(profile->samples[0].count, rows[i].count);
		assert_string_equal(profile_string(profile, profile->type_text), rows[i].type_text);
	}
}

static void labels_become_threads(void **state)
{
	(void)state;
	static const struct {
		const char *labels;
		const char *dump;
	} rows[] = {
		{"", "0/0/"},
		{"3{1:10 3:7}", "7/0/"},
		{"3{1:10 2:13}", "12/0/"},      /* text "12" */
		{"3{1:10 2:12}", "0/0/ pid=w"}, /* not a number: just a label */
		{"3{1:10 3:-1}", "0/0/ pid=-1"},
		{"3{1:10 3:4294967296}", "0/0/ pid=4294967296"},
		{"3{1:11 2:12}", "0/0/w"},
		{"3{1:11 3:5}", "0/0/ thread=5"},
		{"3{1:9 3:-5} 3{1:8 2:9}", "0/0/ cc1=-5 comm=cc1"},
		{"3{1:9 3:512 4:2}", "0/0/ cc1=512"},
		{"3{1:9}", "0/0/ cc1=0"},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char text[1024], dump[128];
		snprintf(text, sizeof(text), TABLES "2{2[1,2] %s}", rows[i].labels);
		snprintf(dump, sizeof(dump), "%s wait //0 weight 2 count 1\n", rows[i].dump);
		AUTO(profile) profile = decode_ok(text);
		expect_dump(profile, dump);
	}
}

/* 14: what the profile's values are called, 15 reason, 16 the reason, 17 waits_on, 18 x, 19
 * idle, 20 true. */
#define WAIT_TABLES                                                                          \
	"1{1:14 2:4} " STRINGS "6\"%s\" 6\"reason\" 6\"%s\" 6\"waits_on\" 6\"x\" 6\"idle\" " \
	"6\"true\" " MAPPING LOCATIONS FUNCTIONS

static void labels_become_waits(void **state)
{
	(void)state;
	static const struct {
		const char *type, *reason;
		const char *labels;
		const char *dump;
	} rows[] = {
		{"offcpu", "lock", "3{1:15 2:16} 3{1:17 2:18} 3{1:19 2:20}", "0/0/ wait lock/x/1"},
		{"wall", "lock", "3{1:19 2:20} 3{1:15 2:16} 3{1:17 2:18}", "0/0/ wait lock/x/1"},
		{"off_cpu", "run_queue", "3{1:15 2:16} 3{1:8 2:9}",
		 "0/0/ comm=cc1 wait run_queue//0"},
		{"wall", "disk", "3{1:15 2:16} 3{1:19 2:18}", "0/0/ wait disk//0"},
		{"wall", "running", "3{1:15 2:16}", "0/0/ wait //0"},
		/* Not ours: plain labels. */
		{"wall", "bored", "3{1:15 2:16} 3{1:19 2:20}",
		 "0/0/ idle=true reason=bored wait //0"},
		{"offcpu", "", "3{1:17 2:18} 3{1:19 2:20}", "0/0/ idle=true waits_on=x wait //0"},
		{"offcpu", "Lock", "3{1:15 2:16}", "0/0/ reason=Lock wait //0"},
		{"offcpu", "lock", "3{1:15 3:4}", "0/0/ reason=4 wait //0"},
		{"cpu", "lock", "3{1:15 2:16} 3{1:19 2:20}", "0/0/ idle=true reason=lock wait //0"},
		{"space", "lock", "3{1:15 2:16}", "0/0/ reason=lock wait //0"},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char text[1024], dump[128];
		snprintf(text, sizeof(text), WAIT_TABLES "2{2[2] %s}", rows[i].type, rows[i].reason,
			 rows[i].labels);
		snprintf(dump, sizeof(dump), "%s weight 2 count 1\n", rows[i].dump);
		AUTO(profile) profile = decode_ok(text);
		expect_dump(profile, dump);
	}
}

static void broken_rules_are_named(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		int rc;
		const char *message;
	} rows[] = {
		{"", -ENODATA, "it is empty"},
		{"99:1", -EBADMSG, "there is no string table"},
		{"!", -EBADMSG, "not a protobuf message"},
		{"0:1", -EBADMSG, "not a protobuf message"},
		{TYPES "6\"x\"", -EBADMSG, "the first string is not \"\""},
		{"1{1:99} " STRINGS, -EBADMSG, "string 99 is not in the string table of 14"},
		{"1{2:-1} " STRINGS, -EBADMSG, "string -1 is not in the string table of 14"},
		{"1:1 " STRINGS, -EBADMSG, "a profile is not a valid message"},
		{STRINGS "2{2[1]}", -EBADMSG, "there are samples but no sample types"},
		{TABLES "2{2[1]}", -EBADMSG, "sample 1 has 1 values for 2 sample types"},
		{TABLES "2{}", -EBADMSG, "sample 1 has 0 values for 2 sample types"},
		{TABLES "2{2[1,2]} 2{2[1,2,3]}", -EBADMSG,
		 "sample 2 has 3 values for 2 sample types"},
		{TABLES "2{1[3] 2[1,2]}", -EBADMSG,
		 "sample 1 names location 3, which is not there"},
		{TABLES "2{1[0] 2[1,2]}", -EBADMSG,
		 "sample 1 names location 0, which is not there"},
		{TABLES "2{2[1,2] 3{1:8 2:9} 3{1:8 2:9}}", -EBADMSG,
		 "sample 1 has the label \"comm\" twice"},
		{TABLES "2{2[1,2] 3{1:8 2:9 3:4}}", -EBADMSG,
		 "sample 1: label \"comm\" is text and number"},
		{TABLES "2{2[1,2] 3{1:8 2:77}}", -EBADMSG,
		 "string 77 is not in the string table of 14"},
		{TABLES "2{2[1,2] 3{1:77 2:8}}", -EBADMSG,
		 "string 77 is not in the string table of 14"},
		{TABLES "2:1", -EBADMSG, "field 2 is not a message"},
		{TABLES "6:1", -EBADMSG, "field 6 is not a message"},
		{TABLES "2\"zzz\"", -EBADMSG, "a sample is not a valid message"},
		{TABLES "3\"zzz\"", -EBADMSG, "a mapping is not a valid message"},
		{TABLES "4\"zzz\"", -EBADMSG, "a location is not a valid message"},
		{TABLES "5\"zzz\"", -EBADMSG, "a function is not a valid message"},
		{TABLES "3{2:1}", -EBADMSG, "a mapping has the reserved id 0"},
		{TABLES "4{3:1}", -EBADMSG, "a location has the reserved id 0"},
		{TABLES "5{2:6}", -EBADMSG, "a function has the reserved id 0"},
		{TABLES "3{1:1}", -EBADMSG, "two mappings have the id 1"},
		{TABLES "4{1:2}", -EBADMSG, "two locations have the id 2"},
		{TABLES "5{1:2}", -EBADMSG, "two functions have the id 2"},
		{TABLES "3{1:9 5:77}", -EBADMSG, "string 77 is not in the string table of 14"},
		{TABLES "5{1:9 2:77}", -EBADMSG, "string 77 is not in the string table of 14"},
		{TABLES "4{1:9 2:5}", -EBADMSG, "location 9 names mapping 5, which is not there"},
		{TABLES "4{1:9 4{1:5}}", -EBADMSG,
		 "location 9 names function 5, which is not there"},
		{TABLES "4{1:9 4{}}", -EBADMSG, "location 9 names function 0, which is not there"},
		{TABLES TABLES, -EBADMSG, "two mappings have the id 1"}, /* two in a row */
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct profile *profile = NULL;
		struct err err = {0};
		char message[256];
		snprintf(message, sizeof(message), "pprof profile: %s", rows[i].message);
		int rc = decode_text(&profile, rows[i].text, &err);
		assert_string_equal(err.text, message);
		assert_int_equal(rc, rows[i].rc);
		assert_null(profile);
	}
}

/* Whatever a prefix is, it is no crash, and none but one on a field's end is a profile. */
static void input_that_ends_early(void **state)
{
	(void)state;
	struct buf raw, packed;
	buf_init(&raw, PROTO_TEXT_MAX_BYTES);
	buf_init(&packed, PROTO_TEXT_MAX_BYTES);
	proto_text(&raw, STRINGS TYPES MAPPING FUNCTIONS LOCATIONS "2{1[1,2] 2[3,30]}");
	assert_int_equal(gzip_compress(&packed, raw.data, raw.len_bytes, 6, NULL), 0);
	size_t sample_bytes = 10; /* 2{...}: tag, length, two packed fields of 4 bytes */
	for (size_t cut = 1; cut < sample_bytes; cut++) {
		struct profile *profile = NULL;
		assert_int_equal(pprof_decode(&profile, raw.data, raw.len_bytes - cut, NULL),
				 -ENODATA);
		assert_null(profile);
	}
	for (size_t len_bytes = 0; len_bytes < packed.len_bytes; len_bytes++) {
		struct profile *profile = NULL;
		int rc = pprof_decode(&profile, packed.data, len_bytes, NULL);
		assert_true(rc == -ENODATA || (len_bytes < 3 && rc == -EBADMSG));
		assert_null(profile);
	}
	packed.data[12] ^= 0x55;
	struct profile *profile = NULL;
	assert_int_equal(pprof_decode(&profile, packed.data, packed.len_bytes, NULL), -EBADMSG);
	assert_null(profile);
	buf_fini(&raw);
	buf_fini(&packed);
}

static struct profile *encode_and_decode(const struct profile *profile)
{
	AUTO_FINI(buf_fini) struct buf out;
	struct err err = {0};
	struct profile *back = NULL;
	buf_init(&out, 1 << 26);
	assert_int_equal(pprof_encode(&out, profile, &err), 0);
	assert_true(gzip_is(out.data, out.len_bytes));
	if (pprof_decode(&back, out.data, out.len_bytes, &err))
		fail_msg("%s", err.text);
	return back;
}

static void an_empty_profile(void **state)
{
	(void)state;
	AUTO(profile) profile = new_profile();
	AUTO(profile) back = encode_and_decode(profile);
	assert_int_equal(back->sample_count, 0);
	assert_string_equal(profile_string(back, back->unit), "nanoseconds");
}

static void times_types_and_units_survive(void **state)
{
	(void)state;
	static const enum profile_type types[] = {PROFILE_CPU, PROFILE_OFFCPU, PROFILE_WALL};
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		AUTO(profile) profile = NULL;
		assert_int_equal(profile_new(&profile, types[i]), 0);
		profile->start_unix_ns = 1700000000000000000;
		profile->duration_ns = 5000000000;
		profile->period_ns = 10101010;
		maker_sample(profile, "c", 1, "main", -7);
		AUTO(profile) back = encode_and_decode(profile);
		assert_int_equal(back->type, types[i]);
		assert_int_equal(back->start_unix_ns, profile->start_unix_ns);
		assert_int_equal(back->duration_ns, profile->duration_ns);
		assert_int_equal(back->period_ns, profile->period_ns);
		assert_int_equal(back->samples[0].weight, -7);
	}
	AUTO(profile) counts = new_profile();
	maker_sample(counts, "c", 1, "main", 7);
	counts->type_text = maker_string(counts, "samples");
	counts->unit = maker_string(counts, "count");
	AUTO(profile) back = encode_and_decode(counts);
	assert_int_equal(back->samples[0].weight, 7);
	assert_string_equal(profile_string(back, back->unit), "count");
}

static void ranges_are_widened_to_hold_their_addresses(void **state)
{
	(void)state;
	static const struct {
		struct profile_mapping mapping;
		uint64_t vaddrs[2];
		uint64_t start, limit, file_off;
	} rows[] = {
		{{.start_vaddr = 0x1000, .limit_vaddr = 0x2000, .file_off = 0x40},
		 {0x1000, 0x1fff},
		 0x1000,
		 0x2000,
		 0x40},
		{{.start_vaddr = 0x1000, .limit_vaddr = 0x2000, .file_off = 0x40},
		 {0x1000, 0x2000},
		 0x1000,
		 0x2001,
		 0x40},
		{{.start_vaddr = 0x1000, .limit_vaddr = 0x2000, .file_off = 0x40},
		 {0xff0, 0x1800},
		 0xff0,
		 0x2000,
		 0x30},
		{{.start_vaddr = 0x1000, .limit_vaddr = 0x2000, .file_off = 0x8},
		 {0xff0, 0x1800},
		 0xff0,
		 0x2000,
		 0},
		{{.start_vaddr = 0},
		 {0xffffffff81000000, 0xffffffffffffffff},
		 0xffffffff81000000,
		 0xffffffffffffffff,
		 0},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO(profile) profile = new_profile();
		struct profile_mapping mapping = rows[i].mapping;
		struct profile_sample sample = {.weight = 1, .count = 1};
		struct profile_location location = {0};
		mapping.filename = maker_string(profile, "/bin/y");
		assert_int_equal(profile_add_mapping(profile, &mapping, &location.mapping), 0);
		for (size_t j = 0; j < 2; j++) {
			uint32_t id;
			location.vaddr = rows[i].vaddrs[j];
			assert_int_equal(profile_add_location(profile, &location, NULL, 0, &id), 0);
			assert_int_equal(
				profile_add_stack(profile, sample.stack, id, &sample.stack), 0);
		}
		assert_int_equal(profile_add_sample(profile, &sample), 0);
		AUTO(profile) back = encode_and_decode(profile);
		assert_int_equal(back->mapping_count, 2);
		assert_true(back->mappings[1].start_vaddr == rows[i].start);
		assert_true(back->mappings[1].limit_vaddr == rows[i].limit);
		assert_true(back->mappings[1].file_off == rows[i].file_off);
	}
}

static void the_heaviest_program_is_the_first_mapping(void **state)
{
	(void)state;
	AUTO(profile) profile = new_profile();
	static const struct {
		const char *root;
		int64_t weight;
	} programs[] = {{"/bin/light", 3}, {"/usr/lib/libc.so.6", 100}, {"/bin/heavy", 7}};
	for (size_t i = 0; i < ARRAY_LEN(programs); i++) {
		struct profile_sample sample = {.weight = programs[i].weight, .count = 1};
		uint32_t root = maker_location(profile, programs[i].root, 1, "main", NULL);
		uint32_t leaf = maker_location(profile, "[kernel.kallsyms]", 9, "sys", NULL);
		assert_int_equal(profile_add_stack(profile, 0, root, &sample.stack), 0);
		assert_int_equal(profile_add_stack(profile, sample.stack, leaf, &sample.stack), 0);
		assert_int_equal(profile_add_sample(profile, &sample), 0);
	}
	AUTO(profile) back = encode_and_decode(profile);
	assert_int_equal(back->mapping_count, 5);
	assert_string_equal(profile_string(back, back->mappings[1].filename), "/bin/heavy");
}

static void only_what_samples_reach_is_written(void **state)
{
	(void)state;
	AUTO(profile) profile = new_profile();
	maker_stack(profile, "nobody;was;here");
	maker_sample(profile, "c", 1, "main", 1);
	AUTO(profile) back = encode_and_decode(profile);
	assert_int_equal(back->location_count, 2);
	assert_int_equal(back->function_count, 2);
	assert_true(strtab_find(&back->strings, "nobody") == INDEX_NONE);
}

static void names_are_written_as_utf8(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		const char *written;
	} rows[] = {
		{"caf\xc3\xa9", "caf\xc3\xa9"},
		{"\xf0\x9f\x94\xa5", "\xf0\x9f\x94\xa5"},
		{"a\xff"
		 "b",
		 "a\xef\xbf\xbd"
		 "b"},
		{"\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd"}, /* overlong */
		{"cut\xe2\x82", "cut\xef\xbf\xbd\xef\xbf\xbd"},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO(profile) profile = new_profile();
		maker_sample(profile, "c", 1, rows[i].name, 1);
		AUTO(profile) back = encode_and_decode(profile);
		assert_true(strtab_find(&back->strings, rows[i].written) != INDEX_NONE);
	}
}

static void a_full_buffer_is_an_error(void **state)
{
	(void)state;
	AUTO(profile) profile = new_profile();
	struct buf out;
	struct err err = {0};
	maker_sample(profile, "c", 1, "main", 1);
	buf_init(&out, 20);
	assert_int_equal(pprof_encode(&out, profile, &err), -ENOSPC);
	buf_fini(&out);
}

/* One sample per (stack, thread), as an encoder makes them. */
static struct profile *merged(const struct profile *profile)
{
	struct profile *into = new_profile();
	assert_int_equal(profile_merge(into, profile, NULL), 0);
	return into;
}

static void random_profiles_survive(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 30; round++) {
		unsigned seed = maker_seed(round);
		static const enum profile_type types[] = {PROFILE_CPU, PROFILE_OFFCPU,
							  PROFILE_WALL};
		AUTO(profile) profile = maker_random(&seed, 1 + maker_roll(&seed, 200));
		profile->type = types[round % 3];
		profile->type_text = maker_string(profile, profile_type_name(profile->type));
		if (profile->type != PROFILE_CPU)
			maker_add_waits(&seed, profile);
		AUTO(profile) expected = merged(profile);
		AUTO(profile) back = encode_and_decode(profile);
		assert_int_equal(back->type, profile->type);
		AUTO_MEM char *want = maker_dump(expected);
		AUTO_MEM char *got = maker_dump(back);
		assert_string_equal(got, want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_profile_by_hand),
		cmocka_unit_test(order_and_form_of_fields),
		cmocka_unit_test(columns),
		cmocka_unit_test(labels_become_threads),
		cmocka_unit_test(labels_become_waits),
		cmocka_unit_test(broken_rules_are_named),
		cmocka_unit_test(input_that_ends_early),
		cmocka_unit_test(an_empty_profile),
		cmocka_unit_test(times_types_and_units_survive),
		cmocka_unit_test(ranges_are_widened_to_hold_their_addresses),
		cmocka_unit_test(the_heaviest_program_is_the_first_mapping),
		cmocka_unit_test(only_what_samples_reach_is_written),
		cmocka_unit_test(names_are_written_as_utf8),
		cmocka_unit_test(a_full_buffer_is_an_error),
		cmocka_unit_test(random_profiles_survive),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
