#include "profiler/processes.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/array.h"
#include "base/clock.h"
#include "base/map.h"

enum { MAX_PROCESSES = 1 << 20, MAX_THREADS = 1 << 22, MAX_MAPPINGS = 1 << 20 };
enum { MAX_CGROUP_BYTES = 1024 };
/* More than dlopen(3) ever makes of them; and at most this part of the time is spent on reading. */
enum { MANY_MAPPINGS = 1024, READ_SHARE = 100 };
static const uint64_t FORGET_AFTER_NS = 5 * UINT64_C(1000000000);
static const uint64_t NS_PER_TICK = 10 * UINT64_C(1000000); /* USER_HZ is 100 everywhere */

struct processes {
	struct map by_pid;
	struct map threads;
	struct files *files; /* borrowed */
	struct jit *jit;
	uint64_t serial; /* of the last process made */
	uint64_t scan;   /* number of the last scan */
};

static void clear_mappings(struct process *process)
{
	for (size_t i = 0; i < process->mapping_count; i++)
		mapped_file_unref(process->mappings[i].file);
	process->mapping_count = 0;
	process->map_epoch++;
}

static void forget_jit(struct process *process)
{
	mapped_file_unref(process->jit);
	process->jit = NULL;
	process->jit_is_parents = false;
}

static void process_free(struct process *process)
{
	if (!process)
		return;
	clear_mappings(process);
	forget_jit(process);
	free(process->mappings);
	process_map_unref(process->snapshot);
	free(process->cgroup);
	free(process);
}
AUTO_DEFINE(process)

int processes_new(struct processes **out, struct files *files, struct err *err)
{
	struct processes *processes = calloc(1, sizeof(*processes));
	if (!processes)
		return err_set(err, -ENOMEM, "process table: %m");
	map_init(&processes->by_pid, MAX_PROCESSES);
	map_init(&processes->threads, MAX_THREADS);
	processes->files = files;
	int rc = jit_new(&processes->jit, NULL, err);
	if (rc) {
		processes_free(processes);
		return rc;
	}
	*out = processes;
	return 0;
}

void processes_free(struct processes *processes)
{
	if (!processes)
		return;
	size_t cursor = 0;
	struct process *process;
	while ((process = map_next(&processes->by_pid, &cursor, NULL)) != NULL)
		process_free(process);
	cursor = 0;
	struct thread *thread;
	while ((thread = map_next(&processes->threads, &cursor, NULL)) != NULL)
		free(thread);
	map_fini(&processes->by_pid);
	map_fini(&processes->threads);
	jit_unref(processes->jit);
	free(processes);
}

uint64_t processes_count(const struct processes *processes)
{
	return processes->by_pid.count;
}

uint64_t processes_thread_count(const struct processes *processes)
{
	return processes->threads.count;
}

struct process *processes_find(const struct processes *processes, uint32_t pid)
{
	return map_get(&processes->by_pid, pid);
}

static void set_comm(char comm[static COMM_BYTES], const char *text)
{
	snprintf(comm, COMM_BYTES, "%s", text);
}

static struct process *add_process(struct processes *processes, uint32_t pid, const char *comm)
{
	AUTO(process) process = calloc(1, sizeof(*process));
	if (!process)
		return NULL;
	process->pid = pid;
	process->map_epoch = ++processes->serial << 32;
	process->scan = processes->scan;
	set_comm(process->comm, comm);
	struct process *old = map_get(&processes->by_pid, pid);
	if (map_put(&processes->by_pid, pid, process))
		return NULL;
	process_free(old);
	return TAKE(process);
}

static struct thread *add_thread(struct processes *processes, uint32_t pid, uint32_t tid,
				 const char *comm)
{
	struct thread *thread = map_get(&processes->threads, tid);
	if (!thread) {
		thread = calloc(1, sizeof(*thread));
		if (!thread)
			return NULL;
		if (map_put(&processes->threads, tid, thread)) {
			free(thread);
			return NULL;
		}
	}
	*thread = (struct thread){.tid = tid, .pid = pid, .scan = processes->scan};
	set_comm(thread->comm, comm);
	return thread;
}

static size_t lower_bound(const struct process *process, uint64_t ip)
{
	return mappings_lower_bound(process->mappings, process->mapping_count, ip);
}

const struct mapping *process_find(const struct process *process, uint64_t ip)
{
	return mappings_find(process->mappings, process->mapping_count, ip);
}

struct process_map *process_snapshot(struct process *process)
{
	if (!process->snapshot || process->snapshot_epoch != process->map_epoch) {
		struct process_map *map =
			process_map_copy(process->mappings, process->mapping_count);
		if (!map)
			return NULL;
		process_map_unref(process->snapshot);
		process->snapshot = map;
		process->snapshot_epoch = process->map_epoch;
	}
	return process_map_ref(process->snapshot);
}

static int insert_at(struct process *process, size_t at, const struct mapping *mapping)
{
	int rc = ARRAY_RESERVE(process->mappings, process->mapping_cap, process->mapping_count,
			       MAX_MAPPINGS);
	if (rc)
		return rc;
	memmove(&process->mappings[at + 1], &process->mappings[at],
		(process->mapping_count - at) * sizeof(*process->mappings));
	process->mappings[at] = *mapping;
	process->mapping_count++;
	return 0;
}

static void remove_at(struct process *process, size_t at)
{
	mapped_file_unref(process->mappings[at].file);
	process->mapping_count--;
	memmove(&process->mappings[at], &process->mappings[at + 1],
		(process->mapping_count - at) * sizeof(*process->mappings));
}

/* Cut [start, end) out of what is there: mmap(2) replaces what it lies on. */
static int punch(struct process *process, uint64_t start_ip, uint64_t end_ip)
{
	size_t at = lower_bound(process, start_ip);
	while (at < process->mapping_count && process->mappings[at].start_ip < end_ip) {
		struct mapping *old = &process->mappings[at];
		if (old->start_ip < start_ip && old->end_ip > end_ip) {
			struct mapping tail = *old;
			tail.start_ip = end_ip;
			tail.file_off += end_ip - old->start_ip;
			tail.file = mapped_file_ref(old->file);
			old->end_ip = start_ip;
			int rc = insert_at(process, at + 1, &tail);
			if (rc)
				mapped_file_unref(tail.file);
			return rc;
		}
		if (old->start_ip < start_ip) {
			old->end_ip = start_ip;
			at++;
		} else if (old->end_ip > end_ip) {
			old->file_off += end_ip - old->start_ip;
			old->start_ip = end_ip;
		} else {
			remove_at(process, at);
		}
	}
	return 0;
}

/* A mapping in the very place of another one. */
static void replace(struct process *process, struct mapping *old, const struct mapping *mapping)
{
	/* Else it was told twice: by the scan and by an event. */
	if (old->file_off != mapping->file_off || old->file != mapping->file)
		process->map_epoch++;
	mapped_file_unref(old->file);
	*old = *mapping;
}

/* Takes the reference of mapping->file, whatever happens. */
static void map_range(struct process *process, const struct mapping *mapping)
{
	if (mapping->start_ip >= mapping->end_ip) {
		mapped_file_unref(mapping->file); /* nothing */
		return;
	}
	size_t at = lower_bound(process, mapping->start_ip);
	if (at < process->mapping_count && process->mappings[at].start_ip == mapping->start_ip &&
	    process->mappings[at].end_ip == mapping->end_ip)
		return replace(process, &process->mappings[at], mapping);
	process->map_epoch++;
	if (punch(process, mapping->start_ip, mapping->end_ip) ||
	    insert_at(process, lower_bound(process, mapping->start_ip), mapping))
		mapped_file_unref(mapping->file);
}

/* What stands for the code that this very process makes. NULL: there cannot be more. */
static struct mapped_file *own_jit(struct processes *processes, struct process *process)
{
	if (process->jit && !process->jit_is_parents)
		return process->jit;
	struct jit_process *parent = process->jit ? process->jit->jit : NULL;
	struct jit_process *jit = jit_process_new(processes->jit, process->pid, parent);
	struct mapped_file *file = jit ? mapped_file_jit(jit) : NULL;
	if (!file)
		return NULL;
	forget_jit(process);
	process->jit = file;
	return file;
}

/* Code of no file is different code in each process. Takes the reference, returns one. */
static struct mapped_file *file_of(struct processes *processes, struct process *process,
				   struct mapped_file *file)
{
	if (file->kind != MAPPED_ANONYMOUS && file->kind != MAPPED_JITDUMP)
		return file;
	struct mapped_file *jit = own_jit(processes, process);
	if (jit && file->kind == MAPPED_JITDUMP)
		jit_process_add_dump(jit->jit, file->dump_fd);
	if (!jit || file->kind == MAPPED_JITDUMP)
		return file;
	mapped_file_unref(file);
	return mapped_file_ref(jit);
}

struct load {
	struct processes *processes;
	struct process *process;
	uint64_t now_mono_ns;
};

static void load_mapping(void *ctx, const struct proc_mapping *mapping)
{
	const struct load *load = ctx;
	struct file_sight sight = {
		.pid = load->process->pid,
		.start_ip = mapping->start_ip,
		.end_ip = mapping->end_ip,
		.dev_major = mapping->dev_major,
		.dev_minor = mapping->dev_minor,
		.inode = mapping->inode,
		.path = mapping->path,
		.now_mono_ns = load->now_mono_ns,
	};
	struct mapped_file *file = files_get(load->processes->files, &sight);
	if (file)
		file = file_of(load->processes, load->process, file);
	if (file)
		map_range(load->process, &(struct mapping){mapping->start_ip, mapping->end_ip,
							   mapping->file_off, file});
}

static void load_thread(void *ctx, uint32_t tid)
{
	const struct load *load = ctx;
	char comm[COMM_BYTES];
	if (!proc_read_thread_comm(load->process->pid, tid, comm))
		add_thread(load->processes, load->process->pid, tid, comm);
}

/* May the process with that entry in /proc be another one that has its pid? */
static bool is_other(const struct process *process, const struct proc_stat *stat)
{
	if (!process->start_boot_ticks)
		return process->exited_mono_ns;
	return process->start_boot_ticks != stat->start_boot_ticks;
}

static struct process *load_process(struct processes *processes, uint32_t pid, uint64_t now_mono_ns)
{
	struct proc_stat stat;
	if (proc_read_stat(&stat, pid))
		return NULL;
	struct process *process = map_get(&processes->by_pid, pid);
	if (!process || is_other(process, &stat))
		process = add_process(processes, pid, stat.comm);
	if (!process)
		return NULL;
	process->start_boot_ticks = stat.start_boot_ticks;
	process->scan = processes->scan;
	set_comm(process->comm, stat.comm);
	struct load load = {processes, process, now_mono_ns};
	/* Mappings that went meanwhile stay behind: nothing runs there any more, and whatever
	 * takes their place cuts them out. */
	(void)proc_visit_mappings(pid, load_mapping, &load);
	process->read_count = process->mapping_count;
	(void)proc_visit_tids(pid, load_thread, &load);
	return process;
}

/* No event tells that a mapping went. A process that goes on mapping code in new places is read
 * again when most of what is known of it may be gone, and reading takes little of the time. */
static bool wants_reading(const struct process *process, uint64_t now_mono_ns)
{
	return !process->exited_mono_ns &&
	       process->mapping_count > 2 * process->read_count + MANY_MAPPINGS &&
	       now_mono_ns >= process->read_again_mono_ns;
}

static void drop_mappings(struct mapping *mappings, size_t mapping_count)
{
	for (size_t i = 0; i < mapping_count; i++)
		mapped_file_unref(mappings[i].file);
	free(mappings);
}

static void read_again(struct processes *processes, struct process *process, uint64_t now_mono_ns)
{
	struct mapping *old = TAKE(process->mappings);
	size_t old_count = process->mapping_count, old_cap = process->mapping_cap;
	process->mapping_count = process->mapping_cap = 0;
	struct load load = {processes, process, now_mono_ns};
	int rc = proc_visit_mappings(process->pid, load_mapping, &load);
	if (rc || !process->mapping_count) { /* it ended: samples that are under way need them */
		drop_mappings(process->mappings, process->mapping_count);
		process->mappings = old;
		process->mapping_count = old_count;
		process->mapping_cap = old_cap;
	} else {
		drop_mappings(old, old_count);
	}
	process->map_epoch++;
	process->read_count = process->mapping_count;
	uint64_t end_mono_ns = (uint64_t)clock_mono_ns();
	process->read_again_mono_ns = end_mono_ns + READ_SHARE * (end_mono_ns - now_mono_ns);
}

static void scan_pid(void *ctx, uint32_t pid)
{
	const struct load *load = ctx;
	(void)load_process(load->processes, pid, load->now_mono_ns);
}

/* What the scan did not meet has exited, unless it began meanwhile. */
static void note_exits(struct processes *processes, uint64_t now_mono_ns)
{
	size_t cursor = 0;
	struct process *process;
	struct proc_stat stat;
	while ((process = map_next(&processes->by_pid, &cursor, NULL)) != NULL)
		if (process->scan != processes->scan && !process->exited_mono_ns &&
		    (proc_read_stat(&stat, process->pid) || is_other(process, &stat)))
			process->exited_mono_ns = now_mono_ns;
	cursor = 0;
	struct thread *thread;
	char comm[COMM_BYTES];
	while ((thread = map_next(&processes->threads, &cursor, NULL)) != NULL)
		if (thread->scan != processes->scan && !thread->exited_mono_ns &&
		    proc_read_thread_comm(thread->pid, thread->tid, comm))
			thread->exited_mono_ns = now_mono_ns;
}

void processes_scan(struct processes *processes, uint64_t now_mono_ns)
{
	struct load load = {.processes = processes, .now_mono_ns = now_mono_ns};
	processes->scan++;
	if (!proc_visit_pids(scan_pid, &load))
		note_exits(processes, now_mono_ns);
}

static void apply_mmap(struct processes *processes, const struct sideband_event *event,
		       struct mapped_file *file)
{
	struct process *process = map_get(&processes->by_pid, event->pid);
	if (!process)
		process = add_process(processes, event->pid, "");
	uint64_t end_ip;
	if (!process || !file ||
	    __builtin_add_overflow(event->start_ip, event->size_bytes, &end_ip)) {
		mapped_file_unref(file);
		return;
	}
	file = file_of(processes, process, file);
	map_range(process, &(struct mapping){event->start_ip, end_ip, event->file_off, file});
}

static void apply_comm(struct processes *processes, const struct sideband_event *event)
{
	struct process *process = map_get(&processes->by_pid, event->pid);
	if (!process)
		process = add_process(processes, event->pid, event->name);
	if (!process)
		return;
	/* After execve(2) the caller is the leader and the only thread, with a new image. */
	if (event->is_exec) {
		clear_mappings(process);
		forget_jit(process);
		if (process->exec_id)
			process->exec_id++; /* begin_new_exec() in fs/exec.c */
		process->is_new_image = true;
		process->unpushed_mono_ns = 0; /* those mappings are gone */
		process->exited_mono_ns = 0;   /* the old leader did, when another thread called */
		process->cgroup_is_read = false; /* service managers move a child before it execs */
	}
	if (event->is_exec || event->tid == event->pid)
		set_comm(process->comm, event->name);
	add_thread(processes, event->pid, event->tid, event->name);
}

static void copy_mappings(struct process *to, const struct process *from)
{
	for (size_t i = 0; i < from->mapping_count; i++) {
		struct mapping copy = from->mappings[i];
		mapped_file_ref(copy.file);
		if (insert_at(to, to->mapping_count, &copy))
			mapped_file_unref(copy.file);
	}
}

static void apply_fork(struct processes *processes, const struct sideband_event *event)
{
	const struct thread *parent_thread = map_get(&processes->threads, event->parent_tid);
	const struct process *parent = map_get(&processes->by_pid, event->parent_pid);
	char comm[COMM_BYTES];
	set_comm(comm, parent_thread ? parent_thread->comm : parent ? parent->comm : "");
	add_thread(processes, event->pid, event->tid, comm);
	if (event->pid == event->parent_pid)
		return; /* a new thread */
	if (!parent) {
		(void)load_process(processes, event->pid, event->time_mono_ns);
		return;
	}
	struct process *child = add_process(processes, event->pid, comm);
	if (!child)
		return;
	copy_mappings(child, parent);
	child->jit = parent->jit ? mapped_file_ref(parent->jit) : NULL;
	child->jit_is_parents = parent->jit;
	child->exec_id = parent->exec_id;
	child->cgroup = parent->cgroup ? strdup(parent->cgroup) : NULL;
}

static void apply_exit(struct processes *processes, const struct sideband_event *event)
{
	struct thread *thread = map_get(&processes->threads, event->tid);
	if (thread)
		thread->exited_mono_ns = event->time_mono_ns;
	/* Other threads may outlive the leader; processes_sweep() looks before it forgets. */
	struct process *process = map_get(&processes->by_pid, event->pid);
	if (process && event->tid == event->pid)
		process->exited_mono_ns = event->time_mono_ns;
}

void processes_apply(struct processes *processes, const struct sideband_event *event,
		     struct mapped_file *file)
{
	switch (event->kind) {
	case SIDEBAND_MMAP:
		apply_mmap(processes, event, file);
		break;
	case SIDEBAND_COMM:
		apply_comm(processes, event);
		break;
	case SIDEBAND_FORK:
		apply_fork(processes, event);
		break;
	case SIDEBAND_EXIT:
		apply_exit(processes, event);
		break;
	case SIDEBAND_LOST:
		break; /* the collector rescans */
	}
}

static bool is_old(uint64_t exited_mono_ns, uint64_t now_mono_ns)
{
	return exited_mono_ns && now_mono_ns > exited_mono_ns &&
	       now_mono_ns - exited_mono_ns >= FORGET_AFTER_NS;
}

static void sweep_processes(struct processes *processes, uint64_t now_mono_ns)
{
	size_t cursor = 0;
	uint64_t pid;
	struct process *process;
	while ((process = map_next(&processes->by_pid, &cursor, &pid)) != NULL) {
		if (wants_reading(process, now_mono_ns))
			read_again(processes, process, (uint64_t)clock_mono_ns());
		if (!is_old(process->exited_mono_ns, now_mono_ns))
			continue;
		struct proc_stat stat;
		bool is_there = !proc_read_stat(&stat, process->pid);
		if (is_there && !(process->start_boot_ticks && is_other(process, &stat))) {
			process->exited_mono_ns = now_mono_ns; /* a zombie leader: ask later */
			continue;
		}
		map_remove(&processes->by_pid, pid);
		process_free(process);
	}
}

void processes_sweep(struct processes *processes, uint64_t now_mono_ns)
{
	sweep_processes(processes, now_mono_ns);
	size_t cursor = 0;
	uint64_t tid;
	struct thread *thread;
	while ((thread = map_next(&processes->threads, &cursor, &tid)) != NULL) {
		/* A thread that called execve(2) has another tid since, without an event. */
		if (!is_old(thread->exited_mono_ns, now_mono_ns) &&
		    map_get(&processes->by_pid, thread->pid))
			continue;
		map_remove(&processes->threads, tid);
		free(thread);
	}
}

/* As /proc rounds it. */
static uint64_t ticks_of(uint64_t start_boot_ns)
{
	return start_boot_ns / NS_PER_TICK;
}

/* Had another process this pid before? */
static bool is_reused(const struct process *process, uint64_t start_boot_ns)
{
	if (!start_boot_ns)
		return false;
	if (process->start_boot_ns)
		return process->start_boot_ns != start_boot_ns;
	return process->start_boot_ticks && process->start_boot_ticks != ticks_of(start_boot_ns);
}

struct process *processes_get(struct processes *processes, uint32_t pid, uint64_t start_boot_ns,
			      const char *comm)
{
	struct process *process = map_get(&processes->by_pid, pid);
	if (!process || is_reused(process, start_boot_ns)) {
		struct proc_stat stat;
		if (!proc_read_stat(&stat, pid) &&
		    (!start_boot_ns || stat.start_boot_ticks == ticks_of(start_boot_ns)))
			process = load_process(processes, pid, (uint64_t)clock_mono_ns());
		else
			process = add_process(processes, pid, comm);
	}
	if (process && start_boot_ns) {
		process->start_boot_ns = start_boot_ns;
		process->start_boot_ticks = ticks_of(start_boot_ns);
	}
	if (process && !process->comm[0])
		set_comm(process->comm, comm);
	return process;
}

struct thread *processes_thread(struct processes *processes, const struct process *process,
				uint32_t tid)
{
	struct thread *thread = map_get(&processes->threads, tid);
	if (thread && thread->pid == process->pid)
		return thread;
	char comm[COMM_BYTES];
	if (proc_read_thread_comm(process->pid, tid, comm))
		set_comm(comm, process->comm);
	return add_thread(processes, process->pid, tid, comm);
}

void process_note_cgroup(struct process *process, uint64_t cgroup_id)
{
	if (process->cgroup_id && process->cgroup_id != cgroup_id)
		process->cgroup_is_read = false;
	process->cgroup_id = cgroup_id;
}

const char *process_cgroup(struct process *process)
{
	char path[MAX_CGROUP_BYTES] = "";
	if (!process->cgroup_is_read && !proc_read_cgroup(process->pid, path, sizeof(path))) {
		free(process->cgroup);
		process->cgroup = strdup(path);
	}
	process->cgroup_is_read = true;
	return process->cgroup ? process->cgroup : "";
}
