#include <errno.h>
#include <string.h>

#include "base/array.h"
#include "base/log.h"
#include "web/handlers.h"
#include "web/upload.h"

/* A SHA-1, as linkers make them; shorter ones exist. */
enum { MAX_BUILD_ID_HEX = 40 };

/* Of a path that the router sent here. */
static const char *build_id_of(const struct request *request)
{
	return request->path + strlen(API_SYMBOLS_PATH);
}

static bool is_build_id(const char *text)
{
	size_t len = strspn(text, "0123456789abcdef");
	return len && !text[len] && len % 2 == 0 && len <= MAX_BUILD_ID_HEX;
}

struct refusal {
	int code;
	unsigned int status;
};

void api_symbols_refuse(struct response *response, const struct err *err)
{
	static const struct refusal refusals[] = {
		{-EINVAL, 400}, {-EBADMSG, 400}, {-ENODATA, 400}, {-E2BIG, 413},  {-ENOTSUP, 501},
		{-EBUSY, 503},  {-ENOMEM, 503},  {-ENOSPC, 507},  {-EDQUOT, 507},
	};
	unsigned int status = 500;
	for (size_t i = 0; i < ARRAY_LEN(refusals); i++)
		if (refusals[i].code == err->code)
			status = refusals[i].status;
	if (status == 500 || status == 507)
		log_line(LOG_ERROR, "upload of symbols: %s", err->text);
	response_status(response, ERROR_JSON, status, err->text);
}

bool api_symbols_admit(const struct web_context *context, const struct request *request,
		       struct response *response)
{
	struct err err = {0};
	if (!context->upload_symbols)
		err_set(&err, -ENOTSUP, "this server names no executables, so it takes no symbols");
	else if (!is_build_id(build_id_of(request)))
		err_set(&err, -EINVAL,
			"\"%.50s\" is no build ID: the path must end in up to %d lower-case hex "
			"digits, as `readelf -n FILE` shows them",
			build_id_of(request), MAX_BUILD_ID_HEX);
	if (err.code)
		api_symbols_refuse(response, &err);
	return !err.code;
}

static void write_answer(struct response *response, const struct request *request, bool is_done)
{
	response->status = is_done ? 200 : 202;
	struct json json = response_json(response);
	json_open_object(&json);
	json_key_str(&json, "build_id", build_id_of(request));
	json_key_u64(&json, "bytes", upload_bytes(request->upload));
	json_key_bool(&json, "done", is_done);
	json_close_object(&json);
}

int api_symbols(const struct web_context *context, const struct request *request,
		struct response *response, struct err *err)
{
	if (!api_symbols_admit(context, request, response))
		return 0;
	int fd = -1;
	int rc = request->upload ? upload_finish(request->upload, &fd, err)
				 : err_set(err, -ENODATA, "the request has no body");
	if (!rc)
		rc = context->upload_symbols(context->sampler_ctx, build_id_of(request), fd, err);
	if (!rc || rc == -ETIME)
		write_answer(response, request, !rc);
	else
		api_symbols_refuse(response, err);
	return 0;
}
