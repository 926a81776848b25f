#include "profile/profile.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/hash.h"
#include "base/sat.h"

#define MAX_STRING_BYTES ((size_t)1 << 30)

static const char *const type_names[] = {
	[PROFILE_CPU] = "cpu",
	[PROFILE_OFFCPU] = "offcpu",
	[PROFILE_WALL] = "wall",
};

const char *profile_type_name(enum profile_type type)
{
	return (size_t)type < ARRAY_LEN(type_names) ? type_names[type] : NULL;
}

int profile_type_parse(const char *text, enum profile_type *type, struct err *err)
{
	for (size_t i = PROFILE_CPU; i < ARRAY_LEN(type_names); i++) {
		if (!strcmp(text, type_names[i])) {
			*type = (enum profile_type)i;
			return 0;
		}
	}
	return err_set(err, -EINVAL, "no profile type \"%.64s\": use cpu, offcpu or wall", text);
}

static void init_indexes(struct profile *profile)
{
	index_init(&profile->mapping_index, PROFILE_MAX_ENTRIES);
	index_init(&profile->function_index, PROFILE_MAX_ENTRIES);
	index_init(&profile->location_index, PROFILE_MAX_ENTRIES);
	index_init(&profile->stack_index, PROFILE_MAX_ENTRIES);
	index_init(&profile->label_set_index, PROFILE_MAX_ENTRIES);
	index_init(&profile->thread_index, PROFILE_MAX_ENTRIES);
	index_init(&profile->wait_index, PROFILE_MAX_ENTRIES);
	index_init(&profile->sample_index, PROFILE_MAX_ENTRIES);
}

/* The empty stack is no (parent, location), so that no lookup ever finds it. */
static int add_empty_stack(struct profile *profile)
{
	int rc = ARRAY_RESERVE(profile->stacks, profile->stack_cap, 0, PROFILE_MAX_ENTRIES);
	if (rc)
		return rc;
	profile->stacks[profile->stack_count++] = (struct profile_stack){0};
	return 0;
}

/* Entry 0 of every table. */
static int add_empty_entries(struct profile *profile)
{
	uint32_t id;
	int rc = profile_add_mapping(profile, &(struct profile_mapping){0}, &id);
	if (!rc)
		rc = profile_add_function(profile, &(struct profile_function){0}, &id);
	if (!rc)
		rc = profile_add_location(profile, &(struct profile_location){0}, NULL, 0, &id);
	if (!rc)
		rc = add_empty_stack(profile);
	if (!rc)
		rc = profile_add_label_set(profile, NULL, 0, &id);
	if (!rc)
		rc = profile_add_thread(profile, &(struct profile_thread){0}, &id);
	if (!rc)
		rc = profile_add_wait(profile, &(struct profile_wait){0}, &id);
	return rc;
}

int profile_new(struct profile **out, enum profile_type type)
{
	AUTO(profile) profile = calloc(1, sizeof(*profile));
	if (!profile)
		return -ENOMEM;
	profile->type = type;
	init_indexes(profile);
	int rc = strtab_init(&profile->strings, PROFILE_MAX_ENTRIES, MAX_STRING_BYTES);
	if (!rc)
		rc = add_empty_entries(profile);
	if (!rc)
		rc = profile_add_string(profile, "nanoseconds", &profile->unit);
	const char *name = profile_type_name(type);
	if (!rc && name)
		rc = profile_add_string(profile, name, &profile->type_text);
	if (rc)
		return rc;
	*out = TAKE(profile);
	return 0;
}

void profile_free(struct profile *profile)
{
	if (!profile)
		return;
	index_fini(&profile->mapping_index);
	index_fini(&profile->function_index);
	index_fini(&profile->location_index);
	index_fini(&profile->stack_index);
	index_fini(&profile->label_set_index);
	index_fini(&profile->thread_index);
	index_fini(&profile->wait_index);
	index_fini(&profile->sample_index);
	strtab_fini(&profile->strings);
	free(profile->mappings);
	free(profile->functions);
	free(profile->lines);
	free(profile->locations);
	free(profile->stacks);
	free(profile->labels);
	free(profile->label_sets);
	free(profile->threads);
	free(profile->waits);
	free(profile->samples);
	free(profile);
}

int profile_add_string(struct profile *profile, const char *text, uint32_t *id)
{
	return strtab_add(&profile->strings, text, id);
}

static bool has_string(const struct profile *profile, uint32_t id)
{
	return id < profile->strings.count;
}

static bool same_mapping(const void *ctx, uint32_t position, const void *key)
{
	const struct profile_mapping *have = &((const struct profile *)ctx)->mappings[position];
	const struct profile_mapping *want = key;
	return have->start_vaddr == want->start_vaddr && have->limit_vaddr == want->limit_vaddr &&
	       have->file_off == want->file_off && have->filename == want->filename &&
	       have->build_id == want->build_id;
}

int profile_add_mapping(struct profile *profile, const struct profile_mapping *mapping,
			uint32_t *id)
{
	if (!has_string(profile, mapping->filename) || !has_string(profile, mapping->build_id))
		return -EINVAL;
	uint64_t hash = hash_mix(mapping->start_vaddr, mapping->limit_vaddr);
	hash = hash_mix(hash, mapping->file_off);
	hash = hash_mix(hash, (uint64_t)mapping->filename << 32 | mapping->build_id);
	uint32_t found = index_find(&profile->mapping_index, hash, same_mapping, profile, mapping);
	if (found != INDEX_NONE) {
		*id = found;
		return 0;
	}
	uint32_t count = (uint32_t)profile->mapping_count;
	int rc = ARRAY_RESERVE(profile->mappings, profile->mapping_cap, count, PROFILE_MAX_ENTRIES);
	if (!rc)
		rc = index_add(&profile->mapping_index, hash, count);
	if (rc)
		return rc;
	profile->mappings[profile->mapping_count++] = *mapping;
	*id = count;
	return 0;
}

static bool same_function(const void *ctx, uint32_t position, const void *key)
{
	const struct profile_function *have = &((const struct profile *)ctx)->functions[position];
	const struct profile_function *want = key;
	return have->name == want->name && have->system_name == want->system_name &&
	       have->filename == want->filename && have->start_line == want->start_line;
}

int profile_add_function(struct profile *profile, const struct profile_function *function,
			 uint32_t *id)
{
	if (!has_string(profile, function->name) || !has_string(profile, function->system_name) ||
	    !has_string(profile, function->filename))
		return -EINVAL;
	uint64_t hash = hash_mix(function->name, function->system_name);
	hash = hash_mix(hash, (uint64_t)function->filename << 32 | function->start_line);
	uint32_t found =
		index_find(&profile->function_index, hash, same_function, profile, function);
	if (found != INDEX_NONE) {
		*id = found;
		return 0;
	}
	uint32_t count = (uint32_t)profile->function_count;
	int rc = ARRAY_RESERVE(profile->functions, profile->function_cap, count,
			       PROFILE_MAX_ENTRIES);
	if (!rc)
		rc = index_add(&profile->function_index, hash, count);
	if (rc)
		return rc;
	profile->functions[profile->function_count++] = *function;
	*id = count;
	return 0;
}

struct location_key {
	uint32_t mapping;
	uint64_t vaddr;
	bool by_lines;
	const struct profile_line *lines;
	uint32_t line_count;
};

/* An address in a file means the same code for ever; one in JIT memory or in no mapping may
 * be another function in another process, and one in the kernel another one later, as modules and
 * BPF programs come and go. */
static bool address_is_identity(const struct profile *profile,
				const struct profile_location *location)
{
	const char *filename =
		profile_string(profile, profile->mappings[location->mapping].filename);
	return location->vaddr && location->mapping && strcmp(filename, "[jit]") != 0 &&
	       strcmp(filename, "[kernel.kallsyms]") != 0;
}

static bool same_lines(const struct profile_line *a, const struct profile_line *b, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		if (a[i].function != b[i].function || a[i].line != b[i].line ||
		    a[i].column != b[i].column)
			return false;
	return true;
}

static bool same_location(const void *ctx, uint32_t position, const void *key)
{
	const struct profile *profile = ctx;
	const struct location_key *want = key;
	const struct profile_location *have = &profile->locations[position];
	if (have->mapping != want->mapping || have->vaddr != want->vaddr)
		return false;
	if (!want->by_lines)
		return true;
	return have->line_count == want->line_count &&
	       (!want->line_count ||
		same_lines(profile->lines + have->first_line, want->lines, want->line_count));
}

static uint64_t hash_location(const struct location_key *key)
{
	uint64_t hash = hash_mix(key->mapping, key->vaddr);
	for (uint32_t i = 0; key->by_lines && i < key->line_count; i++) {
		const struct profile_line *line = &key->lines[i];
		hash = hash_mix(hash, (uint64_t)line->function << 32 | line->line);
		hash = hash_mix(hash, line->column);
	}
	return hash;
}

static int add_lines(struct profile *profile, const struct profile_line *lines, uint32_t line_count)
{
	size_t count = profile->line_count;
	for (uint32_t i = 0; i < line_count; i++, count++) {
		int rc = ARRAY_RESERVE(profile->lines, profile->line_cap, count,
				       PROFILE_MAX_ENTRIES);
		if (rc)
			return rc;
		profile->lines[count] = lines[i];
	}
	profile->line_count = count;
	return 0;
}

static int name_location(struct profile *profile, struct profile_location *location,
			 const struct profile_line *lines, uint32_t line_count)
{
	uint32_t first_line = (uint32_t)profile->line_count;
	int rc = add_lines(profile, lines, line_count);
	if (rc)
		return rc;
	location->first_line = first_line;
	location->line_count = line_count;
	return 0;
}

int profile_add_location(struct profile *profile, const struct profile_location *location,
			 const struct profile_line *lines, uint32_t line_count, uint32_t *id)
{
	if (location->mapping >= profile->mapping_count)
		return -EINVAL;
	for (uint32_t i = 0; i < line_count; i++)
		if (lines[i].function >= profile->function_count)
			return -EINVAL;
	struct location_key key = {location->mapping, location->vaddr,
				   !address_is_identity(profile, location), lines, line_count};
	uint64_t hash = hash_location(&key);
	uint32_t found = index_find(&profile->location_index, hash, same_location, profile, &key);
	if (found != INDEX_NONE) {
		struct profile_location *have = &profile->locations[found];
		if (line_count && !have->line_count) {
			int rc = name_location(profile, have, lines, line_count);
			if (rc)
				return rc;
			have->is_folded = location->is_folded;
		}
		*id = found;
		return 0;
	}
	uint32_t count = (uint32_t)profile->location_count;
	struct profile_location added = *location;
	int rc = ARRAY_RESERVE(profile->locations, profile->location_cap, count,
			       PROFILE_MAX_ENTRIES);
	if (!rc)
		rc = name_location(profile, &added, lines, line_count);
	if (!rc)
		rc = index_add(&profile->location_index, hash, count);
	if (rc)
		return rc;
	profile->locations[profile->location_count++] = added;
	*id = count;
	return 0;
}

int profile_set_lines(struct profile *profile, uint32_t location, const struct profile_line *lines,
		      uint32_t line_count, bool is_folded)
{
	if (location >= profile->location_count)
		return -EINVAL;
	struct profile_location *have = &profile->locations[location];
	if (!address_is_identity(profile, have))
		return -EINVAL;
	for (uint32_t i = 0; i < line_count; i++)
		if (lines[i].function >= profile->function_count)
			return -EINVAL;
	int rc = name_location(profile, have, lines, line_count);
	if (!rc)
		have->is_folded = is_folded;
	return rc;
}

int profile_add_named_location(struct profile *profile, const char *name, uint32_t *id)
{
	struct profile_function function = {0};
	struct profile_line line = {0};
	int rc = profile_add_string(profile, name, &function.name);
	if (rc)
		return rc;
	function.system_name = function.name;
	rc = profile_add_function(profile, &function, &line.function);
	if (rc)
		return rc;
	return profile_add_location(profile, &(struct profile_location){0}, &line, 1, id);
}

static bool same_stack(const void *ctx, uint32_t position, const void *key)
{
	const struct profile_stack *have = &((const struct profile *)ctx)->stacks[position];
	const struct profile_stack *want = key;
	return have->parent == want->parent && have->location == want->location;
}

int profile_add_stack(struct profile *profile, uint32_t parent, uint32_t location, uint32_t *id)
{
	if (parent >= profile->stack_count || !location || location >= profile->location_count)
		return -EINVAL;
	struct profile_stack stack = {parent, location};
	uint64_t hash = hash_u64((uint64_t)parent << 32 | location);
	uint32_t found = index_find(&profile->stack_index, hash, same_stack, profile, &stack);
	if (found != INDEX_NONE) {
		*id = found;
		return 0;
	}
	uint32_t count = (uint32_t)profile->stack_count;
	int rc = ARRAY_RESERVE(profile->stacks, profile->stack_cap, count, PROFILE_MAX_ENTRIES);
	if (!rc)
		rc = index_add(&profile->stack_index, hash, count);
	if (rc)
		return rc;
	profile->stacks[profile->stack_count++] = stack;
	*id = count;
	return 0;
}

static bool same_thread(const void *ctx, uint32_t position, const void *key)
{
	const struct profile_thread *have = &((const struct profile *)ctx)->threads[position];
	const struct profile_thread *want = key;
	return have->pid == want->pid && have->tid == want->tid && have->name == want->name &&
	       have->label_set == want->label_set;
}

int profile_add_thread(struct profile *profile, const struct profile_thread *thread, uint32_t *id)
{
	if (!has_string(profile, thread->name) || thread->label_set >= profile->label_set_count)
		return -EINVAL;
	uint64_t hash = hash_mix((uint64_t)thread->pid << 32 | thread->tid,
				 (uint64_t)thread->name << 32 | thread->label_set);
	uint32_t found = index_find(&profile->thread_index, hash, same_thread, profile, thread);
	if (found != INDEX_NONE) {
		*id = found;
		return 0;
	}
	uint32_t count = (uint32_t)profile->thread_count;
	int rc = ARRAY_RESERVE(profile->threads, profile->thread_cap, count, PROFILE_MAX_ENTRIES);
	if (!rc)
		rc = index_add(&profile->thread_index, hash, count);
	if (rc)
		return rc;
	profile->threads[profile->thread_count++] = *thread;
	*id = count;
	return 0;
}

static bool same_wait(const void *ctx, uint32_t position, const void *key)
{
	const struct profile_wait *have = &((const struct profile *)ctx)->waits[position];
	const struct profile_wait *want = key;
	return have->reason == want->reason && have->waits_on == want->waits_on &&
	       have->is_idle == want->is_idle;
}

int profile_add_wait(struct profile *profile, const struct profile_wait *wait, uint32_t *id)
{
	bool is_empty = !wait->waits_on && !wait->is_idle;
	if (!has_string(profile, wait->waits_on) || wait->reason >= WAIT_REASONS ||
	    (wait->reason == WAIT_NONE && !is_empty))
		return -EINVAL;
	uint64_t hash = hash_mix((uint64_t)wait->reason << 32 | wait->waits_on, wait->is_idle);
	uint32_t found = index_find(&profile->wait_index, hash, same_wait, profile, wait);
	if (found != INDEX_NONE) {
		*id = found;
		return 0;
	}
	uint32_t count = (uint32_t)profile->wait_count;
	int rc = ARRAY_RESERVE(profile->waits, profile->wait_cap, count, PROFILE_MAX_ENTRIES);
	if (!rc)
		rc = index_add(&profile->wait_index, hash, count);
	if (rc)
		return rc;
	profile->waits[profile->wait_count++] = *wait;
	*id = count;
	return 0;
}

int profile_add_sample(struct profile *profile, const struct profile_sample *sample)
{
	if (sample->stack >= profile->stack_count || sample->thread >= profile->thread_count ||
	    sample->wait >= profile->wait_count)
		return -EINVAL;
	int rc = ARRAY_RESERVE(profile->samples, profile->sample_cap, profile->sample_count,
			       PROFILE_MAX_ENTRIES);
	if (!rc)
		profile->samples[profile->sample_count++] = *sample;
	return rc;
}

int64_t profile_total_weight(const struct profile *profile)
{
	int64_t total = 0;
	for (size_t i = 0; i < profile->sample_count; i++)
		total = sat_add_i64(total, profile->samples[i].weight);
	return total;
}

uint64_t profile_total_count(const struct profile *profile)
{
	uint64_t total = 0;
	for (size_t i = 0; i < profile->sample_count; i++)
		total = sat_add_u64(total, profile->samples[i].count);
	return total;
}
