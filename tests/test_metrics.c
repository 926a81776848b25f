/* /metrics against a strict reading of the text format 0.0.4:
 * https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format */
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/array.h"
#include "base/clock.h"
#include "tests/temp_store.h"
#include "web/router.h"

enum { MAX_SERIES = 256, NAME_BYTES = 128, LINE_BYTES = 512 };

struct exposition {
	char family[NAME_BYTES]; /* of the last # TYPE */
	bool is_counter, is_histogram;
	char helped[NAME_BYTES]; /* of the last # HELP */
	char families[MAX_SERIES][NAME_BYTES];
	size_t family_count;
	char series[MAX_SERIES][LINE_BYTES]; /* name and labels, as written */
	char values[MAX_SERIES][32];
	size_t series_count;
};

/* [a-zA-Z_:][a-zA-Z0-9_:]*; labels without the colon. Returns its end. */
static const char *name_end(const char *p, bool is_label)
{
	const char *start = p;
	while (isalnum((unsigned char)*p) || *p == '_' || (*p == ':' && !is_label))
		p++;
	return p > start && !isdigit((unsigned char)*start) ? p : NULL;
}

static const char *label_end(const char *p)
{
	p = name_end(p, true);
	if (!p || *p++ != '=' || *p++ != '"')
		return NULL;
	for (; *p && *p != '"'; p++) {
		if (*p == '\\' && !strchr("\\\"n", *++p))
			return NULL;
	}
	return *p ? p + 1 : NULL;
}

/* Past "{...}", or p itself when there are no labels; NULL when they are not well formed. */
static const char *labels_end(const char *p)
{
	if (*p != '{')
		return p;
	do {
		p = label_end(p + 1);
	} while (p && *p == ',');
	return p && *p == '}' ? p + 1 : NULL;
}

static bool is_value(const char *text)
{
	char *end = NULL;
	strtod(text, &end);
	return end != text && !*end && !isspace((unsigned char)*text);
}

static bool take_help(struct exposition *e, const char *text)
{
	const char *end = name_end(text, false);
	if (!end || *end != ' ' || !end[1])
		return false;
	snprintf(e->helped, sizeof(e->helped), "%.*s", (int)(end - text), text);
	return true;
}

static bool take_type(struct exposition *e, const char *text)
{
	const char *end = name_end(text, false);
	if (!end || *end != ' ')
		return false;
	snprintf(e->family, sizeof(e->family), "%.*s", (int)(end - text), text);
	e->is_counter = !strcmp(end, " counter");
	e->is_histogram = !strcmp(end, " histogram");
	bool ends_total =
		strlen(e->family) > 6 && !strcmp(e->family + strlen(e->family) - 6, "_total");
	if ((!e->is_counter && !e->is_histogram && strcmp(end, " gauge") != 0) ||
	    ends_total != e->is_counter || strcmp(e->family, e->helped) != 0)
		return false;
	for (size_t i = 0; i < e->family_count; i++)
		if (!strcmp(e->families[i], e->family))
			return false;
	memcpy(e->families[e->family_count++], e->family, NAME_BYTES);
	return true;
}

/* Is it the family's own name, or one of those that a histogram has instead? */
static bool is_of_family(const struct exposition *e, const char *name, size_t name_bytes)
{
	static const char *const parts[] = {"_bucket", "_sum", "_count"};
	size_t family_bytes = strlen(e->family);
	if (name_bytes < family_bytes || strncmp(name, e->family, family_bytes) != 0)
		return false;
	size_t part_bytes = name_bytes - family_bytes;
	for (size_t i = 0; i < ARRAY_LEN(parts) && e->is_histogram; i++)
		if (part_bytes == strlen(parts[i]) &&
		    !memcmp(name + family_bytes, parts[i], part_bytes))
			return true;
	return !e->is_histogram && !part_bytes;
}

/* A sample line: of the family whose TYPE came last, with labels and a value, seen once. */
static bool take_sample(struct exposition *e, const char *text)
{
	const char *end = name_end(text, false);
	if (!end || !is_of_family(e, text, (size_t)(end - text)))
		return false;
	end = labels_end(end);
	if (!end || *end != ' ' || !is_value(end + 1) || e->series_count == MAX_SERIES)
		return false;
	char *series = e->series[e->series_count];
	snprintf(series, LINE_BYTES, "%.*s", (int)(end - text), text);
	for (size_t i = 0; i < e->series_count; i++)
		if (!strcmp(e->series[i], series))
			return false;
	snprintf(e->values[e->series_count++], 32, "%s", end + 1);
	return !e->is_counter || end[1] != '-';
}

static bool take_line(struct exposition *e, const char *line)
{
	if (!strncmp(line, "# HELP ", 7))
		return take_help(e, line + 7);
	if (!strncmp(line, "# TYPE ", 7))
		return take_type(e, line + 7);
	return line[0] != '#' && take_sample(e, line);
}

/* The line that is not as it should be, or NULL. Cuts text into lines. */
static const char *parse(struct exposition *e, char *text)
{
	while (*text) {
		char *end = strchr(text, '\n');
		if (!end)
			return text; /* the last line ends in \n, too */
		*end = '\0';
		if (!take_line(e, text))
			return text;
		text = end + 1;
	}
	return NULL;
}

static const char *value_of(const struct exposition *e, const char *series)
{
	for (size_t i = 0; i < e->series_count; i++)
		if (!strcmp(e->series[i], series))
			return e->values[i];
	return NULL;
}

static bool fake_stats(void *ctx, struct sampler_stats *stats)
{
	if (!ctx)
		return false;
	*stats = (struct sampler_stats){
		.kernel = {.taken = 1000, .stored = 900, .pending = 1},
		.user = {.taken = 900, .stored = 880, .pending = 5},
		.sideband_lost = 3,
		.bpf_run_ns = 1500000001,
		.cpu_user_ns = 2000000000,
		.cpu_system_ns = 7,
		.memory_bytes = UINT64_MAX,
		.rate_hz = 99,
		.waiting = {.method = "task iterator",
			    .passes = 20,
			    .visits = 8000,
			    .walks = 300,
			    .raced = 2,
			    .busy = 1,
			    .deferred = 5,
			    .stuck = 6,
			    .unseen_ns = 1,
			    .pass_ns = 4000000000,
			    .period_ns = 50000000,
			    .threads = 400},
		.unwind_kernel = {.cap_bytes = 64, .used_bytes = 50, .loads = 4, .misses = 2},
		.unwind_user = {.cap_bytes = 40, .used_bytes = 30, .loads = 3, .evictions = 1},
	};
	delays_add(&stats->mapping_pushes, 3000000);
	delays_add(&stats->mapping_pushes, 1500000001);
	stats->kernel.dropped[DROP_RING_FULL] = 99;
	stats->user.dropped[DROP_QUEUE_FULL] = 15;
	return true;
}

static void fake_symbols(void *ctx, struct symbols_status *status)
{
	(void)ctx;
	status->executables = 12;
	status->with_lines = 7;
	status->waiting = 3;
	snprintf(status->running, sizeof(status->running), "/bin/\"x\"\n");
	status->compiled = 5;
	status->from_cache = 2;
	status->failed = 1;
	status->unnamed_samples = UINT64_MAX;
	status->unnamed_count = SYMBOLS_MAX_UNNAMED;
}

/* The answer to GET /metrics; the caller frees. */
static char *get_metrics(const struct web_context *context)
{
	AUTO_MEM struct request *request = calloc(1, sizeof(*request));
	assert_non_null(request);
	AUTO_RESPONSE response;
	response_init(&response);
	router_answer(context, request, "/metrics", &response);
	assert_int_equal(response.status, 200);
	assert_string_equal(response.content_type, "text/plain; version=0.0.4; charset=utf-8");
	return buf_take_str(&response.body);
}

struct value_row {
	const char *series;
	const char *value;
};

static const struct value_row value_rows[] = {
	{"hearth_build_info{version=\"1\\\\2\\\"3\\n4\"}", "1"},
	{"hearth_start_time_seconds", "1800000000.000000007"},
	{"hearth_sampling", "1"},
	{"hearth_rate_hertz", "99"},
	{"hearth_samples_taken_total{stage=\"kernel\"}", "1000"},
	{"hearth_samples_stored_total{stage=\"kernel\"}", "900"},
	{"hearth_samples_pending{stage=\"kernel\"}", "1"},
	{"hearth_samples_dropped_total{stage=\"kernel\",reason=\"ring_full\"}", "99"},
	{"hearth_samples_taken_total{stage=\"user\"}", "900"},
	{"hearth_samples_stored_total{stage=\"user\"}", "880"},
	{"hearth_samples_pending{stage=\"user\"}", "5"},
	{"hearth_samples_dropped_total{stage=\"user\",reason=\"queue_full\"}", "15"},
	{"hearth_samples_dropped_total{stage=\"user\",reason=\"no_memory\"}", "0"},
	{"hearth_unwind_limit_bytes{side=\"kernel\"}", "64"},
	{"hearth_unwind_limit_bytes{side=\"user\"}", "40"},
	{"hearth_unwind_used_bytes{side=\"kernel\"}", "50"},
	{"hearth_unwind_loads_total{side=\"user\"}", "3"},
	{"hearth_unwind_evictions_total{side=\"kernel\"}", "0"},
	{"hearth_unwind_evictions_total{side=\"user\"}", "1"},
	{"hearth_unwind_misses_total{side=\"kernel\"}", "2"},
	{"hearth_mapping_push_seconds_bucket{le=\"0.002\"}", "0"},
	{"hearth_mapping_push_seconds_bucket{le=\"0.005\"}", "1"},
	{"hearth_mapping_push_seconds_bucket{le=\"1.000\"}", "1"},
	{"hearth_mapping_push_seconds_bucket{le=\"+Inf\"}", "2"},
	{"hearth_mapping_push_seconds_sum", "1.503000001"},
	{"hearth_mapping_push_seconds_count", "2"},
	{"hearth_sideband_lost_total", "3"},
	{"hearth_bpf_run_seconds_total", "1.500000001"},
	{"hearth_cpu_seconds_total{mode=\"user\"}", "2.000000000"},
	{"hearth_cpu_seconds_total{mode=\"system\"}", "0.000000007"},
	{"hearth_memory_bytes", "18446744073709551615"},
	{"hearth_waiting_period_seconds", "0.050000000"},
	{"hearth_waiting_threads", "400"},
	{"hearth_waiting_passes_total", "20"},
	{"hearth_waiting_visits_total", "8000"},
	{"hearth_waiting_walks_total", "300"},
	{"hearth_waiting_raced_total", "2"},
	{"hearth_waiting_busy_total", "1"},
	{"hearth_waiting_deferred_total", "5"},
	{"hearth_waiting_stuck_total", "6"},
	{"hearth_waiting_unseen_seconds_total", "0.000000001"},
	{"hearth_waiting_pass_seconds_total", "4.000000000"},
	{"hearth_symbols_executables", "12"},
	{"hearth_symbols_executables_with_lines", "7"},
	{"hearth_symbols_waiting", "3"},
	{"hearth_symbols_compiling", "1"},
	{"hearth_symbols_compiled_total", "5"},
	{"hearth_symbols_from_cache_total", "2"},
	{"hearth_symbols_failed_total", "1"},
	{"hearth_symbols_unnamed_samples_total", "18446744073709551615"},
	{"hearth_store_samples", "0"},
	{"hearth_store_oldest_sample_time_seconds", "0.000000000"},
};

static struct web_context context_of(struct temp_store *temp, void *sampler)
{
	return (struct web_context){
		.store = temp->store,
		.version = "1\\2\"3\n4",
		.start_unix_ns = 1800000000 * NS_PER_S + 7,
		.sampler_stats = fake_stats,
		.symbols_status = fake_symbols,
		.sampler_ctx = sampler,
	};
}

static int setup(void **state)
{
	struct temp_store *temp = calloc(1, sizeof(*temp));
	assert_non_null(temp);
	temp_store_init(temp);
	*state = temp;
	return 0;
}

static int teardown(void **state)
{
	temp_store_fini(*state);
	free(*state);
	return 0;
}

static void test_metrics_while_sampling(void **state)
{
	struct web_context context = context_of(*state, *state);
	AUTO_MEM char *text = get_metrics(&context);
	AUTO_MEM struct exposition *e = calloc(1, sizeof(*e));
	const char *bad = parse(e, text);
	if (bad)
		fail_msg("%s", bad);
	for (size_t i = 0; i < ARRAY_LEN(value_rows); i++) {
		const char *value = value_of(e, value_rows[i].series);
		if (!value || strcmp(value, value_rows[i].value) != 0)
			fail_msg("%s is %s, not %s", value_rows[i].series, value,
				 value_rows[i].value);
	}
	for (size_t i = 0; i < e->family_count; i++)
		assert_memory_equal(e->families[i], "hearth_", 7);
}

/* Without a sampler its numbers are not there, rather than there as zeros. */
static void test_metrics_without_sampler(void **state)
{
	struct web_context context = context_of(*state, NULL);
	AUTO_MEM char *text = get_metrics(&context);
	AUTO_MEM struct exposition *e = calloc(1, sizeof(*e));
	assert_null(parse(e, text));
	assert_string_equal(value_of(e, "hearth_sampling"), "0");
	assert_null(value_of(e, "hearth_rate_hertz"));
	assert_null(value_of(e, "hearth_waiting_passes_total"));
	assert_null(value_of(e, "hearth_symbols_executables"));
	assert_null(value_of(e, "hearth_samples_taken_total{stage=\"user\"}"));
	assert_non_null(value_of(e, "hearth_store_bytes"));
}

/* The reading itself: what it must not let pass. */
static void test_strictness(void **state)
{
	(void)state;
	static const char *const bad[] = {
		"a 1\n",
		"# HELP a b\n# TYPE a gauge\na 1",
		"# HELP a b\n# TYPE a gauge\na\n",
		"# HELP a b\n# TYPE a gauge\na  1\n",
		"# HELP a b\n# TYPE a gauge\na one\n",
		"# HELP a b\n# TYPE a gauge\nb 1\n",
		"# HELP a b\n# TYPE a gauge\na 1\na 2\n",
		"# HELP a b\n# TYPE a gauge\na{b=\"1} 2\n",
		"# HELP a b\n# TYPE a gauge\na{b=\"\\t\"} 2\n",
		"# HELP a b\n# TYPE a gauge\na{b=1} 2\n",
		"# HELP a b\n# TYPE a gauge\na{1=\"1\"} 2\n",
		"# HELP a b\n# TYPE a counter\na 1\n",
		"# HELP a_total b\n# TYPE a_total gauge\na_total 1\n",
		"# HELP a_total b\n# TYPE a_total counter\na_total -1\n",
		"# HELP a b\n# TYPE b gauge\nb 1\n",
		"# HELP a b\n# TYPE a gauge\na 1\n# HELP a b\n# TYPE a gauge\n",
		"# TYPE a gauge\na 1\n",
		"# HELP a b\n# TYPE a gauge\na_sum 1\n",
		"# HELP a b\n# TYPE a histogram\na 1\n",
		"# HELP a b\n# TYPE a histogram\na_suma 1\n",
		"\n",
	};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		AUTO_MEM struct exposition *e = calloc(1, sizeof(*e));
		AUTO_MEM char *text = strdup(bad[i]);
		if (!parse(e, text))
			fail_msg("passed: %s", bad[i]);
	}
	AUTO_MEM struct exposition *e = calloc(1, sizeof(*e));
	char good[] = "# HELP a b c\n# TYPE a gauge\na{b=\"\\\\\\\"\\n\",c=\"\"} 1\na -2.5e3\n";
	assert_null(parse(e, good));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_strictness),
		cmocka_unit_test_setup_teardown(test_metrics_while_sampling, setup, teardown),
		cmocka_unit_test_setup_teardown(test_metrics_without_sampler, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
