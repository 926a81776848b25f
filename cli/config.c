#include "cli/config.h"

#include <errno.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "cli/options.h"

struct reading {
	struct serve_config *config;
	FILE *file;
	int line; /* the last that was read */
	struct err *err;
	int code;      /* of the first setting that was wrong */
	uint32_t seen; /* a bit for each of names[] */
};

static const char *const names[] = {
	"listen",          "data",       "rate",      "max-disk",
	"max-memory",      "ring-bytes", "insecure",  "debug-dirs",
	"debuginfod-urls", "waiting",    "wait-rate", "kernel-threads",
};

/* Once is enough. inih takes an indented line for more of the setting before it, so this is also
 * what says that such a line is not read as it was meant. */
static int note_name(struct reading *reading, const char *name)
{
	size_t i = 0;
	while (i < ARRAY_LEN(names) && strcmp(names[i], name) != 0)
		i++;
	if (i == ARRAY_LEN(names))
		return err_set(reading->err, -EINVAL, "there is no setting \"%s\"", name);
	if (reading->seen & 1U << i)
		return err_set(reading->err, -EINVAL,
			       "\"%s\" is set twice, or this line is indented", name);
	reading->seen |= 1U << i;
	return 0;
}

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

static int take_memory(uint64_t *target, const char *value, struct err *err)
{
	uint64_t ignored;
	return option_memory(*target ? &ignored : target, value, err);
}

static int take_rate(uint32_t *target, const char *value, struct err *err)
{
	uint32_t ignored;
	return option_rate(*target ? &ignored : target, value, err);
}

static int take_waiting(struct serve_config *config, const char *value, struct err *err)
{
	const char *ignored;
	int rc = option_waiting(&ignored, value, err);
	return rc ? rc : take_text(&config->waits.method, &config->texts[4], value);
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
	if (!strcmp(name, "debug-dirs"))
		return take_text(&config->naming.debug_dirs, &config->texts[2], value);
	if (!strcmp(name, "debuginfod-urls"))
		return take_text(&config->naming.debuginfod_urls, &config->texts[3], value);
	if (!strcmp(name, "rate"))
		return take_rate(&config->rate_hz, value, err);
	if (!strcmp(name, "max-disk"))
		return take_size(&config->max_disk_bytes, value, err);
	if (!strcmp(name, "max-memory"))
		return take_memory(&config->max_memory_bytes, value, err);
	if (!strcmp(name, "ring-bytes"))
		return take_size(&config->ring_bytes, value, err);
	if (!strcmp(name, "waiting"))
		return take_waiting(config, value, err);
	if (!strcmp(name, "wait-rate"))
		return take_rate(&config->waits.rate_hz, value, err);
	if (!strcmp(name, "kernel-threads"))
		return take_flag(&config->waits.takes_kernel_threads, value, err);
	return take_flag(&config->insecure, value, err);
}

static char *next_line(char *text, int text_bytes, void *ctx)
{
	struct reading *reading = ctx;
	if (reading->code)
		return NULL; /* one complaint is enough */
	reading->line++;
	return fgets(text, text_bytes, reading->file);
}

/* inih wants 1 for success. */
static int on_setting(void *ctx, const char *section, const char *name, const char *value)
{
	struct reading *reading = ctx;
	if (*section)
		reading->code =
			err_set(reading->err, -EINVAL, "[%s]: there are no sections", section);
	else
		reading->code = note_name(reading, name);
	if (!reading->code)
		reading->code = take_setting(reading->config, name, value, reading->err);
	return !reading->code;
}

static int read_lines(struct reading *reading, const char *path)
{
	/* The handler and next_line() get the same pointer: inih hands one to each. */
	int bad_line = ini_parse_stream(next_line, reading, on_setting, reading);
	if (ferror(reading->file))
		return err_set(reading->err, -errno, "read %s: %m", path);
	if (bad_line < 0)
		return err_set(reading->err, -ENOMEM, "read %s: %m", path);
	/* inih goes on after a line that is none; the first trouble is the one to tell. */
	if (reading->code && (!bad_line || bad_line >= reading->line))
		return err_wrap(reading->err, reading->code, "%s:%d", path, reading->line);
	if (bad_line)
		return err_set(reading->err, -EINVAL, "%s:%d: this is not `name = value`", path,
			       bad_line);
	return 0;
}

static int read_file(struct serve_config *config, struct err *err)
{
	struct reading reading = {
		.config = config, .file = fopen(config->config, "re"), .err = err};
	if (!reading.file)
		return err_set(err, -errno, "read %s: %m", config->config);
	int rc = read_lines(&reading, config->config);
	fclose(reading.file);
	return rc;
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
	for (size_t i = 0; i < ARRAY_LEN(config->texts); i++)
		free(config->texts[i]);
}
