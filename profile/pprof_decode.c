#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <profile/profile.pb-c.h>

#include "base/array.h"
#include "base/gzip.h"
#include "base/hash.h"
#include "base/reader.h"
#include "profile/frames.h"
#include "profile/pprof.h"
#include "profile/pprof_wire.h"

/* One message in memory is many times its bytes, so only small ones are unpacked at once:
 * the profile is read in passes, an element at a time. */
#define MAX_ELEMENT_BYTES ((size_t)16 << 20)

/* From ids in the file, which may be any number, to ours. */
struct id_table {
	const char *noun;
	uint64_t *theirs;
	uint32_t *ours;
	size_t count, theirs_cap, ours_cap;
	struct index index;
};

struct decoder {
	struct profile *profile;
	struct reader bytes; /* the whole message */
	Hearth__Pprof__Profile *head;
	uint32_t *strings; /* by index in the file */
	size_t string_count, string_cap;
	struct id_table mappings, functions, locations;
	size_t weight_column;
	size_t count_column; /* SIZE_MAX: none */
	size_t sample_number;
	struct profile_line *lines;
	size_t line_cap;
	struct profile_label *labels;
	size_t label_cap;
	struct buf name; /* scratch */
	struct err *err;
};

static void fini_id_table(struct id_table *table)
{
	free(table->theirs);
	free(table->ours);
	index_fini(&table->index);
}

static void fini_decoder(struct decoder *d)
{
	profile_free(d->profile);
	if (d->head)
		hearth__pprof__profile__free_unpacked(d->head, NULL);
	free(d->strings);
	fini_id_table(&d->mappings);
	fini_id_table(&d->functions);
	fini_id_table(&d->locations);
	free(d->lines);
	free(d->labels);
	buf_fini(&d->name);
}

static bool same_id(const void *ctx, uint32_t position, const void *key)
{
	return ((const struct id_table *)ctx)->theirs[position] == *(const uint64_t *)key;
}

static uint32_t find_id(const struct id_table *table, uint64_t id)
{
	uint32_t found = index_find(&table->index, hash_u64(id), same_id, table, &id);
	return found == INDEX_NONE ? INDEX_NONE : table->ours[found];
}

static int add_id(struct decoder *d, struct id_table *table, uint64_t id, uint32_t ours)
{
	if (!id)
		return err_set(d->err, -EBADMSG, "a %s has the reserved id 0", table->noun);
	if (find_id(table, id) != INDEX_NONE)
		return err_set(d->err, -EBADMSG, "two %ss have the id %" PRIu64, table->noun, id);
	int rc = ARRAY_RESERVE(table->theirs, table->theirs_cap, table->count, PROFILE_MAX_ENTRIES);
	if (!rc)
		rc = ARRAY_RESERVE(table->ours, table->ours_cap, table->count, PROFILE_MAX_ENTRIES);
	if (!rc)
		rc = index_add(&table->index, hash_u64(id), (uint32_t)table->count);
	if (rc)
		return rc;
	table->theirs[table->count] = id;
	table->ours[table->count++] = ours;
	return 0;
}

/* One field of the message, as it stands in the bytes. */
struct field {
	uint64_t number;
	struct reader whole; /* tag and value */
	struct reader value; /* of WIRE_BYTES */
	unsigned wire_type;
};

static struct reader slice(const uint8_t *start, const uint8_t *end)
{
	return reader_of(start, (size_t)(end - start));
}

static int next_field(struct decoder *d, struct reader *r, struct field *field)
{
	const uint8_t *start = r->pos;
	uint64_t tag = reader_varint(r);
	*field = (struct field){.number = tag >> 3, .wire_type = tag & 7};
	switch (field->wire_type) {
	case WIRE_VARINT:
		reader_varint(r);
		break;
	case WIRE_FIXED64:
		reader_skip(r, 8);
		break;
	case WIRE_BYTES:
		field->value = reader_sub(r, reader_varint(r));
		break;
	case WIRE_FIXED32:
		reader_skip(r, 4);
		break;
	default:
		return err_set(d->err, -EBADMSG, "not a protobuf message");
	}
	if (r->bad)
		return err_set(d->err, -ENODATA, "it ends inside a field");
	if (!field->number)
		return err_set(d->err, -EBADMSG, "not a protobuf message");
	field->whole = slice(start, r->pos);
	return 0;
}

static bool is_table_field(uint64_t number)
{
	return number >= PPROF_SAMPLE && number <= PPROF_STRING_TABLE;
}

typedef int (*element_fn)(struct decoder *d, const struct reader *element);

/* Calls `visit` for each element of one repeated field. */
static int each_element(struct decoder *d, enum pprof_field number, element_fn visit)
{
	struct reader r = d->bytes;
	while (reader_left_bytes(&r)) {
		struct field field;
		int rc = next_field(d, &r, &field);
		if (rc)
			return rc;
		if (field.number != number)
			continue;
		if (field.wire_type != WIRE_BYTES)
			return err_set(d->err, -EBADMSG, "field %d is not a message", (int)number);
		if (reader_left_bytes(&field.value) > MAX_ELEMENT_BYTES)
			return err_set(d->err, -ENOSPC, "an element of field %d has over 16 MiB",
				       (int)number);
		rc = visit(d, &field.value);
		if (rc)
			return rc;
	}
	return 0;
}

static int bad_element(struct decoder *d, const char *noun)
{
	return err_set(d->err, -EBADMSG, "a %s is not a valid message", noun);
}

static int find_string(struct decoder *d, int64_t index, uint32_t *string)
{
	if (index < 0 || (uint64_t)index >= d->string_count)
		return err_set(d->err, -EBADMSG,
			       "string %" PRId64 " is not in the string table of %zu", index,
			       d->string_count);
	*string = d->strings[index];
	return 0;
}

static const char *string_text(const struct decoder *d, int64_t index)
{
	return index < 0 || (uint64_t)index >= d->string_count
		       ? ""
		       : profile_string(d->profile, d->strings[index]);
}

static int read_string(struct decoder *d, const struct reader *element)
{
	size_t len_bytes = reader_left_bytes(element);
	if (!d->string_count && len_bytes)
		return err_set(d->err, -EBADMSG, "the first string is not \"\"");
	int rc = ARRAY_RESERVE(d->strings, d->string_cap, d->string_count, PROFILE_MAX_ENTRIES);
	if (!rc)
		rc = strtab_add_bytes(&d->profile->strings, (const char *)element->pos, len_bytes,
				      &d->strings[d->string_count]);
	if (!rc)
		d->string_count++;
	return rc;
}

static int read_mapping(struct decoder *d, const struct reader *element)
{
	Hearth__Pprof__Mapping *m =
		hearth__pprof__mapping__unpack(NULL, reader_left_bytes(element), element->pos);
	if (!m)
		return bad_element(d, "mapping");
	struct profile_mapping mapping = {
		.start_vaddr = m->memory_start,
		.limit_vaddr = m->memory_limit,
		.file_off = m->file_offset,
	};
	uint32_t id;
	int rc = find_string(d, m->filename, &mapping.filename);
	if (!rc)
		rc = find_string(d, m->build_id, &mapping.build_id);
	if (!rc)
		rc = profile_add_mapping(d->profile, &mapping, &id);
	if (!rc)
		rc = add_id(d, &d->mappings, m->id, id);
	hearth__pprof__mapping__free_unpacked(m, NULL);
	return rc;
}

/* Line numbers are signed in the file and may be anything. */
static uint32_t clamp_u32(int64_t value)
{
	if (value < 0)
		return 0;
	return value < UINT32_MAX ? (uint32_t)value : UINT32_MAX;
}

static int read_function(struct decoder *d, const struct reader *element)
{
	Hearth__Pprof__Function *f =
		hearth__pprof__function__unpack(NULL, reader_left_bytes(element), element->pos);
	if (!f)
		return bad_element(d, "function");
	struct profile_function function = {.start_line = clamp_u32(f->start_line)};
	uint32_t id;
	int rc = find_string(d, f->name, &function.name);
	if (!rc)
		rc = find_string(d, f->system_name, &function.system_name);
	if (!rc)
		rc = find_string(d, f->filename, &function.filename);
	if (!rc)
		rc = profile_add_function(d->profile, &function, &id);
	if (!rc)
		rc = add_id(d, &d->functions, f->id, id);
	hearth__pprof__function__free_unpacked(f, NULL);
	return rc;
}

static int read_lines(struct decoder *d, const Hearth__Pprof__Location *l)
{
	for (size_t i = 0; i < l->n_line; i++) {
		int rc = ARRAY_RESERVE(d->lines, d->line_cap, i, MAX_ELEMENT_BYTES);
		if (rc)
			return rc;
		uint32_t function = find_id(&d->functions, l->line[i]->function_id);
		if (function == INDEX_NONE)
			return err_set(d->err, -EBADMSG,
				       "location %" PRIu64 " names function %" PRIu64
				       ", which is not there",
				       l->id, l->line[i]->function_id);
		d->lines[i] = (struct profile_line){function, clamp_u32(l->line[i]->line),
						    clamp_u32(l->line[i]->column)};
	}
	return 0;
}

/* Is the one line only the name that an encoder made up for a location without lines? */
static bool is_made_up(struct decoder *d, const struct profile_location *location,
		       size_t line_count)
{
	if (line_count != 1)
		return false;
	const struct profile *profile = d->profile;
	buf_clear(&d->name);
	frame_unnamed(&d->name, profile, location);
	buf_append_u8(&d->name, '\0');
	return !buf_error(&d->name) &&
	       !strcmp(d->name.data,
		       profile_string(profile, profile->functions[d->lines[0].function].name));
}

static int add_location(struct decoder *d, const Hearth__Pprof__Location *l, uint32_t *id)
{
	struct profile_location location = {.vaddr = l->address, .is_folded = l->is_folded};
	if (l->mapping_id) {
		location.mapping = find_id(&d->mappings, l->mapping_id);
		if (location.mapping == INDEX_NONE)
			return err_set(d->err, -EBADMSG,
				       "location %" PRIu64 " names mapping %" PRIu64
				       ", which is not there",
				       l->id, l->mapping_id);
	}
	int rc = read_lines(d, l);
	if (rc)
		return rc;
	size_t line_count = is_made_up(d, &location, l->n_line) ? 0 : l->n_line;
	if (!line_count && !location.mapping && !location.vaddr)
		return profile_add_named_location(d->profile, "[unknown]", id);
	return profile_add_location(d->profile, &location, d->lines, (uint32_t)line_count, id);
}

static int read_location(struct decoder *d, const struct reader *element)
{
	Hearth__Pprof__Location *l =
		hearth__pprof__location__unpack(NULL, reader_left_bytes(element), element->pos);
	if (!l)
		return bad_element(d, "location");
	uint32_t id;
	int rc = add_location(d, l, &id);
	if (!rc)
		rc = add_id(d, &d->locations, l->id, id);
	hearth__pprof__location__free_unpacked(l, NULL);
	return rc;
}

static int read_stack(struct decoder *d, const Hearth__Pprof__Sample *s, uint32_t *stack)
{
	*stack = 0;
	for (size_t i = s->n_location_id; i-- > 0;) {
		uint32_t location = find_id(&d->locations, s->location_id[i]);
		if (location == INDEX_NONE)
			return err_set(d->err, -EBADMSG,
				       "sample %zu names location %" PRIu64 ", which is not there",
				       d->sample_number, s->location_id[i]);
		int rc = profile_add_stack(d->profile, *stack, location, stack);
		if (rc)
			return rc;
	}
	return 0;
}

/* A process or thread id, as a number or as text. */
static bool parse_id(const struct decoder *d, const Hearth__Pprof__Label *label, uint32_t *id)
{
	int64_t value = label->num;
	if (label->str) {
		char *end = NULL;
		const char *text = string_text(d, label->str);
		value = strtoll(text, &end, 10);
		if (*end || text[0] < '0' || text[0] > '9')
			return false;
	}
	if (value <= 0 || value > UINT32_MAX)
		return false;
	*id = (uint32_t)value;
	return true;
}

static int label_value(struct decoder *d, const Hearth__Pprof__Label *label, uint32_t *value)
{
	if (label->str && label->num)
		return err_set(d->err, -EBADMSG, "sample %zu: label \"%.64s\" is text and number",
			       d->sample_number, string_text(d, label->key));
	if (label->str)
		return find_string(d, label->str, value);
	buf_clear(&d->name);
	buf_printf(&d->name, "%" PRId64, label->num);
	return strtab_add_bytes(&d->profile->strings, d->name.data, d->name.len_bytes, value);
}

static bool is_running(const char *reason)
{
	return !strcmp(reason, WAIT_REASON_RUNNING);
}

/* Does the sample say why it waits, in words of ours? Only then its labels `waits_on` and `idle`
 * are about that. WAIT_REASONS: it says that it does not wait. */
static uint32_t reason_of(const struct decoder *d, const Hearth__Pprof__Sample *s)
{
	if (d->profile->type == PROFILE_CPU)
		return WAIT_NONE;
	for (size_t i = 0; i < s->n_label; i++) {
		enum wait_reason reason;
		const char *value = string_text(d, s->label[i]->str);
		if (strcmp(string_text(d, s->label[i]->key), "reason"))
			continue;
		if (is_running(value))
			return WAIT_REASONS;
		return wait_reason_parse(value, &reason, NULL) ? WAIT_NONE : reason;
	}
	return WAIT_NONE;
}

static void read_wait_label(const struct decoder *d, const char *key, uint32_t value,
			    struct profile_wait *wait)
{
	if (!strcmp(key, "waits_on"))
		wait->waits_on = value;
	else if (!strcmp(key, "idle"))
		wait->is_idle = !strcmp(profile_string(d->profile, value), "true");
}

static int read_label(struct decoder *d, const Hearth__Pprof__Label *label,
		      struct profile_thread *thread, struct profile_wait *wait, size_t *count)
{
	struct profile_label added;
	int rc = find_string(d, label->key, &added.key);
	if (!rc)
		rc = label_value(d, label, &added.value);
	if (rc)
		return rc;
	const char *key = profile_string(d->profile, added.key);
	if (!strcmp(key, "pid") && parse_id(d, label, &thread->pid))
		return 0;
	if (!strcmp(key, "tid") && parse_id(d, label, &thread->tid))
		return 0;
	if (!strcmp(key, "thread") && label->str) {
		thread->name = added.value;
		return 0;
	}
	if (wait->reason && profile_is_wait_label(key)) {
		read_wait_label(d, key, added.value, wait);
		return 0;
	}
	for (size_t i = 0; i < *count; i++)
		if (d->labels[i].key == added.key)
			return err_set(d->err, -EBADMSG, "sample %zu has the label \"%.64s\" twice",
				       d->sample_number, key);
	rc = ARRAY_RESERVE(d->labels, d->label_cap, *count, PPROF_MAX_LABELS);
	if (rc)
		return err_set(d->err, rc, "sample %zu has over %d labels", d->sample_number,
			       PPROF_MAX_LABELS);
	d->labels[(*count)++] = added;
	return 0;
}

static int read_labels(struct decoder *d, const Hearth__Pprof__Sample *s,
		       struct profile_sample *sample)
{
	struct profile_thread thread = {0};
	struct profile_wait wait = {.reason = reason_of(d, s)};
	size_t count = 0;
	for (size_t i = 0; i < s->n_label; i++) {
		int rc = read_label(d, s->label[i], &thread, &wait, &count);
		if (rc)
			return rc;
	}
	int rc = profile_add_label_set(d->profile, d->labels, (uint32_t)count, &thread.label_set);
	if (!rc)
		rc = profile_add_thread(d->profile, &thread, &sample->thread);
	if (!rc && wait.reason < WAIT_REASONS)
		rc = profile_add_wait(d->profile, &wait, &sample->wait);
	return rc;
}

static int add_sample(struct decoder *d, const Hearth__Pprof__Sample *s)
{
	if (!d->head->n_sample_type)
		return err_set(d->err, -EBADMSG, "there are samples but no sample types");
	if (s->n_value != d->head->n_sample_type)
		return err_set(d->err, -EBADMSG, "sample %zu has %zu values for %zu sample types",
			       d->sample_number, s->n_value, d->head->n_sample_type);
	struct profile_sample sample = {.weight = s->value[d->weight_column], .count = 1};
	if (d->count_column != SIZE_MAX) {
		int64_t count = s->value[d->count_column];
		sample.count = count < 0 ? 0 : (uint64_t)count;
	}
	int rc = read_stack(d, s, &sample.stack);
	if (!rc)
		rc = read_labels(d, s, &sample);
	return rc ? rc : profile_add_sample(d->profile, &sample);
}

static int read_sample(struct decoder *d, const struct reader *element)
{
	d->sample_number++;
	Hearth__Pprof__Sample *s =
		hearth__pprof__sample__unpack(NULL, reader_left_bytes(element), element->pos);
	if (!s)
		return bad_element(d, "sample");
	int rc = add_sample(d, s);
	hearth__pprof__sample__free_unpacked(s, NULL);
	return rc;
}

/* All that is not in the tables is small: it is unpacked as a Profile of its own. */
static int read_head(struct decoder *d)
{
	AUTO_FINI(buf_fini) struct buf head;
	buf_init(&head, MAX_ELEMENT_BYTES);
	struct reader r = d->bytes;
	while (reader_left_bytes(&r)) {
		struct field field;
		int rc = next_field(d, &r, &field);
		if (rc)
			return rc;
		if (!is_table_field(field.number))
			buf_append(&head, field.whole.pos, reader_left_bytes(&field.whole));
	}
	if (buf_error(&head))
		return buf_error(&head);
	d->head = hearth__pprof__profile__unpack(NULL, head.len_bytes, (uint8_t *)head.data);
	return d->head ? 0 : bad_element(d, "profile");
}

static bool is_type(const struct decoder *d, size_t column, const char *type, const char *unit)
{
	const Hearth__Pprof__ValueType *have = d->head->sample_type[column];
	return !strcmp(string_text(d, have->type), type) &&
	       !strcmp(string_text(d, have->unit), unit);
}

/* The weight is the default sample type's column, or the last as other tools have it. */
static void choose_columns(struct decoder *d)
{
	size_t count = d->head->n_sample_type;
	const char *wanted = string_text(d, d->head->default_sample_type);
	d->weight_column = count ? count - 1 : 0;
	d->count_column = SIZE_MAX;
	for (size_t i = count; i-- > 0;) {
		if (wanted[0] && !strcmp(string_text(d, d->head->sample_type[i]->type), wanted))
			d->weight_column = i;
		if (is_type(d, i, "samples", "count"))
			d->count_column = i;
	}
}

static enum profile_type type_of_text(const char *text)
{
	enum profile_type type;
	if (!strcmp(text, "off_cpu"))
		return PROFILE_OFFCPU; /* OpenTelemetry's word */
	return profile_type_parse(text, &type, NULL) ? PROFILE_CPU : type;
}

static int apply_head(struct decoder *d)
{
	struct profile *profile = d->profile;
	const Hearth__Pprof__Profile *head = d->head;
	for (size_t i = 0; i < head->n_sample_type; i++) {
		uint32_t unused;
		int rc = find_string(d, head->sample_type[i]->type, &unused);
		if (!rc)
			rc = find_string(d, head->sample_type[i]->unit, &unused);
		if (rc)
			return rc;
	}
	choose_columns(d);
	profile->start_unix_ns = head->time_nanos;
	profile->duration_ns = head->duration_nanos;
	if (head->period_type && !strcmp(string_text(d, head->period_type->unit), "nanoseconds"))
		profile->period_ns = head->period;
	if (!head->n_sample_type)
		return 0;
	const Hearth__Pprof__ValueType *weight = head->sample_type[d->weight_column];
	profile->type_text = d->strings[weight->type];
	profile->unit = d->strings[weight->unit];
	profile->type = type_of_text(profile_string(profile, profile->type_text));
	return 0;
}

static int init_decoder(struct decoder *d)
{
	d->mappings.noun = "mapping";
	d->functions.noun = "function";
	d->locations.noun = "location";
	index_init(&d->mappings.index, PROFILE_MAX_ENTRIES);
	index_init(&d->functions.index, PROFILE_MAX_ENTRIES);
	index_init(&d->locations.index, PROFILE_MAX_ENTRIES);
	buf_init(&d->name, PPROF_MAX_UNNAMED_BYTES);
	return profile_new(&d->profile, PROFILE_CPU);
}

/* Each table needs those before it, and they stand in any order in the file. */
static int read_message(struct decoder *d)
{
	static const struct {
		enum pprof_field field;
		element_fn visit;
	} passes[] = {
		{PPROF_MAPPING, read_mapping},
		{PPROF_FUNCTION, read_function},
		{PPROF_LOCATION, read_location},
		{PPROF_SAMPLE, read_sample},
	};
	int rc = init_decoder(d);
	if (!rc)
		rc = read_head(d);
	if (!rc)
		rc = each_element(d, PPROF_STRING_TABLE, read_string);
	if (!rc && !d->string_count)
		return err_set(d->err, -EBADMSG, "there is no string table");
	if (!rc)
		rc = apply_head(d);
	for (size_t i = 0; !rc && i < ARRAY_LEN(passes); i++)
		rc = each_element(d, passes[i].field, passes[i].visit);
	return rc;
}

static int decode_message(struct profile **out, const void *data, size_t len_bytes, struct err *err)
{
	struct err cause = {0};
	AUTO_FINI(fini_decoder)
	struct decoder d = {.bytes = reader_of(data, len_bytes), .err = &cause};
	int rc = len_bytes ? read_message(&d) : err_set(&cause, -ENODATA, "it is empty");
	if (rc)
		return err_set(err, rc, "pprof profile: %s",
			       cause.code ? cause.text : strerror(-rc));
	*out = TAKE(d.profile);
	return 0;
}

int pprof_decode(struct profile **out, const void *data, size_t len_bytes, struct err *err)
{
	if (!gzip_is(data, len_bytes)) {
		if (len_bytes > PPROF_MAX_BYTES)
			return err_set(err, -ENOSPC, "pprof profile: it is larger than 1 GiB");
		return decode_message(out, data, len_bytes, err);
	}
	AUTO_FINI(buf_fini) struct buf raw;
	buf_init(&raw, PPROF_MAX_BYTES);
	int rc = gzip_decompress(&raw, data, len_bytes, err);
	if (rc)
		return err_wrap(err, rc, "pprof profile");
	return decode_message(out, raw.data, raw.len_bytes, err);
}
