/*
 * symbols_state: what the files of symbols.c share; symbols.h is for everybody else.
 */
#pragma once
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "base/map.h"
#include "profiler/symbols.h"
#include "symbolizer/debug_file.h"
#include "symbolizer/debuginfod.h"
#include "symbolizer/demangle_cache.h"
#include "symbolizer/names_compile.h"

/* What was named before an executable had its new names may be on its way for that long. */
#define SYMBOLS_TELL_AGAIN_NS (10 * NS_PER_S)

enum symbols_stage { SYMBOLS_WAITING, SYMBOLS_RUNNING, SYMBOLS_DONE };

/* One executable. Under the lock, but for exe and root_fd, which do not change. */
struct symbols_entry {
	struct executable *exe; /* a reference */
	int root_fd;            /* -1: this machine's only */
	enum symbols_stage stage;
	bool is_upload;                /* exe is the file that was uploaded */
	bool is_pending;               /* a server was asked for its debug file */
	bool is_answered, has_arrived; /* and has answered, with a file, while it was running */
	bool has_lines;                /* so that there is no more to be found */
	bool has_failed;               /* to be compiled */
	uint64_t unnamed_samples;
	int64_t searched_mono_ns;
	int64_t patience_mono_ns;           /* until then it is compiled at low priority */
	int64_t tell_mono_ns;               /* when to tell of its names once more; 0: never */
	char where[DEBUG_FILE_WHERE_BYTES]; /* the debug file it was compiled with; "": none */
	char reason[128];                   /* why names are missing; "": not known */
	char problem[256];                  /* why there is none, or what was wrong with it */
};

enum { SYMBOLS_MAX_OTHERS = 64 };

struct symbols {
	struct symbols_options options;
	int cache_fd, upload_fd; /* directories; -1: none */
	int host_root_fd;
	struct debuginfod *remote; /* NULL: off */

	pthread_t thread;
	bool runs;
	atomic_bool is_ending;
	atomic_bool has_no_uploads;       /* nobody may wait for one */
	atomic_int hurried;               /* how many wait */
	int nice;                         /* of the thread when others are not first */
	atomic_int tid;                   /* 0: it has not begun */
	bool has_low_priority;            /* the thread's own: now */
	struct demangle_cache *demangled; /* the thread's own */

	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct map by_exe;
	struct symbols_entry **entries;
	size_t entry_count, entry_cap;
	const struct symbols_entry *running;
	uint64_t compiled, from_cache, failed;
	struct symbols_unnamed others[SYMBOLS_MAX_OTHERS]; /* what is no executable */
	size_t other_count;
	uint64_t lost_unnamed_samples; /* of entries that were let go, and of too many others */
};

/* Find the debug file of an entry, compile, attach and tell. On the thread, without the lock. */
void symbols_work(struct symbols *symbols, struct symbols_entry *entry);
/* Tell of an entry's names: call options.renamed. The same. */
void symbols_tell(struct symbols *symbols, struct executable *exe);
/* What another search has found: a debug file that was not there the last time, or why not. */
struct symbols_finding {
	bool is_new;
	char reason[128], problem[256]; /* as in symbols_entry */
};
/* The same. */
void symbols_search_again(struct symbols *symbols, const struct symbols_entry *entry,
			  struct symbols_finding *finding);
/* Attach what the cache has. False: nothing. */
bool symbols_attach_cached(struct symbols *symbols, struct symbols_entry *entry);
/* Behind the others, or as they are; on the thread. Only where it holds no lock, and nobody waits
 * for what it does, is it behind. */
void symbols_set_priority(struct symbols *symbols, bool low);
/* Somebody waits, until `hurried` is taken back. The thread itself would see that only when it gets a
 * CPU, and when it asks. Any thread. */
void symbols_hurry(struct symbols *symbols);
struct timespec symbols_deadline_in(int64_t timeout_ns);

/* Under the lock. NULL: no room. */
struct symbols_entry *symbols_add_entry(struct symbols *symbols, struct executable *exe,
					int root_fd);
/* Made when missing. mkdir(2)'s and open(2)'s errors. */
int symbols_open_directory(const char *path, int *fd, struct err *err);
