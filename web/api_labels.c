#include <errno.h>

#include "base/clock.h"
#include "web/handlers.h"
#include "web/question.h"

enum { DEFAULT_VALUES = 1000, MAX_VALUES = 100000 };

int api_labels(const struct web_context *context, const struct request *request,
	       struct response *response, struct err *err)
{
	AUTO_QUESTION question = {0};
	int rc = question_init(&question, request, PROFILE_CPU, err);
	if (rc)
		return rc;
	struct store_query query = question_store(&question);
	AUTO(series_set) set = NULL;
	rc = store_query_labels(context->store, &query, &set, err);
	if (rc)
		return rc;
	struct json json = response_json(response);
	json_open_object(&json);
	json_key(&json, "labels");
	json_open_array(&json);
	for (size_t i = 0; i < set->line_count; i++)
		json_str(&json, strtab_get(&set->strings, set->lines[i].name));
	json_close_array(&json);
	json_close_object(&json);
	return 0;
}

static void write_values(struct json *json, const char *label, const struct series_set *set)
{
	json_open_object(json);
	json_key_str(json, "label", label);
	json_key(json, "values");
	json_open_array(json);
	for (size_t i = 0; i < set->line_count; i++) {
		const struct series_line *line = &set->lines[i];
		json_open_object(json);
		json_key_str(json, "value", strtab_get(&set->strings, line->name));
		json_key_i64(json, "total_us", line->total_ns / NS_PER_US);
		json_close_object(json);
	}
	json_close_array(json);
	json_close_object(json);
}

int api_label_values(const struct web_context *context, const struct request *request,
		     struct response *response, struct err *err)
{
	const char *label = request_param(request, "label");
	if (!label)
		return err_set(err, -EINVAL, "label is missing: name one of /api/v1/labels");
	uint64_t limit = DEFAULT_VALUES;
	int rc = request_number(request, "limit", MAX_VALUES, &limit, err);
	if (rc)
		return rc;
	AUTO_QUESTION question = {0};
	rc = question_init(&question, request, PROFILE_CPU, err);
	if (rc)
		return rc;
	struct store_query query = question_store(&question);
	AUTO(series_set) set = NULL;
	rc = store_query_label_values(context->store, &query, label, limit, &set, err);
	if (rc)
		return rc;
	struct json json = response_json(response);
	write_values(&json, label, set);
	return 0;
}
