#include "symbolizer/pclntab_calls.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"

enum {
	PCDATA_INL_TREE_INDEX = 2, /* since Go 1.13 */
	MAX_TREE_CALLS = 1 << 18,  /* of one function */
	MAX_CALLS = 4 << 20,
	MAX_PIECES = 64 << 20,
	MAX_ENTRY_BYTES = 20,

	/* Where moduledata.gofunc is in Go 1.18, 1.20 and 1.21; and where to look for it in
	 * others: behind all that comes before it since 1.18. */
	GOFUNC_WORD_1_18 = 38,
	GOFUNC_WORD_1_20 = 40,
	FIRST_WORD = 34,
	MODULE_WORDS = 48,

	TRIED_FUNCTIONS = 64, /* with trees, for each place that is tried */
	TRIED_PIECES = 16,
};

/* An entry of a tree: what each version has in it that is used here. */
static const struct {
	uint8_t bytes, name_off, parent_off;
} entries[] = {
	[PCLNTAB_1_2] = {20, 12, 16},
	[PCLNTAB_1_16] = {20, 12, 16},
	[PCLNTAB_1_18] = {20, 12, 16},
	[PCLNTAB_1_20] = {16, 4, 8},
};

void pclntab_calls_fini(struct pclntab_calls *calls)
{
	free(calls->calls);
	free(calls->pieces);
	free(calls->call_of);
	*calls = (struct pclntab_calls){0};
}

/* Trees lie in the order of functions, so that a window of bytes serves many. */
static const uint8_t *read_bytes(struct pclntab_calls *calls, uint64_t vaddr, size_t len_bytes)
{
	uint64_t off = vaddr - calls->window_vaddr;
	if (vaddr >= calls->window_vaddr && off < calls->window_bytes &&
	    len_bytes <= calls->window_bytes - off)
		return calls->window + off;
	uint64_t left = elf_image_left_bytes(calls->table->image, vaddr);
	size_t window_bytes = left < sizeof(calls->window) ? (size_t)left : sizeof(calls->window);
	calls->window_bytes = 0;
	if (window_bytes < len_bytes ||
	    elf_image_read(calls->table->image, vaddr, calls->window, window_bytes))
		return NULL;
	calls->window_vaddr = vaddr;
	calls->window_bytes = window_bytes;
	return calls->window;
}

/* Entry `number` of the tree at hand. False: it makes no sense. */
static bool read_entry(struct pclntab_calls *calls, const struct pclntab_function *function,
		       uint32_t number, struct pclntab_call *call)
{
	const struct pclntab_table *table = calls->table;
	size_t bytes = entries[table->version].bytes;
	const uint8_t *entry =
		read_bytes(calls, calls->tree_vaddr + (uint64_t)number * bytes, bytes);
	if (!entry)
		return false;
	struct reader name = reader_of(entry + entries[table->version].name_off, 4);
	struct reader parent = reader_of(entry + entries[table->version].parent_off, 4);
	uint32_t name_off = reader_u32(&name), parent_off = reader_u32(&parent);
	/* It is the beginning of a string, and a place in the function. */
	const char *text = pclntab_string(&table->names, name_off);
	if (!text || !text[0] || (name_off && table->names.data[name_off - 1]) ||
	    parent_off >= function->end_vaddr - function->start_vaddr)
		return false;
	*call = (struct pclntab_call){
		.name_off = name_off,
		.call_vaddr = function->start_vaddr + parent_off,
		.number = number,
	};
	return true;
}

static bool set_tree(struct pclntab_calls *calls, const struct pclntab_function *function)
{
	uint64_t place;
	if (!pclntab_funcdata(calls->table, function, calls->funcdata_kind, &place))
		return false;
	return !__builtin_add_overflow(calls->base_vaddr, place, &calls->tree_vaddr);
}

/* Do functions have sound trees of that kind at that place? */
static bool are_trees(struct pclntab_calls *calls, uint32_t kind, uint64_t base_vaddr)
{
	const struct pclntab_table *table = calls->table;
	uint32_t tried = 0;
	calls->funcdata_kind = kind;
	calls->base_vaddr = base_vaddr;
	for (uint32_t i = 0; i < table->function_count && tried < TRIED_FUNCTIONS; i++) {
		struct pclntab_function function;
		if (!pclntab_function_at(table, i, &function) || !set_tree(calls, &function))
			continue;
		struct pclntab_values values = pclntab_values_of(
			table, &function, pclntab_pcdata(table, &function, PCDATA_INL_TREE_INDEX));
		bool has_calls = false;
		for (int j = 0; j < TRIED_PIECES && pclntab_values_next(&values); j++) {
			struct pclntab_call call;
			if (values.value < 0)
				continue;
			if (!read_entry(calls, &function, (uint32_t)values.value, &call))
				return false;
			has_calls = true;
		}
		tried += has_calls;
	}
	return tried > 0;
}

/* Since 1.16 the kind is 3; before that, 4. */
static bool try_kinds(struct pclntab_calls *calls, uint64_t base_vaddr)
{
	return are_trees(calls, 3, base_vaddr) || are_trees(calls, 4, base_vaddr);
}

static bool find_trees(struct pclntab_calls *calls)
{
	const struct pclntab_table *table = calls->table;
	if (table->version < PCLNTAB_1_18)
		return try_kinds(calls, 0);
	uint64_t words[MODULE_WORDS];
	if (!table->module_vaddr ||
	    elf_image_read(calls->table->image, table->module_vaddr, words, sizeof(words)))
		return false;
	uint32_t likely = table->version == PCLNTAB_1_18 ? GOFUNC_WORD_1_18 : GOFUNC_WORD_1_20;
	if (are_trees(calls, 3, words[likely]))
		return true;
	for (uint32_t i = FIRST_WORD; i < MODULE_WORDS; i++)
		if (elf_image_left_bytes(calls->table->image, words[i]) &&
		    are_trees(calls, 3, words[i]))
			return true;
	return false;
}

int pclntab_calls_init(struct pclntab_calls *calls, const struct pclntab_table *table)
{
	*calls = (struct pclntab_calls){.table = table};
	calls->call_of = calloc(MAX_TREE_CALLS, sizeof(*calls->call_of));
	if (!calls->call_of)
		return -ENOMEM;
	calls->has_trees = find_trees(calls);
	return 0;
}

/* The pieces, with numbers of the tree, plus 1, for calls. */
static int read_pieces(struct pclntab_calls *calls, const struct pclntab_function *function)
{
	struct pclntab_values values =
		pclntab_values_of(calls->table, function,
				  pclntab_pcdata(calls->table, function, PCDATA_INL_TREE_INDEX));
	calls->piece_count = 0;
	while (pclntab_values_next(&values)) {
		int rc = ARRAY_RESERVE(calls->pieces, calls->piece_cap, calls->piece_count,
				       MAX_PIECES);
		if (!rc && ++calls->total_pieces > MAX_PIECES)
			rc = -ENOSPC;
		if (rc)
			return rc;
		bool is_call = values.value >= 0 && values.value < MAX_TREE_CALLS;
		calls->pieces[calls->piece_count++] = (struct pclntab_piece){
			.start_vaddr = values.start_vaddr,
			.end_vaddr = values.end_vaddr,
			.call = is_call ? (uint32_t)values.value + 1 : 0,
		};
	}
	return 0;
}

/* What read_pieces() has at vaddr. */
static uint32_t number_at(const struct pclntab_calls *calls, uint64_t vaddr)
{
	size_t low = 0, high = calls->piece_count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (calls->pieces[middle].start_vaddr <= vaddr)
			low = middle + 1;
		else
			high = middle;
	}
	return low && vaddr < calls->pieces[low - 1].end_vaddr ? calls->pieces[low - 1].call : 0;
}

static int add_call(struct pclntab_calls *calls, const struct pclntab_call *call)
{
	int rc = ARRAY_RESERVE(calls->calls, calls->call_cap, calls->call_count, MAX_CALLS);
	if (rc)
		return rc;
	if (++calls->total_calls > MAX_CALLS)
		return -ENOSPC;
	calls->calls[calls->call_count++] = *call;
	return 0;
}

/* Add a call after those that it is in. The way outwards ends at one that is known, at the
 * function itself, at nonsense, or where it is too long to be true, as a ring is. */
static int add_chain(struct pclntab_calls *calls, const struct pclntab_function *function,
		     uint32_t number)
{
	struct pclntab_call chain[PCLNTAB_MAX_DEPTH];
	uint32_t count = 0;
	while (number && !calls->call_of[number - 1]) {
		if (count == PCLNTAB_MAX_DEPTH ||
		    !read_entry(calls, function, number - 1, &chain[count])) {
			count = 0; /* none of them is believed */
			break;
		}
		number = number_at(calls, chain[count++].call_vaddr);
	}
	uint32_t parent = number ? calls->call_of[number - 1] : 0;
	while (count > 0) {
		struct pclntab_call *call = &chain[--count];
		call->parent = parent;
		call->depth = calls->calls[parent].depth + 1;
		if (call->depth > PCLNTAB_MAX_DEPTH || calls->call_of[call->number])
			return 0;
		parent = (uint32_t)calls->call_count;
		int rc = add_call(calls, call);
		if (rc)
			return rc;
		calls->call_of[call->number] = parent;
	}
	return 0;
}

static int add_calls(struct pclntab_calls *calls, const struct pclntab_function *function)
{
	int rc = 0;
	for (size_t i = 0; i < calls->piece_count && !rc; i++) {
		uint32_t number = calls->pieces[i].call;
		if (number && !calls->call_of[number - 1])
			rc = add_chain(calls, function, number);
	}
	return rc;
}

int pclntab_calls_read(struct pclntab_calls *calls, const struct pclntab_function *function)
{
	calls->call_count = calls->piece_count = 0;
	if (!calls->has_trees || !set_tree(calls, function))
		return 0;
	int rc = read_pieces(calls, function);
	struct pclntab_call itself = {0};
	if (!rc)
		rc = add_call(calls, &itself);
	if (!rc)
		rc = add_calls(calls, function);
	for (size_t i = 0; i < calls->piece_count; i++) {
		struct pclntab_piece *piece = &calls->pieces[i];
		piece->call = piece->call ? calls->call_of[piece->call - 1] : 0;
	}
	for (size_t i = 1; i < calls->call_count; i++)
		calls->call_of[calls->calls[i].number] = 0;
	return rc;
}
