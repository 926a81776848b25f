#include "profiler/perf_event.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

int perf_event_open_cpu(struct perf_event_attr *attr, uint32_t cpu, const char *what,
			struct err *err)
{
	attr->size = sizeof(*attr);
	attr->disabled = 1;
	attr->read_format = PERF_FORMAT_TOTAL_TIME_ENABLED;
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

bool perf_event_is_dead(int fd, uint64_t *enabled_ns)
{
	/* "Reading results" in perf_event_open(2), for this read_format. */
	struct {
		uint64_t value, enabled_ns;
	} now;
	if (read(fd, &now, sizeof(now)) != (ssize_t)sizeof(now))
		return false;
	bool is_dead = now.enabled_ns == *enabled_ns;
	*enabled_ns = now.enabled_ns;
	return is_dead;
}
