#include "web/response.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/array.h"
#include "base/gzip.h"

enum {
	MIN_GZIP_BYTES = 1024, /* below, a packet is a packet */
	LIVE_GZIP_LEVEL = 1,   /* most clients are near: time counts more than bytes */
	STATUS_NOT_MODIFIED = 304,
};

void response_init(struct response *response)
{
	*response = (struct response){.status = 200, .cache_control = "no-store"};
	buf_init(&response->body, RESPONSE_MAX_BODY_BYTES);
}

void response_fini(struct response *response)
{
	buf_fini(&response->body);
}

void response_header(struct response *response, const char *name, const char *fmt, ...)
{
	assert(response->header_count < RESPONSE_MAX_HEADERS);
	struct response_header *header = &response->headers[response->header_count++];
	header->name = name;
	va_list args;
	va_start(args, fmt);
	vsnprintf(header->value, sizeof(header->value), fmt, args);
	va_end(args);
}

void response_text(struct response *response, const char *text)
{
	response->content_type = "text/plain; charset=utf-8";
	buf_append_str(&response->body, text);
}

struct json response_json(struct response *response)
{
	response->content_type = "application/json";
	return json_to(&response->body);
}

struct failure {
	int code;
	unsigned int status;
};

static unsigned int status_of(int code)
{
	static const struct failure failures[] = {
		{-EINVAL, 400}, {-ENOENT, 404}, {-ENOSPC, 413}, {-ENAMETOOLONG, 414},
		{-ENOMEM, 503}, {-EBUSY, 503},  {-EAGAIN, 503},
	};
	for (size_t i = 0; i < ARRAY_LEN(failures); i++)
		if (failures[i].code == code)
			return failures[i].status;
	return 500;
}

struct status_name {
	unsigned int status;
	const char *name;
};

static const char *status_name(unsigned int status)
{
	static const struct status_name names[] = {
		{400, "bad_request"},  {403, "forbidden"},          {404, "not_found"},
		{409, "conflict"},     {405, "method_not_allowed"}, {413, "too_large"},
		{414, "uri_too_long"}, {501, "not_implemented"},    {503, "unavailable"},
		{507, "no_space"},
	};
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (names[i].status == status)
			return names[i].name;
	return "internal";
}

void response_status(struct response *response, enum error_style style, unsigned int status,
		     const char *message)
{
	response_fini(response);
	response_init(response);
	response->status = status;
	if (style == ERROR_PPROF) {
		/* pprof prints the body of such an answer: google/pprof
		 * internal/driver/fetch.go, statusCodeError. */
		response_header(response, "X-Go-Pprof", "1");
		response_text(response, message);
		response_text(response, "\n");
		return;
	}
	struct json json = response_json(response);
	json_open_object(&json);
	json_key(&json, "error");
	json_open_object(&json);
	json_key_str(&json, "code", status_name(status));
	json_key_str(&json, "message", message);
	json_close_object(&json);
	json_close_object(&json);
}

void response_error(struct response *response, enum error_style style, const struct err *err)
{
	response_status(response, style, status_of(err->code), err->text);
}

/* The weight in "name;q=0.5, ...": of an element that names `coding`, or -1. */
static double coding_weight(const char *header, const char *coding)
{
	size_t coding_len = strlen(coding);
	for (const char *p = header; *p;) {
		p += strspn(p, ", \t");
		size_t name_len = strcspn(p, ",; \t");
		size_t element_len = strcspn(p, ",");
		if (name_len == coding_len && !strncasecmp(p, coding, name_len)) {
			const char *params = p + name_len;
			params += strspn(params, "; \t");
			bool weighted = params < p + element_len && tolower(*params) == 'q' &&
					params[1] == '=';
			return weighted ? strtod(params + 2, NULL) : 1;
		}
		p += element_len;
	}
	return -1;
}

bool accepts_gzip(const char *accept_encoding)
{
	if (!accept_encoding)
		return false;
	double weight = coding_weight(accept_encoding, "gzip");
	if (weight < 0)
		weight = coding_weight(accept_encoding, "*");
	return weight > 0;
}

/* If-None-Match compares weakly: W/ does not matter. RFC 9110 section 13.1.2. */
static bool client_has(const char *if_none_match, const char *etag)
{
	if (!if_none_match)
		return false;
	if (!strcmp(if_none_match, "*"))
		return true;
	return strstr(if_none_match, etag) != NULL;
}

static int fill_from_asset(struct response *response, bool gzip, struct err *err)
{
	const struct asset *asset = response->asset;
	size_t gzip_bytes = (size_t)(asset->gzip_end - asset->gzip);
	if (!gzip)
		return gzip_decompress(&response->body, asset->gzip, gzip_bytes, err);
	buf_append(&response->body, asset->gzip, gzip_bytes);
	return buf_error(&response->body) ? err_set(err, -ENOMEM, "%s", asset->path) : 0;
}

static int encode_asset(struct response *response, const struct request *request, bool gzip,
			struct err *err)
{
	const struct asset *asset = response->asset;
	char etag[RESPONSE_HEADER_VALUE_BYTES];
	/* A strong tag names bytes as sent, so the two codings have two. */
	snprintf(etag, sizeof(etag), "\"%s%s\"", asset->hash, gzip ? "-gzip" : "");
	response_header(response, "ETag", "%s", etag);
	response_header(response, "Vary", "Accept-Encoding");
	if (client_has(request->if_none_match, etag)) {
		response->status = STATUS_NOT_MODIFIED;
	} else {
		response->content_type = asset->content_type;
		if (gzip)
			response_header(response, "Content-Encoding", "gzip");
	}
	return fill_from_asset(response, gzip, err);
}

int response_encode(struct response *response, const struct request *request, struct err *err)
{
	bool gzip = accepts_gzip(request->accept_encoding);
	if (response->asset)
		return encode_asset(response, request, gzip, err);
	if (buf_error(&response->body) == -ENOSPC)
		return err_set(err, -ENOSPC,
			       "the answer is larger than %d MiB: ask for a shorter range",
			       RESPONSE_MAX_BODY_BYTES >> 20);
	if (buf_error(&response->body))
		return err_set(err, -ENOMEM, "no memory for the answer");
	if (response->packed || response->body.len_bytes < MIN_GZIP_BYTES)
		return 0;
	response_header(response, "Vary", "Accept-Encoding");
	if (!gzip)
		return 0;
	struct buf packed __attribute__((cleanup(buf_fini)));
	buf_init(&packed, RESPONSE_MAX_BODY_BYTES + RESPONSE_MAX_BODY_BYTES / 256);
	int rc = gzip_compress(&packed, response->body.data, response->body.len_bytes,
			       LIVE_GZIP_LEVEL, err);
	if (rc)
		return rc;
	struct buf plain = response->body;
	response->body = packed;
	packed = plain;
	response_header(response, "Content-Encoding", "gzip");
	return 0;
}
