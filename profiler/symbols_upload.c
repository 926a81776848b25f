/* Names that somebody uploads. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/clock.h"
#include "profiler/symbols_state.h"

enum { UPLOAD_WAIT_S = 60 };

/* The upload directory, made at the first upload. */
static int need_upload_directory(struct symbols *symbols, struct err *err)
{
	if (!symbols->options.upload_directory)
		return err_set(err, -ENOTSUP, "there is no place for uploaded symbols");
	pthread_mutex_lock(&symbols->lock);
	int rc = symbols->upload_fd >= 0 ? 0
					 : symbols_open_directory(symbols->options.upload_directory,
								  &symbols->upload_fd, err);
	pthread_mutex_unlock(&symbols->lock);
	return rc;
}

static int open_upload(struct executable **exe, const char *build_id, int fd, struct err *err)
{
	AUTO(executable) opened = NULL;
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (copy < 0)
		return err_set(err, -errno, "dup: %m");
	int rc = executable_open(&opened, copy, "the file", err);
	if (rc)
		return rc;
	const char *has = executable_build_id(opened);
	if (strcmp(has, build_id) != 0)
		return err_set(err, -EINVAL, "the file has %s%s, not %s",
			       has[0] ? "build ID " : "no build ID", has, build_id);
	*exe = TAKE(opened);
	return 0;
}

/* Under the lock. */
static int wait_for_entry(struct symbols *symbols, const struct symbols_entry *entry,
			  struct err *err)
{
	struct timespec until = symbols_deadline_in(UPLOAD_WAIT_S * NS_PER_S);
	int rc = 0;
	while (entry->stage != SYMBOLS_DONE && !rc && !atomic_load(&symbols->has_no_uploads))
		rc = pthread_cond_timedwait(&symbols->changed, &symbols->lock, &until);
	if (entry->stage != SYMBOLS_DONE)
		return err_set(err, -ETIME, "compiling takes longer than there is time to wait");
	return entry->has_failed || !executable_gsym(entry->exe)
		       ? err_set(err, -EBADMSG, "%s", entry->problem)
		       : 0;
}

void symbols_end_uploads(struct symbols *symbols)
{
	pthread_mutex_lock(&symbols->lock);
	atomic_store(&symbols->has_no_uploads, true);
	pthread_cond_broadcast(&symbols->changed);
	pthread_mutex_unlock(&symbols->lock);
}

int symbols_upload(struct symbols *symbols, const char *build_id, int fd, struct err *err)
{
	AUTO(executable) exe = NULL;
	int rc = open_upload(&exe, build_id, fd, err);
	if (!rc)
		rc = need_upload_directory(symbols, err);
	if (rc)
		return rc;
	symbols_hurry(symbols);
	pthread_mutex_lock(&symbols->lock);
	struct symbols_entry *entry = symbols_add_entry(symbols, exe, -1);
	if (entry) {
		entry->is_upload = true;
		pthread_cond_broadcast(&symbols->changed);
		rc = wait_for_entry(symbols, entry, err);
	} else {
		rc = err_set(err, -ENOSPC, "too many executables");
	}
	pthread_mutex_unlock(&symbols->lock);
	atomic_fetch_sub(&symbols->hurried, 1);
	return rc;
}
