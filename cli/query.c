#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/clock.h"
#include "base/log.h"
#include "cli/answer.h"
#include "cli/commands.h"

static const struct option_spec query_options[] = {
	{"data", 'D', "DIR", "a data directory (default /var/lib/hearth)", option_string,
	 offsetof(struct query_config, data)},
	{"url", 'u', "URL", "a running server instead, e.g. http://127.0.0.1:4040", option_string,
	 offsetof(struct query_config, url)},
	{"from", 0, "T", "RFC 3339, unix seconds or now-15m (the default)", option_string,
	 offsetof(struct query_config, from)},
	{"until", 0, "T", "the same (default now)", option_string,
	 offsetof(struct query_config, until)},
	{"type", 't', "TYPE", "cpu, offcpu or wall (default cpu)", option_string,
	 offsetof(struct query_config, type_text)},
	{"group-by", 'g', "LABEL", "series: one line per value of a label; flame: a level for each",
	 option_string, offsetof(struct query_config, group_by)},
	{"step", 0, "DURATION", "series: time between points", option_duration,
	 offsetof(struct query_config, step_ns)},
	{"label", 'l', "LABEL", "labels: the values of one label", option_string,
	 offsetof(struct query_config, label)},
	{"by", 'b', "WORDS", "flame, top: by function (default), line or library; comm first",
	 option_string, offsetof(struct query_config, by)},
	{"hide-idle", 0, NULL, "without threads parked for long: adds idle!=\"true\" to SELECTOR",
	 option_flag, offsetof(struct query_config, hide_idle)},
	{"output", 'o', "FILE", "write there instead of standard output", option_string,
	 offsetof(struct query_config, output)},
	{"json", 0, NULL, "the JSON of the HTTP API instead of text", option_flag,
	 offsetof(struct query_config, json)},
};

static const struct {
	const char *name;
	int (*answer)(struct buf *out, const struct query_config *config, struct err *err);
} kinds[] = {
	{"flame", answer_flame},   {"top", answer_top},     {"series", answer_series},
	{"labels", answer_labels}, {"pprof", answer_pprof}, {"folded", answer_folded},
};

static int check_times(struct query_config *config, struct err *err)
{
	int64_t now_unix_ns = clock_unix_ns();
	int rc = clock_parse(config->from ? config->from : "now-15m", now_unix_ns,
			     &config->from_unix_ns, err);
	if (!rc)
		rc = clock_parse(config->until ? config->until : "now", now_unix_ns,
				 &config->until_unix_ns, err);
	if (!rc && config->until_unix_ns <= config->from_unix_ns)
		rc = err_set(err, -EINVAL, "--until is not after --from");
	return rc;
}

/* The selector with one condition more, first: what follows "{" stays as it was written. */
static int hide_idle(struct query_config *config, struct err *err)
{
	AUTO(selector) asked = NULL;
	int rc = selector_parse(&asked, config->selector_text, err);
	if (rc)
		return rc;
	const char *rest = strchr(config->selector_text, '{');
	int length = selector_is_all(asked)
			     ? asprintf(&config->hiding_text, "{idle!=\"true\"}")
			     : asprintf(&config->hiding_text, "{idle!=\"true\",%s", rest + 1);
	if (length < 0) {
		config->hiding_text = NULL; /* asprintf leaves it undefined */
		return err_set(err, -ENOMEM, "the selector: %m");
	}
	config->selector_text = config->hiding_text;
	return 0;
}

static int check(struct query_config *config, struct err *err)
{
	config->type = PROFILE_CPU;
	int rc = config->type_text ? profile_type_parse(config->type_text, &config->type, err) : 0;
	if (!rc)
		rc = check_times(config, err);
	if (!rc && config->by)
		rc = calltree_options_by(&config->shape, config->by, err);
	if (config->group_by)
		config->shape.group_by = config->group_by;
	if (!rc && config->hide_idle)
		rc = hide_idle(config, err);
	if (!rc)
		rc = selector_parse(&config->selector, config->selector_text, err);
	return rc;
}

static int answer(const struct query_config *config, size_t kind)
{
	struct err err = {0};
	AUTO_FINI(buf_fini) struct buf out;
	buf_init(&out, ANSWER_MAX_BYTES);
	int rc = kinds[kind].answer(&out, config, &err);
	if (!rc)
		rc = answer_write(&out, config, &err);
	if (rc)
		log_line(LOG_ERROR, "%s", err.text);
	return rc ? EXIT_FAILED : EXIT_DONE;
}

static int run_query(int argc, char **argv)
{
	size_t kind = 0;
	const char *name = argc > 1 ? argv[1] : "";
	while (kind < ARRAY_LEN(kinds) && strcmp(name, kinds[kind].name) != 0)
		kind++;
	bool has_kind = kind < ARRAY_LEN(kinds);
	struct query_config config = {0};
	int first;
	/* Options may stand after the kind: getopt starts behind it. */
	int code = options_parse(&command_query, &config, argc - has_kind, argv + has_kind, &first);
	if (code >= 0)
		return code;
	if (argc < 2)
		return usage_error(&command_query,
				   "ask for flame, top, series, labels, pprof or folded");
	if (!has_kind)
		return usage_error(&command_query,
				   "\"%s\" is not flame, top, series, labels, pprof or folded",
				   name);
	first += 1;
	config.selector_text = first < argc ? argv[first++] : "{}";
	if (first < argc)
		return usage_error(&command_query, "\"%s\" is one argument too many", argv[first]);
	if (config.data && config.url)
		return usage_error(&command_query, "give either --data or --url");
	struct err err = {0};
	code = check(&config, &err) ? usage_error(&command_query, "%s", err.text)
				    : answer(&config, kind);
	selector_free(config.selector);
	free(config.hiding_text);
	return code;
}

const struct command command_query = {
	.name = "query",
	.usage = "flame|top|series|labels|pprof|folded [OPTIONS] [SELECTOR]",
	.summary = "ask a store or a server",
	.details = "SELECTOR is as in Prometheus: '{service_name=\"api\",comm=~\"post.*\"}'.\n",
	.options = query_options,
	.option_count = ARRAY_LEN(query_options),
	.run = run_query,
};
