#include "profiler/symbols.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/array.h"
#include "base/clock.h"
#include "profiler/symbols_state.h"
#include "symbolizer/cache_dir.h"

enum {
	MAX_ENTRIES = 8192,
	DEMANGLED_BYTES = 16 << 20,
	WAKE_UP_S = 5,
	PATIENCE_S = 20,     /* at low priority; a busy machine is late enough then */
	SEARCH_AGAIN_S = 20, /* for debug files that were installed in the meantime */
};
#define DEFAULT_CACHE_BYTES ((uint64_t)1 << 30)

int symbols_open_directory(const char *path, int *fd, struct err *err)
{
	if (mkdir(path, 0755) && errno != EEXIST)
		return err_set(err, -errno, "make %s: %m", path);
	*fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *fd < 0 ? err_set(err, -errno, "open %s: %m", path) : 0;
}

static void free_entry(struct symbols_entry *entry)
{
	executable_unref(entry->exe);
	if (entry->root_fd >= 0)
		close(entry->root_fd);
	free(entry);
}

/* Under the lock. The executables that nobody else has any more make room. */
static void sweep(struct symbols *symbols)
{
	size_t kept = 0;
	for (size_t i = 0; i < symbols->entry_count; i++) {
		struct symbols_entry *entry = symbols->entries[i];
		if (entry->stage == SYMBOLS_RUNNING || executable_is_shared(entry->exe)) {
			symbols->entries[kept++] = entry;
			continue;
		}
		symbols->lost_unnamed_samples += entry->unnamed_samples;
		map_remove(&symbols->by_exe, (uintptr_t)entry->exe);
		free_entry(entry);
	}
	symbols->entry_count = kept;
}

struct symbols_entry *symbols_add_entry(struct symbols *symbols, struct executable *exe,
					int root_fd)
{
	if (symbols->entry_count >= MAX_ENTRIES)
		sweep(symbols);
	if (ARRAY_RESERVE(symbols->entries, symbols->entry_cap, symbols->entry_count, MAX_ENTRIES))
		return NULL;
	struct symbols_entry *entry = calloc(1, sizeof(*entry));
	if (!entry || map_put(&symbols->by_exe, (uintptr_t)exe, entry)) {
		free(entry);
		return NULL;
	}
	entry->exe = executable_ref(exe);
	entry->patience_mono_ns = clock_mono_ns() + PATIENCE_S * NS_PER_S;
	entry->root_fd = root_fd < 0 ? -1 : fcntl(root_fd, F_DUPFD_CLOEXEC, 0);
	symbols->entries[symbols->entry_count++] = entry;
	return entry;
}

void symbols_meet(struct symbols *symbols, struct executable *exe, int root_fd)
{
	pthread_mutex_lock(&symbols->lock);
	struct symbols_entry *entry = map_get(&symbols->by_exe, (uintptr_t)exe);
	if (!entry && (entry = symbols_add_entry(symbols, exe, root_fd)) != NULL) {
		if (symbols_attach_cached(symbols, entry)) {
			entry->stage = SYMBOLS_DONE;
			symbols->from_cache++;
		}
		pthread_cond_broadcast(&symbols->changed);
	}
	pthread_mutex_unlock(&symbols->lock);
}

void symbols_add_unnamed(struct symbols *symbols, struct executable *exe, uint64_t samples)
{
	pthread_mutex_lock(&symbols->lock);
	struct symbols_entry *entry = map_get(&symbols->by_exe, (uintptr_t)exe);
	if (entry)
		entry->unnamed_samples += samples;
	else
		symbols->lost_unnamed_samples += samples;
	pthread_mutex_unlock(&symbols->lock);
}

void symbols_add_unnamed_other(struct symbols *symbols, const char *file, const char *reason,
			       const char *remedy, uint64_t samples)
{
	pthread_mutex_lock(&symbols->lock);
	size_t i = 0;
	/* As they are kept: cut. */
	while (i < symbols->other_count &&
	       (strncmp(symbols->others[i].file, file, SYMBOLS_TEXT_BYTES - 1) != 0 ||
		strncmp(symbols->others[i].reason, reason, SYMBOLS_TEXT_BYTES - 1) != 0))
		i++;
	if (i == symbols->other_count && i < SYMBOLS_MAX_OTHERS) {
		struct symbols_unnamed *added = &symbols->others[symbols->other_count++];
		snprintf(added->file, sizeof(added->file), "%s", file);
		snprintf(added->reason, sizeof(added->reason), "%s", reason);
		snprintf(added->remedy, sizeof(added->remedy), "%s", remedy);
	}
	if (i < symbols->other_count)
		symbols->others[i].samples += samples;
	else
		symbols->lost_unnamed_samples += samples;
	pthread_mutex_unlock(&symbols->lock);
}

/* What a server has answered: whoever asked tries again. */
static void on_answer(void *ctx, const uint8_t *id, size_t id_bytes, int code)
{
	struct symbols *symbols = ctx;
	char hex[BUILD_ID_HEX_BYTES] = "";
	for (size_t i = 0; i < id_bytes && i < BUILD_ID_MAX_BYTES; i++)
		snprintf(hex + 2 * i, 3, "%02x", id[i]);
	pthread_mutex_lock(&symbols->lock);
	for (size_t i = 0; i < symbols->entry_count; i++) {
		struct symbols_entry *entry = symbols->entries[i];
		if (strcmp(executable_build_id(entry->exe), hex) != 0)
			continue;
		if (entry->stage == SYMBOLS_RUNNING) {
			entry->is_answered = true;
			entry->has_arrived |= !code;
		} else if (entry->is_pending && !code) {
			entry->stage = SYMBOLS_WAITING;
		}
		entry->is_pending = false;
	}
	pthread_cond_broadcast(&symbols->changed);
	pthread_mutex_unlock(&symbols->lock);
}

/* Under the lock: the one that costs most, then the one that waits longest. */
static struct symbols_entry *next_entry(const struct symbols *symbols)
{
	struct symbols_entry *next = NULL;
	for (size_t i = 0; i < symbols->entry_count; i++) {
		struct symbols_entry *entry = symbols->entries[i];
		if (entry->stage == SYMBOLS_WAITING &&
		    (!next || entry->unnamed_samples > next->unnamed_samples))
			next = entry;
	}
	return next;
}

/* Under the lock: one that may be named better by now. */
static struct symbols_entry *next_search(const struct symbols *symbols)
{
	int64_t before = clock_mono_ns() - SEARCH_AGAIN_S * NS_PER_S;
	for (size_t i = 0; i < symbols->entry_count; i++) {
		struct symbols_entry *entry = symbols->entries[i];
		if (entry->stage == SYMBOLS_DONE && !entry->has_lines && !entry->is_upload &&
		    entry->searched_mono_ns < before)
			return entry;
	}
	return NULL;
}

/* Under the lock: one to tell of once more. */
static struct symbols_entry *next_to_tell(const struct symbols *symbols)
{
	int64_t now_mono_ns = clock_mono_ns();
	bool is_now = atomic_load(&symbols->hurried) || atomic_load(&symbols->is_ending);
	for (size_t i = 0; i < symbols->entry_count; i++) {
		struct symbols_entry *entry = symbols->entries[i];
		if (entry->stage == SYMBOLS_DONE && entry->tell_mono_ns &&
		    (is_now || entry->tell_mono_ns <= now_mono_ns))
			return entry;
	}
	return NULL;
}

/* Under the lock. The answer of a server may have come meanwhile. */
static void finish(struct symbols_entry *entry)
{
	entry->stage = entry->has_arrived ? SYMBOLS_WAITING : SYMBOLS_DONE;
	entry->is_answered = entry->has_arrived = false;
}

static void tell_of(struct symbols *symbols, struct symbols_entry *entry)
{
	entry->tell_mono_ns = 0;
	entry->stage = SYMBOLS_RUNNING; /* so that nobody lets it go */
	pthread_mutex_unlock(&symbols->lock);
	symbols_tell(symbols, entry->exe);
	pthread_mutex_lock(&symbols->lock);
	finish(entry);
	pthread_cond_broadcast(&symbols->changed);
}

static void work_on(struct symbols *symbols, struct symbols_entry *entry)
{
	entry->stage = SYMBOLS_RUNNING;
	symbols->running = entry;
	pthread_mutex_unlock(&symbols->lock);
	symbols_work(symbols, entry);
	if (symbols->cache_fd >= 0)
		cache_dir_trim(symbols->cache_fd, symbols->options.cache_max_bytes);
	pthread_mutex_lock(&symbols->lock);
	symbols->running = NULL;
	finish(entry);
	pthread_cond_broadcast(&symbols->changed);
}

static void search_for(struct symbols *symbols, struct symbols_entry *entry)
{
	entry->searched_mono_ns = clock_mono_ns();
	entry->stage = SYMBOLS_RUNNING; /* as above */
	pthread_mutex_unlock(&symbols->lock);
	symbols_set_priority(symbols, true);
	struct symbols_finding finding;
	symbols_search_again(symbols, entry, &finding);
	symbols_set_priority(symbols, false);
	pthread_mutex_lock(&symbols->lock);
	entry->has_arrived |= finding.is_new;
	memcpy(entry->reason, finding.reason, sizeof(entry->reason));
	memcpy(entry->problem, finding.problem, sizeof(entry->problem));
	finish(entry);
}

/* Until something is met, an answer comes, or it may be time for something. */
static void wait_for_change(struct symbols *symbols)
{
	struct timespec until;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += WAKE_UP_S;
	pthread_cond_timedwait(&symbols->changed, &symbols->lock, &until);
}

static void *run(void *ctx)
{
	struct symbols *symbols = ctx;
	pthread_setname_np(pthread_self(), "hearth-symbols");
	atomic_store(&symbols->tid, gettid());
	pthread_mutex_lock(&symbols->lock);
	while (!atomic_load(&symbols->is_ending)) {
		struct symbols_entry *entry;
		if ((entry = next_entry(symbols)) != NULL)
			work_on(symbols, entry);
		else if ((entry = next_to_tell(symbols)) != NULL)
			tell_of(symbols, entry);
		else if ((entry = next_search(symbols)) != NULL)
			search_for(symbols, entry);
		else
			wait_for_change(symbols);
	}
	struct symbols_entry *last;
	while ((last = next_to_tell(symbols)) != NULL)
		tell_of(symbols, last);
	pthread_mutex_unlock(&symbols->lock);
	return NULL;
}

static int open_remote(struct symbols *symbols, struct err *err)
{
	const struct symbols_options *options = &symbols->options;
	char directory[4096];
	if (!options->cache_directory || (options->debuginfod_urls && !options->debuginfod_urls[0]))
		return 0;
	if (snprintf(directory, sizeof(directory), "%s/debuginfod", options->cache_directory) >=
	    (int)sizeof(directory))
		return err_set(err, -ENAMETOOLONG, "%s: %m", options->cache_directory);
	struct debuginfod_options remote = {
		.urls = options->debuginfod_urls,
		.cache_dir = directory,
		.on_answer = on_answer,
		.ctx = symbols,
	};
	struct err remote_err = {0};
	int rc = debuginfod_open(&symbols->remote, &remote, &remote_err);
	if (rc && rc != -ENOENT && options->warn)
		options->warn(options->ctx, remote_err.text);
	return rc == -ENOMEM ? err_set(err, rc, "debuginfod: %m") : 0;
}

static int open_parts(struct symbols *symbols, struct err *err)
{
	const struct symbols_options *options = &symbols->options;
	int rc = demangle_cache_new(&symbols->demangled, DEMANGLED_BYTES, err);
	if (!rc && options->cache_directory)
		rc = symbols_open_directory(options->cache_directory, &symbols->cache_fd, err);
	/* Made when it is needed. */
	if (!rc && options->upload_directory)
		symbols->upload_fd =
			open(options->upload_directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	symbols->host_root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return rc ? rc : open_remote(symbols, err);
}

static void init_locks(struct symbols *symbols)
{
	pthread_condattr_t attributes;
	pthread_mutex_init(&symbols->lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&symbols->changed, &attributes);
	pthread_condattr_destroy(&attributes);
}

int symbols_new(struct symbols **out, const struct symbols_options *options, struct err *err)
{
	AUTO(symbols) symbols = calloc(1, sizeof(*symbols));
	if (!symbols)
		return err_set(err, -ENOMEM, "symbols: %m");
	symbols->options = *options;
	if (!options->cache_max_bytes)
		symbols->options.cache_max_bytes = DEFAULT_CACHE_BYTES;
	symbols->cache_fd = symbols->upload_fd = symbols->host_root_fd = -1;
	symbols->nice = getpriority(PRIO_PROCESS, 0); /* of this thread, and so of the new one */
	map_init(&symbols->by_exe, MAX_ENTRIES);
	init_locks(symbols);
	int rc = open_parts(symbols, err);
	if (rc)
		return rc;
	rc = pthread_create(&symbols->thread, NULL, run, symbols);
	if (rc)
		return err_set(err, -rc, "start a thread: %m");
	symbols->runs = true;
	*out = TAKE(symbols);
	return 0;
}

void symbols_hurry(struct symbols *symbols)
{
	atomic_fetch_add(&symbols->hurried, 1);
	int tid = atomic_load(&symbols->tid);
	if (tid)
		(void)setpriority(PRIO_PROCESS, (id_t)tid, symbols->nice);
}

static void stop(struct symbols *symbols)
{
	atomic_store(&symbols->is_ending, true);
	symbols_hurry(symbols);
	pthread_mutex_lock(&symbols->lock);
	pthread_cond_broadcast(&symbols->changed);
	pthread_mutex_unlock(&symbols->lock);
	pthread_join(symbols->thread, NULL);
}

void symbols_free(struct symbols *symbols)
{
	if (!symbols)
		return;
	debuginfod_free(symbols->remote);
	if (symbols->runs)
		stop(symbols);
	for (size_t i = 0; i < symbols->entry_count; i++)
		free_entry(symbols->entries[i]);
	free(symbols->entries);
	map_fini(&symbols->by_exe);
	demangle_cache_free(symbols->demangled);
	pthread_mutex_destroy(&symbols->lock);
	pthread_cond_destroy(&symbols->changed);
	int fds[] = {symbols->cache_fd, symbols->upload_fd, symbols->host_root_fd};
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	free(symbols);
}

static bool is_all_done(const struct symbols *symbols)
{
	for (size_t i = 0; i < symbols->entry_count; i++)
		if (symbols->entries[i]->stage != SYMBOLS_DONE || symbols->entries[i]->is_pending ||
		    symbols->entries[i]->tell_mono_ns)
			return false;
	return true;
}

struct timespec symbols_deadline_in(int64_t timeout_ns)
{
	int64_t at_ns = clock_mono_ns() + timeout_ns;
	return (struct timespec){at_ns / NS_PER_S, at_ns % NS_PER_S};
}

bool symbols_wait(struct symbols *symbols, int64_t timeout_ns)
{
	struct timespec until = symbols_deadline_in(timeout_ns);
	symbols_hurry(symbols);
	pthread_mutex_lock(&symbols->lock);
	pthread_cond_broadcast(&symbols->changed);
	int rc = 0;
	bool is_done = false;
	while (!(is_done = is_all_done(symbols)) && !rc)
		rc = pthread_cond_timedwait(&symbols->changed, &symbols->lock, &until);
	pthread_mutex_unlock(&symbols->lock);
	atomic_fetch_sub(&symbols->hurried, 1);
	return is_done;
}
