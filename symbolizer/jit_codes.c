#include "symbolizer/jit_codes.h"

#include <errno.h>
#include <string.h>

#include "base/array.h"
#include "base/map.h"
#include "base/strtab.h"
#include "symbolizer/jit_ranges.h"

/* Additions are laid over what is known in bulk. */
enum { MAX_ADDED = 1 << 16 };

/* A sample is named a few seconds after it was taken at the latest. */
static const uint64_t HISTORY_NS = 10 * UINT64_C(1000000000);
enum { MAX_REPLACED = 1 << 16 };

const struct jit_limits jit_default_limits = {
	.codes = 1 << 19,
	.lines = 1 << 20,
	.text_bytes = 24 << 20,
};

struct code {
	uint64_t start_ip;
	uint64_t from_mono_ns;
	uint32_t serial; /* in the order of arrival */
	uint32_t name;   /* string */
	uint32_t first_line;
	uint32_t line_count;
};

struct line {
	uint32_t off;
	uint32_t line;
	uint32_t file; /* string */
};

/* A range that another one was laid over. */
struct replaced {
	struct jit_range range;
	uint64_t until_mono_ns;
};

/* Codes are positions, and may be there more than once in ranges; code + 1 in maps. */
struct jit_codes {
	struct jit_limits limits;
	struct strtab texts;
	struct code *codes;
	struct line *lines;
	size_t code_count, code_cap, line_count, line_cap;
	struct jit_ranges now;
	struct replaced *replaced;
	size_t replaced_count, replaced_cap;
	struct jit_range *added; /* since the last settle, in order */
	size_t added_count, added_cap;
	struct map added_by_start;
	uint64_t newest_mono_ns;
	uint32_t serial; /* of the last one added */
	uint64_t refused;
	bool is_full; /* to make room did not make enough */
};

static int init_texts(struct strtab *texts, const struct jit_limits *limits)
{
	return strtab_init(texts, limits->codes + limits->lines + 1, limits->text_bytes);
}

int jit_codes_new(struct jit_codes **out, const struct jit_limits *limits)
{
	AUTO(jit_codes) codes = calloc(1, sizeof(*codes));
	if (!codes)
		return -ENOMEM;
	codes->limits = limits ? *limits : jit_default_limits;
	map_init(&codes->added_by_start, MAX_ADDED);
	int rc = init_texts(&codes->texts, &codes->limits);
	if (rc)
		return rc;
	*out = TAKE(codes);
	return 0;
}

void jit_codes_free(struct jit_codes *codes)
{
	if (!codes)
		return;
	strtab_fini(&codes->texts);
	map_fini(&codes->added_by_start);
	jit_ranges_fini(&codes->now);
	free(codes->codes);
	free(codes->lines);
	free(codes->replaced);
	free(codes->added);
	free(codes);
}

size_t jit_codes_count(const struct jit_codes *codes)
{
	return codes->now.count;
}

uint64_t jit_codes_refused(const struct jit_codes *codes)
{
	return codes->refused;
}

size_t jit_codes_bytes(const struct jit_codes *codes)
{
	/* Per text: a pointer, an entry of the index, and what malloc(3) adds. */
	return sizeof(*codes) + codes->texts.total_bytes + 40 * codes->texts.count +
	       codes->code_cap * sizeof(*codes->codes) + codes->line_cap * sizeof(*codes->lines) +
	       codes->now.count * sizeof(*codes->now.items) +
	       codes->replaced_cap * sizeof(*codes->replaced) +
	       codes->added_cap * sizeof(*codes->added);
}

/* --- laying new code over old --- */

/* History is a help, never a reason to fail. */
static void keep_replaced(void *ctx, const struct jit_range *part, const struct jit_range *over)
{
	struct jit_codes *codes = ctx;
	uint64_t until_mono_ns = codes->codes[over->code].from_mono_ns;
	if (codes->codes[part->code].from_mono_ns >= until_mono_ns ||
	    ARRAY_RESERVE(codes->replaced, codes->replaced_cap, codes->replaced_count,
			  MAX_REPLACED))
		return;
	codes->replaced[codes->replaced_count++] = (struct replaced){*part, until_mono_ns};
}

static void forget_history(struct jit_codes *codes)
{
	size_t kept = 0;
	for (size_t i = 0; i < codes->replaced_count; i++)
		if (codes->newest_mono_ns - codes->replaced[i].until_mono_ns <= HISTORY_NS)
			codes->replaced[kept++] = codes->replaced[i];
	/* Full all the same: the older half goes, so that the news has a place. */
	if (kept > MAX_REPLACED / 2) {
		size_t gone = kept - MAX_REPLACED / 2;
		kept -= gone;
		memmove(codes->replaced, codes->replaced + gone, kept * sizeof(*codes->replaced));
	}
	codes->replaced_count = kept;
}

static int lay_added(struct jit_codes *codes)
{
	AUTO_FINI(jit_ranges_fini) struct jit_ranges added = {0};
	forget_history(codes);
	int rc = jit_ranges_flatten(codes->added, codes->added_count, keep_replaced, codes, &added);
	struct jit_ranges both;
	if (!rc)
		rc = jit_ranges_overlay(&codes->now, &added, keep_replaced, codes, &both);
	if (rc)
		return rc;
	jit_ranges_fini(&codes->now);
	codes->now = both;
	return 0;
}

int jit_codes_settle(struct jit_codes *codes)
{
	if (!codes->added_count)
		return 0;
	int rc = lay_added(codes);
	codes->added_count = 0;
	map_fini(&codes->added_by_start);
	map_init(&codes->added_by_start, MAX_ADDED);
	return rc;
}

/* --- making room --- */

/* The tables anew, with only what is still in use. */
struct renewal {
	const struct jit_codes *from;
	struct strtab texts;
	uint32_t *moved; /* by old position: new one + 1; 0: not moved yet */
	struct code *codes;
	struct line *lines;
	size_t code_count, line_count;
};

static void fini_renewal(struct renewal *renewal)
{
	strtab_fini(&renewal->texts);
	free(renewal->moved);
	free(renewal->codes);
	free(renewal->lines);
}

static int move_text(struct renewal *renewal, uint32_t *text)
{
	return strtab_add(&renewal->texts, strtab_get(&renewal->from->texts, *text), text);
}

static int move_code(struct renewal *renewal, uint32_t *position)
{
	uint32_t *moved = &renewal->moved[*position];
	if (!*moved) {
		struct code code = renewal->from->codes[*position];
		uint32_t from = code.first_line;
		code.first_line = (uint32_t)renewal->line_count;
		int rc = move_text(renewal, &code.name);
		for (uint32_t i = 0; i < code.line_count && !rc; i++) {
			struct line *line = &renewal->lines[renewal->line_count++];
			*line = renewal->from->lines[from + i];
			rc = move_text(renewal, &line->file);
		}
		if (rc)
			return rc;
		renewal->codes[renewal->code_count++] = code;
		*moved = (uint32_t)renewal->code_count;
	}
	*position = *moved - 1;
	return 0;
}

static int move_used(struct jit_codes *codes, struct renewal *renewal)
{
	int rc = 0;
	for (size_t i = 0; i < codes->now.count && !rc; i++)
		rc = move_code(renewal, &codes->now.items[i].code);
	for (size_t i = 0; i < codes->replaced_count && !rc; i++)
		rc = move_code(renewal, &codes->replaced[i].range.code);
	return rc;
}

static void take_renewed(struct jit_codes *codes, struct renewal *renewal)
{
	struct renewal old = {.texts = codes->texts, .codes = codes->codes, .lines = codes->lines};
	codes->texts = renewal->texts;
	codes->codes = renewal->codes;
	codes->lines = renewal->lines;
	codes->code_cap = codes->code_count + 1;
	codes->line_cap = codes->line_count + 1;
	codes->code_count = renewal->code_count;
	codes->line_count = renewal->line_count;
	renewal->texts = old.texts;
	renewal->codes = old.codes;
	renewal->lines = old.lines;
}

/* A quarter must be free after it, or the next time would come too soon. */
static bool has_room(const struct jit_codes *codes)
{
	const struct jit_limits *limits = &codes->limits;
	return codes->code_count <= limits->codes / 4 * 3 &&
	       codes->line_count <= limits->lines / 4 * 3 &&
	       codes->texts.total_bytes <= limits->text_bytes / 4 * 3;
}

static int make_room(struct jit_codes *codes)
{
	int rc = jit_codes_settle(codes);
	if (rc)
		return rc;
	AUTO_FINI(fini_renewal)
	struct renewal renewal = {
		.from = codes,
		.moved = calloc(codes->code_count + 1, sizeof(*renewal.moved)),
		.codes = calloc(codes->code_count + 1, sizeof(*renewal.codes)),
		.lines = calloc(codes->line_count + 1, sizeof(*renewal.lines)),
	};
	rc = init_texts(&renewal.texts, &codes->limits);
	if (rc || !renewal.moved || !renewal.codes || !renewal.lines)
		return -ENOMEM;
	rc = move_used(codes, &renewal);
	if (rc) /* half of the ranges are of the new tables: none can be kept */
		codes->now.count = codes->replaced_count = 0;
	else
		take_renewed(codes, &renewal);
	codes->is_full = !has_room(codes);
	return rc;
}

/* --- adding --- */

/* A text as it is shown: no longer than may be, nothing that a terminal would obey. UTF-8 stays
 * whole. */
static int add_text(struct jit_codes *codes, const char *text, size_t len_bytes, uint32_t *id)
{
	char clean[JIT_NAME_MAX_BYTES];
	size_t kept_bytes = len_bytes;
	if (len_bytes > sizeof(clean)) {
		kept_bytes = sizeof(clean);
		while (kept_bytes && ((uint8_t)text[kept_bytes] & 0xc0) == 0x80)
			kept_bytes--;
	}
	for (size_t i = 0; i < kept_bytes; i++) {
		uint8_t byte = (uint8_t)text[i];
		/* U+0080 to U+009F are controls, too. */
		bool is_control =
			byte < 0x20 || byte == 0x7f ||
			(byte >= 0x80 && byte < 0xa0 && i && (uint8_t)text[i - 1] == 0xc2);
		clean[i] = is_control ? '?' : text[i];
	}
	return strtab_add_bytes(&codes->texts, clean, kept_bytes, id);
}

static int add_lines(struct jit_codes *codes, const struct jit_code_info *info, struct code *code)
{
	code->first_line = (uint32_t)codes->line_count;
	for (size_t i = 0; i < info->line_count; i++) {
		const struct jit_line_info *told = &info->lines[i];
		struct line line = {.off = told->off, .line = told->line};
		int rc = ARRAY_RESERVE(codes->lines, codes->line_cap, codes->line_count,
				       codes->limits.lines);
		if (!rc)
			rc = add_text(codes, told->file, told->file_bytes, &line.file);
		if (rc)
			return rc;
		codes->lines[codes->line_count++] = line;
	}
	code->line_count = (uint32_t)info->line_count;
	return 0;
}

static int add_range(struct jit_codes *codes, const struct code *code, uint64_t size_bytes)
{
	int rc = ARRAY_RESERVE(codes->codes, codes->code_cap, codes->code_count,
			       codes->limits.codes);
	if (!rc)
		rc = ARRAY_RESERVE(codes->added, codes->added_cap, codes->added_count, MAX_ADDED);
	if (rc)
		return rc;
	uint32_t position = (uint32_t)codes->code_count++;
	codes->codes[position] = *code;
	codes->codes[position].serial = ++codes->serial;
	codes->added[codes->added_count++] =
		(struct jit_range){code->start_ip, code->start_ip + size_bytes, position};
	if (code->from_mono_ns > codes->newest_mono_ns)
		codes->newest_mono_ns = code->from_mono_ns;
	return map_put(&codes->added_by_start, code->start_ip, (void *)((uintptr_t)position + 1));
}

/* One try at adding something. */
typedef int (*try_fn)(struct jit_codes *codes, const void *what);

static int try_add(struct jit_codes *codes, const void *what)
{
	const struct jit_code_info *info = what;
	struct code code = {.start_ip = info->start_ip, .from_mono_ns = info->from_mono_ns};
	int rc = add_text(codes, info->name, info->name_bytes, &code.name);
	if (!rc)
		rc = add_lines(codes, info, &code);
	return rc ? rc : add_range(codes, &code, info->size_bytes);
}

static const struct code *code_at(const struct jit_codes *codes, uint64_t start_ip)
{
	uintptr_t added = (uintptr_t)map_get(&codes->added_by_start, start_ip);
	if (added)
		return &codes->codes[added - 1];
	const struct jit_range *range = jit_ranges_find(&codes->now, start_ip);
	const struct code *code = range ? &codes->codes[range->code] : NULL;
	return code && code->start_ip == start_ip ? code : NULL;
}

struct move {
	uint64_t old_ip, start_ip, size_bytes, from_mono_ns;
};

static int try_move(struct jit_codes *codes, const void *what)
{
	const struct move *move = what;
	const struct code *old = code_at(codes, move->old_ip);
	if (!old)
		return -EINVAL;
	struct code code = *old;
	code.start_ip = move->start_ip;
	code.from_mono_ns = move->from_mono_ns;
	code.first_line = (uint32_t)codes->line_count;
	for (uint32_t i = 0; i < code.line_count; i++) {
		struct line line = codes->lines[old->first_line + i];
		int rc = ARRAY_RESERVE(codes->lines, codes->line_cap, codes->line_count,
				       codes->limits.lines);
		if (rc)
			return rc;
		codes->lines[codes->line_count++] = line;
	}
	return add_range(codes, &code, move->size_bytes);
}

static int try_once(struct jit_codes *codes, try_fn try, const void *what)
{
	size_t old_lines = codes->line_count;
	int rc = try(codes, what);
	if (rc)
		codes->line_count = old_lines;
	return rc;
}

static int add(struct jit_codes *codes, try_fn try, const void *what)
{
	int rc = codes->added_count == MAX_ADDED ? jit_codes_settle(codes) : 0;
	if (!rc)
		rc = codes->is_full ? -ENOSPC : try_once(codes, try, what);
	if (rc == -ENOSPC && !codes->is_full) {
		rc = make_room(codes);
		if (!rc)
			rc = codes->is_full ? -ENOSPC : try_once(codes, try, what);
	}
	if (rc == -ENOSPC) {
		codes->refused++;
		return 0;
	}
	return rc;
}

static bool is_range(uint64_t start_ip, uint64_t size_bytes)
{
	uint64_t end_ip;
	return size_bytes && !__builtin_add_overflow(start_ip, size_bytes, &end_ip);
}

int jit_codes_add(struct jit_codes *codes, const struct jit_code_info *info)
{
	if (!is_range(info->start_ip, info->size_bytes) || !info->name_bytes)
		return -EINVAL;
	return add(codes, try_add, info);
}

int jit_codes_move(struct jit_codes *codes, uint64_t old_ip, uint64_t start_ip, uint64_t size_bytes,
		   uint64_t from_mono_ns)
{
	struct move move = {old_ip, start_ip, size_bytes, from_mono_ns};
	return is_range(start_ip, size_bytes) ? add(codes, try_move, &move) : -EINVAL;
}

/* --- asking --- */

/* Of two that began at the same moment the one that was told of later. */
static bool is_later(const struct code *code, const struct code *other)
{
	if (!other || code->from_mono_ns != other->from_mono_ns)
		return !other || code->from_mono_ns > other->from_mono_ns;
	return code->serial > other->serial;
}

static const struct code *code_then(const struct jit_codes *codes, uint64_t ip, uint64_t at_mono_ns)
{
	const struct jit_range *now = jit_ranges_find(&codes->now, ip);
	if (now && codes->codes[now->code].from_mono_ns <= at_mono_ns)
		return &codes->codes[now->code];
	const struct code *best = NULL;
	for (size_t i = codes->replaced_count; i-- > 0;) {
		const struct replaced *old = &codes->replaced[i];
		const struct code *code = &codes->codes[old->range.code];
		if (ip >= old->range.start_ip && ip < old->range.end_ip &&
		    at_mono_ns >= code->from_mono_ns && at_mono_ns < old->until_mono_ns &&
		    is_later(code, best))
			best = code;
	}
	return best;
}

/* The entry that covers off: the last one that begins at or before it. */
static const struct line *line_at(const struct line *lines, uint32_t line_count, uint64_t off)
{
	uint32_t low = 0, high = line_count;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		if (lines[middle].off <= off)
			low = middle + 1;
		else
			high = middle;
	}
	return low ? &lines[low - 1] : NULL;
}

bool jit_codes_find(const struct jit_codes *codes, uint64_t ip, uint64_t at_mono_ns,
		    struct jit_symbol *symbol)
{
	const struct code *code = code_then(codes, ip, at_mono_ns);
	if (!code)
		return false;
	const struct line *line = NULL;
	if (code->line_count)
		line = line_at(codes->lines + code->first_line, code->line_count,
			       ip - code->start_ip);
	*symbol = (struct jit_symbol){
		.name = strtab_get(&codes->texts, code->name),
		.file = line ? strtab_get(&codes->texts, line->file) : "",
		.line = line ? line->line : 0,
	};
	return true;
}
