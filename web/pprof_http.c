#include <errno.h>

#include "base/clock.h"
#include "web/export.h"

#define MAX_SECONDS (UINT64_C(10) * 366 * 24 * 3600)

int pprof_index(const struct web_context *context, const struct request *request,
		struct response *response, struct err *err)
{
	(void)context, (void)request, (void)err;
	response_text(response,
		      "/debug/pprof/\n"
		      "\n"
		      "profile?seconds=N   time on CPU, the N seconds that end now\n"
		      "offcpu?seconds=N    time waiting\n"
		      "\n"
		      "Both answer at once, from the store. Also: type=cpu|offcpu|wall,\n"
		      "query={comm=\"...\"}, from=, until=. Without any: the last 15 minutes.\n"
		      "\n"
		      "go tool pprof 'http://127.0.0.1:4040/debug/pprof/profile?seconds=60'\n");
	return 0;
}

/* seconds=N: the N seconds before `until`. */
static int read_seconds(struct question *question, const struct request *request, struct err *err)
{
	uint64_t seconds = 0;
	int rc = request_number(request, "seconds", MAX_SECONDS, &seconds, err);
	if (rc || !seconds)
		return rc;
	if (request_param(request, "from"))
		return err_set(err, -EINVAL, "give from or seconds, not both");
	if (__builtin_sub_overflow(question->until_unix_ns, (int64_t)seconds * NS_PER_S,
				   &question->from_unix_ns))
		return err_set(err, -EINVAL, "seconds reaches before all time");
	return 0;
}

static int answer(enum profile_type type, const struct web_context *context,
		  const struct request *request, struct response *response, struct err *err)
{
	AUTO_QUESTION question = {0};
	int rc = question_init(&question, request, type, err);
	if (rc)
		return rc;
	rc = read_seconds(&question, request, err);
	if (rc)
		return rc;
	export_settle(context, request, &question);
	response_header(response, "Content-Disposition", "attachment; filename=\"profile\"");
	return export_pprof(context, &question, response, err);
}

int pprof_profile(const struct web_context *context, const struct request *request,
		  struct response *response, struct err *err)
{
	return answer(PROFILE_CPU, context, request, response, err);
}

int pprof_offcpu(const struct web_context *context, const struct request *request,
		 struct response *response, struct err *err)
{
	return answer(PROFILE_OFFCPU, context, request, response, err);
}

/* Profiles here are of the whole machine, and command lines are nobody's business. */
int pprof_cmdline(const struct web_context *context, const struct request *request,
		  struct response *response, struct err *err)
{
	(void)context, (void)request, (void)err;
	response_text(response, "hearth");
	return 0;
}

/* Names are in the profiles. This answers pprof's probe (any number but 0: "there are
 * symbols") and names no address asked for: an address alone does not say of which process. */
int pprof_symbol(const struct web_context *context, const struct request *request,
		 struct response *response, struct err *err)
{
	(void)context, (void)request, (void)err;
	response_text(response, "num_symbols: 1\n");
	return 0;
}
