#include "profiler/draft.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/array.h"

static const char no_stack[] = "[no user stack]";

enum { MAX_CACHED = 1 << 22, SERVICE_BYTES = 256, MAX_KERNEL_NAMES = 64 };

int draft_init(struct draft *draft, const struct draft_tools *tools, const struct batch *batch,
	       enum profile_type type)
{
	*draft = (struct draft){.tools = tools, .batch = batch};
	map_init(&draft->locations, MAX_CACHED);
	map_init(&draft->mappings, MAX_CACHED);
	unnamed_init(&draft->unnamed);
	int rc = profile_new(&draft->profile, type);
	if (rc)
		return rc;
	draft->profile->start_unix_ns = (int64_t)batch->start_mono_ns + batch->unix_minus_mono_ns;
	draft->profile->duration_ns = (int64_t)(batch->end_mono_ns - batch->start_mono_ns);
	draft->threads = malloc((batch->thread_count + 1) * sizeof(*draft->threads));
	draft->stacks = calloc(batch->stack_count + 1, sizeof(*draft->stacks));
	if (!draft->threads || !draft->stacks)
		return -ENOMEM;
	for (size_t i = 0; i < batch->thread_count; i++)
		draft->threads[i] = UINT32_MAX;
	return 0;
}

void draft_fini(struct draft *draft)
{
	profile_free(draft->profile);
	free(draft->threads);
	free(draft->stacks);
	map_fini(&draft->locations);
	map_fini(&draft->mappings);
	unnamed_fini(&draft->unnamed);
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

static int name_thread(struct draft *draft, const struct raw_thread *raw, uint32_t *id)
{
	char service[SERVICE_BYTES];
	service_name(raw, service);
	const char *pairs[][2] = {
		{"host", draft->tools->host},
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
		rc = profile_add_string(draft->profile, pairs[i][0], &label->key);
		if (!rc)
			rc = profile_add_string(draft->profile, pairs[i][1], &label->value);
	}
	struct profile_thread thread = {.pid = raw->pid, .tid = raw->tid};
	if (!rc)
		rc = profile_add_label_set(draft->profile, labels, label_count, &thread.label_set);
	if (!rc)
		rc = profile_add_string(draft->profile, raw->comm, &thread.name);
	return rc ? rc : profile_add_thread(draft->profile, &thread, id);
}

int draft_thread(struct draft *draft, uint32_t position, uint32_t *id)
{
	*id = 0;
	if (position == BATCH_NONE)
		return 0;
	int rc = 0;
	if (draft->threads[position] == UINT32_MAX)
		rc = name_thread(draft, &draft->batch->threads[position],
				 &draft->threads[position]);
	*id = draft->threads[position];
	return rc;
}

/* Put a named mark on top of *stack, e.g. "[truncated]". */
static int push_mark(struct draft *draft, const char *name, uint32_t *stack)
{
	uint32_t location;
	int rc = profile_add_named_location(draft->profile, name, &location);
	return rc ? rc : profile_add_stack(draft->profile, *stack, location, stack);
}

/* A stack that is not whole is never passed off as whole. */
static int push_cut(struct draft *draft, enum walk_end end, uint32_t *stack)
{
	if (end == WALK_COMPLETE || end == WALK_NONE)
		return 0; /* one that is ending has no user stack any more */
	char mark[64];
	snprintf(mark, sizeof(mark), "[cut: %s]", stack_end_name(end));
	return push_mark(draft, mark, stack);
}

static void note_end(struct named_stack *named, const struct walked_stack *walked)
{
	const struct mapped_file *outermost = NULL;
	if (walked->frame_count > 0)
		outermost = walked->frames[walked->frame_count - 1].file;
	named->end = walked->end;
	named->library = "[no mapping]";
	if (walked->end == WALK_NONE)
		named->library = no_stack;
	else if (walked->end != WALK_NO_MAPPING && outermost)
		named->library = outermost->name;
}

static int name_stack(struct draft *draft, const struct raw_stack *raw, struct named_stack *named)
{
	struct walked_stack *walked = draft->tools->walked;
	uint32_t *stack = &named->id;
	int rc = 0;
	*named = (struct named_stack){.is_named = true, .end = WALK_NONE, .library = no_stack};
	if (!(raw->flags & STACK_KTHREAD)) {
		unwinder_finish(draft->tools->unwinder, raw, walked);
		note_end(named, walked);
		rc = push_cut(draft, walked->end, stack);
		if (!rc)
			rc = draft_push_frames(draft, walked->frames, walked->frame_count, false,
					       stack);
	}
	if (!rc && (raw->flags & STACK_KERNEL_CUT))
		rc = push_mark(draft, "[truncated]", stack);
	return rc ? rc : draft_push_frames(draft, raw->frames, raw->kernel_frames, true, stack);
}

int draft_stack(struct draft *draft, uint32_t position, uint64_t at_mono_ns, uint32_t *id)
{
	*id = 0;
	if (position == BATCH_NONE)
		return 0;
	struct named_stack *named = &draft->stacks[position];
	int rc = 0;
	draft->at_mono_ns = at_mono_ns;
	if (!named->is_named)
		rc = name_stack(draft, draft->batch->stacks[position], named);
	*id = named->id;
	return rc;
}

/* The function that is called at the place, and what is inlined into it, innermost first. */
static size_t location_names(const struct profile *profile, uint32_t id, const char **names,
			     size_t max_names)
{
	const struct profile_location *location = &profile->locations[id];
	size_t count = 0;
	for (uint32_t i = 0; i < location->line_count && count < max_names; i++) {
		uint32_t function = profile->lines[location->first_line + i].function;
		names[count++] = profile_string(profile, profile->functions[function].name);
	}
	return count;
}

const struct wait_site *draft_site(struct draft *draft, uint32_t position)
{
	static const struct wait_site nowhere;
	if (position == BATCH_NONE)
		return &nowhere;
	struct named_stack *named = &draft->stacks[position];
	if (named->is_site_read)
		return &named->site;
	const struct raw_stack *raw = draft->batch->stacks[position];
	const struct profile *profile = draft->profile;
	const char *kernel[MAX_KERNEL_NAMES], *user[WAIT_USER_FRAMES];
	struct wait_frames frames = {
		.kernel = kernel,
		.user = user,
		.is_kernel_thread = raw->flags & STACK_KTHREAD,
	};
	uint32_t depth = 0;
	for (uint32_t id = named->id; id; id = profile->stacks[id].parent) {
		uint32_t location = profile->stacks[id].location;
		if (depth++ < raw->kernel_frames)
			frames.kernel_count +=
				location_names(profile, location, kernel + frames.kernel_count,
					       MAX_KERNEL_NAMES - frames.kernel_count);
		else
			frames.user_count +=
				location_names(profile, location, user + frames.user_count,
					       WAIT_USER_FRAMES - frames.user_count);
		if (frames.user_count == WAIT_USER_FRAMES)
			break;
	}
	wait_site_read(&named->site, &frames);
	named->is_site_read = true;
	return &named->site;
}

int draft_add_sample(struct draft *draft, struct profile_sample *sample, uint64_t at_mono_ns)
{
	uint32_t thread = sample->thread, stack = sample->stack;
	int rc = draft_thread(draft, thread, &sample->thread);
	if (!rc)
		rc = draft_stack(draft, stack, at_mono_ns, &sample->stack);
	if (rc)
		return rc;
	draft->stacks[stack].thread = thread;
	draft->stacks[stack].samples++;
	return profile_add_sample(draft->profile, sample);
}

static void count_unnamed(const struct draft *draft, const struct named_stack *named)
{
	struct unnamed_samples samples = {
		.profile = draft->profile,
		.stack = named->id,
		.comm = draft->batch->threads[named->thread].process_comm,
		.count = named->samples,
	};
	unnamed_count(&draft->unnamed, &samples, draft->tools->symbols);
}

void draft_count(struct draft *draft)
{
	const struct batch *batch = draft->batch;
	for (size_t i = 0; i < batch->stack_count; i++) {
		const struct named_stack *named = &draft->stacks[i];
		if (!named->samples)
			continue;
		if (draft->tools->symbols)
			count_unnamed(draft, named);
		const struct raw_thread *thread = &batch->threads[named->thread];
		quality_add(draft->tools->quality, &(struct quality_samples){
							   .pid = thread->pid,
							   .comm = thread->process_comm,
							   .library = named->library,
							   .end = named->end,
							   .count = named->samples,
							   .now_mono_ns = batch->end_mono_ns,
						   });
	}
}
