/*
 * http_client: what a client sends to a server on loopback, byte by byte, and what comes back.
 *
 * Header only, included by tests that have included cmocka.h.
 */
#pragma once
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "base/auto.h"
#include "base/buf.h"

/* Only a hang takes so long. */
enum { HTTP_ANSWER_MAX_BYTES = 8 << 20, HTTP_DEADLINE_MS = 120000 };

static inline int http_dial(int port)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	return fd;
}

/* May fail half way: the server is free to hang up on nonsense. */
static inline void http_send(int fd, const char *data, size_t len_bytes)
{
	while (len_bytes) {
		ssize_t sent = send(fd, data, len_bytes, MSG_NOSIGNAL);
		if (sent <= 0)
			return;
		data += sent;
		len_bytes -= (size_t)sent;
	}
}

static inline void http_send_text(int fd, const char *text)
{
	http_send(fd, text, strlen(text));
}

/* What is there, at most max_bytes; 0: the server hung up. */
static inline size_t http_read(int fd, char *data, size_t max_bytes)
{
	struct pollfd ready = {.fd = fd, .events = POLLIN};
	if (poll(&ready, 1, HTTP_DEADLINE_MS) <= 0)
		fail_msg("no answer within %d ms", HTTP_DEADLINE_MS);
	ssize_t got = recv(fd, data, max_bytes, 0);
	return got > 0 ? (size_t)got : 0;
}

/* Everything until the server hangs up; the caller frees. */
static inline char *http_read_all(int fd, size_t *len_bytes)
{
	struct buf in;
	char piece[16 << 10];
	buf_init(&in, HTTP_ANSWER_MAX_BYTES);
	for (size_t got = 1; got;) {
		got = http_read(fd, piece, sizeof(piece));
		buf_append(&in, piece, got);
	}
	if (len_bytes)
		*len_bytes = in.len_bytes;
	return buf_take_str(&in);
}

static inline char *http_ask_raw(int port, const char *bytes)
{
	AUTO_FD fd = http_dial(port);
	http_send_text(fd, bytes);
	return http_read_all(fd, NULL);
}

/* One request with these extra header lines, its connection closed after. */
static inline char *http_ask(int port, const char *method, const char *target, const char *headers)
{
	char request[1024];
	int len = snprintf(request, sizeof(request),
			   "%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n%s\r\n",
			   method, target, headers);
	assert_true(len < (int)sizeof(request));
	return http_ask_raw(port, request);
}

static inline int http_status(const char *answer)
{
	static const char start[] = "HTTP/1.1 ";
	return strncmp(answer, start, strlen(start)) != 0
		       ? 0
		       : (int)strtol(answer + strlen(start), NULL, 10);
}

static inline const char *http_body(const char *answer)
{
	const char *end = strstr(answer, "\r\n\r\n");
	return end ? end + 4 : "";
}

/* Does the head of the answer have this header line? */
static inline bool http_has_header(const char *answer, const char *line)
{
	char pattern[512];
	snprintf(pattern, sizeof(pattern), "\r\n%s\r\n", line);
	const char *found = strcasestr(answer, pattern);
	return found && found < http_body(answer);
}
