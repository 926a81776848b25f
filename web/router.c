#include "web/router.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/array.h"
#include "base/log.h"

enum {
	PLAIN = 0,
	READS_SAMPLES = 1, /* slow and large, so only so many at once */
	TAKES_POST = 2,
	TAKES_FILE = 4, /* by PUT, and nothing else; the path goes on with what it is for */
	TAKES_DELETE = 8,
	GOES_ON = 16, /* the path does, with what it is for */
};

struct route {
	const char *path;
	handler_fn handler;
	unsigned int traits;
};

static const struct route routes[] = {
	{"/api/v1/flame", api_flame, READS_SAMPLES},
	{"/api/v1/top", api_top, READS_SAMPLES},
	{"/api/v1/series", api_series, READS_SAMPLES},
	{"/api/v1/labels", api_labels, PLAIN},
	{"/api/v1/label-values", api_label_values, PLAIN},
	{"/api/v1/status", api_status, PLAIN},
	{"/api/v1/export", api_export, READS_SAMPLES},
	{API_SYMBOLS_PATH, api_symbols, TAKES_FILE},
	{API_TRACES_PATH, api_trace, TAKES_POST},
	{API_TRACE_PATH, api_trace, TAKES_DELETE | GOES_ON},
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
	for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
		const struct route *route = &routes[i];
		bool is_open = route->traits & (TAKES_FILE | GOES_ON);
		if (is_open ? !strncmp(route->path, path, strlen(route->path))
			    : !strcmp(route->path, path))
			return route;
	}
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

/* Does a page of another site send this? Browsers say so in at least one of the two headers;
 * who sends neither is no browser. A browser does ask first (OPTIONS) before a page may send a
 * PUT elsewhere, but that is its word, and this is ours.
 * https://fetch.spec.whatwg.org/#origin-header https://w3c.github.io/webappsec-fetch-metadata/ */
static bool is_foreign_page(const struct request *request)
{
	const char *site = request->sec_fetch_site;
	if (site && strcmp(site, "same-origin") != 0 && strcmp(site, "none") != 0)
		return true;
	if (!request->origin)
		return false;
	const char *authority = strstr(request->origin, "://");
	return !authority || !request->host || strcasecmp(authority + 3, request->host) != 0;
}

static bool is_question(enum request_method method)
{
	return method == METHOD_GET || method == METHOD_HEAD;
}

static bool is_allowed(const struct route *route, enum request_method method)
{
	if (route->traits & TAKES_FILE)
		return method == METHOD_PUT;
	return is_question(method) || (method == METHOD_POST && route->traits & TAKES_POST) ||
	       (method == METHOD_DELETE && route->traits & TAKES_DELETE);
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
	const char *allowed = route->traits & TAKES_FILE     ? "PUT"
			      : route->traits & TAKES_POST   ? "GET, HEAD, POST"
			      : route->traits & TAKES_DELETE ? "GET, HEAD, DELETE"
							     : "GET, HEAD";
	char message[64];
	snprintf(message, sizeof(message), "only %s here", allowed);
	response_status(response, style, 405, message);
	response_header(response, "Allow", "%s", allowed);
}

/* The route that answers, or NULL: the response is a refusal. */
static const struct route *admit(const struct web_context *context, struct request *request,
				 const char *target, struct response *response,
				 enum error_style *style)
{
	static const char pprof[] = "/debug/pprof";
	struct err err = {0};
	*style = ERROR_JSON;
	if (request_parse(request, target, &err)) {
		response_error(response, *style, &err);
		return NULL;
	}
	if (!strncmp(request->path, pprof, strlen(pprof)))
		*style = ERROR_PPROF;
	if (context->loopback && !is_loopback_host(request->host)) {
		refuse_host(response, *style, request->host);
		return NULL;
	}
	if (!is_question(request->method) && is_foreign_page(request)) {
		response_status(response, *style, 403,
				"a web page of another site may not send anything here");
		return NULL;
	}
	const struct route *route = find_route(request->path);
	if (is_allowed(route, request->method))
		return route;
	refuse_method(response, *style, route);
	return NULL;
}

enum router_body router_admit(const struct web_context *context, struct request *request,
			      const char *target, struct response *response)
{
	enum error_style style;
	/* Only for files: all other bodies are short, and their answer can wait for their end, so
	 * that the connection lives on. */
	if (request->method != METHOD_PUT)
		return ROUTER_BODY_SMALL;
	const struct route *route = admit(context, request, target, response, &style);
	bool is_admitted = route && api_symbols_admit(context, request, response);
	return is_admitted ? ROUTER_BODY_FILE : ROUTER_BODY_REFUSED;
}

void router_answer(const struct web_context *context, struct request *request, const char *target,
		   struct response *response)
{
	struct err err = {0};
	enum error_style style;
	const struct route *route = admit(context, request, target, response, &style);
	if (route && run_handler(route, context, request, response, &err))
		fail(response, style, route->path, &err);
}
