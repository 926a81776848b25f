/*
 * profile_maker: profiles for tests, made in a line; a failure to make one ends the test.
 *
 * Header only, included by tests that have included cmocka.h.
 */
#pragma once
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "profile/profile.h"

#define MAKER_UNUSED __attribute__((unused))

MAKER_UNUSED static uint32_t maker_string(struct profile *profile, const char *text)
{
	uint32_t id = 0;
	assert_int_equal(profile_add_string(profile, text, &id), 0);
	return id;
}

MAKER_UNUSED static uint32_t maker_function(struct profile *profile, const char *name)
{
	struct profile_function function = {.name = maker_string(profile, name)};
	function.system_name = function.name;
	uint32_t id = 0;
	assert_int_equal(profile_add_function(profile, &function, &id), 0);
	return id;
}

/* filename NULL: no mapping. name NULL: not symbolized. inlined NULL: nothing is inlined. */
MAKER_UNUSED static uint32_t maker_location(struct profile *profile, const char *filename,
					    uint64_t vaddr, const char *name, const char *inlined)
{
	struct profile_location location = {.vaddr = vaddr};
	struct profile_mapping mapping = {.limit_vaddr = 0x100000};
	struct profile_line lines[2] = {0};
	uint32_t line_count = 0, id = 0;
	if (filename) {
		mapping.filename = maker_string(profile, filename);
		assert_int_equal(profile_add_mapping(profile, &mapping, &location.mapping), 0);
	}
	if (inlined)
		lines[line_count++] = (struct profile_line){
			.function = maker_function(profile, inlined), .line = 3};
	if (name)
		lines[line_count++] =
			(struct profile_line){.function = maker_function(profile, name), .line = 5};
	assert_int_equal(profile_add_location(profile, &location, lines, line_count, &id), 0);
	return id;
}

/* The thread tid of process pid with a label comm. */
MAKER_UNUSED static uint32_t maker_thread(struct profile *profile, uint32_t pid, uint32_t tid,
					  const char *name, const char *comm)
{
	struct profile_label label = {maker_string(profile, "comm"), maker_string(profile, comm)};
	struct profile_thread thread = {pid, tid, maker_string(profile, name), 0};
	uint32_t id = 0;
	assert_int_equal(profile_add_label_set(profile, &label, 1, &thread.label_set), 0);
	assert_int_equal(profile_add_thread(profile, &thread, &id), 0);
	return id;
}

/* A stack of names, root first, joined by ';'. Functions of /bin/x; "k:f" is the kernel's,
 * "j:f" is JIT code, "a>b" is b inlined into a, "?1f" is address 0x1f of /bin/x without a
 * name, "[...]" is a mark. */
MAKER_UNUSED static uint32_t maker_stack(struct profile *profile, const char *path)
{
	AUTO_MEM char *copy = strdup(path);
	uint32_t stack = 0;
	char *save = NULL;
	for (char *name = strtok_r(copy, ";", &save); name; name = strtok_r(NULL, ";", &save)) {
		uint32_t location = 0;
		char *inlined = strchr(name, '>');
		if (inlined)
			*inlined++ = '\0';
		if (name[0] == '[')
			assert_int_equal(profile_add_named_location(profile, name, &location), 0);
		else if (name[0] == '?')
			location = maker_location(profile, "/bin/x", strtoull(name + 1, NULL, 16),
						  NULL, NULL);
		else if (!strncmp(name, "k:", 2))
			location =
				maker_location(profile, "[kernel.kallsyms]", 0, name + 2, inlined);
		else if (!strncmp(name, "j:", 2))
			location = maker_location(profile, "[jit]", 0, name + 2, inlined);
		else
			location = maker_location(profile, "/bin/x", 0, name, inlined);
		assert_int_equal(profile_add_stack(profile, stack, location, &stack), 0);
	}
	return stack;
}

/* One observation by thread tid of process 1, on the stack of that path (maker_stack). */
MAKER_UNUSED static void maker_sample(struct profile *profile, const char *comm, uint32_t tid,
				      const char *path, int64_t weight)
{
	struct profile_sample sample = {
		.time_unix_ns = 1000,
		.weight = weight,
		.count = 1,
		.stack = maker_stack(profile, path),
		.thread = maker_thread(profile, 1, tid, comm, comm),
	};
	assert_int_equal(profile_add_sample(profile, &sample), 0);
}

MAKER_UNUSED static uint32_t maker_wait(struct profile *profile, enum wait_reason reason,
					const char *waits_on, bool is_idle)
{
	struct profile_wait wait = {reason, maker_string(profile, waits_on), is_idle};
	uint32_t id = 0;
	assert_int_equal(profile_add_wait(profile, &wait, &id), 0);
	return id;
}

/* The same of a thread that waited. */
MAKER_UNUSED static void maker_waiting(struct profile *profile, const char *comm, uint32_t tid,
				       const char *path, uint32_t wait, int64_t weight)
{
	maker_sample(profile, comm, tid, path, weight);
	profile->samples[profile->sample_count - 1].wait = wait;
}

/* A number per round; the environment's SEED is the first. Printed, so that a failure can be
 * had again. */
MAKER_UNUSED static unsigned maker_seed(unsigned round)
{
	const char *given = getenv("SEED");
	unsigned seed = (given ? (unsigned)strtoul(given, NULL, 10) : 20240601U) + round;
	print_message("seed %u\n", seed);
	return seed;
}

static inline uint32_t maker_roll(unsigned *seed, uint32_t sides)
{
	return (uint32_t)rand_r(seed) % sides;
}

/* Random walks over few functions, so that recursion and shared prefixes are common. */
MAKER_UNUSED static struct profile *maker_random(unsigned *seed, uint32_t samples)
{
	static const char *const names[] = {"main", "f",   "g",      "h",           "k:sys",
					    "j:js", "f>g", "g>main", "[truncated]", "?1f"};
	struct profile *profile = NULL;
	assert_int_equal(profile_new(&profile, PROFILE_CPU), 0);
	for (uint32_t i = 0; i < samples; i++) {
		char path[256] = "main";
		for (uint32_t depth = maker_roll(seed, 9); depth; depth--) {
			size_t len = strlen(path);
			snprintf(path + len, sizeof(path) - len, ";%s",
				 names[maker_roll(seed, 10)]);
		}
		maker_sample(profile, maker_roll(seed, 2) ? "cc1" : "ld", 1 + maker_roll(seed, 3),
			     path, 1 + maker_roll(seed, 1000));
	}
	return profile;
}

/* Gives samples random waits, one in four none. */
MAKER_UNUSED static void maker_add_waits(unsigned *seed, struct profile *profile)
{
	static const char *const targets[] = {"", "futex 0x10", "tcp 10.0.0.2:1 -> 10.0.0.7:5432"};
	for (size_t i = 0; i < profile->sample_count; i++) {
		enum wait_reason reason = (enum wait_reason)(1 + maker_roll(seed, WAIT_OTHER));
		const char *waits_on = targets[maker_roll(seed, 3)];
		if (maker_roll(seed, 4))
			profile->samples[i].wait =
				maker_wait(profile, reason, waits_on, maker_roll(seed, 2));
	}
}

static inline int maker_compare_lines(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static inline void maker_dump_stack(struct buf *out, const struct profile *profile, uint32_t stack)
{
	for (; stack; stack = profile->stacks[stack].parent) {
		const struct profile_location *loc =
			&profile->locations[profile->stacks[stack].location];
		buf_printf(out, " %s@%llx",
			   profile_string(profile, profile->mappings[loc->mapping].filename),
			   (unsigned long long)loc->vaddr);
		for (uint32_t i = 0; i < loc->line_count; i++) {
			const struct profile_line *line = &profile->lines[loc->first_line + i];
			const struct profile_function *f = &profile->functions[line->function];
			buf_printf(out, ":%s:%u", profile_string(profile, f->name), line->line);
		}
	}
}

/* All samples in words, sorted: equal for equal content, whatever the ids. */
MAKER_UNUSED static char *maker_dump(const struct profile *profile)
{
	AUTO_MEM char **lines = calloc(profile->sample_count + 1, sizeof(*lines));
	for (size_t i = 0; i < profile->sample_count; i++) {
		const struct profile_sample *s = &profile->samples[i];
		const struct profile_thread *t = &profile->threads[s->thread];
		const struct profile_label_set *set = &profile->label_sets[t->label_set];
		struct buf line;
		buf_init(&line, 1 << 20);
		buf_printf(&line, "%u/%u/%s", t->pid, t->tid, profile_string(profile, t->name));
		for (uint32_t j = 0; j < set->count; j++) {
			const struct profile_label *label = &profile->labels[set->first + j];
			buf_printf(&line, " %s=%s", profile_string(profile, label->key),
				   profile_string(profile, label->value));
		}
		maker_dump_stack(&line, profile, s->stack);
		const struct profile_wait *wait = &profile->waits[s->wait];
		buf_printf(&line, " wait %s/%s/%d weight %lld count %llu\n",
			   wait_reason_name(wait->reason), profile_string(profile, wait->waits_on),
			   wait->is_idle, (long long)s->weight, (unsigned long long)s->count);
		lines[i] = buf_take_str(&line);
	}
	qsort(lines, profile->sample_count, sizeof(*lines), maker_compare_lines);
	struct buf all;
	buf_init(&all, 1 << 28);
	for (size_t i = 0; i < profile->sample_count; i++) {
		buf_append_str(&all, lines[i]);
		free(lines[i]);
	}
	return buf_take_str(&all);
}
