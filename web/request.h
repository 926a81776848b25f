/*
 * request: one HTTP request as handlers see it: a method, a decoded path, decoded parameters.
 *
 * Everything in it comes from a stranger and is checked here: lengths, percent escapes, NUL.
 * Parameters that nobody asks for are ignored; of one given twice the first counts; an empty
 * one counts as not given. Plain data, one thread.
 * https://www.rfc-editor.org/rfc/rfc3986#section-2.1
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum { REQUEST_MAX_TARGET_BYTES = 8192, REQUEST_MAX_PARAMS = 64 };

enum request_method {
	METHOD_GET,
	METHOD_HEAD,
	METHOD_POST,
	METHOD_PUT,
	METHOD_DELETE,
	METHOD_OTHER
};

struct upload;

struct request_param {
	const char *name; /* borrowed from `decoded` */
	const char *value;
};

struct request {
	enum request_method method;
	const char *path; /* decoded, begins with '/' */
	struct request_param params[REQUEST_MAX_PARAMS];
	size_t param_count;
	const char *host;   /* header; borrowed; NULL: not sent */
	const char *origin; /* of the web page that sends it */
	const char *sec_fetch_site;
	const char *accept_encoding;
	const char *if_none_match;
	struct upload *upload; /* its body, where the route takes a file; borrowed */
	int64_t now_unix_ns;   /* what "now" means in it */
	char decoded[REQUEST_MAX_TARGET_BYTES + 2];
};

enum request_method request_method_of(const char *name);

/* Fill path, params and (for the absolute form, RFC 9112 section 3.2.2) host from a request
 * target, "/path?name=value&...". -ENAMETOOLONG: longer than the limit; -EINVAL: not such a
 * target, a bad escape, too many parameters. The rest of *request is the caller's. */
int request_parse(struct request *request, const char *target, struct err *err);

/* The value of a parameter, or NULL when it was not given. Borrowed from the request. */
const char *request_param(const struct request *request, const char *name);

/* A whole number in 1..max; *value is left alone when it is not given. -EINVAL. */
int request_number(const struct request *request, const char *name, uint64_t max, uint64_t *value,
		   struct err *err);

/* One of `count` words; *choice is its position, 0 when it is not given. -EINVAL with a
 * sentence that lists them. */
int request_choice(const struct request *request, const char *name, const char *const *words,
		   size_t count, size_t *choice, struct err *err);
