#include "cli/answer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/clock.h"
#include "cli/api_client.h"
#include "cli/http_client.h"
#include "cli/output.h"
#include "cli/render.h"
#include "profile/api_json.h"
#include "profile/calltree.h"
#include "profile/folded.h"
#include "profile/pprof.h"
#include "storage/store.h"

enum { TOP_LIMIT = 50, SERIES_LIMIT = 8, LABEL_LIMIT = 1000, DEFAULT_POINTS = 60 };
static const double TEXT_MIN_SHARE = 0.005;

static int open_store(struct store **store, const struct query_config *config, struct err *err)
{
	struct store_options options = {
		.directory = config->data ? config->data : "/var/lib/hearth",
	};
	return store_open(store, &options, err);
}

static struct store_query to_query(const struct query_config *config)
{
	return (struct store_query){
		.type = config->type,
		.from_unix_ns = config->from_unix_ns,
		.until_unix_ns = config->until_unix_ns,
		.selector = config->selector,
	};
}

static struct api_question to_question(const struct query_config *config)
{
	return (struct api_question){
		.type = config->type,
		.query = config->selector_text,
		.from_unix_ns = config->from_unix_ns,
		.until_unix_ns = config->until_unix_ns,
	};
}

/* What a route takes beside the parameters that all have. */
struct extras {
	struct http_parameter items[3];
};

static int ask(struct buf *out, const struct query_config *config, const char *path,
	       struct extras extras, struct err *err)
{
	char from[CLOCK_TEXT_BYTES], until[CLOCK_TEXT_BYTES];
	clock_format(config->from_unix_ns, from);
	clock_format(config->until_unix_ns, until);
	struct http_parameter parameters[] = {
		{"type", profile_type_name(config->type)},
		{"query", config->selector_text},
		{"from", from},
		{"until", until},
		extras.items[0],
		extras.items[1],
		extras.items[2],
	};
	return http_get(out, config->url, path, parameters, ARRAY_LEN(parameters), err);
}

/* The samples of the selection, whichever way they come. */
static int get_profile(struct profile **profile, const struct query_config *config,
		       bool with_threads, struct err *err)
{
	struct store_query query = to_query(config);
	if (config->url) {
		AUTO_FINI(buf_fini) struct buf body;
		buf_init(&body, ANSWER_MAX_BYTES);
		int rc = ask(&body, config, "/api/v1/export",
			     (struct extras){{{"format", "pprof"}}}, err);
		return rc ? rc : pprof_decode(profile, body.data, body.len_bytes, err);
	}
	AUTO(store) store = NULL;
	int rc = open_store(&store, config, err);
	if (rc)
		return rc;
	return with_threads ? store_query_profile(store, &query, profile, err)
			    : store_query_stacks(store, &query, profile, err);
}

/* Render through a FILE into out. */
struct text {
	FILE *file;
	char *data;
	size_t len_bytes;
};

static void text_fini(struct text *text)
{
	if (text->file)
		fclose(text->file);
	free(text->data);
}

static int text_open(struct text *text, struct err *err)
{
	text->file = open_memstream(&text->data, &text->len_bytes);
	return text->file ? 0 : err_set(err, -errno, "memory stream: %m");
}

static int text_to_buf(struct text *text, struct buf *out, struct err *err)
{
	if (fflush(text->file))
		return err_set(err, -errno, "memory stream: %m");
	buf_append(out, text->data, text->len_bytes);
	return buf_error(out) ? err_set(err, buf_error(out), "the answer: %m") : 0;
}

static int finish_json(struct buf *out, struct err *err)
{
	buf_append_u8(out, '\n');
	return buf_error(out) ? err_set(err, buf_error(out), "the answer: %m") : 0;
}

static struct http_parameter by_of(const struct query_config *config)
{
	return (struct http_parameter){"by", config->by};
}

static struct http_parameter group_of(const struct query_config *config)
{
	return (struct http_parameter){"group_by", config->group_by};
}

int answer_flame(struct buf *out, const struct query_config *config, struct err *err)
{
	if (config->json && config->url)
		return ask(out, config, "/api/v1/flame",
			   (struct extras){{by_of(config), group_of(config)}}, err);
	AUTO(profile) profile = NULL;
	AUTO(calltree) tree = NULL;
	const char *label = config->shape.group_by;
	bool with_threads = label && profile_is_thread_field(label);
	int rc = get_profile(&profile, config, with_threads, err);
	if (!rc)
		rc = calltree_build(&tree, profile, &config->shape, err);
	if (rc)
		return rc;
	if (config->json) {
		struct json json = json_to(out);
		struct api_question question = to_question(config);
		api_json_flame(&json, &question, tree);
		return finish_json(out, err);
	}
	AUTO_FINI(text_fini) struct text text = {0};
	rc = text_open(&text, err);
	if (rc)
		return rc;
	render_flame(text.file, tree, TEXT_MIN_SHARE);
	return text_to_buf(&text, out, err);
}

int answer_top(struct buf *out, const struct query_config *config, struct err *err)
{
	if (config->json && config->url)
		return ask(out, config, "/api/v1/top", (struct extras){{by_of(config)}}, err);
	AUTO(profile) profile = NULL;
	AUTO(top_table) table = NULL;
	int rc = get_profile(&profile, config, false, err);
	if (!rc)
		rc = top_table_build(&table, profile, config->shape.view, err);
	if (rc)
		return rc;
	if (config->json) {
		struct json json = json_to(out);
		struct api_question question = to_question(config);
		api_json_top(&json, &question, table, SIZE_MAX);
		return finish_json(out, err);
	}
	AUTO_FINI(text_fini) struct text text = {0};
	rc = text_open(&text, err);
	if (rc)
		return rc;
	render_top(text.file, table, TOP_LIMIT);
	return text_to_buf(&text, out, err);
}

/* Whole seconds, so that the text has about as many lines as a screen. */
static int64_t step_of(const struct query_config *config)
{
	if (config->step_ns)
		return config->step_ns;
	int64_t seconds =
		(config->until_unix_ns - config->from_unix_ns) / DEFAULT_POINTS / NS_PER_S;
	return (seconds > 0 ? seconds : 1) * NS_PER_S;
}

/* Reasons are few, and one is called as what is left over would be: "other". */
static size_t series_limit(const struct query_config *config)
{
	bool is_reasons = config->group_by && !strcmp(config->group_by, "reason");
	return is_reasons ? WAIT_REASONS : SERIES_LIMIT;
}

static int series_from_store(struct series_set **set, const struct query_config *config,
			     struct err *err)
{
	AUTO(store) store = NULL;
	int rc = open_store(&store, config, err);
	struct store_query query = to_query(config);
	return rc ? rc
		  : store_query_series(store, &query, config->group_by, step_of(config),
				       series_limit(config), set, err);
}

/* The server's JSON as it is. */
static int ask_series(struct buf *out, const struct query_config *config, struct err *err)
{
	char step[32], limit[32];
	snprintf(step, sizeof(step), "%lldms", (long long)(step_of(config) / NS_PER_MS));
	snprintf(limit, sizeof(limit), "%zu", series_limit(config));
	struct extras extras = {{group_of(config), {"step", step}, {"limit", limit}}};
	return ask(out, config, "/api/v1/series", extras, err);
}

static int series_from_server(struct series_set **set, const struct query_config *config,
			      struct err *err)
{
	AUTO_FINI(buf_fini) struct buf body;
	buf_init(&body, ANSWER_MAX_BYTES);
	int rc = ask_series(&body, config, err);
	return rc ? rc : api_decode_series(set, body.data, body.len_bytes, err);
}

int answer_series(struct buf *out, const struct query_config *config, struct err *err)
{
	if (config->url && config->json)
		return ask_series(out, config, err);
	AUTO(series_set) set = NULL;
	int rc = config->url ? series_from_server(&set, config, err)
			     : series_from_store(&set, config, err);
	if (rc)
		return rc;
	if (config->json) {
		struct json json = json_to(out);
		struct api_question question = to_question(config);
		api_json_series(&json, &question, config->group_by, set);
		return finish_json(out, err);
	}
	AUTO_FINI(text_fini) struct text text = {0};
	rc = text_open(&text, err);
	if (rc)
		return rc;
	render_series(text.file, set, config->type == PROFILE_CPU ? "CPUs in use" : "threads");
	return text_to_buf(&text, out, err);
}

/* The JSON of the API: {"labels":[...]} or {"label":...,"values":[...]}. */
static int labels_json(struct buf *out, const struct query_config *config,
		       const struct series_set *set, struct err *err)
{
	struct json json = json_to(out);
	if (config->label)
		api_json_label_values(&json, config->label, set);
	else
		api_json_labels(&json, set);
	return finish_json(out, err);
}

static int labels_from_store(struct series_set **set, const struct query_config *config,
			     struct err *err)
{
	AUTO(store) store = NULL;
	struct store_query query = to_query(config);
	int rc = open_store(&store, config, err);
	if (rc)
		return rc;
	return config->label ? store_query_label_values(store, &query, config->label, LABEL_LIMIT,
							set, err)
			     : store_query_labels(store, &query, set, err);
}

static int ask_labels(struct buf *out, const struct query_config *config, struct err *err)
{
	if (!config->label)
		return ask(out, config, "/api/v1/labels", (struct extras){0}, err);
	return ask(out, config, "/api/v1/label-values", (struct extras){{{"label", config->label}}},
		   err);
}

static int labels_from_server(struct series_set **set, const struct query_config *config,
			      struct err *err)
{
	AUTO_FINI(buf_fini) struct buf body;
	buf_init(&body, ANSWER_MAX_BYTES);
	int rc = ask_labels(&body, config, err);
	if (rc)
		return rc;
	return config->label ? api_decode_label_values(set, body.data, body.len_bytes, err)
			     : api_decode_labels(set, body.data, body.len_bytes, err);
}

int answer_labels(struct buf *out, const struct query_config *config, struct err *err)
{
	if (config->url && config->json)
		return ask_labels(out, config, err);
	AUTO(series_set) set = NULL;
	int rc = config->url ? labels_from_server(&set, config, err)
			     : labels_from_store(&set, config, err);
	if (rc)
		return rc;
	if (config->json)
		return labels_json(out, config, set, err);
	AUTO_FINI(text_fini) struct text text = {0};
	rc = text_open(&text, err);
	if (rc)
		return rc;
	render_names(text.file, set);
	return text_to_buf(&text, out, err);
}

int answer_pprof(struct buf *out, const struct query_config *config, struct err *err)
{
	AUTO(profile) profile = NULL;
	int rc = get_profile(&profile, config, true, err);
	return rc ? rc : pprof_encode(out, profile, err);
}

int answer_folded(struct buf *out, const struct query_config *config, struct err *err)
{
	AUTO(profile) profile = NULL;
	int rc = get_profile(&profile, config, false, err);
	return rc ? rc : folded_encode(out, profile, err);
}

int answer_write(const struct buf *out, const struct query_config *config, struct err *err)
{
	if (config->output)
		return output_write(config->output, out->data, out->len_bytes, err);
	bool is_binary = out->len_bytes > 1 && !memcmp(out->data, "\x1f\x8b", 2);
	if (is_binary && isatty(STDOUT_FILENO))
		return err_set(err, -EINVAL, "pprof is not for a terminal; add -o FILE");
	if (fwrite(out->data, 1, out->len_bytes, stdout) != out->len_bytes || fflush(stdout))
		return err_set(err, -errno, "write: %m");
	return 0;
}
