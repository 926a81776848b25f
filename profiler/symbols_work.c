/* What the thread of symbols does for one executable. */
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "profiler/frame_lines.h"
#include "profiler/symbols_state.h"
#include "symbolizer/gsym.h"
#include "symbolizer/names_make.h"
#include "symbolizer/symbol_cache.h"
#include "symbolizer/symbol_frames.h"

/* ioprio_set(2); glibc has no wrapper, and the numbers are in no header of user space. */
enum {
	IOPRIO_WHO_PROCESS = 1,
	IOPRIO_CLASS_SHIFT = 13,
	IOPRIO_CLASS_BE = 2,
	IOPRIO_CLASS_IDLE = 3
};

/* A tenth of what others get, and not SCHED_IDLE, which gets nothing where all CPUs are busy: a
 * killed process is not gone before its last thread has run, and it is that one which gives back
 * the memory of all. */
enum { LOW_NICE = 10 };

void symbols_set_priority(struct symbols *symbols, bool low)
{
	int nice = low && symbols->nice < LOW_NICE ? LOW_NICE : symbols->nice;
	int class = low ? IOPRIO_CLASS_IDLE : IOPRIO_CLASS_BE;
	/* Of this thread alone: setpriority(2), C library/kernel differences. Refused without
	 * rights: then it goes on as it is. */
	(void)setpriority(PRIO_PROCESS, (id_t)gettid(), nice);
	(void)syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0,
		      class << IOPRIO_CLASS_SHIFT | (low ? 0 : 4));
	symbols->has_low_priority = low;
}

static bool is_patient(struct symbols *symbols, const struct symbols_entry *entry)
{
	return !atomic_load(&symbols->hurried) && clock_mono_ns() < entry->patience_mono_ns;
}

struct search_roots {
	int fds[2];
	struct debug_search search;
};

static void fill_search(struct search_roots *roots, const struct symbols *symbols,
			const struct symbols_entry *entry)
{
	*roots = (struct search_roots){0};
	size_t count = 0;
	if (entry->root_fd >= 0)
		roots->fds[count++] = entry->root_fd;
	if (symbols->host_root_fd >= 0)
		roots->fds[count++] = symbols->host_root_fd;
	roots->search = (struct debug_search){
		.root_fds = roots->fds,
		.root_count = count,
		.executable_path = executable_name(entry->exe),
		.debug_dirs = symbols->options.debug_dirs,
		.debug_dir_count = symbols->options.debug_dir_count,
		.remote = symbols->remote,
	};
}

static void copy_text(char *to, size_t size_bytes, const char *from)
{
	snprintf(to, size_bytes, "%s", from ? from : "");
}

void symbols_search_again(struct symbols *symbols, const struct symbols_entry *entry,
			  struct symbols_finding *finding)
{
	struct search_roots roots;
	struct debug_file debug = {0};
	struct err err = {0};
	fill_search(&roots, symbols, entry);
	bool is_found = !debug_file_find(&debug, executable_elf(entry->exe), &roots.search, &err);
	finding->is_new = is_found && strcmp(debug.where, entry->where) != 0;
	copy_text(finding->reason, sizeof(finding->reason), executable_unnamed_reason(entry->exe));
	copy_text(finding->problem, sizeof(finding->problem), err.text);
	if (is_found)
		debug_file_fini(&debug);
}

/* What the renamer of an entry needs. */
struct names {
	struct symbols *symbols;
	struct executable *exe;
};

static int give_lines(void *ctx, struct profile *profile, uint64_t vaddr,
		      struct profile_line *lines, uint32_t *count, bool *is_folded)
{
	_Static_assert((int)RENAME_MAX_LINES == (int)SYMBOL_MAX_FRAMES, "one limit");
	const struct names *names = ctx;
	struct symbol_frames frames;
	if (!symbol_frames_find(&frames, names->exe, vaddr, names->symbols->demangled))
		return 0;
	*count = frames.count;
	*is_folded = frames.is_folded;
	return frame_lines(profile, &frames, lines);
}

void symbols_tell(struct symbols *symbols, struct executable *exe)
{
	struct names names = {symbols, exe};
	struct profile_renamer renamer = {give_lines, &names};
	if (!symbols->options.renamed || !executable_build_id(exe)[0])
		return;
	symbols->options.renamed(symbols->options.ctx, executable_build_id(exe), &renamer);
	demangle_cache_sweep(symbols->demangled);
}

static bool has_lines(const struct gsym *gsym)
{
	return gsym_has_source(gsym, GSYM_FROM_DWARF) || gsym_has_source(gsym, GSYM_FROM_PCLNTAB);
}

/* Under the lock, or before anybody else knows of the entry. */
static bool attach(struct symbols_entry *entry, struct gsym *gsym)
{
	bool is_better = has_lines(gsym);
	if (executable_attach(entry->exe, gsym)) {
		gsym_free(gsym);
		return false;
	}
	entry->has_lines = is_better;
	if (is_better) {
		entry->unnamed_samples = 0; /* they have their names now */
		entry->reason[0] = 0;
	}
	return true;
}

bool symbols_attach_cached(struct symbols *symbols, struct symbols_entry *entry)
{
	const int places[] = {symbols->upload_fd, symbols->cache_fd};
	char id[BUILD_ID_HEX_BYTES];
	struct err err = {0};
	int rc = symbol_cache_id(id, entry->exe, &err);
	for (size_t i = 0; i < 2 && !rc; i++) {
		struct gsym *gsym = NULL;
		if (places[i] >= 0 && !symbol_cache_load(&gsym, places[i], id, &err))
			return attach(entry, gsym);
	}
	return false;
}

/* What a compilation asks back. */
struct compilation {
	struct symbols *symbols;
	const struct symbols_entry *entry;
};

/* Asked often, so that it is not behind others for longer than it may. */
static bool is_cancelled(void *ctx)
{
	const struct compilation *compilation = ctx;
	struct symbols *symbols = compilation->symbols;
	if (symbols->has_low_priority && !is_patient(symbols, compilation->entry))
		symbols_set_priority(symbols, false);
	return atomic_load(&symbols->is_ending);
}

static int compile(struct symbols *symbols, const struct symbols_entry *entry,
		   const struct debug_search *search, struct debug_file *debug,
		   struct names_stats *stats, struct gsym **gsym, struct err *err)
{
	struct compilation compilation = {symbols, entry};
	char id[BUILD_ID_HEX_BYTES];
	int cache_fd = entry->is_upload ? symbols->upload_fd : symbols->cache_fd;
	const struct names_order order = {
		.file = executable_elf(entry->exe),
		.debug = debug,
		.search = search,
		.cache_fd = symbol_cache_id(id, entry->exe, NULL) ? -1 : cache_fd,
		.id = id,
		.must_keep = entry->is_upload,
		.is_cancelled = is_cancelled,
		.ctx = &compilation,
	};
	int rc = names_make(gsym, &order, stats, err);
	malloc_trim(0); /* a large file leaves hundreds of MB behind */
	return rc;
}

/* What was uploaded need not be fetched. Under the lock. */
static void stop_asking(struct symbols *symbols, struct symbols_entry *twin)
{
	uint8_t id[ELF_BUILD_ID_MAX_BYTES];
	size_t id_bytes = elf_file_build_id(executable_elf(twin->exe), id);
	if (twin->is_pending)
		debuginfod_cancel(symbols->remote, id, id_bytes);
	twin->is_pending = false;
}

/* Other executables with the same build ID, e.g. after an upload, are named by it too. */
static void attach_to_twins(struct symbols *symbols, const struct symbols_entry *entry)
{
	const char *build_id = executable_build_id(entry->exe);
	pthread_mutex_lock(&symbols->lock);
	for (size_t i = 0; i < symbols->entry_count && build_id[0]; i++) {
		struct symbols_entry *twin = symbols->entries[i];
		if (twin != entry && twin->stage == SYMBOLS_DONE &&
		    !strcmp(executable_build_id(twin->exe), build_id) &&
		    symbols_attach_cached(symbols, twin))
			stop_asking(symbols, twin);
	}
	pthread_mutex_unlock(&symbols->lock);
}

/* What came of the work on an entry. */
struct outcome {
	int search_rc, compile_rc;
	struct err search_err, compile_err;
	struct names_stats stats;
	const char *reason; /* NULL: all symbols are there; borrowed from the executable */
};

/* Under the lock. */
static void conclude(struct symbols *symbols, struct symbols_entry *entry,
		     const struct outcome *outcome, const struct debug_file *debug)
{
	int rc = outcome->compile_rc;
	copy_text(entry->reason, sizeof(entry->reason), outcome->reason);
	entry->has_failed = rc && rc != -ENOENT && rc != -ECANCELED;
	entry->is_pending =
		(debug->is_pending || outcome->search_rc == -EAGAIN) && !entry->is_answered;
	entry->searched_mono_ns = clock_mono_ns();
	copy_text(entry->where, sizeof(entry->where), debug->where);
	const char *problem = "";
	if (rc && rc != -ECANCELED)
		problem = outcome->compile_err.text;
	else if (outcome->stats.problem.code)
		problem = outcome->stats.problem.text;
	else if (outcome->search_rc)
		problem = outcome->search_err.text;
	copy_text(entry->problem, sizeof(entry->problem), problem);
	symbols->compiled += !rc;
	symbols->failed += entry->has_failed;
}

void symbols_work(struct symbols *symbols, struct symbols_entry *entry)
{
	struct search_roots roots;
	struct debug_file debug = {.fd = -1, .alternate_fd = -1};
	struct outcome outcome = {0};
	struct gsym *gsym = NULL;
	fill_search(&roots, symbols, entry);
	symbols_set_priority(symbols, is_patient(symbols, entry));
	if (!entry->is_upload)
		outcome.search_rc = debug_file_find(&debug, executable_elf(entry->exe),
						    &roots.search, &outcome.search_err);
	bool has_debug_file = debug.fd >= 0;
	outcome.compile_rc = compile(symbols, entry, &roots.search, &debug, &outcome.stats, &gsym,
				     &outcome.compile_err);
	if (outcome.stats.is_stripped)
		outcome.reason = executable_unnamed_reason(entry->exe);
	symbols_set_priority(symbols, false);
	pthread_mutex_lock(&symbols->lock);
	conclude(symbols, entry, &outcome, &debug);
	bool is_attached = gsym && attach(entry, gsym);
	bool is_better = is_attached && (has_debug_file || entry->has_lines || entry->is_upload);
	if (is_better)
		entry->tell_mono_ns = clock_mono_ns() + SYMBOLS_TELL_AGAIN_NS;
	pthread_mutex_unlock(&symbols->lock);
	debug_file_fini(&debug);
	/* Else the executable's own symbol table has said all of it, at once. */
	if (is_better) {
		attach_to_twins(symbols, entry);
		symbols_tell(symbols, entry->exe);
	}
}
