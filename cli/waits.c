#include "cli/waits.h"

#include <errno.h>
#include <string.h>

static const char off[] = "off";

int option_waiting(void *target, const char *value, struct err *err)
{
	if (strcmp(value, off) != 0 && waiting_method_parse(value) == WAITING_METHODS)
		return err_set(
			err, -EINVAL,
			"\"%s\" is no way to sample threads that wait; write auto, open, iter, "
			"switch or off",
			value);
	*(const char **)target = value;
	return 0;
}

void waits_apply(const struct waits_config *config, struct profiler_options *options)
{
	const char *method = config->method ? config->method : "auto";
	options->takes_waits = strcmp(method, off) != 0;
	options->wait_method = options->takes_waits ? waiting_method_parse(method) : WAITING_AUTO;
	options->wait_rate_hz = config->rate_hz;
	options->takes_kernel_threads = config->takes_kernel_threads;
}
