/*
 * listen: from "HOST:PORT" to a listening socket.
 */
#pragma once
#include <stdbool.h>

#include "base/err.h"

enum { LISTEN_URL_BYTES = 80 };

struct listener {
	int fd; /* owned by whoever asked */
	bool loopback;
	char url[LISTEN_URL_BYTES]; /* "http://127.0.0.1:4040", with the port really taken */
};

/* text: "127.0.0.1:4040", "[::1]:4040", "localhost:4040", ":4040" (every IPv4 address);
 * port 0 picks a free one. A name stands for its first IPv4 address, else its first.
 * -EINVAL: no such address, or beyond loopback without `insecure`; -EADDRINUSE: names the
 * port; else bind(2)'s. On failure *listener is untouched. */
int listener_open(struct listener *listener, const char *text, bool insecure, struct err *err);
