#include "profiler/waiting_program.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>

#include "base/clock.h"
#include "waiting_iter.skel.h"
#include "waiting_open.skel.h"
#include "waiting_switch.skel.h"

/* Of a tail. */
enum { SLICE_BYTES = 16 << 10 };

struct waiting_program {
	enum waiting_method method;
	void *skel;
	void (*destroy)(void *skel);
	struct bpf_object *object; /* the skeleton's */
	int pass_fd;               /* of the program */
	int avoided_fd;
	struct bpf_link *iterator; /* of WAITING_ITER */
	struct bpf_link *exits, *switches;
	struct wait_runner *runners; /* mapped */
};

/* Skeletons are types of their own, though these have the same members. */
#define DEFINE_OPEN(name)                                                            \
	static void destroy_##name(void *skel)                                       \
	{                                                                            \
		name##_bpf__destroy(skel);                                           \
	}                                                                            \
	static int open_##name(struct waiting_program *program,                      \
			       const struct waiting_options *options)                \
	{                                                                            \
		struct name##_bpf *skel = name##_bpf__open();                        \
		uint32_t umem_words;                                                 \
		if (!skel)                                                           \
			return -errno;                                               \
		program->skel = skel;                                                \
		program->destroy = destroy_##name;                                   \
		program->object = skel->obj;                                         \
		(void)sampler_umem(options->sampler, &umem_words);                   \
		skel->rodata->cfg_umem_mask = umem_words - 1;                        \
		skel->rodata->cfg_follow = sampler_follows(options->sampler);        \
		skel->rodata->cfg_ring_bytes = sampler_ring_bytes(options->sampler); \
		skel->rodata->cfg_slice_bytes = SLICE_BYTES;                         \
		skel->rodata->cfg_kernel_threads = options->takes_kernel_threads;    \
		skel->rodata->cfg_start_mono_ns = (uint64_t)clock_mono_ns();         \
		return skel->rodata->abi_version == ABI_VERSION ? 0 : -EINVAL;       \
	}

DEFINE_OPEN(waiting_open)
DEFINE_OPEN(waiting_iter)
DEFINE_OPEN(waiting_switch)

static const struct {
	int (*open)(struct waiting_program *program, const struct waiting_options *options);
	const char *lacks; /* a kernel that refuses it */
} methods[WAITING_METHODS] = {
	[WAITING_OPEN] = {open_waiting_open,
			  "this kernel lacks task iterators for programs (Linux 6.7)"},
	[WAITING_ITER] = {open_waiting_iter,
			  "this kernel lacks task iterators that may sleep (Linux 5.18)"},
	[WAITING_SWITCH] = {open_waiting_switch,
			    "this kernel lets no program see switches of threads"},
};

static int no_print(enum libbpf_print_level level, const char *format, va_list args)
{
	(void)level, (void)format, (void)args;
	return 0;
}

static int map_runners(struct waiting_program *program, struct err *err)
{
	int fd = bpf_object__find_map_fd_by_name(program->object, "runners");
	if (fd < 0)
		return 0;
	void *memory = mmap(NULL, (size_t)sysconf(_SC_PAGESIZE), PROT_READ | PROT_WRITE, MAP_SHARED,
			    fd, 0);
	if (memory == MAP_FAILED)
		return err_set(err, -errno, "map the runners: %m");
	program->runners = memory;
	return 0;
}

static int find_programs(struct waiting_program *program, struct err *err)
{
	struct bpf_program *pass = bpf_object__find_program_by_name(program->object, "on_pass");
	program->avoided_fd = bpf_object__find_map_fd_by_name(program->object, "avoided");
	program->pass_fd = pass ? bpf_program__fd(pass) : -1;
	if (program->method != WAITING_ITER)
		return 0;
	program->iterator = bpf_program__attach_iter(pass, NULL);
	return program->iterator ? 0 : err_set(err, -errno, "attach to the task iterator: %m");
}

static int load(struct waiting_program *program, const struct waiting_options *options,
		struct err *err)
{
	const char *name = waiting_method_name(program->method);
	libbpf_set_print(no_print);
	int rc = methods[program->method].open(program, options);
	if (rc)
		return err_set(err, rc, "open the BPF object of the %s: %m", name);
	rc = sampler_share_maps(options->sampler, program->object, err);
	if (rc)
		return rc;
	struct bpf_map *scratches = bpf_object__find_map_by_name(program->object, "scratches");
	uint32_t count = program->method == WAITING_SWITCH ? (uint32_t)libbpf_num_possible_cpus()
							   : ABI_RUNNERS;
	rc = bpf_map__set_max_entries(scratches, count);
	if (!rc)
		rc = bpf_object__load(program->object);
	if (rc == -EPERM)
		return err_set(err, rc,
			       "the %s is not allowed; run as root or with CAP_BPF and CAP_PERFMON",
			       name);
	if (rc)
		return err_set(err, -EOPNOTSUPP, "%s", methods[program->method].lacks);
	rc = map_runners(program, err);
	return rc ? rc : find_programs(program, err);
}

int waiting_program_open(struct waiting_program **out, enum waiting_method method,
			 const struct waiting_options *options, struct err *err)
{
	AUTO(waiting_program) program = calloc(1, sizeof(*program));
	if (!program)
		return err_set(err, -ENOMEM, "sampling of waiting threads: %m");
	program->method = method;
	int rc = load(program, options, err);
	if (rc)
		return rc;
	*out = TAKE(program);
	return 0;
}

void waiting_program_free(struct waiting_program *program)
{
	if (!program)
		return;
	waiting_program_detach(program);
	bpf_link__destroy(program->iterator);
	if (program->runners)
		munmap(program->runners, (size_t)sysconf(_SC_PAGESIZE));
	if (program->skel)
		program->destroy(program->skel);
	free(program);
}

static int attach(const struct waiting_program *program, const char *name, struct bpf_link **link,
		  struct err *err)
{
	struct bpf_program *on = bpf_object__find_program_by_name(program->object, name);
	*link = bpf_program__attach(on);
	return *link ? 0 : err_set(err, -errno, "attach %s: %m", name);
}

int waiting_program_attach(struct waiting_program *program, struct err *err)
{
	int rc = attach(program, "on_exit", &program->exits, err);
	if (!rc && program->method == WAITING_SWITCH)
		rc = attach(program, "on_switch", &program->switches, err);
	return rc;
}

void waiting_program_detach(struct waiting_program *program)
{
	bpf_link__destroy(program->switches);
	bpf_link__destroy(program->exits);
	program->switches = program->exits = NULL;
}

struct wait_runner *waiting_program_runners(const struct waiting_program *program)
{
	return program->runners;
}

static int read_iterator(const struct waiting_program *program)
{
	char none[64];
	AUTO_FD fd = bpf_iter_create(bpf_link__fd(program->iterator));
	if (fd < 0)
		return fd;
	ssize_t bytes;
	/* After a million threads the kernel lets go for a moment: MAX_ITER_OBJECTS of
	 * kernel/bpf/bpf_iter.c. */
	do
		bytes = read(fd, none, sizeof(none));
	while (bytes > 0 || (bytes < 0 && errno == EAGAIN));
	return bytes < 0 ? -errno : 0;
}

int waiting_program_pass(const struct waiting_program *program)
{
	if (program->method == WAITING_ITER)
		return read_iterator(program);
	LIBBPF_OPTS(bpf_test_run_opts, opts);
	int rc = bpf_prog_test_run_opts(program->pass_fd, &opts);
	return rc ? rc : -(int)opts.retval;
}

void waiting_program_avoid(const struct waiting_program *program, uint32_t pid,
			   uint64_t until_mono_ns)
{
	/* Best effort: without room somebody else is stuck again. */
	(void)bpf_map_update_elem(program->avoided_fd, &pid, &until_mono_ns, BPF_ANY);
}
