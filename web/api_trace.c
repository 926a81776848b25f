#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/clock.h"
#include "profile/api_json.h"
#include "profile/calltree.h"
#include "profile/folded.h"
#include "profile/pprof.h"
#include "web/handlers.h"
#include "web/tracer.h"

enum { DEFAULT_SECONDS = 10, MAX_SECONDS = 300, DEFAULT_NODES = 50000, MAX_NODES = 1000000 };

static const uint64_t MAX_WAIT_US = UINT64_C(300) * 1000000;

struct refusal {
	int code;
	unsigned int status;
};

/* An errno of tracing as a status; those that are not here are for response_error(). */
static bool refuse(struct response *response, const struct err *err)
{
	static const struct refusal refusals[] = {
		{-EBUSY, 409},  {-EOPNOTSUPP, 501}, {-EPERM, 501},
		{-EACCES, 400}, {-ENOTDIR, 400},    {-ESRCH, 404},
	};
	for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
		if (refusals[i].code != err->code)
			continue;
		response_status(response, ERROR_JSON, refusals[i].status, err->text);
		return true;
	}
	return false;
}

static int has_tracer(const struct web_context *context, struct err *err)
{
	return context->tracer ? 0
			       : err_set(err, -EOPNOTSUPP,
					 "nothing samples here, so nothing can be traced");
}

static int read_filters(struct tracer_request *wanted, const struct request *request,
			struct err *err)
{
	static const char *const stacks[] = {"sampled", "all"};
	const struct {
		const char *name;
		uint64_t max;
		uint64_t *value;
	} numbers[] = {
		{"seconds", MAX_SECONDS, &wanted->seconds},
		{"pid", INT32_MAX, &wanted->pid},
		{"tid", INT32_MAX, &wanted->tid},
		{"min_us", MAX_WAIT_US, &wanted->min_us},
		{"max_us", MAX_WAIT_US, &wanted->max_us},
	};
	size_t choice = 0;
	int rc = 0;
	for (size_t i = 0; i < ARRAY_LEN(numbers) && !rc; i++)
		rc = request_number(request, numbers[i].name, numbers[i].max, numbers[i].value,
				    err);
	if (!rc)
		rc = request_choice(request, "stacks", stacks, ARRAY_LEN(stacks), &choice, err);
	wanted->takes_all_stacks = choice;
	wanted->cgroup = request_param(request, "cgroup");
	if (!rc && wanted->max_us && wanted->max_us < wanted->min_us)
		rc = err_set(err, -EINVAL, "max_us is less than min_us");
	return rc;
}

static int read_states(struct tracer_request *wanted, const struct request *request,
		       struct err *err)
{
	enum { ALL, SLEEPING, UNINTERRUPTIBLE, RUNNABLE };
	static const char *const states[] = {"all", "sleeping", "uninterruptible", "runnable"};
	size_t choice = ALL;
	int rc = request_choice(request, "state", states, ARRAY_LEN(states), &choice, err);
	wanted->is_sleeping = choice == SLEEPING;
	wanted->is_uninterruptible = choice == SLEEPING || choice == UNINTERRUPTIBLE;
	wanted->is_runnable = choice == RUNNABLE;
	return rc;
}

static int start(const struct web_context *context, const struct request *request,
		 struct response *response, struct err *err)
{
	struct tracer_request wanted = {.seconds = DEFAULT_SECONDS};
	uint64_t id = 0;
	int rc = read_filters(&wanted, request, err);
	if (!rc)
		rc = read_states(&wanted, request, err);
	if (!rc)
		rc = context->tracer->start(context->tracer->ctx, &wanted, &id, err);
	if (rc)
		return rc;
	response->status = 202;
	struct json json = response_json(response);
	json_open_object(&json);
	json_key_u64(&json, "id", id);
	json_close_object(&json);
	return 0;
}

static void write_status(struct json *json, const struct tracer_status *status, bool has_report)
{
	static const char *const states[] = {"running", "done", "failed"};
	json_open_object(json);
	json_key_u64(json, "id", status->id);
	json_key_str(json, "state", states[status->state]);
	json_key_u64(json, "seconds", status->seconds);
	json_key_double(json, "seconds_left", status->seconds_left);
	json_key_i64(json, "start_us", status->start_unix_ns / 1000);
	if (status->state == TRACER_FAILED)
		json_key_str(json, "error", status->error);
	if (has_report && status->report) {
		json_key(json, "report");
		trace_report_json(json, status->report);
	}
	json_close_object(json);
}

static int list_one(void *ctx, const struct tracer_status *status, struct err *err)
{
	(void)err;
	write_status(ctx, status, false);
	return 0;
}

static int list(const struct web_context *context, struct response *response, struct err *err)
{
	struct json json = response_json(response);
	json_open_object(&json);
	json_key(&json, "traces");
	json_open_array(&json);
	int rc = context->tracer->look(context->tracer->ctx, 0, list_one, &json, err);
	json_close_array(&json);
	json_close_object(&json);
	return rc;
}

/* A question about one trace. */
struct asked {
	const struct request *request;
	struct response *response;
	const char *rest; /* of the path, behind the number */
};

static int show(void *ctx, const struct tracer_status *status, struct err *err)
{
	(void)err;
	const struct asked *asked = ctx;
	struct json json = response_json(asked->response);
	write_status(&json, status, true);
	return 0;
}

static int choose_view(const struct asked *asked, const struct tracer_status *status,
		       const struct profile **profile, struct err *err)
{
	static const char *const names[] = {"waits", "wakers", "offwake"};
	_Static_assert(ARRAY_LEN(names) == TRACER_VIEWS, "one name each");
	size_t choice = TRACER_WAITS;
	int rc = request_choice(asked->request, "view", names, ARRAY_LEN(names), &choice, err);
	if (rc)
		return rc;
	if (status->state == TRACER_FAILED)
		return err_set(err, -EINVAL, "that trace failed: %s", status->error);
	if (status->state == TRACER_RUNNING)
		return err_set(err, -EBUSY, "that trace is still running");
	*profile = status->views[choice];
	return 0;
}

static int show_flame(void *ctx, const struct tracer_status *status, struct err *err)
{
	static const char *const formats[] = {"json", "table"};
	const struct asked *asked = ctx;
	const struct profile *profile = NULL;
	size_t is_table = 0;
	uint64_t limit_nodes = DEFAULT_NODES;
	struct calltree_options options = {0};
	const char *by = request_param(asked->request, "by");
	int rc = choose_view(asked, status, &profile, err);
	if (!rc)
		rc = request_choice(asked->request, "format", formats, ARRAY_LEN(formats),
				    &is_table, err);
	if (!rc)
		rc = request_number(asked->request, "limit", MAX_NODES, &limit_nodes, err);
	if (!rc && by)
		rc = calltree_options_by(&options, by, err);
	if (rc)
		return rc;
	options.group_by = request_param(asked->request, "group_by");
	options.focus = request_param(asked->request, "focus");
	options.max_nodes = limit_nodes;
	AUTO(calltree) tree = NULL;
	rc = calltree_build(&tree, profile, &options, err);
	if (rc)
		return rc;
	const struct api_question question = {
		.type = PROFILE_OFFCPU,
		.query = "",
		.from_unix_ns = profile->start_unix_ns,
		.until_unix_ns = profile->start_unix_ns + profile->duration_ns,
	};
	if (is_table) {
		asked->response->content_type = "application/octet-stream";
		api_flame_table(&asked->response->body, &question, tree);
		return 0;
	}
	struct json json = response_json(asked->response);
	api_json_flame(&json, &question, tree);
	return 0;
}

static int show_export(void *ctx, const struct tracer_status *status, struct err *err)
{
	static const char *const formats[] = {"pprof", "folded"};
	const struct asked *asked = ctx;
	struct response *response = asked->response;
	const struct profile *profile = NULL;
	size_t is_folded = 0;
	int rc = choose_view(asked, status, &profile, err);
	if (!rc)
		rc = request_choice(asked->request, "format", formats, ARRAY_LEN(formats),
				    &is_folded, err);
	if (rc)
		return rc;
	response_header(response, "Content-Disposition",
			"attachment; filename=\"hearth-trace-%llu.%s\"",
			(unsigned long long)status->id, is_folded ? "folded" : "pb.gz");
	response->content_type =
		is_folded ? "text/plain; charset=utf-8" : "application/octet-stream";
	response->packed = !is_folded;
	return is_folded ? folded_encode(&response->body, profile, err)
			 : pprof_encode(&response->body, profile, err);
}

/* The number at the start of *text, which is moved behind it. 0: there is none. */
static uint64_t read_id(const char **text)
{
	char *end;
	if (**text < '1' || **text > '9')
		return 0;
	uint64_t id = strtoull(*text, &end, 10);
	*text = end;
	return id;
}

static int answer_one(const struct web_context *context, const struct request *request,
		      struct response *response, struct err *err)
{
	static const struct {
		const char *rest;
		int (*visit)(void *ctx, const struct tracer_status *status, struct err *err);
	} parts[] = {{"", show}, {"/flame", show_flame}, {"/export", show_export}};
	const struct tracer_ops *tracer = context->tracer;
	struct asked asked = {request, response, request->path + strlen(API_TRACE_PATH)};
	uint64_t id = read_id(&asked.rest);
	for (size_t i = 0; i < ARRAY_LEN(parts) && id; i++) {
		if (strcmp(parts[i].rest, asked.rest) != 0)
			continue;
		if (request->method != METHOD_DELETE)
			return tracer->look(tracer->ctx, id, parts[i].visit, &asked, err);
		if (i > 0)
			break;
		int rc = tracer->stop(tracer->ctx, id, err);
		return rc ? rc : tracer->look(tracer->ctx, id, show, &asked, err);
	}
	return err_set(err, -ENOENT, "there is nothing at %.80s", request->path);
}

int api_trace(const struct web_context *context, const struct request *request,
	      struct response *response, struct err *err)
{
	int rc = has_tracer(context, err);
	if (!rc && strcmp(request->path, API_TRACES_PATH) != 0)
		rc = answer_one(context, request, response, err);
	else if (!rc)
		rc = request->method == METHOD_POST ? start(context, request, response, err)
						    : list(context, response, err);
	return rc && refuse(response, err) ? 0 : rc;
}
