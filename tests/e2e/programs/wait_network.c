/*
 * wait_network SECONDS CLIENTS: clients that wait in ask_slow and ask_fast for two servers of this
 * process on 127.0.0.1: the slow one answers after 80 ms, the fast one after 20 ms, drawn at
 * random around these means. Each client asks one after the other, in random order.
 *
 * Prints its pid, then "SLOW_PORT FAST_PORT", and begins with a line on standard input, or its end.
 * After SECONDS: "START END" (unix us), then for each client "TID NS_SLOW NS_FAST", and stays.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "waits.h"

#define MAX_CLIENTS 16

struct server {
	int fd;
	uint16_t port;
	uint64_t mean_ns;
};

struct client {
	pthread_t thread;
	const struct server *servers;
	int tid, fds[2];
	uint64_t random, end_mono_ns, spent_ns[2];
};

struct connection {
	int fd;
	uint64_t mean_ns, random;
};

static NOINLINE void *answer(void *arg)
{
	struct connection *connection = arg;
	char byte;
	while (read(connection->fd, &byte, 1) == 1) {
		sleep_ns(draw_around(&connection->random, connection->mean_ns));
		if (write(connection->fd, &byte, 1) != 1)
			break;
	}
	return NULL;
}

static NOINLINE void *serve(void *arg)
{
	struct server *server = arg;
	static struct connection connections[2][MAX_CLIENTS];
	struct connection *mine = connections[server->mean_ns > 50000000];
	for (int i = 0; i < MAX_CLIENTS; i++) {
		pthread_t thread;
		mine[i] = (struct connection){.fd = accept(server->fd, NULL, NULL),
					      .mean_ns = server->mean_ns,
					      .random = seed_of(i + server->port)};
		if (mine[i].fd < 0 || pthread_create(&thread, NULL, answer, &mine[i]))
			exit(1);
	}
	return NULL;
}

static int start_server(struct server *server)
{
	struct sockaddr_in name = {.sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(name);
	pthread_t thread;
	server->fd = socket(AF_INET, SOCK_STREAM, 0);
	if (server->fd < 0 || bind(server->fd, (void *)&name, sizeof(name)) ||
	    listen(server->fd, MAX_CLIENTS) || getsockname(server->fd, (void *)&name, &size))
		return -1;
	server->port = ntohs(name.sin_port);
	return pthread_create(&thread, NULL, serve, server);
}

static int connect_to(uint16_t port)
{
	struct sockaddr_in name = {.sin_family = AF_INET,
				   .sin_port = htons(port),
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	if (fd < 0 || connect(fd, (void *)&name, sizeof(name)))
		exit(1);
	return fd;
}

static inline __attribute__((always_inline)) void ask(int fd)
{
	char byte = 'q';
	if (write(fd, &byte, 1) != 1 || read(fd, &byte, 1) != 1)
		exit(1);
}

static NOINLINE void ask_slow(int fd)
{
	ask(fd);
	STAY();
}

static NOINLINE void ask_fast(int fd)
{
	ask(fd);
	STAY();
}

static NOINLINE void *ask_both(void *arg)
{
	struct client *client = arg;
	client->tid = own_tid();
	while (mono_ns() < client->end_mono_ns) {
		int first = (int)draw(&client->random, 2);
		for (int turn = 0; turn < 2; turn++) {
			int which = turn ? !first : first;
			uint64_t start_ns = mono_ns();
			if (which)
				ask_fast(client->fds[which]);
			else
				ask_slow(client->fds[which]);
			client->spent_ns[which] += mono_ns() - start_ns;
		}
	}
	return NULL;
}

int main(int argc, char **argv)
{
	static struct server servers[2] = {{.mean_ns = 80000000}, {.mean_ns = 20000000}};
	static struct client clients[MAX_CLIENTS];
	int count = argc > 2 ? (int)strtol(argv[2], NULL, 10) : 0;
	if (count < 1 || count > MAX_CLIENTS)
		return 2;
	if (start_server(&servers[0]) || start_server(&servers[1]))
		return 1;
	for (int i = 0; i < count; i++)
		for (int which = 0; which < 2; which++)
			clients[i].fds[which] = connect_to(servers[which].port);
	printf("%d\n%d %d\n", getpid(), servers[0].port, servers[1].port);
	fflush(stdout);
	wait_to_begin();
	uint64_t start_us = clock_ns(CLOCK_REALTIME) / 1000;
	uint64_t end_mono_ns = mono_ns() + (uint64_t)(strtod(argv[1], NULL) * 1e9);
	for (int i = 0; i < count; i++) {
		clients[i].random = seed_of(i);
		clients[i].end_mono_ns = end_mono_ns;
		if (pthread_create(&clients[i].thread, NULL, ask_both, &clients[i]))
			return 1;
	}
	for (int i = 0; i < count; i++)
		pthread_join(clients[i].thread, NULL);
	printf("%lu %lu\n", start_us, clock_ns(CLOCK_REALTIME) / 1000);
	for (int i = 0; i < count; i++)
		printf("%d %lu %lu\n", clients[i].tid, clients[i].spent_ns[0],
		       clients[i].spent_ns[1]);
	fflush(stdout);
	stay_until_told();
	return 0;
}
