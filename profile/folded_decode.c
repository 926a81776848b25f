#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/reader.h"
#include "profile/folded.h"

#define MAX_FRAMES_PER_LINE ((size_t)1 << 20)

/* A piece of the input. */
struct text {
	const char *start;
	size_t len_bytes;
};

struct decoder {
	struct profile *profile;
	size_t line_number;
	uint32_t kernel, jit, comm_key;
	/* The location under way: a function, then what is inlined in it, outermost first. */
	uint32_t mapping;
	struct profile_line *lines;
	size_t line_count, line_cap;
	uint32_t stack;
};

static void fini_decoder(struct decoder *d)
{
	free(d->lines);
	profile_free(d->profile);
}

static int add_special_mapping(struct profile *profile, const char *filename, uint32_t *id)
{
	struct profile_mapping mapping = {0};
	int rc = profile_add_string(profile, filename, &mapping.filename);
	return rc ? rc : profile_add_mapping(profile, &mapping, id);
}

static int init_decoder(struct decoder *d)
{
	int rc = profile_new(&d->profile, PROFILE_CPU);
	if (!rc)
		rc = profile_add_string(d->profile, "samples", &d->profile->type_text);
	if (!rc)
		rc = profile_add_string(d->profile, "count", &d->profile->unit);
	if (!rc)
		rc = profile_add_string(d->profile, "comm", &d->comm_key);
	if (!rc)
		rc = add_special_mapping(d->profile, "[kernel.kallsyms]", &d->kernel);
	if (!rc)
		rc = add_special_mapping(d->profile, "[jit]", &d->jit);
	return rc;
}

static int add_text(struct decoder *d, struct text text, uint32_t *id)
{
	if (!text.len_bytes)
		return profile_add_string(d->profile, "[unknown]", id);
	return strtab_add_bytes(&d->profile->strings, text.start, text.len_bytes, id);
}

/* Pushes the location under way onto the stack. */
static int end_location(struct decoder *d)
{
	if (!d->line_count)
		return 0;
	/* Collected from the outside in; a location lists the innermost first. */
	for (size_t i = 0, j = d->line_count - 1; i < j; i++, j--) {
		struct profile_line line = d->lines[i];
		d->lines[i] = d->lines[j];
		d->lines[j] = line;
	}
	uint32_t id;
	struct profile_location location = {.mapping = d->mapping};
	int rc =
		profile_add_location(d->profile, &location, d->lines, (uint32_t)d->line_count, &id);
	d->line_count = 0;
	return rc ? rc : profile_add_stack(d->profile, d->stack, id, &d->stack);
}

static int add_line(struct decoder *d, struct text name)
{
	struct profile_function function = {0};
	struct profile_line line = {0};
	int rc = add_text(d, name, &function.name);
	function.system_name = function.name;
	if (!rc)
		rc = profile_add_function(d->profile, &function, &line.function);
	if (!rc)
		rc = ARRAY_RESERVE(d->lines, d->line_cap, d->line_count, MAX_FRAMES_PER_LINE);
	if (!rc)
		d->lines[d->line_count++] = line;
	return rc;
}

/* Cuts the suffix off when it is there and leaves a name. */
static bool cut_suffix(struct text *name, const char *suffix)
{
	size_t len_bytes = strlen(suffix);
	if (name->len_bytes <= len_bytes ||
	    memcmp(name->start + name->len_bytes - len_bytes, suffix, len_bytes))
		return false;
	name->len_bytes -= len_bytes;
	return true;
}

static int add_frame(struct decoder *d, struct text name)
{
	/* What is inlined needs something that it is inlined in. */
	if (d->line_count && cut_suffix(&name, "_[i]"))
		return add_line(d, name);
	int rc = end_location(d);
	if (rc)
		return rc;
	d->mapping = 0;
	if (cut_suffix(&name, "_[k]"))
		d->mapping = d->kernel;
	else if (cut_suffix(&name, "_[j]"))
		d->mapping = d->jit;
	return add_line(d, name);
}

/* Takes what is before the next ';', or all. */
static struct text next_frame(struct text *rest)
{
	const char *end = memchr(rest->start, ';', rest->len_bytes);
	struct text frame = {rest->start, end ? (size_t)(end - rest->start) : rest->len_bytes};
	size_t taken = frame.len_bytes + (end ? 1 : 0);
	*rest = (struct text){rest->start + taken, rest->len_bytes - taken};
	return frame;
}

static int add_comm(struct decoder *d, struct text comm, uint32_t *thread)
{
	struct profile_label label = {.key = d->comm_key};
	struct profile_thread added = {0};
	int rc = add_text(d, comm, &label.value);
	if (!rc)
		rc = profile_add_label_set(d->profile, &label, 1, &added.label_set);
	return rc ? rc : profile_add_thread(d->profile, &added, thread);
}

static int add_sample(struct decoder *d, struct text path, int64_t weight)
{
	struct profile_sample sample = {.weight = weight,
					.count = weight > 0 ? (uint64_t)weight : 0};
	int rc = add_comm(d, next_frame(&path), &sample.thread);
	d->stack = 0;
	while (!rc && path.len_bytes)
		rc = add_frame(d, next_frame(&path));
	if (!rc)
		rc = end_location(d);
	sample.stack = d->stack;
	return rc ? rc : profile_add_sample(d->profile, &sample);
}

static bool parse_integer(struct text text, int64_t *value)
{
	bool negative = text.len_bytes && text.start[0] == '-';
	int64_t sum = 0;
	if (text.len_bytes == (size_t)negative)
		return false;
	for (size_t i = negative; i < text.len_bytes; i++) {
		int digit = text.start[i] - '0';
		if (digit < 0 || digit > 9 || __builtin_mul_overflow(sum, 10, &sum) ||
		    __builtin_add_overflow(sum, negative ? -digit : digit, &sum))
			return false;
	}
	*value = sum;
	return true;
}

static int decode_line(struct decoder *d, struct text line, struct err *err)
{
	if (memchr(line.start, '\0', line.len_bytes))
		return err_set(err, -EBADMSG, "line %zu: not text", d->line_number);
	const char *space = memrchr(line.start, ' ', line.len_bytes);
	if (!space || space == line.start)
		return err_set(err, -EBADMSG, "line %zu: is not \"frames VALUE\"", d->line_number);
	struct text path = {line.start, (size_t)(space - line.start)};
	struct text number = {space + 1, line.len_bytes - path.len_bytes - 1};
	int64_t weight;
	if (!parse_integer(number, &weight))
		return err_set(err, -EBADMSG, "line %zu: \"%.*s\" is not a 64-bit integer",
			       d->line_number, (int)(number.len_bytes < 40 ? number.len_bytes : 40),
			       number.start);
	int rc = add_sample(d, path, weight);
	return rc ? err_set(err, rc, "line %zu: %m", d->line_number) : 0;
}

/* Takes the next line, without its end. */
static struct text next_line(struct reader *r)
{
	size_t left_bytes = reader_left_bytes(r);
	const char *start = (const char *)r->pos;
	const char *newline = memchr(start, '\n', left_bytes);
	size_t len_bytes = newline ? (size_t)(newline - start) : left_bytes;
	reader_skip(r, newline ? len_bytes + 1 : len_bytes);
	if (len_bytes && start[len_bytes - 1] == '\r')
		len_bytes--;
	return (struct text){start, len_bytes};
}

int folded_decode(struct profile **out, const void *data, size_t len_bytes, struct err *err)
{
	AUTO_FINI(fini_decoder) struct decoder d = {0};
	int rc = init_decoder(&d);
	if (rc)
		return err_set(err, rc, "read folded text: %m");
	struct reader r = reader_of(data, len_bytes);
	while (reader_left_bytes(&r)) {
		struct text line = next_line(&r);
		d.line_number++;
		if (!line.len_bytes)
			continue;
		rc = decode_line(&d, line, err);
		if (rc)
			return rc;
	}
	*out = TAKE(d.profile);
	return 0;
}
