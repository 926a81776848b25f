#include "storage/translate.h"

#include <errno.h>
#include <stdlib.h>

#include "base/array.h"

int translation_init(struct translation *t, const struct profile *from, struct profile *into)
{
	*t = (struct translation){.from = from, .into = into};
	t->strings = calloc(from->strings.count, sizeof(uint32_t));
	t->mappings = calloc(from->mapping_count, sizeof(uint32_t));
	t->functions = calloc(from->function_count, sizeof(uint32_t));
	t->locations = calloc(from->location_count, sizeof(uint32_t));
	t->stacks = calloc(from->stack_count, sizeof(uint32_t));
	t->label_sets = calloc(from->label_set_count, sizeof(uint32_t));
	t->threads = calloc(from->thread_count, sizeof(uint32_t));
	t->waits = calloc(from->wait_count, sizeof(uint32_t));
	if (t->strings && t->mappings && t->functions && t->locations && t->stacks &&
	    t->label_sets && t->threads && t->waits)
		return 0;
	translation_fini(t);
	return -ENOMEM;
}

void translation_fini(struct translation *t)
{
	free(t->strings);
	free(t->mappings);
	free(t->functions);
	free(t->locations);
	free(t->stacks);
	free(t->label_sets);
	free(t->threads);
	free(t->waits);
	free(t->path);
	free(t->lines);
	*t = (struct translation){0};
}

static int translate_string(struct translation *t, uint32_t from, uint32_t *into)
{
	uint32_t *memo = &t->strings[from];
	int rc = from && !*memo ? profile_add_string(t->into, profile_string(t->from, from), memo)
				: 0;
	*into = *memo;
	return rc;
}

static int translate_mapping(struct translation *t, uint32_t from, uint32_t *into)
{
	uint32_t *memo = &t->mappings[from];
	if (from && !*memo) {
		struct profile_mapping mapping = t->from->mappings[from];
		int rc = translate_string(t, mapping.filename, &mapping.filename);
		if (!rc)
			rc = translate_string(t, mapping.build_id, &mapping.build_id);
		if (!rc)
			rc = profile_add_mapping(t->into, &mapping, memo);
		if (rc)
			return rc;
	}
	*into = *memo;
	return 0;
}

static int translate_function(struct translation *t, uint32_t from, uint32_t *into)
{
	uint32_t *memo = &t->functions[from];
	if (from && !*memo) {
		struct profile_function function = t->from->functions[from];
		int rc = translate_string(t, function.name, &function.name);
		if (!rc)
			rc = translate_string(t, function.system_name, &function.system_name);
		if (!rc)
			rc = translate_string(t, function.filename, &function.filename);
		if (!rc)
			rc = profile_add_function(t->into, &function, memo);
		if (rc)
			return rc;
	}
	*into = *memo;
	return 0;
}

/* The lines of a location, translated, in t->lines. */
static int translate_lines(struct translation *t, const struct profile_location *location)
{
	for (uint32_t i = 0; i < location->line_count; i++) {
		int rc = ARRAY_RESERVE(t->lines, t->line_cap, i, PROFILE_MAX_ENTRIES);
		if (rc)
			return rc;
		t->lines[i] = t->from->lines[location->first_line + i];
		rc = translate_function(t, t->lines[i].function, &t->lines[i].function);
		if (rc)
			return rc;
	}
	return 0;
}

static int translate_location(struct translation *t, uint32_t from, uint32_t *into)
{
	uint32_t *memo = &t->locations[from];
	if (from && !*memo) {
		struct profile_location location = t->from->locations[from];
		int rc = translate_lines(t, &location);
		if (!rc)
			rc = translate_mapping(t, location.mapping, &location.mapping);
		if (!rc)
			rc = profile_add_location(t->into, &location, t->lines, location.line_count,
						  memo);
		if (rc)
			return rc;
	}
	*into = *memo;
	return 0;
}

int translate_stack(struct translation *t, uint32_t from, uint32_t *into)
{
	/* Up to the first caller that is known, then down again. */
	size_t depth = 0;
	uint32_t at = from;
	for (; at && !t->stacks[at]; at = t->from->stacks[at].parent) {
		int rc = ARRAY_RESERVE(t->path, t->path_cap, depth, PROFILE_MAX_ENTRIES);
		if (rc)
			return rc;
		t->path[depth++] = at;
	}
	uint32_t parent = t->stacks[at];
	while (depth) {
		uint32_t id = t->path[--depth];
		uint32_t location;
		int rc = translate_location(t, t->from->stacks[id].location, &location);
		if (!rc)
			rc = profile_add_stack(t->into, parent, location, &t->stacks[id]);
		if (rc)
			return rc;
		parent = t->stacks[id];
	}
	*into = parent;
	return 0;
}

/* Labels are few: no scratch memory but the stack. */
enum { MAX_LABELS = 4096 };

static int add_label_set(struct translation *t, const struct profile_label_set *set, uint32_t *memo)
{
	struct profile_label labels[MAX_LABELS];
	if (set->count > MAX_LABELS)
		return -ENOSPC;
	for (uint32_t i = 0; i < set->count; i++) {
		const struct profile_label *label = &t->from->labels[set->first + i];
		int rc = translate_string(t, label->key, &labels[i].key);
		if (!rc)
			rc = translate_string(t, label->value, &labels[i].value);
		if (rc)
			return rc;
	}
	return profile_add_label_set(t->into, labels, set->count, memo);
}

int translate_label_set(struct translation *t, uint32_t from, uint32_t *into)
{
	uint32_t *memo = &t->label_sets[from];
	if (from && !*memo) {
		int rc = add_label_set(t, &t->from->label_sets[from], memo);
		if (rc)
			return rc;
	}
	*into = *memo;
	return 0;
}

int translate_thread(struct translation *t, uint32_t from, uint32_t *into)
{
	uint32_t *memo = &t->threads[from];
	if (from && !*memo) {
		struct profile_thread thread = t->from->threads[from];
		int rc = translate_string(t, thread.name, &thread.name);
		if (!rc)
			rc = translate_label_set(t, thread.label_set, &thread.label_set);
		if (!rc)
			rc = profile_add_thread(t->into, &thread, memo);
		if (rc)
			return rc;
	}
	*into = *memo;
	return 0;
}

int translate_wait(struct translation *t, uint32_t from, uint32_t *into)
{
	uint32_t *memo = &t->waits[from];
	if (from && !*memo) {
		struct profile_wait wait = t->from->waits[from];
		int rc = translate_string(t, wait.waits_on, &wait.waits_on);
		if (!rc)
			rc = profile_add_wait(t->into, &wait, memo);
		if (rc)
			return rc;
	}
	*into = *memo;
	return 0;
}
