#include <errno.h>
#include <string.h>

#include "base/array.h"
#include "base/clock.h"
#include "web/handlers.h"
#include "web/question.h"

enum { DEFAULT_LINES = 10, MAX_LINES = 1000, DEFAULT_POINTS = 300 };

/* The shortest step that a human counts in and that needs no more than DEFAULT_POINTS. */
static int64_t default_step_ns(uint64_t range_ns)
{
	static const int64_t steps_s[] = {1,   2,   5,   10,   15,   30,   60,    120,
					  300, 600, 900, 1800, 3600, 7200, 14400, 21600};
	for (size_t i = 0; i < ARRAY_LEN(steps_s); i++)
		if (range_ns / DEFAULT_POINTS <= (uint64_t)(steps_s[i] * NS_PER_S))
			return steps_s[i] * NS_PER_S;
	const uint64_t day_ns = 24 * 3600 * (uint64_t)NS_PER_S;
	return (int64_t)((range_ns / DEFAULT_POINTS / day_ns + 1) * day_ns);
}

static int read_step(const struct request *request, const struct question *question,
		     int64_t *step_ns, struct err *err)
{
	const char *text = request_param(request, "step");
	if (!text) {
		*step_ns = default_step_ns((uint64_t)question->until_unix_ns -
					   (uint64_t)question->from_unix_ns);
		return 0;
	}
	int rc = clock_parse_duration(text, step_ns, err);
	if (rc)
		return err_wrap(err, rc, "step");
	if (*step_ns < NS_PER_MS)
		return err_set(err, -EINVAL, "step is below 1ms");
	return 0;
}

/* Reasons are few, and one is called as what is left over would be: "other". */
static uint64_t default_lines(const char *group_by)
{
	return group_by && !strcmp(group_by, "reason") ? WAIT_REASONS : DEFAULT_LINES;
}

int api_series(const struct web_context *context, const struct request *request,
	       struct response *response, struct err *err)
{
	const char *group_by = request_param(request, "group_by");
	uint64_t limit = default_lines(group_by);
	int rc = request_number(request, "limit", MAX_LINES, &limit, err);
	if (rc)
		return rc;
	AUTO_QUESTION question = {0};
	rc = question_init(&question, request, PROFILE_CPU, err);
	if (rc)
		return rc;
	int64_t step_ns = 0;
	rc = read_step(request, &question, &step_ns, err);
	if (rc)
		return rc;
	struct store_query query = question_store(&question);
	AUTO(series_set) set = NULL;
	rc = store_query_series(context->store, &query, group_by, step_ns, limit, &set, err);
	if (rc)
		return rc;
	struct api_question asked = question_api(&question);
	struct json json = response_json(response);
	api_json_series(&json, &asked, group_by, set);
	return 0;
}
