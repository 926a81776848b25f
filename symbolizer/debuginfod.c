#include "symbolizer/debuginfod.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/array.h"
#include "base/clock.h"
#include "symbolizer/debuginfod_cache.h"
#include "symbolizer/debuginfod_library.h"
#include "symbolizer/elf_file.h"

enum {
	MAX_REQUESTS = 4 << 10, /* build IDs remembered */
	MAX_WAITING = 1 << 10,
	HEX_BYTES = 2 * ELF_BUILD_ID_MAX_BYTES + 1,
};

enum request_state { REQUEST_WAITING, REQUEST_RUNNING, REQUEST_DONE };

/* One build ID. */
struct request {
	uint8_t id[ELF_BUILD_ID_MAX_BYTES];
	size_t id_bytes;
	enum request_state state;
	bool is_cancelled;
	int code; /* of the answer */
	int64_t retry_mono_ns;
};

struct debuginfod {
	struct debuginfod_library library;
	struct debuginfod_options options;
	int cache_fd;
	pthread_t thread;
	pthread_mutex_t lock; /* guards all up to status */
	pthread_cond_t wake;
	bool is_stopping;
	struct request **requests; /* in the order of asking */
	size_t count, cap;
	struct request *running;
	struct debuginfod_status status;
	/* Of the thread alone: the transfer under way. */
	int64_t deadline_mono_ns;
	long calls;    /* of on_progress() */
	int stop_code; /* why it was stopped; 0: it was not */
};

static void format_id(char hex[static HEX_BYTES], const uint8_t *id, size_t id_bytes)
{
	for (size_t i = 0; i < id_bytes; i++)
		snprintf(hex + 2 * i, 3, "%02x", id[i]);
}

static const char *meaning(int code)
{
	switch (code) {
	case -ENOENT:
		return "no server has it";
	case -ETIME:
		return "no answer in time";
	case -EFBIG:
		return "the file is too large";
	case -ESTALE:
		return "the server sent another file";
	case -EHOSTUNREACH:
		return "the server's name is not known";
	case -ECANCELED:
		return "it was cancelled";
	default:
		return strerror(-code);
	}
}

/* Without its thread. */
static void client_fini(struct debuginfod *client)
{
	for (size_t i = 0; i < client->count; i++)
		free(client->requests[i]);
	free(client->requests);
	if (client->cache_fd >= 0)
		close(client->cache_fd);
	pthread_cond_destroy(&client->wake);
	pthread_mutex_destroy(&client->lock);
	free(client);
}

void debuginfod_free(struct debuginfod *client)
{
	if (!client)
		return;
	pthread_mutex_lock(&client->lock);
	client->is_stopping = true;
	pthread_cond_signal(&client->wake);
	pthread_mutex_unlock(&client->lock);
	pthread_join(client->thread, NULL);
	client_fini(client);
}

/* Why the transfer is to be stopped; 0: it is not. */
static int judge(struct debuginfod *client, uint64_t got_bytes, uint64_t total_bytes)
{
	pthread_mutex_lock(&client->lock);
	client->status.got_bytes = got_bytes;
	bool is_cancelled = client->is_stopping || client->running->is_cancelled;
	pthread_mutex_unlock(&client->lock);
	if (is_cancelled)
		return -ECANCELED;
	if (got_bytes > client->options.max_file_bytes ||
	    total_bytes > client->options.max_file_bytes)
		return -EFBIG;
	return clock_mono_ns() > client->deadline_mono_ns ? -ETIME : 0;
}

/* Called about once a second, and whenever bytes come. got is bytes only once a server has begun
 * to send; before that it counts these calls. */
static int on_progress(struct debuginfod_client *transfer, long got, long total)
{
	struct debuginfod *client = debuginfod_library_user_data(transfer);
	client->calls++;
	client->stop_code = judge(client, got > client->calls ? (uint64_t)got : 0,
				  total > 0 ? (uint64_t)total : 0);
	return client->stop_code != 0;
}

/* 0: it is in the cache. */
static int transfer(struct debuginfod *client, const struct request *request)
{
	struct debuginfod_client *transfer_client = client->library.begin();
	if (!transfer_client)
		return -ENOMEM;
	client->library.set_user_data(transfer_client, client);
	client->library.set_progressfn(transfer_client, on_progress);
	client->deadline_mono_ns = clock_mono_ns() + client->options.max_transfer_s * NS_PER_S;
	client->calls = 0;
	client->stop_code = 0;
	int fd = client->library.find_debuginfo(transfer_client, request->id,
						(int)request->id_bytes, NULL);
	client->library.end(transfer_client);
	if (fd >= 0)
		close(fd);
	return fd < 0 && client->stop_code ? client->stop_code : fd < 0 ? fd : 0;
}

/* The answer to a request: 0, or why not. */
static int fetch(struct debuginfod *client, const struct request *request)
{
	char hex[HEX_BYTES];
	format_id(hex, request->id, request->id_bytes);
	int rc = transfer(client, request);
	debuginfod_cache_forget(client->cache_fd, hex);
	if (rc)
		return rc;
	int fd;
	rc = debuginfod_cache_open(client->cache_fd, hex, &fd, NULL);
	if (rc)
		return rc;
	close(fd);
	(void)debuginfod_cache_trim(client->cache_fd, client->options.max_cache_bytes, hex, NULL);
	return 0;
}

static void count_answer(struct debuginfod_status *status, int code)
{
	if (!code)
		status->found++;
	else if (code == -ENOENT)
		status->missing++;
	else
		status->failed++;
}

/* With the lock. */
static void finish(struct debuginfod *client, struct request *request, int code)
{
	request->state = REQUEST_DONE;
	request->code = code;
	request->retry_mono_ns = clock_mono_ns() + client->options.retry_s * NS_PER_S;
	count_answer(&client->status, code);
}

/* With the lock. NULL: none waits. */
static struct request *next_waiting(const struct debuginfod *client)
{
	for (size_t i = 0; i < client->count; i++)
		if (client->requests[i]->state == REQUEST_WAITING)
			return client->requests[i];
	return NULL;
}

/* With the lock, which is given back meanwhile: one that runs is not freed, and what fetch()
 * reads of it never changes. */
static void run(struct debuginfod *client, struct request *request)
{
	client->status.waiting--;
	request->state = REQUEST_RUNNING;
	client->running = request;
	client->status.got_bytes = 0;
	format_id(client->status.running, request->id, request->id_bytes);
	pthread_mutex_unlock(&client->lock);
	int code = fetch(client, request);
	pthread_mutex_lock(&client->lock);
	client->running = NULL;
	client->status.running[0] = 0;
	finish(client, request, code);
}

/* With the lock, which is given back meanwhile. */
static void tell(struct debuginfod *client, const struct request *request)
{
	const struct request answer = *request;
	if (!client->options.on_answer)
		return;
	pthread_mutex_unlock(&client->lock);
	client->options.on_answer(client->options.ctx, answer.id, answer.id_bytes, answer.code);
	pthread_mutex_lock(&client->lock);
}

static void *run_all(void *ctx)
{
	struct debuginfod *client = ctx;
	pthread_mutex_lock(&client->lock);
	while (!client->is_stopping) {
		struct request *request = next_waiting(client);
		if (request) {
			run(client, request);
			tell(client, request);
		} else {
			pthread_cond_wait(&client->wake, &client->lock);
		}
	}
	pthread_mutex_unlock(&client->lock);
	return NULL;
}

/* With the lock. NULL: not known. */
static struct request *find_request(const struct debuginfod *client, const uint8_t *id,
				    size_t id_bytes)
{
	for (size_t i = 0; i < client->count; i++) {
		struct request *request = client->requests[i];
		if (request->id_bytes == id_bytes && !memcmp(request->id, id, id_bytes))
			return request;
	}
	return NULL;
}

/* With the lock. The oldest answer makes room when there is none. */
static void forget_oldest(struct debuginfod *client)
{
	size_t i = 0;
	while (i < client->count && client->requests[i]->state != REQUEST_DONE)
		i++;
	if (i == client->count)
		return;
	free(client->requests[i]);
	client->count--;
	memmove(&client->requests[i], &client->requests[i + 1],
		(client->count - i) * sizeof(*client->requests));
}

/* With the lock. */
static int add_request(struct debuginfod *client, const uint8_t *id, size_t id_bytes,
		       struct request **added)
{
	if (client->count == MAX_REQUESTS)
		forget_oldest(client);
	int rc = ARRAY_RESERVE(client->requests, client->cap, client->count, MAX_REQUESTS);
	if (rc)
		return rc;
	struct request *request = calloc(1, sizeof(*request));
	if (!request)
		return -ENOMEM;
	memcpy(request->id, id, id_bytes);
	request->id_bytes = id_bytes;
	request->state = REQUEST_DONE; /* until ask() lets it wait */
	client->requests[client->count++] = request;
	*added = request;
	return 0;
}

/* With the lock: the answer that is known, or -EAGAIN after seeing to it that there will be
 * one. */
static int ask(struct debuginfod *client, const uint8_t *id, size_t id_bytes)
{
	struct request *request = find_request(client, id, id_bytes);
	if (request && request->state != REQUEST_DONE)
		return -EAGAIN;
	if (request && request->code && clock_mono_ns() < request->retry_mono_ns)
		return request->code;
	if (client->status.waiting >= MAX_WAITING)
		return -ENOSPC;
	int rc = request ? 0 : add_request(client, id, id_bytes, &request);
	if (rc)
		return rc;
	request->state = REQUEST_WAITING;
	request->is_cancelled = false;
	client->status.waiting++;
	pthread_cond_signal(&client->wake);
	return -EAGAIN;
}

int debuginfod_ask(struct debuginfod *client, const uint8_t *id, size_t id_bytes, int *fd,
		   struct err *err)
{
	if (id_bytes < 2 || id_bytes > ELF_BUILD_ID_MAX_BYTES)
		return err_set(err, -EINVAL, "not a build ID");
	char hex[HEX_BYTES];
	format_id(hex, id, id_bytes);
	int rc = debuginfod_cache_open(client->cache_fd, hex, fd, NULL);
	if (!rc || rc == -ENOMEM)
		return rc ? err_set(err, rc, "debuginfod: %m") : 0;
	pthread_mutex_lock(&client->lock);
	rc = ask(client, id, id_bytes);
	pthread_mutex_unlock(&client->lock);
	if (rc == -EAGAIN)
		return err_set(err, rc, "debuginfod has been asked for it");
	if (rc == -ENOSPC)
		return err_set(err, rc, "debuginfod is asked for too many files already");
	return err_set(err, rc, "debuginfod: %s", meaning(rc));
}

void debuginfod_cancel(struct debuginfod *client, const uint8_t *id, size_t id_bytes)
{
	pthread_mutex_lock(&client->lock);
	struct request *request = find_request(client, id, id_bytes);
	if (request && request->state == REQUEST_WAITING) {
		client->status.waiting--;
		finish(client, request, -ECANCELED);
	} else if (request) {
		request->is_cancelled = true;
	}
	pthread_mutex_unlock(&client->lock);
}

void debuginfod_status(struct debuginfod *client, struct debuginfod_status *status)
{
	pthread_mutex_lock(&client->lock);
	*status = client->status;
	pthread_mutex_unlock(&client->lock);
}

/* One attempt each: what fails is asked for again after retry_s. */
static int set_environment(const struct debuginfod_options *options, struct err *err)
{
	char timeout[16];
	snprintf(timeout, sizeof(timeout), "%u", options->timeout_s);
	bool is_set = !setenv(DEBUGINFOD_CACHE_PATH_ENV_VAR, options->cache_dir, 1) &&
		      !setenv(DEBUGINFOD_TIMEOUT_ENV_VAR, timeout, 1) &&
		      !setenv(DEBUGINFOD_RETRY_LIMIT_ENV_VAR, "0", 1) &&
		      (!options->urls || !setenv(DEBUGINFOD_URLS_ENV_VAR, options->urls, 1));
	return is_set ? 0 : err_set(err, -errno, "environment: %m");
}

static struct debuginfod_options with_defaults(const struct debuginfod_options *given)
{
	struct debuginfod_options options = *given;
	if (!options.timeout_s)
		options.timeout_s = 30;
	if (!options.max_transfer_s)
		options.max_transfer_s = 900;
	if (!options.retry_s)
		options.retry_s = 3600;
	if (!options.max_file_bytes)
		options.max_file_bytes = UINT64_C(2) << 30;
	if (!options.max_cache_bytes)
		options.max_cache_bytes = UINT64_C(4) << 30;
	return options;
}

static int open_cache(int *cache_fd, const char *path, struct err *err)
{
	if (mkdir(path, 0700) && errno != EEXIST)
		return err_set(err, -errno, "make %s: %m", path);
	*cache_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *cache_fd < 0 ? err_set(err, -errno, "open %s: %m", path) : 0;
}

int debuginfod_open(struct debuginfod **out, const struct debuginfod_options *options,
		    struct err *err)
{
	const char *urls = options->urls ? options->urls : getenv(DEBUGINFOD_URLS_ENV_VAR);
	if (!urls || !urls[strspn(urls, " ")])
		return err_set(err, -ENOENT, "debuginfod is off: no DEBUGINFOD_URLS");
	struct debuginfod_library library;
	int rc = debuginfod_library_load(&library, err);
	if (rc)
		return rc;
	const struct debuginfod_options complete = with_defaults(options);
	AUTO_FD cache_fd = -1;
	rc = open_cache(&cache_fd, complete.cache_dir, err);
	if (!rc)
		rc = set_environment(&complete, err);
	if (rc)
		return rc;
	struct debuginfod *client = calloc(1, sizeof(*client));
	if (!client)
		return err_set(err, -ENOMEM, "debuginfod: %m");
	client->library = library;
	client->options = complete;
	client->options.urls = client->options.cache_dir = NULL; /* borrowed until here */
	client->cache_fd = TAKE_FD(cache_fd);
	pthread_mutex_init(&client->lock, NULL); /* cannot fail without attributes */
	pthread_cond_init(&client->wake, NULL);
	rc = pthread_create(&client->thread, NULL, run_all, client);
	if (rc) {
		client_fini(client);
		return err_set(err, -rc, "debuginfod: %m");
	}
	*out = client;
	return 0;
}
