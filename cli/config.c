#include "cli/config.h"

#include <errno.h>
#include <ini.h>
#include <stdlib.h>
#include <string.h>

#include "cli/options.h"

struct reading {
	struct serve_config *config;
	struct err *err;
	int code;
};

/* The first value stays: the command line has been there before the file. */
static int take_text(const char **target, char **owned, const char *value)
{
	if (*target)
		return 0;
	*owned = strdup(value);
	*target = *owned;
	return *owned ? 0 : -ENOMEM;
}

static int take_size(uint64_t *target, const char *value, struct err *err)
{
	uint64_t ignored;
	return option_bytes(*target ? &ignored : target, value, err);
}

static int take_rate(uint32_t *target, const char *value, struct err *err)
{
	uint32_t ignored;
	return option_rate(*target ? &ignored : target, value, err);
}

static int take_flag(bool *target, const char *value, struct err *err)
{
	if (!strcmp(value, "true") || !strcmp(value, "yes"))
		*target = true;
	else if (strcmp(value, "false") != 0 && strcmp(value, "no") != 0)
		return err_set(err, -EINVAL, "\"%s\" is neither true nor false", value);
	return 0;
}

static int take_setting(struct serve_config *config, const char *name, const char *value,
			struct err *err)
{
	if (!strcmp(name, "listen"))
		return take_text(&config->listen, &config->texts[0], value);
	if (!strcmp(name, "data"))
		return take_text(&config->data, &config->texts[1], value);
	if (!strcmp(name, "rate"))
		return take_rate(&config->rate_hz, value, err);
	if (!strcmp(name, "max-disk"))
		return take_size(&config->max_disk_bytes, value, err);
	if (!strcmp(name, "ring-bytes"))
		return take_size(&config->ring_bytes, value, err);
	if (!strcmp(name, "insecure"))
		return take_flag(&config->insecure, value, err);
	return err_set(err, -EINVAL, "there is no setting \"%s\"", name);
}

/* inih wants 1 for success. */
static int on_setting(void *ctx, const char *section, const char *name, const char *value)
{
	struct reading *reading = ctx;
	if (*section)
		reading->code =
			err_set(reading->err, -EINVAL, "[%s]: there are no sections", section);
	else
		reading->code = take_setting(reading->config, name, value, reading->err);
	return !reading->code;
}

static int read_file(struct serve_config *config, struct err *err)
{
	struct reading reading = {config, err, 0};
	int line = ini_parse(config->config, on_setting, &reading);
	if (line < 0)
		return err_set(err, errno ? -errno : -EIO, "read %s: %m", config->config);
	if (reading.code)
		return err_wrap(err, reading.code, "%s:%d", config->config, line);
	if (line > 0)
		return err_set(err, -EINVAL, "%s:%d: this is not `name = value`", config->config,
			       line);
	return 0;
}

int serve_config_read(struct serve_config *merged, const struct serve_config *command_line,
		      struct err *err)
{
	*merged = *command_line;
	int rc = merged->config ? read_file(merged, err) : 0;
	if (!merged->listen)
		merged->listen = "127.0.0.1:4040";
	if (!merged->data)
		merged->data = "/var/lib/hearth";
	return rc;
}

void serve_config_fini(struct serve_config *config)
{
	free(config->texts[0]);
	free(config->texts[1]);
}
