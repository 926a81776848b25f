#include "symbolizer/gsym_layout.h"

#include <errno.h>
#include <stdlib.h>

#include "base/array.h"
#include "base/auto.h"

struct pieces {
	struct gsym_piece *items;
	size_t count, cap;
};

static void pieces_fini(struct pieces *pieces)
{
	free(pieces->items);
	*pieces = (struct pieces){0};
}

static int add_piece(struct pieces *pieces, uint64_t start_vaddr, uint64_t end_vaddr,
		     uint32_t function)
{
	if (start_vaddr >= end_vaddr)
		return 0;
	struct gsym_piece *last = pieces->count ? &pieces->items[pieces->count - 1] : NULL;
	if (last && last->function == function && last->range.end_vaddr == start_vaddr) {
		last->range.end_vaddr = end_vaddr;
		return 0;
	}
	int rc = ARRAY_RESERVE(pieces->items, pieces->cap, pieces->count, SIZE_MAX);
	if (!rc)
		pieces->items[pieces->count++] =
			(struct gsym_piece){{start_vaddr, end_vaddr}, function};
	return rc;
}

static int by_source_and_start(const void *a, const void *b)
{
	const struct gsym_claim *left = a, *right = b;
	if (left->source != right->source)
		return left->source > right->source ? -1 : 1;
	if (left->range.start_vaddr != right->range.start_vaddr)
		return left->range.start_vaddr < right->range.start_vaddr ? -1 : 1;
	if (left->range.end_vaddr != right->range.end_vaddr)
		return left->range.end_vaddr > right->range.end_vaddr ? -1 : 1;
	return (left->function > right->function) - (left->function < right->function);
}

/* The claims around one address, the innermost last. */
struct nest {
	const struct gsym_claim **open;
	size_t count;
	uint64_t vaddr; /* everything below is decided */
};

static int decide_until(struct nest *nest, uint64_t vaddr, struct pieces *out)
{
	int rc = 0;
	while (!rc && nest->count && nest->vaddr < vaddr) {
		const struct gsym_claim *inner = nest->open[nest->count - 1];
		uint64_t end_vaddr =
			inner->range.end_vaddr < vaddr ? inner->range.end_vaddr : vaddr;
		rc = add_piece(out, nest->vaddr, end_vaddr, inner->function);
		if (end_vaddr > nest->vaddr)
			nest->vaddr = end_vaddr;
		if (inner->range.end_vaddr <= nest->vaddr)
			nest->count--;
	}
	nest->vaddr = vaddr;
	return rc;
}

/* The pieces of claims of one source. */
static int nest_claims(const struct gsym_claim *claims, size_t count, struct pieces *out)
{
	AUTO_MEM const struct gsym_claim **open = malloc(count * sizeof(const void *));
	if (!open)
		return -ENOMEM;
	struct nest nest = {.open = open};
	int rc = 0;
	for (size_t i = 0; !rc && i < count; i++) {
		rc = decide_until(&nest, claims[i].range.start_vaddr, out);
		nest.open[nest.count++] = &claims[i];
	}
	return rc ? rc : decide_until(&nest, UINT64_MAX, out);
}

/* All of over, and of under what over leaves. */
static int overlay(const struct pieces *over, const struct pieces *under, struct pieces *out)
{
	size_t next = 0;
	int rc = 0;
	for (size_t i = 0; !rc && i < under->count; i++) {
		struct gsym_piece piece = under->items[i];
		uint64_t vaddr = piece.range.start_vaddr;
		while (!rc && next < over->count &&
		       over->items[next].range.start_vaddr < piece.range.end_vaddr) {
			const struct gsym_range *cover = &over->items[next].range;
			rc = add_piece(out, vaddr, cover->start_vaddr, piece.function);
			if (cover->end_vaddr > vaddr)
				vaddr = cover->end_vaddr;
			if (cover->end_vaddr > piece.range.end_vaddr)
				break; /* it covers the next one, too */
			if (!rc)
				rc = add_piece(out, cover->start_vaddr, cover->end_vaddr,
					       over->items[next].function);
			next++;
		}
		if (!rc)
			rc = add_piece(out, vaddr, piece.range.end_vaddr, piece.function);
	}
	for (; !rc && next < over->count; next++)
		rc = add_piece(out, over->items[next].range.start_vaddr,
			       over->items[next].range.end_vaddr, over->items[next].function);
	return rc;
}

int gsym_layout(struct gsym_claim *claims, size_t claim_count, struct gsym_piece **pieces,
		size_t *piece_count)
{
	qsort(claims, claim_count, sizeof(*claims), by_source_and_start);
	AUTO_FINI(pieces_fini) struct pieces decided = {0};
	for (size_t i = 0, count; i < claim_count; i += count) {
		for (count = 1; i + count < claim_count; count++)
			if (claims[i + count].source != claims[i].source)
				break;
		AUTO_FINI(pieces_fini) struct pieces layer = {0};
		AUTO_FINI(pieces_fini) struct pieces both = {0};
		int rc = nest_claims(claims + i, count, &layer);
		if (!rc)
			rc = overlay(&decided, &layer, &both);
		if (rc)
			return rc;
		struct pieces old = decided;
		decided = both;
		both = old; /* freed with this scope */
	}
	*piece_count = decided.count;
	*pieces = decided.items;
	decided = (struct pieces){0};
	return 0;
}
