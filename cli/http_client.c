#include "cli/http_client.h"

#include <curl/curl.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/auto.h"

static size_t keep(char *data, size_t size, size_t count, void *ctx)
{
	struct buf *out = ctx;
	buf_append(out, data, size * count);
	return buf_error(out) ? 0 : size * count;
}

static void build_url(struct buf *url, CURL *curl, const char *base_url, const char *path,
		      const struct http_parameter *parameters, size_t parameter_count)
{
	size_t base_bytes = strlen(base_url);
	while (base_bytes && base_url[base_bytes - 1] == '/')
		base_bytes--;
	buf_append(url, base_url, base_bytes);
	buf_append_str(url, path);
	char separator = '?';
	for (size_t i = 0; i < parameter_count; i++) {
		if (!parameters[i].value)
			continue;
		char *escaped = curl_easy_escape(curl, parameters[i].value, 0);
		buf_printf(url, "%c%s=%s", separator, parameters[i].name, escaped ? escaped : "");
		curl_free(escaped);
		separator = '&';
	}
}

/* {"error":{"message":...}} */
static int server_said(const struct buf *body, long status, const char *url, struct err *err)
{
	json_t *root = json_loadb(body->data ? body->data : "", body->len_bytes, 0, NULL);
	const char *message =
		json_string_value(json_object_get(json_object_get(root, "error"), "message"));
	int rc = message ? err_set(err, -EIO, "%s", message)
			 : err_set(err, -EIO, "%s answered with status %ld", url, status);
	json_decref(root);
	return rc;
}

static int curl_failed(CURLcode code, const char *detail, const char *base_url, struct err *err)
{
	int rc = code == CURLE_OPERATION_TIMEDOUT ? -ETIMEDOUT
		 : code == CURLE_WRITE_ERROR      ? -ENOSPC
						  : -ECONNREFUSED;
	return err_set(err, rc, "ask %s: %s", base_url,
		       *detail ? detail : curl_easy_strerror(code));
}

static void cleanup_curl(CURL **curl)
{
	curl_easy_cleanup(*curl);
}

struct question {
	const char *base_url;
	const char *path;
	const struct http_parameter *parameters;
	size_t parameter_count;
	long timeout_s;
};

static int ask(struct buf *out, const struct question *question, struct err *err)
{
	__attribute__((cleanup(cleanup_curl))) CURL *curl = curl_easy_init();
	if (!curl)
		return err_set(err, -ENOMEM, "HTTP: %m");
	AUTO_FINI(buf_fini) struct buf url;
	buf_init(&url, 64 << 10);
	build_url(&url, curl, question->base_url, question->path, question->parameters,
		  question->parameter_count);
	AUTO_MEM char *text = buf_take_str(&url);
	if (!text)
		return err_set(err, -ENOMEM, "HTTP: %m");
	char detail[CURL_ERROR_SIZE] = "";
	curl_easy_setopt(curl, CURLOPT_URL, text);
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(curl, CURLOPT_ACCEPT_ENCODING, "");
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, 5L);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT, question->timeout_s);
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, detail);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, keep);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, out);
	CURLcode code = curl_easy_perform(curl);
	if (code != CURLE_OK)
		return curl_failed(code, detail, question->base_url, err);
	long status = 0;
	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	return status == 200 ? 0 : server_said(out, status, text, err);
}

int http_get(struct buf *out, const char *base_url, const char *path,
	     const struct http_parameter *parameters, size_t parameter_count, struct err *err)
{
	struct question question = {base_url, path, parameters, parameter_count, 120};
	return ask(out, &question, err);
}

int http_get_soon(struct buf *out, const char *base_url, const char *path, struct err *err)
{
	struct question question = {base_url, path, NULL, 0, 5};
	return ask(out, &question, err);
}
