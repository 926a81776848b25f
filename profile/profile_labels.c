/* The labels of a profile's threads. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/hash.h"
#include "profile/profile.h"

static int compare_keys(const void *a, const void *b, void *ctx)
{
	const struct profile *profile = ctx;
	return strcmp(profile_string(profile, ((const struct profile_label *)a)->key),
		      profile_string(profile, ((const struct profile_label *)b)->key));
}

struct label_span {
	const struct profile_label *labels;
	uint32_t count;
};

static bool same_label_set(const void *ctx, uint32_t position, const void *key)
{
	const struct profile *profile = ctx;
	const struct profile_label_set *have = &profile->label_sets[position];
	const struct label_span *want = key;
	if (have->count != want->count)
		return false;
	for (uint32_t i = 0; i < want->count; i++) {
		const struct profile_label *label = &profile->labels[have->first + i];
		if (label->key != want->labels[i].key || label->value != want->labels[i].value)
			return false;
	}
	return true;
}

static uint64_t hash_labels(const struct label_span *span)
{
	uint64_t hash = hash_u64(span->count);
	for (uint32_t i = 0; i < span->count; i++)
		hash = hash_mix(hash, (uint64_t)span->labels[i].key << 32 | span->labels[i].value);
	return hash;
}

/* Copies the labels behind the last ones, sorted; they count only once label_count grows. */
static int stage_labels(struct profile *profile, const struct profile_label *labels,
			uint32_t label_count, struct label_span *staged)
{
	size_t count = profile->label_count;
	for (uint32_t i = 0; i < label_count; i++, count++) {
		if (labels[i].key >= profile->strings.count ||
		    labels[i].value >= profile->strings.count)
			return -EINVAL;
		int rc = ARRAY_RESERVE(profile->labels, profile->label_cap, count,
				       PROFILE_MAX_ENTRIES);
		if (rc)
			return rc;
		profile->labels[count] = labels[i];
	}
	*staged = (struct label_span){NULL, label_count};
	if (!label_count)
		return 0;
	struct profile_label *first = profile->labels + profile->label_count;
	qsort_r(first, label_count, sizeof(*first), compare_keys, profile);
	for (uint32_t i = 1; i < label_count; i++)
		if (first[i].key == first[i - 1].key)
			return -EINVAL;
	staged->labels = first;
	return 0;
}

int profile_add_label_set(struct profile *profile, const struct profile_label *labels,
			  uint32_t label_count, uint32_t *id)
{
	struct label_span staged;
	int rc = stage_labels(profile, labels, label_count, &staged);
	if (rc)
		return rc;
	uint64_t hash = hash_labels(&staged);
	uint32_t found =
		index_find(&profile->label_set_index, hash, same_label_set, profile, &staged);
	if (found != INDEX_NONE) {
		*id = found;
		return 0;
	}
	uint32_t count = (uint32_t)profile->label_set_count;
	rc = ARRAY_RESERVE(profile->label_sets, profile->label_set_cap, count, PROFILE_MAX_ENTRIES);
	if (!rc)
		rc = index_add(&profile->label_set_index, hash, count);
	if (rc)
		return rc;
	profile->label_sets[profile->label_set_count++] =
		(struct profile_label_set){(uint32_t)profile->label_count, label_count};
	profile->label_count += label_count;
	*id = count;
	return 0;
}

/* The fields that are labels too. 0 is "not known", as in aggregates. */
static const char *number_label(uint32_t value, char scratch[static PROFILE_LABEL_SCRATCH_BYTES])
{
	if (!value)
		return NULL;
	snprintf(scratch, PROFILE_LABEL_SCRATCH_BYTES, "%u", value);
	return scratch;
}

bool profile_is_thread_field(const char *key)
{
	return !strcmp(key, "pid") || !strcmp(key, "tid") || !strcmp(key, "thread");
}

const char *profile_thread_label(const struct profile *profile, uint32_t thread, const char *key,
				 char scratch[static PROFILE_LABEL_SCRATCH_BYTES])
{
	if (thread >= profile->thread_count)
		return NULL;
	const struct profile_thread *t = &profile->threads[thread];
	if (!strcmp(key, "pid"))
		return number_label(t->pid, scratch);
	if (!strcmp(key, "tid"))
		return number_label(t->tid, scratch);
	if (!strcmp(key, "thread"))
		return t->name ? profile_string(profile, t->name) : NULL;
	const struct profile_label_set *set = &profile->label_sets[t->label_set];
	for (uint32_t i = 0; i < set->count; i++) {
		const struct profile_label *label = &profile->labels[set->first + i];
		if (!strcmp(profile_string(profile, label->key), key))
			return profile_string(profile, label->value);
	}
	return NULL;
}

const char *profile_thread_comm(const struct profile *profile, uint32_t thread)
{
	char scratch[PROFILE_LABEL_SCRATCH_BYTES];
	const char *comm = profile_thread_label(profile, thread, "comm", scratch);
	if (!comm || !comm[0])
		comm = profile_thread_label(profile, thread, "thread", scratch);
	return comm ? comm : "[unknown]";
}

bool profile_is_wait_label(const char *key)
{
	return !strcmp(key, "reason") || !strcmp(key, "waits_on") || !strcmp(key, "idle");
}

const char *profile_wait_label(const struct profile *profile, uint32_t wait, const char *key)
{
	const struct profile_wait *entry = &profile->waits[wait];
	const char *value = NULL;
	if (!strcmp(key, "reason"))
		value = wait || profile->type != PROFILE_WALL ? wait_reason_name(entry->reason)
							      : WAIT_REASON_RUNNING;
	else if (!strcmp(key, "waits_on"))
		value = profile_string(profile, entry->waits_on);
	else if (!strcmp(key, "idle") && entry->is_idle)
		value = "true";
	return value && *value ? value : NULL;
}
