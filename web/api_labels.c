#include <errno.h>

#include "profile/api_json.h"
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
	api_json_labels(&json, set);
	return 0;
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
	api_json_label_values(&json, label, set);
	return 0;
}
