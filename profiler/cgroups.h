/*
 * cgroups: walks the cgroup file systems of this machine, and reads when CPU quotas ran out.
 *
 * cpu.stat: Documentation/admin-guide/cgroup-v2.rst and scheduler/sched-bwc.rst.
 */
#pragma once
#include <limits.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/map.h"
#include "profile/trace_report.h"

struct cgroup_quota {
	char *path; /* below its hierarchy: "/docker/0123"; owned */
	uint64_t periods;
	uint64_t throttled_ns;
};

/* All cgroups that were ever throttled, of both hierarchies: as many as were found in time. */
struct cgroup_quotas {
	struct cgroup_quota *items;
	size_t count, cap;
};

void cgroup_quotas_read(struct cgroup_quotas *quotas);
void cgroup_quotas_fini(struct cgroup_quotas *quotas);
/* What came between the two into the report. -ENOMEM, -ENOSPC. */
int cgroup_quotas_compare(const struct cgroup_quotas *before, const struct cgroup_quotas *after,
			  struct trace_report *report);

/* The directory of a cgroup of the v2 hierarchy, given that or its path below the hierarchy. -ENOENT,
 * -ENAMETOOLONG. */
int cgroup_directory(char directory[static PATH_MAX], const char *path, struct err *err);

/* Paths of the v2 hierarchy by cgroup ID (abi.h): char *, owned. */
void cgroup_paths_read(struct map *paths);
void cgroup_paths_fini(struct map *paths);
