#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/array.h"
#include "base/json.h"
#include "cli/commands.h"
#include "profiler/doctor.h"

enum { MAX_REPORT_BYTES = 1 << 20 };

struct doctor_config {
	bool json;
};

static const struct option_spec doctor_options[] = {
	{"json", 0, NULL, "a JSON object instead of text", option_flag,
	 offsetof(struct doctor_config, json)},
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
		json_key_bool(&report.json, "can_serve", report.can_serve);
		json_close_object(&report.json);
		buf_append_str(&report.text, "\n");
	}
	fwrite(report.text.data, 1, report.text.len_bytes, stdout);
	buf_fini(&report.text);
	return report.can_serve ? EXIT_DONE : EXIT_FAILED;
}

const struct command command_doctor = {
	.name = "doctor",
	.usage = "[--json]",
	.summary = "tell what works on this machine, and what to do about what does not",
	.details = "Exits with 1 when `hearth serve` could not start.\n",
	.options = doctor_options,
	.option_count = ARRAY_LEN(doctor_options),
	.run = run_doctor,
};
