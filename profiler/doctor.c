#include "profiler/doctor.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/array.h"
#include "base/auto.h"
#include "profiler/perf_event.h"
#include "profiler/procfs.h"
#include "profiler/sampler.h"
#include "profiler/sideband.h"
#include "symbolizer/kallsyms.h"

static const char as_root[] =
	"run as root, or give the binary CAP_BPF, CAP_PERFMON, CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH, "
	"CAP_SYSLOG and CAP_CHECKPOINT_RESTORE";
static const char newer_kernel[] = "use a newer kernel; Hearth works without it";

struct check {
	const char *name;
	const char *used_for;
	bool is_required;
	const char *remedy;
	/* Fill why; true: works. */
	bool (*works)(char *why, size_t why_bytes);
};

static bool check_kernel(char *why, size_t why_bytes)
{
	struct utsname name;
	uname(&name);
	snprintf(why, why_bytes, "%s %s on %s", name.sysname, name.release, name.machine);
	return true;
}

static bool check_btf(char *why, size_t why_bytes)
{
	if (!access("/sys/kernel/btf/vmlinux", R_OK))
		return snprintf(why, why_bytes, "/sys/kernel/btf/vmlinux") > 0;
	snprintf(why, why_bytes, "/sys/kernel/btf/vmlinux: %m");
	return false;
}

static bool check_privileges(char *why, size_t why_bytes)
{
	static const struct {
		cap_value_t value;
		const char *name;
	} wanted[] = {
		{CAP_BPF, "CAP_BPF"},
		{CAP_PERFMON, "CAP_PERFMON"},
		{CAP_SYS_PTRACE, "CAP_SYS_PTRACE"},
		{CAP_DAC_READ_SEARCH, "CAP_DAC_READ_SEARCH"},
		{CAP_SYSLOG, "CAP_SYSLOG"},
		{CAP_CHECKPOINT_RESTORE, "CAP_CHECKPOINT_RESTORE"},
	};
	cap_t caps = cap_get_proc();
	size_t len = 0;
	for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
		cap_flag_value_t has = CAP_CLEAR;
		if (caps)
			cap_get_flag(caps, wanted[i].value, CAP_EFFECTIVE, &has);
		if (has == CAP_CLEAR && len < why_bytes)
			len += (size_t)snprintf(why + len, why_bytes - len, "%s%s",
						len ? ", " : "missing ", wanted[i].name);
	}
	cap_free(caps);
	if (!len)
		snprintf(why, why_bytes, "all that are wanted");
	return !len;
}

static bool check_sampler(char *why, size_t why_bytes)
{
	struct err err = {0};
	AUTO(sampler) sampler = NULL;
	struct sampler_options options = {.rate_hz = 99, .ring_bytes = 1 << 16};
	if (sampler_open(&sampler, &options, &err)) {
		snprintf(why, why_bytes, "%s", err.text);
		return false;
	}
	snprintf(why, why_bytes, "programs load and attach to %u CPUs", sampler_cpus(sampler));
	return true;
}

static bool check_hardware_clock(char *why, size_t why_bytes)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_HARDWARE,
		.config = PERF_COUNT_HW_CPU_CYCLES,
	};
	struct err err = {0};
	AUTO_FD fd = perf_event_open_cpu(&attr, 0, "CPU cycles", &err);
	snprintf(why, why_bytes, "%s", fd < 0 ? err.text : "CPU cycles can be counted");
	return fd >= 0;
}

static bool check_sideband(char *why, size_t why_bytes)
{
	struct err err = {0};
	AUTO(sideband) sideband = NULL;
	int rc = sideband_open(&sideband, &err);
	snprintf(why, why_bytes, "%s", rc ? err.text : "mappings, names, forks and exits are told");
	return !rc;
}

static bool check_kernel_names(char *why, size_t why_bytes)
{
	struct err err = {0};
	AUTO_FD fd = open("/proc/kallsyms", O_RDONLY | O_CLOEXEC);
	AUTO(kallsyms) syms = NULL;
	int rc = fd < 0 ? err_set(&err, -errno, "/proc/kallsyms: %m")
			: kallsyms_read(&syms, fd, &err);
	snprintf(why, why_bytes, "%s", rc ? err.text : "/proc/kallsyms has addresses");
	return !rc;
}

static void note_first(void *ctx, const struct proc_mapping *mapping)
{
	struct proc_mapping *first = ctx;
	if (!first->end_ip && mapping->path[0] == '/')
		*first = *mapping;
}

/* Of pid 1: somebody else's, and there is always one. */
static bool check_map_files(char *why, size_t why_bytes)
{
	struct proc_mapping first = {0};
	int rc = proc_visit_mappings(1, note_first, &first);
	char path[128];
	snprintf(path, sizeof(path), "/proc/1/map_files/%" PRIx64 "-%" PRIx64, first.start_ip,
		 first.end_ip);
	AUTO_FD fd = rc || !first.end_ip ? -1 : open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0)
		return snprintf(why, why_bytes, "deleted and containerised binaries are readable") >
		       0;
	snprintf(why, why_bytes, "/proc/1/map_files: %s", strerror(rc ? -rc : errno));
	return false;
}

static bool check_other_processes(char *why, size_t why_bytes)
{
	struct proc_mapping first = {0};
	int rc = proc_visit_mappings(1, note_first, &first);
	snprintf(why, why_bytes, "%s", rc ? strerror(-rc) : "mappings of other users are readable");
	return !rc;
}

static bool has_helper(enum bpf_prog_type type, enum bpf_func_id helper, char *why,
		       size_t why_bytes)
{
	int rc = libbpf_probe_bpf_helper(type, helper, NULL);
	snprintf(why, why_bytes, "%s",
		 rc > 0    ? "the kernel has it"
		 : rc == 0 ? "this kernel has no such helper"
			   : strerror(-rc));
	return rc > 0;
}

static bool check_loop(char *why, size_t why_bytes)
{
	return has_helper(BPF_PROG_TYPE_PERF_EVENT, BPF_FUNC_loop, why, why_bytes);
}

static bool check_task_copy(char *why, size_t why_bytes)
{
	return has_helper(BPF_PROG_TYPE_TRACING, BPF_FUNC_copy_from_user_task, why, why_bytes);
}

static bool check_task_storage(char *why, size_t why_bytes)
{
	int rc = libbpf_probe_bpf_map_type(BPF_MAP_TYPE_TASK_STORAGE, NULL);
	snprintf(why, why_bytes, "%s",
		 rc > 0    ? "the kernel has it"
		 : rc == 0 ? "this kernel has no such map"
			   : strerror(-rc));
	return rc > 0;
}

static bool has_btf_function(const char *name, char *why, size_t why_bytes)
{
	struct btf *btf = btf__load_vmlinux_btf();
	bool has = btf && btf__find_by_name_kind(btf, name, BTF_KIND_FUNC) > 0;
	btf__free(btf);
	snprintf(why, why_bytes, has ? "%s is there" : "this kernel has no %s", name);
	return has;
}

static bool check_task_iterator(char *why, size_t why_bytes)
{
	return has_btf_function("bpf_iter_task_new", why, why_bytes);
}

static bool check_sched_switch(char *why, size_t why_bytes)
{
	static const char *const roots[] = {"/sys/kernel/tracing", "/sys/kernel/debug/tracing"};
	for (size_t i = 0; i < ARRAY_LEN(roots); i++) {
		char path[128];
		snprintf(path, sizeof(path), "%s/events/sched/sched_switch/id", roots[i]);
		if (!access(path, R_OK))
			return snprintf(why, why_bytes, "%s", path) > 0;
	}
	return has_btf_function("__traceiter_sched_switch", why, why_bytes);
}

static bool check_cgroup(char *why, size_t why_bytes)
{
	static const char *const roots[] = {"/sys/fs/cgroup/cgroup.controllers",
					    "/sys/fs/cgroup/unified/cgroup.controllers"};
	for (size_t i = 0; i < ARRAY_LEN(roots); i++)
		if (!access(roots[i], R_OK))
			return snprintf(why, why_bytes, "%s", roots[i]) > 0;
	snprintf(why, why_bytes, "no cgroup v2 hierarchy is mounted");
	return false;
}

static bool check_lockdown(char *why, size_t why_bytes)
{
	AUTO_FD fd = open("/sys/kernel/security/lockdown", O_RDONLY | O_CLOEXEC);
	char text[128] = "not in force";
	ssize_t len_bytes = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
	if (len_bytes > 0)
		text[strcspn(text, "\n")] = 0;
	snprintf(why, why_bytes, "%s", text);
	return !strstr(text, "[confidentiality]");
}

static bool check_file_limit(char *why, size_t why_bytes)
{
	struct rlimit limit;
	getrlimit(RLIMIT_NOFILE, &limit);
	snprintf(why, why_bytes, "%llu open files allowed", (unsigned long long)limit.rlim_max);
	return limit.rlim_max >= 4096;
}

static const struct check checks[] = {
	{"kernel", "everything", true, NULL, check_kernel},
	{"BTF", "BPF programs that fit this kernel", true,
	 "use a kernel built with CONFIG_DEBUG_INFO_BTF=y, as Debian's are", check_btf},
	{"privileges", "sampling every process", false, as_root, check_privileges},
	{"on-CPU sampling", "CPU profiles", true, as_root, check_sampler},
	{"perf side-band", "processes and mappings as they come and go", true, as_root,
	 check_sideband},
	{"other processes", "names in other users' processes", false, as_root,
	 check_other_processes},
	{"map_files", "names in deleted and containerised binaries", false, as_root,
	 check_map_files},
	{"kernel names", "names of kernel functions", false,
	 "run with CAP_SYSLOG, or set sysctl kernel.kptr_restrict to 0 or 1", check_kernel_names},
	{"cgroups", "labels of services and containers", false, "mount cgroup2 on /sys/fs/cgroup",
	 check_cgroup},
	{"lockdown", "reading stacks of user space", false, "boot without lockdown=confidentiality",
	 check_lockdown},
	{"open files", "one descriptor per executable that runs", false,
	 "raise LimitNOFILE= (ulimit -n) to 4096 or more", check_file_limit},
	{"hardware clock", "sampling by CPU cycles", false,
	 "none is needed: the CPU's timer serves instead", check_hardware_clock},
	{"bpf_loop", "deep stacks at low cost (Linux 5.17)", false, newer_kernel, check_loop},
	{"task iterator", "sampling of waiting threads (Linux 6.7)", false, newer_kernel,
	 check_task_iterator},
	{"copy from tasks", "stacks of waiting threads (Linux 5.18)", false, newer_kernel,
	 check_task_copy},
	{"task storage", "cheap state per thread (Linux 5.12)", false, newer_kernel,
	 check_task_storage},
	{"sched_switch", "exact tracing of waits", false, "mount tracefs on /sys/kernel/tracing",
	 check_sched_switch},
};

void doctor_examine(void (*visit)(void *ctx, const struct capability *capability), void *ctx)
{
	libbpf_set_print(NULL);
	for (size_t i = 0; i < ARRAY_LEN(checks); i++) {
		struct capability capability = {
			.name = checks[i].name,
			.used_for = checks[i].used_for,
			.is_required = checks[i].is_required,
		};
		capability.works = checks[i].works(capability.why, sizeof(capability.why));
		capability.remedy = capability.works ? NULL : checks[i].remedy;
		visit(ctx, &capability);
	}
}
