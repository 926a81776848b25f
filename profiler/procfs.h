/*
 * procfs: what /proc says about processes: names, start times, executable mappings, cgroups.
 *
 * Format: proc(5). Everything may vanish between two reads: -ESRCH then. Stateless; any thread.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum { COMM_BYTES = 16 };

struct proc_stat {
	char comm[COMM_BYTES];
	uint32_t parent_pid;
	uint64_t start_boot_ticks; /* 1/100 s, CLOCK_BOOTTIME */
};

struct proc_status {
	uint32_t uid;    /* effective */
	uint32_t ns_pid; /* its pid as it knows it: of the innermost namespace */
};

struct proc_mapping {
	uint64_t start_ip;
	uint64_t end_ip;
	uint64_t file_off;
	uint32_t dev_major, dev_minor;
	uint64_t inode;
	bool is_executable;
	const char *path; /* borrowed; "" when anonymous; without " (deleted)" */
};

/* Where the kernel writes the path of a file that was deleted since, cut its " (deleted)". */
void proc_path_cut_deleted(char *path);
/* The contents of PID/stat. -EBADMSG. */
int proc_stat_parse(struct proc_stat *stat, const char *text);
/* The contents of PID/status. -EBADMSG. */
int proc_status_parse(struct proc_status *status, const char *text);
/* One line of PID/maps, changed in place (the path gets its NUL). -EBADMSG. */
int proc_mapping_parse(struct proc_mapping *mapping, char *line);
/* PID/cgroup: the v2 path, or where that is the root, that of the v1 hierarchy which manages
 * services. "" when there is none. */
void proc_cgroup_parse(const char *text, char *path, size_t path_bytes);

int proc_read_stat(struct proc_stat *stat, uint32_t pid);
int proc_read_status(struct proc_status *status, uint32_t pid);
int proc_read_cgroup(uint32_t pid, char *cgroup, size_t cgroup_bytes);
int proc_read_thread_comm(uint32_t pid, uint32_t tid, char comm[static COMM_BYTES]);

/* Call visit for every executable mapping, in address order. */
typedef void (*proc_mapping_fn)(void *ctx, const struct proc_mapping *mapping);
int proc_visit_mappings(uint32_t pid, proc_mapping_fn visit, void *ctx);

/* Every process, or every thread of pid. */
typedef void (*proc_id_fn)(void *ctx, uint32_t id);
int proc_visit_pids(proc_id_fn visit, void *ctx);
int proc_visit_tids(uint32_t pid, proc_id_fn visit, void *ctx);
