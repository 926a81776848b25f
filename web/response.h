/*
 * response: what a handler answers: a status, a body, a few headers.
 *
 * A handler fills body and content_type; response_encode() then makes it fit the client
 * (gzip, 304). Plain data, one thread.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "web/assets.h"
#include "web/request.h"

enum {
	RESPONSE_MAX_BODY_BYTES = 256 << 20,
	RESPONSE_MAX_HEADERS = 8,
	RESPONSE_HEADER_VALUE_BYTES = 160,
};

struct response_header {
	const char *name; /* static */
	char value[RESPONSE_HEADER_VALUE_BYTES];
};

struct response {
	unsigned int status;
	const char *content_type;  /* static; NULL with an empty body */
	const char *cache_control; /* static */
	struct buf body;
	const struct asset *asset; /* its bytes instead of body; NULL: none */
	bool packed;               /* body is compressed already: not worth doing again */
	struct response_header headers[RESPONSE_MAX_HEADERS];
	size_t header_count;
};

/* Status 200, no body, not to be kept by caches. */
void response_init(struct response *response);
void response_fini(struct response *response);
#define AUTO_RESPONSE AUTO_FINI(response_fini) struct response

/* name is static. More than RESPONSE_MAX_HEADERS is our bug. */
void response_header(struct response *response, const char *name, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Append text to the body and say what it is. */
void response_text(struct response *response, const char *text);

/* A writer of the body, which becomes application/json. */
struct json response_json(struct response *response);

/* Replace whatever is there by an error: status and code follow from err->code (-EINVAL is
 * 400, ...). As {"error":{"code","message"}}, or, for pprof, as plain text that it prints. */
enum error_style { ERROR_JSON, ERROR_PPROF };
void response_error(struct response *response, enum error_style style, const struct err *err);
/* The same with a status that is not in err's vocabulary. */
void response_status(struct response *response, enum error_style style, unsigned int status,
		     const char *message);

/* Does an Accept-Encoding header (NULL: none) allow gzip? RFC 9110 section 12.5.3. */
bool accepts_gzip(const char *accept_encoding);

/* Make it what the client can take: 304 when it has the asset, gzip or not. -ENOMEM, ...
 * A 304 keeps its body, which is not sent, for its length is (RFC 9110 section 8.6). */
int response_encode(struct response *response, const struct request *request, struct err *err);
