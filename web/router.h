/*
 * router: from a request to the answer, whatever the request is.
 *
 * Unknown paths, wrong methods, failing handlers and strangers' Host headers end here as
 * error answers. A web page may not read this machine's profiles by pointing its own name at
 * 127.0.0.1 (DNS rebinding), so a server on loopback answers only to loopback's names. Nor may
 * it send anything: what is more than a question is refused when it comes from a foreign page.
 * Any number of threads.
 */
#pragma once
#include "web/handlers.h"

/* What a client may send behind its headers. */
enum router_body {
	ROUTER_BODY_SMALL,   /* little, and nobody reads it */
	ROUTER_BODY_FILE,    /* a file: request->upload of router_answer() */
	ROUTER_BODY_REFUSED, /* nothing: whatever came, this response would be the answer */
};

/* Asked when the headers are there, as router_answer() is asked when the body is, too. */
enum router_body router_admit(const struct web_context *context, struct request *request,
			      const char *target, struct response *response);

/* Fill the (fresh) response. `target` is the request target as sent; method, headers and
 * now_unix_ns of the request are set by the caller, the rest here. */
void router_answer(const struct web_context *context, struct request *request, const char *target,
		   struct response *response);
