#include "symbolizer/gsym_builder.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/buf.h"
#include "base/hash.h"
#include "base/index.h"
#include "symbolizer/demangle.h"
#include "symbolizer/gsym_decode.h"
#include "symbolizer/gsym_encode.h"
#include "symbolizer/gsym_file.h"
#include "symbolizer/gsym_format.h"
#include "symbolizer/gsym_layout.h"

enum { NAME_OFF = 4 /* of the name in an encoded function */ };

/* The name of code that has none: LLVM's reader wants one. */
#define UNNAMED "[unnamed]"

struct added {
	uint64_t start_vaddr;
	uint32_t off, size_bytes; /* of its bytes in functions */
	uint32_t words_bytes;     /* of them those that come before LLVM's part */
	uint32_t code_bytes;      /* 0: up to the next function */
	enum gsym_source source;
};

struct gsym_builder {
	size_t max_bytes;
	/* Ids of strings are their offsets in the file. */
	struct buf strings;
	struct index string_index;
	uint32_t unnamed; /* string */
	struct gsym_source_file *files;
	size_t file_count, file_cap;
	struct index file_index;
	struct buf functions; /* encoded */
	struct added *added;
	size_t added_count, added_cap;
	struct index added_index; /* by start and source */
	struct gsym_encoder encoder;
};

void gsym_builder_free(struct gsym_builder *builder)
{
	if (!builder)
		return;
	buf_fini(&builder->strings);
	index_fini(&builder->string_index);
	free(builder->files);
	index_fini(&builder->file_index);
	buf_fini(&builder->functions);
	free(builder->added);
	index_fini(&builder->added_index);
	gsym_encoder_fini(&builder->encoder);
	free(builder);
}

int gsym_builder_new(struct gsym_builder **out, size_t max_bytes, struct err *err)
{
	AUTO(gsym_builder) builder = calloc(1, sizeof(*builder));
	if (!builder)
		return err_set(err, -ENOMEM, "GSYM builder: %m");
	builder->max_bytes = max_bytes;
	/* Offsets have 4 bytes. What max_bytes allows is added; cutting overlaps may need more. */
	buf_init(&builder->strings, UINT32_MAX);
	buf_init(&builder->functions, UINT32_MAX);
	gsym_encoder_init(&builder->encoder);
	index_init(&builder->string_index, UINT32_MAX - 1);
	index_init(&builder->file_index, UINT32_MAX - 1);
	index_init(&builder->added_index, UINT32_MAX - 1);
	uint32_t empty, none;
	int rc = gsym_builder_add_string(builder, "", 0, &empty);
	if (!rc)
		rc = gsym_builder_add_string(builder, UNNAMED, strlen(UNNAMED), &builder->unnamed);
	if (!rc)
		rc = gsym_builder_add_file(builder, 0, 0, &none);
	if (rc)
		return err_set(err, rc, "GSYM builder: %m");
	*out = TAKE(builder);
	return 0;
}

static size_t index_bytes(const struct index *index)
{
	return index->slots * (sizeof(*index->positions) + sizeof(*index->hashes));
}

/* What is held, and more_bytes. -ENOSPC: too much. */
static int check_room(const struct gsym_builder *builder, size_t more_bytes)
{
	size_t held_bytes = builder->strings.len_bytes + builder->functions.len_bytes +
			    builder->file_count * sizeof(*builder->files) +
			    builder->added_count * sizeof(*builder->added) +
			    index_bytes(&builder->string_index) +
			    index_bytes(&builder->file_index) + index_bytes(&builder->added_index);
	return held_bytes > builder->max_bytes || more_bytes > builder->max_bytes - held_bytes
		       ? -ENOSPC
		       : 0;
}

struct text {
	const char *bytes;
	size_t len_bytes;
};

static bool same_string(const void *ctx, uint32_t position, const void *key)
{
	const struct gsym_builder *builder = ctx;
	const struct text *text = key;
	return text->len_bytes < builder->strings.len_bytes - position &&
	       !memcmp(builder->strings.data + position, text->bytes, text->len_bytes) &&
	       !builder->strings.data[position + text->len_bytes];
}

int gsym_builder_add_string(struct gsym_builder *builder, const char *text, size_t len,
			    uint32_t *id)
{
	struct text wanted = {text, strnlen(text, len)};
	uint64_t hash = hash_bytes(wanted.bytes, wanted.len_bytes);
	uint32_t found = index_find(&builder->string_index, hash, same_string, builder, &wanted);
	if (found != INDEX_NONE) {
		*id = found;
		return 0;
	}
	uint32_t position = (uint32_t)builder->strings.len_bytes;
	int rc = check_room(builder, wanted.len_bytes + 1);
	if (!rc)
		rc = index_add(&builder->string_index, hash, position);
	if (rc)
		return rc;
	buf_append(&builder->strings, wanted.bytes, wanted.len_bytes);
	buf_append_u8(&builder->strings, 0);
	if (buf_error(&builder->strings))
		return buf_error(&builder->strings);
	*id = position;
	return 0;
}

static bool is_string(const struct gsym_builder *builder, uint32_t id)
{
	return id < builder->strings.len_bytes && (!id || !builder->strings.data[id - 1]);
}

static bool same_file(const void *ctx, uint32_t position, const void *key)
{
	const struct gsym_builder *builder = ctx;
	const struct gsym_source_file *wanted = key, *file = &builder->files[position];
	return file->directory == wanted->directory && file->base == wanted->base;
}

int gsym_builder_add_file(struct gsym_builder *builder, uint32_t directory, uint32_t base,
			  uint32_t *id)
{
	struct gsym_source_file wanted = {directory, base};
	uint64_t hash = hash_u64((uint64_t)directory << 32 | base);
	uint32_t found = index_find(&builder->file_index, hash, same_file, builder, &wanted);
	if (found != INDEX_NONE) {
		*id = found;
		return 0;
	}
	if (!is_string(builder, directory) || !is_string(builder, base))
		return -EINVAL;
	int rc = check_room(builder, sizeof(wanted));
	if (!rc)
		rc = ARRAY_RESERVE(builder->files, builder->file_cap, builder->file_count,
				   UINT32_MAX - 1);
	if (!rc)
		rc = index_add(&builder->file_index, hash, (uint32_t)builder->file_count);
	if (rc)
		return rc;
	*id = (uint32_t)builder->file_count;
	builder->files[builder->file_count++] = wanted;
	return 0;
}

static bool ids_exist(const struct gsym_builder *builder, const struct gsym_function *function)
{
	if (!is_string(builder, function->name))
		return false;
	for (size_t i = 0; i < function->line_count; i++)
		if (function->lines[i].file >= builder->file_count)
			return false;
	for (size_t i = 0; i < function->inline_count; i++)
		if (!is_string(builder, function->inlines[i].name) ||
		    function->inlines[i].call_file >= builder->file_count)
			return false;
	return true;
}

static uint64_t hash_start(uint64_t start_vaddr, enum gsym_source source)
{
	return hash_mix(source, start_vaddr);
}

static bool same_start(const void *ctx, uint32_t position, const void *key)
{
	const struct gsym_builder *builder = ctx;
	const struct added *wanted = key, *added = &builder->added[position];
	return added->start_vaddr == wanted->start_vaddr && added->source == wanted->source;
}

static struct added *find_added(const struct gsym_builder *builder, uint64_t start_vaddr,
				enum gsym_source source)
{
	struct added wanted = {.start_vaddr = start_vaddr, .source = source};
	uint32_t found = index_find(&builder->added_index, hash_start(start_vaddr, source),
				    same_start, builder, &wanted);
	return found == INDEX_NONE ? NULL : &builder->added[found];
}

static struct gsym_function_bytes bytes_of(const struct gsym_builder *builder,
					   const struct added *added)
{
	struct gsym_function_bytes function;
	struct reader r = reader_of(builder->functions.data + added->off, added->size_bytes);
	struct reader words = reader_sub(&r, added->words_bytes);
	(void)gsym_function_read(&function, r, &words);
	return function;
}

static void patch_name(struct gsym_builder *builder, const struct added *added, uint32_t name)
{
	size_t off = added->off + added->words_bytes + NAME_OFF;
	for (size_t i = 0; i < sizeof(name); i++)
		builder->functions.data[off + i] = (char)(name >> (8 * i));
}

/* Encode function, or only its bounds while its end is not known. */
static int encode(struct gsym_builder *builder, const struct gsym_function *function,
		  uint32_t flags, struct added *added)
{
	uint64_t code_bytes = function->range.end_vaddr - function->range.start_vaddr;
	struct gsym_function whole = *function;
	if (function->range.end_vaddr <= function->range.start_vaddr) {
		code_bytes = 0;
		whole.range.end_vaddr = whole.range.start_vaddr + 1;
	} else if (code_bytes > UINT32_MAX) {
		code_bytes = UINT32_MAX;
		whole.range.end_vaddr = whole.range.start_vaddr + code_bytes;
	}
	if (!whole.name)
		whole.name = builder->unnamed;
	size_t off = builder->functions.len_bytes;
	uint32_t words_bytes;
	int rc = gsym_encode(&builder->encoder, &builder->functions, &whole, flags, &words_bytes);
	if (rc)
		return rc;
	*added = (struct added){
		.start_vaddr = function->range.start_vaddr,
		.off = (uint32_t)off,
		.size_bytes = (uint32_t)(builder->functions.len_bytes - off),
		.words_bytes = words_bytes,
		.code_bytes = (uint32_t)code_bytes,
		.source = function->source,
	};
	return 0;
}

/* Compilers write a function of a header into every unit that uses it, and linkers keep one
 * copy to which all of them refer. Of such twins, and of functions that were folded into one,
 * what says more stays. */
static int replace(struct gsym_builder *builder, struct added *old,
		   const struct gsym_function *function, uint32_t flags)
{
	struct gsym_function_bytes before = bytes_of(builder, old);
	struct gsym_function twin = *function;
	/* Of symbols for one address the name that came first stays, whoever knows the lines. */
	if (function->source == GSYM_FROM_SYMBOL_TABLE)
		twin.name = before.name;
	uint32_t name = twin.name ? twin.name : builder->unnamed;
	flags |= before.flags & (GSYM_FLAG_FOLDED | GSYM_FLAG_NAME_WINS);
	if (name != before.name && function->source == GSYM_FROM_DWARF)
		flags |= GSYM_FLAG_FOLDED; /* symbols have aliases */
	struct added now;
	size_t begin = builder->functions.len_bytes;
	int rc = encode(builder, &twin, flags, &now);
	if (rc)
		return rc;
	bool is_better = now.size_bytes > old->size_bytes ||
			 (now.size_bytes == old->size_bytes && now.code_bytes > old->code_bytes);
	if (is_better) {
		*old = now;
		return 0;
	}
	builder->functions.len_bytes = begin;
	if (flags & GSYM_FLAG_FOLDED) {
		const uint8_t *word = bytes_of(builder, old).flags_word;
		builder->functions.data[word - (uint8_t *)builder->functions.data] |=
			GSYM_FLAG_FOLDED;
	}
	return 0;
}

int gsym_builder_add_function(struct gsym_builder *builder, const struct gsym_function *function)
{
	if (!ids_exist(builder, function))
		return -EINVAL;
	int rc = check_room(builder, sizeof(*builder->added));
	if (rc)
		return rc;
	uint32_t flags = function->name_wins ? GSYM_FLAG_NAME_WINS : 0;
	if (function->source == GSYM_FROM_UNWIND_ROWS || !function->name)
		flags |= GSYM_FLAG_MARK_ONLY;
	struct added *old = find_added(builder, function->range.start_vaddr, function->source);
	if (old)
		return replace(builder, old, function, flags);
	rc = ARRAY_RESERVE(builder->added, builder->added_cap, builder->added_count,
			   UINT32_MAX - 1);
	struct added *added = builder->added + builder->added_count;
	if (!rc)
		rc = encode(builder, function, flags, added);
	if (!rc)
		rc = index_add(&builder->added_index, hash_start(added->start_vaddr, added->source),
			       (uint32_t)builder->added_count);
	if (!rc)
		builder->added_count++;
	return rc;
}

static uint64_t end_of(const struct added *added)
{
	return added->start_vaddr + added->code_bytes;
}

/* A symbol that is mangled has the types of the arguments, and tells of a clone. */
static bool tells_more(const char *symbol, const char *name)
{
	return demangle_may_be(symbol) && !demangle_may_be(name);
}

static void take_symbol_names(struct gsym_builder *builder)
{
	for (size_t i = 0; i < builder->added_count; i++) {
		const struct added *added = &builder->added[i];
		if (added->source <= GSYM_FROM_SYMBOL_TABLE)
			continue;
		const struct added *symbol =
			find_added(builder, added->start_vaddr, GSYM_FROM_SYMBOL_TABLE);
		if (!symbol)
			continue;
		struct gsym_function_bytes function = bytes_of(builder, added);
		struct gsym_function_bytes names = bytes_of(builder, symbol);
		uint32_t symbol_name = names.name;
		if ((names.flags & GSYM_FLAG_NAME_WINS) || function.name == builder->unnamed ||
		    tells_more(builder->strings.data + symbol_name,
			       builder->strings.data + function.name))
			patch_name(builder, added, symbol_name);
	}
}

static int by_value(const void *a, const void *b)
{
	uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
	return (left > right) - (left < right);
}

static uint64_t next_above(const uint64_t *sorted, size_t count, uint64_t value)
{
	size_t low = 0, high = count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (sorted[middle] <= value)
			low = middle + 1;
		else
			high = middle;
	}
	return low < count ? sorted[low] : value + 1;
}

/* What has no end goes up to the next function; the last one is one byte. */
static int find_ends(struct gsym_builder *builder)
{
	bool has_all = true;
	for (size_t i = 0; i < builder->added_count; i++)
		has_all &= builder->added[i].code_bytes > 0;
	if (has_all)
		return 0;
	AUTO_MEM uint64_t *starts = malloc(builder->added_count * sizeof(*starts));
	if (!starts)
		return -ENOMEM;
	for (size_t i = 0; i < builder->added_count; i++)
		starts[i] = builder->added[i].start_vaddr;
	qsort(starts, builder->added_count, sizeof(*starts), by_value);
	for (size_t i = 0; i < builder->added_count; i++) {
		struct added *added = &builder->added[i];
		if (added->code_bytes)
			continue;
		uint64_t code_bytes = next_above(starts, builder->added_count, added->start_vaddr) -
				      added->start_vaddr;
		added->code_bytes = code_bytes < UINT32_MAX ? (uint32_t)code_bytes : UINT32_MAX;
	}
	return 0;
}

static int lay_out(struct gsym_builder *builder, struct gsym_piece **pieces, size_t *piece_count)
{
	AUTO_MEM struct gsym_claim *claims = malloc((builder->added_count + 1) * sizeof(*claims));
	if (!claims)
		return -ENOMEM;
	for (size_t i = 0; i < builder->added_count; i++) {
		const struct added *added = &builder->added[i];
		claims[i] = (struct gsym_claim){
			.range = {added->start_vaddr, end_of(added)},
			.source = added->source,
			.function = (uint32_t)i,
		};
	}
	return gsym_layout(claims, builder->added_count, pieces, piece_count);
}

/* A function taken out of its bytes again, to be cut. */
struct parts {
	struct gsym_line *lines;
	size_t line_count, line_cap;
	struct gsym_inline *calls;
	size_t call_count, call_cap;
	struct gsym_range *ranges;
	size_t range_count, range_cap;
};

static void parts_fini(struct parts *parts)
{
	free(parts->lines);
	free(parts->calls);
	free(parts->ranges);
}

static int take_call(struct parts *parts, struct gsym_call_walk *walk)
{
	size_t first = parts->range_count;
	for (uint64_t i = 0; i < walk->range_count; i++) {
		int rc = ARRAY_RESERVE(parts->ranges, parts->range_cap, parts->range_count,
				       UINT32_MAX);
		if (rc)
			return rc;
		parts->ranges[parts->range_count++] = gsym_call_range(walk);
	}
	int rc = ARRAY_RESERVE(parts->calls, parts->call_cap, parts->call_count, UINT32_MAX);
	if (!rc)
		parts->calls[parts->call_count++] = (struct gsym_inline){
			.name = walk->name,
			.call_file = walk->call_file,
			.call_line = walk->call_line,
			.depth = walk->depth,
			.first_range = (uint32_t)first,
			.range_count = (uint32_t)walk->range_count,
		};
	return rc;
}

static int take_parts(struct parts *parts, const struct gsym_function_bytes *function,
		      uint64_t start_vaddr)
{
	struct gsym_line_walk lines;
	for (gsym_line_begin(&lines, function->lines, start_vaddr); gsym_line_next(&lines);) {
		int rc =
			ARRAY_RESERVE(parts->lines, parts->line_cap, parts->line_count, UINT32_MAX);
		if (rc)
			return rc;
		parts->lines[parts->line_count++] = lines.row;
	}
	struct gsym_call_walk calls;
	for (gsym_call_begin(&calls, function->calls, start_vaddr); gsym_call_next(&calls);) {
		int rc = calls.depth ? take_call(parts, &calls) : 0;
		if (rc)
			return rc;
	}
	return 0;
}

static struct gsym_placed placed_of(const struct added *added, uint64_t start_vaddr)
{
	return (struct gsym_placed){
		.start_vaddr = start_vaddr,
		.off = added->off,
		.size_bytes = added->size_bytes,
		.words_bytes = added->words_bytes,
	};
}

/* Encode the part of a function that is left to it. */
static int cut(struct gsym_builder *builder, const struct added *added,
	       const struct gsym_piece *piece, struct gsym_placed *placed)
{
	struct gsym_function_bytes bytes = bytes_of(builder, added);
	AUTO_FINI(parts_fini) struct parts parts = {0};
	int rc = take_parts(&parts, &bytes, added->start_vaddr);
	if (rc)
		return rc;
	struct gsym_function function = {
		.range = piece->range,
		.name = bytes.name,
		.source = added->source,
		.lines = parts.lines,
		.line_count = parts.line_count,
		.inlines = parts.calls,
		.inline_count = parts.call_count,
		.ranges = parts.ranges,
	};
	struct added now;
	rc = encode(builder, &function, bytes.flags, &now);
	if (!rc)
		*placed = placed_of(&now, piece->range.start_vaddr);
	return rc;
}

static int place(struct gsym_builder *builder, const struct gsym_piece *pieces, size_t piece_count,
		 struct gsym_placed *placed)
{
	for (size_t i = 0; i < piece_count; i++) {
		const struct added *added = &builder->added[pieces[i].function];
		struct gsym_function_bytes bytes = bytes_of(builder, added);
		bool is_whole = pieces[i].range.start_vaddr == added->start_vaddr &&
				pieces[i].range.end_vaddr == added->start_vaddr + bytes.size_bytes;
		placed[i] = placed_of(added, added->start_vaddr);
		int rc = is_whole ? 0 : cut(builder, added, &pieces[i], &placed[i]);
		if (rc)
			return rc;
	}
	return 0;
}

int gsym_builder_write(struct gsym_builder *builder, int fd, const uint8_t *build_id,
		       size_t build_id_bytes, struct err *err)
{
	AUTO_MEM struct gsym_piece *pieces = NULL;
	size_t piece_count = 0;
	take_symbol_names(builder);
	int rc = find_ends(builder);
	if (!rc)
		rc = lay_out(builder, &pieces, &piece_count);
	if (rc)
		return err_set(err, rc, "sort functions: %m");
	AUTO_MEM struct gsym_placed *placed = malloc((piece_count + 1) * sizeof(*placed));
	if (!placed)
		return err_set(err, -ENOMEM, "sort functions: %m");
	rc = place(builder, pieces, piece_count, placed);
	if (rc)
		return err_set(err, rc, "cut functions that overlap: %m");
	uint32_t sources = 0;
	for (size_t i = 0; i < piece_count; i++)
		sources |= 1u << builder->added[pieces[i].function].source;
	const struct gsym_contents contents = {
		.placed = placed,
		.placed_count = piece_count,
		.functions = &builder->functions,
		.files = builder->files,
		.file_count = builder->file_count,
		.strings = &builder->strings,
		.build_id = build_id,
		.sources = sources,
		.build_id_bytes =
			build_id_bytes < GSYM_UUID_MAX_BYTES ? build_id_bytes : GSYM_UUID_MAX_BYTES,
	};
	return gsym_file_write(&contents, fd, err);
}
