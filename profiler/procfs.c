#include "profiler/procfs.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/auto.h"

enum { PATH_BYTES = 64, SMALL_FILE_BYTES = 8192 };

/* /proc adds what a kernel worker is working on, or was: "kworker/0:1-events". That is not its
 * name, which perf tells without it. kernel/workqueue.c, wq_worker_comm() */
static void cut_work(char *comm)
{
	if (!strncmp(comm, "kworker/", 8))
		comm[strcspn(comm, "-+")] = 0;
}

int proc_stat_parse(struct proc_stat *stat, const char *text)
{
	/* The name may hold anything, spaces and parentheses too: it ends at the last ')'. */
	const char *open = strchr(text, '(');
	const char *close = strrchr(text, ')');
	if (!open || !close || close < open)
		return -EBADMSG;
	struct proc_stat parsed = {0};
	size_t len_bytes = (size_t)(close - open - 1);
	if (len_bytes >= COMM_BYTES)
		len_bytes = COMM_BYTES - 1;
	memcpy(parsed.comm, open + 1, len_bytes);
	cut_work(parsed.comm);
	/* state(3) ppid(4) ... starttime(22), counted from 1 in proc(5). */
	unsigned long long start_ticks;
	if (sscanf(close + 1,
		   " %*c %u %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
		   &parsed.parent_pid, &start_ticks) != 2)
		return -EBADMSG;
	parsed.start_boot_ticks = start_ticks;
	*stat = parsed;
	return 0;
}

/* "Uid:" real, effective, ...; "NSpid:" a pid for each namespace, from the outermost one on. */
int proc_status_parse(struct proc_status *status, const char *text)
{
	const char *uid = strstr(text, "\nUid:");
	const char *ns_pid = strstr(text, "\nNSpid:");
	struct proc_status parsed;
	if (!uid || !ns_pid || sscanf(uid, "\nUid: %*u %u", &parsed.uid) != 1)
		return -EBADMSG;
	int count = 0, used;
	for (ns_pid += 7; sscanf(ns_pid, "%*[ \t]%u%n", &parsed.ns_pid, &used) == 1; ns_pid += used)
		count++;
	if (!count || *ns_pid != '\n')
		return -EBADMSG;
	*status = parsed;
	return 0;
}

void proc_path_cut_deleted(char *path)
{
	static const char suffix[] = " (deleted)";
	size_t len_bytes = strlen(path), suffix_bytes = sizeof(suffix) - 1;
	if (len_bytes > suffix_bytes && !strcmp(path + len_bytes - suffix_bytes, suffix))
		path[len_bytes - suffix_bytes] = 0;
}

int proc_mapping_parse(struct proc_mapping *mapping, char *line)
{
	unsigned long long start_ip, end_ip, file_off, inode;
	unsigned int dev_major, dev_minor;
	char prot[5] = "";
	int path_at = 0;
	if (sscanf(line, "%llx-%llx %4s %llx %x:%x %llu %n", &start_ip, &end_ip, prot, &file_off,
		   &dev_major, &dev_minor, &inode, &path_at) != 7 ||
	    end_ip <= start_ip || !path_at)
		return -EBADMSG;
	char *path = line + path_at;
	path[strcspn(path, "\n")] = 0;
	proc_path_cut_deleted(path);
	*mapping = (struct proc_mapping){
		.start_ip = start_ip,
		.end_ip = end_ip,
		.file_off = file_off,
		.dev_major = dev_major,
		.dev_minor = dev_minor,
		.inode = inode,
		.is_executable = prot[2] == 'x',
		.path = path,
	};
	return 0;
}

/* Lines are "id:controllers:path"; id 0 with no controllers is v2. cgroups(7). */
void proc_cgroup_parse(const char *text, char *path, size_t path_bytes)
{
	const char *v1 = "", *v2 = "";
	for (const char *line = text; line && *line;) {
		const char *controllers = strchr(line, ':');
		const char *value = controllers ? strchr(controllers + 1, ':') : NULL;
		const char *next = strchr(line, '\n');
		if (!value || (next && value > next))
			break;
		if (!strncmp(line, "0::", 3))
			v2 = value + 1;
		else if (!*v1 && (strstr(controllers, "name=systemd:") == controllers + 1 ||
				  strstr(controllers, "pids:") == controllers + 1))
			v1 = value + 1;
		line = next ? next + 1 : NULL;
	}
	const char *chosen = *v2 == '/' && v2[1] && v2[1] != '\n' ? v2 : v1;
	if (!*chosen)
		chosen = v2;
	snprintf(path, path_bytes, "%.*s", (int)strcspn(chosen, "\n"), chosen);
	proc_path_cut_deleted(path); /* of a process that outlived its cgroup */
}

/* A small file whole, NUL-terminated. */
static int read_small(const char *path, char *text, size_t text_bytes)
{
	AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	ssize_t len_bytes = read(fd, text, text_bytes - 1);
	if (len_bytes < 0)
		return -errno;
	text[len_bytes] = 0;
	return 0;
}

int proc_read_stat(struct proc_stat *stat, uint32_t pid)
{
	char path[PATH_BYTES], text[SMALL_FILE_BYTES];
	snprintf(path, sizeof(path), "/proc/%u/stat", pid);
	int rc = read_small(path, text, sizeof(text));
	return rc ? rc : proc_stat_parse(stat, text);
}

int proc_read_status(struct proc_status *status, uint32_t pid)
{
	char path[PATH_BYTES], text[SMALL_FILE_BYTES];
	snprintf(path, sizeof(path), "/proc/%u/status", pid);
	int rc = read_small(path, text, sizeof(text));
	return rc ? rc : proc_status_parse(status, text);
}

int proc_read_cgroup(uint32_t pid, char *cgroup, size_t cgroup_bytes)
{
	char path[PATH_BYTES], text[SMALL_FILE_BYTES];
	snprintf(path, sizeof(path), "/proc/%u/cgroup", pid);
	int rc = read_small(path, text, sizeof(text));
	if (!rc)
		proc_cgroup_parse(text, cgroup, cgroup_bytes);
	return rc;
}

int proc_read_thread_comm(uint32_t pid, uint32_t tid, char comm[static COMM_BYTES])
{
	char path[PATH_BYTES], text[COMM_BYTES + 1];
	snprintf(path, sizeof(path), "/proc/%u/task/%u/comm", pid, tid);
	int rc = read_small(path, text, sizeof(text));
	if (rc)
		return rc;
	snprintf(comm, COMM_BYTES, "%.*s", (int)strcspn(text, "\n"), text);
	cut_work(comm);
	return 0;
}

static void close_file(FILE **file)
{
	if (*file)
		fclose(*file);
}

/* There may be 65,530 lines, or what vm.max_map_count says, and hardly any of code. */
static bool is_of_code(const char *line)
{
	const char *prot = strchr(line, ' ');
	return prot && prot[1] && prot[2] && prot[3] == 'x';
}

int proc_visit_mappings(uint32_t pid, proc_mapping_fn visit, void *ctx)
{
	char path[PATH_BYTES];
	snprintf(path, sizeof(path), "/proc/%u/maps", pid);
	__attribute__((cleanup(close_file))) FILE *file = fopen(path, "re");
	if (!file)
		return errno == ENOENT ? -ESRCH : -errno;
	AUTO_MEM char *line = NULL;
	size_t cap = 0;
	while (getline(&line, &cap, file) > 0) {
		struct proc_mapping mapping;
		if (is_of_code(line) && !proc_mapping_parse(&mapping, line) &&
		    mapping.is_executable)
			visit(ctx, &mapping);
	}
	return ferror(file) ? -ESRCH : 0; /* the process ended while we read */
}

static void close_dir(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

static int visit_numbers(const char *path, proc_id_fn visit, void *ctx)
{
	__attribute__((cleanup(close_dir))) DIR *dir = opendir(path);
	if (!dir)
		return errno == ENOENT ? -ESRCH : -errno;
	const struct dirent *entry;
	while ((entry = readdir(dir)) != NULL)
		if (isdigit((unsigned char)entry->d_name[0]))
			visit(ctx, (uint32_t)strtoul(entry->d_name, NULL, 10));
	return 0;
}

int proc_visit_pids(proc_id_fn visit, void *ctx)
{
	return visit_numbers("/proc", visit, ctx);
}

int proc_visit_tids(uint32_t pid, proc_id_fn visit, void *ctx)
{
	char path[PATH_BYTES];
	snprintf(path, sizeof(path), "/proc/%u/task", pid);
	return visit_numbers(path, visit, ctx);
}
