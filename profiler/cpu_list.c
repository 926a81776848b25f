#include "profiler/cpu_list.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/auto.h"

static bool take_cpu(const char **pos, unsigned long *cpu)
{
	if (!isdigit((unsigned char)**pos))
		return false;
	char *end;
	*cpu = strtoul(*pos, &end, 10);
	*pos = end;
	return true;
}

int cpu_list_parse(struct cpu_list *list, const char *text, struct err *err)
{
	struct cpu_list parsed = {0};
	const char *pos = text;
	for (bool more = *pos && *pos != '\n'; more;) {
		unsigned long first, last;
		if (!take_cpu(&pos, &first))
			return err_set(err, -EBADMSG, "\"%s\" is not a list of CPUs", text);
		last = first;
		if (*pos == '-' && (pos++, !take_cpu(&pos, &last)))
			return err_set(err, -EBADMSG, "\"%s\" is not a list of CPUs", text);
		if (last >= CPU_LIST_MAX)
			return err_set(err, -ENOSPC, "CPU %lu is beyond the %d Hearth can follow",
				       last, CPU_LIST_MAX);
		for (unsigned long cpu = first; cpu <= last; cpu++)
			parsed.bits[cpu / 64] |= UINT64_C(1) << (cpu % 64);
		if (last < first || (*pos && *pos != ',' && *pos != '\n'))
			return err_set(err, -EBADMSG, "\"%s\" is not a list of CPUs", text);
		more = *pos == ',';
		pos += more;
	}
	*list = parsed;
	return 0;
}

int cpu_list_online(struct cpu_list *list, struct err *err)
{
	static const char path[] = "/sys/devices/system/cpu/online";
	AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC);
	char text[4096];
	ssize_t len_bytes = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (len_bytes < 0)
		return err_set(err, -errno, "read %s: %m", path);
	text[len_bytes] = 0;
	return cpu_list_parse(list, text, err);
}

bool cpu_list_has(const struct cpu_list *list, uint32_t cpu)
{
	return cpu < CPU_LIST_MAX && (list->bits[cpu / 64] >> (cpu % 64)) & 1;
}

uint32_t cpu_list_count(const struct cpu_list *list)
{
	uint32_t count = 0;
	for (uint32_t i = 0; i < CPU_LIST_MAX / 64; i++)
		count += (uint32_t)__builtin_popcountll(list->bits[i]);
	return count;
}
