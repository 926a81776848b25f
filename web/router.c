#include "web/router.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/array.h"
#include "base/log.h"

enum { PLAIN = 0, READS_SAMPLES = 1, TAKES_POST = 2 };

struct route {
	const char *path;
	handler_fn handler;
	unsigned int traits; /* READS_SAMPLES: slow and large, so only so many at once */
};

static const struct route routes[] = {
	{"/api/v1/flame", api_flame, READS_SAMPLES},
	{"/api/v1/top", api_top, READS_SAMPLES},
	{"/api/v1/series", api_series, READS_SAMPLES},
	{"/api/v1/labels", api_labels, PLAIN},
	{"/api/v1/label-values", api_label_values, PLAIN},
	{"/api/v1/status", api_status, PLAIN},
	{"/api/v1/export", api_export, READS_SAMPLES},
	{"/debug/pprof", pprof_index, PLAIN},
	{"/debug/pprof/", pprof_index, PLAIN},
	{"/debug/pprof/profile", pprof_profile, READS_SAMPLES},
	{"/debug/pprof/offcpu", pprof_offcpu, READS_SAMPLES},
	{"/debug/pprof/cmdline", pprof_cmdline, PLAIN},
	{"/debug/pprof/symbol", pprof_symbol, TAKES_POST},
	{"/metrics", metrics, PLAIN},
	{"/healthz", health_alive, PLAIN},
	{"/readyz", health_ready, PLAIN},
};

static const struct route *find_route(const char *path)
{
	static const struct route page_route = {"the page", page, PLAIN};
	for (size_t i = 0; i < ARRAY_LEN(routes); i++)
		if (!strcmp(routes[i].path, path))
			return &routes[i];
	return &page_route;
}

/* Is "name[:port]" a name of this machine's loopback? Whatever ends in ".localhost" is, RFC
 * 6761 section 6.3. Browsers always send Host; who does not is no browser. */
static bool is_loopback_host(const char *host)
{
	static const char *const names[] = {"localhost", "127.0.0.1", "[::1]"};
	static const char suffix[] = ".localhost";
	if (!host)
		return true;
	size_t len = *host == '[' ? strcspn(host, "]") : strcspn(host, ":");
	if (host[len] == ']')
		len++;
	if (host[len] && host[len] != ':')
		return false;
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (len == strlen(names[i]) && !strncasecmp(host, names[i], len))
			return true;
	return len > strlen(suffix) &&
	       !strncasecmp(host + len - strlen(suffix), suffix, strlen(suffix));
}

static bool is_allowed(const struct route *route, enum request_method method)
{
	return method == METHOD_GET || method == METHOD_HEAD ||
	       (method == METHOD_POST && route->traits & TAKES_POST);
}

static int run_handler(const struct route *route, const struct web_context *context,
		       const struct request *request, struct response *response, struct err *err)
{
	sem_t *gate = route->traits & READS_SAMPLES ? context->queries : NULL;
	while (gate && sem_wait(gate))
		continue; /* a signal */
	int rc = route->handler(context, request, response, err);
	if (!rc)
		rc = response_encode(response, request, err);
	if (gate)
		sem_post(gate);
	return rc;
}

static void fail(struct response *response, enum error_style style, const char *path,
		 const struct err *err)
{
	response_error(response, style, err);
	if (response->status >= 500)
		log_line(LOG_ERROR, "%s: %s", path, err->text);
}

static void refuse_host(struct response *response, enum error_style style, const char *host)
{
	char message[256];
	snprintf(message, sizeof(message),
		 "this server listens on loopback and answers to localhost, 127.0.0.1 and [::1], "
		 "not to \"%.80s\": a foreign name may be a web page's trick to read your data",
		 host);
	response_status(response, style, 403, message);
}

static void refuse_method(struct response *response, enum error_style style,
			  const struct route *route)
{
	const char *allowed = route->traits & TAKES_POST ? "GET, HEAD, POST" : "GET, HEAD";
	char message[64];
	snprintf(message, sizeof(message), "only %s here", allowed);
	response_status(response, style, 405, message);
	response_header(response, "Allow", "%s", allowed);
}

void router_answer(const struct web_context *context, struct request *request, const char *target,
		   struct response *response)
{
	struct err err = {0};
	if (request_parse(request, target, &err)) {
		response_error(response, ERROR_JSON, &err);
		return;
	}
	static const char pprof[] = "/debug/pprof";
	enum error_style style =
		strncmp(request->path, pprof, strlen(pprof)) != 0 ? ERROR_JSON : ERROR_PPROF;
	if (context->loopback && !is_loopback_host(request->host)) {
		refuse_host(response, style, request->host);
		return;
	}
	const struct route *route = find_route(request->path);
	if (!is_allowed(route, request->method)) {
		refuse_method(response, style, route);
		return;
	}
	if (run_handler(route, context, request, response, &err))
		fail(response, style, route->path, &err);
}
