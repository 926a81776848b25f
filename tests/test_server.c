/* The server over real sockets: what a client sends, byte by byte, and what comes back. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "base/array.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/gzip.h"
#include "tests/gate.h"
#include "tests/http_client.h"
#include "tests/temp_store.h"
#include "web/assets.h"
#include "web/server.h"

/* A page for the test, in the place of the one that is built. `printf page | gzip -9n`. */
static const uint8_t page_gzip[] = {0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00,
				    0x02, 0x03, 0x2b, 0x48, 0x4c, 0x4f, 0x05, 0x00,
				    0x20, 0xb6, 0x0a, 0x14, 0x04, 0x00, 0x00, 0x00};
static const struct asset page_asset = {"/index.html", "text/html; charset=utf-8", "abcd",
					page_gzip, page_gzip + sizeof(page_gzip)};
const struct asset_table embedded_assets = {&page_asset, 1};

struct fixture {
	struct temp_store temp;
	struct server *server;
	int port;
	/* The sampler's numbers come when the gate is open: a handler that takes its time. */
	struct gate gate;
};

static bool gated_stats(void *ctx, struct sampler_stats *stats)
{
	struct fixture *f = ctx;
	gate_pass(&f->gate);
	stats->rate_hz = 99;
	return true;
}

static struct server_options options_of(struct fixture *f, const char *listen)
{
	return (struct server_options){
		.listen = listen,
		.version = "1.2.3-test",
		.store = f->temp.store,
		.sampler_stats = gated_stats,
		.ctx = f,
	};
}

static int open_server(struct fixture *f, int port)
{
	char listen[32];
	snprintf(listen, sizeof(listen), "127.0.0.1:%d", port);
	struct err err = {0};
	struct server_options options = options_of(f, listen);
	int rc = server_open(&f->server, &options, &err);
	if (rc && (!port || rc != -EADDRINUSE))
		fail_msg("%s", err.text);
	if (!rc)
		f->port = (int)strtol(strrchr(server_url(f->server), ':') + 1, NULL, 10);
	return rc;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	temp_store_init(&f->temp);
	gate_init(&f->gate);
	open_server(f, 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	server_free(f->server);
	temp_store_fini(&f->temp);
	gate_fini(&f->gate);
	free(f);
	return 0;
}

static void check_alive(const struct fixture *f)
{
	AUTO_MEM char *answer = http_ask(f->port, "GET", "/healthz", "");
	assert_int_equal(http_status(answer), 200);
	assert_string_equal(http_body(answer), "ok\n");
}

struct answer_row {
	const char *method;
	const char *target;
	const char *headers;
	int status;
	const char *header; /* a line that is there */
	const char *body;   /* a part of it */
};

static const struct answer_row answer_rows[] = {
	{"GET", "/healthz", "", 200, "Content-Type: text/plain; charset=utf-8", "ok"},
	{"GET", "/readyz", "", 200, NULL, "ready"},
	{"GET", "/", "", 200, "Content-Type: text/html; charset=utf-8", "page"},
	{"GET", "/api/v1/status", "", 200, "Content-Type: application/json", "\"1.2.3-test\""},
	{"GET", "/api/v1/status", "", 200, "Cache-Control: no-store", "\"sampling\":true"},
	{"GET", "/metrics", "", 200, "Content-Type: text/plain; version=0.0.4; charset=utf-8",
	 "hearth_build_info{version=\"1.2.3-test\"} 1\n"},
	{"GET", "/api/v1/flame", "", 200, "Content-Type: application/json", "{"},
	{"GET", "/api/v1/flame?format=table", "", 200, "Content-Type: application/octet-stream",
	 ""},
	{"GET", "/debug/pprof/", "", 200, "Content-Type: text/plain; charset=utf-8", "offcpu"},
	{"POST", "/debug/pprof/symbol", "Content-Length: 5\r\n", 200, NULL, "num_symbols: "},

	{"GET", "/nothing", "", 404, "Content-Type: application/json", "\"not_found\""},
	{"GET", "/api/v1/nothing", "", 404, "Content-Type: application/json", "\"not_found\""},
	{"GET", "/api/v1/", "", 404, NULL, "\"message\""},
	{"GET", "/index.htm", "", 404, NULL, "\"not_found\""},
	{"GET", "/../../etc/passwd", "", 404, NULL, "\"not_found\""},
	{"GET", "/debug/pprof/heap", "", 404, "X-Go-Pprof: 1", "/debug/pprof/heap"},
	{"POST", "/api/v1/flame", "Content-Length: 0\r\n", 405, "Allow: GET, HEAD",
	 "\"method_not_allowed\""},
	{"DELETE", "/", "", 405, "Allow: GET, HEAD", "\"method_not_allowed\""},
	{"PUT", "/debug/pprof/symbol", "Content-Length: 0\r\n", 405, "Allow: GET, HEAD, POST", ""},
	{"BREW", "/healthz", "", 405, "Allow: GET, HEAD", ""},
	{"GET", "/api/v1/flame?type=memory", "", 400, "Content-Type: application/json",
	 "cpu, offcpu or wall"},
	{"GET", "/api/v1/flame?query={", "", 400, NULL, "\"bad_request\""},
	{"GET", "/api/v1/flame?query=%zz", "", 400, NULL, "%zz"},
	{"GET", "/api/v1/flame?limit=0", "", 400, NULL, "limit"},
	{"GET", "/api/v1/flame?by=pid", "", 400, NULL, "comm"},
	{"GET", "/api/v1/label-values", "", 400, NULL, "label"},
	{"GET", "/api/v1/export?format=xml", "", 400, NULL, "pprof, folded"},
	{"GET", "/api/v1/series?step=0", "", 400, NULL, "step"},
	{"GET", "/debug/pprof/profile?seconds=soon", "", 400, "X-Go-Pprof: 1", "seconds"},
	{"GET", "/debug/pprof/profile?seconds=5&from=now-1h", "", 400,
	 "Content-Type: text/plain; charset=utf-8", "not both"},
	{"POST", "/debug/pprof/symbol", "Content-Length: 65537\r\n", 413,
	 "Content-Type: application/json", "\"too_large\""},
	{"POST", "/api/v1/flame", "Content-Length: 999999999999\r\n", 413, NULL, "\"too_large\""},
	{"GET", "/healthz", "Content-Length: 999999999999\r\n", 413, NULL, "\"too_large\""},
};

static void test_answers(void **state)
{
	struct fixture *f = *state;
	for (size_t i = 0; i < ARRAY_LEN(answer_rows); i++) {
		const struct answer_row *row = &answer_rows[i];
		char headers[256];
		bool posts_five = strstr(row->headers, "Length: 5\r\n") != NULL;
		snprintf(headers, sizeof(headers), "%s%s", row->headers,
			 posts_five ? "\r\n0x1+0" : "");
		AUTO_MEM char *answer = http_ask(f->port, row->method, row->target, headers);
		if (http_status(answer) != row->status ||
		    (row->header && !http_has_header(answer, row->header)) ||
		    (row->body && !strstr(http_body(answer), row->body)))
			fail_msg("%s %s: %s", row->method, row->target, answer);
	}
}

static void test_page(void **state)
{
	struct fixture *f = *state;
	AUTO_MEM char *plain = http_ask(f->port, "GET", "/", "");
	assert_string_equal(http_body(plain), "page");
	assert_true(http_has_header(plain, "ETag: \"abcd\""));
	assert_true(http_has_header(plain, "Cache-Control: no-cache"));

	AUTO_MEM char *packed = http_ask(f->port, "GET", "/", "Accept-Encoding: gzip\r\n");
	assert_true(http_has_header(packed, "ETag: \"abcd-gzip\""));
	assert_true(http_has_header(packed, "Content-Encoding: gzip"));
	assert_true(http_has_header(packed, "Content-Length: 24"));

	AUTO_MEM char *had = http_ask(f->port, "GET", "/", "If-None-Match: \"abcd\"\r\n");
	assert_int_equal(http_status(had), 304);
	assert_string_equal(http_body(had), "");
	assert_true(http_has_header(had, "ETag: \"abcd\""));
	assert_true(http_has_header(had, "Content-Length: 4"));
}

static void test_every_answer_is_guarded(void **state)
{
	struct fixture *f = *state;
	static const char *const targets[] = {"/", "/healthz", "/api/v1/status", "/nothing",
					      "/api/v1/flame?type=x"};
	static const char *const lines[] = {
		"Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; "
		"img-src 'self' data:; connect-src 'self'; font-src 'self'; base-uri 'none'; "
		"form-action 'none'; frame-ancestors 'none'",
		"X-Content-Type-Options: nosniff",
		"Referrer-Policy: no-referrer",
		"Cross-Origin-Resource-Policy: same-origin",
	};
	for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
		AUTO_MEM char *answer = http_ask(f->port, "GET", targets[i], "");
		for (size_t j = 0; j < ARRAY_LEN(lines); j++)
			if (!http_has_header(answer, lines[j]))
				fail_msg("%s: no \"%s\" in %s", targets[i], lines[j], answer);
		assert_null(strcasestr(answer, "Access-Control-Allow-Origin"));
	}
}

static void test_head_is_get_without_body(void **state)
{
	struct fixture *f = *state;
	static const char *const targets[] = {"/", "/healthz", "/nothing", "/api/v1/flame"};
	for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
		AUTO_MEM char *get = http_ask(f->port, "GET", targets[i], "");
		AUTO_MEM char *head = http_ask(f->port, "HEAD", targets[i], "");
		assert_int_equal(http_status(head), http_status(get));
		assert_string_equal(http_body(head), "");
		char line[64];
		snprintf(line, sizeof(line), "Content-Length: %zu", strlen(http_body(get)));
		assert_true(http_has_header(get, line));
		assert_true(http_has_header(head, line));
	}
}

struct host_row {
	const char *host;
	int status;
};

static const struct host_row host_rows[] = {
	{"localhost", 200},
	{"LOCALHOST:4040", 200},
	{"127.0.0.1", 200},
	{"127.0.0.1:80", 200},
	{"[::1]", 200},
	{"[::1]:4040", 200},
	{"hearth.localhost:4040", 200},
	{"evil.example", 403},
	{"evil.example:4040", 403},
	{"localhost.evil.example", 403},
	{"evil-localhost", 403},
	{"127.0.0.1.evil.example", 403},
	{"127.0.0.10", 403},
	{"[::1", 403},
	{"[::1]evil.example", 403},
	{"[::2]", 403},
	{"::1", 403},
	{".localhost", 403},
	{"", 403},
	{":4040", 403},
};

static void test_foreign_names_are_refused(void **state)
{
	struct fixture *f = *state;
	for (size_t i = 0; i < ARRAY_LEN(host_rows); i++) {
		char request[256];
		snprintf(request, sizeof(request),
			 "GET /healthz HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n",
			 host_rows[i].host);
		AUTO_MEM char *answer = http_ask_raw(f->port, request);
		if (http_status(answer) != host_rows[i].status)
			fail_msg("Host \"%s\": %s", host_rows[i].host, answer);
	}
	AUTO_MEM char *absolute = http_ask(f->port, "GET", "http://evil.example/healthz", "");
	assert_int_equal(http_status(absolute), 403);
	assert_non_null(strstr(http_body(absolute), "evil.example"));
}

static void test_gzip_on_request(void **state)
{
	struct fixture *f = *state;
	AUTO_MEM char *plain = http_ask(f->port, "GET", "/metrics", "");
	assert_true(http_has_header(plain, "Vary: Accept-Encoding"));
	assert_null(strcasestr(plain, "Content-Encoding"));

	AUTO_FD fd = http_dial(f->port);
	http_send_text(fd, "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
			   "Accept-Encoding: gzip, br\r\n\r\n");
	size_t len_bytes = 0;
	AUTO_MEM char *packed = http_read_all(fd, &len_bytes);
	assert_true(http_has_header(packed, "Content-Encoding: gzip"));
	const char *body = http_body(packed);
	size_t body_bytes = len_bytes - (size_t)(body - packed);
	assert_true(body_bytes < strlen(http_body(plain)) / 2);
	struct buf out __attribute__((cleanup(buf_fini)));
	buf_init(&out, HTTP_ANSWER_MAX_BYTES);
	assert_int_equal(gzip_decompress(&out, body, body_bytes, NULL), 0);
	assert_memory_equal(out.data, "# HELP ", 7);

	AUTO_MEM char *small = http_ask(f->port, "GET", "/healthz", "Accept-Encoding: gzip\r\n");
	assert_string_equal(http_body(small), "ok\n");
}

static void test_pipelined_requests(void **state)
{
	struct fixture *f = *state;
	AUTO_MEM char *answers =
		http_ask_raw(f->port, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
				      "GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n"
				      "POST /debug/pprof/symbol HTTP/1.1\r\nHost: localhost\r\n"
				      "Content-Length: 3\r\n\r\nabc"
				      "GET /readyz HTTP/1.1\r\nHost: localhost\r\n"
				      "Connection: close\r\n\r\n");
	static const char *const order[] = {"HTTP/1.1 200", "HTTP/1.1 404", "HTTP/1.1 200",
					    "num_symbols",  "HTTP/1.1 200", "ready\n"};
	const char *pos = answers;
	for (size_t i = 0; i < ARRAY_LEN(order); i++) {
		pos = strstr(pos, order[i]);
		if (!pos)
			fail_msg("no %s (%zu) in %s", order[i], i, answers);
		pos += strlen(order[i]);
	}
}

/* None of these may do more than end its own connection. */
static void test_garbage(void **state)
{
	struct fixture *f = *state;
	static const char *const rows[] = {
		"",
		"\r\n\r\n\r\n",
		"GET\r\n\r\n",
		"GET /healthz\r\n\r\n",
		"GET /healthz HTTP/9.9\r\n\r\n",
		"GET  HTTP/1.1\r\n\r\n",
		"GET /healthz HTTP/1.1\r\n\r\n", /* 1.1 without Host */
		"\x16\x03\x01\x02\x01\x01\xfc\x03\x03 a TLS hello\r\n\r\n",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"GET /healthz HTTP/1.1\r\nHost: localhost\r\nno colon\r\n\r\n",
		"POST /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
		"POST /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: "
		"99999999999999999999999\r\n\r\n",
		"POST /healthz HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
		"zz\r\n",
		"POST /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nshort",
		"GET /%00 HTTP/1.0\r\n\r\n",
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO_FD fd = http_dial(f->port);
		http_send_text(fd, rows[i]);
		shutdown(fd, SHUT_WR);
		AUTO_MEM char *answer = http_read_all(fd, NULL);
		if (answer && http_status(answer) == 200)
			fail_msg("\"%s\": %s", rows[i], answer);
		check_alive(f);
	}
}

static void test_long_targets(void **state)
{
	struct fixture *f = *state;
	static const int lengths[] = {8193, 20000, 200000};
	for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
		AUTO_FD fd = http_dial(f->port);
		AUTO_MEM char *target = calloc(1, (size_t)lengths[i] + 1);
		memset(target, 'a', (size_t)lengths[i]);
		target[0] = '/';
		http_send_text(fd, "GET ");
		http_send_text(fd, target);
		http_send_text(fd, " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
		AUTO_MEM char *answer = http_read_all(fd, NULL);
		if (http_status(answer) != 414)
			fail_msg("%d bytes: %.200s", lengths[i], answer);
		check_alive(f);
	}
}

static void test_chunked_body_is_bounded(void **state)
{
	struct fixture *f = *state;
	AUTO_FD fd = http_dial(f->port);
	http_send_text(fd, "POST /debug/pprof/symbol HTTP/1.1\r\nHost: localhost\r\n"
			   "Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n");
	char chunk[0x1000 + 16];
	int len = snprintf(chunk, sizeof(chunk), "1000\r\n%04096d\r\n", 0);
	for (int i = 0; i < 17; i++)
		http_send(fd, chunk, (size_t)len);
	http_send_text(fd, "0\r\n\r\n");
	AUTO_MEM char *answer = http_read_all(fd, NULL);
	assert_int_equal(http_status(answer), 413);

	/* Endless: the server hangs up, at 1 MiB. */
	AUTO_FD endless = http_dial(f->port);
	http_send_text(endless, "POST /debug/pprof/symbol HTTP/1.1\r\nHost: localhost\r\n"
				"Transfer-Encoding: chunked\r\n\r\n");
	int sent_chunks = 0;
	while (sent_chunks < 100000 &&
	       send(endless, chunk, (size_t)len, MSG_NOSIGNAL) == (ssize_t)len)
		sent_chunks++;
	assert_true(sent_chunks < 100000);
	check_alive(f);
}

static void test_slow_clients_block_nobody(void **state)
{
	struct fixture *f = *state;
	int fds[32];
	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		fds[i] = http_dial(f->port);
		http_send_text(fds[i], "GET /healthz HTTP/1.1\r\nHo");
	}
	check_alive(f);
	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		http_send_text(fds[i], "st: localhost\r\nConnection: close\r\n\r\n");
		AUTO_MEM char *answer = http_read_all(fds[i], NULL);
		assert_int_equal(http_status(answer), 200);
		close(fds[i]);
	}
}

static void test_slow_handlers_block_nobody(void **state)
{
	struct fixture *f = *state;
	gate_set(&f->gate, true);
	int fds[16];
	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		fds[i] = http_dial(f->port);
		http_send_text(fds[i], "GET /api/v1/status HTTP/1.1\r\nHost: localhost\r\n"
				       "Connection: close\r\n\r\n");
	}
	gate_wait_for(&f->gate, (int)ARRAY_LEN(fds));
	check_alive(f);
	gate_set(&f->gate, false);
	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		AUTO_MEM char *answer = http_read_all(fds[i], NULL);
		assert_int_equal(http_status(answer), 200);
		close(fds[i]);
	}
}

/* More queries than are worked on at once: each gets its turn. */
static void test_many_queries(void **state)
{
	struct fixture *f = *state;
	static const char *const targets[] = {"flame", "top", "series", "export?format=folded"};
	int fds[24];
	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		char request[256];
		snprintf(request, sizeof(request),
			 "GET /api/v1/%s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
			 targets[i % ARRAY_LEN(targets)]);
		fds[i] = http_dial(f->port);
		http_send_text(fds[i], request);
	}
	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		AUTO_MEM char *answer = http_read_all(fds[i], NULL);
		assert_int_equal(http_status(answer), 200);
		close(fds[i]);
	}
}

/* Beyond loopback its names are whatever DNS says, so any will do. */
static void test_public_server_has_any_name(void **state)
{
	struct fixture *f = *state;
	struct server_options options = options_of(f, "0.0.0.0:0");
	struct server *open = NULL;
	assert_int_equal(server_open(&open, &options, NULL), -EINVAL);
	assert_null(open);
	options.insecure = true;
	server_free(TAKE(f->server));
	assert_int_equal(server_open(&f->server, &options, NULL), 0);
	f->port = (int)strtol(strrchr(server_url(f->server), ':') + 1, NULL, 10);
	AUTO_MEM char *answer =
		http_ask_raw(f->port, "GET /healthz HTTP/1.1\r\nHost: profiler.example\r\n"
				      "Connection: close\r\n\r\n");
	assert_int_equal(http_status(answer), 200);
}

static void *free_server(void *server)
{
	server_free(server);
	return NULL;
}

/* Freed with one answer under way, one idle connection and one half-sent request: the answer
 * arrives whole, and nobody is waited for in vain. */
static void test_free_finishes_what_is_under_way(void **state)
{
	struct fixture *f = *state;
	gate_set(&f->gate, true);
	AUTO_FD busy = http_dial(f->port);
	AUTO_FD idle = http_dial(f->port);
	AUTO_FD half = http_dial(f->port);
	http_send_text(half, "GET /heal");
	http_send_text(busy, "GET /api/v1/status HTTP/1.1\r\nHost: localhost\r\n\r\n");
	gate_wait_for(&f->gate, 1);
	int64_t start_mono_ns = clock_mono_ns();
	pthread_t thread;
	assert_int_equal(pthread_create(&thread, NULL, free_server, f->server), 0);
	f->server = NULL;
	gate_set(&f->gate, false);
	AUTO_MEM char *answer = http_read_all(busy, NULL);
	pthread_join(thread, NULL);
	/* In vain it would be for GRACE_S of web/server.c at least. */
	assert_true(clock_mono_ns() - start_mono_ns < 10 * NS_PER_S);
	assert_int_equal(http_status(answer), 200);
	char line[64];
	snprintf(line, sizeof(line), "Content-Length: %zu", strlen(http_body(answer)));
	assert_true(http_has_header(answer, line));

	AUTO_FD late = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons((uint16_t)f->port)};
	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(connect(late, (struct sockaddr *)&addr, sizeof(addr)), -1);
}

static void test_port_taken(void **state)
{
	struct fixture *f = *state;
	char listen[32];
	snprintf(listen, sizeof(listen), "127.0.0.1:%d", f->port);
	struct server_options options = options_of(f, listen);
	struct server *second = NULL;
	struct err err = {0};
	assert_int_equal(server_open(&second, &options, &err), -EADDRINUSE);
	assert_null(second);
	assert_non_null(strstr(err.text, strrchr(listen, ':') + 1));
	assert_non_null(strstr(err.text, "--listen"));
	check_alive(f);
}

/* Unless another program of this machine was given it meanwhile. */
static void test_port_is_free_again(void **state)
{
	struct fixture *f = *state;
	int rc = -1;
	for (int i = 0; rc && i < 5; i++) {
		if (!f->server)
			open_server(f, 0);
		check_alive(f); /* leaves a connection in TIME_WAIT */
		server_free(TAKE(f->server));
		rc = open_server(f, f->port);
	}
	assert_int_equal(rc, 0);
	check_alive(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_answers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_page, setup, teardown),
		cmocka_unit_test_setup_teardown(test_every_answer_is_guarded, setup, teardown),
		cmocka_unit_test_setup_teardown(test_head_is_get_without_body, setup, teardown),
		cmocka_unit_test_setup_teardown(test_foreign_names_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_gzip_on_request, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pipelined_requests, setup, teardown),
		cmocka_unit_test_setup_teardown(test_garbage, setup, teardown),
		cmocka_unit_test_setup_teardown(test_long_targets, setup, teardown),
		cmocka_unit_test_setup_teardown(test_chunked_body_is_bounded, setup, teardown),
		cmocka_unit_test_setup_teardown(test_slow_clients_block_nobody, setup, teardown),
		cmocka_unit_test_setup_teardown(test_slow_handlers_block_nobody, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many_queries, setup, teardown),
		cmocka_unit_test_setup_teardown(test_public_server_has_any_name, setup, teardown),
		cmocka_unit_test_setup_teardown(test_free_finishes_what_is_under_way, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_port_taken, setup, teardown),
		cmocka_unit_test_setup_teardown(test_port_is_free_again, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
