#include "web/export.h"

#include <errno.h>
#include <time.h>

#include "base/array.h"
#include "base/clock.h"
#include "profile/folded.h"
#include "profile/pprof.h"

enum { STAMP_BYTES = 20 };

#define UNSETTLED_NS (10 * NS_PER_S)

void export_settle(const struct web_context *context, const struct request *request,
		   const struct question *question)
{
	bool is_settled = question->type == PROFILE_CPU ||
			  question->until_unix_ns < request->now_unix_ns - UNSETTLED_NS ||
			  question->from_unix_ns > request->now_unix_ns;
	if (!is_settled && context->flush_waits)
		context->flush_waits(context->sampler_ctx);
}

int export_pprof(const struct web_context *context, const struct question *question,
		 struct response *response, struct err *err)
{
	struct store_query query = question_store(question);
	AUTO(profile) profile = NULL;
	int rc = store_query_profile(context->store, &query, &profile, err);
	if (rc)
		return rc;
	response->content_type = "application/octet-stream";
	response->packed = true;
	return pprof_encode(&response->body, profile, err);
}

static int export_folded(const struct web_context *context, const struct question *question,
			 struct response *response, struct err *err)
{
	struct store_query query = question_store(question);
	AUTO(profile) profile = NULL;
	int rc = store_query_stacks(context->store, &query, &profile, err);
	if (rc)
		return rc;
	response->content_type = "text/plain; charset=utf-8";
	return folded_encode(&response->body, profile, err);
}

struct export_format {
	const char *suffix;
	int (*write)(const struct web_context *context, const struct question *question,
		     struct response *response, struct err *err);
};

/* When the range ends, as file names say it: 20261121T234500Z. */
static void format_stamp(int64_t unix_ns, char stamp[static STAMP_BYTES])
{
	time_t seconds = (time_t)(unix_ns / NS_PER_S);
	struct tm utc;
	if (!gmtime_r(&seconds, &utc) || !strftime(stamp, STAMP_BYTES, "%Y%m%dT%H%M%SZ", &utc))
		stamp[0] = '\0';
}

int api_export(const struct web_context *context, const struct request *request,
	       struct response *response, struct err *err)
{
	static const char *const names[] = {"pprof", "folded"};
	static const struct export_format formats[] = {{"pb.gz", export_pprof},
						       {"folded", export_folded}};
	_Static_assert(ARRAY_LEN(names) == ARRAY_LEN(formats), "one of each");
	size_t choice = 0;
	int rc = request_choice(request, "format", names, ARRAY_LEN(names), &choice, err);
	if (rc)
		return rc;
	AUTO_QUESTION question = {0};
	rc = question_init(&question, request, PROFILE_CPU, err);
	if (rc)
		return rc;
	export_settle(context, request, &question);
	rc = formats[choice].write(context, &question, response, err);
	if (rc)
		return rc;
	char stamp[STAMP_BYTES];
	format_stamp(question.until_unix_ns, stamp);
	response_header(response, "Content-Disposition", "attachment; filename=\"hearth-%s-%s.%s\"",
			profile_type_name(question.type), stamp, formats[choice].suffix);
	return 0;
}
