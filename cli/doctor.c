#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/array.h"
#include "base/auto.h"
#include "base/json.h"
#include "base/log.h"
#include "cli/api_client.h"
#include "cli/commands.h"
#include "cli/http_client.h"
#include "profile/stack_advice.h"
#include "profiler/doctor.h"

enum { MAX_REPORT_BYTES = 1 << 20, MAX_STATUS_BYTES = 16 << 20 };

static const char default_url[] = "http://127.0.0.1:4040";

struct doctor_config {
	bool json;
	const char *url; /* NULL: the default, if a server is there */
};

static const struct option_spec doctor_options[] = {
	{"json", 0, NULL, "a JSON object instead of text", option_flag,
	 offsetof(struct doctor_config, json)},
	{"url", 'u', "URL", "the server whose stacks to judge (default: that on 127.0.0.1:4040)",
	 option_string, offsetof(struct doctor_config, url)},
};

struct report {
	struct buf text;
	struct json json;
	bool is_json;
	bool can_serve;
};

static void add_text(struct report *report, const struct capability *capability)
{
	const char *verdict = capability->works         ? "works"
			      : capability->is_required ? "MISSING"
							: "not here";
	buf_printf(&report->text, "%-9s %-18s %s", verdict, capability->name, capability->why);
	if (!capability->works)
		buf_printf(&report->text, " [for %s]", capability->used_for);
	if (capability->remedy)
		buf_printf(&report->text, "; to do: %s", capability->remedy);
	buf_append_str(&report->text, "\n");
}

static void add_json(struct report *report, const struct capability *capability)
{
	struct json *json = &report->json;
	json_open_object(json);
	json_key_str(json, "name", capability->name);
	json_key_str(json, "used_for", capability->used_for);
	json_key_bool(json, "required", capability->is_required);
	json_key_bool(json, "works", capability->works);
	json_key_str(json, "why", capability->why);
	if (capability->remedy)
		json_key_str(json, "remedy", capability->remedy);
	json_close_object(json);
}

static void add(void *ctx, const struct capability *capability)
{
	struct report *report = ctx;
	report->can_serve &= capability->works || !capability->is_required;
	if (report->is_json)
		add_json(report, capability);
	else
		add_text(report, capability);
}

static void add_advice(void *ctx, const struct stack_advice *advice)
{
	struct report *report = ctx;
	struct capability capability = {
		.name = advice->topic,
		.used_for = "whole user stacks",
		.works = advice->is_fine,
		.why = advice->finding,
		.remedy = advice->remedy,
	};
	if (report->is_json)
		add_json(report, &capability);
	else
		add_text(report, &capability);
}

/* What the server says of its stacks. -ENODATA: it does not sample. */
static int ask_server(struct stack_quality *quality, struct unwind_memory *kernel, const char *url,
		      struct err *err)
{
	AUTO_FINI(buf_fini) struct buf body;
	buf_init(&body, MAX_STATUS_BYTES);
	bool is_sampling;
	int rc = http_get_soon(&body, url, "/api/v1/status", err);
	if (!rc)
		rc = api_decode_quality(quality, kernel, &is_sampling, body.data, body.len_bytes,
					err);
	if (!rc && !is_sampling)
		rc = err_set(err, -ENODATA, "%s only shows stored data", url);
	return rc;
}

/* A server that was not asked for need not be there. */
static int add_stacks(struct report *report, const char *url, struct err *err)
{
	AUTO_MEM struct stack_quality *quality = calloc(1, sizeof(*quality));
	if (!quality)
		return err_set(err, -ENOMEM, "stacks: %m");
	struct unwind_memory kernel;
	int rc = ask_server(quality, &kernel, url ? url : default_url, err);
	if (!rc)
		stack_advise(quality, &kernel, add_advice, report);
	return url ? rc : 0;
}

static int run_doctor(int argc, char **argv)
{
	struct doctor_config config = {0};
	int first;
	int code = options_parse(&command_doctor, &config, argc, argv, &first);
	if (code >= 0)
		return code;
	if (first < argc)
		return usage_error(&command_doctor, "\"%s\" is one argument too many", argv[first]);
	struct report report = {.is_json = config.json, .can_serve = true};
	buf_init(&report.text, MAX_REPORT_BYTES);
	report.json = json_to(&report.text);
	if (config.json) {
		json_open_object(&report.json);
		json_key(&report.json, "capabilities");
		json_open_array(&report.json);
	}
	doctor_examine(add, &report);
	if (config.json) {
		json_close_array(&report.json);
		json_key(&report.json, "stacks");
		json_open_array(&report.json);
	}
	struct err err = {0};
	int rc = add_stacks(&report, config.url, &err);
	if (config.json) {
		json_close_array(&report.json);
		json_key_bool(&report.json, "can_serve", report.can_serve);
		json_close_object(&report.json);
		buf_append_str(&report.text, "\n");
	}
	fwrite(report.text.data, 1, report.text.len_bytes, stdout);
	buf_fini(&report.text);
	if (rc)
		log_line(LOG_ERROR, "%s", err.text);
	return report.can_serve && !rc ? EXIT_DONE : EXIT_FAILED;
}

const struct command command_doctor = {
	.name = "doctor",
	.usage = "[--json] [--url URL]",
	.summary = "tell what works on this machine, and what to do about what does not",
	.details = "When a server runs, tells how whole its stacks are, too, and what would help.\n"
		   "Exits with 1 when `hearth serve` could not start.\n",
	.options = doctor_options,
	.option_count = ARRAY_LEN(doctor_options),
	.run = run_doctor,
};
