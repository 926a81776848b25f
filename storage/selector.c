#include "storage/selector.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/buf.h"
#include "storage/pattern.h"

enum {
	MAX_TEXT_BYTES = 8192,
	MAX_KEY_BYTES = 256,
	MAX_VALUE_BYTES = 4096,
	MAX_MATCHERS = 32,
};

enum operation { EQUAL, NOT_EQUAL, MATCH, NOT_MATCH };

struct matcher {
	enum operation operation;
	char *key;
	char *value;
	struct pattern *pattern; /* of MATCH and NOT_MATCH */
};

struct selector {
	struct matcher *matchers;
	size_t count;
	size_t cap;
};

/* Where the parser is. Columns count bytes from 1. */
struct cursor {
	const char *start;
	const char *at;
	struct err *err;
};

static void fini_matcher(struct matcher *matcher)
{
	free(matcher->key);
	free(matcher->value);
	pattern_free(matcher->pattern);
}

void selector_free(struct selector *selector)
{
	if (!selector)
		return;
	for (size_t i = 0; i < selector->count; i++)
		fini_matcher(&selector->matchers[i]);
	free(selector->matchers);
	free(selector);
}

static int expected(const struct cursor *cursor, const char *what)
{
	return err_set(cursor->err, -EINVAL, "selector, column %zu: expected %s%s%.16s%s",
		       (size_t)(cursor->at - cursor->start) + 1, what,
		       *cursor->at ? ", found \"" : ", found the end", cursor->at,
		       *cursor->at ? "\"" : "");
}

static void skip_space(struct cursor *cursor)
{
	cursor->at += strspn(cursor->at, " \t\r\n");
}

static bool take(struct cursor *cursor, const char *token)
{
	skip_space(cursor);
	size_t len = strlen(token);
	if (strncmp(cursor->at, token, len))
		return false;
	cursor->at += len;
	return true;
}

/* Label names are Prometheus's [a-zA-Z_][a-zA-Z0-9_]*, and dots, which OTLP's have. */
static int parse_key(struct cursor *cursor, char **key)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_";
	static const char more[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789.";
	skip_space(cursor);
	size_t len = strspn(cursor->at, letters) ? strspn(cursor->at, more) : 0;
	if (!len)
		return expected(cursor, "a label name");
	if (len > MAX_KEY_BYTES)
		return expected(cursor, "a label name of at most 256 bytes");
	*key = strndup(cursor->at, len);
	if (!*key)
		return err_set(cursor->err, -ENOMEM, "selector: %m");
	cursor->at += len;
	return 0;
}

static int parse_operation(struct cursor *cursor, enum operation *operation)
{
	static const struct {
		const char *token;
		enum operation operation;
	} table[] = {{"=~", MATCH}, {"!~", NOT_MATCH}, {"!=", NOT_EQUAL}, {"=", EQUAL}};
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		if (take(cursor, table[i].token)) {
			*operation = table[i].operation;
			return 0;
		}
	}
	return expected(cursor, "one of = != =~ !~");
}

static int parse_escape(struct cursor *cursor, char *byte)
{
	switch (cursor->at[1]) {
	case '\\':
	case '"':
		*byte = cursor->at[1];
		return 0;
	case 'n':
		*byte = '\n';
		return 0;
	default:
		return expected(cursor, "one of the escapes \\\\ \\\" \\n");
	}
}

static int parse_value(struct cursor *cursor, struct buf *value)
{
	if (!take(cursor, "\""))
		return expected(cursor, "a value in double quotes");
	const char *start = cursor->at;
	for (; *cursor->at != '"'; cursor->at++) {
		char byte = *cursor->at;
		if (!byte)
			return expected(cursor, "a closing double quote");
		if (byte == '\\') {
			int rc = parse_escape(cursor, &byte);
			if (rc)
				return rc;
			cursor->at++;
		}
		buf_append_u8(value, (uint8_t)byte);
	}
	if (buf_error(value) == -ENOSPC) {
		cursor->at = start;
		return expected(cursor, "a value of at most 4096 bytes");
	}
	cursor->at++;
	return buf_error(value);
}

static void fini_buf(struct buf *buf)
{
	buf_fini(buf);
}

static int parse_matcher(struct cursor *cursor, struct matcher *matcher)
{
	int rc = parse_key(cursor, &matcher->key);
	if (!rc)
		rc = parse_operation(cursor, &matcher->operation);
	if (rc)
		return rc;
	AUTO_FINI(fini_buf) struct buf value;
	buf_init(&value, MAX_VALUE_BYTES + 1);
	skip_space(cursor);
	rc = parse_value(cursor, &value);
	if (rc)
		return rc;
	matcher->value = buf_take_str(&value);
	if (!matcher->value)
		return err_set(cursor->err, -ENOMEM, "selector: %m");
	if (matcher->operation == EQUAL || matcher->operation == NOT_EQUAL)
		return 0;
	rc = pattern_new(&matcher->pattern, matcher->value, cursor->err);
	return rc ? err_wrap(cursor->err, rc, "selector") : 0;
}

static int add_matcher(struct cursor *cursor, struct selector *selector)
{
	if (selector->count == MAX_MATCHERS)
		return expected(cursor, "at most 32 labels");
	int rc = ARRAY_RESERVE(selector->matchers, selector->cap, selector->count, MAX_MATCHERS);
	if (rc)
		return err_set(cursor->err, rc, "selector: %m");
	struct matcher *matcher = &selector->matchers[selector->count++];
	*matcher = (struct matcher){0};
	return parse_matcher(cursor, matcher);
}

static int parse_matchers(struct cursor *cursor, struct selector *selector)
{
	if (take(cursor, "}"))
		return 0;
	for (;;) {
		int rc = add_matcher(cursor, selector);
		if (rc)
			return rc;
		if (take(cursor, "}"))
			return 0;
		if (!take(cursor, ","))
			return expected(cursor, "\",\" or \"}\"");
		if (take(cursor, "}")) /* Prometheus allows a last comma */
			return 0;
	}
}

int selector_parse(struct selector **out, const char *text, struct err *err)
{
	if (strnlen(text, MAX_TEXT_BYTES + 1) > MAX_TEXT_BYTES)
		return err_set(err, -EINVAL, "selector: longer than %d bytes", MAX_TEXT_BYTES);
	AUTO(selector) selector = calloc(1, sizeof(*selector));
	if (!selector)
		return err_set(err, -ENOMEM, "selector: %m");
	struct cursor cursor = {text, text, err};
	skip_space(&cursor);
	if (*cursor.at) {
		if (!take(&cursor, "{"))
			return expected(&cursor, "\"{\"");
		int rc = parse_matchers(&cursor, selector);
		if (rc)
			return rc;
		skip_space(&cursor);
		if (*cursor.at)
			return expected(&cursor, "nothing more");
	}
	*out = TAKE(selector);
	return 0;
}

static int match(const struct matcher *matcher, const char *value, bool *matches, struct err *err)
{
	bool is_equal = false;
	int rc = 0;
	if (matcher->pattern)
		rc = pattern_matches(matcher->pattern, value, &is_equal, err);
	else
		is_equal = !strcmp(value, matcher->value);
	if (rc)
		return err_wrap(err, rc, "selector: pattern \"%.100s\"", matcher->value);
	*matches = is_equal == (matcher->operation == EQUAL || matcher->operation == MATCH);
	return 0;
}

const char selector_skip[] = "";

int selector_matches(const struct selector *selector, selector_value_fn value_of, void *ctx,
		     bool *matches, struct err *err)
{
	bool all = true;
	for (size_t i = 0; all && selector && i < selector->count; i++) {
		const char *value = value_of(ctx, selector->matchers[i].key);
		if (value == selector_skip)
			continue;
		int rc = match(&selector->matchers[i], value ? value : "", &all, err);
		if (rc)
			return rc;
	}
	*matches = all;
	return 0;
}

bool selector_is_all(const struct selector *selector)
{
	return !selector || !selector->count;
}
