#include "profiler/namer.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/hash.h"
#include "profiler/draft.h"

enum { MAX_PROGRAMS = 16384 };
enum { HOST_BYTES = 256, DEMANGLED_BYTES = 16 << 20 /* of names, kept from batch to batch */ };

struct namer {
	struct namer_options options;
	struct walked_stack walked;
	struct demangle_cache *demangled;
	struct kernel_names *kernel;
	uint64_t programs; /* hash of their ids as of the last batch */
	char host[HOST_BYTES];
};

/* Without them kernel frames stay without names, which is worth one warning. */
static void read_kernel_names(struct namer *namer)
{
	struct err err = {0};
	if (kernel_names_read(namer->kernel, clock_mono_ns(), &err) && namer->options.warn)
		namer->options.warn(namer->options.ctx, err.text);
}

/* Of the ids of all BPF programs, which are never used again: another one when some came or went.
 * Asking for one takes less than a microsecond. */
static uint64_t hash_programs(void)
{
	uint64_t hash = 0;
	uint32_t id = 0;
	for (int i = 0; i < MAX_PROGRAMS && !bpf_prog_get_next_id(id, &id); i++)
		hash = hash_mix(hash, id);
	return hash;
}

static void look_for_programs(struct namer *namer)
{
	uint64_t programs = hash_programs();
	if (programs != namer->programs)
		kernel_names_note_change(namer->kernel);
	namer->programs = programs;
}

int namer_new(struct namer **out, const struct namer_options *options, struct err *err)
{
	AUTO(namer) namer = calloc(1, sizeof(*namer));
	if (!namer)
		return err_set(err, -ENOMEM, "namer: %m");
	int rc = kernel_names_new(&namer->kernel, "/proc/kallsyms", err);
	if (rc)
		return rc;
	rc = demangle_cache_new(&namer->demangled, DEMANGLED_BYTES, err);
	if (rc)
		return rc;
	namer->options = *options;
	if (gethostname(namer->host, sizeof(namer->host) - 1))
		snprintf(namer->host, sizeof(namer->host), "localhost");
	read_kernel_names(namer);
	*out = TAKE(namer);
	return 0;
}

void namer_free(struct namer *namer)
{
	if (!namer)
		return;
	kernel_names_free(namer->kernel);
	demangle_cache_free(namer->demangled);
	free(namer);
}

void named_batch_fini(struct named_batch *named)
{
	profile_free(named->cpu);
	profile_free(named->offcpu);
	profile_free(named->tables);
	free(named->switches);
	*named = (struct named_batch){0};
}

static struct draft_tools tools_of(struct namer *namer)
{
	return (struct draft_tools){
		.unwinder = namer->options.unwinder,
		.quality = namer->options.quality,
		.symbols = namer->options.symbols,
		.demangled = namer->demangled,
		.kernel = namer->kernel,
		.walked = &namer->walked,
		.host = namer->host,
	};
}

static int name_samples(const struct draft_tools *tools, const struct batch *batch,
			struct profile **out)
{
	AUTO_FINI(draft_fini) struct draft draft;
	int rc = draft_init(&draft, tools, batch, PROFILE_CPU);
	for (size_t i = 0; i < batch->sample_count && !rc; i++) {
		const struct raw_sample *raw = &batch->samples[i];
		struct profile_sample sample = {
			.time_unix_ns = (int64_t)raw->end_mono_ns + batch->unix_minus_mono_ns,
			.weight = raw->weight_ns,
			.count = 1,
			.stack = raw->stack,
			.thread = raw->thread,
		};
		rc = draft_add_sample(&draft, &sample, raw->end_mono_ns);
	}
	if (rc)
		return rc;
	draft.profile->period_ns = batch->period_ns;
	draft_count(&draft);
	*out = TAKE(draft.profile);
	return 0;
}

static int name_waits(const struct draft_tools *tools, const struct batch *batch,
		      struct profile **out)
{
	AUTO_FINI(draft_fini) struct draft draft;
	int rc = draft_init(&draft, tools, batch, PROFILE_OFFCPU);
	if (!rc)
		rc = draft_add_waits(&draft);
	if (rc)
		return rc;
	draft.profile->period_ns = batch->wait_period_ns;
	draft_count(&draft);
	*out = TAKE(draft.profile);
	return 0;
}

static int name_switches(const struct draft_tools *tools, const struct batch *batch,
			 struct named_batch *named)
{
	AUTO_FINI(draft_fini) struct draft draft;
	AUTO_MEM struct named_switch *switches = calloc(batch->switch_count + 1, sizeof(*switches));
	int rc = draft_init(&draft, tools, batch, PROFILE_OFFCPU);
	if (!rc)
		rc = switches ? draft_add_switches(&draft, switches) : -ENOMEM;
	if (rc)
		return rc;
	named->switches = TAKE(switches);
	named->switch_count = batch->switch_count;
	named->tables = TAKE(draft.profile);
	return 0;
}

int namer_name(struct namer *namer, const struct batch *batch, struct named_batch *out,
	       struct err *err)
{
	look_for_programs(namer);
	struct draft_tools tools = tools_of(namer);
	AUTO_FINI(named_batch_fini) struct named_batch named = {0};
	int rc = name_samples(&tools, batch, &named.cpu);
	if (!rc)
		rc = name_waits(&tools, batch, &named.offcpu);
	if (!rc && batch->switch_count)
		rc = name_switches(&tools, batch, &named);
	demangle_cache_sweep(namer->demangled);
	if (rc)
		return err_set(err, rc, "name %zu samples: %m", batch_samples(batch));
	*out = named;
	named = (struct named_batch){0};
	return 0;
}
