/*
 * The routes of exact tracing over a tracer that is made up: trace 1 is done, 2 has failed, 3 is
 * running.
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
#include "profile/pprof.h"
#include "tests/profile_maker.h"
#include "tests/temp_store.h"
#include "web/router.h"
#include "web/tracer.h"

enum { TRACES = 3, NEXT_ID = 4 };

struct fixture {
	struct temp_store temp;
	struct web_context context;
	struct request request;
	struct response response;
	struct tracer_ops tracer;
	struct trace_report *report;
	struct profile *waits;
	struct tracer_status traces[TRACES];
	bool is_busy;
	struct tracer_request wanted; /* of the last start */
	char cgroup[64];
	uint64_t stopped;
};

static int fake_start(void *ctx, const struct tracer_request *request, uint64_t *id,
		      struct err *err)
{
	struct fixture *f = ctx;
	if (f->is_busy)
		return err_set(err, -EBUSY, "trace 3 is running");
	if (request->pid == 666)
		return err_set(err, -EPERM, "CAP_BPF is missing");
	f->wanted = *request;
	snprintf(f->cgroup, sizeof(f->cgroup), "%s", request->cgroup ? request->cgroup : "");
	*id = NEXT_ID;
	return 0;
}

static int fake_look(void *ctx, uint64_t id,
		     int (*visit)(void *visit_ctx, const struct tracer_status *status,
				  struct err *err),
		     void *visit_ctx, struct err *err)
{
	struct fixture *f = ctx;
	if (id > TRACES)
		return err_set(err, -ENOENT, "there is no trace %llu", (unsigned long long)id);
	if (id)
		return visit(visit_ctx, &f->traces[id - 1], err);
	int rc = 0;
	for (size_t i = 0; i < TRACES && !rc; i++)
		rc = visit(visit_ctx, &f->traces[i], err);
	return rc;
}

static int fake_stop(void *ctx, uint64_t id, struct err *err)
{
	struct fixture *f = ctx;
	f->stopped = id;
	return id > TRACES ? err_set(err, -ENOENT, "there is no such trace") : 0;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	assert_non_null(f);
	temp_store_init(&f->temp);
	f->report = trace_report_new();
	assert_non_null(f->report);
	f->report->total.waits = 7;
	f->report->total.sleep_ns = 5999;
	assert_int_equal(profile_new(&f->waits, PROFILE_OFFCPU), 0);
	struct profile_wait wait = {.reason = WAIT_LOCK};
	uint32_t id = 0;
	assert_int_equal(profile_add_wait(f->waits, &wait, &id), 0);
	maker_sample(f->waits, "alpha", 11, "main;k:futex", 3 * NS_PER_S);
	f->waits->samples[0].wait = id;
	f->traces[0] = (struct tracer_status){
		1, TRACER_DONE, 5, 0, 1000000, NULL, f->report, {f->waits, f->waits, f->waits}};
	f->traces[1] = (struct tracer_status){
		.id = 2, .state = TRACER_FAILED, .seconds = 5, .error = "the \"cgroup\" is gone"};
	f->traces[2] = (struct tracer_status){
		.id = 3, .state = TRACER_RUNNING, .seconds = 5, .seconds_left = 2.5};
	f->tracer = (struct tracer_ops){fake_start, fake_look, fake_stop, f};
	f->context = (struct web_context){
		.store = f->temp.store, .version = "1.2.3", .tracer = &f->tracer};
	response_init(&f->response);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	response_fini(&f->response);
	trace_report_free(f->report);
	profile_free(f->waits);
	temp_store_fini(&f->temp);
	free(f);
	return 0;
}

/* The answer's JSON; NULL when it is none. */
static json_t *ask(struct fixture *f, enum request_method method, const char *target)
{
	response_fini(&f->response);
	response_init(&f->response);
	f->request.method = method;
	router_answer(&f->context, &f->request, target, &f->response);
	return json_loadb(f->response.body.data, f->response.body.len_bytes, 0, NULL);
}

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
	const char *value; /* as JSON text; NULL: not there */
};

static const struct value_row value_rows[] = {
	{"/api/v1/trace", "traces.0.state", "\"done\""},
	{"/api/v1/trace", "traces.0.report", NULL},
	{"/api/v1/trace", "traces.2.seconds_left", "2.5"},
	{"/api/v1/trace/1", "state", "\"done\""},
	{"/api/v1/trace/1", "start_us", "1000"},
	{"/api/v1/trace/1", "error", NULL},
	{"/api/v1/trace/1", "report.total.waits", "7"},
	{"/api/v1/trace/1", "report.total.sleep_us", "5"},
	{"/api/v1/trace/2", "state", "\"failed\""},
	{"/api/v1/trace/2", "error", "\"the \\\"cgroup\\\" is gone\""},
	{"/api/v1/trace/3", "state", "\"running\""},
	{"/api/v1/trace/3", "report", NULL},
	{"/api/v1/trace/1/flame", "total_us", "3000000"},
	{"/api/v1/trace/1/flame", "names", "[\"all\",\"main\",\"futex\",\"[lock]\"]"},
	{"/api/v1/trace/1/flame?view=offwake&group_by=comm", "names",
	 "[\"all\",\"alpha\",\"main\",\"futex\",\"[lock]\"]"},
	{"/api/v1/trace/1/flame?view=wakers&limit=2", "names", "[\"all\",\"main\"]"},
	{"/api/v1/trace/1/flame?focus=nobody", "total_us", "0"},
};

static bool has_value(struct fixture *f, const struct value_row *row)
{
	json_t *root = ask(f, METHOD_GET, row->target);
	json_t *value = at(root, row->path);
	AUTO_MEM char *text = value ? json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
	json_decref(root);
	if (row->value ? text && !strcmp(text, row->value) : root && !text)
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

static void test_start(void **state)
{
	struct fixture *f = *state;
	json_t *root = ask(f, METHOD_POST,
			   "/api/v1/trace?seconds=7&pid=12&tid=13&cgroup=/a%2Fb&min_us=100"
			   "&max_us=100&state=uninterruptible&stacks=all");
	assert_int_equal(f->response.status, 202);
	assert_int_equal(json_integer_value(at(root, "id")), NEXT_ID);
	json_decref(root);
	assert_int_equal(f->wanted.seconds, 7);
	assert_int_equal(f->wanted.pid, 12);
	assert_int_equal(f->wanted.tid, 13);
	assert_string_equal(f->cgroup, "/a/b");
	assert_int_equal(f->wanted.min_us, 100);
	assert_int_equal(f->wanted.max_us, 100);
	assert_true(f->wanted.is_uninterruptible && !f->wanted.is_sleeping);
	assert_false(f->wanted.is_runnable);
	assert_true(f->wanted.takes_all_stacks);
	json_decref(ask(f, METHOD_POST, "/api/v1/trace"));
	assert_int_equal(f->response.status, 202);
	assert_true(f->wanted.seconds > 0 && !f->wanted.pid && !f->wanted.takes_all_stacks);
}

static void test_stop(void **state)
{
	struct fixture *f = *state;
	json_t *root = ask(f, METHOD_DELETE, "/api/v1/trace/3");
	assert_int_equal(f->response.status, 200);
	assert_int_equal(json_integer_value(at(root, "id")), 3);
	assert_int_equal(f->stopped, 3);
	json_decref(root);
}

static void test_files(void **state)
{
	struct fixture *f = *state;
	json_decref(ask(f, METHOD_GET, "/api/v1/trace/1/export?view=waits&format=folded"));
	static const char folded[] = "alpha;main;futex_[k];[lock] 3000000000\n";
	assert_int_equal(f->response.body.len_bytes, strlen(folded));
	assert_memory_equal(f->response.body.data, folded, strlen(folded));
	json_decref(ask(f, METHOD_GET, "/api/v1/trace/1/export"));
	assert_int_equal(f->response.status, 200);
	AUTO(profile) profile = NULL;
	struct err err = {0};
	if (pprof_decode(&profile, f->response.body.data, f->response.body.len_bytes, &err))
		fail_msg("%s", err.text);
	assert_int_equal(profile_total_weight(profile), 3 * NS_PER_S);
	json_decref(ask(f, METHOD_GET, "/api/v1/trace/1/flame?format=table"));
	assert_memory_equal(f->response.body.data, "HEARTHF1", 8);
}

struct failure_row {
	enum request_method method;
	const char *target;
	unsigned int status;
	const char *says;
};

static const struct failure_row failure_rows[] = {
	{METHOD_POST, "/api/v1/trace?seconds=0", 400, "seconds"},
	{METHOD_POST, "/api/v1/trace?seconds=301", 400, "seconds"},
	{METHOD_POST, "/api/v1/trace?seconds=soon", 400, "seconds"},
	{METHOD_POST, "/api/v1/trace?pid=-1", 400, "pid"},
	{METHOD_POST, "/api/v1/trace?pid=99999999999", 400, "pid"},
	{METHOD_POST, "/api/v1/trace?tid=x", 400, "tid"},
	{METHOD_POST, "/api/v1/trace?min_us=1.5", 400, "min_us"},
	{METHOD_POST, "/api/v1/trace?min_us=2&max_us=1", 400, "max_us is less"},
	{METHOD_POST, "/api/v1/trace?state=waiting", 400, "sleeping"},
	{METHOD_POST, "/api/v1/trace?stacks=some", 400, "sampled, all"},
	{METHOD_POST, "/api/v1/trace?pid=666", 501, "CAP_BPF"},
	{METHOD_POST, "/api/v1/trace/1", 405, "only GET"},
	{METHOD_DELETE, "/api/v1/trace", 405, "only GET"},
	{METHOD_DELETE, "/api/v1/trace/9", 404, "no such trace"},
	{METHOD_DELETE, "/api/v1/trace/1/flame", 404, "nothing at"},
	{METHOD_GET, "/api/v1/trace/9", 404, "no trace 9"},
	{METHOD_GET, "/api/v1/trace/0", 404, "nothing at"},
	{METHOD_GET, "/api/v1/trace/", 404, "nothing at"},
	{METHOD_GET, "/api/v1/trace/one", 404, "nothing at"},
	{METHOD_GET, "/api/v1/trace/1x", 404, "nothing at"},
	{METHOD_GET, "/api/v1/trace/1/svg", 404, "nothing at"},
	{METHOD_GET, "/api/v1/trace/3/flame", 409, "still running"},
	{METHOD_GET, "/api/v1/trace/2/flame", 400, "is gone"},
	{METHOD_GET, "/api/v1/trace/1/flame?view=sleepers", 400, "waits, wakers, offwake"},
	{METHOD_GET, "/api/v1/trace/1/flame?format=svg", 400, "json, table"},
	{METHOD_GET, "/api/v1/trace/1/flame?by=host", 400, "library"},
	{METHOD_GET, "/api/v1/trace/1/export?format=svg", 400, "pprof, folded"},
	{METHOD_GET, "/api/v1/trace/3/export", 409, "still running"},
};

static void check_failure(struct fixture *f, const struct failure_row *row)
{
	json_t *root = ask(f, row->method, row->target);
	const char *message = json_string_value(at(root, "error.message"));
	if (f->response.status != row->status || !message || !strstr(message, row->says))
		fail_msg("%s: %u, %s", row->target, f->response.status, message);
	json_decref(root);
}

static void test_failures(void **state)
{
	struct fixture *f = *state;
	for (size_t i = 0; i < ARRAY_LEN(failure_rows); i++)
		check_failure(f, &failure_rows[i]);
	f->is_busy = true;
	check_failure(f, &(struct failure_row){METHOD_POST, "/api/v1/trace", 409, "running"});
	f->context.tracer = NULL;
	check_failure(f, &(struct failure_row){METHOD_POST, "/api/v1/trace", 501, "nothing"});
	check_failure(f, &(struct failure_row){METHOD_GET, "/api/v1/trace/1", 501, "nothing"});
}

static void test_other_sites(void **state)
{
	struct fixture *f = *state;
	f->request.host = "127.0.0.1:4040";
	f->request.origin = "http://elsewhere.example";
	check_failure(f, &(struct failure_row){METHOD_POST, "/api/v1/trace", 403, "another site"});
	check_failure(f,
		      &(struct failure_row){METHOD_DELETE, "/api/v1/trace/3", 403, "another site"});
	assert_int_equal(f->stopped, 0);
	f->request.origin = "http://127.0.0.1:4040";
	json_decref(ask(f, METHOD_POST, "/api/v1/trace"));
	assert_int_equal(f->response.status, 202);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_values, setup, teardown),
		cmocka_unit_test_setup_teardown(test_start, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stop, setup, teardown),
		cmocka_unit_test_setup_teardown(test_files, setup, teardown),
		cmocka_unit_test_setup_teardown(test_failures, setup, teardown),
		cmocka_unit_test_setup_teardown(test_other_sites, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
