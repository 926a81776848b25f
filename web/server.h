/*
 * server: the page and the HTTP API over one store (docs/API.md).
 *
 * Runs its own threads from open to free. Handlers map a checked request to a response and
 * never see the socket.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/auto.h"
#include "base/err.h"
#include "profile/ledger.h"
#include "profile/stack_quality.h"
#include "profile/symbols_status.h"
#include "storage/store.h"
#include "web/tracer.h"

struct server; /* opaque */

struct server_options {
	const char *listen; /* "127.0.0.1:4040", "[::1]:4040"; port 0 picks a free one */
	const char *version;
	struct store *store; /* borrowed; outlives the server */
	/* The sampler's own numbers; NULL when nothing samples. Called from server threads. */
	bool (*sampler_stats)(void *ctx, struct sampler_stats *stats);
	void (*stack_quality)(void *ctx, struct stack_quality *quality);  /* likewise */
	void (*symbols_status)(void *ctx, struct symbols_status *status); /* likewise */
	/* Take names from a file that a client sent, as symbols_upload() does. fd reads from the
	 * file's start and is borrowed. May take its time: other requests go on. -EINVAL,
	 * -EBADMSG: it is not such a file, or another's; -ENOSPC; -ETIME: it goes on without us;
	 * -ENOTSUP. NULL: files are not taken. */
	int (*upload_symbols)(void *ctx, const char *build_id, int fd, struct err *err);
	/* Have what threads wait for by now stored, also where the wait goes on. May take a second.
	 * NULL: nothing samples. */
	void (*flush_waits)(void *ctx);
	const struct tracer_ops *tracer; /* NULL: nothing traces; borrowed */
	void *ctx;
	uint64_t max_upload_bytes; /* 0: 2 GiB */
	bool insecure;             /* listen beyond loopback without TLS */
};

/* -EINVAL: listen is no address, or beyond loopback without `insecure`; -EADDRINUSE: the text
 * says which port and how to choose another. */
int server_open(struct server **out, const struct server_options *options, struct err *err);
void server_free(struct server *server); /* waits for requests under way; NULL is fine */
AUTO_DEFINE(server)

/* Where it listens, e.g. "http://127.0.0.1:4040". Borrowed. */
const char *server_url(const struct server *server);
