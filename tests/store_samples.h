/*
 * store_samples: batches of samples with a known meaning, and the naive sums to compare with.
 *
 * Stack N ends in the leaf function "leaf_N", thread N has tid 1000 + N; so a query's result
 * can be told back to numbers without trusting any table.
 */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "profile/profile.h"
#include "storage/store.h"

enum { STACKS = 300, THREADS = 24, MAX_DEPTH = 24 };

struct known_sample {
	int64_t time_unix_ns;
	enum profile_type type;
	uint32_t stack, thread, wait; /* wait: number, 0 for none */
	int64_t weight;
};

/* xorshift64: the same numbers for the same seed, everywhere. */
static inline uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static inline uint32_t stack_depth(uint32_t stack)
{
	return 2 + stack % (MAX_DEPTH - 2);
}

/* Name of the frame at a depth (0: outermost); many stacks share outer frames. */
static inline void frame_name(uint32_t stack, uint32_t depth, char name[static 32])
{
	if (depth + 1 == stack_depth(stack))
		snprintf(name, 32, "leaf_%u", stack);
	else
		snprintf(name, 32, "f%u_%u", depth, stack % (depth + 1));
}

static inline uint32_t add_known_stack(struct profile *profile, uint32_t stack)
{
	uint32_t parent = 0;
	for (uint32_t depth = 0; depth < stack_depth(stack); depth++) {
		char name[32];
		struct profile_function function = {.start_line = depth};
		struct profile_mapping mapping = {.start_vaddr = 0x1000, .limit_vaddr = 1 << 20};
		struct profile_line line = {.line = depth + 1};
		struct profile_location location = {0};
		uint32_t id;
		frame_name(stack, depth, name);
		assert_int_equal(profile_add_string(profile, name, &function.name), 0);
		function.system_name = function.name;
		assert_int_equal(profile_add_function(profile, &function, &line.function), 0);
		assert_int_equal(profile_add_string(profile, "/bin/app", &mapping.filename), 0);
		assert_int_equal(profile_add_mapping(profile, &mapping, &location.mapping), 0);
		/* kernel-like addresses: the top bit set */
		location.vaddr =
			UINT64_C(0xffffffff80000000) + 64 * (stack % (depth + 1)) + 0x10000 * depth;
		if (!strncmp(name, "leaf_", 5))
			location.vaddr = 0x100000 + stack;
		assert_int_equal(profile_add_location(profile, &location, &line, 1, &id), 0);
		assert_int_equal(profile_add_stack(profile, parent, id, &parent), 0);
	}
	return parent;
}

static inline const char *thread_service(uint32_t thread)
{
	return thread % 6 == 0 ? NULL : thread % 2 ? "api" : "db";
}

static inline uint32_t add_known_thread(struct profile *profile, uint32_t thread)
{
	struct profile_label labels[2];
	struct profile_thread added = {.pid = 100 + thread / 4, .tid = 1000 + thread};
	char text[32];
	uint32_t id;
	snprintf(text, sizeof(text), "worker-%u", thread);
	assert_int_equal(profile_add_string(profile, text, &added.name), 0);
	assert_int_equal(profile_add_string(profile, "comm", &labels[0].key), 0);
	snprintf(text, sizeof(text), "comm%u", thread % 5);
	assert_int_equal(profile_add_string(profile, text, &labels[0].value), 0);
	const char *service = thread_service(thread);
	if (service) {
		assert_int_equal(profile_add_string(profile, "service_name", &labels[1].key), 0);
		assert_int_equal(profile_add_string(profile, service, &labels[1].value), 0);
	}
	int rc = profile_add_label_set(profile, labels, service ? 2 : 1, &added.label_set);
	assert_int_equal(rc, 0);
	assert_int_equal(profile_add_thread(profile, &added, &id), 0);
	return id;
}

/* Wait N > 0; its string says N. */
enum { WAITS = 9, IDLE_WAIT = 7 };

static inline enum wait_reason known_reason(uint32_t wait)
{
	static const enum wait_reason reasons[WAITS] = {WAIT_NONE,    WAIT_LOCK, WAIT_LOCK,
							WAIT_NETWORK, WAIT_DISK, WAIT_NETWORK,
							WAIT_SLEEP,   WAIT_LOCK, WAIT_RUN_QUEUE};
	return reasons[wait];
}

static inline uint32_t add_known_wait(struct profile *profile, uint32_t wait)
{
	struct profile_wait added = {.reason = known_reason(wait), .is_idle = wait == IDLE_WAIT};
	char text[64];
	uint32_t id;
	snprintf(text, sizeof(text), "tcp 10.0.0.1:80 -> 10.0.0.2:%u", 5430 + wait);
	if (wait)
		assert_int_equal(profile_add_string(profile, text, &added.waits_on), 0);
	assert_int_equal(profile_add_wait(profile, &added, &id), 0);
	return id;
}

/* The number of a result's wait. */
static inline uint32_t known_wait(const struct profile *profile, uint32_t id)
{
	const struct profile_wait *wait = &profile->waits[id];
	const char *port = strrchr(profile_string(profile, wait->waits_on), ':');
	uint32_t number = port ? (uint32_t)strtoul(port + 1, NULL, 10) - 5430 : 0;
	assert_true(number < WAITS && !number == !id);
	assert_int_equal(wait->reason, known_reason(number));
	assert_int_equal(wait->is_idle, number == IDLE_WAIT);
	return number;
}

/* The samples as a batch of [start, start + duration). */
static inline struct profile *make_batch(enum profile_type type, int64_t start_unix_ns,
					 int64_t duration_ns, const struct known_sample *samples,
					 size_t count)
{
	struct profile *profile;
	assert_int_equal(profile_new(&profile, type), 0);
	profile->start_unix_ns = start_unix_ns;
	profile->duration_ns = duration_ns;
	profile->period_ns = 10101010;
	for (size_t i = 0; i < count; i++) {
		struct profile_sample sample = {
			.time_unix_ns = samples[i].time_unix_ns,
			.weight = samples[i].weight,
			.count = 1,
			.stack = add_known_stack(profile, samples[i].stack),
			.thread = add_known_thread(profile, samples[i].thread),
			.wait = add_known_wait(profile, samples[i].wait),
		};
		assert_int_equal(profile_add_sample(profile, &sample), 0);
	}
	return profile;
}

/* Random samples of one second; times are whole microseconds. */
static inline void random_samples(uint64_t *state, enum profile_type type, int64_t start_unix_ns,
				  struct known_sample *samples, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		samples[i] = (struct known_sample){
			.time_unix_ns =
				start_unix_ns + (int64_t)(next_random(state) % 1000000) * NS_PER_US,
			.type = type,
			.stack = (uint32_t)(next_random(state) % STACKS),
			.thread = (uint32_t)(next_random(state) % THREADS),
			.weight = type == PROFILE_CPU ? 10101010
						      : (int64_t)(next_random(state) % 1000000000),
			.wait = type == PROFILE_CPU
					? 0
					: 1 + (uint32_t)(next_random(state) % (WAITS - 1)),
		};
	}
}

static inline void append_samples(struct store *store, enum profile_type type,
				  int64_t start_unix_ns, const struct known_sample *samples,
				  size_t count)
{
	struct err err = {0};
	struct profile *batch = make_batch(type, start_unix_ns, NS_PER_S, samples, count);
	struct ledger delta = {.taken = count + 2, .stored = count};
	delta.dropped[DROP_RING_FULL] = 2;
	int rc = store_append(store, (const struct profile *[]){batch}, 1, &delta, &err);
	if (rc)
		print_error("%s\n", err.text);
	assert_int_equal(rc, 0);
	profile_free(batch);
}

/* The number N of a result's stack, whose every frame is checked. */
static inline uint32_t known_stack(const struct profile *profile, uint32_t stack)
{
	char names[MAX_DEPTH][32];
	uint32_t depth = 0;
	for (; stack; stack = profile->stacks[stack].parent) {
		const struct profile_location *location =
			&profile->locations[profile->stacks[stack].location];
		assert_true(depth < MAX_DEPTH);
		assert_int_equal(location->line_count, 1);
		const struct profile_line *line = &profile->lines[location->first_line];
		snprintf(names[depth++], 32, "%s",
			 profile_string(profile, profile->functions[line->function].name));
		const struct profile_mapping *mapping = &profile->mappings[location->mapping];
		assert_string_equal(profile_string(profile, mapping->filename), "/bin/app");
	}
	assert_true(depth > 0 && !strncmp(names[0], "leaf_", 5));
	uint32_t number = (uint32_t)strtoul(names[0] + 5, NULL, 10);
	assert_int_equal(depth, stack_depth(number));
	for (uint32_t i = 0; i < depth; i++) {
		char name[32];
		frame_name(number, depth - 1 - i, name);
		assert_string_equal(names[i], name);
	}
	return number;
}

/* Remove a directory of a test and all files in it. */
static inline void remove_directory(const char *directory)
{
	char command[512];
	snprintf(command, sizeof(command), "rm -rf -- '%s'", directory);
	assert_int_equal(system(command), 0);
}
