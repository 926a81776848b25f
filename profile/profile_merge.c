/* One profile added to another: each table's ids are translated by one pass over it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/hash.h"
#include "base/sat.h"
#include "profile/profile.h"

/* From ids of one profile to ids of the other, by table. */
struct translation {
	const struct profile *from;
	struct profile *into;
	uint32_t *strings;
	uint32_t *mappings;
	uint32_t *functions;
	uint32_t *locations;
	uint32_t *stacks;
	uint32_t *label_sets;
	uint32_t *threads;
	uint32_t *waits;
};

static void fini_translation(struct translation *t)
{
	free(t->strings);
	free(t->mappings);
	free(t->functions);
	free(t->locations);
	free(t->stacks);
	free(t->label_sets);
	free(t->threads);
	free(t->waits);
}

static int init_translation(struct translation *t)
{
	const struct profile *from = t->from;
	t->strings = calloc(from->strings.count, sizeof(uint32_t));
	t->mappings = calloc(from->mapping_count, sizeof(uint32_t));
	t->functions = calloc(from->function_count, sizeof(uint32_t));
	t->locations = calloc(from->location_count, sizeof(uint32_t));
	t->stacks = calloc(from->stack_count, sizeof(uint32_t));
	t->label_sets = calloc(from->label_set_count, sizeof(uint32_t));
	t->threads = calloc(from->thread_count, sizeof(uint32_t));
	t->waits = calloc(from->wait_count, sizeof(uint32_t));
	if (!t->strings || !t->mappings || !t->functions || !t->locations || !t->stacks ||
	    !t->label_sets || !t->threads || !t->waits)
		return -ENOMEM;
	return 0;
}

static int merge_strings(struct translation *t)
{
	for (uint32_t i = 1; i < t->from->strings.count; i++) {
		int rc = profile_add_string(t->into, profile_string(t->from, i), &t->strings[i]);
		if (rc)
			return rc;
	}
	return 0;
}

static int merge_mappings(struct translation *t)
{
	for (size_t i = 1; i < t->from->mapping_count; i++) {
		struct profile_mapping mapping = t->from->mappings[i];
		mapping.filename = t->strings[mapping.filename];
		mapping.build_id = t->strings[mapping.build_id];
		int rc = profile_add_mapping(t->into, &mapping, &t->mappings[i]);
		if (rc)
			return rc;
	}
	return 0;
}

static int merge_functions(struct translation *t)
{
	for (size_t i = 1; i < t->from->function_count; i++) {
		struct profile_function function = t->from->functions[i];
		function.name = t->strings[function.name];
		function.system_name = t->strings[function.system_name];
		function.filename = t->strings[function.filename];
		int rc = profile_add_function(t->into, &function, &t->functions[i]);
		if (rc)
			return rc;
	}
	return 0;
}

static int merge_locations(struct translation *t)
{
	AUTO_MEM struct profile_line *lines = calloc(t->from->line_count + 1, sizeof(*lines));
	if (!lines)
		return -ENOMEM;
	for (size_t i = 0; i < t->from->line_count; i++) {
		lines[i] = t->from->lines[i];
		lines[i].function = t->functions[lines[i].function];
	}
	for (size_t i = 1; i < t->from->location_count; i++) {
		struct profile_location location = t->from->locations[i];
		location.mapping = t->mappings[location.mapping];
		int rc = profile_add_location(t->into, &location, lines + location.first_line,
					      location.line_count, &t->locations[i]);
		if (rc)
			return rc;
	}
	return 0;
}

static int merge_stacks(struct translation *t)
{
	for (size_t i = 1; i < t->from->stack_count; i++) {
		const struct profile_stack *stack = &t->from->stacks[i];
		int rc = profile_add_stack(t->into, t->stacks[stack->parent],
					   t->locations[stack->location], &t->stacks[i]);
		if (rc)
			return rc;
	}
	return 0;
}

static int merge_label_sets(struct translation *t)
{
	AUTO_MEM struct profile_label *labels = calloc(t->from->label_count + 1, sizeof(*labels));
	if (!labels)
		return -ENOMEM;
	for (size_t i = 0; i < t->from->label_count; i++) {
		labels[i].key = t->strings[t->from->labels[i].key];
		labels[i].value = t->strings[t->from->labels[i].value];
	}
	for (size_t i = 1; i < t->from->label_set_count; i++) {
		const struct profile_label_set *set = &t->from->label_sets[i];
		int rc = profile_add_label_set(t->into, labels + set->first, set->count,
					       &t->label_sets[i]);
		if (rc)
			return rc;
	}
	return 0;
}

static int merge_threads(struct translation *t)
{
	for (size_t i = 1; i < t->from->thread_count; i++) {
		struct profile_thread thread = t->from->threads[i];
		thread.name = t->strings[thread.name];
		thread.label_set = t->label_sets[thread.label_set];
		int rc = profile_add_thread(t->into, &thread, &t->threads[i]);
		if (rc)
			return rc;
	}
	return 0;
}

static int merge_waits(struct translation *t)
{
	for (size_t i = 1; i < t->from->wait_count; i++) {
		struct profile_wait wait = t->from->waits[i];
		wait.waits_on = t->strings[wait.waits_on];
		int rc = profile_add_wait(t->into, &wait, &t->waits[i]);
		if (rc)
			return rc;
	}
	return 0;
}

static bool same_sample(const void *ctx, uint32_t position, const void *key)
{
	const struct profile_sample *have = &((const struct profile *)ctx)->samples[position];
	const struct profile_sample *want = key;
	return have->stack == want->stack && have->thread == want->thread &&
	       have->wait == want->wait;
}

/* Adds the sample to its equal among the first merged_count, or makes it one of them. */
static int merge_sample(struct profile *into, struct profile_sample sample)
{
	uint64_t hash =
		hash_mix((uint64_t)sample.stack << 32 | sample.thread, (uint64_t)sample.wait);
	uint32_t found = index_find(&into->sample_index, hash, same_sample, into, &sample);
	if (found != INDEX_NONE) {
		struct profile_sample *have = &into->samples[found];
		have->weight = sat_add_i64(have->weight, sample.weight);
		have->count = sat_add_u64(have->count, sample.count);
		return 0;
	}
	int rc = index_add(&into->sample_index, hash, (uint32_t)into->merged_count);
	if (rc)
		return rc;
	sample.time_unix_ns = 0;
	into->samples[into->merged_count++] = sample;
	return 0;
}

/* Samples added one by one since the last merge join those that are merged. */
static int compact_samples(struct profile *into)
{
	for (size_t i = into->merged_count; i < into->sample_count; i++) {
		int rc = merge_sample(into, into->samples[i]);
		if (rc)
			return rc;
	}
	into->sample_count = into->merged_count;
	return 0;
}

static int merge_samples(struct translation *t)
{
	struct profile *into = t->into;
	for (size_t i = 0; i < t->from->sample_count; i++) {
		struct profile_sample sample = t->from->samples[i];
		sample.stack = t->stacks[sample.stack];
		sample.thread = t->threads[sample.thread];
		sample.wait = t->waits[sample.wait];
		int rc = profile_add_sample(into, &sample);
		if (!rc)
			rc = merge_sample(into, sample);
		if (rc)
			return rc;
		into->sample_count = into->merged_count;
	}
	return 0;
}

static void merge_times(struct profile *into, const struct profile *from)
{
	if (from->period_ns > into->period_ns)
		into->period_ns = from->period_ns;
	if (!from->start_unix_ns && !from->duration_ns)
		return;
	int64_t from_end = sat_add_i64(from->start_unix_ns, from->duration_ns);
	if (!into->start_unix_ns && !into->duration_ns) {
		into->start_unix_ns = from->start_unix_ns;
		into->duration_ns = from->duration_ns;
		return;
	}
	int64_t end = sat_add_i64(into->start_unix_ns, into->duration_ns);
	if (from_end > end)
		end = from_end;
	if (from->start_unix_ns < into->start_unix_ns)
		into->start_unix_ns = from->start_unix_ns;
	if (__builtin_sub_overflow(end, into->start_unix_ns, &into->duration_ns))
		into->duration_ns = INT64_MAX;
}

static int merge_tables(struct translation *t)
{
	static int (*const passes[])(struct translation *) = {
		merge_strings, merge_mappings,   merge_functions, merge_locations,
		merge_stacks,  merge_label_sets, merge_threads,   merge_waits,
	};
	int rc = init_translation(t);
	for (size_t i = 0; !rc && i < ARRAY_LEN(passes); i++)
		rc = passes[i](t);
	return rc;
}

int profile_merge_tables(struct profile *into, const struct profile *from, struct profile_ids *ids)
{
	AUTO_FINI(fini_translation) struct translation t = {.from = from, .into = into};
	int rc = merge_tables(&t);
	*ids = (struct profile_ids){TAKE(t.stacks), TAKE(t.threads), TAKE(t.waits)};
	return rc;
}

void profile_ids_fini(struct profile_ids *ids)
{
	free(ids->stacks);
	free(ids->threads);
	free(ids->waits);
	*ids = (struct profile_ids){0};
}

int profile_merge(struct profile *into, const struct profile *from, struct err *err)
{
	const char *unit = profile_string(into, into->unit);
	const char *from_unit = profile_string(from, from->unit);
	if (strcmp(unit, from_unit))
		return err_set(err, -EINVAL, "profiles in %.64s and %.64s cannot be merged", unit,
			       from_unit);
	AUTO_FINI(fini_translation) struct translation t = {.from = from, .into = into};
	int rc = merge_tables(&t);
	if (!rc)
		rc = compact_samples(into);
	if (!rc)
		rc = merge_samples(&t);
	if (rc)
		return err_set(err, rc, "merge profiles: %m");
	merge_times(into, from);
	return 0;
}
