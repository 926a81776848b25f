#include "web/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/auto.h"

enum { HOST_BYTES = 256, PORT_BYTES = 6, BACKLOG = 128 };

struct host_port {
	char host[HOST_BYTES]; /* "": every address */
	char port[PORT_BYTES];
};

static int bad_address(const char *text, struct err *err)
{
	return err_set(err, -EINVAL,
		       "cannot listen on \"%.100s\": write HOST:PORT, such as 127.0.0.1:4040 or "
		       "[::1]:4040",
		       text);
}

static bool is_port(const char *text)
{
	size_t len = strlen(text);
	return len > 0 && len < PORT_BYTES && strspn(text, "0123456789") == len &&
	       strtoul(text, NULL, 10) <= UINT16_MAX;
}

/* "host:port" or "[host]:port". An IPv6 address without brackets is ambiguous, so refused. */
static int split(struct host_port *out, const char *text, struct err *err)
{
	const char *colon = strrchr(text, ':');
	if (!colon || !is_port(colon + 1))
		return bad_address(text, err);
	const char *host = text;
	size_t len = (size_t)(colon - text);
	if (*text == '[') {
		if (len < 2 || text[len - 1] != ']')
			return bad_address(text, err);
		host++;
		len -= 2;
	} else if (memchr(text, ':', len)) {
		return bad_address(text, err);
	}
	if (len >= sizeof(out->host))
		return bad_address(text, err);
	memcpy(out->host, host, len);
	out->host[len] = '\0';
	snprintf(out->port, sizeof(out->port), "%s", colon + 1);
	return 0;
}

static bool is_loopback(const struct sockaddr_storage *addr)
{
	if (addr->ss_family == AF_INET) {
		const struct sockaddr_in *in = (const void *)addr;
		return ntohl(in->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
	}
	const struct sockaddr_in6 *in6 = (const void *)addr;
	if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr))
		return in6->sin6_addr.s6_addr[12] == IN_LOOPBACKNET;
	return IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr);
}

static int resolve(struct sockaddr_storage *out, socklen_t *out_bytes, const char *text,
		   struct err *err)
{
	struct host_port at;
	int rc = split(&at, text, err);
	if (rc)
		return rc;
	struct addrinfo hints = {
		.ai_family = AF_UNSPEC,
		.ai_socktype = SOCK_STREAM,
		.ai_flags = AI_PASSIVE | AI_NUMERICSERV,
	};
	struct addrinfo *list = NULL;
	int status = getaddrinfo(*at.host ? at.host : NULL, at.port, &hints, &list);
	if (status)
		return err_set(err, -EINVAL, "cannot listen on \"%.100s\": %s", text,
			       gai_strerror(status));
	const struct addrinfo *chosen = list;
	for (const struct addrinfo *ai = list; ai; ai = ai->ai_next) {
		if (ai->ai_family == AF_INET) {
			chosen = ai;
			break;
		}
	}
	memcpy(out, chosen->ai_addr, chosen->ai_addrlen);
	*out_bytes = chosen->ai_addrlen;
	freeaddrinfo(list);
	return 0;
}

static int bind_failed(const char *text, struct err *err)
{
	if (errno == EADDRINUSE)
		return err_set(err, -EADDRINUSE,
			       "port %s is taken by another program; choose another with "
			       "--listen HOST:PORT",
			       strrchr(text, ':') + 1);
	return err_set(err, -errno, "listen on %.100s: %m", text);
}

/* The URL of a bound socket. */
static void format_url(char url[static LISTEN_URL_BYTES], int fd)
{
	struct sockaddr_storage addr = {0};
	socklen_t addr_bytes = sizeof(addr);
	char host[INET6_ADDRSTRLEN] = "";
	char port[PORT_BYTES] = "";
	getsockname(fd, (struct sockaddr *)&addr, &addr_bytes);
	getnameinfo((struct sockaddr *)&addr, addr_bytes, host, sizeof(host), port, sizeof(port),
		    NI_NUMERICHOST | NI_NUMERICSERV);
	bool is_v6 = addr.ss_family == AF_INET6;
	snprintf(url, LISTEN_URL_BYTES, "http://%s%s%s:%s", is_v6 ? "[" : "", host,
		 is_v6 ? "]" : "", port);
}

int listener_open(struct listener *listener, const char *text, bool insecure, struct err *err)
{
	struct sockaddr_storage addr = {0};
	socklen_t addr_bytes = 0;
	int rc = resolve(&addr, &addr_bytes, text, err);
	if (rc)
		return rc;
	bool loopback = is_loopback(&addr);
	if (!loopback && !insecure)
		return err_set(err, -EINVAL,
			       "%.100s can be reached from other machines, without encryption or "
			       "password: listen on 127.0.0.1, or add --insecure if that is meant",
			       text);
	AUTO_FD fd = socket(addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return bind_failed(text, err);
	/* A restart must not wait for the last run's connections to leave TIME_WAIT. */
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
	if (bind(fd, (struct sockaddr *)&addr, addr_bytes) || listen(fd, BACKLOG))
		return bind_failed(text, err);
	listener->loopback = loopback;
	format_url(listener->url, fd);
	listener->fd = TAKE_FD(fd);
	return 0;
}
