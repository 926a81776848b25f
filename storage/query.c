/*
 * Samples of a range as one profile. Within a partition weights are summed by the ids of the
 * partition; only stacks and threads that were met are carried over into the result.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/array.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/sat.h"
#include "storage/engine.h"
#include "storage/translate.h"

#define NOT_SELECTED UINT32_MAX

/* Samples with the same stack, owner and wait. The owner is a thread, or a label set when
 * threads are not asked for. */
struct sum {
	uint32_t stack;
	uint32_t owner;
	uint32_t wait;
	uint64_t count;
	int64_t weight_ns;
};

/* The sums of one partition. */
struct sums {
	struct sum *items;
	size_t count;
	size_t cap;
	struct index index;
	uint32_t *last;   /* by stack: position + 1 of the sum that was met last */
	uint32_t *owners; /* by thread: owner or NOT_SELECTED */
	struct engine_choice choice;
};

struct question {
	const struct store_query *query;
	struct engine_range range;
	bool with_threads;
	struct profile *result;
	struct index samples;               /* of the result */
	int64_t first_unix_us, end_unix_us; /* covered by the segments that were read */

	struct sums sums;
	uint64_t *columns[COLUMN_COUNT + 1]; /* scratch by enum segment_column */
};

static void fini_sums(struct sums *sums)
{
	free(sums->items);
	free(sums->last);
	free(sums->owners);
	engine_choice_fini(&sums->choice);
	index_fini(&sums->index);
	*sums = (struct sums){0};
}

static void fini_question(struct question *question)
{
	fini_sums(&question->sums);
	profile_free(question->result);
	index_fini(&question->samples);
	for (size_t i = 0; i < ARRAY_LEN(question->columns); i++)
		free(question->columns[i]);
}

static int init_question(struct question *question)
{
	index_init(&question->samples, PROFILE_MAX_ENTRIES);
	for (size_t i = COLUMN_TIME; i < ARRAY_LEN(question->columns); i++) {
		question->columns[i] = malloc(SEGMENT_MAX_SAMPLES * sizeof(uint64_t));
		if (!question->columns[i])
			return -ENOMEM;
	}
	return profile_new(&question->result, question->query->type);
}

static int init_sums(struct sums *sums, const struct question *question,
		     const struct session *session, struct err *err)
{
	const struct profile *tables = session->tables;
	index_init(&sums->index, PROFILE_MAX_ENTRIES);
	sums->last = calloc(tables->stack_count, sizeof(*sums->last));
	sums->owners = malloc(tables->thread_count * sizeof(*sums->owners));
	if (!sums->last || !sums->owners)
		return err_set(err, -ENOMEM, "query: %m");
	int rc = engine_choose(session, question->query, &sums->choice, err);
	for (uint32_t i = 0; !rc && i < tables->thread_count; i++) {
		uint32_t owner = question->with_threads ? i : tables->threads[i].label_set;
		sums->owners[i] = sums->choice.threads[i] ? owner : NOT_SELECTED;
	}
	return rc;
}

static bool same_sum(const void *ctx, uint32_t position, const void *key)
{
	const struct sum *have = &((const struct sums *)ctx)->items[position];
	const struct sum *want = key;
	return have->stack == want->stack && have->owner == want->owner && have->wait == want->wait;
}

/* Finds or makes the sum of such samples, and leaves it in sums->last. */
static int find_sum(struct sums *sums, uint32_t stack, uint32_t owner, uint32_t wait)
{
	struct sum wanted = {.stack = stack, .owner = owner, .wait = wait};
	uint64_t hash = hash_mix((uint64_t)stack << 32 | owner, wait);
	uint32_t found = index_find(&sums->index, hash, same_sum, sums, &wanted);
	if (found == INDEX_NONE) {
		found = (uint32_t)sums->count;
		int rc = ARRAY_RESERVE(sums->items, sums->cap, sums->count, PROFILE_MAX_ENTRIES);
		if (!rc)
			rc = index_add(&sums->index, hash, found);
		if (rc)
			return rc;
		sums->items[sums->count++] = wanted;
	}
	sums->last[stack] = found + 1;
	return 0;
}

/* Owners of the samples whose threads are meant; the others' become NOT_SELECTED. False when
 * none is. */
static bool choose_owners(struct question *question, const struct segment *segment)
{
	const uint32_t *owner_of = question->sums.owners;
	uint64_t *owners = question->columns[COLUMN_THREAD];
	bool any = false;
	if (segment->type == PROFILE_CPU && !question->sums.choice.waits[0])
		return false;
	for (size_t i = 0; i < segment->sample_count; i++) {
		owners[i] = owner_of[owners[i]];
		any |= owners[i] != NOT_SELECTED;
	}
	return any;
}

static void drop_other_waits(struct question *question, const struct segment *segment)
{
	const bool *is_meant = question->sums.choice.waits;
	const uint64_t *waits = question->columns[COLUMN_WAIT];
	for (size_t i = 0; i < segment->sample_count; i++)
		if (!is_meant[waits[i]])
			question->columns[COLUMN_THREAD][i] = NOT_SELECTED;
}

static bool is_inside(const struct question *question, const struct segment *segment)
{
	const struct store_query *query = question->query;
	if (segment->type == PROFILE_OFFCPU)
		return segment->start_unix_us * NS_PER_US >= query->from_unix_ns &&
		       segment->end_unix_us * NS_PER_US <= query->until_unix_ns;
	return segment->start_unix_us >= question->range.from_unix_us &&
	       segment->end_unix_us <= question->range.until_unix_us;
}

static void drop_outside(struct question *question, const struct segment *segment)
{
	const struct engine_range *range = &question->range;
	const uint64_t *times = question->columns[COLUMN_TIME];
	for (size_t i = 0; i < segment->sample_count; i++) {
		int64_t time_unix_us = segment->start_unix_us + (int64_t)times[i];
		if (time_unix_us < range->from_unix_us || time_unix_us >= range->until_unix_us)
			question->columns[COLUMN_THREAD][i] = NOT_SELECTED;
	}
}

/* Of a wait that is partly outside only the part inside is left, to the ns, so that the parts
 * of adjacent ranges make up the whole. It is counted where its last ns is. */
static void clip_waits(struct question *question, const struct segment *segment)
{
	int64_t from_ns = question->query->from_unix_ns;
	int64_t until_ns = question->query->until_unix_ns;
	const uint64_t *times = question->columns[COLUMN_TIME];
	uint64_t *weights_ns = question->columns[COLUMN_WEIGHT];
	for (size_t i = 0; i < segment->sample_count; i++) {
		int64_t end_ns = (segment->start_unix_us + (int64_t)times[i]) * NS_PER_US;
		int64_t last_ns = weights_ns[i] ? end_ns - 1 : end_ns;
		int64_t first_ns = end_ns - (int64_t)weights_ns[i];
		first_ns = first_ns > from_ns ? first_ns : from_ns;
		if (first_ns > last_ns || first_ns >= until_ns) {
			question->columns[COLUMN_THREAD][i] = NOT_SELECTED;
			continue;
		}
		weights_ns[i] = (uint64_t)((end_ns < until_ns ? end_ns : until_ns) - first_ns);
		if (last_ns >= until_ns)
			question->columns[COLUMN_COUNT][i] = 0;
	}
}

static int sum_samples(struct question *question, const struct segment *segment)
{
	struct sums *sums = &question->sums;
	const uint64_t *stacks = question->columns[COLUMN_STACK];
	const uint64_t *owners = question->columns[COLUMN_THREAD];
	const uint64_t *waits =
		segment->type == PROFILE_OFFCPU ? question->columns[COLUMN_WAIT] : NULL;
	const uint64_t *weights_ns = question->columns[COLUMN_WEIGHT];
	const uint64_t *counts = question->columns[COLUMN_COUNT];
	for (size_t i = 0; i < segment->sample_count; i++) {
		if (owners[i] == NOT_SELECTED)
			continue;
		uint32_t wait = waits ? (uint32_t)waits[i] : 0;
		uint32_t last = sums->last[stacks[i]];
		const struct sum *met = last ? &sums->items[last - 1] : NULL;
		if (!met || met->owner != owners[i] || met->wait != wait) {
			int rc = find_sum(sums, (uint32_t)stacks[i], (uint32_t)owners[i], wait);
			if (rc)
				return rc;
		}
		struct sum *sum = &sums->items[sums->last[stacks[i]] - 1];
		sum->weight_ns = sat_add_i64(sum->weight_ns, (int64_t)weights_ns[i]);
		sum->count = sat_add_u64(sum->count, counts[i]);
	}
	return 0;
}

static int read_columns(struct question *question, struct session *session,
			const struct segment *segment, struct err *err)
{
	bool is_waiting = segment->type == PROFILE_OFFCPU;
	const struct {
		enum segment_column column;
		uint64_t limit;
		bool is_needed;
	} wanted[] = {
		{COLUMN_TIME, SEGMENT_MAX_TIME_US, !is_inside(question, segment)},
		{COLUMN_STACK, session->tables->stack_count, true},
		{COLUMN_WEIGHT, 0, true},
		{COLUMN_COUNT, SEGMENT_MAX_WEIGHT, true},
		{COLUMN_WAIT, session->tables->wait_count, is_waiting},
	};
	int rc = 0;
	for (size_t i = 0; !rc && i < ARRAY_LEN(wanted); i++)
		if (wanted[i].is_needed)
			rc = segment_read_column(session->db, session->codec, segment,
						 wanted[i].column, wanted[i].limit,
						 question->columns[wanted[i].column], err);
	return rc;
}

/* Leaves what is in the range and meant. */
static void narrow(struct question *question, const struct segment *segment)
{
	bool is_waiting = segment->type == PROFILE_OFFCPU;
	if (is_waiting)
		drop_other_waits(question, segment);
	if (is_inside(question, segment))
		return;
	if (is_waiting)
		clip_waits(question, segment);
	else
		drop_outside(question, segment);
}

static void cover(struct question *question, const struct segment *segment)
{
	if (segment->start_unix_us < question->first_unix_us)
		question->first_unix_us = segment->start_unix_us;
	if (segment->end_unix_us > question->end_unix_us)
		question->end_unix_us = segment->end_unix_us;
	if (segment->period_ns)
		question->result->period_ns = segment->period_ns;
}

static int read_segment(void *ctx, struct session *session, const struct segment *segment,
			struct err *err)
{
	struct question *question = ctx;
	cover(question, segment);
	int rc = segment_read_column(session->db, session->codec, segment, COLUMN_THREAD,
				     session->tables->thread_count,
				     question->columns[COLUMN_THREAD], err);
	if (rc || !choose_owners(question, segment))
		return rc;
	rc = read_columns(question, session, segment, err);
	if (rc)
		return rc;
	narrow(question, segment);
	rc = sum_samples(question, segment);
	return rc ? err_set(err, rc, "query: %m") : 0;
}

static bool same_sample(const void *ctx, uint32_t position, const void *key)
{
	const struct profile_sample *have = &((const struct profile *)ctx)->samples[position];
	const struct profile_sample *want = key;
	return have->stack == want->stack && have->thread == want->thread &&
	       have->wait == want->wait;
}

static int add_to_result(struct question *question, const struct profile_sample *sample)
{
	struct profile *result = question->result;
	uint64_t hash = hash_mix((uint64_t)sample->stack << 32 | sample->thread, sample->wait);
	uint32_t found = index_find(&question->samples, hash, same_sample, result, sample);
	if (found != INDEX_NONE) {
		struct profile_sample *have = &result->samples[found];
		have->weight = sat_add_i64(have->weight, sample->weight);
		have->count = sat_add_u64(have->count, sample->count);
		return 0;
	}
	int rc = index_add(&question->samples, hash, (uint32_t)result->sample_count);
	return rc ? rc : profile_add_sample(result, sample);
}

static int translate_owner(struct question *question, struct translation *t, uint32_t owner,
			   uint32_t *thread)
{
	if (question->with_threads)
		return translate_thread(t, owner, thread);
	struct profile_thread nobody = {0};
	int rc = translate_label_set(t, owner, &nobody.label_set);
	return rc ? rc : profile_add_thread(question->result, &nobody, thread);
}

static int carry_over(struct question *question, const struct profile *tables)
{
	const struct sums *sums = &question->sums;
	AUTO_FINI(translation_fini) struct translation t = {0};
	int rc = translation_init(&t, tables, question->result);
	for (size_t i = 0; !rc && i < sums->count; i++) {
		const struct sum *sum = &sums->items[i];
		struct profile_sample sample = {.weight = sum->weight_ns, .count = sum->count};
		rc = translate_stack(&t, sum->stack, &sample.stack);
		if (!rc)
			rc = translate_owner(question, &t, sum->owner, &sample.thread);
		if (!rc)
			rc = translate_wait(&t, sum->wait, &sample.wait);
		if (!rc)
			rc = add_to_result(question, &sample);
	}
	return rc;
}

static int read_partition(void *ctx, struct session *session, struct err *err)
{
	struct question *question = ctx;
	fini_sums(&question->sums);
	int rc = init_sums(&question->sums, question, session, err);
	if (!rc)
		rc = engine_each_segment(session, question->query, read_segment, question, err);
	if (rc)
		return rc;
	rc = carry_over(question, session->tables);
	return rc ? err_set(err, rc, "query: %m") : 0;
}

/* The asked range as far as there is data. */
static void set_times(const struct question *question)
{
	const struct store_query *query = question->query;
	struct profile *result = question->result;
	result->start_unix_ns = query->from_unix_ns;
	if (question->first_unix_us >= question->end_unix_us)
		return;
	int64_t first_unix_ns = question->first_unix_us * NS_PER_US;
	int64_t end_unix_ns = question->end_unix_us * NS_PER_US;
	if (first_unix_ns > result->start_unix_ns)
		result->start_unix_ns = first_unix_ns;
	if (query->until_unix_ns < end_unix_ns)
		end_unix_ns = query->until_unix_ns;
	result->duration_ns = end_unix_ns - result->start_unix_ns;
}

static int answer(struct store *store, const struct store_query *query, bool with_threads,
		  struct profile **out, struct err *err)
{
	AUTO_FINI(fini_question)
	struct question question = {
		.query = query,
		.range = engine_range_of(query),
		.with_threads = with_threads,
		.first_unix_us = INT64_MAX,
		.end_unix_us = INT64_MIN,
	};
	int rc = init_question(&question);
	if (rc)
		return err_set(err, rc, "query: %m");
	rc = engine_each_session(store, query, read_partition, &question, err);
	if (rc)
		return rc;
	set_times(&question);
	*out = TAKE(question.result);
	return 0;
}

int store_query_profile(struct store *store, const struct store_query *query, struct profile **out,
			struct err *err)
{
	return answer(store, query, true, out, err);
}

int store_query_stacks(struct store *store, const struct store_query *query, struct profile **out,
		       struct err *err)
{
	return answer(store, query, false, out, err);
}
