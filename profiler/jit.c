#include "profiler/jit.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>

#include "base/clock.h"
#include "profiler/procfs.h"
#include "symbolizer/jitdump.h"
#include "symbolizer/perf_map.h"

/* Each holds a few descriptors. */
enum { MAX_PROCESSES = 2048, MAX_DUMPS = 4, MAX_DEPTH = 4 };
static const uint64_t DEFAULT_MAX_BYTES = 256 << 20;
/* The files are read again after this time at the earliest, after COST_FACTOR times the CPU time that
 * reading them took, and, as a disk may be slow, after WAIT_FACTOR times the time. */
static const uint64_t REREAD_NS = 20 * UINT64_C(1000000);
enum { COST_FACTOR = 20, WAIT_FACTOR = 2 };
/* Clocks of files are coarse. */
static const int64_t MTIME_SLACK_NS = 1 * NS_PER_S;
static const int64_t NS_PER_TICK = NS_PER_S / 100; /* USER_HZ is 100 everywhere */

/* How a name can be missing. */
enum lack {
	LACK_MAP,
	LACK_OWNER,
	LACK_NEW_MAP,
	LACK_RIGHTS,
	LACK_CODE,
	LACK_CODE_IN_DUMP,
	LACK_FORMAT,
	LACK_MEMORY,
};

static const struct jit_unnamed lacks[] = {
	[LACK_MAP] = {"code made at run time, without a perf map or a jitdump",
		      "start node with --perf-basic-prof --interpreted-frames-native-stack, python "
		      "3.12 with -X perf, Java with a perf map agent; or ask a JVM by jcmd PID "
		      "Compiler.perfmap"},
	[LACK_OWNER] = {"its perf map belongs to another user",
			"/tmp/perf-PID.map has to belong to the user of the process, or to root: "
			"remove it and have the process write it"},
	[LACK_NEW_MAP] = {"its perf map is older than the process",
			  "another process of that number left /tmp/perf-PID.map: remove it and "
			  "have the process write its own"},
	[LACK_RIGHTS] = {"its perf map cannot be read", "rights are missing: see hearth doctor"},
	[LACK_CODE] = {"its perf map does not tell of this code",
		       "a map that is written on demand lacks what was made later: ask a JVM again "
		       "by jcmd PID Compiler.perfmap, or use an agent that writes as code is made"},
	[LACK_CODE_IN_DUMP] = {"its jitdump does not tell of this code",
			       "the runtime does not tell of all the code that it makes"},
	[LACK_FORMAT] = {"its perf map or jitdump is damaged",
			 "have the process write it again, by another version of its runtime"},
	[LACK_MEMORY] = {"names of code made at run time have used up their memory",
			 "processes that end make room"},
};

struct jit {
	unsigned int refs; /* atomic */
	int tmp_fd;
	uint64_t max_bytes;
	_Atomic uint64_t used_bytes;
	_Atomic unsigned int processes;
};

/* A jitdump, read as far as it was there. */
struct dump {
	int fd;
	dev_t dev;
	ino_t ino;
	struct jitdump *codes; /* by the asking thread only */
};

struct jit_process {
	unsigned int refs;          /* atomic */
	struct jit *jit;            /* a reference */
	struct jit_process *parent; /* a reference; NULL: none */
	unsigned int depth;
	uint32_t pid, ns_pid;
	int tmp_fd; /* as the process sees it; -1: as we do, see is_ours, or not known */
	bool is_ours;
	int64_t start_unix_ns;

	pthread_mutex_t lock; /* guards dump_count, and the dumps' descriptors below it */
	struct dump dumps[MAX_DUMPS];
	size_t dump_count;

	/* By the asking thread only. */
	uint32_t uid;
	int map_fd; /* the perf map as last seen; -1: not seen */
	struct perf_map *map;
	uint64_t next_read_mono_ns;
	uint64_t charged_bytes;
	enum lack lack;   /* of what was asked last */
	char damage[256]; /* with LACK_FORMAT and LACK_RIGHTS */
};

int jit_new(struct jit **out, const struct jit_options *options, struct err *err)
{
	struct jit *jit = calloc(1, sizeof(*jit));
	if (!jit)
		return err_set(err, -ENOMEM, "jit: %m");
	jit->refs = 1;
	const char *tmp = options && options->tmp_directory ? options->tmp_directory : "/tmp";
	jit->tmp_fd = open(tmp, O_PATH | O_DIRECTORY | O_CLOEXEC);
	jit->max_bytes = options && options->max_bytes ? options->max_bytes : DEFAULT_MAX_BYTES;
	*out = jit;
	return 0;
}

void jit_unref(struct jit *jit)
{
	if (!jit || __atomic_sub_fetch(&jit->refs, 1, __ATOMIC_ACQ_REL))
		return;
	auto_close_fd(&jit->tmp_fd);
	free(jit);
}

/* --- processes --- */

/* Its /tmp, resolved in its root: symbolic links that strangers made lead nowhere else. */
static int open_tmp(uint32_t pid)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%u/root", pid);
	AUTO_FD root_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root_fd < 0)
		return -1;
	struct open_how how = {
		.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};
	return (int)syscall(SYS_openat2, root_fd, "tmp", &how, sizeof(how));
}

static bool is_same_file(int fd, int other_fd)
{
	struct stat st, other;
	return !fstat(fd, &st) && !fstat(other_fd, &other) && st.st_dev == other.st_dev &&
	       st.st_ino == other.st_ino;
}

static int64_t start_unix_ns(uint32_t pid)
{
	struct proc_stat stat;
	struct timespec now;
	if (proc_read_stat(&stat, pid) || clock_gettime(CLOCK_BOOTTIME, &now))
		return 0;
	int64_t age_ns =
		now.tv_sec * NS_PER_S + now.tv_nsec - (int64_t)stat.start_boot_ticks * NS_PER_TICK;
	return clock_unix_ns() - age_ns;
}

/* Everything that can be asked only while the process is there. */
static void pin(struct jit_process *process)
{
	struct proc_status status;
	if (proc_read_status(&status, process->pid))
		return;
	process->uid = status.uid;
	process->ns_pid = status.ns_pid;
	process->start_unix_ns = start_unix_ns(process->pid);
	process->tmp_fd = open_tmp(process->pid);
	process->is_ours = is_same_file(process->tmp_fd, process->jit->tmp_fd);
	if (process->is_ours) {
		close(process->tmp_fd);
		process->tmp_fd = -1;
	}
}

struct jit_process *jit_process_new(struct jit *jit, uint32_t pid, struct jit_process *parent)
{
	if (atomic_load(&jit->processes) >= MAX_PROCESSES)
		return NULL;
	struct jit_process *process = calloc(1, sizeof(*process));
	if (!process)
		return NULL;
	atomic_fetch_add(&jit->processes, 1);
	__atomic_add_fetch(&jit->refs, 1, __ATOMIC_RELAXED);
	process->refs = 1;
	process->jit = jit;
	process->pid = process->ns_pid = pid;
	process->tmp_fd = process->map_fd = -1;
	pthread_mutex_init(&process->lock, NULL);
	if (parent && parent->depth + 1 < MAX_DEPTH) {
		process->parent = jit_process_ref(parent);
		process->depth = parent->depth + 1;
	}
	pin(process);
	return process;
}

struct jit_process *jit_process_ref(struct jit_process *process)
{
	__atomic_add_fetch(&process->refs, 1, __ATOMIC_RELAXED);
	return process;
}

void jit_process_unref(struct jit_process *process)
{
	if (!process || __atomic_sub_fetch(&process->refs, 1, __ATOMIC_ACQ_REL))
		return;
	for (size_t i = 0; i < process->dump_count; i++) {
		close(process->dumps[i].fd);
		jitdump_free(process->dumps[i].codes);
	}
	perf_map_free(process->map);
	auto_close_fd(&process->map_fd);
	auto_close_fd(&process->tmp_fd);
	pthread_mutex_destroy(&process->lock);
	jit_process_unref(process->parent);
	atomic_fetch_sub(&process->jit->used_bytes, process->charged_bytes);
	atomic_fetch_sub(&process->jit->processes, 1);
	jit_unref(process->jit);
	free(process);
}

static bool has_dump(const struct jit_process *process, const struct stat *st)
{
	for (size_t i = 0; i < process->dump_count; i++)
		if (process->dumps[i].dev == st->st_dev && process->dumps[i].ino == st->st_ino)
			return true;
	return false;
}

void jit_process_add_dump(struct jit_process *process, int fd)
{
	struct stat st;
	if (fstat(fd, &st))
		return;
	pthread_mutex_lock(&process->lock);
	if (process->dump_count < MAX_DUMPS && !has_dump(process, &st)) {
		int own_fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
		if (own_fd >= 0)
			process->dumps[process->dump_count++] =
				(struct dump){.fd = own_fd, .dev = st.st_dev, .ino = st.st_ino};
	}
	pthread_mutex_unlock(&process->lock);
}

/* --- reading --- */

static void set_damage(struct jit_process *process, enum lack lack, const char *text)
{
	process->lack = lack;
	snprintf(process->damage, sizeof(process->damage), "%s", text);
}

/* The process, as who it was at first sight or is now; or somebody who may do anything. */
static bool may_own(struct jit_process *process, uint32_t uid)
{
	struct proc_status status;
	if (uid != process->uid && !proc_read_status(&status, process->pid) &&
	    status.ns_pid == process->ns_pid)
		process->uid = status.uid;
	return uid == process->uid || uid == 0;
}

/* The perf map in that /tmp, when it is one that the process can have written. Strangers may put
 * anything of that name there: a look comes first, by a descriptor that opens nothing. */
static int open_map(struct jit_process *process, int tmp_fd, uint32_t pid)
{
	char name[32];
	snprintf(name, sizeof(name), "perf-%u.map", pid);
	AUTO_FD place_fd = openat(tmp_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;
	if (place_fd < 0 || fstat(place_fd, &st) || !S_ISREG(st.st_mode))
		return -1;
	if (!may_own(process, st.st_uid)) {
		process->lack = LACK_OWNER;
		return -1;
	}
	int64_t mtime_unix_ns = st.st_mtim.tv_sec * NS_PER_S + st.st_mtim.tv_nsec;
	if (mtime_unix_ns + MTIME_SLACK_NS < process->start_unix_ns) {
		process->lack = LACK_NEW_MAP;
		return -1;
	}
	char place[64];
	snprintf(place, sizeof(place), "/proc/self/fd/%d", place_fd);
	int fd = open(place, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		char text[64];
		snprintf(text, sizeof(text), "its perf map cannot be read: %m");
		set_damage(process, LACK_RIGHTS, text);
	}
	return fd;
}

/* Where the process would write it, then where it ends up when an agent outside attaches. */
static int find_map(struct jit_process *process)
{
	int fd = -1;
	if (process->tmp_fd >= 0)
		fd = open_map(process, process->tmp_fd, process->ns_pid);
	else if (process->is_ours)
		fd = open_map(process, process->jit->tmp_fd, process->ns_pid);
	if (fd < 0 && process->start_unix_ns &&
	    (!process->is_ours || process->pid != process->ns_pid))
		fd = open_map(process, process->jit->tmp_fd, process->pid);
	return fd;
}

static void read_map(struct jit_process *process)
{
	int fd = find_map(process);
	if (fd >= 0) {
		auto_close_fd(&process->map_fd);
		process->map_fd = fd;
	}
	struct err err = {0};
	if (process->map_fd < 0 || (!process->map && perf_map_new(&process->map, NULL)))
		return;
	if (perf_map_read(process->map, process->map_fd, &err))
		set_damage(process, LACK_FORMAT, err.text);
	else
		process->lack = LACK_CODE;
}

/* The dumps there are; those behind the count are not touched by anybody else. */
static size_t dump_count(struct jit_process *process)
{
	pthread_mutex_lock(&process->lock);
	size_t count = process->dump_count;
	pthread_mutex_unlock(&process->lock);
	return count;
}

static void read_dump(struct jit_process *process, struct dump *dump)
{
	struct err err = {0};
	if (!dump->codes && jitdump_new(&dump->codes, NULL))
		return;
	if (!jitdump_read(dump->codes, dump->fd, &err))
		process->lack = LACK_CODE_IN_DUMP;
	else if (err.code != -ENODATA)
		set_damage(process, LACK_FORMAT, err.text);
}

static uint64_t memory_of(struct jit_process *process)
{
	uint64_t bytes = 0;
	if (process->map) {
		struct perf_map_stats stats;
		perf_map_stats(process->map, &stats);
		bytes += stats.bytes;
	}
	for (size_t i = 0; i < dump_count(process); i++) {
		struct jitdump_stats stats;
		if (!process->dumps[i].codes)
			continue;
		jitdump_stats(process->dumps[i].codes, &stats);
		bytes += stats.bytes;
	}
	return bytes;
}

static void charge(struct jit_process *process)
{
	uint64_t bytes = memory_of(process);
	atomic_fetch_add(&process->jit->used_bytes, bytes - process->charged_bytes);
	process->charged_bytes = bytes;
}

static uint64_t reread_pause_ns(uint64_t cpu_ns, uint64_t passed_ns)
{
	uint64_t pause_ns = REREAD_NS;
	if (pause_ns < cpu_ns * COST_FACTOR)
		pause_ns = cpu_ns * COST_FACTOR;
	if (pause_ns < passed_ns * WAIT_FACTOR)
		pause_ns = passed_ns * WAIT_FACTOR;
	return pause_ns;
}

/* What has come since the last time. Known addresses are no reason to leave it: memory for code
 * is used again. */
static void read_files(struct jit_process *process)
{
	uint64_t now_mono_ns = (uint64_t)clock_mono_ns();
	if (now_mono_ns < process->next_read_mono_ns)
		return;
	if (atomic_load(&process->jit->used_bytes) >= process->jit->max_bytes) {
		process->lack = LACK_MEMORY;
		return;
	}
	process->lack = LACK_MAP;
	uint64_t before_cpu_ns = (uint64_t)clock_thread_ns();
	read_map(process);
	for (size_t i = 0; i < dump_count(process); i++)
		read_dump(process, &process->dumps[i]);
	charge(process);
	uint64_t cpu_ns = (uint64_t)clock_thread_ns() - before_cpu_ns;
	uint64_t passed_ns = (uint64_t)clock_mono_ns() - now_mono_ns;
	process->next_read_mono_ns = now_mono_ns + passed_ns + reread_pause_ns(cpu_ns, passed_ns);
}

/* --- asking --- */

static bool find_read(struct jit_process *process, uint64_t ip, uint64_t at_mono_ns,
		      struct jit_symbol *symbol)
{
	for (size_t i = dump_count(process); i-- > 0;)
		if (process->dumps[i].codes &&
		    jitdump_find(process->dumps[i].codes, ip, at_mono_ns, symbol))
			return true;
	return process->map && perf_map_find(process->map, ip, symbol);
}

bool jit_process_find(struct jit_process *process, uint64_t ip, uint64_t at_mono_ns,
		      struct jit_symbol *symbol)
{
	for (struct jit_process *own = process; own; own = own->parent) {
		read_files(own);
		if (find_read(own, ip, at_mono_ns, symbol))
			return true;
	}
	return false;
}

struct jit_unnamed jit_process_unnamed(const struct jit_process *process)
{
	/* Code that was taken over: whoever tells of any is the one to ask. */
	const struct jit_process *teller = process;
	while (teller->lack == LACK_MAP && teller->parent)
		teller = teller->parent;
	struct jit_unnamed unnamed = lacks[teller->lack];
	if (teller->lack == LACK_FORMAT || teller->lack == LACK_RIGHTS)
		unnamed.reason = teller->damage;
	return unnamed;
}
