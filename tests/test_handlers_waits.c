/*
 * Waiting as every route tells of it, over a store whose ten seconds from T0 are known.
 *
 * alpha, thread 11, runs the first 400 ms of each second in main;a and waits the other 600 ms for
 * a lock. beta, thread 22, is parked in poll for the whole ten seconds: one record. gamma, thread
 * 33, waits for a socket from 4.5 s to 7.5 s: 3 s.
 */
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
#include "profile/pprof.h"
#include "tests/profile_maker.h"
#include "tests/temp_store.h"
#include "web/router.h"

#define T0_S  INT64_C(1800000000) /* a whole minute */
#define RANGE "from=1800000000&until=1800000010"
#define LOCK  "futex 0x7f01"
#define PEER  "tcp 127.0.0.1:40112 -> 127.0.0.1:5432"

enum { SECONDS = 10 };

struct fixture {
	struct temp_store temp;
	struct web_context context;
	struct request request;
	struct response response;
};

static struct profile *empty_profile(enum profile_type type, int second)
{
	struct profile *profile = NULL;
	assert_int_equal(profile_new(&profile, type), 0);
	profile->start_unix_ns = (T0_S + second) * NS_PER_S;
	profile->duration_ns = NS_PER_S;
	profile->period_ns = 10 * NS_PER_MS;
	return profile;
}

struct known_wait {
	const char *comm;
	uint32_t tid;
	const char *path;
	enum wait_reason reason;
	const char *waits_on;
	bool is_idle;
};

static void add_wait(struct profile *profile, const struct known_wait *known, int64_t end_ms,
		     int64_t weight_ms)
{
	struct profile_wait wait = {
		.reason = known->reason,
		.waits_on = maker_string(profile, known->waits_on),
		.is_idle = known->is_idle,
	};
	uint32_t id = 0;
	assert_int_equal(profile_add_wait(profile, &wait, &id), 0);
	maker_sample(profile, known->comm, known->tid, known->path, weight_ms * NS_PER_MS);
	struct profile_sample *sample = &profile->samples[profile->sample_count - 1];
	sample->time_unix_ns = T0_S * NS_PER_S + end_ms * NS_PER_MS;
	sample->wait = id;
}

static void add_second(struct fixture *f, int second)
{
	static const struct known_wait locked = {"alpha",   11,   "main;k:futex",
						 WAIT_LOCK, LOCK, false};
	static const struct known_wait parked = {"beta", 22, "main;k:poll", WAIT_POLL, "", true};
	static const struct known_wait asking = {"gamma",      33,   "main;k:recv",
						 WAIT_NETWORK, PEER, false};
	AUTO(profile) cpu = empty_profile(PROFILE_CPU, second);
	AUTO(profile) waits = empty_profile(PROFILE_OFFCPU, second);
	maker_sample(cpu, "alpha", 11, "main;a", 400 * NS_PER_MS);
	cpu->samples[0].time_unix_ns = cpu->start_unix_ns;
	add_wait(waits, &locked, second * 1000 + 1000, 600);
	if (second == SECONDS - 1)
		add_wait(waits, &parked, SECONDS * INT64_C(1000), SECONDS * INT64_C(1000));
	if (second == 7)
		add_wait(waits, &asking, 7500, 3000);
	struct err err = {0};
	if (store_append(f->temp.store, (const struct profile *[]){cpu, waits}, 2, NULL, &err))
		fail_msg("%s", err.text);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	assert_non_null(f);
	temp_store_init(&f->temp);
	for (int second = 0; second < SECONDS; second++)
		add_second(f, second);
	f->context = (struct web_context){.store = f->temp.store, .version = "1.2.3"};
	response_init(&f->response);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	response_fini(&f->response);
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

static json_t *get_json(struct fixture *f, const char *target)
{
	unsigned int status = get(f, target);
	json_error_t error;
	json_t *root = json_loadb(f->response.body.data, f->response.body.len_bytes, 0, &error);
	if (!root)
		fail_msg("%s: %u, %s", target, status, error.text);
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

#define FLAME  "/api/v1/flame?" RANGE "&type="
#define TOP    "/api/v1/top?" RANGE "&type="
#define SERIES "/api/v1/series?" RANGE "&step=5s&type="
#define VALUES "/api/v1/label-values?" RANGE "&type="

static const struct value_row value_rows[] = {
	{FLAME "cpu", "total_us", "4000000"},
	{FLAME "offcpu", "total_us", "19000000"}, /* 6 s + 10 s + 3 s */
	{FLAME "offcpu", "type", "\"offcpu\""},
	{FLAME "wall", "total_us", "23000000"},
	{FLAME "wall&query={comm=\"alpha\"}", "total_us", "10000000"}, /* the time that passed */
	{FLAME "wall&query={comm=\"beta\"}", "total_us", "10000000"},
	{FLAME "offcpu&query={reason=\"lock\"}", "total_us", "6000000"},
	{FLAME "offcpu&query={reason=\"lock\"}", "names",
	 "[\"all\",\"main\",\"futex\",\"[lock]\"]"},
	{FLAME "offcpu&query={reason=\"lock\"}", "nodes.kind", "[0,1,2,6]"},
	{FLAME "offcpu&query={reason=\"lock\"}", "nodes.self_us", "[0,0,0,6000000]"},
	{FLAME "offcpu&by=nowaits&query={reason=\"lock\"}", "nodes.self_us", "[0,0,6000000]"},
	{FLAME "offcpu&query={idle!=\"true\"}", "total_us", "9000000"},
	{FLAME "offcpu&query={idle=\"true\"}", "total_us", "10000000"},
	{FLAME "wall&query={idle!=\"true\"}", "total_us", "13000000"},
	{FLAME "wall&query={reason=\"running\"}", "total_us", "4000000"},
	{FLAME "wall&query={reason!=\"running\"}", "total_us", "19000000"},
	{FLAME "cpu&query={reason=\"running\"}", "total_us", "0"},
	{FLAME "offcpu&query={waits_on=~\"tcp.*:5432\"}", "total_us", "3000000"},
	{FLAME "offcpu&query={reason=\"disk\"}", "total_us", "0"},
	{FLAME "offcpu&query={reason=\"lock\",comm=\"beta\"}", "total_us", "0"},
	{FLAME "offcpu&group_by=reason", "names",
	 "[\"all\",\"lock\",\"main\",\"futex\",\"[lock]\",\"network\",\"recv\",\"[network]\","
	 "\"poll\",\"[poll]\"]"},
	{FLAME "offcpu&group_by=idle&limit=3", "names", "[\"all\",\"true\",\"main\"]"},
	{FLAME "offcpu&group_by=tid&limit=2", "names", "[\"all\",\"22\"]"},
	{FLAME "offcpu&focus=futex", "total_us", "6000000"},
	/* A range takes of a wait what lies inside. */
	{"/api/v1/flame?type=offcpu&from=1800000002&until=1800000003&query={comm=\"beta\"}",
	 "total_us", "1000000"},
	{"/api/v1/flame?type=offcpu&from=1800000007&until=1800000008&query={comm=\"gamma\"}",
	 "total_us", "500000"},
	{"/api/v1/flame?type=wall&from=1800000005&until=1800000006", "total_us", "3000000"},

	{TOP "offcpu", "total_us", "19000000"},
	{TOP "offcpu", "rows.0.total_us", "10000000"},
	{TOP "wall&query={comm=\"alpha\"}", "total_us", "10000000"},

	{SERIES "offcpu&group_by=reason", "type", "\"offcpu\""},
	{SERIES "offcpu&group_by=reason", "series.0",
	 "{\"name\":\"poll\",\"total_us\":10000000,\"weight_us\":[5000000,5000000]}"},
	{SERIES "offcpu&group_by=reason", "series.1",
	 "{\"name\":\"lock\",\"total_us\":6000000,\"weight_us\":[3000000,3000000]}"},
	{SERIES "offcpu&group_by=reason", "series.2",
	 "{\"name\":\"network\",\"total_us\":3000000,\"weight_us\":[500000,2500000]}"},
	{SERIES "wall&group_by=reason", "series.2",
	 "{\"name\":\"running\",\"total_us\":4000000,\"weight_us\":[2000000,2000000]}"},
	{SERIES "wall&group_by=comm", "series.0.weight_us", "[5000000,5000000]"},
	{SERIES "offcpu&query={idle!=\"true\"}", "series.0.weight_us", "[3500000,5500000]"},
	{SERIES "offcpu&group_by=waits_on&query={waits_on!=\"\"}", "series.0.name", "\"" LOCK "\""},

	{VALUES "offcpu&label=reason", "values",
	 "[{\"value\":\"poll\",\"total_us\":10000000},{\"value\":\"lock\",\"total_us\":6000000},"
	 "{\"value\":\"network\",\"total_us\":3000000}]"},
	{VALUES "offcpu&label=idle", "values", "[{\"value\":\"true\",\"total_us\":10000000}]"},
	{VALUES "offcpu&label=waits_on", "values",
	 "[{\"value\":\"" LOCK "\",\"total_us\":6000000},"
	 "{\"value\":\"" PEER "\",\"total_us\":3000000}]"},
	{VALUES "wall&label=reason", "values.2", "{\"value\":\"running\",\"total_us\":4000000}"},
	{VALUES "cpu&label=reason", "values", "[]"},
	{"/api/v1/labels?type=offcpu&" RANGE, "labels",
	 "[\"comm\",\"idle\",\"pid\",\"reason\",\"thread\",\"tid\",\"waits_on\"]"},
	{"/api/v1/labels?type=cpu&" RANGE, "labels", "[\"comm\",\"pid\",\"thread\",\"tid\"]"},
};

static bool has_value(struct fixture *f, const struct value_row *row)
{
	json_t *root = get_json(f, row->target);
	json_t *value = at(root, row->path);
	AUTO_MEM char *text = value ? json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
	json_decref(root);
	if (text && !strcmp(text, row->value))
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

struct file_row {
	const char *target;
	const char *disposition;
	int64_t weight_ms;
};

static const struct file_row file_rows[] = {
	{"/api/v1/export?type=offcpu&" RANGE,
	 "attachment; filename=\"hearth-offcpu-20270115T080010Z.pb.gz\"", 19000},
	{"/api/v1/export?type=wall&" RANGE,
	 "attachment; filename=\"hearth-wall-20270115T080010Z.pb.gz\"", 23000},
	{"/debug/pprof/offcpu?seconds=10", "attachment; filename=\"profile\"", 19000},
	{"/debug/pprof/offcpu?seconds=1", "attachment; filename=\"profile\"", 1600},
	{"/debug/pprof/profile?type=wall&seconds=10", "attachment; filename=\"profile\"", 23000},
	{"/debug/pprof/profile?type=offcpu&query={idle!=\"true\"}",
	 "attachment; filename=\"profile\"", 9000},
	{"/debug/pprof/profile?seconds=10", "attachment; filename=\"profile\"", 4000},
};

static const char *header(const struct fixture *f, const char *name)
{
	for (size_t i = 0; i < f->response.header_count; i++)
		if (!strcmp(f->response.headers[i].name, name))
			return f->response.headers[i].value;
	return NULL;
}

static void test_files(void **state)
{
	struct fixture *f = *state;
	for (size_t i = 0; i < ARRAY_LEN(file_rows); i++) {
		const struct file_row *row = &file_rows[i];
		assert_int_equal(get(f, row->target), 200);
		assert_string_equal(header(f, "Content-Disposition"), row->disposition);
		AUTO(profile) profile = NULL;
		struct err err = {0};
		if (pprof_decode(&profile, f->response.body.data, f->response.body.len_bytes, &err))
			fail_msg("%s: %s", row->target, err.text);
		if (profile_total_weight(profile) != row->weight_ms * NS_PER_MS)
			fail_msg("%s: %lld ns", row->target,
				 (long long)profile_total_weight(profile));
	}
}

static void test_folded(void **state)
{
	struct fixture *f = *state;
	static const char expected[] = "alpha;main;a 4000000000\n"
				       "alpha;main;futex_[k];[lock] 6000000000\n";
	assert_int_equal(
		get(f, "/api/v1/export?format=folded&type=wall&query={comm=\"alpha\"}&" RANGE),
		200);
	assert_string_equal(header(f, "Content-Disposition"),
			    "attachment; filename=\"hearth-wall-20270115T080010Z.folded\"");
	assert_int_equal(f->response.body.len_bytes, strlen(expected));
	assert_memory_equal(f->response.body.data, expected, strlen(expected));
}

struct failure_row {
	const char *target;
	const char *says;
};

static const struct failure_row failure_rows[] = {
	{"/api/v1/flame?type=waiting", "use cpu, offcpu or wall"},
	{"/api/v1/flame?type=OFFCPU", "use cpu, offcpu or wall"},
	{"/api/v1/flame?type=offcpu,cpu", "use cpu, offcpu or wall"},
	{"/api/v1/flame?type=offcpu&by=waits", "nowaits"},
	{"/api/v1/flame?type=offcpu&query={reason=lock}", "query: "},
	{"/api/v1/flame?type=offcpu&query={reason}", "query: "},
	{"/api/v1/flame?type=offcpu&query={idle!}", "query: "},
	{"/api/v1/top?type=off-cpu", "use cpu, offcpu or wall"},
	{"/api/v1/series?type=all", "use cpu, offcpu or wall"},
	{"/api/v1/series?type=offcpu&group_by=reason&limit=0", "limit"},
	{"/api/v1/labels?type=wait", "use cpu, offcpu or wall"},
	{"/api/v1/label-values?type=offcpu", "label is missing"},
	{"/api/v1/label-values?type=offcpu&label=reason&limit=none", "limit"},
	{"/api/v1/export?type=lock", "use cpu, offcpu or wall"},
	{"/api/v1/export?type=offcpu&format=svg", "pprof, folded"},
};

static void test_failures(void **state)
{
	struct fixture *f = *state;
	for (size_t i = 0; i < ARRAY_LEN(failure_rows); i++) {
		json_t *root = get_json(f, failure_rows[i].target);
		const char *message = json_string_value(at(root, "error.message"));
		if (f->response.status != 400 || !message || !strstr(message, failure_rows[i].says))
			fail_msg("%s: %u, %s", failure_rows[i].target, f->response.status, message);
		json_decref(root);
	}
	/* What pprof prints. */
	assert_int_equal(get(f, "/debug/pprof/offcpu?seconds=0"), 400);
	assert_int_equal(get(f, "/debug/pprof/offcpu?seconds=5&from=now-1m"), 400);
	assert_string_equal(header(f, "X-Go-Pprof"), "1");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_values, setup, teardown),
		cmocka_unit_test_setup_teardown(test_files, setup, teardown),
		cmocka_unit_test_setup_teardown(test_folded, setup, teardown),
		cmocka_unit_test_setup_teardown(test_failures, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
