/*
 * unwind_peer PID HZ SECONDS: samples a process by unwind_peer.bpf.c and prints, of the time
 * after the first half second, "samples, ns in the program, user frames".
 */
#define _GNU_SOURCE
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bench/unwind_peer.h"
#include "unwind_peer.skel.h"

enum { MAX_CPUS = 4096, WARM_UP_US = 500000 };

/* The program goes with the event, and the event with this process. */
static int attach(const struct bpf_program *program, int cpu, uint64_t hz)
{
	struct perf_event_attr attr = {
		.size = sizeof(attr),
		.type = PERF_TYPE_SOFTWARE,
		.config = PERF_COUNT_SW_CPU_CLOCK,
		.freq = 1,
		.sample_freq = hz,
	};
	int fd = (int)syscall(SYS_perf_event_open, &attr, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC);
	if (fd < 0)
		return -1;
	return bpf_program__attach_perf_event(program, fd) ? 0 : -1;
}

static int attach_all(const struct bpf_program *program, uint64_t hz)
{
	cpu_set_t allowed;
	if (sched_getaffinity(0, sizeof(allowed), &allowed))
		return -1;
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &allowed) && attach(program, cpu, hz))
			return -1;
	return 0;
}

static int read_counts(int map_fd, struct peer_count *sum)
{
	static struct peer_count per_cpu[MAX_CPUS];
	uint32_t zero = 0;
	int cpus = libbpf_num_possible_cpus();
	if (cpus < 1 || cpus > MAX_CPUS || bpf_map_lookup_elem(map_fd, &zero, per_cpu))
		return -1;
	*sum = (struct peer_count){0};
	for (int cpu = 0; cpu < cpus; cpu++) {
		sum->samples += per_cpu[cpu].samples;
		sum->run_ns += per_cpu[cpu].run_ns;
		sum->user_frames += per_cpu[cpu].user_frames;
	}
	return 0;
}

static int measure(int map_fd, unsigned int seconds)
{
	struct peer_count before, after;
	usleep(WARM_UP_US);
	if (read_counts(map_fd, &before))
		return -1;
	sleep(seconds);
	if (read_counts(map_fd, &after))
		return -1;
	printf("%llu %llu %llu\n", after.samples - before.samples, after.run_ns - before.run_ns,
	       after.user_frames - before.user_frames);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc != 4) {
		fprintf(stderr, "usage: unwind_peer PID HZ SECONDS\n");
		return 2;
	}
	struct unwind_peer_bpf *skel = unwind_peer_bpf__open();
	if (!skel)
		return 1;
	skel->rodata->cfg_pid = (uint32_t)strtoul(argv[1], NULL, 10);
	int rc = unwind_peer_bpf__load(skel);
	if (!rc)
		rc = attach_all(skel->progs.on_cpu_tick, strtoul(argv[2], NULL, 10));
	if (!rc)
		rc = measure(bpf_map__fd(skel->maps.counts),
			     (unsigned int)strtoul(argv[3], NULL, 10));
	if (rc)
		fprintf(stderr, "unwind_peer: %m\n");
	unwind_peer_bpf__destroy(skel);
	return rc ? 1 : 0;
}
