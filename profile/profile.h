/*
 * profile: a set of samples with its own tables of strings, functions, mappings, locations,
 * stacks, label sets, threads and waits. What every part of Hearth hands to the next.
 *
 * The words are pprof's (google/pprof proto/profile.proto). All tables are dense arrays, ids
 * are positions, and id 0 is the empty entry: string "", no mapping, no location, the empty
 * stack, no labels, no thread, no wait. Equal entries get one id. Stacks are a trie: a stack is
 * {parent, location}, the parent being its caller, so parent id < child id always and one
 * backward pass over the stacks adds children to parents.
 * Readers may walk the tables directly. One thread; immutable once nobody adds, then any
 * number may read.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/auto.h"
#include "base/err.h"
#include "base/index.h"
#include "base/strtab.h"
#include "profile/wait_reason.h"

/* What a weight means. Stored: append only, never renumber. */
enum profile_type {
	PROFILE_CPU = 1,    /* running on a CPU */
	PROFILE_OFFCPU = 2, /* waiting; every sample has a wait */
	PROFILE_WALL = 3,   /* both; only in queries, never in a stored sample */
};

/* "cpu", "offcpu", "wall"; NULL for another value. */
const char *profile_type_name(enum profile_type type);
/* The type of that name. -EINVAL with a sentence that lists the names. */
int profile_type_parse(const char *text, enum profile_type *type, struct err *err);

/* An executable file by build ID. Addresses of locations in it are vaddr, as in the ELF
 * file; start..limit is the executable segment, also in vaddr. */
struct profile_mapping {
	uint64_t start_vaddr;
	uint64_t limit_vaddr;
	uint64_t file_off; /* of start_vaddr */
	uint32_t filename; /* string; "[kernel.kallsyms]", "[vdso]", "[jit]" when no file */
	uint32_t build_id; /* string, lower-case hex; "" when unknown */
};

struct profile_function {
	uint32_t name;        /* string, demangled */
	uint32_t system_name; /* string, as in the symbol table */
	uint32_t filename;    /* string, source file */
	uint32_t start_line;
};

struct profile_line {
	uint32_t function;
	uint32_t line;
	uint32_t column;
};

/* lines[first_line .. first_line + line_count): innermost inlined callee first, the last one
 * is the function that really is at the address. No lines: not symbolized. */
struct profile_location {
	uint32_t mapping;
	uint32_t first_line;
	uint32_t line_count;
	bool is_folded; /* several functions share the address (ICF) */
	uint64_t vaddr;
};

struct profile_stack {
	uint32_t parent; /* the caller's stack; 0: this is the outermost frame */
	uint32_t location;
};

struct profile_label {
	uint32_t key;   /* string */
	uint32_t value; /* string */
};

/* labels[first .. first + count), sorted by the text of key, no key twice. */
struct profile_label_set {
	uint32_t first;
	uint32_t count;
};

/* A thread and what it belongs to. Its labels `pid`, `tid` and `thread` are not in the set:
 * they are these fields. */
struct profile_thread {
	uint32_t pid; /* 0 with tid 0: a sample of no particular thread (aggregates, imports) */
	uint32_t tid;
	uint32_t name;      /* string: the thread's comm */
	uint32_t label_set; /* host, service_name, comm, cgroup, ... */
};

/* What a waiting sample waited for. Its fields are the labels `reason`, `waits_on` and `idle`
 * of the sample, beside those of its thread. */
struct profile_wait {
	uint32_t reason;   /* enum wait_reason; WAIT_NONE only in the empty entry */
	uint32_t waits_on; /* string: "tcp 10.0.0.2:40112 -> 10.0.0.7:5432"; "" */
	bool is_idle;      /* parked for long, as workers without work are */
};

struct profile_sample {
	int64_t time_unix_ns; /* when taken; 0 in an aggregate. A wait covers the weight before */
	int64_t weight;       /* in the profile's unit: ns, except for imported profiles */
	uint64_t count;       /* observations it stands for; 1 when raw */
	uint32_t stack;
	uint32_t thread;
	uint32_t wait; /* of waiting samples; 0 for none */
};

struct profile {
	enum profile_type type;
	int64_t start_unix_ns;
	int64_t duration_ns;
	int64_t period_ns;  /* nominal time between samples; 0 unknown */
	uint32_t unit;      /* string: "nanoseconds"; imported profiles may have others */
	uint32_t type_text; /* string: "cpu"; what an imported profile calls its values */

	struct strtab strings;
	struct profile_mapping *mappings;
	struct profile_function *functions;
	struct profile_line *lines;
	struct profile_location *locations;
	struct profile_stack *stacks;
	struct profile_label *labels;
	struct profile_label_set *label_sets;
	struct profile_thread *threads;
	struct profile_wait *waits;
	struct profile_sample *samples;
	size_t mapping_count, function_count, line_count, location_count, stack_count;
	size_t label_count, label_set_count, thread_count, wait_count, sample_count;

	size_t mapping_cap, function_cap, line_cap, location_cap, stack_cap;
	size_t label_cap, label_set_cap, thread_cap, wait_cap, sample_cap;
	struct index mapping_index, function_index, location_index, stack_index;
	struct index label_set_index, thread_index, wait_index;
	struct index sample_index; /* of the first merged_count samples, which are distinct */
	size_t merged_count;
};

/* An empty profile. -ENOMEM. */
int profile_new(struct profile **out, enum profile_type type);
void profile_free(struct profile *profile); /* NULL is fine */
AUTO_DEFINE(profile)

#define PROFILE_MAX_ENTRIES ((size_t)1 << 28)

/* Each finds or adds an entry and writes its id. -ENOMEM; -ENOSPC at a table's ceiling
 * (PROFILE_MAX_ENTRIES, 1 GiB of strings); -EINVAL for an id in the entry that is not there. */
int profile_add_string(struct profile *profile, const char *text, uint32_t *id);
int profile_add_mapping(struct profile *profile, const struct profile_mapping *mapping,
			uint32_t *id);
int profile_add_function(struct profile *profile, const struct profile_function *function,
			 uint32_t *id);
/* A location in a file is its (mapping, vaddr): the lines given first stay, and one without
 * lines takes those that come later. Where the address does not say which code it is (vaddr 0,
 * no mapping, "[jit]", and "[kernel.kallsyms]", where modules and BPF programs come and go), the
 * lines are part of its identity. first_line and line_count of `location` are ignored. */
int profile_add_location(struct profile *profile, const struct profile_location *location,
			 const struct profile_line *lines, uint32_t line_count, uint32_t *id);
/* Give a location other lines than it has, innermost first; those it had are forgotten.
 * -EINVAL: its lines are its identity, or an id that is not there. */
int profile_set_lines(struct profile *profile, uint32_t location, const struct profile_line *lines,
		      uint32_t line_count, bool is_folded);
/* The stack of `location` called by `parent`; location 0 is -EINVAL. */
int profile_add_stack(struct profile *profile, uint32_t parent, uint32_t location, uint32_t *id);
/* labels in any order; a key given twice is -EINVAL. */
int profile_add_label_set(struct profile *profile, const struct profile_label *labels,
			  uint32_t label_count, uint32_t *id);
int profile_add_thread(struct profile *profile, const struct profile_thread *thread, uint32_t *id);
int profile_add_wait(struct profile *profile, const struct profile_wait *wait, uint32_t *id);
/* Samples are kept as they come, one entry each. Samples that are there already may not be
 * changed from outside once the profile was merged into. */
int profile_add_sample(struct profile *profile, const struct profile_sample *sample);

/* A location that is only a name, e.g. "[truncated]", in no mapping. */
int profile_add_named_location(struct profile *profile, const char *name, uint32_t *id);

/* Text of a string id; "" when it is not there. Borrowed. */
static inline const char *profile_string(const struct profile *profile, uint32_t id)
{
	return strtab_get(&profile->strings, id);
}

/* The value of a label of a thread: `pid`, `tid`, `thread`, or one of its label set. NULL
 * when it has none. Numbers are written into scratch. */
enum { PROFILE_LABEL_SCRATCH_BYTES = 16 };
const char *profile_thread_label(const struct profile *profile, uint32_t thread, const char *key,
				 char scratch[static PROFILE_LABEL_SCRATCH_BYTES]);

/* Is it one of these three, which threads have beside their label sets? */
bool profile_is_thread_field(const char *key);

/* Likewise of a wait: `reason`, `waits_on`, and `idle`, which is "true" or not there; wait 0 has
 * the reason "running" in a profile of type wall, else none. NULL for other keys, and for what
 * is empty. Borrowed. */
const char *profile_wait_label(const struct profile *profile, uint32_t wait, const char *key);
/* Is it one of these three? They belong to the wait even when a label set has the same. */
bool profile_is_wait_label(const char *key);

/* What a thread's stacks are shown under: its label `comm`, else its name, else "[unknown]". */
const char *profile_thread_comm(const struct profile *profile, uint32_t thread);

/* Sum of weights and counts of all samples; sums stop at the ends of their type. */
int64_t profile_total_weight(const struct profile *profile);
uint64_t profile_total_count(const struct profile *profile);

/* Add all of `from` to `into`: tables are united, samples with the same stack, thread and
 * wait become one (time 0). Start and duration grow to cover both, the longer period stays.
 * Order-free. Units must agree, else -EINVAL; after any other error `into` is fit
 * for profile_free() only. */
int profile_merge(struct profile *into, const struct profile *from, struct err *err);

/* Where the entries of another profile's tables are in this one, by their ids there. */
struct profile_ids {
	uint32_t *stacks;
	uint32_t *threads;
	uint32_t *waits;
};

/* Add the tables of `from` to `into`, and none of its samples. The caller ends *ids with
 * profile_ids_fini(), after a failure, too. */
int profile_merge_tables(struct profile *into, const struct profile *from, struct profile_ids *ids);
void profile_ids_fini(struct profile_ids *ids);
