#include "profiler/intake.h"

#include <errno.h>
#include <string.h>

#include "base/array.h"
#include "base/buf.h"
#include "profiler/stack_cache.h"

enum { MAX_ORPHAN_BYTES = 64 << 20 };

struct intake {
	struct intake_options options;
	struct stack_cache *cache;
	struct buf records;     /* as they came from the ring */
	struct buf orphans;     /* their stack was not there yet */
	struct buf old_orphans; /* likewise, and it is not there now: they are lost */
	struct batch *batch;
	uint64_t batch_number; /* marks threads and stacks that are in the batch */
	uint32_t generation;
	uint64_t tail_bytes; /* raw_stack_add_tail() */
};

int intake_new(struct intake **out, const struct intake_options *options, struct err *err)
{
	AUTO(intake) intake = calloc(1, sizeof(*intake));
	if (!intake)
		return err_set(err, -ENOMEM, "intake: %m");
	intake->options = *options;
	intake->generation = 1;
	buf_init(&intake->records, options->max_bytes);
	buf_init(&intake->orphans, MAX_ORPHAN_BYTES);
	buf_init(&intake->old_orphans, MAX_ORPHAN_BYTES);
	int rc = stack_cache_new(&intake->cache, err);
	if (rc)
		return rc;
	*out = TAKE(intake);
	return 0;
}

void intake_free(struct intake *intake)
{
	if (!intake)
		return;
	buf_fini(&intake->records);
	buf_fini(&intake->orphans);
	buf_fini(&intake->old_orphans);
	stack_cache_free(intake->cache);
	free(intake);
}

void intake_fill(struct intake *intake, struct batch *batch)
{
	intake->batch = batch;
	intake->batch_number++;
}

void intake_next_generation(struct intake *intake, uint32_t generation)
{
	stack_cache_sweep(intake->cache, intake->generation);
	intake->generation = generation;
}

bool intake_is_crowded(const struct intake *intake)
{
	return stack_cache_is_crowded(intake->cache);
}

uint64_t intake_stacks(const struct intake *intake)
{
	return stack_cache_count(intake->cache);
}

static uint32_t stack_flags(const struct rec_sample *rec)
{
	if (rec->kind != REC_STACK || rec->size_bytes < sizeof(struct rec_stack))
		return 0;
	return ((const struct rec_stack *)rec)->flags;
}

/* Of a record that is lost: a sample for the ledger, or a switch; a stack alone is neither. */
static void lose(struct intake *intake, const struct rec_sample *rec, enum drop_reason reason)
{
	if (rec->kind == REC_SWITCH)
		intake->batch->lost_switches++;
	else if (!(stack_flags(rec) & STACK_ONLY))
		intake->options.count_drop(intake->options.ctx, reason);
}

static bool is_whole(const struct rec_sample *rec, size_t size_bytes)
{
	return size_bytes >= sizeof(*rec) && rec->size_bytes >= sizeof(*rec) &&
	       rec->size_bytes <= size_bytes && rec->size_bytes % 8 == 0;
}

void intake_keep(struct intake *intake, const void *record, size_t size_bytes)
{
	const struct intake_options *options = &intake->options;
	const struct rec_sample *rec = record;
	if (!is_whole(rec, size_bytes)) { /* nobody can tell what it was to be */
		options->count_taken(options->ctx);
		return options->count_drop(options->ctx, DROP_BAD_RECORD);
	}
	if (rec->kind != REC_SWITCH && !(stack_flags(rec) & STACK_ONLY))
		options->count_taken(options->ctx);
	void *room = buf_extend(&intake->records, rec->size_bytes);
	if (!room)
		return lose(intake, rec, DROP_NO_MEMORY);
	memcpy(room, record, rec->size_bytes);
}

static int place_thread(struct intake *intake, struct process *process, uint32_t tid,
			uint32_t *position)
{
	struct thread *thread = processes_thread(intake->options.processes, process, tid);
	if (!thread)
		return -ENOMEM;
	if (thread->batch != intake->batch_number) {
		struct raw_thread raw = {.pid = process->pid, .tid = tid};
		memcpy(raw.comm, thread->comm, sizeof(raw.comm));
		memcpy(raw.process_comm, process->comm, sizeof(raw.process_comm));
		raw.cgroup = (char *)(uintptr_t)process_cgroup(process); /* copied there */
		int rc = batch_add_thread(intake->batch, &raw, &thread->batch_index);
		if (rc)
			return rc;
		thread->batch = intake->batch_number;
	}
	*position = thread->batch_index;
	return 0;
}

static int place_stack(struct intake *intake, struct cached_stack *cached,
		       const struct process *process, uint32_t *position)
{
	int rc = cached_stack_locate(cached, process);
	if (!rc && cached->batch != intake->batch_number) {
		rc = batch_add_stack(intake->batch, cached->stack, &cached->batch_index);
		cached->batch = rc ? 0 : intake->batch_number;
	}
	*position = cached->batch_index;
	return rc;
}

static struct process *process_of(struct intake *intake, const struct cached_stack *cached)
{
	return processes_get(intake->options.processes, cached->pid, cached->start_boot_ns,
			     cached->comm);
}

static int add_sample(struct intake *intake, const struct rec_sample *rec,
		      struct cached_stack *cached)
{
	struct process *process = process_of(intake, cached);
	if (!process)
		return -ENOMEM;
	process_note_cgroup(process, cached->cgroup_id);
	struct raw_sample sample = {
		.end_mono_ns = rec->end_mono_ns,
		.weight_ns = rec->weight_ns,
	};
	int rc = place_thread(intake, process, rec->tid, &sample.thread);
	if (!rc)
		rc = place_stack(intake, cached, process, &sample.stack);
	return rc ? rc : batch_add_sample(intake->batch, &sample);
}

static struct cached_stack *find_stack(struct intake *intake, uint64_t hash)
{
	struct cached_stack *cached = hash ? stack_cache_get(intake->cache, hash) : NULL;
	if (cached)
		cached_stack_touch(cached, intake->generation);
	return cached;
}

/* A thread that waited there. */
static int place_waiting(struct intake *intake, uint32_t tid, struct cached_stack *cached,
			 uint32_t *thread, uint32_t *stack)
{
	struct process *process = process_of(intake, cached);
	if (!process)
		return -ENOMEM;
	/* What the stack tells of the cgroup is as old as the wait, so it is news only once. */
	if (!cached->is_cgroup_noted)
		process_note_cgroup(process, cached->cgroup_id);
	cached->is_cgroup_noted = true;
	int rc = place_thread(intake, process, tid, thread);
	return rc ? rc : place_stack(intake, cached, process, stack);
}

static int add_wait(struct intake *intake, const struct rec_wait *rec, struct cached_stack *cached)
{
	struct raw_wait wait = {.rec = *rec};
	int rc = place_waiting(intake, rec->sample.tid, cached, &wait.thread, &wait.stack);
	return rc ? rc : batch_add_wait(intake->batch, &wait);
}

/* Of a thread without a stack. */
static int place_bare(struct intake *intake, uint32_t pid, uint32_t tid, uint32_t *thread)
{
	struct process *process = processes_get(intake->options.processes, pid, 0, "[unknown]");
	return process ? place_thread(intake, process, tid, thread) : -ENOMEM;
}

static int add_switch(struct intake *intake, const struct rec_switch *rec,
		      struct cached_stack *cached, struct cached_stack *waker)
{
	struct raw_switch traced = {
		.stack = BATCH_NONE,
		.waker_thread = BATCH_NONE,
		.waker_stack = BATCH_NONE,
		.rec = *rec,
	};
	const struct rec_sample *sample = &rec->wait.sample;
	int rc = cached ? place_waiting(intake, sample->tid, cached, &traced.thread, &traced.stack)
			: place_bare(intake, sample->pid, sample->tid, &traced.thread);
	if (!rc && waker)
		rc = place_waiting(intake, rec->waker_tid, waker, &traced.waker_thread,
				   &traced.waker_stack);
	else if (!rc && rec->waker_tid)
		rc = place_bare(intake, rec->waker_pid, rec->waker_tid, &traced.waker_thread);
	return rc ? rc : batch_add_switch(intake->batch, &traced);
}

/* Another CPU may have entered the stack and not yet sent it. */
static void take_orphan(struct intake *intake, const struct rec_sample *rec, bool is_last_try)
{
	void *room = is_last_try ? NULL : buf_extend(&intake->orphans, rec->size_bytes);
	if (!room)
		return lose(intake, rec, DROP_UNKNOWN_STACK);
	memcpy(room, rec, rec->size_bytes);
}

static void take_sample(struct intake *intake, const struct rec_sample *rec, bool is_last_try)
{
	struct cached_stack *cached = stack_cache_get(intake->cache, rec->stack_hash);
	if (!cached)
		take_orphan(intake, rec, is_last_try);
	else if (add_sample(intake, rec, cached))
		lose(intake, rec, DROP_NO_MEMORY);
}

/* A thread cannot have waited for longer than its machine is up. */
static bool is_plausible(const struct rec_wait *rec)
{
	uint64_t end_mono_ns = rec->sample.end_mono_ns;
	return end_mono_ns <= INT64_MAX && rec->since_mono_ns <= end_mono_ns;
}

static void take_wait(struct intake *intake, const struct rec_wait *rec, bool is_last_try)
{
	if (rec->sample.size_bytes != sizeof(*rec) || !is_plausible(rec) ||
	    rec->weight_ns > rec->sample.end_mono_ns)
		return lose(intake, &rec->sample, DROP_BAD_RECORD);
	struct cached_stack *cached = find_stack(intake, rec->sample.stack_hash);
	if (!cached)
		take_orphan(intake, &rec->sample, is_last_try);
	else if (add_wait(intake, rec, cached))
		lose(intake, &rec->sample, DROP_NO_MEMORY);
}

/* Stacks with a tail are named once. */
static void forget_tails(struct intake *intake, const struct rec_switch *rec)
{
	const uint64_t hashes[] = {rec->wait.sample.stack_hash, rec->waker_hash};
	for (size_t i = 0; i < ARRAY_LEN(hashes); i++) {
		const struct cached_stack *cached = stack_cache_get(intake->cache, hashes[i]);
		if (cached && cached->stack && cached->stack->tail)
			stack_cache_remove(intake->cache, hashes[i]);
	}
}

/* The stack of who woke it is worth waiting for, and not worth losing the switch for. */
static void take_switch(struct intake *intake, const struct rec_switch *rec, bool is_last_try)
{
	const struct rec_sample *sample = &rec->wait.sample;
	if (sample->size_bytes != sizeof(*rec) || !is_plausible(&rec->wait) ||
	    rec->wait.weight_ns > INT64_MAX || rec->waking_mono_ns > sample->end_mono_ns)
		return lose(intake, sample, DROP_BAD_RECORD);
	struct cached_stack *cached = find_stack(intake, sample->stack_hash);
	struct cached_stack *waker = find_stack(intake, rec->waker_hash);
	bool lacks_stack = sample->stack_hash && !cached;
	bool lacks_waker = rec->waker_hash && !waker && !is_last_try;
	if (lacks_stack || lacks_waker)
		take_orphan(intake, sample, is_last_try);
	else if (add_switch(intake, rec, cached, waker))
		lose(intake, sample, DROP_NO_MEMORY);
	else
		forget_tails(intake, rec);
}

/* The tail of a record that says it has one; NULL: it is not whole. */
static const struct rec_tail *tail_of(const struct rec_stack *rec, size_t frames_bytes)
{
	const struct rec_tail *tail = (const void *)((const char *)rec->frames + frames_bytes);
	size_t left_bytes = rec->sample.size_bytes - sizeof(*rec) - frames_bytes;
	if (left_bytes < sizeof(*tail) || tail->slice_bytes != left_bytes - sizeof(*tail))
		return NULL;
	return tail;
}

/* For the one record that is to name it. */
static int keep_tail(struct intake *intake, const struct rec_stack *rec, struct raw_stack *stack)
{
	int rc = stack_cache_put(intake->cache, rec, intake->generation);
	struct cached_stack *cached = stack_cache_get(intake->cache, rec->sample.stack_hash);
	if (rc || !cached || cached->stack)
		return rc;
	cached->stack = raw_stack_ref(stack);
	return 0;
}

/* Such a stack is new every time, and belongs to no other sample; or, with STACK_WANT, to none. */
static int take_tail(struct intake *intake, const struct rec_stack *rec,
		     const struct rec_tail *tail)
{
	const struct intake_options *options = &intake->options;
	struct process *process =
		processes_get(options->processes, rec->sample.pid, rec->start_boot_ns, rec->comm);
	if (!process)
		return -ENOMEM;
	process_note_cgroup(process, rec->cgroup_id);
	if (process->exec_id != rec->exec_id) /* what was pushed is taken for another image's */
		process->umem_epoch = process->umem_cost_ns = 0;
	process->exec_id = rec->exec_id;
	options->push(options->ctx, process, rec->sample.end_mono_ns);
	struct raw_ips ips = {rec->frames, rec->kernel_frames, rec->user_frames, rec->flags,
			      rec->walk_end};
	struct raw_stack *stack = raw_stack_locate(&ips, process);
	struct raw_sample sample = {
		.end_mono_ns = rec->sample.end_mono_ns,
		.weight_ns = rec->sample.weight_ns,
	};
	if (!stack)
		return -ENOMEM;
	/* Without its tail the stack stays as far as it is, and says why. */
	if (!raw_stack_add_tail(stack, tail, process, &intake->tail_bytes))
		options->tail(options->ctx, stack);
	int rc = 0;
	if ((rec->flags & STACK_ONLY) && !(rec->flags & STACK_WANT))
		rc = keep_tail(intake, rec, stack);
	if (!(rec->flags & STACK_ONLY)) {
		rc = place_thread(intake, process, rec->sample.tid, &sample.thread);
		if (!rc)
			rc = batch_add_stack(intake->batch, stack, &sample.stack);
		if (!rc)
			rc = batch_add_sample(intake->batch, &sample);
	}
	raw_stack_unref(stack);
	return rc;
}

static void take_stack(struct intake *intake, const struct rec_stack *rec)
{
	const struct rec_sample *sample = &rec->sample;
	if (sample->size_bytes < sizeof(*rec))
		return lose(intake, sample, DROP_BAD_RECORD);
	size_t frames_bytes =
		((size_t)rec->kernel_frames + rec->user_frames) * sizeof(rec->frames[0]);
	if (sample->size_bytes < sizeof(*rec) + frames_bytes)
		return lose(intake, sample, DROP_BAD_RECORD);
	if (rec->flags & STACK_TAIL) {
		const struct rec_tail *tail = tail_of(rec, frames_bytes);
		if (!tail)
			lose(intake, sample, DROP_BAD_RECORD);
		else if (take_tail(intake, rec, tail))
			lose(intake, sample, DROP_NO_MEMORY);
		return;
	}
	if (sample->size_bytes != sizeof(*rec) + frames_bytes)
		return lose(intake, sample, DROP_BAD_RECORD);
	if (stack_cache_put(intake->cache, rec, intake->generation))
		return lose(intake, sample, DROP_NO_MEMORY);
	if (!(rec->flags & STACK_ONLY))
		take_sample(intake, sample, true);
}

static void take_record(struct intake *intake, const struct rec_sample *rec, bool is_last_try)
{
	if (!is_last_try)
		intake->options.catch_up(intake->options.ctx, rec->end_mono_ns);
	if (rec->kind == REC_SAMPLE && rec->size_bytes == sizeof(*rec))
		take_sample(intake, rec, is_last_try);
	else if (rec->kind == REC_STACK)
		take_stack(intake, (const struct rec_stack *)rec);
	else if (rec->kind == REC_WAIT)
		take_wait(intake, (const struct rec_wait *)rec, is_last_try);
	else if (rec->kind == REC_SWITCH)
		take_switch(intake, (const struct rec_switch *)rec, is_last_try);
	else
		lose(intake, rec, DROP_BAD_RECORD);
}

static void take_all(struct intake *intake, struct buf *records, bool is_last_try)
{
	for (size_t at = 0; at < records->len_bytes;) {
		const struct rec_sample *rec = (const void *)(records->data + at);
		take_record(intake, rec, is_last_try);
		at += rec->size_bytes;
	}
	buf_clear(records);
}

void intake_take(struct intake *intake)
{
	struct buf old = intake->orphans;
	intake->orphans = intake->old_orphans;
	intake->old_orphans = old;
	take_all(intake, &intake->records, false);
	take_all(intake, &intake->old_orphans, true);
}
