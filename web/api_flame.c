#include <errno.h>
#include <string.h>

#include "base/array.h"
#include "profile/calltree.h"
#include "web/handlers.h"
#include "web/question.h"

enum { DEFAULT_NODES = 50000, MAX_NODES = 1000000, DEFAULT_ROWS = 500, MAX_ROWS = 100000 };
enum flame_format { FLAME_JSON, FLAME_TABLE };

struct flame_choices {
	size_t format; /* enum flame_format */
	uint64_t limit_nodes;
};

static int read_choices(struct flame_choices *choices, const struct request *request,
			struct err *err)
{
	static const char *const formats[] = {"json", "table"};
	*choices = (struct flame_choices){.limit_nodes = DEFAULT_NODES};
	int rc = request_choice(request, "format", formats, ARRAY_LEN(formats), &choices->format,
				err);
	if (rc)
		return rc;
	return request_number(request, "limit", MAX_NODES, &choices->limit_nodes, err);
}

static int read_by(struct calltree_options *options, const struct request *request, struct err *err)
{
	const char *by = request_param(request, "by");
	*options = (struct calltree_options){0};
	return by ? calltree_options_by(options, by, err) : 0;
}

/* What is asked, and the samples that it is asked about. */
static int ask_stacks(const struct web_context *context, const struct request *request,
		      const struct calltree_options *options, struct question *question,
		      struct profile **profile, struct err *err)
{
	int rc = question_init(question, request, PROFILE_CPU, err);
	if (rc)
		return rc;
	struct store_query query = question_store(question);
	bool with_threads = options->group_by && profile_is_thread_field(options->group_by);
	return with_threads ? store_query_profile(context->store, &query, profile, err)
			    : store_query_stacks(context->store, &query, profile, err);
}

int api_flame(const struct web_context *context, const struct request *request,
	      struct response *response, struct err *err)
{
	struct flame_choices choices;
	struct calltree_options options;
	int rc = read_choices(&choices, request, err);
	if (!rc)
		rc = read_by(&options, request, err);
	if (rc)
		return rc;
	AUTO_QUESTION question = {0};
	AUTO(profile) profile = NULL;
	if (request_param(request, "group_by"))
		options.group_by = request_param(request, "group_by");
	rc = ask_stacks(context, request, &options, &question, &profile, err);
	if (rc)
		return rc;
	options.focus = request_param(request, "focus");
	options.max_nodes = choices.limit_nodes;
	AUTO(calltree) tree = NULL;
	rc = calltree_build(&tree, profile, &options, err);
	if (rc)
		return rc;
	struct api_question asked = question_api(&question);
	if (choices.format == FLAME_TABLE) {
		response->content_type = "application/octet-stream";
		api_flame_table(&response->body, &asked, tree);
		return 0;
	}
	struct json json = response_json(response);
	api_json_flame(&json, &asked, tree);
	return 0;
}

int api_top(const struct web_context *context, const struct request *request,
	    struct response *response, struct err *err)
{
	uint64_t limit = DEFAULT_ROWS;
	struct calltree_options options;
	int rc = request_number(request, "limit", MAX_ROWS, &limit, err);
	if (!rc)
		rc = read_by(&options, request, err);
	if (rc)
		return rc;
	AUTO_QUESTION question = {0};
	AUTO(profile) profile = NULL;
	rc = ask_stacks(context, request, &options, &question, &profile, err);
	if (rc)
		return rc;
	AUTO(top_table) table = NULL;
	rc = top_table_build(&table, profile, options.view, err);
	if (rc)
		return rc;
	struct api_question asked = question_api(&question);
	struct json json = response_json(response);
	api_json_top(&json, &asked, table, limit);
	return 0;
}
