#include "web/question.h"

#include <errno.h>

#include "base/clock.h"

#define DEFAULT_RANGE_NS (15 * 60 * NS_PER_S)

static int read_time(const struct request *request, const char *name, int64_t *unix_ns,
		     struct err *err)
{
	const char *text = request_param(request, name);
	if (!text)
		return 0;
	int rc = clock_parse(text, request->now_unix_ns, unix_ns, err);
	return rc ? err_wrap(err, rc, "%s", name) : 0;
}

static int read_range(struct question *question, const struct request *request, struct err *err)
{
	question->until_unix_ns = request->now_unix_ns;
	int rc = read_time(request, "until", &question->until_unix_ns, err);
	if (rc)
		return rc;
	if (__builtin_sub_overflow(question->until_unix_ns, DEFAULT_RANGE_NS,
				   &question->from_unix_ns))
		question->from_unix_ns = INT64_MIN;
	rc = read_time(request, "from", &question->from_unix_ns, err);
	if (rc)
		return rc;
	if (question->from_unix_ns >= question->until_unix_ns)
		return err_set(err, -EINVAL, "from is not before until: the range is empty");
	return 0;
}

int question_init(struct question *question, const struct request *request,
		  enum profile_type default_type, struct err *err)
{
	*question = (struct question){.type = default_type, .query = "{}"};
	const char *type = request_param(request, "type");
	int rc = type ? profile_type_parse(type, &question->type, err) : 0;
	if (rc)
		return rc;
	rc = read_range(question, request, err);
	if (rc)
		return rc;
	const char *query = request_param(request, "query");
	if (query)
		question->query = query;
	rc = selector_parse(&question->selector, question->query, err);
	return rc ? err_wrap(err, rc, "query") : 0;
}

void question_fini(struct question *question)
{
	selector_free(question->selector);
	question->selector = NULL;
}

struct store_query question_store(const struct question *question)
{
	return (struct store_query){
		.type = question->type,
		.from_unix_ns = question->from_unix_ns,
		.until_unix_ns = question->until_unix_ns,
		.selector = question->selector,
	};
}

struct api_question question_api(const struct question *question)
{
	return (struct api_question){
		.type = question->type,
		.query = question->query,
		.from_unix_ns = question->from_unix_ns,
		.until_unix_ns = question->until_unix_ns,
	};
}
