#include "profiler/perf_event.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

int perf_event_open_cpu(struct perf_event_attr *attr, uint32_t cpu, const char *what,
			struct err *err)
{
	attr->size = sizeof(*attr);
	attr->disabled = 1;
	long fd = syscall(SYS_perf_event_open, attr, -1, (int)cpu, -1, PERF_FLAG_FD_CLOEXEC);
	if (fd >= 0)
		return (int)fd;
	int code = -errno;
	if (code == -EACCES || code == -EPERM)
		return err_set(err, -EPERM,
			       "%s: not allowed; run as root or with CAP_PERFMON (and CAP_BPF)",
			       what);
	if (code == -ENOENT || code == -EOPNOTSUPP)
		return err_set(err, -EOPNOTSUPP, "%s: this kernel or machine has no such event",
			       what);
	return err_set(err, code, "%s on CPU %u: %m", what, cpu);
}
