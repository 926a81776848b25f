#include "base/json.h"

#include <math.h>
#include <string.h>

#include "base/utf8.h"

struct json json_to(struct buf *out)
{
	return (struct json){.out = out};
}

static void before_value(struct json *json)
{
	if (json->comma)
		buf_append_u8(json->out, ',');
	json->comma = true;
}

static void open_with(struct json *json, char bracket)
{
	before_value(json);
	buf_append(json->out, &bracket, 1);
	json->comma = false;
}

static void close_with(struct json *json, char bracket)
{
	buf_append(json->out, &bracket, 1);
	json->comma = true;
}

void json_open_object(struct json *json)
{
	open_with(json, '{');
}

void json_close_object(struct json *json)
{
	close_with(json, '}');
}

void json_open_array(struct json *json)
{
	open_with(json, '[');
}

void json_close_array(struct json *json)
{
	close_with(json, ']');
}

static void append_escaped(struct buf *out, unsigned char c)
{
	switch (c) {
	case '"':
	case '\\':
		buf_append(out, (char[]){'\\', (char)c}, 2);
		break;
	case '\n':
		buf_append_str(out, "\\n");
		break;
	case '\t':
		buf_append_str(out, "\\t");
		break;
	default:
		buf_printf(out, "\\u%04x", c);
	}
}

static void append_quoted(struct buf *out, const char *text)
{
	buf_append_u8(out, '"');
	const unsigned char *p = (const unsigned char *)text;
	while (*p) {
		const unsigned char *plain = p;
		size_t len = 0;
		while (*p && *p >= 0x20 && *p != '"' && *p != '\\' && *p != 0x7f &&
		       (len = utf8_len((const char *)p)) > 0)
			p += len;
		buf_append(out, plain, (size_t)(p - plain));
		if (!*p)
			break;
		if (*p >= 0x80)
			buf_append_str(out, UTF8_REPLACEMENT);
		else
			append_escaped(out, *p);
		p++;
	}
	buf_append_u8(out, '"');
}

void json_key(struct json *json, const char *key)
{
	before_value(json);
	append_quoted(json->out, key);
	buf_append_u8(json->out, ':');
	json->comma = false;
}

void json_str(struct json *json, const char *text)
{
	before_value(json);
	append_quoted(json->out, text);
}

void json_i64(struct json *json, int64_t value)
{
	before_value(json);
	buf_printf(json->out, "%lld", (long long)value);
}

void json_u64(struct json *json, uint64_t value)
{
	before_value(json);
	buf_printf(json->out, "%llu", (unsigned long long)value);
}

void json_double(struct json *json, double value)
{
	before_value(json);
	if (isfinite(value))
		buf_printf(json->out, "%.10g", value);
	else
		buf_append_str(json->out, "null");
}

void json_bool(struct json *json, bool value)
{
	before_value(json);
	buf_append_str(json->out, value ? "true" : "false");
}

void json_key_str(struct json *json, const char *key, const char *text)
{
	json_key(json, key);
	json_str(json, text);
}

void json_key_i64(struct json *json, const char *key, int64_t value)
{
	json_key(json, key);
	json_i64(json, value);
}

void json_key_u64(struct json *json, const char *key, uint64_t value)
{
	json_key(json, key);
	json_u64(json, value);
}

void json_key_double(struct json *json, const char *key, double value)
{
	json_key(json, key);
	json_double(json, value);
}

void json_key_bool(struct json *json, const char *key, bool value)
{
	json_key(json, key);
	json_bool(json, value);
}
