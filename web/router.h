/*
 * router: from a request to the answer, whatever the request is.
 *
 * Unknown paths, wrong methods, failing handlers and strangers' Host headers end here as
 * error answers. A web page may not read this machine's profiles by pointing its own name at
 * 127.0.0.1 (DNS rebinding), so a server on loopback answers only to loopback's names.
 * Any number of threads.
 */
#pragma once
#include "web/handlers.h"

/* Fill the (fresh) response. `target` is the request target as sent; method, headers and
 * now_unix_ns of the request are set by the caller, the rest here. */
void router_answer(const struct web_context *context, struct request *request, const char *target,
		   struct response *response);
