/*
 * json: writes JSON into a buf. Commas are its business, nesting the caller's.
 *
 * Strings may hold any bytes: what is not valid UTF-8 becomes U+FFFD, control characters
 * are escaped (RFC 8259 section 7). Numbers are integers and finite doubles. One thread.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

struct json {
	struct buf *out; /* borrowed; its sticky error is the writer's error too */
	bool comma;      /* the next value needs one before it */
};

struct json json_to(struct buf *out);

void json_open_object(struct json *json);
void json_close_object(struct json *json);
void json_open_array(struct json *json);
void json_close_array(struct json *json);
void json_key(struct json *json, const char *key);

void json_str(struct json *json, const char *text);
void json_i64(struct json *json, int64_t value);
void json_u64(struct json *json, uint64_t value);
void json_double(struct json *json, double value); /* 10 digits; null when not finite */
void json_bool(struct json *json, bool value);

/* "key": value */
void json_key_str(struct json *json, const char *key, const char *text);
void json_key_i64(struct json *json, const char *key, int64_t value);
void json_key_u64(struct json *json, const char *key, uint64_t value);
void json_key_double(struct json *json, const char *key, double value);
void json_key_bool(struct json *json, const char *key, bool value);
