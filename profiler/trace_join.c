#include "profiler/trace_join.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"

enum { MAX_FRAMES = 1024, MAX_LOOKS = 256, MAX_THREADS = 1 << 20, MARK_BYTES = 64 };

static const char mark_woken[] = "[woken by]";
static const char mark_waited[] = "[which waited in]";
static const char mark_unsampled[] = "[no stack taken]";
static const char mark_interrupt[] = "[interrupt]";

/* A wait, for finding those of one thread in the order of time. */
struct entry {
	uint32_t tid;
	const struct named_switch *wait;
};

struct scale {
	const struct trace_kept *kept;
	double sent_ns; /* what its records stand for */
};

struct join {
	const struct trace_waits *in;
	struct entry *entries; /* by tid, then by when it ran again */
	struct scale *scales;  /* as in->kept */
	struct map scale_of;   /* by tid */
};

/* A profile that is being made, with the ids of the tables in it. */
struct view {
	struct profile *profile;
	struct profile_ids ids;
};

static void fini_join(struct join *join)
{
	free(join->entries);
	free(join->scales);
	map_fini(&join->scale_of);
}

static void fini_view(struct view *view)
{
	profile_free(view->profile);
	profile_ids_fini(&view->ids);
}

void trace_views_fini(struct trace_views *views)
{
	profile_free(views->waits);
	profile_free(views->wakers);
	profile_free(views->offwake);
	*views = (struct trace_views){0};
}

static uint32_t tid_of(const struct join *join, uint32_t thread)
{
	return join->in->tables->threads[thread].tid;
}

static int by_thread(const void *a, const void *b)
{
	const struct entry *left = a, *right = b;
	if (left->tid != right->tid)
		return left->tid < right->tid ? -1 : 1;
	return (left->wait->in_mono_ns > right->wait->in_mono_ns) -
	       (left->wait->in_mono_ns < right->wait->in_mono_ns);
}

static int index_waits(struct join *join)
{
	const struct trace_waits *in = join->in;
	map_init(&join->scale_of, MAX_THREADS);
	join->entries = calloc(in->count + 1, sizeof(*join->entries));
	join->scales = calloc(in->kept_count + 1, sizeof(*join->scales));
	if (!join->entries || !join->scales)
		return -ENOMEM;
	int rc = 0;
	for (size_t i = 0; i < in->kept_count && !rc; i++) {
		join->scales[i].kept = &in->kept[i];
		rc = map_put(&join->scale_of, in->kept[i].tid, &join->scales[i]);
	}
	for (size_t i = 0; i < in->count && !rc; i++) {
		const struct named_switch *wait = &in->switches[i];
		join->entries[i] = (struct entry){tid_of(join, wait->thread), wait};
		struct scale *scale = map_get(&join->scale_of, join->entries[i].tid);
		if (scale)
			scale->sent_ns += (double)wait->weight_ns;
	}
	if (in->count)
		qsort(join->entries, in->count, sizeof(*join->entries), by_thread);
	return rc;
}

static double factor_of(const struct join *join, uint32_t tid)
{
	const struct scale *scale = map_get(&join->scale_of, tid);
	return scale && scale->sent_ns > 0 ? (double)scale->kept->kept_ns / scale->sent_ns : 1;
}

/* The last of the thread's waits that was over by then; NULL: none. */
static const struct entry *find_before(const struct join *join, uint32_t tid, uint64_t mono_ns)
{
	size_t low = 0, high = join->in->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct entry *entry = &join->entries[middle];
		if (entry->tid < tid || (entry->tid == tid && entry->wait->in_mono_ns <= mono_ns))
			low = middle + 1;
		else
			high = middle;
	}
	return low && join->entries[low - 1].tid == tid ? &join->entries[low - 1] : NULL;
}

/* What kept the waker from waking sooner: its longest wait within that time. */
static const struct named_switch *find_cause(const struct join *join,
					     const struct named_switch *wait)
{
	uint32_t tid = wait->waker_thread ? tid_of(join, wait->waker_thread) : 0;
	const struct entry *entry = tid ? find_before(join, tid, wait->waking_mono_ns) : NULL;
	const struct named_switch *longest = NULL;
	uint64_t longest_ns = 0;
	for (int i = 0; i < MAX_LOOKS && entry && entry->tid == tid; i++) {
		const struct named_switch *cause = entry->wait;
		if (cause->in_mono_ns <= wait->out_mono_ns)
			break;
		uint64_t from_mono_ns = cause->out_mono_ns > wait->out_mono_ns ? cause->out_mono_ns
									       : wait->out_mono_ns;
		if (cause->in_mono_ns - from_mono_ns > longest_ns) {
			longest_ns = cause->in_mono_ns - from_mono_ns;
			longest = cause;
		}
		entry = entry > join->entries ? entry - 1 : NULL;
	}
	return longest;
}

static int push_mark(struct view *view, const char *text, uint32_t *stack)
{
	uint32_t location;
	int rc = profile_add_named_location(view->profile, text, &location);
	return rc ? rc : profile_add_stack(view->profile, *stack, location, stack);
}

static int push_quoted(struct view *view, const char *before, const char *text, uint32_t *stack)
{
	char mark[MARK_BYTES];
	snprintf(mark, sizeof(mark), "[%s%s]", before, text);
	return push_mark(view, mark, stack);
}

static enum wait_reason reason_of(const struct join *join, const struct named_switch *wait)
{
	return (enum wait_reason)join->in->tables->waits[wait->wait].reason;
}

static bool is_sleep(const struct join *join, const struct named_switch *wait)
{
	enum wait_reason reason = reason_of(join, wait);
	return reason != WAIT_RUN_QUEUE && reason != WAIT_PREEMPTED && reason != WAIT_THROTTLED;
}

/* What part of the weight is from before it was woken; all, of one that was runnable. */
static double asleep_part(const struct join *join, const struct named_switch *wait)
{
	uint64_t off_ns = wait->in_mono_ns - wait->out_mono_ns;
	if (!off_ns || !is_sleep(join, wait))
		return 1;
	return (double)(wait->waking_mono_ns - wait->out_mono_ns) / (double)off_ns;
}

static int add_sample(struct view *view, const struct profile_sample *sample)
{
	return sample->weight > 0 ? profile_add_sample(view->profile, sample) : 0;
}

/* From its waking on, a thread waits for a CPU. */
static int add_queued(struct view *view, const struct named_switch *wait, double weight_ns)
{
	const struct profile_wait queued = {.reason = WAIT_RUN_QUEUE};
	struct profile_sample sample = {
		.weight = llround(weight_ns),
		.stack = view->ids.stacks[wait->stack],
		.thread = view->ids.threads[wait->thread],
	};
	if (!sample.weight)
		return 0;
	int rc = profile_add_wait(view->profile, &queued, &sample.wait);
	return rc ? rc : add_sample(view, &sample);
}

static int add_wait(const struct join *join, struct view *view, const struct named_switch *wait)
{
	double weight_ns = (double)wait->weight_ns * factor_of(join, tid_of(join, wait->thread));
	double asleep_ns = weight_ns * asleep_part(join, wait);
	struct profile_sample sample = {
		.weight = llround(asleep_ns),
		.count = 1,
		.stack = view->ids.stacks[wait->stack],
		.thread = view->ids.threads[wait->thread],
		.wait = view->ids.waits[wait->wait],
	};
	int rc = add_sample(view, &sample);
	return rc ? rc : add_queued(view, wait, weight_ns - asleep_ns);
}

static const char *name_of(const struct join *join, uint32_t thread)
{
	const struct profile *tables = join->in->tables;
	return profile_string(tables, tables->threads[thread].name);
}

/* A thread that there is no record of. */
static int add_thread(struct view *view, const struct trace_kept *kept, uint32_t *id)
{
	struct profile_label label = {0};
	struct profile_thread thread = {.pid = kept->pid, .tid = kept->tid};
	int rc = profile_add_string(view->profile, "comm", &label.key);
	if (!rc)
		rc = profile_add_string(view->profile, kept->comm, &label.value);
	if (!rc)
		rc = profile_add_label_set(view->profile, &label, 1, &thread.label_set);
	thread.name = label.value;
	return rc ? rc : profile_add_thread(view->profile, &thread, id);
}

static int add_waker(const struct join *join, struct view *view, const struct named_switch *wait)
{
	double weight_ns = (double)wait->weight_ns * factor_of(join, tid_of(join, wait->thread));
	struct profile_sample sample = {
		.weight = llround(weight_ns * asleep_part(join, wait)),
		.count = 1,
		.stack = view->ids.stacks[wait->waker_stack],
		.thread = view->ids.threads[wait->waker_thread],
	};
	if (!is_sleep(join, wait) || !sample.weight)
		return 0;
	int rc = 0;
	if (!wait->waker_thread)
		rc = add_thread(view, &(struct trace_kept){.comm = "[interrupt]"}, &sample.thread);
	if (!rc)
		rc = push_quoted(view, "wakes ", name_of(join, wait->thread), &sample.stack);
	return rc ? rc : add_sample(view, &sample);
}

/* The frames of a stack of the tables, from its leaf to its root, on top of *stack. */
static int push_backwards(const struct join *join, struct view *view, uint32_t from,
			  uint32_t *stack)
{
	const struct profile_stack *stacks = join->in->tables->stacks;
	int rc = 0;
	for (; from && !rc; from = stacks[from].parent) {
		uint32_t here = view->ids.stacks[from];
		rc = profile_add_stack(view->profile, *stack, view->profile->stacks[here].location,
				       stack);
	}
	return rc;
}

/* Likewise from its root to its leaf; the innermost MAX_FRAMES of them. */
static int push_forwards(const struct join *join, struct view *view, uint32_t from, uint32_t *stack)
{
	const struct profile_stack *stacks = join->in->tables->stacks;
	uint32_t frames[MAX_FRAMES], count = 0;
	for (; from && count < MAX_FRAMES; from = stacks[from].parent)
		frames[count++] = view->ids.stacks[from];
	int rc = 0;
	while (count-- > 0 && !rc)
		rc = profile_add_stack(view->profile, *stack,
				       view->profile->stacks[frames[count]].location, stack);
	return rc;
}

/* Who woke it, and what that one had waited for, on top of *stack. */
static int push_wakers(const struct join *join, struct view *view, const struct named_switch *wait,
		       uint32_t *stack)
{
	int rc = 0;
	for (int hop = 0; hop < TRACE_MAX_HOPS && wait && !rc; hop++) {
		rc = push_quoted(view, "", wait_reason_name(reason_of(join, wait)), stack);
		if (rc || !is_sleep(join, wait))
			return rc;
		rc = push_mark(view, mark_woken, stack);
		if (!rc && !wait->waker_thread)
			return push_mark(view, mark_interrupt, stack);
		if (!rc)
			rc = push_backwards(join, view, wait->waker_stack, stack);
		if (!rc)
			rc = push_quoted(view, "", name_of(join, wait->waker_thread), stack);
		const struct named_switch *cause = find_cause(join, wait);
		bool goes_on = cause && hop + 1 < TRACE_MAX_HOPS;
		if (!rc && goes_on)
			rc = push_mark(view, mark_waited, stack);
		if (!rc && goes_on)
			rc = push_forwards(join, view, cause->stack, stack);
		wait = cause;
	}
	return rc;
}

static int add_offwake(const struct join *join, struct view *view, const struct named_switch *wait)
{
	double weight_ns = (double)wait->weight_ns * factor_of(join, tid_of(join, wait->thread));
	double asleep_ns = weight_ns * asleep_part(join, wait);
	struct profile_sample sample = {
		.weight = llround(asleep_ns),
		.count = 1,
		.stack = view->ids.stacks[wait->stack],
		.thread = view->ids.threads[wait->thread],
	};
	int rc = 0;
	if (is_sleep(join, wait))
		rc = push_wakers(join, view, wait, &sample.stack);
	else
		sample.wait = view->ids.waits[wait->wait];
	if (!rc)
		rc = add_sample(view, &sample);
	return rc ? rc : add_queued(view, wait, weight_ns - asleep_ns);
}

/* Time of threads none of whose waits has a stack. */
static int add_unsampled(const struct join *join, struct view *view)
{
	int rc = 0;
	for (size_t i = 0; i < join->in->kept_count && !rc; i++) {
		const struct scale *scale = &join->scales[i];
		struct profile_sample sample = {.weight = (int64_t)scale->kept->kept_ns,
						.count = scale->kept->kept_waits};
		const struct profile_wait other = {.reason = WAIT_OTHER};
		if (scale->sent_ns > 0 || !sample.weight)
			continue;
		rc = add_thread(view, scale->kept, &sample.thread);
		if (!rc)
			rc = profile_add_wait(view->profile, &other, &sample.wait);
		if (!rc)
			rc = push_mark(view, mark_unsampled, &sample.stack);
		if (!rc)
			rc = add_sample(view, &sample);
	}
	return rc;
}

typedef int (*add_fn)(const struct join *join, struct view *view, const struct named_switch *wait);

static int make_view(const struct join *join, add_fn add, struct profile **out)
{
	AUTO_FINI(fini_view) struct view view = {0};
	int rc = profile_new(&view.profile, PROFILE_OFFCPU);
	if (!rc)
		rc = profile_merge_tables(view.profile, join->in->tables, &view.ids);
	for (size_t i = 0; i < join->in->count && !rc; i++)
		rc = add(join, &view, &join->in->switches[i]);
	if (!rc && add != add_waker)
		rc = add_unsampled(join, &view);
	if (rc)
		return rc;
	/* Samples of one kind become one. */
	AUTO(profile) merged = NULL;
	rc = profile_new(&merged, PROFILE_OFFCPU);
	if (!rc)
		rc = profile_merge(merged, view.profile, NULL);
	if (!rc)
		*out = TAKE(merged);
	return rc;
}

int trace_join(struct trace_views *views, const struct trace_waits *waits, struct err *err)
{
	AUTO_FINI(fini_join) struct join join = {.in = waits};
	*views = (struct trace_views){0};
	int rc = index_waits(&join);
	if (!rc)
		rc = make_view(&join, add_wait, &views->waits);
	if (!rc)
		rc = make_view(&join, add_waker, &views->wakers);
	if (!rc)
		rc = make_view(&join, add_offwake, &views->offwake);
	return rc ? err_set(err, rc, "join %zu waits: %m", waits->count) : 0;
}
