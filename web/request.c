#include "web/request.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum request_method request_method_of(const char *name)
{
	static const char *const names[] = {"GET", "HEAD", "POST", "PUT", "DELETE"};
	for (int i = METHOD_GET; i < METHOD_OTHER; i++)
		if (!strcmp(name, names[i]))
			return (enum request_method)i;
	return METHOD_OTHER;
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte that "%xy" at p stands for, or -1. */
static int escaped_byte(const char *p)
{
	int high = hex_value(p[1]);
	if (high < 0)
		return -1;
	int low = hex_value(p[2]);
	return low < 0 ? -1 : high << 4 | low;
}

/* Copy *in, up to one of the stop characters, decoded, to *out with a NUL. Never writes more
 * than it reads, but for that NUL. */
static int decode(const char **in, const char *stop, bool plus_is_space, char **out,
		  struct err *err)
{
	const char *p = *in;
	char *to = *out;
	for (; *p && !strchr(stop, *p); p++) {
		char c = *p;
		if (c == '%') {
			int byte = escaped_byte(p);
			if (byte <= 0)
				return err_set(err, -EINVAL,
					       "\"%.3s\" in the URL is no %%XX escape", p);
			c = (char)byte;
			p += 2;
		} else if (c == '+' && plus_is_space) {
			c = ' ';
		}
		*to++ = c;
	}
	*to++ = '\0';
	*in = p;
	*out = to;
	return 0;
}

static int parse_params(struct request *request, const char *pos, char *out, struct err *err)
{
	while (*pos) {
		pos++; /* the '?' or '&' before it */
		if (*pos == '&' || !*pos)
			continue;
		if (request->param_count == REQUEST_MAX_PARAMS)
			return err_set(err, -EINVAL, "more than %d parameters", REQUEST_MAX_PARAMS);
		struct request_param *param = &request->params[request->param_count++];
		param->name = out;
		int rc = decode(&pos, "=&", true, &out, err);
		if (rc)
			return rc;
		/* Without '=' the value is the NUL that ends the name. */
		param->value = out - 1;
		if (*pos != '=')
			continue;
		pos++;
		param->value = out;
		rc = decode(&pos, "&", true, &out, err);
		if (rc)
			return rc;
	}
	return 0;
}

/* "http://host:port/path" is as good as "/path" with that Host. Clients send it to proxies. */
static void take_authority(struct request *request, const char **target, char **out)
{
	static const char scheme[] = "http://";
	if (strncasecmp(*target, scheme, strlen(scheme)) != 0)
		return;
	const char *authority = *target + strlen(scheme);
	size_t len_bytes = strcspn(authority, "/?#");
	memcpy(*out, authority, len_bytes);
	(*out)[len_bytes] = '\0';
	request->host = *out;
	*out += len_bytes + 1;
	*target = authority + len_bytes;
}

int request_parse(struct request *request, const char *target, struct err *err)
{
	request->path = "/";
	request->param_count = 0;
	if (strnlen(target, REQUEST_MAX_TARGET_BYTES + 1) > REQUEST_MAX_TARGET_BYTES)
		return err_set(err, -ENAMETOOLONG, "the URL is longer than %d bytes",
			       REQUEST_MAX_TARGET_BYTES);
	/* Decoding never grows: a name's NUL has the place of its '=' or '&', the path's that of
	 * its '?', an authority's that of its "//". Only the last NUL needs room of its own. */
	char *out = request->decoded;
	take_authority(request, &target, &out);
	const char *path = out;
	if (*target == '/') {
		int rc = decode(&target, "?#", false, &out, err);
		if (rc)
			return rc;
		request->path = path;
	} else if (out == request->decoded) {
		return err_set(err, -EINVAL, "the URL does not begin with '/'");
	}
	if (*target == '#')
		return err_set(err, -EINVAL, "'#' in the URL is not written as %%23");
	return parse_params(request, target, out, err);
}

const char *request_param(const struct request *request, const char *name)
{
	for (size_t i = 0; i < request->param_count; i++)
		if (!strcmp(request->params[i].name, name))
			return *request->params[i].value ? request->params[i].value : NULL;
	return NULL;
}

int request_number(const struct request *request, const char *name, uint64_t max, uint64_t *value,
		   struct err *err)
{
	const char *text = request_param(request, name);
	if (!text)
		return 0;
	char *end = NULL;
	errno = 0;
	unsigned long long number = strtoull(text, &end, 10);
	if (!isdigit((unsigned char)*text) || *end || errno || number < 1 || number > max)
		return err_set(err, -EINVAL,
			       "%s is \"%.40s\": it must be a whole number from 1 to %" PRIu64,
			       name, text, max);
	*value = number;
	return 0;
}

int request_choice(const struct request *request, const char *name, const char *const *words,
		   size_t count, size_t *choice, struct err *err)
{
	const char *text = request_param(request, name);
	char list[128] = "";
	size_t used_bytes = 0;
	for (size_t i = 0; i < count; i++) {
		if (!text || !strcmp(text, words[i])) {
			*choice = i;
			return 0;
		}
		int wrote = snprintf(list + used_bytes, sizeof(list) - used_bytes, "%s%s",
				     i ? ", " : "", words[i]);
		used_bytes += (size_t)wrote;
		if (used_bytes >= sizeof(list))
			used_bytes = sizeof(list) - 1;
	}
	return err_set(err, -EINVAL, "%s is \"%.40s\": it must be one of %s", name, text, list);
}
