/*
 * sideband: what perf tells about processes while they live: executable mappings (with build
 * ID), names, forks and exits, system-wide.
 *
 * A dummy software event per online CPU, ring buffer each. Records of all CPUs, in the order
 * of their time stamps (CLOCK_MONOTONIC, as the samples'). Format: perf_event_open(2), "MMAP
 * layout"; build IDs since Linux 5.12. One thread.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/auto.h"
#include "base/err.h"
#include "base/reader.h"

enum sideband_kind {
	SIDEBAND_MMAP = 1,
	SIDEBAND_COMM,
	SIDEBAND_FORK,
	SIDEBAND_EXIT,
	SIDEBAND_LOST,
};

enum { SIDEBAND_NAME_BYTES = 256, SIDEBAND_BUILD_ID_BYTES = 20 };

struct sideband_event {
	enum sideband_kind kind;
	uint64_t time_mono_ns;
	uint32_t pid;
	uint32_t tid;
	uint32_t parent_pid;           /* FORK */
	uint32_t parent_tid;           /* FORK */
	bool is_exec;                  /* COMM: by execve(2), all mappings are gone */
	uint64_t lost;                 /* LOST: records that did not fit */
	uint64_t start_ip;             /* MMAP */
	uint64_t size_bytes;           /* MMAP */
	uint64_t file_off;             /* MMAP */
	uint32_t dev_major, dev_minor; /* MMAP without build ID */
	uint64_t inode, inode_generation;
	uint8_t build_id_bytes; /* MMAP; 0: none was told */
	uint8_t build_id[SIDEBAND_BUILD_ID_BYTES];
	char *name; /* MMAP: path without " (deleted)", COMM: comm; owned by the event */
};

/* Parse one record, header included, as the events of this module are configured. -EBADMSG;
 * -EOPNOTSUPP for a type that is of no interest. Caller frees event->name. */
int sideband_parse(struct sideband_event *event, struct reader record);

struct sideband; /* opaque */

/* -EPERM, -EOPNOTSUPP as perf_event_open_cpu(). */
int sideband_open(struct sideband **out, struct err *err);
void sideband_free(struct sideband *sideband); /* NULL is fine */
AUTO_DEFINE(sideband)

/* Readable when there is something to drain: an epoll descriptor. */
int sideband_fd(const struct sideband *sideband);
/* Move all there is into *events, sorted by time; returns the count. Borrowed until the next
 * drain or free. A record that cannot be parsed counts as lost; a LOST event of 0 tells that a
 * CPU came or went, and what happened on it meanwhile is not known. */
size_t sideband_drain(struct sideband *sideband, struct sideband_event **events);
/* Attach to CPUs that came online, let go of those that went: drain first. */
int sideband_follow_cpus(struct sideband *sideband, struct err *err);
