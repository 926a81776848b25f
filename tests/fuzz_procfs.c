/* The texts of /proc: PID/stat, a line of PID/maps, PID/cgroup; the first byte says which. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"
#include "profiler/procfs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len_bytes);

static void read_stat(const char *text)
{
	struct proc_stat stat;
	if (!proc_stat_parse(&stat, text))
		assert(strnlen(stat.comm, sizeof(stat.comm)) < sizeof(stat.comm));
}

static void read_mapping(char *line, size_t len_bytes)
{
	struct proc_mapping mapping;
	if (proc_mapping_parse(&mapping, line))
		return;
	assert(mapping.start_ip < mapping.end_ip);
	assert(mapping.path >= line && mapping.path <= line + len_bytes);
	assert(!strchr(mapping.path, '\n'));
}

static void read_cgroup(const char *text)
{
	char path[32];
	proc_cgroup_parse(text, path, sizeof(path));
	assert(strnlen(path, sizeof(path)) < sizeof(path));
	assert(!strchr(path, '\n'));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len_bytes)
{
	if (!len_bytes)
		return 0;
	AUTO_MEM char *text = calloc(1, len_bytes); /* one byte goes, one NUL comes */
	if (!text)
		return 0;
	memcpy(text, data + 1, len_bytes - 1);
	if (data[0] % 3 == 0)
		read_stat(text);
	else if (data[0] % 3 == 1)
		read_mapping(text, len_bytes - 1);
	else
		read_cgroup(text);
	return 0;
}
