/*
 * http_client: GET from a Hearth server, by libcurl.
 */
#pragma once
#include "base/buf.h"
#include "base/err.h"

/* One `name=value` of the query string; the value is escaped here. */
struct http_parameter {
	const char *name;
	const char *value; /* NULL: left out */
};

/* Append the body to out. An answer other than 200 is -EIO with the server's own sentence;
 * -ECONNREFUSED, -ETIMEDOUT, ...: the server could not be asked. */
int http_get(struct buf *out, const char *base_url, const char *path,
	     const struct http_parameter *parameters, size_t parameter_count, struct err *err);

/* As above without parameters, for a server that may not be there: gives up after 5 s. */
int http_get_soon(struct buf *out, const char *base_url, const char *path, struct err *err);
