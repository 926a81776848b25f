/*
 * config: the settings of `hearth serve`, from the command line, a file and the defaults, in
 * that order. The file is INI: `name = value` lines with the long names of the options.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "cli/naming.h"
#include "cli/waits.h"

struct serve_config {
	const char *listen;
	const char *data;
	const char *config;
	uint32_t rate_hz;
	uint64_t max_disk_bytes;
	uint64_t ring_bytes;
	uint64_t max_memory_bytes;
	bool insecure;
	struct naming_config naming;
	struct waits_config waits;
	char *texts[5]; /* strings of the file; owned */
};

/* Everything that the command line left open is filled in. -EINVAL names file and line. */
int serve_config_read(struct serve_config *merged, const struct serve_config *command_line,
		      struct err *err);
void serve_config_fini(struct serve_config *config);
