/* Files with names sent to the server over real sockets: what is taken, what is refused and
 * when, and that nothing of it is left. */
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/array.h"
#include "base/clock.h"
#include "tests/gate.h"
#include "tests/http_client.h"
#include "tests/temp_store.h"
#include "web/assets.h"
#include "web/server.h"

const struct asset_table embedded_assets = {NULL, 0};

enum { MAX_UPLOAD_BYTES = 1 << 20, SLOTS = 4 /* MAX_UPLOADS of web/server.c */ };

struct fixture {
	struct temp_store temp;
	struct server *server;
	int port;
	struct gate gate; /* its lock guards the rest */
	int calls;
	char build_id[64];   /* of the last call */
	size_t file_bytes;   /* likewise */
	uint64_t file_check; /* likewise: see check_add() */
};

/* FNV-1a, http://www.isthe.com/chongo/tech/comp/fnv/ */
#define CHECK_START UINT64_C(0xcbf29ce484222325)
static uint64_t check_add(uint64_t check, const char *data, size_t len_bytes)
{
	for (size_t i = 0; i < len_bytes; i++)
		check = (check ^ (uint8_t)data[i]) * UINT64_C(0x100000001b3);
	return check;
}

struct verdict {
	const char *build_id;
	int code;
	int status;
	const char *name;
};

/* What the taker says to each of these build IDs, and what the client is told. */
static const struct verdict verdicts[] = {
	{"00", 0, 200, "\"done\":true"},          {"01", -EINVAL, 400, "\"bad_request\""},
	{"02", -EBADMSG, 400, "\"bad_request\""}, {"03", -ENOSPC, 507, "\"no_space\""},
	{"04", -ETIME, 202, "\"done\":false"},    {"05", -ENOTSUP, 501, "\"not_implemented\""},
	{"06", -EIO, 500, "\"internal\""},        {"07", -ENOMEM, 503, "\"unavailable\""},
};

static int take_symbols(void *ctx, const char *build_id, int fd, struct err *err)
{
	struct fixture *f = ctx;
	char piece[4096];
	uint64_t check = CHECK_START;
	size_t total_bytes = 0;
	for (ssize_t got = 1; got > 0;) {
		got = read(fd, piece, sizeof(piece));
		if (got > 0) {
			check = check_add(check, piece, (size_t)got);
			total_bytes += (size_t)got;
		}
	}
	pthread_mutex_lock(&f->gate.lock);
	f->calls++;
	snprintf(f->build_id, sizeof(f->build_id), "%s", build_id);
	f->file_bytes = total_bytes;
	f->file_check = check;
	pthread_mutex_unlock(&f->gate.lock);
	gate_pass(&f->gate);
	for (size_t i = 0; i < ARRAY_LEN(verdicts); i++)
		if (!strcmp(verdicts[i].build_id, build_id) && verdicts[i].code)
			return err_set(err, verdicts[i].code, "verdict %s", build_id);
	return 0;
}

static void open_server(struct fixture *f, bool takes_files)
{
	struct err err = {0};
	struct server_options options = {
		.listen = "127.0.0.1:0",
		.version = "1.2.3-test",
		.store = f->temp.store,
		.upload_symbols = takes_files ? take_symbols : NULL,
		.ctx = f,
		.max_upload_bytes = MAX_UPLOAD_BYTES,
	};
	if (server_open(&f->server, &options, &err))
		fail_msg("%s", err.text);
	f->port = (int)strtol(strrchr(server_url(f->server), ':') + 1, NULL, 10);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	temp_store_init(&f->temp);
	gate_init(&f->gate);
	open_server(f, true);
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

static int calls_of(struct fixture *f)
{
	pthread_mutex_lock(&f->gate.lock);
	int calls = f->calls;
	pthread_mutex_unlock(&f->gate.lock);
	return calls;
}

static void check_alive(const struct fixture *f)
{
	AUTO_MEM char *answer = http_ask(f->port, "GET", "/healthz", "");
	assert_int_equal(http_status(answer), 200);
}

/* Files of the store's directory that are open without a name. */
static int unnamed_files(const struct fixture *f)
{
	DIR *fds = opendir("/proc/self/fd");
	assert_non_null(fds);
	int count = 0;
	for (struct dirent *entry = readdir(fds); entry; entry = readdir(fds)) {
		char link[64];
		char target[512] = "";
		snprintf(link, sizeof(link), "/proc/self/fd/%.20s", entry->d_name);
		ssize_t len = readlink(link, target, sizeof(target) - 1);
		count +=
			len > 0 && strstr(target, f->temp.directory) && strstr(target, "(deleted)");
	}
	closedir(fds);
	return count;
}

/* Names in the store's directory, of which uploads may add none. */
static int names_in_store(const struct fixture *f)
{
	DIR *directory = opendir(f->temp.directory);
	assert_non_null(directory);
	int count = 0;
	while (readdir(directory))
		count++;
	closedir(directory);
	return count;
}

/* The server's thread learns of the end of a connection in its own time. */
static void wait_for_files(const struct fixture *f, int count)
{
	int64_t deadline_mono_ns = clock_mono_ns() + HTTP_DEADLINE_MS * NS_PER_MS;
	while (unnamed_files(f) != count) {
		if (clock_mono_ns() > deadline_mono_ns)
			fail_msg("%d files are open, not %d", unnamed_files(f), count);
		usleep(1000);
	}
}

/* Send the head of a PUT with these extra header lines. */
static int begin_put(const struct fixture *f, const char *build_id, const char *headers)
{
	char head[1024];
	int fd = http_dial(f->port);
	snprintf(head, sizeof(head),
		 "PUT /api/v1/symbols/%s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
		 "%s\r\n",
		 build_id, headers);
	http_send_text(fd, head);
	return fd;
}

static void test_verdicts(void **state)
{
	struct fixture *f = *state;
	for (size_t i = 0; i < ARRAY_LEN(verdicts); i++) {
		const struct verdict *row = &verdicts[i];
		AUTO_FD fd = begin_put(f, row->build_id, "Content-Length: 4\r\n");
		http_send_text(fd, "\177ELF");
		AUTO_MEM char *answer = http_read_all(fd, NULL);
		if (http_status(answer) != row->status || !strstr(http_body(answer), row->name))
			fail_msg("%s: %s", row->build_id, answer);
		char sentence[32];
		snprintf(sentence, sizeof(sentence), "verdict %s", row->build_id);
		assert_int_equal(row->status >= 400, strstr(answer, sentence) != NULL);
		assert_int_equal(calls_of(f), i + 1);
		assert_string_equal(f->build_id, row->build_id);
	}
	wait_for_files(f, 0);
}

struct refused_row {
	const char *method;
	const char *path; /* behind /api/v1/symbols */
	const char *headers;
	int status;
	const char *header; /* a line that is there, or NULL */
	const char *body;   /* a part of it */
};

#define LENGTH "Content-Length: 4\r\n"

/* Whatever the file is. */
static const struct refused_row refused_rows[] = {
	{"PUT", "/", LENGTH, 400, NULL, "build ID"},
	{"PUT", "/a", LENGTH, 400, NULL, "\\\"a\\\" is no build ID"},
	{"PUT", "/AB", LENGTH, 400, NULL, "lower-case"},
	{"PUT", "/0x12", LENGTH, 400, NULL, "hex"},
	{"PUT", "/ab/", LENGTH, 400, NULL, "ab/"},
	{"PUT", "/ab/cd", LENGTH, 400, NULL, "ab/cd"},
	{"PUT", "/../../etc", LENGTH, 400, NULL, "bad_request"},
	{"PUT", "/%2e%2e%2fab", LENGTH, 400, NULL, "bad_request"},
	{"PUT", "/ab%00", LENGTH, 400, NULL, "%00"},
	{"PUT", "/0123456789012345678901234567890123456789ab", LENGTH, 400, NULL, "40"},
	{"PUT", "/ab", "Content-Length: 0\r\n", 400, NULL, "no body"},
	{"PUT", "/ab", "", 400, NULL, "no body"},
	{"PUT", "", LENGTH, 405, "Allow: GET, HEAD", "only GET"},
	{"GET", "/ab", "", 405, "Allow: PUT", "only PUT"},
	{"POST", "/ab", "Content-Length: 0\r\n", 405, "Allow: PUT", "only PUT"},
	{"DELETE", "/ab", "", 405, "Allow: PUT", "only PUT"},
	{"OPTIONS", "/ab", "", 405, "Allow: PUT", "only PUT"},
	{"PUT", "/ab", LENGTH "Origin: http://evil.example\r\n", 403, NULL, "another site"},
	{"PUT", "/ab", LENGTH "Origin: http://localhost:1\r\n", 403, NULL, "another site"},
	{"PUT", "/ab", LENGTH "Origin: http://localhost.evil.example\r\n", 403, NULL, "forbidden"},
	{"PUT", "/ab", LENGTH "Origin: null\r\n", 403, NULL, "forbidden"},
	{"PUT", "/ab", LENGTH "Origin: \r\n", 403, NULL, "forbidden"},
	{"PUT", "/ab", LENGTH "Origin: localhost\r\n", 403, NULL, "forbidden"},
	{"PUT", "/ab", LENGTH "Sec-Fetch-Site: cross-site\r\n", 403, NULL, "forbidden"},
	{"PUT", "/ab", LENGTH "Sec-Fetch-Site: same-site\r\n", 403, NULL, "forbidden"},
	{"PUT", "/ab",
	 LENGTH "Sec-Fetch-Site: cross-site\r\n"
		"Origin: http://localhost\r\n",
	 403, NULL, "forbidden"},
	{"PUT", "/ab", "Content-Length: 1048577\r\n", 413, "Connection: close", "1 MiB"},
	{"PUT", "/ab", "Content-Length: 99999999999999\r\n", 413, NULL, "too_large"},
};

static void test_refused(void **state)
{
	struct fixture *f = *state;
	for (size_t i = 0; i < ARRAY_LEN(refused_rows); i++) {
		const struct refused_row *row = &refused_rows[i];
		char path[128];
		char rest[256];
		snprintf(path, sizeof(path), "/api/v1/symbols%s", row->path);
		snprintf(rest, sizeof(rest), "%s%s", row->headers,
			 strstr(row->headers, "Length: 4\r") ? "\r\n\177ELF" : "");
		AUTO_MEM char *answer = http_ask(f->port, row->method, path, rest);
		if (http_status(answer) != row->status ||
		    (row->header && !http_has_header(answer, row->header)) ||
		    !strstr(http_body(answer), row->body))
			fail_msg("%s %s %s: %s", row->method, row->path, row->headers, answer);
	}
	assert_int_equal(calls_of(f), 0);
	wait_for_files(f, 0);
}

static void test_foreign_host_is_refused(void **state)
{
	struct fixture *f = *state;
	AUTO_MEM char *answer =
		http_ask_raw(f->port, "PUT /api/v1/symbols/ab HTTP/1.1\r\nHost: evil.example\r\n"
				      "Connection: close\r\nContent-Length: 4\r\n\r\n\177ELF");
	assert_int_equal(http_status(answer), 403);
	assert_int_equal(calls_of(f), 0);
}

/* The server's own page, whatever name of this machine it was opened by. */
static void test_own_page_may_send(void **state)
{
	struct fixture *f = *state;
	static const char *const headers[] = {
		LENGTH "Origin: http://localhost\r\n",
		LENGTH "Origin: https://LOCALHOST\r\nSec-Fetch-Site: same-origin\r\n",
		LENGTH "Sec-Fetch-Site: none\r\n",
	};
	for (size_t i = 0; i < ARRAY_LEN(headers); i++) {
		AUTO_FD fd = begin_put(f, "00", headers[i]);
		http_send_text(fd, "\177ELF");
		AUTO_MEM char *answer = http_read_all(fd, NULL);
		if (http_status(answer) != 200)
			fail_msg("%s: %s", headers[i], answer);
	}
}

static void test_server_without_taker(void **state)
{
	struct fixture *f = *state;
	server_free(TAKE(f->server));
	open_server(f, false);
	AUTO_FD fd = begin_put(f, "ab", LENGTH);
	http_send_text(fd, "\177ELF");
	AUTO_MEM char *answer = http_read_all(fd, NULL);
	assert_int_equal(http_status(answer), 501);
	assert_non_null(strstr(http_body(answer), "takes no symbols"));
}

/* No two neighbours alike, and no period that pieces could share. */
static char *make_file(size_t len_bytes)
{
	char *bytes = malloc(len_bytes);
	assert_non_null(bytes);
	for (size_t i = 0; i < len_bytes; i++)
		bytes[i] = (char)(i * 2654435761u >> 13);
	return bytes;
}

static void check_taken(struct fixture *f, const char *bytes, size_t len_bytes)
{
	pthread_mutex_lock(&f->gate.lock);
	assert_int_equal(f->file_bytes, len_bytes);
	assert_true(f->file_check == check_add(CHECK_START, bytes, len_bytes));
	pthread_mutex_unlock(&f->gate.lock);
}

static void send_chunks(int fd, const char *bytes, size_t len_bytes)
{
	for (size_t at = 0; at < len_bytes;) {
		size_t size_bytes = 1 + (at * 7 + 12345) % 40000;
		if (size_bytes > len_bytes - at)
			size_bytes = len_bytes - at;
		char head[32];
		snprintf(head, sizeof(head), "%zx\r\n", size_bytes);
		http_send_text(fd, head);
		http_send(fd, bytes + at, size_bytes);
		http_send_text(fd, "\r\n");
		at += size_bytes;
	}
	http_send_text(fd, "0\r\n\r\n");
}

/* Up to the limit, byte by byte as sent; by length or in chunks. */
static void test_contents(void **state)
{
	struct fixture *f = *state;
	static const size_t sizes[] = {1, 4095, 65536, 65537, MAX_UPLOAD_BYTES};
	for (size_t i = 0; i < 2 * ARRAY_LEN(sizes); i++) {
		bool is_chunked = i % 2;
		size_t len_bytes = sizes[i / 2];
		AUTO_MEM char *bytes = make_file(len_bytes);
		char header[64];
		snprintf(header, sizeof(header),
			 is_chunked ? "Transfer-Encoding: chunked\r\n" : "Content-Length: %zu\r\n",
			 len_bytes);
		AUTO_FD fd = begin_put(f, "00", header);
		if (is_chunked)
			send_chunks(fd, bytes, len_bytes);
		else
			http_send(fd, bytes, len_bytes);
		AUTO_MEM char *answer = http_read_all(fd, NULL);
		assert_int_equal(http_status(answer), 200);
		char body[64];
		snprintf(body, sizeof(body), "{\"build_id\":\"00\",\"bytes\":%zu,\"done\":true}",
			 len_bytes);
		assert_string_equal(http_body(answer), body);
		check_taken(f, bytes, len_bytes);
	}
}

static void test_too_large_in_chunks(void **state)
{
	struct fixture *f = *state;
	AUTO_MEM char *bytes = make_file(3 * MAX_UPLOAD_BYTES);
	AUTO_FD fd = begin_put(f, "00", "Transfer-Encoding: chunked\r\n");
	send_chunks(fd, bytes, MAX_UPLOAD_BYTES + 1);
	AUTO_MEM char *answer = http_read_all(fd, NULL);
	assert_int_equal(http_status(answer), 413);

	/* Much more: the server hangs up. */
	AUTO_FD endless = begin_put(f, "00", "Transfer-Encoding: chunked\r\n");
	send_chunks(endless, bytes, 3 * MAX_UPLOAD_BYTES);
	AUTO_MEM char *nothing = http_read_all(endless, NULL);
	assert_string_equal(nothing ? nothing : "", "");
	assert_int_equal(calls_of(f), 0);
	wait_for_files(f, 0);
	check_alive(f);
}

/* As curl does above 1 MiB: the body follows when the server has said that it will be read. */
static void test_expect_continue(void **state)
{
	struct fixture *f = *state;
	static const char wanted[] = "HTTP/1.1 100 Continue\r\n\r\n";
	char said[64] = "";
	AUTO_FD fd = begin_put(f, "00", LENGTH "Expect: 100-continue\r\n");
	for (size_t got = 0; got < strlen(wanted);) {
		size_t more = http_read(fd, said + got, strlen(wanted) - got);
		assert_true(more > 0);
		got += more;
	}
	assert_string_equal(said, wanted);
	http_send_text(fd, "\177ELF");
	AUTO_MEM char *answer = http_read_all(fd, NULL);
	assert_int_equal(http_status(answer), 200);

	/* What is refused is so before it is sent. */
	AUTO_FD refused = begin_put(f, "XY", LENGTH "Expect: 100-continue\r\n");
	AUTO_MEM char *refusal = http_read_all(refused, NULL);
	assert_int_equal(http_status(refusal), 400);
}

static void test_aborted_leaves_nothing(void **state)
{
	struct fixture *f = *state;
	int names = names_in_store(f);
	for (int i = 0; i < 3 * SLOTS; i++) {
		int fd = begin_put(f, "00", "Content-Length: 1000000\r\n");
		AUTO_MEM char *bytes = make_file(100000);
		http_send(fd, bytes, 100000);
		if (i % 3 == 0)
			wait_for_files(f, 1);
		if (i % 3 == 1)
			shutdown(fd, SHUT_WR);
		close(fd);
		wait_for_files(f, 0);
	}
	assert_int_equal(calls_of(f), 0);
	assert_int_equal(names_in_store(f), names);
	AUTO_FD whole = begin_put(f, "00", LENGTH);
	http_send_text(whole, "\177ELF");
	AUTO_MEM char *answer = http_read_all(whole, NULL);
	assert_int_equal(http_status(answer), 200);
}

/* As many as may be, all half sent: others do not wait for them, and one more is told to. */
static void test_slow_uploads_block_nobody(void **state)
{
	struct fixture *f = *state;
	int names = names_in_store(f);
	int fds[SLOTS];
	for (int i = 0; i < SLOTS; i++) {
		fds[i] = begin_put(f, "00", LENGTH);
		http_send_text(fds[i], "\177E");
	}
	wait_for_files(f, SLOTS);
	assert_int_equal(names_in_store(f), names);
	check_alive(f);
	AUTO_FD more = begin_put(f, "00", LENGTH);
	http_send_text(more, "\177ELF");
	AUTO_MEM char *refusal = http_read_all(more, NULL);
	assert_int_equal(http_status(refusal), 503);
	assert_non_null(strstr(http_body(refusal), "try again"));
	for (int i = 0; i < SLOTS; i++) {
		http_send_text(fds[i], "LF");
		AUTO_MEM char *answer = http_read_all(fds[i], NULL);
		assert_int_equal(http_status(answer), 200);
		close(fds[i]);
	}
	wait_for_files(f, 0);
}

static void test_slow_taker_blocks_nobody(void **state)
{
	struct fixture *f = *state;
	gate_set(&f->gate, true);
	AUTO_FD fd = begin_put(f, "00", LENGTH);
	http_send_text(fd, "\177ELF");
	gate_wait_for(&f->gate, 1);
	check_alive(f);
	gate_set(&f->gate, false);
	AUTO_MEM char *answer = http_read_all(fd, NULL);
	assert_int_equal(http_status(answer), 200);
}

static void test_free_drops_what_is_half_sent(void **state)
{
	struct fixture *f = *state;
	AUTO_FD fd = begin_put(f, "00", LENGTH);
	http_send_text(fd, "\177E");
	wait_for_files(f, 1);
	server_free(TAKE(f->server));
	assert_int_equal(unnamed_files(f), 0);
	assert_int_equal(calls_of(f), 0);
	open_server(f, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_verdicts, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_foreign_host_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_own_page_may_send, setup, teardown),
		cmocka_unit_test_setup_teardown(test_server_without_taker, setup, teardown),
		cmocka_unit_test_setup_teardown(test_contents, setup, teardown),
		cmocka_unit_test_setup_teardown(test_too_large_in_chunks, setup, teardown),
		cmocka_unit_test_setup_teardown(test_expect_continue, setup, teardown),
		cmocka_unit_test_setup_teardown(test_aborted_leaves_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_slow_uploads_block_nobody, setup, teardown),
		cmocka_unit_test_setup_teardown(test_slow_taker_blocks_nobody, setup, teardown),
		cmocka_unit_test_setup_teardown(test_free_drops_what_is_half_sent, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
