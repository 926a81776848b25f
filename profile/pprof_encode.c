#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <profile/profile.pb-c.h>

#include "base/array.h"
#include "base/group.h"
#include "base/gzip.h"
#include "base/sat.h"
#include "base/utf8.h"
#include "profile/frames.h"
#include "profile/pprof.h"
#include "profile/pprof_wire.h"
#include "profile/preorder.h"

enum { GZIP_LEVEL = 6 };

/* What the locations that are written say about a mapping. */
struct mapping_use {
	bool is_used;
	/* For pprof any of these means that nothing is left to look up, and it then leaves the
	 * mapping alone. What we could not name it would not name either, while it may well replace
	 * our inlined calls by what the symbol table says. So one name is enough for the first;
	 * files and lines are promised for all.
	 * https://github.com/google/pprof/blob/v0.0.0-20230602150820-91b7bce49751/internal/symbolizer/symbolizer.go#L316 */
	bool has_functions, has_inlines;
	bool lacks_filenames, lacks_lines;
	uint64_t start_vaddr, limit_vaddr; /* range of the addresses; 0, 0: none */
	int64_t weight;                    /* of samples whose program this is */
};

struct encoder {
	const struct profile *profile;
	struct buf raw;         /* the message, one field after another */
	struct strtab strings;  /* the message's string table */
	uint32_t *string_of;    /* by the profile's string: that table's; 0: not yet */
	struct strtab unnamed;  /* names made for locations without lines */
	struct buf name;        /* such a name, while it is made */
	struct buf text;        /* a string, while it is made UTF-8 */
	bool *stack_is_used;    /* by stack */
	bool *location_is_used; /* by location */
	bool *function_is_used; /* by function */
	struct mapping_use *mappings;
	uint32_t *order; /* samples by stack, depth first, then by thread, then by wait */
	uint64_t *chain; /* location ids of a sample */
	size_t chain_cap;
	int error; /* sticky */
};

static void fini_encoder(struct encoder *e)
{
	buf_fini(&e->raw);
	strtab_fini(&e->strings);
	free(e->string_of);
	strtab_fini(&e->unnamed);
	buf_fini(&e->name);
	buf_fini(&e->text);
	free(e->stack_is_used);
	free(e->location_is_used);
	free(e->function_is_used);
	free(e->mappings);
	free(e->order);
	free(e->chain);
}

static int init_encoder(struct encoder *e)
{
	const struct profile *profile = e->profile;
	buf_init(&e->raw, PPROF_MAX_BYTES);
	buf_init(&e->name, PPROF_MAX_UNNAMED_BYTES);
	buf_init(&e->text, PPROF_MAX_BYTES);
	e->string_of = calloc(profile->strings.count, sizeof(*e->string_of));
	e->stack_is_used = calloc(profile->stack_count, sizeof(*e->stack_is_used));
	e->location_is_used = calloc(profile->location_count, sizeof(*e->location_is_used));
	e->function_is_used = calloc(profile->function_count, sizeof(*e->function_is_used));
	e->mappings = calloc(profile->mapping_count, sizeof(*e->mappings));
	e->order = calloc(profile->sample_count + 1, sizeof(*e->order));
	if (!e->string_of || !e->stack_is_used || !e->location_is_used || !e->function_is_used ||
	    !e->mappings || !e->order)
		return -ENOMEM;
	int rc = strtab_init(&e->strings, PROFILE_MAX_ENTRIES, PPROF_MAX_BYTES);
	return rc ? rc : strtab_init(&e->unnamed, PROFILE_MAX_ENTRIES, PPROF_MAX_BYTES);
}

/* The index of a text in the message's string table. Proto3 strings are UTF-8, and many
 * readers refuse a message with other bytes. */
static int64_t text_index(struct encoder *e, const char *text)
{
	uint32_t id = 0;
	buf_clear(&e->text);
	utf8_append(&e->text, text);
	int rc = buf_error(&e->text);
	if (!rc && e->text.len_bytes)
		rc = strtab_add_bytes(&e->strings, e->text.data, e->text.len_bytes, &id);
	if (rc && !e->error)
		e->error = rc;
	return id;
}

static int64_t string_index(struct encoder *e, uint32_t string)
{
	if (string && !e->string_of[string])
		e->string_of[string] = (uint32_t)text_index(e, profile_string(e->profile, string));
	return e->string_of[string];
}

/* One element of a repeated message field, so that no tree of all messages is ever made. */
static void append_message(struct encoder *e, uint32_t field, const ProtobufCMessage *message)
{
	size_t len_bytes = protobuf_c_message_get_packed_size(message);
	buf_append_varint(&e->raw, field << 3 | WIRE_BYTES);
	buf_append_varint(&e->raw, len_bytes);
	uint8_t *room = buf_extend(&e->raw, len_bytes);
	if (room)
		protobuf_c_message_pack(message, room);
}

static void widen(struct mapping_use *use, uint64_t vaddr)
{
	if (!vaddr)
		return;
	if (!use->limit_vaddr || vaddr < use->start_vaddr)
		use->start_vaddr = vaddr;
	if (vaddr >= use->limit_vaddr)
		use->limit_vaddr = vaddr < UINT64_MAX ? vaddr + 1 : vaddr;
}

static void mark_location(struct encoder *e, uint32_t id)
{
	const struct profile *profile = e->profile;
	const struct profile_location *location = &profile->locations[id];
	struct mapping_use *use = &e->mappings[location->mapping];
	e->location_is_used[id] = true;
	use->is_used = true;
	use->has_functions |= location->line_count > 0;
	use->lacks_filenames |= !location->line_count;
	use->lacks_lines |= !location->line_count;
	use->has_inlines |= location->line_count > 1;
	widen(use, location->vaddr);
	for (uint32_t i = 0; i < location->line_count; i++) {
		const struct profile_line *line = &profile->lines[location->first_line + i];
		e->function_is_used[line->function] = true;
		use->lacks_filenames |= !profile->functions[line->function].filename;
		use->lacks_lines |= !line->line;
	}
}

/* What the samples reach; the rest of the tables is not written. */
static void mark_used(struct encoder *e)
{
	const struct profile *profile = e->profile;
	for (size_t i = 0; i < profile->sample_count; i++)
		e->stack_is_used[profile->samples[i].stack] = true;
	for (size_t i = profile->stack_count - 1; i > 0; i--) {
		const struct profile_stack *stack = &profile->stacks[i];
		if (!e->stack_is_used[i])
			continue;
		e->stack_is_used[stack->parent] = true;
		if (!e->location_is_used[stack->location])
			mark_location(e, stack->location);
	}
}

static bool is_program(const struct profile *profile, uint32_t mapping)
{
	const char *filename = profile_string(profile, profile->mappings[mapping].filename);
	const char *suffix = strstr(filename, ".so"); /* "libc.so.6" */
	bool is_library = suffix && (!suffix[3] || suffix[3] == '.');
	return filename[0] && filename[0] != '[' && !is_library;
}

/* The program of a stack is its outermost mapping that is neither library nor kernel. */
static int weigh_programs(struct encoder *e)
{
	const struct profile *profile = e->profile;
	AUTO_MEM uint32_t *program = calloc(profile->stack_count, sizeof(*program));
	if (!program)
		return -ENOMEM;
	for (size_t i = 1; i < profile->stack_count; i++) {
		const struct profile_stack *stack = &profile->stacks[i];
		uint32_t mapping = profile->locations[stack->location].mapping;
		program[i] = program[stack->parent];
		if (!program[i] && is_program(profile, mapping))
			program[i] = mapping;
	}
	for (size_t i = 0; i < profile->sample_count; i++) {
		struct mapping_use *use = &e->mappings[program[profile->samples[i].stack]];
		use->weight = sat_add_i64(use->weight, profile->samples[i].weight);
	}
	return 0;
}

static size_t most(size_t a, size_t b)
{
	return a > b ? a : b;
}

/* Neighbours in this order share long prefixes, which compresses well. */
static int order_samples(struct encoder *e)
{
	const struct profile *profile = e->profile;
	size_t count = profile->sample_count;
	size_t keys = most(profile->stack_count, most(profile->thread_count, profile->wait_count));
	AUTO_MEM uint32_t *stacks = malloc(profile->stack_count * sizeof(*stacks));
	AUTO_MEM uint32_t *positions = malloc(profile->stack_count * sizeof(*positions));
	AUTO_MEM uint32_t *key = malloc((count + 1) * sizeof(*key));
	AUTO_MEM uint32_t *by_wait = malloc((count + 1) * sizeof(*by_wait));
	AUTO_MEM uint32_t *by_thread = malloc((count + 1) * sizeof(*by_thread));
	AUTO_MEM uint32_t *starts = malloc((keys + 1) * sizeof(*starts));
	if (!stacks || !positions || !key || !by_wait || !by_thread || !starts)
		return -ENOMEM;
	int rc = preorder_stacks(profile, stacks);
	if (rc)
		return rc;
	for (size_t i = 0; i < profile->stack_count; i++)
		positions[stacks[i]] = (uint32_t)i;
	for (size_t i = 0; i < count; i++)
		key[i] = profile->samples[i].wait;
	group_by_key(count, NULL, key, profile->wait_count, starts, by_wait);
	for (size_t i = 0; i < count; i++)
		key[i] = profile->samples[i].thread;
	group_by_key(count, by_wait, key, profile->thread_count, starts, by_thread);
	for (size_t i = 0; i < count; i++)
		key[i] = positions[profile->samples[i].stack];
	group_by_key(count, by_thread, key, profile->stack_count, starts, e->order);
	return 0;
}

/* Leaf first, as both sides have it. */
static size_t chain_of(struct encoder *e, uint32_t stack)
{
	size_t count = 0;
	for (; stack; stack = e->profile->stacks[stack].parent) {
		int rc = ARRAY_RESERVE(e->chain, e->chain_cap, count, PROFILE_MAX_ENTRIES);
		if (rc) {
			e->error = rc;
			return 0;
		}
		e->chain[count++] = e->profile->stacks[stack].location;
	}
	return count;
}

enum { MAX_FIELD_LABELS = 6 }; /* pid, tid, thread, reason, waits_on, idle */

/* A label of that key, or NULL when there is one: a message may not have two. */
static Hearth__Pprof__Label *add_label(Hearth__Pprof__Label *labels, size_t *count, int64_t key)
{
	for (size_t i = 0; i < *count; i++)
		if (labels[i].key == key)
			return NULL;
	Hearth__Pprof__Label *label = &labels[(*count)++];
	hearth__pprof__label__init(label);
	label->key = key;
	return label;
}

static void add_number(struct encoder *e, Hearth__Pprof__Label *labels, size_t *count,
		       const char *key, uint32_t value)
{
	Hearth__Pprof__Label *label = value ? add_label(labels, count, text_index(e, key)) : NULL;
	if (label)
		label->num = value;
}

/* key and value by their indexes in the message's string table */
static void add_text(Hearth__Pprof__Label *labels, size_t *count, int64_t key, int64_t value)
{
	/* An empty text cannot be told from the number 0, and means the same as no label. */
	Hearth__Pprof__Label *label = value ? add_label(labels, count, key) : NULL;
	if (label)
		label->str = value;
}

static void wait_labels(struct encoder *e, uint32_t wait, Hearth__Pprof__Label *labels,
			size_t *count)
{
	static const char *const keys[] = {"reason", "waits_on", "idle"};
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		const char *value = profile_wait_label(e->profile, wait, keys[i]);
		if (value)
			add_text(labels, count, text_index(e, keys[i]), text_index(e, value));
	}
}

static size_t labels_of(struct encoder *e, const struct profile_sample *sample,
			Hearth__Pprof__Label *labels)
{
	const struct profile *profile = e->profile;
	const struct profile_thread *thread = &profile->threads[sample->thread];
	const struct profile_label_set *set = &profile->label_sets[thread->label_set];
	size_t count = 0;
	wait_labels(e, sample->wait, labels, &count);
	add_number(e, labels, &count, "pid", thread->pid);
	add_number(e, labels, &count, "tid", thread->tid);
	add_text(labels, &count, text_index(e, "thread"), string_index(e, thread->name));
	for (uint32_t i = 0; i < set->count; i++) {
		const struct profile_label *label = &profile->labels[set->first + i];
		add_text(labels, &count, string_index(e, label->key),
			 string_index(e, label->value));
	}
	return count;
}

/* Are the weights themselves counts of samples, as in folded text? */
static bool has_one_column(const struct profile *profile)
{
	return !strcmp(profile_string(profile, profile->type_text), "samples") &&
	       !strcmp(profile_string(profile, profile->unit), "count");
}

/* One for all samples like it, with the sums of theirs. */
static int write_sample(struct encoder *e, const struct profile_sample *like, uint64_t count,
			int64_t weight)
{
	uint32_t label_set = e->profile->threads[like->thread].label_set;
	size_t room = e->profile->label_sets[label_set].count + MAX_FIELD_LABELS;
	AUTO_MEM Hearth__Pprof__Label *labels = malloc(room * sizeof(*labels));
	AUTO_MEM Hearth__Pprof__Label **pointers = malloc(room * sizeof(*pointers));
	if (!labels || !pointers)
		return -ENOMEM;
	for (size_t i = 0; i < room; i++)
		pointers[i] = &labels[i];
	int64_t values[] = {count < INT64_MAX ? (int64_t)count : INT64_MAX, weight};
	bool one = has_one_column(e->profile);
	Hearth__Pprof__Sample sample = HEARTH__PPROF__SAMPLE__INIT;
	sample.n_label = labels_of(e, like, labels);
	sample.label = pointers;
	sample.n_location_id = chain_of(e, like->stack);
	sample.location_id = e->chain;
	sample.value = one ? &values[1] : values;
	sample.n_value = one ? 1 : 2;
	append_message(e, PPROF_SAMPLE, &sample.base);
	return 0;
}

static int write_samples(struct encoder *e)
{
	const struct profile *profile = e->profile;
	for (size_t i = 0; i < profile->sample_count;) {
		const struct profile_sample *first = &profile->samples[e->order[i]];
		int64_t weight = 0;
		uint64_t count = 0;
		for (; i < profile->sample_count; i++) {
			const struct profile_sample *next = &profile->samples[e->order[i]];
			if (next->stack != first->stack || next->thread != first->thread ||
			    next->wait != first->wait)
				break;
			weight = sat_add_i64(weight, next->weight);
			count = sat_add_u64(count, next->count);
		}
		int rc = write_sample(e, first, count, weight);
		if (rc)
			return rc;
	}
	return 0;
}

/* A location's address must be inside its mapping. */
static void write_mapping(struct encoder *e, uint32_t id)
{
	const struct profile_mapping *mapping = &e->profile->mappings[id];
	const struct mapping_use *use = &e->mappings[id];
	Hearth__Pprof__Mapping m = HEARTH__PPROF__MAPPING__INIT;
	m.id = id;
	m.memory_start = mapping->start_vaddr;
	m.memory_limit = mapping->limit_vaddr;
	m.file_offset = mapping->file_off;
	if (!m.memory_limit)
		m.memory_start = use->start_vaddr;
	if (use->limit_vaddr && use->start_vaddr < m.memory_start) {
		uint64_t moved = m.memory_start - use->start_vaddr;
		m.memory_start = use->start_vaddr;
		m.file_offset -= moved < m.file_offset ? moved : m.file_offset;
	}
	if (use->limit_vaddr > m.memory_limit)
		m.memory_limit = use->limit_vaddr;
	m.filename = string_index(e, mapping->filename);
	m.build_id = string_index(e, mapping->build_id);
	m.has_functions = use->has_functions;
	m.has_filenames = use->is_used && !use->lacks_filenames;
	m.has_line_numbers = use->is_used && !use->lacks_lines;
	m.has_inline_frames = use->has_inlines;
	append_message(e, PPROF_MAPPING, &m.base);
}

/* The heaviest program comes first: tools name the profile after it. */
static void write_mappings(struct encoder *e)
{
	uint32_t main_program = 0;
	for (uint32_t i = 1; i < e->profile->mapping_count; i++)
		if (e->mappings[i].weight > (main_program ? e->mappings[main_program].weight : 0))
			main_program = i;
	if (main_program)
		write_mapping(e, main_program);
	for (uint32_t i = 1; i < e->profile->mapping_count; i++)
		if (e->mappings[i].is_used && i != main_program)
			write_mapping(e, i);
}

/* Ids of functions are one more than ours, as 0 is reserved; made-up ones come behind. */
static uint64_t unnamed_function(struct encoder *e, const struct profile_location *location)
{
	uint32_t name = 0;
	buf_clear(&e->name);
	frame_unnamed(&e->name, e->profile, location);
	int rc = buf_error(&e->name);
	if (!rc)
		rc = strtab_add_bytes(&e->unnamed, e->name.data, e->name.len_bytes, &name);
	if (rc && !e->error)
		e->error = rc;
	return e->profile->function_count + 1 + name;
}

static int write_location(struct encoder *e, uint32_t id)
{
	const struct profile_location *location = &e->profile->locations[id];
	static const Hearth__Pprof__Line empty = HEARTH__PPROF__LINE__INIT;
	size_t count = location->line_count ? location->line_count : 1;
	AUTO_MEM Hearth__Pprof__Line *lines = malloc(count * sizeof(*lines));
	AUTO_MEM Hearth__Pprof__Line **pointers = malloc(count * sizeof(*pointers));
	if (!lines || !pointers)
		return -ENOMEM;
	lines[0] = empty;
	if (!location->line_count)
		lines[0].function_id = unnamed_function(e, location);
	for (uint32_t i = 0; i < location->line_count; i++) {
		const struct profile_line *line = &e->profile->lines[location->first_line + i];
		lines[i] = empty;
		lines[i].function_id = (uint64_t)line->function + 1;
		lines[i].line = line->line;
		lines[i].column = line->column;
	}
	for (size_t i = 0; i < count; i++)
		pointers[i] = &lines[i];
	Hearth__Pprof__Location l = HEARTH__PPROF__LOCATION__INIT;
	l.id = id;
	l.mapping_id = location->mapping;
	l.address = location->vaddr;
	l.is_folded = location->is_folded;
	l.line = pointers;
	l.n_line = count;
	append_message(e, PPROF_LOCATION, &l.base);
	return 0;
}

static int write_locations(struct encoder *e)
{
	int rc = 0;
	for (uint32_t i = 1; !rc && i < e->profile->location_count; i++)
		if (e->location_is_used[i])
			rc = write_location(e, i);
	return rc;
}

static void write_functions(struct encoder *e)
{
	Hearth__Pprof__Function f = HEARTH__PPROF__FUNCTION__INIT;
	for (size_t i = 0; i < e->profile->function_count; i++) {
		const struct profile_function *function = &e->profile->functions[i];
		if (!e->function_is_used[i])
			continue;
		f.id = i + 1;
		f.name = string_index(e, function->name);
		f.system_name = string_index(e, function->system_name);
		f.filename = string_index(e, function->filename);
		f.start_line = function->start_line;
		append_message(e, PPROF_FUNCTION, &f.base);
	}
	hearth__pprof__function__init(&f);
	for (uint32_t i = 1; i < e->unnamed.count; i++) {
		f.id = e->profile->function_count + 1 + i;
		f.name = text_index(e, strtab_get(&e->unnamed, i));
		f.system_name = f.name;
		append_message(e, PPROF_FUNCTION, &f.base);
	}
}

/* The fields of the profile itself. Concatenated messages are one, so it may stand anywhere. */
static void write_head(struct encoder *e)
{
	const struct profile *profile = e->profile;
	Hearth__Pprof__ValueType count = HEARTH__PPROF__VALUE_TYPE__INIT;
	Hearth__Pprof__ValueType weight = HEARTH__PPROF__VALUE_TYPE__INIT;
	Hearth__Pprof__ValueType *types[] = {&count, &weight};
	count.type = text_index(e, "samples");
	count.unit = text_index(e, "count");
	weight.type = string_index(e, profile->type_text);
	weight.unit = string_index(e, profile->unit);
	Hearth__Pprof__Profile head = HEARTH__PPROF__PROFILE__INIT;
	head.sample_type = types;
	head.n_sample_type = has_one_column(profile) ? 1 : 2;
	head.period_type = &weight;
	head.period = profile->period_ns;
	head.default_sample_type = weight.type;
	head.time_nanos = profile->start_unix_ns;
	head.duration_nanos = profile->duration_ns;
	uint8_t *room = buf_extend(&e->raw, hearth__pprof__profile__get_packed_size(&head));
	if (room)
		hearth__pprof__profile__pack(&head, room);
}

static void write_strings(struct encoder *e)
{
	for (uint32_t i = 0; i < e->strings.count; i++) {
		const char *text = strtab_get(&e->strings, i);
		size_t len_bytes = strlen(text);
		buf_append_varint(&e->raw, PPROF_STRING_TABLE << 3 | WIRE_BYTES);
		buf_append_varint(&e->raw, len_bytes);
		buf_append(&e->raw, text, len_bytes);
	}
}

static int write_message(struct encoder *e)
{
	write_head(e);
	int rc = write_samples(e);
	if (rc)
		return rc;
	write_mappings(e);
	rc = write_locations(e);
	if (rc)
		return rc;
	write_functions(e);
	write_strings(e);
	return e->error ? e->error : buf_error(&e->raw);
}

int pprof_encode(struct buf *out, const struct profile *profile, struct err *err)
{
	AUTO_FINI(fini_encoder) struct encoder e = {.profile = profile};
	int rc = init_encoder(&e);
	if (!rc)
		rc = weigh_programs(&e);
	if (!rc)
		rc = order_samples(&e);
	if (!rc) {
		mark_used(&e);
		rc = write_message(&e);
	}
	if (rc)
		return err_set(err, rc, "write a pprof profile: %m");
	return gzip_compress(out, e.raw.data, e.raw.len_bytes, GZIP_LEVEL, err);
}
