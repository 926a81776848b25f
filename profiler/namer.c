#include "profiler/namer.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/array.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/map.h"
#include "profiler/frame_lines.h"
#include "profiler/kernel_names.h"
#include "profiler/unnamed.h"
#include "symbolizer/demangle_cache.h"
#include "symbolizer/symbol_frames.h"

enum {
	MAX_CACHED = 1 << 22,
	HOST_BYTES = 256,
	SERVICE_BYTES = 256,
	DEMANGLED_BYTES = 16 << 20, /* of names, kept from batch to batch */
};

static const char no_stack[] = "[no user stack]";

/* How the walk of a stack ended, and in which mapping: that of the outermost frame. */
struct stack_end {
	const char *library; /* borrowed from the stack's files */
	enum walk_end end;
	uint32_t thread; /* of the samples; a stack is of one process */
	uint64_t samples;
};

struct namer {
	struct namer_options options;
	struct walked_stack walked; /* the one that is being named */
	struct demangle_cache *demangled;
	struct kernel_names *kernel;
	char host[HOST_BYTES];
};

/* One batch on its way. Caches hold id + 1, so that 0 (NULL) means "not there". */
struct naming {
	struct namer *namer;
	struct profile *profile;
	const struct batch *batch;
	struct map locations; /* hash of (file, ip_or_off) */
	struct map mappings;  /* file */
	struct unnamed unnamed;
	uint32_t kernel_mapping;
	uint64_t at_mono_ns; /* when the stack that is being named was first there */
};

static void naming_fini(struct naming *naming)
{
	map_fini(&naming->locations);
	map_fini(&naming->mappings);
	unnamed_fini(&naming->unnamed);
}

/* Without them kernel frames stay without names, which is worth one warning. */
static void read_kernel_names(struct namer *namer)
{
	struct err err = {0};
	if (kernel_names_read(namer->kernel, clock_mono_ns(), &err) && namer->options.warn)
		namer->options.warn(namer->options.ctx, err.text);
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

/* A location with one line, or none when name is NULL. */
static int add_location(struct profile *profile, const struct profile_location *location,
			const char *name, const char *system_name, uint32_t *id)
{
	if (!name)
		return profile_add_location(profile, location, NULL, 0, id);
	struct profile_function function = {0};
	int rc = profile_add_string(profile, name, &function.name);
	if (!rc)
		rc = profile_add_string(profile, system_name, &function.system_name);
	struct profile_line line = {0};
	if (!rc)
		rc = profile_add_function(profile, &function, &line.function);
	return rc ? rc : profile_add_location(profile, location, &line, 1, id);
}

static int kernel_location(struct naming *naming, uint64_t ip, uint32_t *id)
{
	struct profile *profile = naming->profile;
	if (!naming->kernel_mapping) {
		struct profile_mapping mapping = {.limit_vaddr = UINT64_MAX};
		const struct kallsyms *table = kernel_names_table(naming->namer->kernel);
		if (table)
			kallsyms_text(table, &mapping.start_vaddr, &mapping.limit_vaddr);
		int rc = profile_add_string(profile, "[kernel.kallsyms]", &mapping.filename);
		if (!rc)
			rc = profile_add_mapping(profile, &mapping, &naming->kernel_mapping);
		if (rc)
			return rc;
	}
	const struct kernel_symbol *symbol =
		kernel_names_find(naming->namer->kernel, ip, clock_mono_ns());
	const char *name = symbol ? symbol->name : "[unknown kernel code]";
	struct profile_location location = {.mapping = naming->kernel_mapping, .vaddr = ip};
	return add_location(profile, &location, name, name, id);
}

static int file_mapping(struct naming *naming, const struct mapped_file *file, uint64_t vaddr,
			uint32_t *id)
{
	uint64_t key = (uintptr_t)file;
	uintptr_t cached = (uintptr_t)map_get(&naming->mappings, key);
	if (cached) {
		*id = (uint32_t)(cached - 1);
		return 0;
	}
	struct profile *profile = naming->profile;
	struct profile_mapping mapping = {0};
	struct symbols *symbols = naming->namer->options.symbols;
	if (symbols && file->exe && file->kind == MAPPED_EXECUTABLE)
		symbols_meet(symbols, file->exe, file->root ? file->root->fd : -1);
	if (file->exe)
		executable_segment(file->exe, vaddr, &mapping.start_vaddr, &mapping.limit_vaddr,
				   &mapping.file_off);
	int rc = profile_add_string(profile, file->name, &mapping.filename);
	if (!rc && file->exe)
		rc = profile_add_string(profile, executable_build_id(file->exe), &mapping.build_id);
	if (!rc)
		rc = profile_add_mapping(profile, &mapping, id);
	return rc ? rc : map_put(&naming->mappings, key, (void *)((uintptr_t)*id + 1));
}

/* Every address means another function in another process, or later: it says nothing, and the
 * name is all there is. */
static int jit_location(struct naming *naming, const struct mapped_file *file, uint64_t ip,
			uint32_t *id)
{
	struct profile *profile = naming->profile;
	struct profile_location location = {0};
	int rc = file_mapping(naming, file, 0, &location.mapping);
	struct jit_symbol symbol;
	if (rc)
		return rc;
	if (!file->jit || !jit_process_find(file->jit, ip, naming->at_mono_ns, &symbol)) {
		rc = add_location(profile, &location, "[jit]", "", id);
		return rc ? rc : unnamed_note(&naming->unnamed, *id, file);
	}
	struct profile_function function = {0};
	struct profile_line line = {.line = symbol.line};
	rc = profile_add_string(profile, symbol.name, &function.name);
	if (!rc)
		rc = profile_add_string(profile, symbol.file, &function.filename);
	function.system_name = function.name;
	if (!rc)
		rc = profile_add_function(profile, &function, &line.function);
	return rc ? rc : profile_add_location(profile, &location, &line, 1, id);
}

/* Of a file that could not be read there is no more than this. */
static int unreadable_location(struct naming *naming, const struct mapped_file *file,
			       const struct profile_location *location, uint32_t *id)
{
	char name[NAME_MAX + 64];
	const char *slash = strrchr(file->name, '/');
	snprintf(name, sizeof(name), "[unreadable %.*s+0x%" PRIx64 "]", NAME_MAX,
		 slash ? slash + 1 : file->name, location->vaddr);
	int rc = add_location(naming->profile, location, name, name, id);
	return rc ? rc : unnamed_note(&naming->unnamed, *id, file);
}

static int file_location(struct naming *naming, const struct mapped_file *file, uint64_t off,
			 uint32_t *id)
{
	struct profile_location location = {.vaddr = off};
	bool has_vaddr = file->exe && executable_vaddr(file->exe, off, &location.vaddr);
	int rc = file_mapping(naming, file, location.vaddr, &location.mapping);
	if (rc)
		return rc;
	if (file->kind == MAPPED_UNREADABLE)
		return unreadable_location(naming, file, &location, id);
	struct symbol_frames frames = {0};
	struct profile_line lines[SYMBOL_MAX_FRAMES];
	bool is_known = has_vaddr && symbol_frames_find(&frames, file->exe, location.vaddr,
							naming->namer->demangled);
	if (is_known)
		rc = frame_lines(naming->profile, &frames, lines);
	location.is_folded = frames.is_folded;
	if (!rc)
		rc = profile_add_location(naming->profile, &location, lines, frames.count, id);
	bool is_named = is_known && !frames.is_mark;
	return rc || is_named ? rc : unnamed_note(&naming->unnamed, *id, file);
}

static int frame_location(struct naming *naming, const struct raw_frame *frame, bool is_kernel,
			  uint32_t *id)
{
	if (!frame->file && !is_kernel)
		return profile_add_named_location(naming->profile, "[unknown]", id);
	if (frame->file && frame->file->kind == MAPPED_ANONYMOUS)
		return jit_location(naming, frame->file, frame->ip_or_off, id);
	/* 64 bits of a good hash stand for the pair: with a million places in a batch a false
	 * match has a chance of 1 in 10^7. */
	uint64_t key = hash_mix(hash_u64((uintptr_t)frame->file), frame->ip_or_off);
	uintptr_t cached = (uintptr_t)map_get(&naming->locations, key);
	if (cached) {
		*id = (uint32_t)(cached - 1);
		return 0;
	}
	int rc = is_kernel ? kernel_location(naming, frame->ip_or_off, id)
			   : file_location(naming, frame->file, frame->ip_or_off, id);
	return rc ? rc : map_put(&naming->locations, key, (void *)((uintptr_t)*id + 1));
}

/* Put a named mark on top of *stack, e.g. "[truncated]". */
static int push_mark(struct naming *naming, const char *name, uint32_t *stack)
{
	uint32_t location;
	int rc = profile_add_named_location(naming->profile, name, &location);
	return rc ? rc : profile_add_stack(naming->profile, *stack, location, stack);
}

/* frames are leaf first; the outermost goes first. */
static int push_frames(struct naming *naming, const struct raw_frame *frames, uint32_t count,
		       bool is_kernel, uint32_t *stack)
{
	int rc = 0;
	for (uint32_t i = count; i-- > 0 && !rc;) {
		uint32_t location;
		rc = frame_location(naming, &frames[i], is_kernel, &location);
		if (!rc)
			rc = profile_add_stack(naming->profile, *stack, location, stack);
	}
	return rc;
}

/* A stack that is not whole is never passed off as whole. */
static int push_cut(struct naming *naming, enum walk_end end, uint32_t *stack)
{
	if (end == WALK_COMPLETE || end == WALK_NONE)
		return 0; /* one that is ending has no user stack any more */
	char mark[64];
	snprintf(mark, sizeof(mark), "[cut: %s]", stack_end_name(end));
	return push_mark(naming, mark, stack);
}

static struct stack_end end_of(const struct walked_stack *walked)
{
	struct stack_end end = {.end = walked->end, .library = "[no mapping]"};
	const struct mapped_file *outermost = NULL;
	if (walked->frame_count > 0)
		outermost = walked->frames[walked->frame_count - 1].file;
	if (walked->end == WALK_NONE)
		end.library = no_stack;
	else if (walked->end != WALK_NO_MAPPING && outermost)
		end.library = outermost->name;
	return end;
}

static int name_stack(struct naming *naming, const struct raw_stack *raw, uint32_t *stack,
		      struct stack_end *end)
{
	struct walked_stack *walked = &naming->namer->walked;
	int rc = 0;
	*stack = 0;
	*end = (struct stack_end){.end = WALK_NONE, .library = no_stack};
	if (!(raw->flags & STACK_KTHREAD)) {
		unwinder_finish(naming->namer->options.unwinder, raw, walked);
		*end = end_of(walked);
		rc = push_cut(naming, walked->end, stack);
		if (!rc)
			rc = push_frames(naming, walked->frames, walked->frame_count, false, stack);
	}
	if (!rc && (raw->flags & STACK_KERNEL_CUT))
		rc = push_mark(naming, "[truncated]", stack);
	return rc ? rc : push_frames(naming, raw->frames, raw->kernel_frames, true, stack);
}

/* A systemd unit is what people call a service: its name without ".service". Otherwise the
 * process's own name. */
static void service_name(const struct raw_thread *thread, char name[static SERVICE_BYTES])
{
	const char *last = strrchr(thread->cgroup, '/');
	const char *suffix = last ? strstr(last, ".service") : NULL;
	if (suffix && !suffix[8] && suffix > last + 1)
		snprintf(name, SERVICE_BYTES, "%.*s", (int)(suffix - last - 1), last + 1);
	else
		snprintf(name, SERVICE_BYTES, "%s", thread->process_comm);
}

static int name_thread(struct naming *naming, const struct raw_thread *raw, uint32_t *id)
{
	char service[SERVICE_BYTES];
	service_name(raw, service);
	const char *pairs[][2] = {
		{"host", naming->namer->host},
		{"service_name", service},
		{"comm", raw->process_comm},
		{"cgroup", raw->cgroup},
	};
	struct profile_label labels[ARRAY_LEN(pairs)];
	uint32_t label_count = 0;
	int rc = 0;
	for (size_t i = 0; i < ARRAY_LEN(pairs) && !rc; i++) {
		if (!pairs[i][1][0])
			continue;
		struct profile_label *label = &labels[label_count++];
		rc = profile_add_string(naming->profile, pairs[i][0], &label->key);
		if (!rc)
			rc = profile_add_string(naming->profile, pairs[i][1], &label->value);
	}
	struct profile_thread thread = {.pid = raw->pid, .tid = raw->tid};
	if (!rc)
		rc = profile_add_label_set(naming->profile, labels, label_count, &thread.label_set);
	if (!rc)
		rc = profile_add_string(naming->profile, raw->comm, &thread.name);
	return rc ? rc : profile_add_thread(naming->profile, &thread, id);
}

static int add_samples(struct naming *naming, const uint32_t *threads, const uint32_t *stacks)
{
	const struct batch *batch = naming->batch;
	int rc = 0;
	for (size_t i = 0; i < batch->sample_count && !rc; i++) {
		const struct raw_sample *raw = &batch->samples[i];
		struct profile_sample sample = {
			.time_unix_ns = (int64_t)raw->end_mono_ns + batch->unix_minus_mono_ns,
			.weight = raw->weight_ns,
			.count = 1,
			.stack = stacks[raw->stack],
			.thread = threads[raw->thread],
		};
		rc = profile_add_sample(naming->profile, &sample);
	}
	return rc;
}

static void count_unnamed(const struct naming *naming, uint32_t stack, const struct stack_end *end)
{
	struct unnamed_samples samples = {
		.profile = naming->profile,
		.stack = stack,
		.comm = naming->batch->threads[end->thread].process_comm,
		.count = end->samples,
	};
	unnamed_count(&naming->unnamed, &samples, naming->namer->options.symbols);
}

static void count_stacks(const struct naming *naming, const uint32_t *stacks,
			 struct stack_end *ends)
{
	const struct batch *batch = naming->batch;
	for (size_t i = 0; i < batch->sample_count; i++) {
		struct stack_end *end = &ends[batch->samples[i].stack];
		end->thread = batch->samples[i].thread;
		end->samples++;
	}
	for (size_t i = 0; i < batch->stack_count; i++) {
		if (!ends[i].samples)
			continue;
		if (naming->namer->options.symbols)
			count_unnamed(naming, stacks[i], &ends[i]);
		const struct raw_thread *thread = &batch->threads[ends[i].thread];
		quality_add(naming->namer->options.quality,
			    &(struct quality_samples){
				    .pid = thread->pid,
				    .comm = thread->process_comm,
				    .library = ends[i].library,
				    .end = ends[i].end,
				    .count = ends[i].samples,
				    .now_mono_ns = batch->end_mono_ns,
			    });
	}
}

static int name_all(struct naming *naming)
{
	const struct batch *batch = naming->batch;
	AUTO_MEM uint32_t *threads = calloc(batch->thread_count + 1, sizeof(*threads));
	AUTO_MEM uint32_t *stacks = calloc(batch->stack_count + 1, sizeof(*stacks));
	AUTO_MEM struct stack_end *ends = calloc(batch->stack_count + 1, sizeof(*ends));
	AUTO_MEM uint64_t *times = calloc(batch->stack_count + 1, sizeof(*times));
	if (!threads || !stacks || !ends || !times)
		return -ENOMEM;
	for (size_t i = batch->sample_count; i-- > 0;)
		times[batch->samples[i].stack] = batch->samples[i].end_mono_ns;
	int rc = 0;
	for (size_t i = 0; i < batch->thread_count && !rc; i++)
		rc = name_thread(naming, &batch->threads[i], &threads[i]);
	for (size_t i = 0; i < batch->stack_count && !rc; i++) {
		naming->at_mono_ns = times[i];
		rc = name_stack(naming, batch->stacks[i], &stacks[i], &ends[i]);
	}
	if (!rc)
		rc = add_samples(naming, threads, stacks);
	if (!rc)
		count_stacks(naming, stacks, ends);
	return rc;
}

int namer_name(struct namer *namer, const struct batch *batch, struct profile **out,
	       struct err *err)
{
	AUTO(profile) profile = NULL;
	int rc = profile_new(&profile, PROFILE_CPU);
	if (rc)
		return err_set(err, rc, "profile: %m");
	profile->start_unix_ns = (int64_t)batch->start_mono_ns + batch->unix_minus_mono_ns;
	profile->duration_ns = (int64_t)(batch->end_mono_ns - batch->start_mono_ns);
	profile->period_ns = batch->period_ns;
	AUTO_FINI(naming_fini)
	struct naming naming = {.namer = namer, .profile = profile, .batch = batch};
	map_init(&naming.locations, MAX_CACHED);
	map_init(&naming.mappings, MAX_CACHED);
	unnamed_init(&naming.unnamed);
	rc = name_all(&naming);
	demangle_cache_sweep(namer->demangled);
	if (rc)
		return err_set(err, rc, "name %zu samples: %m", batch->sample_count);
	*out = TAKE(profile);
	return 0;
}
