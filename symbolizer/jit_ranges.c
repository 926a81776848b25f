#include "symbolizer/jit_ranges.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/auto.h"

void jit_ranges_fini(struct jit_ranges *ranges)
{
	free(ranges->items);
	*ranges = (struct jit_ranges){0};
}

static void emit(struct jit_ranges *out, uint64_t start_ip, uint64_t end_ip, uint32_t code)
{
	if (start_ip < end_ip)
		out->items[out->count++] = (struct jit_range){start_ip, end_ip, code};
}

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* Where the next range of bottom begins, and up to where it is done with. */
struct overlay {
	const struct jit_ranges *bottom;
	struct jit_ranges *out;
	size_t at;
	uint64_t done_ip;
	jit_replaced_fn replaced;
	void *ctx;
};

/* All of bottom that begins before the end of `over`, and then `over` itself. */
static void lay(struct overlay *overlay, const struct jit_range *over)
{
	for (; overlay->at < overlay->bottom->count; overlay->at++) {
		struct jit_range under = overlay->bottom->items[overlay->at];
		under.start_ip = max_u64(under.start_ip, overlay->done_ip);
		emit(overlay->out, under.start_ip, min_u64(under.end_ip, over->start_ip),
		     under.code);
		struct jit_range part = {
			.start_ip = max_u64(under.start_ip, over->start_ip),
			.end_ip = min_u64(under.end_ip, over->end_ip),
			.code = under.code,
		};
		if (part.start_ip < part.end_ip)
			overlay->replaced(overlay->ctx, &part, over);
		if (under.end_ip > over->end_ip)
			break; /* the rest of it comes next */
	}
	emit(overlay->out, over->start_ip, over->end_ip, over->code);
	overlay->done_ip = over->end_ip;
}

int jit_ranges_overlay(const struct jit_ranges *bottom, const struct jit_ranges *top,
		       jit_replaced_fn replaced, void *ctx, struct jit_ranges *out)
{
	/* Every range of top cuts at most one of bottom in two. */
	size_t most = bottom->count + 2 * top->count;
	struct jit_ranges both = {.items = calloc(most + 1, sizeof(*both.items))};
	if (!both.items)
		return -ENOMEM;
	struct overlay overlay = {.bottom = bottom, .out = &both, .replaced = replaced, .ctx = ctx};
	for (size_t i = 0; i < top->count; i++)
		lay(&overlay, &top->items[i]);
	for (; overlay.at < bottom->count; overlay.at++) {
		const struct jit_range *rest = &bottom->items[overlay.at];
		emit(&both, max_u64(rest->start_ip, overlay.done_ip), rest->end_ip, rest->code);
	}
	*out = both;
	return 0;
}

static bool is_in_order(const struct jit_range *ranges, size_t count)
{
	for (size_t i = 1; i < count; i++)
		if (ranges[i].start_ip < ranges[i - 1].end_ip)
			return false;
	return true;
}

static int copy(const struct jit_range *ranges, size_t count, struct jit_ranges *out)
{
	struct jit_range *items = calloc(count + 1, sizeof(*items));
	if (!items)
		return -ENOMEM;
	memcpy(items, ranges, count * sizeof(*items));
	*out = (struct jit_ranges){items, count};
	return 0;
}

int jit_ranges_flatten(const struct jit_range *added, size_t count, jit_replaced_fn replaced,
		       void *ctx, struct jit_ranges *out)
{
	if (is_in_order(added, count))
		return copy(added, count, out);
	AUTO_FINI(jit_ranges_fini) struct jit_ranges early = {0};
	AUTO_FINI(jit_ranges_fini) struct jit_ranges late = {0};
	size_t half = count / 2;
	int rc = jit_ranges_flatten(added, half, replaced, ctx, &early);
	if (!rc)
		rc = jit_ranges_flatten(added + half, count - half, replaced, ctx, &late);
	return rc ? rc : jit_ranges_overlay(&early, &late, replaced, ctx, out);
}

const struct jit_range *jit_ranges_find(const struct jit_ranges *ranges, uint64_t ip)
{
	size_t low = 0, high = ranges->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (ranges->items[middle].end_ip <= ip)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == ranges->count || ranges->items[low].start_ip > ip)
		return NULL;
	return &ranges->items[low];
}
