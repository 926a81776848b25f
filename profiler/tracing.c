#include "profiler/tracing.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/vfs.h>

#include "exact.skel.h"
#include "profiler/cpu_list.h"
#include "profiler/kernel_btf.h"
#include "profiler/kernel_code.h"

/* Room for the threads there are and as many that come, within these. */
enum { MIN_THREADS = 8192, MAX_THREADS = 65536 };

/* Copied with a run queue locked, and only to learn which rows are missing. */
enum { SLICE_BYTES = 16 << 10 };

struct tracing {
	struct exact_bpf *skel;
	int possible_cpus;
};

/* A trace of what is not there would be empty, and not say why. */
static int look_for_threads(const struct tracing_options *options, struct err *err)
{
	if (options->pid && kill(options->pid, 0) && errno == ESRCH)
		return err_set(err, -ESRCH, "there is no process %d", options->pid);
	if (options->tid && kill(options->tid, 0) && errno == ESRCH)
		return err_set(err, -ESRCH, "there is no thread %d", options->tid);
	return 0;
}

static uint32_t thread_room(void)
{
	unsigned threads = 0;
	FILE *file = fopen("/proc/loadavg", "re");
	if (file) {
		if (fscanf(file, "%*s %*s %*s %*u/%u", &threads) != 1)
			threads = 0;
		fclose(file);
	}
	uint32_t room = threads < MAX_THREADS / 2 ? 2 * threads : MAX_THREADS;
	return room > MIN_THREADS ? room : MIN_THREADS;
}

static int size_maps(struct tracing *tracing, struct err *err)
{
	struct bpf_map *scratches = tracing->skel->maps.scratches;
	size_t scratch_bytes = bpf_map__value_size(scratches) - ABI_SLICE_BYTES + SLICE_BYTES;
	int rc = bpf_map__set_value_size(scratches, (uint32_t)scratch_bytes);
	if (!rc)
		rc = bpf_map__set_max_entries(scratches, (uint32_t)tracing->possible_cpus);
	if (!rc)
		rc = bpf_map__set_max_entries(tracing->skel->maps.trace_threads, thread_room());
	return rc ? err_set(err, rc, "size of maps: %m") : 0;
}

/* The task's state as it was is an argument of the tracepoint, where there are four. */
static int look_at_kernel(struct tracing *tracing, struct err *err)
{
	enum { ARGS_WITH_STATE = 4 };
	struct exact_bpf__rodata *settings = tracing->skel->rodata;
	AUTO(kernel_btf) kernel = NULL;
	int rc = kernel_btf_open(&kernel, err);
	if (rc)
		return rc;
	settings->cfg_has_state =
		kernel_btf_tracepoint_args(kernel, "sched_switch") >= ARGS_WITH_STATE;
	struct kernel_code code = {0};
	/* Where it is hidden stacks have more frames than they need. */
	(void)kernel_code_read(&code, "/proc/kallsyms", NULL);
	settings->cfg_sched_start = code.sched.start_ip;
	settings->cfg_sched_end = code.sched.end_ip;
	settings->cfg_wake_start = code.wake.start_ip;
	settings->cfg_wake_end = code.wake.end_ip;
	settings->cfg_irq_start = code.irq.start_ip;
	settings->cfg_irq_end = code.irq.end_ip;
	return 0;
}

static int configure(struct tracing *tracing, const struct tracing_options *options,
		     struct err *err)
{
	struct exact_bpf__rodata *settings = tracing->skel->rodata;
	uint32_t umem_words;
	(void)sampler_umem(options->sampler, &umem_words);
	if (settings->abi_version != ABI_VERSION)
		return err_set(err, -EINVAL, "BPF object has ABI %u, this program %d",
			       settings->abi_version, ABI_VERSION);
	settings->cfg_follow = sampler_follows(options->sampler);
	settings->cfg_ring_bytes = sampler_ring_bytes(options->sampler);
	settings->cfg_umem_mask = umem_words - 1;
	settings->cfg_slice_bytes = SLICE_BYTES;
	settings->cfg_cpus = (uint32_t)tracing->possible_cpus;
	settings->cfg_pid = (uint32_t)options->pid;
	settings->cfg_tid = (uint32_t)options->tid;
	settings->cfg_not_pid = (uint32_t)options->not_pid;
	settings->cfg_in_cgroup = options->cgroup != NULL;
	settings->cfg_states = options->states;
	settings->cfg_session = options->session;
	settings->cfg_min_ns = options->min_ns;
	settings->cfg_max_ns = options->max_ns;
	settings->cfg_delay_ns = options->delay_ns;
	settings->cfg_period_ns = options->period_ns;
	int rc = look_at_kernel(tracing, err);
	return rc ? rc : size_maps(tracing, err);
}

static int load_failed(int code, struct err *err)
{
	if (code == -EPERM || code == -EACCES)
		return err_set(err, -EPERM,
			       "loading BPF programs on the scheduler's events is not allowed; run "
			       "as root or with CAP_BPF and CAP_PERFMON");
	return err_set(err, code == -ENOMEM ? code : -EOPNOTSUPP,
		       "the kernel refused the BPF programs on the scheduler's events: %m");
}

static int ask_for_cgroup(const struct tracing *tracing, const char *path, struct err *err)
{
	uint32_t zero = 0;
	struct statfs fs;
	AUTO_FD fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_set(err, -errno, "cgroup %s: %m", path);
	if (fstatfs(fd, &fs))
		return err_set(err, -errno, "cgroup %s: %m", path);
	if (fs.f_type != CGROUP2_SUPER_MAGIC)
		return err_set(err, -EINVAL,
			       "%s is no cgroup of the v2 hierarchy, which threads are told by",
			       path);
	int map_fd = bpf_map__fd(tracing->skel->maps.asked_cgroups);
	if (bpf_map_update_elem(map_fd, &zero, &fd, BPF_ANY))
		return err_set(err, -errno, "cgroup %s: %m", path);
	return 0;
}

static int load(struct tracing *tracing, const struct tracing_options *options, struct err *err)
{
	tracing->skel = exact_bpf__open();
	if (!tracing->skel)
		return err_set(err, -errno, "open the BPF object: %m");
	int rc = configure(tracing, options, err);
	if (!rc)
		rc = sampler_share_maps(options->sampler, tracing->skel->obj, err);
	if (rc)
		return rc;
	rc = exact_bpf__load(tracing->skel);
	if (rc)
		return load_failed(rc, err);
	if (options->cgroup)
		rc = ask_for_cgroup(tracing, options->cgroup, err);
	if (rc)
		return rc;
	rc = exact_bpf__attach(tracing->skel);
	return rc ? load_failed(rc, err) : 0;
}

int tracing_open(struct tracing **out, const struct tracing_options *options, struct err *err)
{
	AUTO(tracing) tracing = calloc(1, sizeof(*tracing));
	if (!tracing)
		return err_set(err, -ENOMEM, "tracing: %m");
	tracing->possible_cpus = libbpf_num_possible_cpus();
	if (tracing->possible_cpus <= 0 || tracing->possible_cpus > CPU_LIST_MAX)
		return err_set(err, -EIO, "the number of CPUs is unknown or beyond %d",
			       CPU_LIST_MAX);
	int rc = look_for_threads(options, err);
	if (!rc)
		rc = load(tracing, options, err);
	if (rc)
		return err_wrap(err, rc, "exact tracing");
	*out = TAKE(tracing);
	return 0;
}

void tracing_free(struct tracing *tracing)
{
	if (!tracing)
		return;
	exact_bpf__destroy(tracing->skel);
	free(tracing);
}

void tracing_stop(struct tracing *tracing)
{
	exact_bpf__detach(tracing->skel);
}

static uint64_t sum_of(const struct tracing *tracing, uint32_t stat)
{
	int map_fd = bpf_map__fd(tracing->skel->maps.trace_stats);
	uint64_t per_cpu[CPU_LIST_MAX], sum = 0;
	if (bpf_map_lookup_elem(map_fd, &stat, per_cpu))
		return 0;
	for (int cpu = 0; cpu < tracing->possible_cpus; cpu++)
		sum += per_cpu[cpu];
	return sum;
}

void tracing_counts(const struct tracing *tracing, uint64_t counts[static TRACE_STAT_COUNT])
{
	for (uint32_t stat = TRACE_STAT_COUNT; stat-- > 0;)
		counts[stat] = sum_of(tracing, stat);
}

void tracing_visit_threads(const struct tracing *tracing,
			   void (*visit)(void *ctx, const struct trace_thread *thread), void *ctx)
{
	int map_fd = bpf_map__fd(tracing->skel->maps.trace_threads);
	struct trace_thread thread;
	uint32_t tid, *after = NULL;
	while (!bpf_map_get_next_key(map_fd, after, &tid)) {
		after = &tid;
		if (!bpf_map_lookup_elem(map_fd, &tid, &thread))
			visit(ctx, &thread);
	}
}

void tracing_visit_pairs(const struct tracing *tracing,
			 void (*visit)(void *ctx, const struct trace_pair *pair,
				       const struct trace_pair_sum *sum),
			 void *ctx)
{
	int map_fd = bpf_map__fd(tracing->skel->maps.trace_pairs);
	struct trace_pair pair, *after = NULL;
	struct trace_pair_sum sum;
	while (!bpf_map_get_next_key(map_fd, after, &pair)) {
		after = &pair;
		if (!bpf_map_lookup_elem(map_fd, &pair, &sum))
			visit(ctx, &pair, &sum);
	}
}

void tracing_visit_delays(const struct tracing *tracing,
			  void (*visit)(void *ctx, const struct trace_delay *delay), void *ctx)
{
	int map_fd = bpf_map__fd(tracing->skel->maps.trace_delays);
	uint64_t count = sum_of(tracing, TRACE_DELAYS);
	struct trace_delay delay;
	/* Each CPU writes places of its own: those that were not come with a time of 0. */
	for (uint32_t i = 0; i < TRACE_MAX_DELAYS && count > 0; i++)
		if (!bpf_map_lookup_elem(map_fd, &i, &delay) && delay.in_mono_ns)
			visit(ctx, &delay);
}
