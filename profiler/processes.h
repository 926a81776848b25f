/*
 * processes: which processes and threads there are, what they are called, and what is mapped
 * where in them, as of the last event applied.
 *
 * Fed in the order of time by one /proc scan and the side-band. A process that ended stays
 * until processes_sweep(), for samples that are still under way. One thread.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/auto.h"
#include "base/err.h"
#include "profiler/files.h"
#include "profiler/process_map.h"
#include "profiler/procfs.h"
#include "profiler/sideband.h"

struct process {
	uint32_t pid;
	uint64_t start_boot_ns;    /* 0: not known yet */
	uint64_t start_boot_ticks; /* the same as /proc rounds it */
	char comm[COMM_BYTES];
	char *cgroup;             /* path; NULL: unknown */
	uint64_t cgroup_id;       /* as last told by process_note_cgroup(); 0: not yet */
	bool cgroup_is_read;      /* from its own /proc entry, not taken over from the parent */
	struct mapping *mappings; /* sorted, not overlapping */
	size_t mapping_count, mapping_cap;
	size_t read_count;            /* of mappings, when /proc was last read */
	uint64_t read_again_mono_ns;  /* not before */
	struct mapped_file *jit;      /* code it made at run time; NULL: none yet */
	bool jit_is_parents;          /* taken over by fork(2) */
	uint64_t map_epoch;           /* moves with every change; no two processes share one */
	struct process_map *snapshot; /* of the mappings at snapshot_epoch; NULL: none yet */
	uint64_t snapshot_epoch;
	uint32_t exec_id;          /* as last told with a sample; 0: not yet */
	bool is_new_image;         /* execve(2) was seen, and it has not been pushed since */
	uint64_t umem_epoch;       /* map_epoch that the kernel's walker has; 0: none */
	uint64_t umem_files;       /* see unwinder_files_epoch() */
	uint64_t umem_mono_ns;     /* when that was */
	uint64_t umem_cost_ns;     /* CPU time that it took */
	uint64_t unpushed_mono_ns; /* of the first event that is not pushed yet; 0: none */
	uint64_t exited_mono_ns;   /* 0: lives */
	uint64_t scan;             /* the last that saw it */
};

struct thread {
	uint32_t tid;
	uint32_t pid;
	char comm[COMM_BYTES];
	uint64_t exited_mono_ns;
	uint64_t scan;
	uint64_t batch; /* scratch of the batch that is being filled */
	uint32_t batch_index;
};

struct processes; /* opaque */

/* files is borrowed. */
int processes_new(struct processes **out, struct files *files, struct err *err);
void processes_free(struct processes *processes); /* NULL is fine */
AUTO_DEFINE(processes)

/* Read all of /proc: at the start, and after the side-band lost records. What is known and no
 * longer there has exited. */
void processes_scan(struct processes *processes, uint64_t now_mono_ns);
/* Apply one event. file is the file of an MMAP (reference taken over), else NULL. */
void processes_apply(struct processes *processes, const struct sideband_event *event,
		     struct mapped_file *file);
/* Forget what ended long ago, and mappings that went, where there are many. */
void processes_sweep(struct processes *processes, uint64_t now_mono_ns);

/* The process as it is known; NULL: it is not. Borrowed until the next sweep. */
struct process *processes_find(const struct processes *processes, uint32_t pid);
/* The process, read from /proc or made up with that name when no event told of it. One with
 * another start time is replaced: the pid was reused. start_boot_ns 0: any. NULL: no memory. */
struct process *processes_get(struct processes *processes, uint32_t pid, uint64_t start_boot_ns,
			      const char *comm);
/* The thread, made up with its process's name when it is not known. NULL: no memory. */
struct thread *processes_thread(struct processes *processes, const struct process *process,
				uint32_t tid);
/* The kernel saw the process in this cgroup: another one than before is looked up anew. */
void process_note_cgroup(struct process *process, uint64_t cgroup_id);
/* Path of the cgroup; "" unknown. Read on the first call after fork or execve(2); of a
 * process that is gone by then, its parent's. Borrowed. */
const char *process_cgroup(struct process *process);

/* The mappings as they are now; a reference that the caller owns. NULL: no memory. */
struct process_map *process_snapshot(struct process *process);

/* The mapping that covers ip, or NULL. Borrowed until the next change. */
const struct mapping *process_find(const struct process *process, uint64_t ip);

uint64_t processes_count(const struct processes *processes);
uint64_t processes_thread_count(const struct processes *processes);
