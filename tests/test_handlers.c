/*
 * Every route over a store with known samples: answers against arithmetic.
 *
 * Ten seconds from T0, ten samples a second of 10 ms each. For nine seconds it is alpha, 7 in
 * main;a to 2 in main;b of 9; the last second is beta in main;c, c being the kernel's.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/array.h"
#include "base/clock.h"
#include "base/gzip.h"
#include "base/reader.h"
#include "profile/pprof.h"
#include "tests/profile_maker.h"
#include "tests/temp_store.h"
#include "web/router.h"

#define T0_S      INT64_C(1800000000) /* a whole minute */
#define SAMPLE_NS (10 * NS_PER_MS)
#define RANGE     "from=1800000000&until=1800000010"

enum { SECONDS = 10, SAMPLES_A_SECOND = 10 };

static const char index_html[] = "<!doctype html><title>test page</title>";

struct fixture {
	struct temp_store temp;
	struct buf packed_page;
	struct asset assets[2];
	struct web_context context;
	struct request request;
	struct response response;
	int flushes; /* of waits, asked for by a handler */
};

static void add_second(struct fixture *f, int second)
{
	AUTO(profile) profile = NULL;
	assert_int_equal(profile_new(&profile, PROFILE_CPU), 0);
	profile->start_unix_ns = (T0_S + second) * NS_PER_S;
	profile->duration_ns = NS_PER_S;
	profile->period_ns = SAMPLE_NS;
	for (int i = 0; i < SAMPLES_A_SECOND; i++) {
		bool is_alpha = second < 9;
		int nth = second * SAMPLES_A_SECOND + i;
		const char *path = !is_alpha ? "main;k:c" : nth % 9 < 7 ? "main;a" : "main;b";
		maker_sample(profile, is_alpha ? "alpha" : "beta", is_alpha ? 11 : 22, path,
			     SAMPLE_NS);
		profile->samples[i].time_unix_ns =
			profile->start_unix_ns + i * NS_PER_S / SAMPLES_A_SECOND;
	}
	struct ledger delta = {.taken = SAMPLES_A_SECOND + 1, .stored = SAMPLES_A_SECOND};
	delta.dropped[DROP_RING_FULL] = 1;
	struct err err = {0};
	if (store_append(f->temp.store, (const struct profile *[]){profile}, 1, &delta, &err))
		fail_msg("%s", err.text);
}

static bool fake_stats(void *ctx, struct sampler_stats *stats)
{
	(void)ctx;
	*stats = (struct sampler_stats){
		.kernel = {.taken = 110, .stored = 100},
		.rate_hz = 99,
		.cpu_user_ns = 1999999,
		.waiting = {.method = "task iterator",
			    .passes = 20,
			    .visits = 8000,
			    .walks = 300,
			    .raced = 2,
			    .busy = 1,
			    .deferred = 5,
			    .stuck = 6,
			    .unseen_ns = 1999,
			    .pass_ns = 3999999,
			    .period_ns = 50 * NS_PER_MS,
			    .threads = 400},
	};
	stats->kernel.dropped[DROP_RING_FULL] = 10;
	return true;
}

static void fake_quality(void *ctx, struct stack_quality *quality)
{
	(void)ctx;
	quality->ends[1] = 9;
	quality->ends[5] = 1;
	quality->processes.row_count = 1;
	quality->processes.rows[0] = (struct stack_quality_row){"c\"c1", 42, {[1] = 8}};
	quality->processes.other = (struct stack_quality_row){.ends = {[1] = 1, [5] = 1}};
	quality->libraries.row_count = 1;
	quality->libraries.rows[0] = (struct stack_quality_row){"[jit]", 0, {[1] = 9, [5] = 1}};
}

static void fake_symbols(void *ctx, struct symbols_status *status)
{
	(void)ctx;
	*status = (struct symbols_status){
		.executables = 12,
		.with_lines = 7,
		.waiting = 3,
		.running = "/bin/\"x\"",
		.compiled = 5,
		.from_cache = 2,
		.failed = 1,
		.unnamed_samples = 90,
		.unnamed = {{"/opt/a", "00ff", 80, "stripped", "install a-dbg"},
			    {"[jit]", "", 10, "why", "\"what\""}},
		.unnamed_count = 2,
	};
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	assert_non_null(f);
	temp_store_init(&f->temp);
	for (int second = 0; second < SECONDS; second++)
		add_second(f, second);
	buf_init(&f->packed_page, 4096);
	assert_int_equal(gzip_compress(&f->packed_page, index_html, strlen(index_html), 9, NULL),
			 0);
	const uint8_t *page_bytes = (const uint8_t *)f->packed_page.data;
	f->assets[0] = (struct asset){"/index.html", "text/html; charset=utf-8", "0123abcd",
				      page_bytes, page_bytes + f->packed_page.len_bytes};
	f->assets[1] = f->assets[0];
	f->assets[1].path = "/assets/index-a1b2c3.js";
	f->context = (struct web_context){
		.store = f->temp.store,
		.version = "1.2.3",
		.assets = {f->assets, 2},
		.sampler_stats = fake_stats,
		.stack_quality = fake_quality,
		.symbols_status = fake_symbols,
	};
	response_init(&f->response);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	response_fini(&f->response);
	buf_fini(&f->packed_page);
	temp_store_fini(&f->temp);
	free(f);
	return 0;
}

/* GET a target at the end of the known range; the answer is in f->response. */
static unsigned int get(struct fixture *f, const char *target)
{
	response_fini(&f->response);
	response_init(&f->response);
	f->request.now_unix_ns = (T0_S + SECONDS) * NS_PER_S;
	router_answer(&f->context, &f->request, target, &f->response);
	return f->response.status;
}

static const char *header(const struct fixture *f, const char *name)
{
	for (size_t i = 0; i < f->response.header_count; i++)
		if (!strcmp(f->response.headers[i].name, name))
			return f->response.headers[i].value;
	return NULL;
}

static json_t *get_json(struct fixture *f, const char *target)
{
	unsigned int status = get(f, target);
	json_error_t error;
	json_t *root = json_loadb(f->response.body.data, f->response.body.len_bytes, 0, &error);
	if (!root)
		fail_msg("%s: %u, %s", target, status, error.text);
	assert_string_equal(f->response.content_type, "application/json");
	return root;
}

/* The value at a path of object keys and array positions, "rows.0.name"; NULL: none. */
static json_t *at(json_t *root, const char *path)
{
	char copy[128];
	snprintf(copy, sizeof(copy), "%s", path);
	char *save = NULL;
	for (char *key = strtok_r(copy, ".", &save); key && root; key = strtok_r(NULL, ".", &save))
		root = json_is_array(root) ? json_array_get(root, strtoul(key, NULL, 10))
					   : json_object_get(root, key);
	return root;
}

struct value_row {
	const char *target;
	const char *path;
	const char *value; /* as JSON text */
};

static const struct value_row value_rows[] = {
	{"/api/v1/flame?" RANGE, "total_us", "1000000"},
	{"/api/v1/flame?" RANGE, "samples", "100"},
	{"/api/v1/flame?" RANGE, "from_us", "1800000000000000"},
	{"/api/v1/flame?" RANGE, "until_us", "1800000010000000"},
	{"/api/v1/flame?" RANGE, "type", "\"cpu\""},
	{"/api/v1/flame?" RANGE, "query", "\"{}\""},
	{"/api/v1/flame?" RANGE, "nodes.parent", "[0,0,1,1,1]"},
	{"/api/v1/flame?" RANGE, "nodes.self_us", "[0,0,700000,200000,100000]"},
	{"/api/v1/flame?" RANGE, "nodes.total_us", "[1000000,1000000,700000,200000,100000]"},
	{"/api/v1/flame?" RANGE, "nodes.self_samples", "[0,0,70,20,10]"},
	{"/api/v1/flame?" RANGE, "nodes.kind", "[0,1,1,1,2]"},
	{"/api/v1/flame", "total_us", "1000000"}, /* the last 15 minutes */
	{"/api/v1/flame?type=wall&" RANGE, "total_us", "1000000"},
	{"/api/v1/flame?type=offcpu&" RANGE, "total_us", "0"},
	{"/api/v1/flame?from=now-1h&until=now-1m", "total_us", "0"},
	{"/api/v1/flame?by=comm&" RANGE, "nodes.parent", "[0,0,1,2,2,0,5,6]"},
	{"/api/v1/flame?by=comm&" RANGE, "nodes.total_us",
	 "[1000000,900000,900000,700000,200000,100000,100000,100000]"},
	{"/api/v1/flame?group_by=comm&" RANGE, "nodes.parent", "[0,0,1,2,2,0,5,6]"},
	{"/api/v1/flame?group_by=comm&by=line&" RANGE, "nodes.kind", "[0,6,1,1,1,6,1,2]"},
	{"/api/v1/flame?group_by=reason&" RANGE, "names",
	 "[\"all\",\"[no reason]\",\"main\",\"a\",\"b\",\"c\"]"},
	{"/api/v1/flame?group_by=tid&" RANGE, "names",
	 "[\"all\",\"11\",\"main\",\"a\",\"b\",\"22\",\"c\"]"},
	{"/api/v1/flame?focus=b&" RANGE, "total_us", "200000"},
	{"/api/v1/flame?focus=nobody&" RANGE, "total_us", "0"},
	{"/api/v1/flame?limit=3&" RANGE, "nodes.total_us", "[1000000,1000000,700000]"},
	{"/api/v1/flame?query={comm=\"beta\"}&" RANGE, "total_us", "100000"},
	{"/api/v1/flame?query={comm=\"beta\"}&" RANGE, "query", "\"{comm=\\\"beta\\\"}\""},
	{"/api/v1/flame?query={comm=~\"al.*\"}&" RANGE, "total_us", "900000"},
	{"/api/v1/flame?query={comm=\"nobody\"}&" RANGE, "total_us", "0"},

	{"/api/v1/top?" RANGE, "functions", "4"},
	{"/api/v1/top?" RANGE, "total_us", "1000000"},
	{"/api/v1/top?" RANGE, "rows.0.name", "\"a\""},
	{"/api/v1/top?" RANGE, "rows.0.self_us", "700000"},
	{"/api/v1/top?" RANGE, "rows.0.mapping", "\"/bin/x\""},
	{"/api/v1/top?" RANGE, "rows.1.self_us", "200000"},
	{"/api/v1/top?" RANGE, "rows.2.kind", "2"},
	{"/api/v1/top?" RANGE, "rows.3.name", "\"main\""},
	{"/api/v1/top?" RANGE, "rows.3.total_us", "1000000"},
	{"/api/v1/top?" RANGE, "rows.3.total_samples", "100"},
	{"/api/v1/top?limit=1&" RANGE, "functions", "4"},
	{"/api/v1/top?limit=1&" RANGE, "rows.1", NULL},

	{"/api/v1/series?step=5s&" RANGE, "points", "2"},
	{"/api/v1/series?step=5s&" RANGE, "start_us", "1800000000000000"},
	{"/api/v1/series?step=5s&" RANGE, "step_us", "5000000"},
	{"/api/v1/series?step=5s&" RANGE, "series.0.weight_us", "[500000,500000]"},
	{"/api/v1/series?step=5s&" RANGE, "series.0.total_us", "1000000"},
	{"/api/v1/series?step=5s&" RANGE, "covered_us", "[5000000,5000000]"},
	{"/api/v1/series?step=5s&" RANGE, "taken", "[55,55]"},
	{"/api/v1/series?step=5s&" RANGE, "dropped", "[5,5]"},
	{"/api/v1/series?step=5s&group_by=comm&" RANGE, "group_by", "\"comm\""},
	{"/api/v1/series?step=5s&group_by=comm&" RANGE, "series.0.name", "\"alpha\""},
	{"/api/v1/series?step=5s&group_by=comm&" RANGE, "series.0.weight_us", "[500000,400000]"},
	{"/api/v1/series?step=5s&group_by=comm&" RANGE, "series.1.weight_us", "[0,100000]"},
	{"/api/v1/series?step=5s&group_by=comm&limit=1&" RANGE, "series.1.name", "\"other\""},
	{"/api/v1/series?" RANGE, "step_us", "1000000"},
	{"/api/v1/series?" RANGE, "points", "10"},
	{"/api/v1/series", "step_us", "5000000"},                     /* 15 min / 300 = 3 s */
	{"/api/v1/series?from=now-1d", "step_us", "300000000"},       /* 288 s */
	{"/api/v1/series?from=now-30d", "step_us", "14400000000"},    /* 8640 s */
	{"/api/v1/series?from=now-520w", "step_us", "1123200000000"}, /* 12.1 d, so 13 */

	{"/api/v1/label-values?label=comm&" RANGE, "label", "\"comm\""},
	{"/api/v1/label-values?label=comm&" RANGE, "values",
	 "[{\"value\":\"alpha\",\"total_us\":900000},{\"value\":\"beta\",\"total_us\":100000}]"},
	{"/api/v1/label-values?label=comm&limit=1&" RANGE, "values.0.value", "\"alpha\""},

	{"/api/v1/status", "version", "\"1.2.3\""},
	{"/api/v1/status", "sampling", "true"},
	{"/api/v1/status", "rate_hz", "99"},
	{"/api/v1/status", "now_us", "1800000010000000"},
	{"/api/v1/status", "ledger.kernel.taken", "110"},
	{"/api/v1/status", "ledger.kernel.dropped.ring_full", "10"},
	{"/api/v1/status", "ledger.user.dropped.ring_full", "0"},
	{"/api/v1/status", "stack_ends.complete", "9"},
	{"/api/v1/status", "stack_ends.too deep", "0"},
	{"/api/v1/status", "stack_quality.processes.rows.0",
	 "{\"pid\":42,\"comm\":\"c\\\"c1\",\"ends\":{\"complete\":8}}"},
	{"/api/v1/status", "stack_quality.processes.other",
	 "{\"complete\":1,\"no unwind info\":1}"},
	{"/api/v1/status", "stack_quality.libraries",
	 "{\"rows\":[{\"library\":\"[jit]\",\"ends\":{\"complete\":9,\"no unwind info\":1}}],"
	 "\"other\":{}}"},
	{"/api/v1/status", "symbols",
	 "{\"executables\":12,\"with_lines\":7,\"waiting\":3,\"compiling\":\"/bin/\\\"x\\\"\","
	 "\"compiled\":5,\"from_cache\":2,\"failed\":1,\"unnamed_samples\":90,\"unnamed\":["
	 "{\"file\":\"/opt/a\",\"build_id\":\"00ff\",\"samples\":80,\"reason\":\"stripped\","
	 "\"remedy\":\"install a-dbg\"},"
	 "{\"file\":\"[jit]\",\"build_id\":\"\",\"samples\":10,\"reason\":\"why\","
	 "\"remedy\":\"\\\"what\\\"\"}]}"},
	{"/api/v1/status", "cost.cpu_user_us", "1999"},
	{"/api/v1/status", "waiting",
	 "{\"method\":\"task iterator\",\"why_off\":\"\",\"period_us\":50000,\"threads\":400,\"passes\":20,"
	 "\"visits\":8000,\"walks\":300,\"raced\":2,\"busy\":1,\"deferred\":5,"
	 "\"stuck\":6,\"unseen_us\":1,\"cpu_us\":3999}"},
	{"/api/v1/status", "store.samples", "100"},
	{"/api/v1/status", "notices", "[]"},
};

static bool has_value(struct fixture *f, const struct value_row *row)
{
	json_t *root = get_json(f, row->target);
	json_t *value = at(root, row->path);
	AUTO_MEM char *text = value ? json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
	json_decref(root);
	if (row->value ? text && !strcmp(text, row->value) : !text)
		return true;
	print_error("%s: %s is %s, not %s\n", row->target, row->path, text, row->value);
	return false;
}

static void test_values(void **state)
{
	int wrong = 0;
	for (size_t i = 0; i < ARRAY_LEN(value_rows); i++)
		wrong += !has_value(*state, &value_rows[i]);
	assert_int_equal(wrong, 0);
}

static void test_labels_are_sorted_and_there(void **state)
{
	struct fixture *f = *state;
	json_t *root = get_json(f, "/api/v1/labels?" RANGE);
	json_t *labels = at(root, "labels");
	bool has_comm = false;
	for (size_t i = 0; i < json_array_size(labels); i++) {
		const char *name = json_string_value(json_array_get(labels, i));
		has_comm |= !strcmp(name, "comm");
		if (i)
			assert_true(strcmp(json_string_value(json_array_get(labels, i - 1)), name) <
				    0);
	}
	assert_true(has_comm);
	json_decref(root);
}

static double f64_of(struct reader *r)
{
	uint64_t bits = reader_u64(r);
	double value;
	memcpy(&value, &bits, sizeof(value));
	return value;
}

/* docs/API.md, "Flame table". */
static void test_flame_table(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(get(f, "/api/v1/flame?format=table&" RANGE), 200);
	assert_string_equal(f->response.content_type, "application/octet-stream");
	struct reader r = reader_of(f->response.body.data, f->response.body.len_bytes);
	assert_memory_equal(reader_bytes(&r, 8), "HEARTHF1", 8);
	uint32_t nodes = reader_u32(&r);
	assert_int_equal(nodes, 5);
	reader_skip(&r, 8);
	assert_int_equal(reader_u32(&r), 2);
	assert_true(f64_of(&r) == 1e9);
	assert_true(f64_of(&r) == 100);
	assert_int_equal(reader_u64(&r), T0_S * 1000000);
	assert_int_equal(reader_u64(&r), (T0_S + SECONDS) * 1000000);
	static const double self_ns[] = {0, 0, 7e8, 2e8, 1e8};
	for (size_t i = 0; i < ARRAY_LEN(self_ns); i++)
		assert_true(f64_of(&r) == self_ns[i]);
	assert_false(r.bad);
}

static void test_export_folded(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(get(f, "/api/v1/export?format=folded&" RANGE), 200);
	assert_string_equal(f->response.content_type, "text/plain; charset=utf-8");
	assert_string_equal(header(f, "Content-Disposition"),
			    "attachment; filename=\"hearth-cpu-20270115T080010Z.folded\"");
	static const char expected[] = "alpha;main;a 700000000\n"
				       "alpha;main;b 200000000\n"
				       "beta;main;c_[k] 100000000\n";
	assert_int_equal(f->response.body.len_bytes, strlen(expected));
	assert_memory_equal(f->response.body.data, expected, strlen(expected));
}

struct pprof_row {
	const char *target;
	uint64_t samples;
	const char *disposition;
};

static const struct pprof_row pprof_rows[] = {
	{"/api/v1/export?" RANGE, 100,
	 "attachment; filename=\"hearth-cpu-20270115T080010Z.pb.gz\""},
	{"/api/v1/export?format=pprof&" RANGE, 100, NULL},
	{"/api/v1/export?query={comm=\"beta\"}&" RANGE, 10, NULL},
	{"/debug/pprof/profile", 100, "attachment; filename=\"profile\""},
	{"/debug/pprof/profile?seconds=1", 10, NULL},
	{"/debug/pprof/profile?seconds=5", 50, NULL},
	{"/debug/pprof/profile?seconds=5&until=now-5s", 50, NULL},
	{"/debug/pprof/profile?seconds=9999", 100, NULL},
	{"/debug/pprof/profile?from=now-2s&query={comm=\"alpha\"}", 10, NULL},
	{"/debug/pprof/offcpu?seconds=5", 0, NULL},
	{"/debug/pprof/offcpu?seconds=5&type=cpu", 50, NULL},
};

static void test_pprof(void **state)
{
	struct fixture *f = *state;
	f->request.accept_encoding = "gzip"; /* it is gzip already: not twice */
	for (size_t i = 0; i < ARRAY_LEN(pprof_rows); i++) {
		const struct pprof_row *row = &pprof_rows[i];
		assert_int_equal(get(f, row->target), 200);
		assert_string_equal(f->response.content_type, "application/octet-stream");
		assert_null(header(f, "Content-Encoding"));
		if (row->disposition)
			assert_string_equal(header(f, "Content-Disposition"), row->disposition);
		AUTO(profile) profile = NULL;
		struct err err = {0};
		if (pprof_decode(&profile, f->response.body.data, f->response.body.len_bytes, &err))
			fail_msg("%s: %s", row->target, err.text);
		if (profile_total_count(profile) != row->samples)
			fail_msg("%s: %llu samples", row->target,
				 (unsigned long long)profile_total_count(profile));
		assert_int_equal(profile_total_weight(profile), (int64_t)row->samples * SAMPLE_NS);
	}
}

struct flush_row {
	const char *target;
	int flushes;
};

/* Waits go on for up to 10 s before they are stored; who asks for a file of now waits for them. */
static const struct flush_row flush_rows[] = {
	{"/debug/pprof/offcpu?seconds=5", 1},
	{"/debug/pprof/offcpu", 1},
	{"/debug/pprof/profile?type=wall&seconds=5", 1},
	{"/debug/pprof/offcpu?seconds=5&until=now-10s", 1},
	{"/debug/pprof/offcpu?seconds=5&until=now-11s", 0},
	{"/debug/pprof/offcpu?from=1800000015&until=1800000020", 0},
	{"/debug/pprof/offcpu?seconds=5&type=cpu", 0},
	{"/debug/pprof/profile?seconds=5", 0},
	{"/debug/pprof/profile?type=heap", 0},
	{"/api/v1/export?type=offcpu", 1},
	{"/api/v1/export?type=wall&format=folded", 1},
	{"/api/v1/export?type=wall&format=jfr", 0},
	{"/api/v1/export", 0},
	{"/api/v1/flame?type=offcpu", 0},
	{"/api/v1/series?type=wall", 0},
};

static void count_flush(void *ctx)
{
	++*(int *)ctx;
}

static void test_flush_of_waits(void **state)
{
	struct fixture *f = *state;
	f->context = (struct web_context){
		.store = f->temp.store, .flush_waits = count_flush, .sampler_ctx = &f->flushes};
	for (size_t i = 0; i < ARRAY_LEN(flush_rows); i++) {
		f->flushes = 0;
		get(f, flush_rows[i].target);
		if (f->flushes != flush_rows[i].flushes)
			fail_msg("%s: %d flushes", flush_rows[i].target, f->flushes);
	}
}

struct failure_row {
	const char *target;
	unsigned int status;
	const char *says;
};

static const struct failure_row failure_rows[] = {
	{"/api/v1/flame?type=heap", 400, "use cpu, offcpu or wall"},
	{"/api/v1/flame?from=tomorrow", 400, "from: "},
	{"/api/v1/flame?until=1&from=2", 400, "not before"},
	{"/api/v1/flame?query={comm}", 400, "query: "},
	{"/api/v1/flame?query={comm=~\"[\"}", 400, "query: "},
	{"/api/v1/flame?query={comm=~\"(.?){99}[!x]\"}&" RANGE, 400, "match limit exceeded"},
	{"/api/v1/top?query={comm!~\"(.?){99}[!x]\"}&" RANGE, 400, "match limit exceeded"},
	{"/api/v1/series?query={comm=~\"(.?){99}[!x]\"}&" RANGE, 400, "match limit exceeded"},
	{"/api/v1/series?group_by=comm&query={comm=~\"(.?){99}[!x]\"}&" RANGE, 400, "\"alpha\""},
	{"/api/v1/labels?query={comm=~\"(.?){99}[!x]\"}&" RANGE, 400, "match limit exceeded"},
	{"/api/v1/label-values?label=pid&query={comm=~\"(.?){99}[!x]\"}&" RANGE, 400,
	 "limit exceed"},
	{"/api/v1/export?query={comm=~\"(.?){99}[!x]\"}&" RANGE, 400, "match limit exceeded"},
	{"/api/v1/flame?limit=many", 400, "limit"},
	{"/api/v1/flame?limit=1000001", 400, "limit"},
	{"/api/v1/flame?format=svg", 400, "json, table"},
	{"/api/v1/flame?by=host", 400, "none, comm"},
	{"/api/v1/flame?by=comm,", 400, "library"},
	{"/api/v1/top?by=lines", 400, "function, line, library"},
	{"/api/v1/top?limit=-1", 400, "limit"},
	{"/api/v1/series?step=often", 400, "step: "},
	{"/api/v1/series?step=1us", 400, "step"},
	{"/api/v1/series?step=0", 400, "step"},
	{"/api/v1/series?from=now-1d&step=1s", 400, "points"},
	{"/api/v1/series?limit=1001", 400, "limit"},
	{"/api/v1/label-values", 400, "label is missing"},
	{"/api/v1/label-values?label=", 400, "label is missing"},
	{"/api/v1/label-values?label=comm&limit=0", 400, "limit"},
	{"/api/v1/export?format=jfr", 400, "pprof, folded"},
	{"/api/v1/flames", 404, "/api/v1/flames"},
	{"/api/v2/flame", 404, "/api/v2/flame"},
	{"/API/v1/flame", 404, "nothing"},
	{"/assets/", 404, "nothing"},
	{"/api/v1/flame%2f", 404, "nothing"},
	{"api/v1/flame", 400, "'/'"},
	{"/%ff%zz", 400, "escape"},
};

static const char *code_of(unsigned int status)
{
	return status == 400 ? "bad_request" : "not_found";
}

static void test_failures(void **state)
{
	struct fixture *f = *state;
	for (size_t i = 0; i < ARRAY_LEN(failure_rows); i++) {
		const struct failure_row *row = &failure_rows[i];
		json_t *root = get_json(f, row->target);
		const char *message = json_string_value(at(root, "error.message"));
		if (f->response.status != row->status || !message || !strstr(message, row->says))
			fail_msg("%s: %u, %s", row->target, f->response.status, message);
		assert_string_equal(json_string_value(at(root, "error.code")),
				    code_of(row->status));
		assert_string_equal(f->response.cache_control, "no-store");
		json_decref(root);
	}
}

struct code_row {
	int code;
	unsigned int status;
	const char *name;
};

static const struct code_row code_rows[] = {
	{-EINVAL, 400, "bad_request"}, {-ENOENT, 404, "not_found"},
	{-ENOSPC, 413, "too_large"},   {-ENAMETOOLONG, 414, "uri_too_long"},
	{-EIO, 500, "internal"},       {-EBADMSG, 500, "internal"},
	{-ENOMEM, 503, "unavailable"}, {-EBUSY, 503, "unavailable"},
};

static void test_codes_to_status(void **state)
{
	struct fixture *f = *state;
	for (size_t i = 0; i < ARRAY_LEN(code_rows); i++) {
		struct err err = {0};
		err_set(&err, code_rows[i].code, "disk \"sda\" failed");
		response_error(&f->response, ERROR_JSON, &err);
		assert_int_equal(f->response.status, code_rows[i].status);
		json_t *root =
			json_loadb(f->response.body.data, f->response.body.len_bytes, 0, NULL);
		assert_string_equal(json_string_value(at(root, "error.code")), code_rows[i].name);
		assert_string_equal(json_string_value(at(root, "error.message")),
				    "disk \"sda\" failed");
		json_decref(root);
	}
	struct err err = {0};
	err_set(&err, -EINVAL, "no");
	response_error(&f->response, ERROR_PPROF, &err);
	assert_int_equal(f->response.status, 400);
	assert_string_equal(header(f, "X-Go-Pprof"), "1");
	assert_memory_equal(f->response.body.data, "no\n", 3);
}

struct asset_row {
	const char *target;
	const char *accept_encoding;
	const char *if_none_match;
	unsigned int status;
	const char *etag;
	const char *cache_control;
};

#define FOREVER "public, max-age=31536000, immutable"

static const struct asset_row asset_rows[] = {
	{"/", "gzip", NULL, 200, "\"0123abcd-gzip\"", "no-cache"},
	{"/?tab=top", "gzip", NULL, 200, "\"0123abcd-gzip\"", "no-cache"},
	{"/index.html", NULL, NULL, 200, "\"0123abcd\"", "no-cache"},
	{"/", NULL, NULL, 200, "\"0123abcd\"", "no-cache"},
	{"/", "gzip", "\"0123abcd-gzip\"", 304, "\"0123abcd-gzip\"", "no-cache"},
	{"/", "gzip", "W/\"0123abcd-gzip\"", 304, "\"0123abcd-gzip\"", "no-cache"},
	{"/", "gzip", "\"x\", \"0123abcd-gzip\"", 304, "\"0123abcd-gzip\"", "no-cache"},
	{"/", "gzip", "*", 304, "\"0123abcd-gzip\"", "no-cache"},
	{"/", NULL, "\"0123abcd\"", 304, "\"0123abcd\"", "no-cache"},
	{"/", NULL, "\"0123abcd-gzip\"", 200, "\"0123abcd\"", "no-cache"},
	{"/", "gzip", "\"0123abcd\"", 200, "\"0123abcd-gzip\"", "no-cache"},
	{"/", "gzip", "\"0123abcd-gzi\"", 200, "\"0123abcd-gzip\"", "no-cache"},
	{"/", "gzip", "", 200, "\"0123abcd-gzip\"", "no-cache"},
	{"/assets/index-a1b2c3.js", "gzip", NULL, 200, "\"0123abcd-gzip\"", FOREVER},
	{"/assets/index-a1b2c3.js", "gzip", "\"0123abcd-gzip\"", 304, "\"0123abcd-gzip\"", FOREVER},
	{"/assets/index-a1b2c4.js", "gzip", NULL, 404, NULL, "no-store"},
};

static void test_assets(void **state)
{
	struct fixture *f = *state;
	for (size_t i = 0; i < ARRAY_LEN(asset_rows); i++) {
		const struct asset_row *row = &asset_rows[i];
		f->request.accept_encoding = row->accept_encoding;
		f->request.if_none_match = row->if_none_match;
		if (get(f, row->target) != row->status)
			fail_msg("row %zu, %s: %u", i, row->target, f->response.status);
		const char *etag = header(f, "ETag");
		if (!etag != !row->etag || (etag && strcmp(etag, row->etag) != 0))
			fail_msg("row %zu, %s: ETag %s", i, row->target, etag);
		assert_string_equal(f->response.cache_control, row->cache_control);
		if (row->status == 404)
			continue;
		assert_string_equal(header(f, "Vary"), "Accept-Encoding");
		const struct buf *body = &f->response.body;
		if (row->accept_encoding && row->status == 200)
			assert_string_equal(header(f, "Content-Encoding"), "gzip");
		const char *expected = row->accept_encoding ? f->packed_page.data : index_html;
		size_t expected_bytes =
			row->accept_encoding ? f->packed_page.len_bytes : strlen(index_html);
		assert_int_equal(body->len_bytes, expected_bytes);
		assert_memory_equal(body->data, expected, expected_bytes);
	}
}

static void test_build_without_page(void **state)
{
	struct fixture *f = *state;
	f->context.assets = (struct asset_table){0};
	assert_int_equal(get(f, "/"), 200);
	assert_string_equal(f->response.content_type, "text/html; charset=utf-8");
	assert_non_null(memmem(f->response.body.data, f->response.body.len_bytes, "has no page",
			       strlen("has no page")));
	assert_int_equal(get(f, "/index.html"), 404);
}

static void test_status_without_sampler(void **state)
{
	struct fixture *f = *state;
	f->context.sampler_stats = NULL;
	json_t *root = get_json(f, "/api/v1/status");
	assert_true(json_is_false(at(root, "sampling")));
	assert_int_equal(json_integer_value(at(root, "store.samples")), 100);
	assert_int_equal(json_integer_value(at(root, "ledger.kernel.taken")), 0);
	assert_string_equal(json_string_value(at(root, "waiting.method")), "");
	json_decref(root);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_values, setup, teardown),
		cmocka_unit_test_setup_teardown(test_labels_are_sorted_and_there, setup, teardown),
		cmocka_unit_test_setup_teardown(test_flame_table, setup, teardown),
		cmocka_unit_test_setup_teardown(test_export_folded, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pprof, setup, teardown),
		cmocka_unit_test_setup_teardown(test_flush_of_waits, setup, teardown),
		cmocka_unit_test_setup_teardown(test_failures, setup, teardown),
		cmocka_unit_test_setup_teardown(test_codes_to_status, setup, teardown),
		cmocka_unit_test_setup_teardown(test_assets, setup, teardown),
		cmocka_unit_test_setup_teardown(test_build_without_page, setup, teardown),
		cmocka_unit_test_setup_teardown(test_status_without_sampler, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
