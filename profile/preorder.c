#include "profile/preorder.h"

#include <errno.h>
#include <stdlib.h>

#include "base/auto.h"
#include "base/group.h"

static int list_children(size_t node_count, const uint32_t *parents, const uint32_t *ranks,
			 size_t rank_count, uint32_t *starts, uint32_t *children)
{
	if (!ranks) {
		group_by_key(node_count, NULL, parents, node_count, starts, children);
		return 0;
	}
	AUTO_MEM uint32_t *rank_starts = malloc((rank_count + 1) * sizeof(*rank_starts));
	AUTO_MEM uint32_t *by_rank = malloc(node_count * sizeof(*by_rank));
	if (!rank_starts || !by_rank)
		return -ENOMEM;
	group_by_key(node_count, NULL, ranks, rank_count, rank_starts, by_rank);
	group_by_key(node_count, by_rank, parents, node_count, starts, children);
	return 0;
}

int preorder(size_t node_count, const uint32_t *parents, const uint32_t *ranks, size_t rank_count,
	     uint32_t *positions, uint32_t *sizes)
{
	AUTO_MEM uint32_t *starts = malloc((node_count + 1) * sizeof(*starts));
	AUTO_MEM uint32_t *children = malloc(node_count * sizeof(*children));
	if (!starts || !children)
		return -ENOMEM;
	int rc = list_children(node_count, parents, ranks, rank_count, starts, children);
	if (rc)
		return rc;
	for (size_t i = 0; i < node_count; i++)
		sizes[i] = 1;
	for (size_t i = node_count - 1; i > 0; i--)
		sizes[parents[i]] += sizes[i];
	positions[0] = 0;
	for (size_t node = 0; node < node_count; node++) {
		uint32_t position = positions[node] + 1;
		for (uint32_t i = starts[node]; i < starts[node + 1]; i++) {
			uint32_t child = children[i];
			if (!child)
				continue; /* the root is its own parent */
			positions[child] = position;
			position += sizes[child];
		}
	}
	return 0;
}

int preorder_stacks(const struct profile *profile, uint32_t *order)
{
	size_t count = profile->stack_count;
	AUTO_MEM uint32_t *parents = calloc(count, sizeof(*parents));
	AUTO_MEM uint32_t *positions = malloc(count * sizeof(*positions));
	AUTO_MEM uint32_t *sizes = malloc(count * sizeof(*sizes));
	if (!parents || !positions || !sizes)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		parents[i] = profile->stacks[i].parent;
	int rc = preorder(count, parents, NULL, 0, positions, sizes);
	for (size_t i = 0; !rc && i < count; i++)
		order[positions[i]] = (uint32_t)i;
	return rc;
}
