#include "web/server.h"

#include <errno.h>
#include <inttypes.h>
#include <microhttpd.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "base/array.h"
#include "base/clock.h"
#include "base/log.h"
#include "web/listen.h"
#include "web/router.h"
#include "web/upload.h"

enum {
	MAX_CONNECTIONS = 128,
	IDLE_TIMEOUT_S = 30,
	MAX_HEADER_BYTES = 32 << 10,
	MAX_REQUEST_BODY_BYTES = 64 << 10,
	MAX_DISCARDED_BYTES = 1 << 20,
	MAX_QUERIES = 4, /* at once; a query may hold tens of MB */
	MAX_UPLOADS = 4, /* likewise; each may fill a file of max_upload_bytes */
	MAX_UPLOAD_S = 3600,
	THREAD_STACK_BYTES = 1 << 20,
	GRACE_S = 10, /* that answers under way have at the end */
};

#define DEFAULT_MAX_UPLOAD_BYTES (UINT64_C(2) << 30)

struct server {
	struct MHD_Daemon *daemon;
	struct listener listener;
	struct web_context context;
	sem_t queries;
	sem_t uploads;
	uint64_t max_upload_bytes;
	pthread_mutex_t lock;
	pthread_cond_t idle;
	unsigned int answering; /* guarded by lock: answers not yet sent */
};

/* One request, from its first line until its answer is sent. */
struct exchange {
	struct server *server;
	struct request request;
	struct upload *upload; /* the body goes there; NULL: nowhere */
	int64_t upload_start_mono_ns;
	uint64_t body_bytes;
	bool started; /* the headers are there */
	bool answering;
	char target[]; /* as sent, cut just past the limit that request_parse() enforces */
};

static void begin_answer(struct exchange *exchange)
{
	struct server *server = exchange->server;
	exchange->answering = true;
	pthread_mutex_lock(&server->lock);
	server->answering++;
	pthread_mutex_unlock(&server->lock);
}

static void end_answer(struct exchange *exchange)
{
	struct server *server = exchange->server;
	if (!exchange->answering)
		return;
	pthread_mutex_lock(&server->lock);
	if (--server->answering == 0)
		pthread_cond_broadcast(&server->idle);
	pthread_mutex_unlock(&server->lock);
}

/* libmicrohttpd's name for "the request line is here". What it returns is the request's
 * state in the calls below. NULL (no memory) makes on_request() close the connection. */
static void *on_target(void *cls, const char *target, struct MHD_Connection *connection)
{
	(void)connection;
	size_t len_bytes = strnlen(target, REQUEST_MAX_TARGET_BYTES + 1);
	struct exchange *exchange = calloc(1, sizeof(*exchange) + len_bytes + 1);
	if (!exchange)
		return NULL;
	exchange->server = cls;
	memcpy(exchange->target, target, len_bytes);
	return exchange;
}

static void on_done(void *cls, struct MHD_Connection *connection, void **state,
		    enum MHD_RequestTerminationCode why)
{
	(void)cls, (void)connection, (void)why;
	struct exchange *exchange = *state;
	if (!exchange)
		return;
	end_answer(exchange);
	if (exchange->upload) {
		upload_free(exchange->upload);
		sem_post(&exchange->server->uploads);
	}
	free(exchange);
	*state = NULL;
}

static const char *header_of(struct MHD_Connection *connection, const char *name)
{
	return MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
}

struct fixed_header {
	const char *name;
	const char *value;
};

/* On every answer. Names in profiles come from strangers' binaries: should one ever be taken
 * for markup, there is nothing that the browser would run or load. */
static const struct fixed_header fixed_headers[] = {
	{"Content-Security-Policy",
	 "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
	 "connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; "
	 "frame-ancestors 'none'"},
	{"X-Content-Type-Options", "nosniff"},
	{"Referrer-Policy", "no-referrer"},
	{"Cross-Origin-Resource-Policy", "same-origin"},
};

static void add_headers(struct MHD_Response *out, const struct response *response)
{
	for (size_t i = 0; i < ARRAY_LEN(fixed_headers); i++)
		MHD_add_response_header(out, fixed_headers[i].name, fixed_headers[i].value);
	for (size_t i = 0; i < response->header_count; i++)
		MHD_add_response_header(out, response->headers[i].name, response->headers[i].value);
	MHD_add_response_header(out, MHD_HTTP_HEADER_CACHE_CONTROL, response->cache_control);
	if (response->content_type)
		MHD_add_response_header(out, MHD_HTTP_HEADER_CONTENT_TYPE, response->content_type);
}

static enum MHD_Result send_response(struct MHD_Connection *connection, struct response *response)
{
	size_t len_bytes = response->body.len_bytes;
	char *body = TAKE(response->body.data);
	struct MHD_Response *out =
		MHD_create_response_from_buffer(len_bytes, body, MHD_RESPMEM_MUST_FREE);
	if (!out) {
		free(body);
		return MHD_NO;
	}
	add_headers(out, response);
	enum MHD_Result queued = MHD_queue_response(connection, response->status, out);
	MHD_destroy_response(out); /* drops our reference, not the connection's */
	return queued;
}

static void read_headers(struct request *request, struct MHD_Connection *connection,
			 const char *method)
{
	request->method = request_method_of(method);
	request->host = header_of(connection, MHD_HTTP_HEADER_HOST);
	request->origin = header_of(connection, MHD_HTTP_HEADER_ORIGIN);
	request->sec_fetch_site = header_of(connection, "Sec-Fetch-Site");
	request->accept_encoding = header_of(connection, MHD_HTTP_HEADER_ACCEPT_ENCODING);
	request->if_none_match = header_of(connection, MHD_HTTP_HEADER_IF_NONE_MATCH);
	request->now_unix_ns = clock_unix_ns();
}

static enum MHD_Result answer(struct exchange *exchange, struct MHD_Connection *connection,
			      const char *method)
{
	struct request *request = &exchange->request;
	read_headers(request, connection, method);
	request->upload = exchange->upload;
	begin_answer(exchange);
	AUTO_RESPONSE response;
	response_init(&response);
	router_answer(&exchange->server->context, request, exchange->target, &response);
	return send_response(connection, &response);
}

/* Answer before the body has come, or without a look at it. */
static enum MHD_Result refuse(struct exchange *exchange, struct MHD_Connection *connection,
			      struct response *response)
{
	begin_answer(exchange);
	response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
	return send_response(connection, response);
}

static enum MHD_Result refuse_body(struct exchange *exchange, struct MHD_Connection *connection)
{
	AUTO_RESPONSE response;
	response_init(&response);
	response_status(&response, ERROR_JSON, 413, "the request's body is longer than 64 KiB");
	return refuse(exchange, connection, &response);
}

static uint64_t announced_bytes(struct MHD_Connection *connection)
{
	const char *text = header_of(connection, MHD_HTTP_HEADER_CONTENT_LENGTH);
	return text ? strtoull(text, NULL, 10) : 0;
}

/* False: the response says why not. */
static bool open_upload(struct exchange *exchange, uint64_t announced, struct response *response)
{
	struct server *server = exchange->server;
	struct err err = {0};
	struct store_stats stats;
	if (announced > server->max_upload_bytes) {
		err_set(&err, -E2BIG, "the file is over %" PRIu64 " MiB",
			server->max_upload_bytes >> 20);
		api_symbols_refuse(response, &err);
		return false;
	}
	if (sem_trywait(&server->uploads)) {
		err_set(&err, -EBUSY, "%d files are being received: try again later", MAX_UPLOADS);
		api_symbols_refuse(response, &err);
		return false;
	}
	int rc = store_stats(server->context.store, &stats, &err);
	if (!rc)
		rc = upload_open(&exchange->upload, stats.directory, server->max_upload_bytes,
				 &err);
	if (!rc) {
		exchange->upload_start_mono_ns = clock_mono_ns();
		return true;
	}
	sem_post(&server->uploads);
	api_symbols_refuse(response, &err);
	return false;
}

/* The headers are there. When nothing is answered here, the body may come; libmicrohttpd tells
 * that to clients that wait for it ("Expect: 100-continue", RFC 9110 section 10.1.1). */
static enum MHD_Result begin(struct exchange *exchange, struct MHD_Connection *connection,
			     const char *method)
{
	AUTO_RESPONSE response;
	response_init(&response);
	read_headers(&exchange->request, connection, method);
	uint64_t announced = announced_bytes(connection);
	enum router_body body = router_admit(&exchange->server->context, &exchange->request,
					     exchange->target, &response);
	if (body == ROUTER_BODY_SMALL)
		return announced > MAX_REQUEST_BODY_BYTES ? refuse_body(exchange, connection)
							  : MHD_YES;
	if (body == ROUTER_BODY_FILE && open_upload(exchange, announced, &response))
		return MHD_YES;
	return refuse(exchange, connection, &response);
}

/* Keep or count a piece of the body. A client that does not stop sending is cut off, as is one
 * that sends a file by the drop. */
static enum MHD_Result take_piece(struct exchange *exchange, const char *piece, size_t piece_bytes)
{
	uint64_t max_bytes = MAX_DISCARDED_BYTES;
	exchange->body_bytes += piece_bytes;
	if (exchange->upload) {
		upload_append(exchange->upload, piece, piece_bytes);
		max_bytes += exchange->server->max_upload_bytes;
		if (clock_mono_ns() - exchange->upload_start_mono_ns > MAX_UPLOAD_S * NS_PER_S)
			return MHD_NO;
	}
	return exchange->body_bytes > max_bytes ? MHD_NO : MHD_YES;
}

/* libmicrohttpd calls this once when the headers are there, then once for each piece of the
 * body, then once more (with no piece) for the answer. */
static enum MHD_Result on_request(void *cls, struct MHD_Connection *connection, const char *url,
				  const char *method, const char *version, const char *piece,
				  size_t *piece_bytes, void **state)
{
	(void)cls, (void)url, (void)version;
	struct exchange *exchange = *state;
	if (!exchange)
		return MHD_NO;
	if (!exchange->started) {
		exchange->started = true;
		return begin(exchange, connection, method);
	}
	if (*piece_bytes) {
		size_t taken_bytes = *piece_bytes;
		*piece_bytes = 0;
		return take_piece(exchange, piece, taken_bytes);
	}
	if (!exchange->upload && exchange->body_bytes > MAX_REQUEST_BODY_BYTES)
		return refuse_body(exchange, connection);
	return answer(exchange, connection, method);
}

/* A thread for each connection: with a pool, a slow query would hold up whatever other
 * connections its thread serves, and a browser keeps six open. Waiting threads cost little,
 * and MAX_QUERIES bounds the work that is done at once. */
static int start_daemon(struct server *server, struct err *err)
{
	server->daemon =
		MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION |
					 MHD_USE_POLL | MHD_USE_ITC,
				 0, NULL, NULL, on_request, NULL, MHD_OPTION_LISTEN_SOCKET,
				 (MHD_socket)server->listener.fd, MHD_OPTION_CONNECTION_LIMIT,
				 (unsigned int)MAX_CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT,
				 (unsigned int)IDLE_TIMEOUT_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
				 (size_t)MAX_HEADER_BYTES, MHD_OPTION_THREAD_STACK_SIZE,
				 (size_t)THREAD_STACK_BYTES, MHD_OPTION_STRICT_FOR_CLIENT, 1,
				 MHD_OPTION_URI_LOG_CALLBACK, on_target, server,
				 MHD_OPTION_NOTIFY_COMPLETED, on_done, server, MHD_OPTION_END);
	if (!server->daemon)
		return err_set(err, -EIO, "the HTTP server did not start on %s",
			       server->listener.url);
	return 0;
}

static int init_sync(struct server *server)
{
	int rc = -pthread_mutex_init(&server->lock, NULL);
	if (rc)
		return rc;
	pthread_condattr_t attr;
	rc = -pthread_condattr_init(&attr);
	if (!rc) {
		pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
		rc = -pthread_cond_init(&server->idle, &attr);
		pthread_condattr_destroy(&attr);
	}
	if (rc)
		return rc;
	return sem_init(&server->queries, 0, MAX_QUERIES) ||
			       sem_init(&server->uploads, 0, MAX_UPLOADS)
		       ? -errno
		       : 0;
}

int server_open(struct server **out, const struct server_options *options, struct err *err)
{
	AUTO(server) server = calloc(1, sizeof(*server));
	if (!server)
		return err_set(err, -ENOMEM, "HTTP server");
	server->listener.fd = -1;
	int rc = init_sync(server);
	if (rc)
		return err_set(err, rc, "HTTP server: %m");
	server->context = (struct web_context){
		.store = options->store,
		.version = options->version,
		.start_unix_ns = clock_unix_ns(),
		.assets = embedded_assets,
		.sampler_stats = options->sampler_stats,
		.stack_quality = options->stack_quality,
		.symbols_status = options->symbols_status,
		.upload_symbols = options->upload_symbols,
		.flush_waits = options->flush_waits,
		.tracer = options->tracer,
		.sampler_ctx = options->ctx,
		.queries = &server->queries,
	};
	server->max_upload_bytes =
		options->max_upload_bytes ? options->max_upload_bytes : DEFAULT_MAX_UPLOAD_BYTES;
	rc = listener_open(&server->listener, options->listen, options->insecure, err);
	if (rc)
		return rc;
	server->context.loopback = server->listener.loopback;
	rc = start_daemon(server, err);
	if (rc)
		return rc;
	*out = TAKE(server);
	return 0;
}

/* Wait until what is being answered is sent, but not longer than a client may take that
 * reads slowly on purpose. */
static void wait_idle(struct server *server)
{
	struct timespec deadline;
	clock_gettime(CLOCK_MONOTONIC, &deadline);
	deadline.tv_sec += GRACE_S;
	pthread_mutex_lock(&server->lock);
	int rc = 0;
	while (server->answering && rc != ETIMEDOUT)
		rc = pthread_cond_timedwait(&server->idle, &server->lock, &deadline);
	pthread_mutex_unlock(&server->lock);
}

void server_free(struct server *server)
{
	if (!server)
		return;
	if (server->daemon) {
		MHD_quiesce_daemon(server->daemon);
		wait_idle(server);
		MHD_stop_daemon(server->daemon); /* joins all threads */
	}
	if (server->listener.fd >= 0)
		close(server->listener.fd);
	sem_destroy(&server->uploads);
	sem_destroy(&server->queries);
	pthread_cond_destroy(&server->idle);
	pthread_mutex_destroy(&server->lock);
	free(server);
}

const char *server_url(const struct server *server)
{
	return server->listener.url;
}
