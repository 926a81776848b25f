/*
 * record_exact: `hearth record --exact`: every switch of threads between running and waiting, as a
 * profile and a report, where `record` alone samples.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "cli/options.h"
#include "profile/profile.h"
#include "profile/rename.h"
#include "profiler/profiler.h"
#include "profiler/trace.h"

enum exact_view { EXACT_WAITS, EXACT_WAKERS, EXACT_OFFWAKE };

struct exact_config {
	bool is_asked_for;
	bool is_json;
	bool takes_self;
	bool takes_all_stacks;
	uint32_t states; /* of enum tracing_state; 0: all */
	uint32_t tid;
	enum exact_view view;
	const char *cgroup;
	const char *report; /* where it goes; NULL: standard output when there is no other */
	uint64_t min_ns, max_ns, slow_ns; /* 0: not given */
};

#define EXACT_OPTION(type, config, name, argument, help, parse, field)                \
	{                                                                             \
		name, 0, argument, help, parse,                                       \
			offsetof(type, config) + offsetof(struct exact_config, field) \
	}

/* Entries for a table of options; config is a struct exact_config in the options structure. */
#define EXACT_OPTIONS(type, config)                                                                \
	EXACT_OPTION(type, config, "exact", NULL,                                                  \
		     "trace every switch instead of sampling; 10 s unless told, 300 s at most",    \
		     option_flag, is_asked_for),                                                   \
		EXACT_OPTION(type, config, "view", "VIEW",                                         \
			     "exact: waits (the default), wakers or offwake", option_view, view),  \
		EXACT_OPTION(type, config, "stacks", "WHICH",                                      \
			     "exact: all, or sampled: by how long a thread waits (the default)",   \
			     option_stacks, takes_all_stacks),                                     \
		EXACT_OPTION(type, config, "state", "STATE",                                       \
			     "exact: only waits that are sleeping, uninterruptible or runnable",   \
			     option_state, states),                                                \
		EXACT_OPTION(type, config, "tid", "TID", "exact: only this thread", option_tid,    \
			     tid),                                                                 \
		EXACT_OPTION(type, config, "cgroup", "PATH",                                       \
			     "exact: only this cgroup of the v2 hierarchy and those below",        \
			     option_string, cgroup),                                               \
		EXACT_OPTION(type, config, "min-us", "N", "exact: only waits of N us or more",     \
			     option_us, min_ns),                                                   \
		EXACT_OPTION(type, config, "max-us", "N", "exact: only waits of N us or less",     \
			     option_us, max_ns),                                                   \
		EXACT_OPTION(type, config, "slow-us", "N",                                         \
			     "exact: list run-queue delays of N us or more (default 10000)",       \
			     option_us, slow_ns),                                                  \
		EXACT_OPTION(type, config, "self", NULL, "exact: trace Hearth, too", option_flag,  \
			     takes_self),                                                          \
		EXACT_OPTION(                                                                      \
			type, config, "report", "FILE",                                            \
			"exact: delays, time slices, preemptors, losses; - is standard output",    \
			option_string, report),                                                    \
		EXACT_OPTION(type, config, "json", NULL, "exact: the report as JSON", option_flag, \
			     is_json)

/* For option_spec.parse. */
int option_view(void *target, const char *value, struct err *err);   /* enum exact_view */
int option_stacks(void *target, const char *value, struct err *err); /* bool: all */
int option_state(void *target, const char *value, struct err *err);  /* uint32_t */
int option_tid(void *target, const char *value, struct err *err);    /* uint32_t */
int option_us(void *target, const char *value, struct err *err);     /* uint64_t, ns */

enum { EXACT_DEFAULT_S = 10, EXACT_MAX_S = 300 };

/* Do the options go together? *duration_ns, 0 when not given, is set to what it is to be. -EINVAL. */
int exact_check(const struct exact_config *config, bool has_command, int64_t *duration_ns,
		struct err *err);
/* What the profiler need not do then. */
void exact_apply(struct profiler_options *options);

/* All zero: nothing is traced, and all below do nothing. */
struct exact_record {
	struct trace *trace;
	uint64_t waits; /* in the profile that was made */
};

int exact_start(struct exact_record *exact, const struct exact_config *config,
		struct profiler *profiler, struct err *err);
void exact_take(struct exact_record *exact, const struct named_switches *switches);
void exact_rename(struct exact_record *exact, const char *build_id,
		  const struct profile_renamer *renamer);
/* Before the profiler stops. */
int exact_stop(struct exact_record *exact, struct err *err);
/* Replaces *profile by the view that was asked for, and writes the report: to standard output unless
 * there is another output. */
int exact_finish(struct exact_record *exact, const struct exact_config *config, bool has_output,
		 struct profile **profile, struct err *err);
void exact_fini(struct exact_record *exact);
