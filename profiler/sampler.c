#include "profiler/sampler.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "base/array.h"
#include "base/clock.h"
#include "profiler/cpu_list.h"
#include "profiler/perf_event.h"
#include "profiler/procfs.h"
#include "sampler.skel.h"

enum { MAX_RING_BYTES = 1 << 30, DEFAULT_UMEM_BYTES = 32 << 20 };

/* Where the BPF side puts a sample together, for all CPUs: as far as this goes, tails have
 * slices of ABI_SLICE_BYTES, and beyond it down to MIN_SLICE_BYTES. */
enum { MAX_SCRATCH_BYTES = 8 << 20, MIN_SLICE_BYTES = 16 << 10 };

struct cpu_link {
	uint32_t cpu;
	int fd;              /* the clock event; the BPF program hangs on it and goes with it */
	uint64_t enabled_ns; /* perf_event_is_dead() */
};

struct sampler {
	struct sampler_bpf *skel;
	struct ring_buffer *ring;
	uint32_t rate_hz;
	uint32_t ring_bytes;
	uint32_t *umem; /* the mapped array; NULL: not yet */
	uint32_t umem_words;
	struct controls *controls; /* the mapped entry; NULL: not yet */
	bool follows;
	struct cpu_link *links;
	size_t link_count, link_cap;
	int possible_cpus;
	bool started;
	sampler_record_fn take; /* of the drain under way */
	void *take_ctx;
	uint64_t taken_bytes; /* by it */
};

/* libbpf's own lines would land in the middle of ours; its errno is enough. */
static int no_print(enum libbpf_print_level level, const char *format, va_list args)
{
	(void)level, (void)format, (void)args;
	return 0;
}

static uint32_t ring_size(uint32_t wanted_bytes)
{
	uint32_t size_bytes = (uint32_t)sysconf(_SC_PAGESIZE);
	while (size_bytes < wanted_bytes && size_bytes < MAX_RING_BYTES)
		size_bytes *= 2;
	return size_bytes;
}

/* Before v6.0 the value of an array had a ceiling, KMALLOC_MAX_SIZE; what is there still serves, it
 * is only filled anew more often. https://git.kernel.org/torvalds/c/63b8ce77b15e
 * Delete when 6.0 is the oldest kernel we support. */
static uint32_t umem_size(uint32_t wanted_bytes)
{
	enum { OLD_MAX_VALUE_BYTES = 4 << 20 };
	uint32_t size_bytes = ring_size(wanted_bytes);
	if (size_bytes <= OLD_MAX_VALUE_BYTES)
		return size_bytes;
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_MMAPABLE);
	AUTO_FD fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "umem", sizeof(uint32_t),
				    OLD_MAX_VALUE_BYTES + 1, 1, &opts);
	return fd == -E2BIG ? OLD_MAX_VALUE_BYTES : size_bytes;
}

static int load_failed(int code, struct err *err)
{
	if (code == -EPERM || code == -EACCES)
		return err_set(
			err, -EPERM,
			"loading BPF programs is not allowed; run as root or with CAP_BPF and "
			"CAP_PERFMON, and see `hearth doctor`");
	if (access("/sys/kernel/btf/vmlinux", R_OK))
		return err_set(err, -EOPNOTSUPP,
			       "this kernel has no BTF (/sys/kernel/btf/vmlinux); Hearth needs one "
			       "built with CONFIG_DEBUG_INFO_BTF=y, as Debian's are");
	return err_set(err, code, "the kernel refused the BPF programs: %m; see `hearth doctor`");
}

static int size_scratches(struct sampler *sampler, struct err *err)
{
	struct bpf_map *map = sampler->skel->maps.scratches;
	uint32_t cpus = (uint32_t)sampler->possible_cpus;
	uint32_t slice_bytes = ABI_SLICE_BYTES;
	while (slice_bytes > MIN_SLICE_BYTES && slice_bytes * cpus > MAX_SCRATCH_BYTES)
		slice_bytes /= 2;
	sampler->skel->rodata->cfg_slice_bytes = slice_bytes;
	int rc = bpf_map__set_value_size(map,
					 bpf_map__value_size(map) - ABI_SLICE_BYTES + slice_bytes);
	if (!rc)
		rc = bpf_map__set_max_entries(map, cpus);
	return rc ? err_set(err, rc, "size of scratch memory: %m") : 0;
}

static int configure(struct sampler *sampler, const struct sampler_options *options,
		     struct err *err)
{
	struct sampler_bpf *skel = sampler->skel;
	if (skel->rodata->abi_version != ABI_VERSION)
		return err_set(err, -EINVAL, "BPF object has ABI %u, this program %d",
			       skel->rodata->abi_version, ABI_VERSION);
	sampler->ring_bytes = ring_size(options->ring_bytes);
	skel->rodata->cfg_period_ns = NS_PER_S / options->rate_hz;
	sampler->follows = options->pid_count > 0;
	skel->rodata->cfg_follow = sampler->follows;
	skel->rodata->cfg_ring_bytes = sampler->ring_bytes;
	sampler->umem_words =
		umem_size(options->umem_bytes ? options->umem_bytes : DEFAULT_UMEM_BYTES) /
		sizeof(uint32_t);
	skel->rodata->cfg_umem_mask = sampler->umem_words - 1;
	int rc = bpf_map__set_value_size(skel->maps.umem, sampler->umem_words * sizeof(uint32_t));
	if (rc)
		return err_set(err, rc, "size of unwind memory: %m");
	rc = size_scratches(sampler, err);
	if (rc)
		return rc;
	/* Its memory is allocated in advance. */
	if (!options->pid_count)
		(void)bpf_map__set_max_entries(skel->maps.followed, 1);
	return bpf_map__set_max_entries(skel->maps.samples, sampler->ring_bytes);
}

static int follow(const struct sampler *sampler, uint32_t pid, struct err *err)
{
	uint32_t one = 1;
	if (bpf_map_update_elem(bpf_map__fd(sampler->skel->maps.followed), &pid, &one, BPF_ANY))
		return err_set(err, -errno, "follow process %u: %m", pid);
	return 0;
}

struct adoption {
	const struct sampler *sampler;
	struct err *err;
	int rc;
	bool found;
};

/* Follow pid when its parent is followed. */
static void adopt(void *ctx, uint32_t pid)
{
	struct adoption *adoption = ctx;
	int map_fd = bpf_map__fd(adoption->sampler->skel->maps.followed);
	struct proc_stat stat;
	uint32_t ignored;
	if (adoption->rc || proc_read_stat(&stat, pid) ||
	    !bpf_map_lookup_elem(map_fd, &pid, &ignored) ||
	    bpf_map_lookup_elem(map_fd, &stat.parent_pid, &ignored))
		return;
	adoption->rc = follow(adoption->sampler, pid, adoption->err);
	adoption->found = true;
}

/* The descendants there are already. Those to come are followed by BPF, which is attached
 * first; rounds go on until one finds nobody new, as a parent may be listed behind its child. */
static int follow_descendants(const struct sampler *sampler, struct err *err)
{
	struct adoption adoption = {.sampler = sampler, .err = err};
	do {
		adoption.found = false;
		(void)proc_visit_pids(adopt, &adoption);
	} while (adoption.found && !adoption.rc);
	return adoption.rc;
}

static int follow_pids(struct sampler *sampler, const struct sampler_options *options,
		       struct err *err)
{
	int rc = sampler_bpf__attach(sampler->skel);
	if (rc)
		return err_set(err, rc, "follow processes: %m");
	for (size_t i = 0; i < options->pid_count && !rc; i++) {
		pid_t pid = options->pids[i];
		if (pid <= 0 || (kill(pid, 0) && errno == ESRCH))
			return err_set(err, -ESRCH, "there is no process %d", pid);
		rc = follow(sampler, (uint32_t)pid, err);
	}
	return rc ? rc : follow_descendants(sampler, err);
}

/* libbpf goes on for as long as it finds another record, and where they come as fast as they are
 * taken that is for ever. What was there when it began is no more than the ring holds. */
static int take_record(void *ctx, void *data, size_t size_bytes)
{
	struct sampler *sampler = ctx;
	sampler->take(sampler->take_ctx, data, size_bytes);
	sampler->taken_bytes += BPF_RINGBUF_HDR_SZ + size_bytes;
	return sampler->taken_bytes < sampler->ring_bytes ? 0 : -ENOSPC;
}

static int map_umem(struct sampler *sampler, struct err *err)
{
	void *memory = mmap(NULL, sampler->umem_words * sizeof(uint32_t), PROT_READ | PROT_WRITE,
			    MAP_SHARED, bpf_map__fd(sampler->skel->maps.umem), 0);
	if (memory == MAP_FAILED)
		return err_set(err, -errno, "map unwind memory: %m");
	sampler->umem = memory;
	return 0;
}

static int map_controls(struct sampler *sampler, struct err *err)
{
	void *memory = mmap(NULL, (size_t)sysconf(_SC_PAGESIZE), PROT_READ | PROT_WRITE, MAP_SHARED,
			    bpf_map__fd(sampler->skel->maps.controls), 0);
	if (memory == MAP_FAILED)
		return err_set(err, -errno, "map the controls: %m");
	sampler->controls = memory;
	*sampler->controls = (struct controls){.stack_generation = 1, .umem_generation = 1};
	return 0;
}

static int load(struct sampler *sampler, const struct sampler_options *options, struct err *err)
{
	libbpf_set_print(no_print);
	sampler->skel = sampler_bpf__open();
	if (!sampler->skel)
		return err_set(err, -errno, "open the BPF object: %m");
	int rc = configure(sampler, options, err);
	if (rc)
		return rc;
	/* The clock program is attached by hand, once per CPU. */
	bpf_program__set_autoattach(sampler->skel->progs.on_cpu_tick, false);
	rc = sampler_bpf__load(sampler->skel);
	if (rc)
		return load_failed(rc, err);
	sampler->ring = ring_buffer__new(bpf_map__fd(sampler->skel->maps.samples), take_record,
					 sampler, NULL);
	if (!sampler->ring)
		return err_set(err, -errno, "map the ring buffer: %m");
	rc = map_umem(sampler, err);
	if (!rc)
		rc = map_controls(sampler, err);
	if (rc)
		return rc;
	return follow_pids(sampler, options, err);
}

int sampler_open(struct sampler **out, const struct sampler_options *options, struct err *err)
{
	AUTO(sampler) sampler = calloc(1, sizeof(*sampler));
	if (!sampler)
		return err_set(err, -ENOMEM, "sampler: %m");
	sampler->rate_hz = options->rate_hz;
	sampler->possible_cpus = libbpf_num_possible_cpus();
	if (sampler->possible_cpus <= 0 || sampler->possible_cpus > CPU_LIST_MAX)
		return err_set(err, -EIO, "the number of CPUs is unknown or beyond %d",
			       CPU_LIST_MAX);
	int rc = load(sampler, options, err);
	if (!rc)
		rc = sampler_follow_cpus(sampler, err);
	if (rc)
		return err_wrap(err, rc, "sampling");
	*out = TAKE(sampler);
	return 0;
}

void sampler_free(struct sampler *sampler)
{
	if (!sampler)
		return;
	sampler_stop(sampler);
	for (size_t i = 0; i < sampler->link_count; i++)
		close(sampler->links[i].fd);
	free(sampler->links);
	ring_buffer__free(sampler->ring);
	if (sampler->umem)
		munmap(sampler->umem, sampler->umem_words * sizeof(uint32_t));
	if (sampler->controls)
		munmap(sampler->controls, (size_t)sysconf(_SC_PAGESIZE));
	sampler_bpf__destroy(sampler->skel);
	free(sampler);
}

static int attach_cpu(struct sampler *sampler, uint32_t cpu, struct err *err)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.config = PERF_COUNT_SW_CPU_CLOCK,
		.sample_period = NS_PER_S / sampler->rate_hz,
	};
	if (ARRAY_RESERVE(sampler->links, sampler->link_cap, sampler->link_count, CPU_LIST_MAX))
		return err_set(err, -ENOMEM, "CPU %u: %m", cpu);
	AUTO_FD fd = perf_event_open_cpu(&attr, cpu, "the CPU clock", err);
	if (fd < 0)
		return fd;
	int prog_fd = bpf_program__fd(sampler->skel->progs.on_cpu_tick);
	if (ioctl(fd, PERF_EVENT_IOC_SET_BPF, prog_fd) ||
	    (sampler->started && ioctl(fd, PERF_EVENT_IOC_ENABLE, 0)))
		return err_set(err, -errno, "attach to the clock of CPU %u: %m", cpu);
	sampler->links[sampler->link_count++] = (struct cpu_link){.cpu = cpu, .fd = TAKE_FD(fd)};
	return 0;
}

static bool has_link(const struct sampler *sampler, uint32_t cpu)
{
	for (size_t i = 0; i < sampler->link_count; i++)
		if (sampler->links[i].cpu == cpu)
			return true;
	return false;
}

int sampler_follow_cpus(struct sampler *sampler, struct err *err)
{
	struct cpu_list online;
	int rc = cpu_list_online(&online, err);
	if (rc)
		return rc;
	size_t kept = 0;
	for (size_t i = 0; i < sampler->link_count; i++) {
		struct cpu_link link = sampler->links[i];
		/* A CPU may have gone and come back since the last look. */
		bool is_dead = sampler->started && perf_event_is_dead(link.fd, &link.enabled_ns);
		if (!is_dead && cpu_list_has(&online, link.cpu))
			sampler->links[kept++] = link;
		else
			close(link.fd);
	}
	sampler->link_count = kept;
	for (uint32_t cpu = 0; cpu < (uint32_t)sampler->possible_cpus && !rc; cpu++) {
		if (cpu_list_has(&online, cpu) && !has_link(sampler, cpu))
			rc = attach_cpu(sampler, cpu, err);
		if (rc == -ENODEV)
			rc = 0; /* gone again meanwhile */
	}
	return rc;
}

uint32_t sampler_cpus(const struct sampler *sampler)
{
	return (uint32_t)sampler->link_count;
}

uint32_t *sampler_umem(const struct sampler *sampler, uint32_t *word_count)
{
	*word_count = sampler->umem_words;
	return sampler->umem;
}

int sampler_set_process(struct sampler *sampler, uint32_t pid, const struct umem_process_ref *ref)
{
	int map_fd = bpf_map__fd(sampler->skel->maps.umem_processes);
	int rc = ref->block ? bpf_map_update_elem(map_fd, &pid, ref, BPF_ANY)
			    : bpf_map_delete_elem(map_fd, &pid);
	return rc ? -errno : 0;
}

void sampler_set_umem_generation(struct sampler *sampler, uint32_t generation)
{
	__atomic_store_n(&sampler->controls->umem_generation, generation, __ATOMIC_RELAXED);
}

int sampler_start(struct sampler *sampler, struct err *err)
{
	for (size_t i = 0; i < sampler->link_count; i++)
		if (ioctl(sampler->links[i].fd, PERF_EVENT_IOC_ENABLE, 0))
			return err_set(err, -errno, "start the clock of CPU %u: %m",
				       sampler->links[i].cpu);
	sampler->started = true;
	return 0;
}

void sampler_stop(struct sampler *sampler)
{
	for (size_t i = 0; sampler->started && i < sampler->link_count; i++)
		ioctl(sampler->links[i].fd, PERF_EVENT_IOC_DISABLE, 0);
	sampler->started = false;
}

void sampler_drain(struct sampler *sampler, sampler_record_fn take, void *ctx)
{
	sampler->take = take;
	sampler->take_ctx = ctx;
	sampler->taken_bytes = 0;
	(void)ring_buffer__consume(sampler->ring); /* a full round is its only error */
}

int sampler_fd(const struct sampler *sampler)
{
	return bpf_map__fd(sampler->skel->maps.samples);
}

uint32_t sampler_ring_bytes(const struct sampler *sampler)
{
	return sampler->ring_bytes;
}

uint32_t sampler_next_generation(struct sampler *sampler)
{
	return __atomic_add_fetch(&sampler->controls->stack_generation, 1, __ATOMIC_RELAXED);
}

int sampler_share_maps(const struct sampler *sampler, struct bpf_object *object, struct err *err)
{
	const struct bpf_map *const shared[] = {
		sampler->skel->maps.samples,        sampler->skel->maps.interned,
		sampler->skel->maps.followed,       sampler->skel->maps.umem,
		sampler->skel->maps.umem_processes, sampler->skel->maps.controls,
		sampler->skel->maps.stats,
	};
	for (size_t i = 0; i < ARRAY_LEN(shared); i++) {
		const char *name = bpf_map__name(shared[i]);
		struct bpf_map *map = bpf_object__find_map_by_name(object, name);
		int rc = map ? bpf_map__reuse_fd(map, bpf_map__fd(shared[i])) : 0;
		if (rc)
			return err_set(err, rc, "share the map %s: %m", name);
	}
	return 0;
}

bool sampler_follows(const struct sampler *sampler)
{
	return sampler->follows;
}

void sampler_counts(const struct sampler *sampler, uint64_t counts[static STAT_COUNT])
{
	int map_fd = bpf_map__fd(sampler->skel->maps.stats);
	uint64_t per_cpu[CPU_LIST_MAX];
	/* Backwards: what is taken is read last, so that it is never less than the rest. */
	for (uint32_t stat = STAT_COUNT; stat-- > 0;) {
		counts[stat] = 0;
		if (bpf_map_lookup_elem(map_fd, &stat, per_cpu))
			continue;
		for (int cpu = 0; cpu < sampler->possible_cpus; cpu++)
			counts[stat] += per_cpu[cpu];
	}
}
