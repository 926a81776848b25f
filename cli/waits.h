/*
 * waits: how threads that wait are sampled, as the command line wants it.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "cli/options.h"
#include "profiler/profiler.h"

struct waits_config {
	const char *method; /* checked by option_waiting(); NULL: the best there is */
	uint32_t rate_hz;   /* 0: the default */
	bool takes_kernel_threads;
};

/* Entries for a table of options; config is a struct waits_config in the options structure. */
#define WAITS_OPTIONS(type, config)                                                               \
	{"waiting",      0,                                                                       \
	 "METHOD",       "how to sample waiting: auto, open, iter, switch or off (default auto)", \
	 option_waiting, offsetof(type, config) + offsetof(struct waits_config, method)},         \
		{"wait-rate", 0,                                                                  \
		 "HZ",        "visits to each thread that waits per second (default 20)",         \
		 option_rate, offsetof(type, config) + offsetof(struct waits_config, rate_hz)},   \
	{                                                                                         \
		"kernel-threads", 0, NULL, "sample kernel threads that wait, too", option_flag,   \
			offsetof(type, config) +                                                  \
				offsetof(struct waits_config, takes_kernel_threads)               \
	}

/* For option_spec.parse: const char *. */
int option_waiting(void *target, const char *value, struct err *err);

/* Set what config says; nothing is taken of what waits when it is "off". */
void waits_apply(const struct waits_config *config, struct profiler_options *options);
