/*
 * handlers: one function per route. Each maps a checked request to a response over the store
 * and the sampler's numbers, and never sees the socket.
 *
 * A handler returns 0, or -errno with a sentence, which the router turns into an error
 * answer. Any number of threads may run them at once.
 */
#pragma once
#include <semaphore.h>
#include <stdbool.h>
#include <stdint.h>

#include "profile/ledger.h"
#include "profile/stack_quality.h"
#include "profile/symbols_status.h"
#include "storage/store.h"
#include "web/assets.h"
#include "web/request.h"
#include "web/response.h"
#include "web/tracer.h"

/* What the server shows. Constant while it runs; all borrowed. */
struct web_context {
	struct store *store;
	const char *version;
	int64_t start_unix_ns;
	struct asset_table assets;
	/* False: no numbers. NULL: nothing samples. */
	bool (*sampler_stats)(void *ctx, struct sampler_stats *stats);
	void (*stack_quality)(void *ctx, struct stack_quality *quality);  /* likewise */
	void (*symbols_status)(void *ctx, struct symbols_status *status); /* likewise */
	int (*upload_symbols)(void *ctx, const char *build_id, int fd, struct err *err);
	void (*flush_waits)(void *ctx);  /* server.h; NULL: nothing to be stored */
	const struct tracer_ops *tracer; /* NULL: nothing traces */
	void *sampler_ctx;
	bool loopback;  /* answer only to names of this machine (router.h) */
	sem_t *queries; /* how many more queries of stored samples may run; NULL: any number */
};

/* The sampler's numbers; false when nothing samples. */
bool web_sampler_stats(const struct web_context *context, struct sampler_stats *stats);

typedef int (*handler_fn)(const struct web_context *context, const struct request *request,
			  struct response *response, struct err *err);

int api_flame(const struct web_context *context, const struct request *request,
	      struct response *response, struct err *err);
int api_top(const struct web_context *context, const struct request *request,
	    struct response *response, struct err *err);
int api_series(const struct web_context *context, const struct request *request,
	       struct response *response, struct err *err);
int api_labels(const struct web_context *context, const struct request *request,
	       struct response *response, struct err *err);
int api_label_values(const struct web_context *context, const struct request *request,
		     struct response *response, struct err *err);
int api_status(const struct web_context *context, const struct request *request,
	       struct response *response, struct err *err);
/* PUT of a file with names, for the executable whose build ID follows in the path. */
#define API_SYMBOLS_PATH "/api/v1/symbols/"
int api_symbols(const struct web_context *context, const struct request *request,
		struct response *response, struct err *err);
/* Would it take that file? Asked before the file comes. False: the response says why not. */
bool api_symbols_admit(const struct web_context *context, const struct request *request,
		       struct response *response);
/* Answer with what went wrong on the way. */
void api_symbols_refuse(struct response *response, const struct err *err);
/* Traces: started, listed and, by their number, asked about and stopped. */
#define API_TRACES_PATH "/api/v1/trace"
#define API_TRACE_PATH  "/api/v1/trace/"
int api_trace(const struct web_context *context, const struct request *request,
	      struct response *response, struct err *err);
int api_export(const struct web_context *context, const struct request *request,
	       struct response *response, struct err *err);

/* What `go tool pprof http://host:4040` asks for.
 * https://github.com/google/pprof/blob/main/internal/driver/fetch.go */
int pprof_index(const struct web_context *context, const struct request *request,
		struct response *response, struct err *err);
int pprof_profile(const struct web_context *context, const struct request *request,
		  struct response *response, struct err *err);
int pprof_offcpu(const struct web_context *context, const struct request *request,
		 struct response *response, struct err *err);
int pprof_cmdline(const struct web_context *context, const struct request *request,
		  struct response *response, struct err *err);
int pprof_symbol(const struct web_context *context, const struct request *request,
		 struct response *response, struct err *err);

/* Prometheus text format 0.0.4.
 * https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format */
int metrics(const struct web_context *context, const struct request *request,
	    struct response *response, struct err *err);
int health_alive(const struct web_context *context, const struct request *request,
		 struct response *response, struct err *err);
int health_ready(const struct web_context *context, const struct request *request,
		 struct response *response, struct err *err);

/* The page and its files; -ENOENT for a path that is none. */
int page(const struct web_context *context, const struct request *request,
	 struct response *response, struct err *err);
