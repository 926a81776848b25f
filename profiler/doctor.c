#include "profiler/doctor.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/perf_event.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/array.h"
#include "base/auto.h"
#include "profiler/kernel_btf.h"
#include "profiler/perf_event.h"
#include "profiler/procfs.h"
#include "profiler/sampler.h"
#include "profiler/sideband.h"
#include "profiler/tracing.h"
#include "profiler/waiting.h"
#include "symbolizer/kallsyms.h"

static const char as_root[] =
	"run as root, or give the binary CAP_BPF, CAP_PERFMON, CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH, "
	"CAP_SYSLOG and CAP_CHECKPOINT_RESTORE";
static const char newer_kernel[] = "use a newer kernel; Hearth works without it";

/* What was found of the ways to sample waiting, for the check that comes after them. */
struct waiting_methods {
	bool works[WAITING_METHODS];
	bool is_denied;
};

/* What a check is given, and what it fills. */
struct finding {
	struct waiting_methods *waiting;
	const struct kernel_btf *btf; /* NULL: this kernel has none */
	char why[256];
	bool is_denied; /* it may be there; privileges are what is missing */
};

struct check {
	const char *name;
	const char *used_for;
	bool is_required;
	const char *remedy;
	/* Fill why; true: works. */
	bool (*works)(struct finding *finding);
};

__attribute__((format(printf, 3, 4))) static bool found(struct finding *finding, bool works,
							const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	vsnprintf(finding->why, sizeof(finding->why), fmt, args);
	va_end(args);
	return works;
}

static bool failed(struct finding *finding, const struct err *err)
{
	finding->is_denied = err->code == -EPERM || err->code == -EACCES;
	return found(finding, false, "%s", err->text);
}

static bool check_kernel(struct finding *finding)
{
	struct utsname name;
	uname(&name);
	return found(finding, true, "%s %s on %s", name.sysname, name.release, name.machine);
}

static bool check_btf(struct finding *finding)
{
	if (!access("/sys/kernel/btf/vmlinux", R_OK))
		return found(finding, true, "/sys/kernel/btf/vmlinux");
	return found(finding, false, "/sys/kernel/btf/vmlinux: %m");
}

static bool check_privileges(struct finding *finding)
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
	char missing[128] = "";
	for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
		cap_flag_value_t has = CAP_CLEAR;
		if (caps)
			cap_get_flag(caps, wanted[i].value, CAP_EFFECTIVE, &has);
		size_t len = strlen(missing);
		if (has == CAP_CLEAR)
			snprintf(missing + len, sizeof(missing) - len, "%s%s", len ? ", " : "",
				 wanted[i].name);
	}
	cap_free(caps);
	return missing[0] ? found(finding, false, "missing %s", missing)
			  : found(finding, true, "all that are wanted");
}

/* The kernel gives the first one a number that never changes: include/linux/proc_ns.h,
 * PROC_PID_INIT_INO. */
static bool check_pid_namespace(struct finding *finding)
{
	struct stat st;
	if (stat("/proc/self/ns/pid", &st))
		return found(finding, false, "/proc/self/ns/pid: %m");
	return st.st_ino == 0xEFFFFFFC
		       ? found(finding, true, "the machine's own")
		       : found(finding, false, "a container's: the kernel tells other ids");
}

static bool check_sampler(struct finding *finding)
{
	struct err err = {0};
	AUTO(sampler) sampler = NULL;
	struct sampler_options options = {.rate_hz = 99, .ring_bytes = 1 << 16};
	if (sampler_open(&sampler, &options, &err))
		return failed(finding, &err);
	return found(finding, true, "programs load and attach to %u CPUs", sampler_cpus(sampler));
}

static bool check_hardware_clock(struct finding *finding)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_HARDWARE,
		.config = PERF_COUNT_HW_CPU_CYCLES,
	};
	struct err err = {0};
	AUTO_FD fd = perf_event_open_cpu(&attr, 0, "CPU cycles", &err);
	return fd < 0 ? failed(finding, &err) : found(finding, true, "CPU cycles can be counted");
}

static bool check_sideband(struct finding *finding)
{
	struct err err = {0};
	AUTO(sideband) sideband = NULL;
	if (sideband_open(&sideband, &err))
		return failed(finding, &err);
	return found(finding, true, "mappings, names, forks and exits are told");
}

static bool check_sideband_build_id(struct finding *finding)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.config = PERF_COUNT_SW_DUMMY,
		.mmap = 1,
		.mmap2 = 1,
		.build_id = 1,
	};
	struct err err = {0};
	AUTO_FD fd = perf_event_open_cpu(&attr, 0, "mmap2 records with build IDs", &err);
	return fd < 0 ? failed(finding, &err) : found(finding, true, "the kernel tells them");
}

static bool check_max_stack(struct finding *finding)
{
	static const char path[] = "/proc/sys/kernel/perf_event_max_stack";
	FILE *file = fopen(path, "re");
	int frames = 0;
	int fields = file ? fscanf(file, "%d", &frames) : 0;
	if (file)
		fclose(file);
	if (fields != 1)
		return found(finding, false, "%s cannot be read", path);
	return found(finding, frames >= ABI_MAX_KERNEL_FRAMES,
		     "kernel.perf_event_max_stack is %d frames", frames);
}

static bool check_kernel_names(struct finding *finding)
{
	struct err err = {0};
	AUTO_FD fd = open("/proc/kallsyms", O_RDONLY | O_CLOEXEC);
	AUTO(kallsyms) syms = NULL;
	int rc = fd < 0 ? err_set(&err, -errno, "/proc/kallsyms: %m")
			: kallsyms_read(&syms, fd, &err);
	return rc ? found(finding, false, "%s", err.text)
		  : found(finding, true, "/proc/kallsyms has addresses");
}

/* Processes of user space, but ourselves. */
struct census {
	size_t processes, readable;
	uint32_t pid;        /* under way */
	bool has_tried;      /* to open the first file mapping there is ... */
	int map_files_error; /* ... with this errno */
};

static void try_mapping(void *ctx, const struct proc_mapping *mapping)
{
	struct census *census = ctx;
	if (census->has_tried || mapping->path[0] != '/')
		return;
	census->has_tried = true;
	char path[128];
	snprintf(path, sizeof(path), "/proc/%u/map_files/%" PRIx64 "-%" PRIx64, census->pid,
		 mapping->start_ip, mapping->end_ip);
	AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC);
	census->map_files_error = fd < 0 ? errno : 0;
}

static void count_process(void *ctx, uint32_t pid)
{
	enum { KTHREADD = 2 }; /* parent of all kernel threads, which have no mappings */
	struct census *census = ctx;
	struct proc_stat stat;
	if (pid == (uint32_t)getpid() || pid == KTHREADD || proc_read_stat(&stat, pid) ||
	    stat.parent_pid == KTHREADD)
		return;
	census->pid = pid;
	int rc = proc_visit_mappings(pid, try_mapping, census);
	census->processes += rc != -ESRCH;
	census->readable += !rc;
}

static struct census take_census(void)
{
	struct census census = {0};
	(void)proc_visit_pids(count_process, &census);
	return census;
}

static bool check_other_processes(struct finding *finding)
{
	struct census census = take_census();
	return found(finding, census.readable * 10 >= census.processes * 9,
		     "mappings of %zu of %zu processes are readable", census.readable,
		     census.processes);
}

static bool check_map_files(struct finding *finding)
{
	struct census census = take_census();
	if (!census.has_tried)
		return found(finding, false, "no other process's mappings are readable");
	if (census.map_files_error)
		return found(finding, false, "/proc/PID/map_files: %s",
			     strerror(census.map_files_error));
	return found(finding, true, "deleted and containerised binaries are readable");
}

static bool has_helper(struct finding *finding, const char *name)
{
	return finding->btf && kernel_btf_has_enumerator(finding->btf, "bpf_func_id", name);
}

static bool tell(struct finding *finding, bool has, const char *what)
{
	if (!finding->btf)
		return found(finding, false, "not known without BTF");
	return found(finding, has, has ? "the kernel has %s" : "this kernel has no %s", what);
}

static bool check_task_copy(struct finding *finding)
{
	return tell(finding, has_helper(finding, "BPF_FUNC_copy_from_user_task"),
		    "bpf_copy_from_user_task");
}

static bool check_task_storage(struct finding *finding)
{
	return tell(finding,
		    finding->btf && kernel_btf_has_enumerator(finding->btf, "bpf_map_type",
							      "BPF_MAP_TYPE_TASK_STORAGE"),
		    "task storage");
}

static bool has_function(const struct finding *finding, const char *name)
{
	return finding->btf && kernel_btf_has_function(finding->btf, name);
}

static bool check_waiting(struct finding *finding, enum waiting_method method)
{
	struct err err = {0};
	AUTO(sampler) sampler = NULL;
	AUTO(waiting) waiting = NULL;
	struct sampler_options sampling = {.rate_hz = 99, .ring_bytes = 1 << 16};
	struct waiting_options options = {.method = method};
	int rc = sampler_open(&sampler, &sampling, &err);
	options.sampler = sampler;
	if (!rc)
		rc = waiting_open(&waiting, &options, &err);
	if (rc) {
		(void)failed(finding, &err);
		finding->waiting->is_denied |= finding->is_denied;
		return false;
	}
	finding->waiting->works[method] = true;
	return found(finding, true, "sampling of waiting threads by it loads (--waiting %s)",
		     waiting_method_word(method));
}

static bool check_task_iterator(struct finding *finding)
{
	return check_waiting(finding, WAITING_OPEN);
}

static bool check_sleepable_iterator(struct finding *finding)
{
	return check_waiting(finding, WAITING_ITER);
}

static bool check_sampled_switches(struct finding *finding)
{
	return check_waiting(finding, WAITING_SWITCH);
}

/* As waiting_open() chooses. */
static bool check_off_cpu_sampling(struct finding *finding)
{
	enum waiting_method method = WAITING_OPEN;
	while (method < WAITING_METHODS && !finding->waiting->works[method])
		method++;
	finding->is_denied = finding->waiting->is_denied;
	return method < WAITING_METHODS
		       ? found(finding, true, "by the %s", waiting_method_name(method))
		       : found(finding, false, "none of the ways to sample waiting threads works");
}

static bool check_task_work(struct finding *finding)
{
	/* Renamed when it lost an argument. */
	bool has = has_function(finding, "bpf_task_work_schedule_resume_impl") ||
		   has_function(finding, "bpf_task_work_schedule_resume");
	return tell(finding, has, "bpf_task_work_schedule_resume");
}

static bool check_exact(struct finding *finding)
{
	struct err err = {0};
	AUTO(sampler) sampler = NULL;
	AUTO(tracing) tracing = NULL;
	struct sampler_options sampling = {.rate_hz = 1, .ring_bytes = 1 << 20};
	if (sampler_open(&sampler, &sampling, &err))
		return failed(finding, &err);
	/* Of no thread at all: it is attached, and does next to nothing. */
	struct tracing_options options = {.sampler = sampler, .pid = -1};
	if (tracing_open(&tracing, &options, &err))
		return failed(finding, &err);
	return found(finding, true, "programs on sched_switch and sched_waking");
}

static bool check_uprobes(struct finding *finding)
{
	static const char path[] = "/sys/bus/event_source/devices/uprobe/type";
	if (!access(path, R_OK))
		return found(finding, true, "%s", path);
	return found(finding, false, "this kernel has no uprobe events");
}

static bool check_cgroup(struct finding *finding)
{
	static const char *const roots[] = {"/sys/fs/cgroup/cgroup.controllers",
					    "/sys/fs/cgroup/unified/cgroup.controllers"};
	for (size_t i = 0; i < ARRAY_LEN(roots); i++)
		if (!access(roots[i], R_OK))
			return found(finding, true, "%s", roots[i]);
	return found(finding, false, "no cgroup v2 hierarchy is mounted");
}

static bool check_lockdown(struct finding *finding)
{
	AUTO_FD fd = open("/sys/kernel/security/lockdown", O_RDONLY | O_CLOEXEC);
	char text[128] = "";
	ssize_t len_bytes = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
	text[len_bytes > 0 ? strcspn(text, "\n") : 0] = 0;
	return found(finding, !strstr(text, "[confidentiality]"), "%s",
		     text[0] ? text : "not in force");
}

static bool check_file_limit(struct finding *finding)
{
	struct rlimit limit;
	getrlimit(RLIMIT_NOFILE, &limit);
	return found(finding, limit.rlim_max >= 4096, "%llu open files allowed",
		     (unsigned long long)limit.rlim_max);
}

static bool check_debuginfod(struct finding *finding)
{
	const char *urls = getenv("DEBUGINFOD_URLS");
	return urls && *urls ? found(finding, true, "DEBUGINFOD_URLS is %s", urls)
			     : found(finding, false, "DEBUGINFOD_URLS is not set");
}

static const struct check checks[] = {
	{"kernel", "everything", true, NULL, check_kernel},
	{"BTF", "BPF programs that fit this kernel", true,
	 "use a kernel built with CONFIG_DEBUG_INFO_BTF=y, as Debian's are", check_btf},
	{"privileges", "sampling every process", false, as_root, check_privileges},
	{"process ids", "telling processes apart", false,
	 "run in the machine's pid namespace (docker run --pid=host)", check_pid_namespace},
	{"on-CPU sampling", "CPU profiles", true, as_root, check_sampler},
	{"perf side-band", "processes and mappings as they come and go", true, as_root,
	 check_sideband},
	{"build IDs", "files of processes that are gone at once (Linux 5.12)", false, newer_kernel,
	 check_sideband_build_id},
	{"stack depth", "kernel stacks of 127 frames", false,
	 "sysctl kernel.perf_event_max_stack=127", check_max_stack},
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
	{"sleepable iterator", "sampling of waiting threads on Linux 5.18 to 6.6", false,
	 "none is needed where sampled switches work; threads that never run are missed then",
	 check_sleepable_iterator},
	{"copy from tasks", "stacks of waiting threads (Linux 5.18)", false, newer_kernel,
	 check_task_copy},
	{"task iterator", "sampling of waiting threads (Linux 6.7)", false,
	 "none is needed where the sleepable iterator works, at twice the cost",
	 check_task_iterator},
	{"task storage", "cheap state per thread (Linux 5.12)", false, newer_kernel,
	 check_task_storage},
	{"sampled switches", "sampling of waiting threads on older kernels", false, newer_kernel,
	 check_sampled_switches},
	{"off-CPU sampling", "profiles of what waits", false,
	 "use a newer kernel; only what runs is sampled without it", check_off_cpu_sampling},
	{"task work", "exact user stacks after long waits (Linux 6.18)", false, newer_kernel,
	 check_task_work},
	{"exact tracing", "every wait and who ended it, on demand", false, newer_kernel,
	 check_exact},
	{"uprobes", "tracing of functions of user space", false,
	 "use a kernel built with CONFIG_UPROBE_EVENTS=y", check_uprobes},
	{"debuginfod", "names from debug files on a server", false,
	 "set DEBUGINFOD_URLS to the server's URL", check_debuginfod},
};

static const char *remedy_of(const struct check *check, const struct finding *finding)
{
	return finding->is_denied ? as_root : check->remedy;
}

void doctor_examine(void (*visit)(void *ctx, const struct capability *capability), void *ctx)
{
	libbpf_set_print(NULL);
	AUTO(kernel_btf) btf = NULL;
	(void)kernel_btf_open(&btf, NULL); /* the check "BTF" tells */
	struct waiting_methods waiting = {0};
	for (size_t i = 0; i < ARRAY_LEN(checks); i++) {
		struct finding finding = {.waiting = &waiting, .btf = btf};
		struct capability capability = {
			.name = checks[i].name,
			.used_for = checks[i].used_for,
			.is_required = checks[i].is_required,
			.works = checks[i].works(&finding),
			.why = finding.why,
		};
		capability.remedy = capability.works ? NULL : remedy_of(&checks[i], &finding);
		visit(ctx, &capability);
	}
}
