/*
 * debuginfod: debug files from servers that are asked by build ID, in the background.
 *
 * The work is libdebuginfod's, which is loaded when a client is opened: linked, it would make
 * every start load libcurl, GnuTLS, Kerberos and LDAP, some thirty libraries and 7 ms of CPU,
 * for what is off unless configured. One thread of this module transfers one file at a time;
 * whoever asks is answered at once. What servers answer is not trusted: a file is handed out
 * only after its build ID was compared.
 * The library takes its settings from the environment, so debuginfod_open() changes that:
 * before other threads read it. All else: any thread.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "base/auto.h"
#include "base/err.h"

struct debuginfod; /* opaque */

struct debuginfod_options {
	const char *urls;         /* separated by spaces; NULL: DEBUGINFOD_URLS as it is */
	const char *cache_dir;    /* made when it is missing; for nothing else */
	uint32_t timeout_s;       /* without an answer, or slower than 100 KiB/s; 0: 30 */
	uint32_t max_transfer_s;  /* for one file; 0: 900 */
	uint32_t retry_s;         /* how long "no" stands before it is asked again; 0: 3600 */
	uint64_t max_file_bytes;  /* 0: 2 GiB */
	uint64_t max_cache_bytes; /* the oldest files go first; 0: 4 GiB */
	/* Told of each answer, by the thread of this module: 0, or why not as debuginfod_ask()
	 * says it. Must not call debuginfod_free(). NULL: nobody is. */
	void (*on_answer)(void *ctx, const uint8_t *id, size_t id_bytes, int code);
	void *ctx;
};

/* -ENOENT: no URLs, so it is off; -ENOSYS: libdebuginfod is not installed; -ENOMEM; else
 * mkdir(2)'s and open(2)'s of cache_dir, or -EAGAIN of pthread_create(3). */
int debuginfod_open(struct debuginfod **out, const struct debuginfod_options *options,
		    struct err *err);
/* Cancels what is under way and waits for it: a second, longer while a host name is looked up.
 * NULL is fine. */
void debuginfod_free(struct debuginfod *client);
AUTO_DEFINE(debuginfod)

/* The debug file of a build ID. 0: *fd is the file; the caller's. -EAGAIN: it has been asked
 * for, come back later; -ENOSPC: too many are asked for already; -ENOENT: no server has it;
 * -ETIME: no answer in time; -EFBIG: too large; -ESTALE: a server sent another file;
 * -ECANCELED; else what libdebuginfod says of servers that cannot be reached. Those stand for
 * retry_s. -EINVAL: not a build ID (2 to 20 bytes). */
int debuginfod_ask(struct debuginfod *client, const uint8_t *id, size_t id_bytes, int *fd,
		   struct err *err);
/* Stop asking for it: the answer is -ECANCELED, within a second or so. */
void debuginfod_cancel(struct debuginfod *client, const uint8_t *id, size_t id_bytes);

struct debuginfod_status {
	size_t waiting;     /* build IDs asked for, not begun */
	char running[41];   /* build ID of the one under way, lower-case hex; "": none */
	uint64_t got_bytes; /* of that one */
	uint64_t found, missing, failed; /* answers so far */
};
void debuginfod_status(struct debuginfod *client, struct debuginfod_status *status);
